/** Records of the notifiers from bytes: what they say, and that malformed ones are an error with a code. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EVENTS, type EventName } from '../../../host/kernel/notifier/catalogue.ts';
import {
  GATEWAY,
  GATEWAYS_MAX,
  HEADER,
  LAYOUTS,
  type Layout,
} from '../../../host/kernel/notifier/layouts.ts';
import { RecordView } from '../../../host/kernel/notifier/record.ts';

type Values = Readonly<Record<string, number | bigint | readonly number[]>>;

/** A record of an event with these members; everything else is zero. `room`: bytes behind the smallest record. */
function encode(event: EventName, header: Values, values: Values, room = 0): DataView {
  const layout: Layout = LAYOUTS[EVENTS[event].layout];
  const view = new DataView(new ArrayBuffer(layout.size + room));
  const write = (fields: Layout['fields'], name: string, value: Values[string]) => {
    const { offset, type } = fields.get(name)!;
    if (Array.isArray(value)) new Uint8Array(view.buffer).set(value, offset);
    else if (type === 'u64') view.setBigUint64(offset, BigInt(value as number | bigint), true);
    else if (type === 'u8') view.setUint8(offset, Number(value));
    else if (type === 'u16') view.setUint16(offset, Number(value), true);
    else view.setInt32(offset, Number(value), true);
  };
  write(HEADER.fields, 'event', EVENTS[event].number);
  for (const [name, value] of Object.entries(header)) write(HEADER.fields, name, value);
  for (const [name, value] of Object.entries(values)) write(layout.fields, name, value);
  return view;
}

function gateway(
  view: DataView,
  offset: number,
  bytes: readonly number[],
  family: number,
  numbers: Values,
): void {
  new Uint8Array(view.buffer).set(bytes, offset);
  view.setUint8(offset + GATEWAY.fields.get('family')!.offset, family);
  for (const [name, value] of Object.entries(numbers)) {
    const at = offset + GATEWAY.fields.get(name)!.offset;
    if (name === 'flags' || name === 'encap' || name === 'scope') view.setUint8(at, Number(value));
    else view.setUint32(at, Number(value), true);
  }
}

function decode(view: DataView) {
  const record = new RecordView();
  record.bind(view, 0, view.byteLength);
  return record;
}

const HEADER_VALUES = { time: 123_456_789_012n, netns: 4096n, sequence: 7n, cpu: 3, ifindex: 5 };
const HEADER_EVENT = { time: 123_456_789_012n, netns: 4096n, sequence: 7n, cpu: 3, ifindex: 5 };

