// SPDX-License-Identifier: GPL-2.0
/* What a rule does, from the kernel's actions into the flat form. */
#include <net/ip_tunnels.h>
#include <net/psample.h>
#include "ekho.h"

static const u32 ekho_action_kinds[] = {
	[FLOW_ACTION_ACCEPT] = EKHO_ACTION_ACCEPT,
	[FLOW_ACTION_DROP] = EKHO_ACTION_DROP,
	[FLOW_ACTION_TRAP] = EKHO_ACTION_TRAP,
	[FLOW_ACTION_GOTO] = EKHO_ACTION_GOTO,
	[FLOW_ACTION_REDIRECT] = EKHO_ACTION_REDIRECT,
	[FLOW_ACTION_MIRRED] = EKHO_ACTION_MIRROR,
	[FLOW_ACTION_REDIRECT_INGRESS] = EKHO_ACTION_REDIRECT_INGRESS,
	[FLOW_ACTION_MIRRED_INGRESS] = EKHO_ACTION_MIRROR_INGRESS,
	[FLOW_ACTION_VLAN_PUSH] = EKHO_ACTION_VLAN_PUSH,
	[FLOW_ACTION_VLAN_POP] = EKHO_ACTION_VLAN_POP,
	[FLOW_ACTION_VLAN_MANGLE] = EKHO_ACTION_VLAN_MODIFY,
	[FLOW_ACTION_TUNNEL_ENCAP] = EKHO_ACTION_TUNNEL_SET,
	[FLOW_ACTION_TUNNEL_DECAP] = EKHO_ACTION_TUNNEL_UNSET,
	[FLOW_ACTION_MANGLE] = EKHO_ACTION_SET,
	[FLOW_ACTION_ADD] = EKHO_ACTION_ADD,
	[FLOW_ACTION_CSUM] = EKHO_ACTION_CHECKSUM,
	[FLOW_ACTION_MARK] = EKHO_ACTION_MARK,
	[FLOW_ACTION_PTYPE] = EKHO_ACTION_PACKET_TYPE,
	[FLOW_ACTION_PRIORITY] = EKHO_ACTION_PRIORITY,
	[FLOW_ACTION_SAMPLE] = EKHO_ACTION_SAMPLE,
	[FLOW_ACTION_POLICE] = EKHO_ACTION_POLICE,
};

static u32 ekho_action_kind(enum flow_action_id id)
{
	return id < ARRAY_SIZE(ekho_action_kinds) ? ekho_action_kinds[id] : 0;
}

static int ekho_action_tunnel(struct ekho_flow_action *to,
			      const struct ip_tunnel_info *info)
{
	const struct ip_tunnel_key *key = &info->key;

	/* Options would be lost. */
	if (info->options_len)
		return -EOPNOTSUPP;
	to->tunnel.key = key->tun_id;
	to->tunnel.destination_port = key->tp_dst;
	to->tunnel.tos = key->tos;
	to->tunnel.ttl = key->ttl;
	if (test_bit(IP_TUNNEL_CSUM_BIT, key->tun_flags))
		to->tunnel.flags |= EKHO_TUNNEL_HAS_CHECKSUM;
	if (test_bit(IP_TUNNEL_DONT_FRAGMENT_BIT, key->tun_flags))
		to->tunnel.flags |= EKHO_TUNNEL_DONT_FRAGMENT;
	if (test_bit(IP_TUNNEL_OAM_BIT, key->tun_flags))
		to->tunnel.flags |= EKHO_TUNNEL_OAM;
	if (ip_tunnel_info_af(info) == AF_INET) {
		to->tunnel.family = 4;
		to->tunnel.source[0] = key->u.ipv4.src;
		to->tunnel.destination[0] = key->u.ipv4.dst;
	} else {
		to->tunnel.family = 6;
		memcpy(to->tunnel.source, &key->u.ipv6.src,
		       sizeof(to->tunnel.source));
		memcpy(to->tunnel.destination, &key->u.ipv6.dst,
		       sizeof(to->tunnel.destination));
	}
	return 0;
}

