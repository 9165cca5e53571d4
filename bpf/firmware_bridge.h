/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What bridges want of a port. User space has all of it from netlink and is told of calls only to see them: what decides is
 * whether the device takes such things at all.
 */
#ifndef FIRMWARE_BRIDGE_H
#define FIRMWARE_BRIDGE_H

enum firmware_bridge_call {
	FIRMWARE_FDB_REPLACE = 1,
	FIRMWARE_FDB_DESTROY,
	FIRMWARE_VLAN_REPLACE,
	FIRMWARE_VLAN_DESTROY,
	FIRMWARE_MDB_REPLACE,
	FIRMWARE_MDB_DESTROY,
	FIRMWARE_PORT_ATTR,
};

/* As struct firmware_record begins. */
struct firmware_bridge_record {
	__u64 unused[2];
	/* FIRMWARE_BRIDGE */
	__u32 event;
	/* enum firmware_bridge_call */
	__u32 call;
	struct ekho_bridge_ctx context;
};
BTF_KEEP(firmware_bridge_record);

/* Bit n for call n of enum firmware_bridge_call that asks; user space sets it. */
__u32 can_bridge = 0;

static __always_inline void tell_bridge(struct ekho_bridge_ctx *bridge, __u32 call)
{
	struct firmware_bridge_record *record = ringbuf_reserve(events, sizeof(*record));

	if (!record)
		return;
	record->unused[0] = 0;
	record->unused[1] = 0;
	record->event = FIRMWARE_BRIDGE;
	record->call = call;
	bpf_probe_read_kernel(&record->context, sizeof(record->context), bridge);
	bpf_ringbuf_submit(record, 0);
}

/* Those of IPv6 are not planned. */
static __always_inline bool is_planned_group(const struct firmware_port *port, const struct ekho_bridge_ctx *bridge)
{
	if (!(port->flags & FIRMWARE_PORT_GROUPS) || bridge->flags & EKHO_BRIDGE_HOST)
		return false;
	return bridge->mac[0] != 0x33 || bridge->mac[1] != 0x33;
}

/*
 * Entries of a plugin's port are accepted without a mark: the planner knows when the plugin has them, and marks them then. VLANs
 * and attributes are a part of its plan. Of groups the kernel takes no later word: they are marked where the planner takes them.
 */
static __always_inline int bridge_by_port(const struct ekho_bridge_ctx *bridge, __u32 call)
{
	__u32 ifindex = bridge->ifindex;
	const struct firmware_port *port = bpf_map_lookup_elem(&ports, &ifindex);

	if (!port || !(port->flags & FIRMWARE_PORT_BRIDGES))
		return -EOPNOTSUPP;
	switch (call) {
	case FIRMWARE_FDB_REPLACE:
		return -EINPROGRESS;
	case FIRMWARE_VLAN_REPLACE:
	case FIRMWARE_PORT_ATTR:
		return 0;
	case FIRMWARE_MDB_REPLACE:
		return is_planned_group(port, bridge) ? 0 : -EOPNOTSUPP;
	default:
		return -EOPNOTSUPP;
	}
}

static __always_inline int ask_bridge(struct ekho_bridge_ctx *bridge, __u32 call)
{
	if (by_port)
		return bridge_by_port(bridge, call);
	if (!(can_bridge & (1u << call)))
		return -EOPNOTSUPP;
	tell_bridge(bridge, call);
	return 0;
}

static __always_inline int end_bridge(struct ekho_bridge_ctx *bridge, __u32 call)
{
	if (!by_port)
		tell_bridge(bridge, call);
	return 0;
}

SEC("struct_ops.s/fdb_replace")
int BPF_PROG(fdb_replace, struct ekho_bridge_ctx *bridge)
{
	return ask_bridge(bridge, FIRMWARE_FDB_REPLACE);
}

SEC("struct_ops.s/fdb_destroy")
int BPF_PROG(fdb_destroy, struct ekho_bridge_ctx *bridge)
{
	return end_bridge(bridge, FIRMWARE_FDB_DESTROY);
}

SEC("struct_ops.s/vlan_replace")
int BPF_PROG(vlan_replace, struct ekho_bridge_ctx *bridge)
{
	return ask_bridge(bridge, FIRMWARE_VLAN_REPLACE);
}

SEC("struct_ops.s/vlan_destroy")
int BPF_PROG(vlan_destroy, struct ekho_bridge_ctx *bridge)
{
	return end_bridge(bridge, FIRMWARE_VLAN_DESTROY);
}

SEC("struct_ops.s/mdb_replace")
int BPF_PROG(mdb_replace, struct ekho_bridge_ctx *bridge)
{
	return ask_bridge(bridge, FIRMWARE_MDB_REPLACE);
}

SEC("struct_ops.s/mdb_destroy")
int BPF_PROG(mdb_destroy, struct ekho_bridge_ctx *bridge)
{
	return end_bridge(bridge, FIRMWARE_MDB_DESTROY);
}

SEC("struct_ops.s/port_attr")
int BPF_PROG(port_attr, struct ekho_bridge_ctx *bridge)
{
	return ask_bridge(bridge, FIRMWARE_PORT_ATTR);
}

#endif
