/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Forwarding entries of bridges and VXLAN links: call_switchdev_notifiers(), which bridges call whether a driver listens or
 * not, or the bridge's tracepoints.
 */
#ifndef EKHO_NOTIFIER_FDB_H
#define EKHO_NOTIFIER_FDB_H

#include "emit.h"

static __always_inline enum notifier_event fdb_event_of(unsigned long type)
{
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_FDB_ADD_TO_DEVICE))
		return EVENT_FDB_ADD_TO_DEVICE;
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_FDB_DEL_TO_DEVICE))
		return EVENT_FDB_DELETE_TO_DEVICE;
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_FDB_ADD_TO_BRIDGE))
		return EVENT_FDB_ADD_TO_BRIDGE;
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_FDB_DEL_TO_BRIDGE))
		return EVENT_FDB_DELETE_TO_BRIDGE;
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_FDB_OFFLOADED))
		return EVENT_FDB_OFFLOADED;
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_FDB_FLUSH_TO_BRIDGE))
		return EVENT_FDB_FLUSH;
	return 0;
}

static __always_inline enum notifier_event vxlan_event_of(unsigned long type)
{
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_VXLAN_FDB_ADD_TO_DEVICE))
		return EVENT_VXLAN_FDB_ADD_TO_DEVICE;
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_VXLAN_FDB_DEL_TO_DEVICE))
		return EVENT_VXLAN_FDB_DELETE_TO_DEVICE;
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_VXLAN_FDB_ADD_TO_BRIDGE))
		return EVENT_VXLAN_FDB_ADD_TO_BRIDGE;
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_VXLAN_FDB_DEL_TO_BRIDGE))
		return EVENT_VXLAN_FDB_DELETE_TO_BRIDGE;
	if (type == kernel_value(switchdev_notifier_type, SWITCHDEV_VXLAN_FDB_OFFLOADED))
		return EVENT_VXLAN_FDB_OFFLOADED;
	return 0;
}

static __always_inline int on_fdb(enum notifier_event event, __u64 cookie, struct net_device *dev,
				  struct switchdev_notifier_fdb_info *info)
{
	struct fdb_record *record = emit(fdb_record, event, cookie, BPF_CORE_READ(dev, ifindex), 0);
	__u8 flags = 0;

	if (!record)
		return 0;
	/* Without an address all entries of the device are meant (flush). */
	bpf_probe_read_kernel(record->mac, ETH_ALEN, BPF_CORE_READ(info, addr));
	record->vlan = BPF_CORE_READ(info, vid);
	if (BPF_CORE_READ_BITFIELD_PROBED(info, added_by_user))
		flags |= FDB_ADDED_BY_USER;
	if (BPF_CORE_READ_BITFIELD_PROBED(info, is_local))
		flags |= FDB_LOCAL;
	if (bpf_core_field_exists(info->locked) && BPF_CORE_READ_BITFIELD_PROBED(info, locked))
		flags |= FDB_LOCKED;
	if (BPF_CORE_READ_BITFIELD_PROBED(info, offloaded))
		flags |= FDB_OFFLOADED;
	record->flags = flags;
	submit(record);
	return 0;
}

static __always_inline long read_vxlan_fdb(struct vxlan_fdb_info *copy, void *address)
{
	struct switchdev_notifier_vxlan_fdb_info *info = address;

	if (!bpf_core_type_exists(struct switchdev_notifier_vxlan_fdb_info))
		return bpf_probe_read_kernel(copy, sizeof(*copy), address);
	copy->remote_port = BPF_CORE_READ(info, remote_port);
	copy->remote_vni = BPF_CORE_READ(info, remote_vni);
	copy->remote_ifindex = BPF_CORE_READ(info, remote_ifindex);
	copy->vni = BPF_CORE_READ(info, vni);
	copy->offloaded = BPF_CORE_READ(info, offloaded);
	copy->added_by_user = BPF_CORE_READ(info, added_by_user);
	bpf_probe_read_kernel(copy->eth_addr, ETH_ALEN, __builtin_preserve_access_index(&info->eth_addr));
	return bpf_probe_read_kernel(&copy->remote_ip, sizeof(copy->remote_ip),
				     __builtin_preserve_access_index(&info->remote_ip));
}

