/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the kernel tells its drivers, as records in a ring buffer: routes, rules, nexthops, neighbours, links, forwarding
 * entries, bridge ports. host/kernel/notifier attaches each hook on the highest rung that the kernel grants.
 */
#include "notifier/kernel.h"
#include "notifier/record.h"
#include "notifier/emit.h"
#include "notifier/fdb.h"
#include "notifier/fib.h"
#include "notifier/link.h"
#include "notifier/neighbour.h"
#include "notifier/nexthop.h"
#include "notifier/port.h"
#include "notifier/rungs.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

BTF_KEEP(route_multipath_record);
BTF_KEEP(rule_record);
BTF_KEEP(fib_nexthop_record);
BTF_KEEP(nexthop_group_record);
BTF_KEEP(nexthop_bucket_record);
BTF_KEEP(neighbour_record);
BTF_KEEP(link_record);
BTF_KEEP(fdb_record);
BTF_KEEP(vxlan_fdb_record);
BTF_KEEP(port_object_record);
BTF_KEEP(port_attribute_record);
BTF_KEEP(bridge_port_record);

#define DEVICE(value) ((struct net_device *)(value))

#define CALL_FIB(argument) \
	on_fib((struct net *)argument(0), (__u32)argument(1), (struct fib_notifier_info *)argument(2))
ON_FUNCTION(fib, call_fib_notifiers, CALL_FIB)

#define CALL_NEXTHOP(argument) \
	on_nexthop((struct net *)argument(0), (__u32)argument(1), (struct nexthop *)argument(2))
ON_FUNCTION(nexthop, call_nexthop_notifiers, CALL_NEXTHOP)

#define CALL_BUCKET(argument)								\
	on_bucket((struct nh_res_table *)argument(0), (__u16)argument(1), (__u8)argument(2),	\
		  (__u8)argument(4))
ON_FUNCTION(bucket, nh_res_bucket_migrate, CALL_BUCKET)

#define CALL_NETEVENT(argument) on_netevent(argument(0), (void *)argument(1))
ON_FUNCTION(netevent, call_netevent_notifiers, CALL_NETEVENT)

#define CALL_LINK(argument) on_link(argument(0), (struct netdev_notifier_info *)argument(1))
ON_FUNCTION(link, call_netdevice_notifiers_info, CALL_LINK)

#define CALL_SWITCHDEV(argument) on_switchdev(argument(0), DEVICE(argument(1)), (void *)argument(2))
ON_FUNCTION(switchdev, call_switchdev_notifiers, CALL_SWITCHDEV)

#define CALL_OBJECT(event, argument) \
	on_port_object(event, DEVICE(argument(0)), (struct switchdev_obj *)argument(1))
#define CALL_OBJECT_ADD(argument) CALL_OBJECT(EVENT_PORT_OBJECT_ADD, argument)
#define CALL_OBJECT_DELETE(argument) CALL_OBJECT(EVENT_PORT_OBJECT_DELETE, argument)
ON_FUNCTION(object_add, switchdev_port_obj_add, CALL_OBJECT_ADD)
ON_FUNCTION(object_delete, switchdev_port_obj_del, CALL_OBJECT_DELETE)

#define CALL_ATTRIBUTE(argument) on_port_attribute(DEVICE(argument(0)), (struct switchdev_attr *)argument(1))
ON_FUNCTION(attribute, switchdev_port_attr_set, CALL_ATTRIBUTE)

#define CALL_OFFLOAD(argument)								\
	on_bridge_port(EVENT_BRIDGE_PORT_OFFLOAD, DEVICE(argument(0)), DEVICE(argument(1)),	\
		       (__u8)argument(5))
#define CALL_UNOFFLOAD(argument) on_bridge_port(EVENT_BRIDGE_PORT_UNOFFLOAD, DEVICE(argument(0)), 0, false)
ON_FUNCTION(offload, switchdev_bridge_port_offload, CALL_OFFLOAD)
ON_FUNCTION(unoffload, switchdev_bridge_port_unoffload, CALL_UNOFFLOAD)

/* After the change, and only if there was one. */
#define CALL_NEIGHBOUR_UPDATE(argument) \
	((int)argument(1) == 0 ? on_neighbour((struct neighbour *)argument(0)) : 0)
#define CALL_NEIGHBOUR(argument) on_neighbour((struct neighbour *)argument(0))
ON_TRACEPOINT(neighbour_update, neigh_update_done, CALL_NEIGHBOUR_UPDATE)
ON_TRACEPOINT(neighbour_timer, neigh_timer_handler, CALL_NEIGHBOUR)
ON_TRACEPOINT(neighbour_cleanup, neigh_cleanup_and_release, CALL_NEIGHBOUR)

#define CALL_FDB_ADD(argument)							\
	on_fdb_added((struct ndmsg *)argument(0), DEVICE(argument(1)),		\
		     (const unsigned char *)argument(2), (__u16)argument(3))
ON_TRACEPOINT(fdb_add, br_fdb_add, CALL_FDB_ADD)

#define CALL_BRIDGE_FDB(event, argument)						\
	on_bridge_fdb(event, (struct net_bridge *)argument(0), (struct net_bridge_port *)argument(1), \
		      (const unsigned char *)argument(2), (__u16)argument(3))
#define CALL_FDB_LEARN(argument) CALL_BRIDGE_FDB(EVENT_FDB_LEARN, argument)
#define CALL_FDB_EXTERNAL(argument) CALL_BRIDGE_FDB(EVENT_FDB_EXTERNAL_LEARN, argument)
ON_TRACEPOINT(fdb_learn, br_fdb_update, CALL_FDB_LEARN)
ON_TRACEPOINT(fdb_external, br_fdb_external_learn_add, CALL_FDB_EXTERNAL)

#define CALL_FDB_DELETE(argument) \
	on_fdb_deleted((struct net_bridge *)argument(0), (struct net_bridge_fdb_entry *)argument(1))
ON_TRACEPOINT(fdb_delete, fdb_delete, CALL_FDB_DELETE)
