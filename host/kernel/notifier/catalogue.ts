/**
 * The hooks and events there are: on what each stands, rung by rung, and what it gives. The ladder attaches by it, records are
 * decoded by it, and docs/notifiers.md is made from it.
 */

import type { LayoutName } from './layouts.ts';

/** The ladder, from the top. */
export const RUNGS = ['fentry', 'kprobe', 'tp_btf', 'raw_tp', 'none'] as const;
export type Rung = (typeof RUNGS)[number];

interface EventEntry {
  /** enum notifier_event in bpf/notifier/record.h */
  readonly number: number;
  readonly layout: LayoutName;
  readonly hook: string;
  /** When the kernel says it. */
  readonly what: string;
}

function event(number: number, layout: LayoutName, hook: string, what: string): EventEntry {
  return { number, layout, hook, what };
}

export const EVENTS = {
  'route-replace': event(
    1,
    'route',
    'fib',
    'A route is the first of its prefix and table now (highest TOS, then lowest metric): new, or instead of another.',
  ),
  'route-append': event(2, 'route', 'fib', 'Gateways joined an IPv6 multipath route.'),
  'route-add': event(3, 'route', 'fib', 'FIB_EVENT_ENTRY_ADD: multicast routing of older kernels.'),
  'route-delete': event(
    4,
    'route',
    'fib',
    'The last route of a prefix and table is gone, or gateways of an IPv6 multipath route.',
  ),
  'rule-add': event(5, 'rule', 'fib', 'A policy routing rule was added.'),
  'rule-delete': event(6, 'rule', 'fib', 'A policy routing rule was deleted.'),
  'nexthop-add': event(7, 'fibNexthop', 'fib', 'A gateway of an IPv4 route came alive (link up, carrier).'),
  'nexthop-delete': event(8, 'fibNexthop', 'fib', 'A gateway of an IPv4 route died (link down, no carrier).'),
  'nexthop-object-replace': event(
    9,
    'nexthop',
    'nexthop',
    'A nexthop object or group is about to be made or changed.',
  ),
  'nexthop-object-delete': event(10, 'nexthop', 'nexthop', 'A nexthop object or group is being deleted.'),
  'nexthop-bucket-replace': event(
    11,
    'bucket',
    'nexthop-bucket',
    'A bucket of a resilient group is about to go to another nexthop.',
  ),
  'neighbour-update': event(
    12,
    'neighbour',
    'neighbour',
    'The state or address of a neighbour changed, or it is gone (dead).',
  ),
  'link-up': event(13, 'link', 'link', 'NETDEV_UP'),
  'link-down': event(14, 'link', 'link', 'NETDEV_DOWN'),
  'link-change': event(15, 'link', 'link', 'NETDEV_CHANGE: flags or carrier.'),
  'link-register': event(16, 'link', 'link', 'NETDEV_REGISTER: made, or moved into the namespace.'),
  'link-unregister': event(17, 'link', 'link', 'NETDEV_UNREGISTER: deleted, or moved away.'),
  'link-change-mtu': event(18, 'link', 'link', 'NETDEV_CHANGEMTU'),
  'link-change-address': event(19, 'link', 'link', 'NETDEV_CHANGEADDR'),
  'link-change-name': event(20, 'link', 'link', 'NETDEV_CHANGENAME'),
  'link-change-upper': event(
    21,
    'link',
    'link',
    'NETDEV_CHANGEUPPER: a master or a link on top was joined or left.',
  ),
  'fdb-add-to-bridge': event(22, 'fdb', 'fdb', 'A driver learned a MAC.'),
  'fdb-delete-to-bridge': event(23, 'fdb', 'fdb', 'A driver lost a MAC.'),
  'fdb-add-to-device': event(
    24,
    'fdb',
    'fdb',
    'A bridge has a new or changed entry, which drivers are told.',
  ),
  'fdb-delete-to-device': event(25, 'fdb', 'fdb', 'A bridge lost an entry, which drivers are told.'),
  'fdb-offloaded': event(26, 'fdb', 'fdb', 'A driver has an entry in hardware, or no longer.'),
  'fdb-flush': event(27, 'fdb', 'fdb', 'A driver lost all entries of a port.'),
  'fdb-add': event(28, 'fdb', 'fdb', 'A user asked to add or change an entry.'),
  'fdb-learn': event(29, 'fdb', 'fdb', 'A bridge learned a MAC or saw it move.'),
  'fdb-external-learn': event(30, 'fdb', 'fdb', 'An entry was learned outside of the kernel.'),
  'fdb-delete': event(31, 'fdb', 'fdb', 'An entry was deleted or aged.'),
  'vxlan-fdb-add-to-bridge': event(32, 'vxlanFdb', 'vxlan-fdb', 'A driver learned a remote.'),
  'vxlan-fdb-delete-to-bridge': event(33, 'vxlanFdb', 'vxlan-fdb', 'A driver lost a remote.'),
  'vxlan-fdb-add-to-device': event(34, 'vxlanFdb', 'vxlan-fdb', 'A VXLAN link has a new remote of a MAC.'),
  'vxlan-fdb-delete-to-device': event(35, 'vxlanFdb', 'vxlan-fdb', 'A VXLAN link lost a remote of a MAC.'),
  'vxlan-fdb-offloaded': event(
    36,
    'vxlanFdb',
    'vxlan-fdb',
    'A driver has a remote in hardware, or no longer.',
  ),
  'port-object-add': event(
    37,
    'portObject',
    'switchdev-object',
    'A VLAN, multicast group or MRP instance is to be added to a port.',
  ),
  'port-object-delete': event(38, 'portObject', 'switchdev-object', 'It is to be removed from a port.'),
  'port-attribute-set': event(
    39,
    'portAttribute',
    'switchdev-attr',
    'STP state, flags, ageing time, VLAN filtering, … of a port or bridge is to be set.',
  ),
  'bridge-port-offload': event(
    40,
    'bridgePort',
    'bridge-port',
    'A driver forwards for a bridge port from now on.',
  ),
  'bridge-port-unoffload': event(
    41,
    'bridgePort',
    'bridge-port',
    'A driver no longer forwards for a bridge port.',
  ),
} as const satisfies Record<string, EventEntry>;

