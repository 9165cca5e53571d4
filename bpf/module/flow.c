// SPDX-License-Identifier: GPL-2.0
/*
 * Rules: the module's own copy of what the kernel believes to be offloaded, and
 * the calls of firmware about them.
 *
 * The kernel may replace a rule it has brought before, destroy one twice, or one
 * that was refused. Programs see none of that: each accepted rule has an id of
 * its own, is destroyed once, and comes again when firmware comes again.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/slab.h>
#include <net/pkt_cls.h>
#include "ekho.h"

static const struct rhashtable_params ekho_flow_params = {
	.key_len = sizeof(struct ekho_flow_key),
	.key_offset = offsetof(struct ekho_flow, key),
	.head_offset = offsetof(struct ekho_flow, node),
	.automatic_shrinking = true,
};

static atomic64_t ekho_flow_last = ATOMIC64_INIT(0);

int ekho_flows_init(struct ekho_firmware_port *port)
{
	INIT_LIST_HEAD(&port->flows);
	return rhashtable_init(&port->table, &ekho_flow_params);
}

static void ekho_flow_remove(struct ekho_firmware_port *port,
			     struct ekho_flow *flow)
{
	rhashtable_remove_fast(&port->table, &flow->node, ekho_flow_params);
	list_del(&flow->list);
	WRITE_ONCE(port->flow_count, port->flow_count - 1);
	kvfree(flow);
}

void ekho_flows_exit(struct ekho_firmware_port *port)
{
	struct ekho_flow *flow, *next;

	/* The kernel destroys all of them before; what is left has no owner. */
	list_for_each_entry_safe(flow, next, &port->flows, list)
		ekho_flow_remove(port, flow);
	rhashtable_destroy(&port->table);
}

static void ekho_flow_set_offloaded(struct ekho_firmware_port *port,
				    struct ekho_flow *flow, bool is_offloaded)
{
	int more = is_offloaded - flow->is_offloaded;

	WRITE_ONCE(port->offloaded_count, port->offloaded_count + more);
	flow->is_offloaded = is_offloaded;
}

static u32 ekho_direction(u32 hook)
{
	switch (hook) {
	case EKHO_HOOK_ACTION:
		return 0;
	case EKHO_HOOK_EGRESS:
		return EKHO_EGRESS;
	default:
		return EKHO_INGRESS;
	}
}

/* Calls one operation about a rule; 0 or a negative errno. */
static int ekho_flow_call(struct ekho_firmware_port *port,
			  struct ekho_flow *flow, u32 flags,
			  int (*operation)(struct ekho_flow_ctx *ctx),
			  struct flow_stats *stats,
			  struct netlink_ext_ack *extack)
{
	struct ekho_call *call = &port->call;
	struct ekho_flow_ctx *ctx = &call->ctx;
	int err;

	lockdep_assert_held(&port->lock);
	if (!operation)
		return -EOPNOTSUPP;
	ctx->version = EKHO_ABI_VERSION;
	ctx->size = sizeof(*ctx);
	ctx->id = flow->id;
	ctx->netns = port->netns;
	ctx->ifindex = port->ifindex;
	ctx->kind = flow->key.kind;
	ctx->direction = ekho_direction(flow->key.hook);
	ctx->flags = flow->flags | flags;
	ctx->chain = flow->chain;
	ctx->preference = flow->preference;
	ctx->protocol = flow->protocol;
	ctx->packets = flow->packets;
	ctx->bytes = flow->bytes;
	ctx->drops = flow->drops;
	ctx->match = flow->match;
	ctx->action_count = flow->action_count;
	memcpy(ctx->actions, flow->actions,
	       flow->action_count * sizeof(*flow->actions));
	memset(ctx->actions + flow->action_count, 0,
	       (EKHO_ACTIONS_MAX - flow->action_count) * sizeof(*flow->actions));
	ctx->tunnel = port->tunnel;
	call->flow = flow;
	call->stats = stats;
	call->extack = extack;
	ekho_call_open(call, port->ops);
	err = operation(ctx);
	ekho_call_close(call);
	/* A program may return anything. */
	return err > 0 || err < -MAX_ERRNO ? -EINVAL : err;
}

