/** Messages that are damaged, hostile or from another kernel: nothing throws, nothing half is stored. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Applier, DUMPED, DUMPED_IN_PART, LIVE, type Mode, REPLAYED } from '../../../host/kernel/apply.ts';
import { splitActions, splitMdb, splitVlans } from '../../../host/kernel/split.ts';
import { Mirror } from '../../../host/mirror/mirror.ts';
import { KERNEL_KINDS, KIND, objectCursor } from '../../../host/mirror/types.ts';
import { decodeObject } from '../../../host/netlink/decode.ts';
import { type Datagram, datagram, MessageWriter, walkMessages } from '../../../host/netlink/message.ts';
import { FAMILIES } from '../../../host/netlink/schema/families.ts';
import { linkAttributes } from '../../../host/netlink/schema/link.ts';

const seed = Date.now() & 0x7fffffff;
console.log(`messages.test.ts seed ${seed}`);

const silent = {
  doubt() {},
  siblingsDiffer() {},
  siblingGone() {},
  removing() {},
  changed() {},
  bridgePort() {},
  functionsUntold() {},
  bulkDeletion() {},
};

function applier(mirror: Mirror): Applier {
  return new Applier((kind) => mirror.table(kind), undefined, silent);
}

/** Attributes that mostly make sense, nested a little, sometimes with a wrong length. */
const attribute: fc.Arbitrary<Uint8Array> = fc.letrec<{ one: Uint8Array }>((tie) => ({
  one: fc
    .tuple(
      fc.integer({ min: 0, max: 70 }),
      fc.oneof(
        { depthSize: 'small' },
        fc.uint8Array({ maxLength: 24 }),
        fc.array(tie('one'), { maxLength: 4 }).map((parts) => new Uint8Array(Buffer.concat(parts))),
      ),
      fc.oneof(
        { weight: 9, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: -8, max: 300 }) },
      ),
    )
    .map(([type, payload, lie]) => {
      const bytes = new MessageWriter().attribute(type, payload).bytes();
      if (lie !== 0) new DataView(bytes.buffer).setUint16(0, Math.max(0, 4 + payload.length + lie), true);
      return bytes;
    }),
})).one;

const message = fc
  .tuple(
    fc.constantFrom(0, 2, 7, 10),
    fc.uint8Array({ minLength: 0, maxLength: 24 }),
    fc.array(attribute, { maxLength: 8 }),
  )
  .map(
    ([family, header, attributes]) =>
      new Uint8Array(Buffer.concat([[family], header, ...attributes].map((part) => Buffer.from(part)))),
  );

describe('any bytes', () => {
  it('never throw, and what is stored can be found again', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.nat(KERNEL_KINDS.length - 1),
            fc.boolean(),
            fc.constantFrom<Mode>(LIVE, REPLAYED, DUMPED),
            message,
          ),
          {
            maxLength: 20,
          },
        ),
        (messages) => {
          const mirror = new Mirror();
          const sink = applier(mirror);
          for (const [kind, deleting, mode, bytes] of messages) {
            // Headers of the right length, now and then.
            const size = (FAMILIES[KERNEL_KINDS[kind]!].header.size + 3) & ~3;
            for (const cut of [bytes, Buffer.concat([bytes.subarray(0, size), bytes.subarray(25)])]) {
              const data = datagram(cut);
              sink.apply(kind, deleting && mode !== DUMPED, 0x500, mode, data, 0, data.bytes.length);
            }
          }
          mirror.commit();
          for (let kind = 0; kind < KERNEL_KINDS.length; kind++) {
            const table = mirror.table(kind);
            table.forEach((id) => {
              const { data, start, end } = table.locate(id);
              const matches = table.match(data, start, end)!;
              expect([...matches.ids.subarray(0, matches.length)]).toContain(id);
            });
          }
        },
      ),
      { seed, numRuns: 500 },
    );
  });

  it('as datagrams end where they stop making sense', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        let last = 0;
        walkMessages(datagram(bytes), (_type, _flags, _sequence, data, start, end) => {
          expect(start).toBeGreaterThanOrEqual(last + 16);
          expect(end).toBeLessThanOrEqual(data.bytes.length);
          last = end;
        });
      }),
      { seed, numRuns: 1000 },
    );
  });
});

function u16(...values: number[]): Uint8Array {
  return new Uint8Array(new Uint16Array(values).buffer);
}

function collect(
  split: (
    data: Datagram,
    start: number,
    end: number,
    handler: (data: Datagram, start: number, end: number) => void,
  ) => boolean,
  bytes: Uint8Array,
): { whole: boolean; objects: Uint8Array[] } {
  const objects: Uint8Array[] = [];
  const data = datagram(bytes);
  const whole = split(data, 0, data.bytes.length, (object, start, end) =>
    objects.push(object.bytes.slice(start, end)),
  );
  return { whole, objects };
}