export type EventName = keyof typeof EVENTS;

/** A BPF program: `NAME_RUNG` in bpf/notifier.bpf.c. */
export interface ProgramEntry {
  readonly name: string;
  /** The kernel's function or tracepoint. */
  readonly target: string;
  readonly events: readonly EventName[];
}

export interface HookEntry {
  readonly name: string;
  readonly what: string;
  /** What fentry and kprobe stand on. A rung is taken only if all its programs attach. */
  readonly functions: readonly ProgramEntry[];
  /** What tp_btf and raw_tp stand on; empty where the kernel has no such tracepoint. */
  readonly tracepoints: readonly ProgramEntry[];
  /** Kernel option without which there is no such function. */
  readonly option?: string;
}

const FDB_EVENTS = [
  'fdb-add-to-device',
  'fdb-delete-to-device',
  'fdb-add-to-bridge',
  'fdb-delete-to-bridge',
  'fdb-offloaded',
  'fdb-flush',
] as const;

const SWITCHDEV = 'CONFIG_NET_SWITCHDEV';

function on(name: string, target: string, events: readonly EventName[]): ProgramEntry {
  return { name, target, events };
}

function eventsOf(hook: string): EventName[] {
  return (Object.keys(EVENTS) as EventName[]).filter((name) => EVENTS[name].hook === hook);
}

export const HOOKS: readonly HookEntry[] = [
  {
    name: 'fib',
    what: 'routes, rules and the gateways of routes',
    functions: [on('fib', 'call_fib_notifiers', eventsOf('fib'))],
    tracepoints: [],
  },
  {
    name: 'nexthop',
    what: 'nexthop objects',
    functions: [on('nexthop', 'call_nexthop_notifiers', eventsOf('nexthop'))],
    tracepoints: [],
  },
  {
    name: 'nexthop-bucket',
    what: 'buckets of resilient nexthop groups',
    functions: [on('bucket', 'nh_res_bucket_migrate', eventsOf('nexthop-bucket'))],
    tracepoints: [],
  },
  {
    name: 'neighbour',
    what: 'neighbours',
    functions: [on('netevent', 'call_netevent_notifiers', ['neighbour-update'])],
    tracepoints: [
      on('neighbour_update', 'neigh_update_done', ['neighbour-update']),
      on('neighbour_timer', 'neigh_timer_handler', ['neighbour-update']),
      on('neighbour_cleanup', 'neigh_cleanup_and_release', ['neighbour-update']),
    ],
  },
  {
    name: 'link',
    what: 'links',
    functions: [on('link', 'call_netdevice_notifiers_info', eventsOf('link'))],
    tracepoints: [],
  },
  {
    name: 'fdb',
    what: 'forwarding entries of bridges',
    functions: [on('switchdev', 'call_switchdev_notifiers', FDB_EVENTS)],
    tracepoints: [
      on('fdb_add', 'br_fdb_add', ['fdb-add']),
      on('fdb_learn', 'br_fdb_update', ['fdb-learn']),
      on('fdb_external', 'br_fdb_external_learn_add', ['fdb-external-learn']),
      on('fdb_delete', 'fdb_delete', ['fdb-delete']),
    ],
    option: SWITCHDEV,
  },
  {
    name: 'vxlan-fdb',
    what: 'forwarding entries of VXLAN links',
    functions: [on('switchdev', 'call_switchdev_notifiers', eventsOf('vxlan-fdb'))],
    tracepoints: [],
    option: SWITCHDEV,
  },
  {
    name: 'switchdev-object',
    what: 'VLANs, multicast groups and MRP instances of bridge ports',
    functions: [
      on('object_add', 'switchdev_port_obj_add', ['port-object-add']),
      on('object_delete', 'switchdev_port_obj_del', ['port-object-delete']),
    ],
    tracepoints: [],
    option: SWITCHDEV,
  },
  {
    name: 'switchdev-attr',
    what: 'attributes of bridges and their ports',
    functions: [on('attribute', 'switchdev_port_attr_set', ['port-attribute-set'])],
    tracepoints: [],
    option: SWITCHDEV,
  },
  {
    name: 'bridge-port',
    what: 'bridge ports that drivers forward for',
    functions: [
      on('offload', 'switchdev_bridge_port_offload', ['bridge-port-offload']),
      on('unoffload', 'switchdev_bridge_port_unoffload', ['bridge-port-unoffload']),
    ],
    tracepoints: [],
    option: SWITCHDEV,
  },
];

/** Events by number. */
export const BY_NUMBER: readonly (EventName | undefined)[] = (() => {
  const names: (EventName | undefined)[] = [];
  for (const name of Object.keys(EVENTS) as EventName[]) names[EVENTS[name].number] = name;
  return names;
})();

/** The programs of a hook on a rung. */
export function programsOn(hook: HookEntry, rung: Rung): readonly ProgramEntry[] {
  if (rung === 'fentry' || rung === 'kprobe') return hook.functions;
  return rung === 'none' ? [] : hook.tracepoints;
}

/** The name of a program's BPF function on a rung. */
export function programName(program: ProgramEntry, rung: Rung): string {
  return `${program.name}_${rung}`;
}
