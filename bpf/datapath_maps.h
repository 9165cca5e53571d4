/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The data path's tables, whose rows are in plugins/include/datapath.h, and those that the device keeps itself. Sizes here are the
 * least: the device sets them before it loads.
 */
#ifndef DATAPATH_MAPS_H
#define DATAPATH_MAPS_H

typedef __u32 uint32_t;
typedef __u64 uint64_t;

#include "../plugins/include/datapath.h"
#include "datapath_reasons.h"

#define SLOTS(name, value_type)				\
	struct {					\
		__uint(type, BPF_MAP_TYPE_ARRAY);	\
		__uint(max_entries, 1);			\
		__type(key, __u32);			\
		__type(value, value_type);		\
	} name SEC(".maps")

/* Counted per CPU without atomic instructions; one in a software interrupt is not interrupted by another. */
#define COUNTS(name)					\
	struct {					\
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);\
		__uint(max_entries, 1);			\
		__type(key, __u32);			\
		__type(value, struct dp_count);		\
	} name SEC(".maps")

#define CONTENT(name, map_type, key_type, value_type)	\
	struct {					\
		__uint(type, map_type);			\
		__uint(max_entries, 1);			\
		__uint(map_flags, BPF_F_NO_PREALLOC);	\
		__type(key, key_type);			\
		__type(value, value_type);		\
	} name SEC(".maps")

SLOTS(ports, struct dp_port);
SLOTS(interfaces, struct dp_interface);
SLOTS(nexthops, struct dp_nexthop);
SLOTS(groups, struct dp_group);
CONTENT(interfaces_at, BPF_MAP_TYPE_HASH, struct dp_interface_key, struct dp_interface_at);
CONTENT(routes4, BPF_MAP_TYPE_LPM_TRIE, struct dp_route4_key, struct dp_route);
CONTENT(routes6, BPF_MAP_TYPE_LPM_TRIE, struct dp_route6_key, struct dp_route);
CONTENT(vlans, BPF_MAP_TYPE_HASH, struct dp_vlan_key, struct dp_vlan);
CONTENT(fdb_entries, BPF_MAP_TYPE_HASH, struct dp_fdb_key, struct dp_fdb);
CONTENT(flows, BPF_MAP_TYPE_HASH, struct dp_flow_key, struct dp_flow);
SLOTS(tunnels, struct dp_tunnel);
CONTENT(tunnels_at, BPF_MAP_TYPE_HASH, struct dp_tunnel_key, struct dp_tunnel_at);
CONTENT(remotes, BPF_MAP_TYPE_HASH, struct dp_fdb_key, struct dp_remote);
CONTENT(multicast_groups, BPF_MAP_TYPE_HASH, struct dp_multicast_key, struct dp_multicast);
SLOTS(acl_rules, struct dp_acl_rule);
SLOTS(acl_masks, struct dp_acl_mask);
CONTENT(acl_keys, BPF_MAP_TYPE_HASH, struct dp_acl_key, struct dp_acl);
SLOTS(acl_edits, struct dp_edit);
SLOTS(acl_buckets, struct dp_bucket);
SLOTS(acl_state, struct dp_acl_state);
CONTENT(meters, BPF_MAP_TYPE_LPM_TRIE, struct dp_meter_key, struct dp_meter);
SLOTS(samples, struct dp_sample);
SLOTS(custom_state, struct dp_custom_state);
SLOTS(meter_states, struct dp_meter_state);

COUNTS(port_counts);
COUNTS(nexthop_counts);
COUNTS(route_counts);
COUNTS(fdb_counts);
COUNTS(acl_counts);
/* Of these, what rules' rates dropped. */
COUNTS(acl_drops);
COUNTS(flow_counts);
COUNTS(custom_counts);

/* Frames that were chosen, for the host: struct sample. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} sample_ring SEC(".maps");

/* Frames that were chosen when the ring was full. */
COUNTS(sample_lost);
COUNTS(tunnel_counts);
COUNTS(remote_counts);
COUNTS(multicast_counts);

/* By reason: frames and bytes that went to the kernel. */
COUNTS(reason_counts);

/* Which port a frame came in by, by interface index. */
CONTENT(ports_at, BPF_MAP_TYPE_HASH, __u32, __u32);

/* The same for most of them, in less time: by interface index modulo NEAR_PORTS; the interface index in the upper half, the port in the lower. */
#define NEAR_PORTS 1024
SLOTS(ports_near, __u64);

/* What `interfaces_at` has of frames without a tag, by port: 0 for none, else the interface plus one. */
SLOTS(interfaces_untagged, __u32);

/* Where frames leave, by index of the port. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} devices SEC(".maps");

/*
 * Rows of `routes4` once more, to be found by few reads: datapath_fib.h. The device writes them as memory, a word at a time. Entries by chunk and
 * the next byte of the address, what covers a chunk, and the first chunk of a VRF.
 */
#define ROUTE_CHUNK 256
#define ROUTE_ROOTS 256
#define WORDS(name)					\
	struct {					\
		__uint(type, BPF_MAP_TYPE_ARRAY);	\
		__uint(max_entries, 1);			\
		__uint(map_flags, BPF_F_MMAPABLE);	\
		__type(key, __u32);			\
		__type(value, __u64);			\
	} name SEC(".maps")
WORDS(route_strides);
WORDS(route_covers);
WORDS(route_roots);

/* How a port is attached, by index: flags. */
enum {
	MODE_NATIVE = 1 << 0,
	/* Its driver sends frames that another port's native mode redirects to it. */
	MODE_TAKES_FRAMES = 1 << 1,
	/* Frames may arrive whose TCP or UDP checksum is still to be filled in. */
	MODE_PARTIAL_CHECKSUMS = 1 << 2,
	/* Not XDP but tcx, where a frame can leave by several ports. */
	MODE_TCX = 1 << 3,
	/* Of no flow. */
	MODE_PAST_FLOWS = 1 << 7,
	/* In lookups: the packet has no source, so checks of it are not made. */
	MODE_NO_SOURCE = 1 << 8,
	/* In lookups: nothing is written down. */
	MODE_LOOKUP = 1 << 9,
};
SLOTS(port_modes, __u32);

/* Settings of the device: whether ports choose the member of a group, bit 0 for IPv4, bit 1 for IPv6. */
__u32 hash_ports = 0;

/* When its host was last there, as it says every second: bpf_ktime_get_ns(). */
__u64 host_seen = 0;

#endif