/* Firmware comes: it gets the rules the kernel believes to be offloaded. */
static void ekho_flows_replay(struct ekho_firmware_port *port)
{
	struct ekho_flow *flow;
	unsigned int refused = 0;

	list_for_each_entry(flow, &port->flows, list) {
		u32 known = flow->is_offloaded ? EKHO_FLOW_KNOWN : 0;
		int err;

		err = ekho_flow_call(port, flow, EKHO_FLOW_REPLAY | known,
				     port->ops->flow_replace, NULL, NULL);
		ekho_flow_set_offloaded(port, flow, !err);
		refused += !!err;
		cond_resched();
	}
	/* The kernel cannot be told: it asked long ago. */
	if (refused)
		pr_warn("%s: firmware %s refuses %u of %u rules that the kernel believes to be in hardware\n",
			port->dev ? netdev_name(port->dev) : "actions",
			port->ops->name, refused, port->flow_count);
}

/* Another firmware, or none, from now on. */
void ekho_flows_move(struct ekho_firmware_port *port,
		     struct ekho_offload_ops *ops)
{
	struct ekho_flow *flow;

	mutex_lock(&port->lock);
	if (port->ops == ops)
		goto out;
	list_for_each_entry(flow, &port->flows, list) {
		if (!flow->is_offloaded)
			continue;
		ekho_flow_call(port, flow, EKHO_FLOW_DETACH,
			       port->ops->flow_destroy, NULL, NULL);
		ekho_flow_set_offloaded(port, flow, false);
		cond_resched();
	}
	ekho_bridge_detach(port);
	WRITE_ONCE(port->ops, ops);
	if (ops) {
		ekho_flows_replay(port);
		ekho_bridge_replay(port);
	}
out:
	mutex_unlock(&port->lock);
}

/* Another firmware takes over what this one has in hardware. */
void ekho_flows_hand_over(struct ekho_firmware_port *port,
			  struct ekho_offload_ops *ops)
{
	mutex_lock(&port->lock);
	WRITE_ONCE(port->ops, ops);
	ekho_flows_replay(port);
	ekho_bridge_replay(port);
	mutex_unlock(&port->lock);
}

static struct ekho_flow *ekho_flow_find(struct ekho_firmware_port *port,
					const struct ekho_flow_key *key)
{
	return rhashtable_lookup_fast(&port->table, key, ekho_flow_params);
}

/*
 * The kernel's rule as the module keeps it, with no id yet. @rule is NULL where
 * nothing is matched.
 */
static struct ekho_flow *ekho_flow_make(const struct ekho_flow_key *key,
					const struct flow_cls_common_offload *common,
					const struct flow_rule *rule,
					const struct flow_action *action)
{
	struct netlink_ext_ack *extack = common->extack;
	struct ekho_flow *flow;
	int err;

	if (!flow_action_hw_stats_check(action, extack,
					FLOW_ACTION_HW_STATS_DELAYED_BIT))
		return ERR_PTR(-EOPNOTSUPP);
	if (action->num_entries > EKHO_ACTIONS_MAX) {
		NL_SET_ERR_MSG_FMT_MOD(extack, "more than %d actions",
				       EKHO_ACTIONS_MAX);
		return ERR_PTR(-EOPNOTSUPP);
	}
	flow = kvzalloc(struct_size(flow, actions, action->num_entries),
			GFP_KERNEL_ACCOUNT);
	if (!flow)
		return ERR_PTR(-ENOMEM);
	flow->action_count = action->num_entries;
	flow->key = *key;
	flow->chain = common->chain_index;
	flow->preference = common->prio;
	flow->protocol = common->protocol;
	err = rule ? ekho_match_fill(&flow->match, rule, extack) : 0;
	if (!err)
		err = ekho_actions_fill(flow->actions, action, extack);
	if (err) {
		kvfree(flow);
		return ERR_PTR(err);
	}
	return flow;
}

/* In the place of @old, or as a new rule with an id of its own. */
static int ekho_flow_insert(struct ekho_firmware_port *port,
			    struct ekho_flow *flow, struct ekho_flow *old)
{
	int err;