describe('events', () => {
  test('a route with two gateways', () => {
    const view = encode(
      'route-replace',
      { ...HEADER_VALUES, family: 2 },
      {
        dst: [10, 1, 0, 0],
        dst_len: 16,
        prefsrc: [10, 0, 0, 1],
        table: 254,
        priority: 20,
        nexthop_id: 9,
        tos: 8,
        type: 1,
        protocol: 4,
        total: 40,
        count: 2,
      },
      GATEWAY.end,
    );
    const start = LAYOUTS.route.size - GATEWAY.end;
    gateway(view, start, [10, 0, 0, 2], 2, { ifindex: 5, weight: 1, flags: 17, scope: 253 });
    gateway(view, start + GATEWAY.end, [0x20, 1, 0xd, 0xb8], 10, {
      ifindex: 6,
      weight: 200,
      nexthop_id: 3,
      encap: 1,
    });
    const record = decode(view);
    expect(record.toEvent()).toEqual({
      event: 'route-replace',
      hook: 'fib',
      ...HEADER_EVENT,
      family: 'inet',
      prefix: '10.1.0.0/16',
      table: 254,
      tos: 8,
      type: 'unicast',
      priority: 20,
      protocol: 4,
      scope: 0,
      flags: 0,
      preferredSource: '10.0.0.1',
      nexthopId: 9,
      gateways: [
        { via: '10.0.0.2', ifindex: 5, weight: 1, flags: ['dead', 'linkdown'], scope: 253 },
        { via: '2001:db8::', ifindex: 6, weight: 200, flags: [], scope: 0, nexthopId: 3, encap: 'mpls' },
      ],
      gatewaysTotal: 40,
    });
    expect(record).toMatchObject({ type: 1, family: 2, ifindex: 5, cpu: 3, hook: 'fib' });
    expect([record.number('table'), record.number('dst_len'), record.number('vlan')]).toEqual([254, 16, 0]);
  });

  test('an IPv6 rule', () => {
    const view = encode(
      'rule-add',
      { ...HEADER_VALUES, family: 10, ifindex: 0 },
      {
        src: [0x20, 1, 0xd, 0xb8],
        src_len: 32,
        iif: [...Buffer.from('eth0')],
        tun_id: 2n ** 60n,
        table: 100,
        priority: 32_000,
        action: 1,
        suppress_ifgroup: -1,
        suppress_prefixlen: 0,
        uid_start: 1000,
        uid_end: 2000,
        dport_start: 80,
        dport_end: 443,
      },
    );
    expect(decode(view).toEvent()).toEqual({
      event: 'rule-add',
      hook: 'fib',
      ...HEADER_EVENT,
      ifindex: 0,
      family: 'inet6',
      priority: 32_000,
      action: 'to_tbl',
      table: 100,
      from: '2001:db8::/32',
      tos: 0,
      iif: 'eth0',
      mark: 0,
      markMask: 0,
      l3mdev: false,
      protocol: 0,
      destinationPorts: [80, 443],
      uids: [1000, 2000],
      tunnelId: (2n ** 60n).toString(),
      suppressPrefixLength: 0,
      flags: 0,
    });
  });

  test('a forwarding entry, a VXLAN remote, a VLAN, a group, an attribute', () => {
    const fdb = encode('fdb-flush', HEADER_VALUES, { mac: [2, 0, 0, 0, 0, 1], vlan: 7, flags: 13 });
    expect(decode(fdb).toEvent()).toMatchObject({
      event: 'fdb-flush',
      mac: '02:00:00:00:00:01',
      vlan: 7,
      flags: ['added_by_user', 'locked', 'offloaded'],
    });
    const vxlan = encode(
      'vxlan-fdb-offloaded',
      { ...HEADER_VALUES, family: 10 },
      { remote: [0xfe, 0x80], mac: [2, 0, 0, 0, 0, 1], remote_port: 4789, vni: 77, flags: 8 },
    );
    expect(decode(vxlan).toEvent()).toMatchObject({ remote: 'fe80::', vni: 77, flags: ['offloaded'] });
    const vlan = encode('port-object-add', HEADER_VALUES, { orig: 5, id: 1, vlan: 10, vlan_flags: 6 });
    expect(decode(vlan).toEvent()).toMatchObject({
      object: 'vlan',
      vlan: 10,
      vlanFlags: ['pvid', 'untagged'],
    });
    expect(decode(vlan).toEvent()).not.toHaveProperty('mac');
    const group = encode('port-object-delete', HEADER_VALUES, { id: 3, mac: [1, 0, 0x5e, 0, 0, 5] });
    expect(decode(group).toEvent()).toMatchObject({ object: 'host-mdb', mac: '01:00:5e:00:00:05' });
    const mrp = encode('port-object-add', HEADER_VALUES, { id: 6 });
    expect(decode(mrp).toEvent()).toMatchObject({ object: 'mrp-ring-role' });
    const attribute = encode('port-attribute-set', HEADER_VALUES, { id: 3, value: 0x40n, mask: 0x60n });
    expect(decode(attribute).toEvent()).toMatchObject({ attribute: 'bridge-flags', value: 64, mask: 96 });
    const newer = encode('port-attribute-set', HEADER_VALUES, { id: 200 });
    expect(decode(newer).toEvent()).toMatchObject({ attribute: 200 });
    const port = encode('bridge-port-offload', HEADER_VALUES, { device: 9, tx_forward: 1 });
    expect(decode(port).toEvent()).toMatchObject({ device: 9, txForward: true });
  });

  test('neighbours and links', () => {
    const neighbour = encode(
      'neighbour-update',
      { ...HEADER_VALUES, family: 2 },
      {
        dst: [10, 0, 0, 9],
        lladdr: [2, 0, 0, 0, 0, 9],
        lladdr_length: 6,
        dst_length: 4,
        state: 0x82,
        flags: 0x110,
      },
    );
    expect(decode(neighbour).toEvent()).toMatchObject({
      dst: '10.0.0.9',
      lladdr: '02:00:00:00:00:09',
      state: ['reachable', 'permanent'],
      flags: ['extern_learn', 'managed'],
      dead: false,
    });
    const name = [...Buffer.from('fifteen-letters')];
    const link = encode('link-change-upper', HEADER_VALUES, {
      name,
      upper: 12,
      upper_name: [...Buffer.from('br0')],
      master: 1,
      linking: 0,
      operstate: 6,
      flags: 0x1043,
    });
    expect(decode(link).toEvent()).toMatchObject({
      name: 'fifteen-letters',
      upper: 12,
      upperName: 'br0',
      master: true,
      linking: false,
      operstate: 'up',
    });
  });
});