/* Only what the flat form can say: two rates and what becomes of the rest. */
static int ekho_action_police(struct ekho_flow_action *to,
			      const struct flow_action_entry *from)
{
	if (from->police.peakrate_bytes_ps || from->police.avrate ||
	    from->police.overhead)
		return -EOPNOTSUPP;
	switch (from->police.notexceed.act_id) {
	case FLOW_ACTION_PIPE:
		break;
	case FLOW_ACTION_ACCEPT:
		to->police.conform = EKHO_ACTION_ACCEPT;
		break;
	default:
		return -EOPNOTSUPP;
	}
	to->police.bytes = from->police.rate_bytes_ps;
	to->police.packets = from->police.rate_pkt_ps;
	to->police.burst = from->police.rate_bytes_ps ? from->police.burst :
							from->police.burst_pkt;
	to->police.exceed = ekho_action_kind(from->police.exceed.act_id);
	return to->police.exceed ? 0 : -EOPNOTSUPP;
}

static int ekho_action_fill(struct ekho_flow_action *to,
			    const struct flow_action_entry *from)
{
	to->kind = ekho_action_kind(from->id);
	to->index = from->hw_index;
	switch (to->kind) {
	case EKHO_ACTION_ACCEPT:
	case EKHO_ACTION_DROP:
	case EKHO_ACTION_TRAP:
	case EKHO_ACTION_VLAN_POP:
	case EKHO_ACTION_TUNNEL_UNSET:
		return 0;
	case EKHO_ACTION_GOTO:
		to->chain = from->chain_index;
		return 0;
	case EKHO_ACTION_REDIRECT:
	case EKHO_ACTION_MIRROR:
	case EKHO_ACTION_REDIRECT_INGRESS:
	case EKHO_ACTION_MIRROR_INGRESS:
		to->ifindex = from->dev ? from->dev->ifindex : 0;
		return to->ifindex ? 0 : -EOPNOTSUPP;
	case EKHO_ACTION_VLAN_PUSH:
	case EKHO_ACTION_VLAN_MODIFY:
		to->vlan.tpid = from->vlan.proto;
		to->vlan.id = from->vlan.vid;
		to->vlan.priority = from->vlan.prio;
		return 0;
	case EKHO_ACTION_TUNNEL_SET:
		return ekho_action_tunnel(to, from->tunnel);
	case EKHO_ACTION_SET:
	case EKHO_ACTION_ADD:
		to->edit.header = from->mangle.htype;
		to->edit.offset = from->mangle.offset;
		to->edit.mask = from->mangle.mask;
		to->edit.value = from->mangle.val;
		return 0;
	case EKHO_ACTION_CHECKSUM:
		to->checksums = from->csum_flags;
		return 0;
	case EKHO_ACTION_MARK:
		to->mark = from->mark;
		return 0;
	case EKHO_ACTION_PACKET_TYPE:
		to->packet_type = from->ptype;
		return 0;
	case EKHO_ACTION_PRIORITY:
		to->priority = from->priority;
		return 0;
	case EKHO_ACTION_SAMPLE:
		to->sample.group = from->sample.psample_group->group_num;
		to->sample.rate = from->sample.rate;
		to->sample.truncate = from->sample.truncate ?
					      from->sample.trunc_size :
					      0;
		return 0;
	case EKHO_ACTION_POLICE:
		return ekho_action_police(to, from);
	default:
		return -EOPNOTSUPP;
	}
}

int ekho_actions_fill(struct ekho_flow_action *actions,
		      const struct flow_action *from,
		      struct netlink_ext_ack *extack)
{
	const struct flow_action_entry *entry;
	int i, err;

	flow_action_for_each(i, entry, from) {
		err = ekho_action_fill(&actions[i], entry);
		if (err) {
			NL_SET_ERR_MSG_FMT_MOD(extack, "no place for action %d, which is of kind %d",
					       i + 1, entry->id);
			return err;
		}
	}
	return 0;
}