	if (old) {
		flow->id = old->id;
		flow->packets = old->packets;
		flow->bytes = old->bytes;
		flow->drops = old->drops;
		flow->is_offloaded = old->is_offloaded;
		err = rhashtable_replace_fast(&port->table, &old->node,
					      &flow->node, ekho_flow_params);
		if (err)
			return err;
		list_replace(&old->list, &flow->list);
		kvfree(old);
		return 0;
	}
	if (port->flow_count >= EKHO_FLOWS_MAX)
		return -ENOSPC;
	err = rhashtable_insert_fast(&port->table, &flow->node,
				     ekho_flow_params);
	if (err)
		return err;
	flow->id = atomic64_inc_return(&ekho_flow_last);
	list_add_tail(&flow->list, &port->flows);
	WRITE_ONCE(port->flow_count, port->flow_count + 1);
	return 0;
}

/* Asks firmware for a rule, which is the port's then, or is freed. */
static int ekho_flow_put(struct ekho_firmware_port *port,
			 struct ekho_flow *flow, u32 flags,
			 struct netlink_ext_ack *extack)
{
	int err;

	mutex_lock(&port->lock);
	err = ekho_flow_insert(port, flow, ekho_flow_find(port, &flow->key));
	if (err) {
		kvfree(flow);
		goto out;
	}
	/* Hardware is to change it then, not to have it twice. */
	if (flow->is_offloaded)
		flags |= EKHO_FLOW_KNOWN;
	if (port->ops) {
		err = ekho_flow_call(port, flow, flags, port->ops->flow_replace,
				     NULL, extack);
	} else {
		NL_SET_ERR_MSG_WEAK_MOD(extack, "no firmware is attached to the port");
		err = -EOPNOTSUPP;
	}
	ekho_flow_set_offloaded(port, flow, !err);
	if (err)
		ekho_flow_remove(port, flow);
out:
	mutex_unlock(&port->lock);
	return err;
}

static int ekho_flow_replace(struct ekho_binding *binding,
			     const struct ekho_flow_key *key,
			     const struct flow_cls_common_offload *common,
			     const struct flow_rule *rule, u32 flags)
{
	struct ekho_firmware_port *port = binding->port;
	struct netlink_ext_ack *extack = common->extack;
	bool is_all = key->kind == EKHO_FLOW_MATCHALL;
	struct ekho_flow *flow;

	if (binding->hook != EKHO_HOOK_FLOWTABLE && !port->tunnel.kind &&
	    !tc_can_offload(port->dev)) {
		NL_SET_ERR_MSG_WEAK_MOD(extack, "hw-tc-offload is off");
		return -EOPNOTSUPP;
	}
	flow = ekho_flow_make(key, common, is_all ? NULL : rule, &rule->action);
	if (IS_ERR(flow))
		return PTR_ERR(flow);
	flow->flags = binding->is_shared ? EKHO_FLOW_SHARED : 0;
	return ekho_flow_put(port, flow, flags, extack);
}

/* With the lock of the port. */
static void ekho_flow_end(struct ekho_firmware_port *port,
			  struct ekho_flow *flow, u32 flags)
{
	if (flow->is_offloaded)
		ekho_flow_call(port, flow, flags, port->ops->flow_destroy,
			       NULL, NULL);
	ekho_flow_set_offloaded(port, flow, false);
	ekho_flow_remove(port, flow);
}

/* A rule that is not there is as good as destroyed. */
static int ekho_flow_destroy(struct ekho_firmware_port *port,
			     const struct ekho_flow_key *key, u32 flags)
{
	struct ekho_flow *flow;

	mutex_lock(&port->lock);
	flow = ekho_flow_find(port, key);
	if (flow)
		ekho_flow_end(port, flow, flags);
	mutex_unlock(&port->lock);
	return 0;
}

/*
 * The block is the binding's no more, and nobody calls for it now. A flowtable
 * that goes is unbound before it lets go of its connections, and then nobody
 * tells of them (nf_flow_table_free()).
 */
void ekho_flows_release(void *priv)
{
	struct ekho_binding *binding = priv;
	struct ekho_firmware_port *port = binding->port;
	struct ekho_flow *flow, *next;

	mutex_lock(&port->lock);
	list_for_each_entry_safe(flow, next, &port->flows, list)
		if (flow->key.hook == binding->hook)
			ekho_flow_end(port, flow, 0);
	mutex_unlock(&port->lock);
}

