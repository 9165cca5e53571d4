/** Events of notifiers in the words of `ip` and `bridge`. */
import { expect, it } from 'vitest';
import { describeEvent, kindOfEvent } from '../../../host/iproute2/event.ts';
import { EVENTS, type EventName } from '../../../host/kernel/notifier/catalogue.ts';
import { HEADER, LAYOUTS } from '../../../host/kernel/notifier/layouts.ts';
import { type NotifierEvent, RecordView } from '../../../host/kernel/notifier/record.ts';
import { KINDS } from '../../../host/mirror/types.ts';

const context = { linkName: (ifindex: number) => ['lo', 'eth0', 'eth1', 'br0'][ifindex - 1] };

function say(event: EventName, payload: Readonly<Record<string, unknown>>): string {
  const all = {
    event,
    hook: EVENTS[event].hook,
    netns: 1n,
    ifindex: 0,
    time: 0n,
    cpu: 0,
    sequence: 1n,
    ...payload,
  };
  return describeEvent(all as NotifierEvent, context);
}

const gateway = (via: string, ifindex: number, weight = 1, nexthopId?: number) => ({
  via,
  ifindex,
  weight,
  flags: [],
  scope: 0,
  ...(nexthopId !== undefined && { nexthopId }),
});
const route = { family: 'inet', prefix: '203.0.113.0/24', table: 254, type: 'unicast', tos: 0, priority: 0 };

it.each([
  [
    'route-delete',
    { ...route, gateways: [gateway('10.0.0.2', 2)], gatewaysTotal: 1 },
    '203.0.113.0/24 via 10.0.0.2 dev eth0',
  ],
  [
    'route-replace',
    {
      ...route,
      prefix: '0.0.0.0/0',
      table: 100,
      priority: 5,
      gateways: [gateway('10.0.0.2', 2), gateway('10.1.0.2', 9, 3)],
      gatewaysTotal: 4,
    },
    'default nexthop via 10.0.0.2 dev eth0 nexthop via 10.1.0.2 dev if9 weight 3 (2 more) table 100 metric 5',
  ],
  [
    'route-replace',
    { ...route, family: 'inet6', prefix: '2001:db8::1/128', type: 'blackhole', nexthopId: 7, gateways: [] },
    'blackhole 2001:db8::1 nhid 7',
  ],
  [
    'rule-add',
    {
      family: 'inet',
      priority: 100,
      action: 'to_tbl',
      table: 100,
      from: '10.0.0.0/8',
      tos: 0,
      mark: 16,
      iif: 'eth0',
    },
    'pref 100 from 10.0.0.0/8 fwmark 0x10 iif eth0 lookup 100',
  ],
  [
    'rule-delete',
    { priority: 9, action: 'goto', target: 20, table: 0, tos: 0, mark: 0 },
    'pref 9 from all goto 20',
  ],
  ['nexthop-object-delete', { id: 1, gateways: [gateway('10.0.0.2', 2)] }, 'id 1 via 10.0.0.2 dev eth0'],
  [
    'nexthop-object-replace',
    {
      id: 10,
      group: true,
      resilient: true,
      gateways: [gateway('10.0.0.2', 2, 1, 1), gateway('10.1.0.2', 3, 2, 2)],
    },
    'id 10 group 1/2,2 type resilient',
  ],
  [
    'nexthop-bucket-replace',
    { id: 10, bucket: 3, oldNexthop: 1, newNexthop: 2 },
    'id 10 index 3 nhid 1 to 2',
  ],
  [
    'nexthop-delete',
    { gateway: { ...gateway('10.0.0.2', 2), flags: ['dead'] } },
    'via 10.0.0.2 dev eth0 dead',
  ],
  [
    'neighbour-update',
    {
      ifindex: 2,
      dst: '10.0.0.2',
      lladdr: '02:00:00:00:00:02',
      state: ['reachable'],
      flags: [],
      dead: false,
    },
    '10.0.0.2 dev eth0 lladdr 02:00:00:00:00:02 REACHABLE',
  ],
  [
    'neighbour-update',
    { ifindex: 2, dst: '10.0.0.2', state: ['failed'], flags: [], dead: true },
    '10.0.0.2 dev eth0 gone',
  ],
  [
    'link-change-upper',
    {
      ifindex: 2,
      name: 'eth0',
      mtu: 1500,
      operstate: 'up',
      upper: 4,
      upperName: 'br0',
      master: true,
      linking: true,
    },
    'eth0 mtu 1500 state UP joined master br0',
  ],
  [
    'fdb-add',
    { ifindex: 2, mac: '02:00:00:00:aa:01', vlan: 10, bridge: 4, flags: [] },
    '02:00:00:00:aa:01 dev eth0 vlan 10 master br0',
  ],
  [
    'vxlan-fdb-add-to-device',
    { ifindex: 3, mac: '02:00:00:00:aa:01', remote: '192.0.2.9', vni: 42, flags: [] },
    '02:00:00:00:aa:01 dev eth1 dst 192.0.2.9 vni 42',
  ],
  [
    'port-object-add',
    { ifindex: 2, object: 'port-vlan', vlan: 10, vlanFlags: ['pvid', 'untagged'], mac: '00:00:00:00:00:00' },
    'port-vlan dev eth0 vid 10 pvid untagged',
  ],
  [
    'port-attribute-set',
    { ifindex: 2, attribute: 'stp-state', value: 3, mask: 0 },
    'stp-state dev eth0 value 3',
  ],
  ['bridge-port-offload', { ifindex: 2, device: 3, txForward: false }, 'dev eth0 by eth1'],
] as const)('%s %j', (event, payload, text) => {
  expect(say(event, payload)).toBe(text);
});

it('every event has words and a kind', () => {
  for (const event of Object.keys(EVENTS) as EventName[]) {
    expect(KINDS).toContain(kindOfEvent(event));
    // A record of zeros, as the kernel's programs could send it.
    const { size } = LAYOUTS[EVENTS[event].layout];
    const data = new DataView(new ArrayBuffer(size));
    data.setUint32(HEADER.fields.get('event')!.offset, EVENTS[event].number, true);
    const view = new RecordView();
    view.bind(data, 0, size);
    // 0 of objects and attributes is called so: SWITCHDEV_OBJ_ID_UNDEFINED, SWITCHDEV_ATTR_ID_UNDEFINED.
    const text = describeEvent(view.toEvent(), context).replace(/^undefined/, '');
    expect(text, event).not.toMatch(/undefined|NaN|null|object/i);
  }
});
