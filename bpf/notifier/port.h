/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Bridge ports, as switchdev tells drivers of them: objects (VLAN, MDB, MRP), attributes, and who forwards. The blocking
 * notifier chain is inlined everywhere, so these are the functions before it (net/switchdev/switchdev.c).
 */
#ifndef EKHO_NOTIFIER_PORT_H
#define EKHO_NOTIFIER_PORT_H

#include "emit.h"

static __always_inline int on_port_object(enum notifier_event event, struct net_device *dev,
					  struct switchdev_obj *object)
{
	__u64 cookie = device_cookie(dev);
	struct port_object_record *record;
	__u32 id;

	if (unwanted(cookie))
		return 0;
	record = emit(port_object_record, event, cookie, BPF_CORE_READ(dev, ifindex), 0);
	if (!record)
		return 0;
	id = BPF_CORE_READ(object, id);
	record->orig = BPF_CORE_READ(object, orig_dev, ifindex);
	record->id = id;
	record->flags = BPF_CORE_READ(object, flags);
	if (id == kernel_value(switchdev_obj_id, SWITCHDEV_OBJ_ID_PORT_VLAN)) {
		struct switchdev_obj_port_vlan *vlan = (void *)object;

		record->vlan = BPF_CORE_READ(vlan, vid);
		record->vlan_flags = BPF_CORE_READ(vlan, flags);
		if (bpf_core_field_exists(vlan->changed))
			record->changed = BPF_CORE_READ(vlan, changed);
	} else if (id == kernel_value(switchdev_obj_id, SWITCHDEV_OBJ_ID_PORT_MDB) ||
		   id == kernel_value(switchdev_obj_id, SWITCHDEV_OBJ_ID_HOST_MDB)) {
		struct switchdev_obj_port_mdb *mdb = (void *)object;

		record->vlan = BPF_CORE_READ(mdb, vid);
		bpf_probe_read_kernel(record->mac, ETH_ALEN, __builtin_preserve_access_index(&mdb->addr));
	}
	submit(record);
	return 0;
}

#define is_attribute(name) (id == kernel_value(switchdev_attr_id, SWITCHDEV_ATTR_ID_##name))

static __always_inline void read_attribute(struct port_attribute_record *record, struct switchdev_attr *attr,
					   __u32 id)
{
	if (is_attribute(PORT_STP_STATE)) {
		record->value = BPF_CORE_READ(attr, u.stp_state);
	} else if (is_attribute(PORT_BRIDGE_FLAGS)) {
		record->value = BPF_CORE_READ(attr, u.brport_flags.val);
		record->mask = BPF_CORE_READ(attr, u.brport_flags.mask);
	} else if (is_attribute(PORT_MST_STATE)) {
		record->value = BPF_CORE_READ(attr, u.mst_state.state);
		record->mask = BPF_CORE_READ(attr, u.mst_state.msti);
	} else if (is_attribute(PORT_MROUTER) || is_attribute(BRIDGE_MROUTER)) {
		record->value = BPF_CORE_READ(attr, u.mrouter);
	} else if (is_attribute(BRIDGE_AGEING_TIME)) {
		record->value = BPF_CORE_READ(attr, u.ageing_time);
	} else if (is_attribute(BRIDGE_VLAN_FILTERING)) {
		record->value = BPF_CORE_READ(attr, u.vlan_filtering);
	} else if (is_attribute(BRIDGE_VLAN_PROTOCOL)) {
		record->value = BPF_CORE_READ(attr, u.vlan_protocol);
	} else if (is_attribute(BRIDGE_MC_DISABLED)) {
		record->value = BPF_CORE_READ(attr, u.mc_disabled);
	} else if (is_attribute(BRIDGE_MST)) {
		record->value = BPF_CORE_READ(attr, u.mst);
	} else if (is_attribute(MRP_PORT_ROLE)) {
		record->value = BPF_CORE_READ(attr, u.mrp_port_role);
	} else if (is_attribute(VLAN_MSTI)) {
		record->value = BPF_CORE_READ(attr, u.vlan_msti.msti);
		record->mask = BPF_CORE_READ(attr, u.vlan_msti.vid);
	}
}

static __always_inline int on_port_attribute(struct net_device *dev, struct switchdev_attr *attr)
{
	__u64 cookie = device_cookie(dev);
	struct port_attribute_record *record;
	__u32 id;

	if (unwanted(cookie))
		return 0;
	record = emit(port_attribute_record, EVENT_PORT_ATTRIBUTE_SET, cookie, BPF_CORE_READ(dev, ifindex), 0);
	if (!record)
		return 0;
	id = BPF_CORE_READ(attr, id);
	record->orig = BPF_CORE_READ(attr, orig_dev, ifindex);
	record->id = id;
	read_attribute(record, attr, id);
	submit(record);
	return 0;
}

static __always_inline int on_bridge_port(enum notifier_event event, struct net_device *port,
					  struct net_device *device, bool tx_forward)
{
	__u64 cookie = device_cookie(port);
	struct bridge_port_record *record;

	if (unwanted(cookie))
		return 0;
	record = emit(bridge_port_record, event, cookie, BPF_CORE_READ(port, ifindex), 0);
	if (!record)
		return 0;
	record->device = device ? BPF_CORE_READ(device, ifindex) : 0;
	record->tx_forward = tx_forward;
	submit(record);
	return 0;
}

#endif