static __always_inline int on_vxlan_fdb(enum notifier_event event, __u64 cookie, struct net_device *dev,
					void *address)
{
	struct vxlan_fdb_info info;
	struct vxlan_fdb_record *record;

	if (read_vxlan_fdb(&info, address))
		return 0;
	record = emit(vxlan_fdb_record, event, cookie, BPF_CORE_READ(dev, ifindex), info.remote_ip.family);
	if (!record)
		return 0;
	if (info.remote_ip.family == AF_INET)
		__builtin_memcpy(record->remote, &info.remote_ip.v4.address, 4);
	else
		__builtin_memcpy(record->remote, info.remote_ip.v6.address, 16);
	__builtin_memcpy(record->mac, info.eth_addr, ETH_ALEN);
	record->remote_port = bpf_ntohs(info.remote_port);
	record->vni = bpf_ntohl(info.vni);
	record->remote_vni = bpf_ntohl(info.remote_vni);
	record->remote_ifindex = info.remote_ifindex;
	record->flags = (info.added_by_user ? FDB_ADDED_BY_USER : 0) | (info.offloaded ? FDB_OFFLOADED : 0);
	submit(record);
	return 0;
}

static __always_inline int on_switchdev(unsigned long type, struct net_device *dev, void *info)
{
	enum notifier_event event = fdb_event_of(type);
	enum notifier_event vxlan = event ? 0 : vxlan_event_of(type);
	__u64 cookie;

	if (!event && !vxlan)
		return 0;
	cookie = device_cookie(dev);
	if (unwanted(cookie))
		return 0;
	return event ? on_fdb(event, cookie, dev, info) : on_vxlan_fdb(vxlan, cookie, dev, info);
}

/* Tracepoints. Entries that lead to the bridge itself have no port. */
static __always_inline int on_traced_fdb(enum notifier_event event, struct net_device *bridge,
					 struct net_device *port, const unsigned char *mac, __u16 vlan, __u16 state,
					 __u8 ndm_flags)
{
	struct net_device *dev = port ? port : bridge;
	__u64 cookie = device_cookie(dev);
	struct fdb_record *record;

	if (unwanted(cookie))
		return 0;
	record = emit(fdb_record, event, cookie, BPF_CORE_READ(dev, ifindex), 0);
	if (!record)
		return 0;
	bpf_probe_read_kernel(record->mac, ETH_ALEN, mac);
	record->vlan = vlan;
	record->bridge = bridge ? BPF_CORE_READ(bridge, ifindex) : 0;
	record->state = state;
	record->ndm_flags = ndm_flags;
	submit(record);
	return 0;
}

static __always_inline int on_bridge_fdb(enum notifier_event event, struct net_bridge *bridge,
					 struct net_bridge_port *port, const unsigned char *mac, __u16 vlan)
{
	struct net_device *dev = port ? BPF_CORE_READ(port, dev) : 0;

	return on_traced_fdb(event, BPF_CORE_READ(bridge, dev), dev, mac, vlan, 0, 0);
}

static __always_inline int on_fdb_added(struct ndmsg *message, struct net_device *dev, const unsigned char *mac,
					__u16 vlan)
{
	__u8 flags = BPF_CORE_READ(message, ndm_flags);

	/* These pass another tracepoint on their way. */
	if (flags & (NTF_USE | NTF_EXT_LEARNED))
		return 0;
	return on_traced_fdb(EVENT_FDB_ADD, 0, dev, mac, vlan, BPF_CORE_READ(message, ndm_state), flags);
}

static __always_inline int on_fdb_deleted(struct net_bridge *bridge, struct net_bridge_fdb_entry *entry)
{
	const unsigned char *mac = (void *)__builtin_preserve_access_index(&entry->key.addr);

	return on_bridge_fdb(EVENT_FDB_DELETE, bridge, BPF_CORE_READ(entry, dst), mac,
			     BPF_CORE_READ(entry, key.vlan_id));
}

#endif