static int ekho_flow_stats(struct ekho_firmware_port *port,
			   const struct ekho_flow_key *key, u32 flags,
			   struct flow_stats *stats)
{
	struct ekho_flow *flow;
	int err = 0;

	mutex_lock(&port->lock);
	flow = ekho_flow_find(port, key);
	if (!flow)
		err = -ENOENT;
	else if (flow->is_offloaded)
		err = ekho_flow_call(port, flow, flags, port->ops->flow_stats,
				     stats, NULL);
	mutex_unlock(&port->lock);
	return err;
}

static int ekho_flower(struct ekho_binding *binding, u32 flags,
		       struct flow_cls_offload *offload)
{
	struct ekho_flow_key key = {
		.cookie = offload->cookie,
		.hook = binding->hook,
		.kind = binding->hook == EKHO_HOOK_FLOWTABLE ?
				EKHO_FLOW_FLOWTABLE :
				EKHO_FLOW_FLOWER,
	};

	switch (offload->command) {
	case FLOW_CLS_REPLACE:
		return ekho_flow_replace(binding, &key, &offload->common,
					 offload->rule, flags);
	case FLOW_CLS_DESTROY:
		return ekho_flow_destroy(binding->port, &key, flags);
	case FLOW_CLS_STATS:
		return ekho_flow_stats(binding->port, &key, flags,
				       &offload->stats);
	default:
		return -EOPNOTSUPP;
	}
}

static int ekho_matchall(struct ekho_binding *binding, u32 flags,
			 struct tc_cls_matchall_offload *offload)
{
	struct ekho_flow_key key = {
		.cookie = offload->cookie,
		.hook = binding->hook,
		.kind = EKHO_FLOW_MATCHALL,
	};

	switch (offload->command) {
	case TC_CLSMATCHALL_REPLACE:
		return ekho_flow_replace(binding, &key, &offload->common,
					 offload->rule, flags);
	case TC_CLSMATCHALL_DESTROY:
		return ekho_flow_destroy(binding->port, &key, flags);
	case TC_CLSMATCHALL_STATS:
		return ekho_flow_stats(binding->port, &key, flags,
				       &offload->stats);
	default:
		return -EOPNOTSUPP;
	}
}

/* The kernel's call about an action by itself. */
int ekho_flow_action(struct ekho_firmware_port *port,
		     struct flow_offload_action *offload)
{
	struct flow_cls_common_offload common = { .extack = offload->extack };
	struct ekho_flow_key key = {
		.cookie = offload->cookie,
		.hook = EKHO_HOOK_ACTION,
		.kind = EKHO_FLOW_ACTION,
	};
	struct ekho_flow *flow;

	switch (offload->command) {
	case FLOW_ACT_REPLACE:
		flow = ekho_flow_make(&key, &common, NULL, &offload->action);
		if (IS_ERR(flow))
			return PTR_ERR(flow);
		return ekho_flow_put(port, flow, EKHO_FLOW_RTNL,
				     offload->extack);
	case FLOW_ACT_DESTROY:
		return ekho_flow_destroy(port, &key, EKHO_FLOW_RTNL);
	case FLOW_ACT_STATS:
		return ekho_flow_stats(port, &key, EKHO_FLOW_RTNL,
				       &offload->stats);
	default:
		return -EOPNOTSUPP;
	}
}

/* The kernel's call about rules of a block that is bound to a port. */
int ekho_flow_setup(enum tc_setup_type type, void *type_data, void *priv)
{
	struct ekho_binding *binding = priv;
	bool is_tc = binding->hook != EKHO_HOOK_FLOWTABLE;
	u32 flags = is_tc ? EKHO_FLOW_RTNL : 0;

	if (type == TC_SETUP_CLSFLOWER)
		return ekho_flower(binding, flags, type_data);
	if (type == TC_SETUP_CLSMATCHALL && is_tc)
		return ekho_matchall(binding, flags, type_data);
	return -EOPNOTSUPP;
}
