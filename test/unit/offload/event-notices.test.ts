/** Notices from notifiers' records: which event becomes which notice, and what it carries. */
import { describe, expect, it } from 'vitest';
import { EVENTS, type EventName } from '../../../host/kernel/notifier/catalogue.ts';
import { HEADER, LAYOUTS, type Layout } from '../../../host/kernel/notifier/layouts.ts';
import { PORT_ATTRIBUTES } from '../../../host/kernel/notifier/names.ts';
import { RecordView } from '../../../host/kernel/notifier/record.ts';
import { noticeEvent } from '../../../host/offload/event-notices.ts';
import { Notices } from '../../../host/offload/notices.ts';
import { memoryViews } from '../../../host/plugin/record-cursor.ts';
import {
  FAMILY,
  NOTICE_SET,
  NOTICE_TYPE,
  NOTICE_TYPE_NAMES,
  NoticeRecord,
} from '../../../host/plugin/records.ts';
import type { Runner } from '../../../host/plugin/runner.ts';

const ALL = Object.values(NOTICE_SET).reduce((sum, bit) => sum | bit, 0);
const PORT = 7;

/** A record of the event with these members set; arrays are bytes. */
function record(name: EventName, members: Readonly<Record<string, number | readonly number[]>>): RecordView {
  const layout: Layout = LAYOUTS[EVENTS[name].layout];
  const data = new DataView(new ArrayBuffer(layout.size));
  const all = Object.entries({ event: EVENTS[name].number, ...members });
  for (const [member, value] of all) {
    const { type, offset } = HEADER.fields.get(member) ?? layout.fields.get(member)!;
    if (Array.isArray(value)) new Uint8Array(data.buffer).set(value, offset);
    else if (type === 'u8') data.setUint8(offset, Number(value));
    else if (type === 'u16') data.setUint16(offset, Number(value), true);
    else if (type === 'u64') data.setBigUint64(offset, BigInt(Number(value)), true);
    else data.setUint32(offset, Number(value), true);
  }
  const view = new RecordView();
  view.bind(data, 0, layout.size);
  return view;
}

/** What a plugin would be told, in order. */
function told(notices: Notices): Record<string, unknown>[] {
  const batch = new NoticeRecord(memoryViews(new ArrayBuffer(64 * 64)), 0);
  // Only what `flush` uses of a running plugin.
  notices.flush({ beginNotices: () => batch, commitNotices: () => {} } as unknown as Runner);
  const seen: Record<string, unknown>[] = [];
  batch.rewind();
  while (batch.next()) {
    seen.push({
      type: NOTICE_TYPE_NAMES[batch.noticeType],
      family: batch.family,
      prefixLength: batch.prefixLength,
      vlan: batch.vlan,
      port: batch.port,
      ifindex: batch.ifindex,
      value: batch.value,
      mac: batch.mac,
      address: [batch.address0, batch.address1, batch.address2, batch.address3],
      time: batch.time,
      sequence: batch.sequence,
    });
  }
  return seen;
}

function noticesOf(wanted: number, ...records: readonly RecordView[]): Record<string, unknown>[] {
  const notices = new Notices(wanted);
  for (const one of records) noticeEvent(one, notices, (ifindex) => (ifindex === 3 ? PORT : 0));
  return told(notices);
}

const route = (name: EventName, members: Readonly<Record<string, number | readonly number[]>> = {}) =>
  record(name, { time: 5_000, family: 2, dst: [203, 0, 113, 0], dst_len: 24, table: 254, ...members });

describe('events that become notices', () => {
  it('routes, of either family', () => {
    expect(noticesOf(ALL, route('route-replace'), route('route-delete'))).toMatchObject([
      {
        type: 'route-changed',
        family: FAMILY.ipv4,
        prefixLength: 24,
        port: 0,
        value: 254,
        address: [0, 0, 0, 0xcb007100],
        time: 5_000,
        sequence: 1,
      },
      { type: 'route-removed', sequence: 2 },
    ]);
    const dst = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    expect(noticesOf(ALL, route('route-append', { family: 10, dst, dst_len: 128 }))).toMatchObject([
      {
        type: 'route-changed',
        family: FAMILY.ipv6,
        prefixLength: 128,
        address: [0x20010db8, 0, 0, 1],
      },
    ]);
    expect(noticesOf(ALL, route('route-delete', { family: 128 }))).toEqual([]);
  });

  it('nexthop objects', () => {
    expect(
      noticesOf(
        ALL,
        record('nexthop-object-replace', { id: 10, ifindex: 3 }),
        record('nexthop-object-delete', { id: 10 }),
      ),
    ).toMatchObject([
      { type: 'nexthop-changed', value: 10 },
      { type: 'nexthop-removed', value: 10 },
    ]);
  });

  it('forwarding entries and STP states, of ports of the plugin', () => {
    const mac = [0x02, 0, 0, 0, 0xaa, 0x01];
    const state = PORT_ATTRIBUTES.indexOf('stp-state');
    expect(
      noticesOf(
        ALL,
        record('fdb-add-to-device', { ifindex: 3, mac, vlan: 10 }),
        record('fdb-delete-to-device', { ifindex: 3, mac, vlan: 10 }),
        record('fdb-add-to-device', { ifindex: 4, mac }),
        record('port-attribute-set', { ifindex: 3, id: state, value: 3 }),
        record('port-attribute-set', { ifindex: 4, id: state, value: 3 }),
        record('port-attribute-set', { ifindex: 3, id: state + 1, value: 3 }),
      ),
    ).toMatchObject([
      { type: 'fdb-changed', port: PORT, ifindex: 3, mac: 0x02000000aa01, vlan: 10 },
      { type: 'fdb-removed', port: PORT, mac: 0x02000000aa01, vlan: 10 },
      { type: 'stp-state', port: PORT, value: 3 },
    ]);
  });
});

describe('those not wanted', () => {
  it('are not told', () => {
    const records = [
      route('route-replace'),
      record('nexthop-object-delete', { id: 1 }),
      record('fdb-flush', { ifindex: 3 }),
    ];
    expect(noticesOf(NOTICE_SET.nexthops, ...records).map(({ type }) => type)).toEqual(['nexthop-removed']);
    expect(noticesOf(NOTICE_SET.links, ...records)).toEqual([]);
  });

  it('nor those that have no notice', () => {
    expect(
      noticesOf(ALL, record('neighbour-update', { ifindex: 3 }), record('link-down', { ifindex: 3 })),
    ).toEqual([]);
  });

  it('every type is of one set, which alone chooses it', () => {
    for (const [name, type] of Object.entries(NOTICE_TYPE)) {
      const sets = Object.values(NOTICE_SET).filter((bit) => new Notices(bit).wants(type));
      expect(sets, name).toHaveLength(1);
    }
    expect(new Notices(NOTICE_SET.links).wants(NOTICE_TYPE.bridgeLeft)).toBe(true);
    expect(new Notices(NOTICE_SET.neighbours).wants(NOTICE_TYPE.neighbourUpdate)).toBe(true);
    expect(new Notices(NOTICE_SET.fdb).wants(NOTICE_TYPE.fdbFlushed)).toBe(true);
    expect(new Notices(NOTICE_SET.resyncs).wants(NOTICE_TYPE.resyncFinished)).toBe(true);
    expect(new Notices(NOTICE_SET.stp).wants(NOTICE_TYPE.stpState)).toBe(true);
  });
});