describe('messages of several objects', () => {
  const header = new Uint8Array(8);
  header[0] = 7;
  header[4] = 9;

  it('VLANs: ranges become one object each', () => {
    const entry = (first: number, last: number | undefined) => {
      const writer = new MessageWriter().attribute(1, u16(2, first));
      if (last !== undefined) writer.attribute(2, u16(last));
      return writer.attribute(3, new Uint8Array([3])).bytes();
    };
    const bytes = new MessageWriter()
      .raw(header)
      .attribute(1, entry(1, undefined))
      .attribute(1, entry(10, 13))
      .attribute(2, new MessageWriter().attribute(1, u16(20)).attribute(2, u16(21)).bytes())
      .bytes();
    const { whole, objects } = collect(splitVlans, bytes);
    expect(whole).toBe(true);
    const decoded = objects.map((object) => decodeObject('vlan', object, 0, object.length));
    expect(
      decoded.map((object) =>
        JSON.stringify(object)
          .match(/"vid":(\d+)|"id":(\d+)/)
          ?.slice(1)
          .find(Boolean),
      ),
    ).toEqual(['1', '10', '11', '12', '13', '20', '21']);
    const mirror = new Mirror();
    const data = datagram(bytes);
    expect(applier(mirror).apply(KIND.vlan, false, 0, LIVE, data, 0, data.bytes.length)).toBe(true);
    expect(mirror.count(KIND.vlan)).toBe(7);
    const less = datagram(new MessageWriter().raw(header).attribute(1, entry(11, 12)).bytes());
    expect(applier(mirror).apply(KIND.vlan, true, 0, LIVE, less, 0, less.bytes.length)).toBe(true);
    expect(mirror.count(KIND.vlan)).toBe(5);
  });

  it('VLANs: a range cannot make more objects than there are VLANs', () => {
    const entry = new MessageWriter().attribute(1, u16(0, 1)).attribute(2, u16(0xffff)).bytes();
    expect(
      collect(splitVlans, new MessageWriter().raw(header).attribute(1, entry).bytes()).objects,
    ).toHaveLength(4094);
  });

  it('multicast groups and router ports', () => {
    const info = (port: number) => {
      const bytes = new Uint8Array(28);
      bytes[0] = port;
      bytes.set([239, 1, 1, 1], 8);
      return bytes;
    };
    const groups = new MessageWriter()
      .attribute(1, new MessageWriter().attribute(1, info(1)).attribute(1, info(2)).bytes())
      .bytes();
    const router = new MessageWriter().attribute(1, new Uint8Array([3, 0, 0, 0])).bytes();
    const bytes = new MessageWriter().raw(header).attribute(1, groups).attribute(2, router).bytes();
    const { whole, objects } = collect(splitMdb, bytes);
    expect(whole).toBe(true);
    expect(objects).toHaveLength(3);
    for (const object of objects) decodeObject('mdb', object, 0, object.length);
  });

  it('actions', () => {
    const action = (index: number) => {
      const parms = new Uint8Array(20);
      parms[0] = index;
      return new MessageWriter()
        .attribute(1, new TextEncoder().encode('gact\0'))
        .attribute(2, new MessageWriter().attribute(2, parms).bytes())
        .bytes();
    };
    const tab = new MessageWriter().attribute(1, action(1)).attribute(2, action(2)).bytes();
    const bytes = new MessageWriter().raw(new Uint8Array(4)).attribute(1, tab).bytes();
    expect(collect(splitActions, bytes).objects).toHaveLength(2);
    const mirror = new Mirror();
    const data = datagram(bytes);
    expect(applier(mirror).apply(KIND.action, false, 0, LIVE, data, 0, data.bytes.length)).toBe(true);
    expect(mirror.count(KIND.action)).toBe(2);
  });
});

describe('a link with virtual functions', () => {
  const { ifname, mtu, num_vf, vfinfo_list } = linkAttributes.number;

  function link(size: number, functions?: number): Datagram {
    const header = new Uint8Array(16);
    header[4] = 7;
    const writer = new MessageWriter().raw(header).attribute(ifname, new TextEncoder().encode('eth0\0'));
    if (functions !== undefined) {
      const list = new MessageWriter();
      for (let number = 0; number < functions; number++) list.attribute(1, new Uint8Array(0));
      writer.u32(num_vf, functions).attribute(vfinfo_list, list.bytes());
    }
    return datagram(writer.u32(mtu, size).bytes());
  }

  it('keeps them when a notification, which has none, changes it, and is read again', () => {
    const mirror = new Mirror();
    const read: number[] = [];
    const sink = new Applier((kind) => mirror.table(kind), undefined, {
      ...silent,
      functionsUntold: (ifindex) => read.push(ifindex),
    });
    const put = (mode: Mode, data: Datagram) =>
      expect(sink.apply(KIND.link, false, 0, mode, data, 0, data.bytes.length)).toBe(true);
    const stored = () => {
      const cursor = objectCursor();
      let object = {};
      mirror.forEach(KIND.link, (id) => {
        mirror.open(KIND.link, id, cursor);
        object = decodeObject('link', cursor.bytes, cursor.start, cursor.end);
      });
      return object;
    };

    put(LIVE, link(1500));
    expect(stored()).not.toHaveProperty('num_vf');
    put(DUMPED, link(1500, 2));
    expect(stored()).toMatchObject({ mtu: 1500, num_vf: 2 });
    expect(read).toEqual([]);
    const functions = (stored() as { vfinfo_list: unknown }).vfinfo_list;
    for (const mode of [LIVE, REPLAYED] as const) {
      put(mode, link(9000));
      expect(stored()).toMatchObject({ mtu: 9000, num_vf: 2, vfinfo_list: functions });
    }
    expect(read).toEqual([7, 7]);
    put(DUMPED_IN_PART, link(9000, 1));
    expect(stored()).toMatchObject({ mtu: 9000, num_vf: 1 });
    expect((stored() as { vfinfo_list: unknown }).vfinfo_list).not.toEqual(functions);
    put(DUMPED, link(9000, 0));
    put(LIVE, link(1500));
    expect(stored()).toMatchObject({ mtu: 1500, num_vf: 0 });
    expect(read).toEqual([7, 7, 7]);
    expect(mirror.count(KIND.link)).toBe(1);
  });
});