describe('malformed records', () => {
  const refusal = (view: DataView, length = view.byteLength) => {
    try {
      new RecordView().bind(view, 0, length);
    } catch (error) {
      return (error as { code: string; message: string }).message;
    }
    return undefined;
  };

  test('are refused with a code', () => {
    const route = encode('route-add', HEADER_VALUES, { count: 1 });
    expect(refusal(route)).toBeUndefined();
    expect(() => new RecordView().bind(route, 0, HEADER.end - 1)).toThrowError(
      expect.objectContaining({ code: 'E_DECODE' }),
    );
    expect(refusal(route, route.byteLength - 1)).toContain('instead of');
    const unknown = encode('route-add', HEADER_VALUES, {});
    unknown.setUint32(HEADER.fields.get('event')!.offset, 4_000_000_000, true);
    expect(refusal(unknown)).toContain('unknown event 4000000000');
    unknown.setUint32(HEADER.fields.get('event')!.offset, 0, true);
    expect(refusal(unknown)).toContain('unknown event 0');
    expect(refusal(encode('route-add', HEADER_VALUES, { count: 2 }))).toContain('claims 2 gateways');
    const many = encode('route-add', HEADER_VALUES, { count: GATEWAYS_MAX + 1 }, GATEWAY.end * GATEWAYS_MAX);
    expect(refusal(many)).toContain('gateways');
    expect(refusal(encode('neighbour-update', HEADER_VALUES, { lladdr_length: 33 }))).toContain(
      'lladdr_length',
    );
    expect(refusal(encode('link-up', HEADER_VALUES, { address_length: 255 }))).toContain('address_length');
  });

  test('a view stays where it was', () => {
    const record = decode(encode('link-up', HEADER_VALUES, {}));
    expect(() => record.bind(new DataView(new ArrayBuffer(8)), 0, 8)).toThrow();
    expect(record.event).toBe('link-up');
  });

  test('random bytes are refused or decoded, and never read beyond their end', () => {
    const numbers = Object.values(EVENTS).map(({ number }) => number);
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 1400 }),
        fc.constantFrom(...numbers, 0, 99),
        fc.nat(40),
        (bytes, number, count) => {
          const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
          const at = HEADER.fields.get('event')!.offset;
          if (bytes.length >= at + 4) view.setUint32(at, number, true);
          const counter = LAYOUTS.route.fields.get('count')!.offset;
          if (bytes.length >= counter + 4) view.setUint32(counter, count, true);
          const record = new RecordView();
          try {
            record.bind(view, 0, bytes.length);
          } catch (error) {
            expect((error as { code: string }).code).toBe('E_DECODE');
            return;
          }
          const text = JSON.stringify(record.toEvent(), (_, value) =>
            typeof value === 'bigint' ? value.toString() : value,
          );
          expect(text).not.toContain('undefined');
          expect(text).not.toContain('NaN');
        },
      ),
      { numRuns: 2000 },
    );
  });
});
