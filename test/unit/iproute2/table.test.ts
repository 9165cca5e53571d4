/** Tables: aligned, one line per object, in bounded memory. */

import { describe, expect, test } from 'vitest';
import { formatRows } from '../../../host/iproute2/json.ts';
import { formatTable } from '../../../host/iproute2/table.ts';
import type { DecodedObject } from '../../../host/netlink/decode.ts';

const context = { linkName: (ifindex: number) => `eth${ifindex}` };

function route(number: number): DecodedObject {
  return {
    header: { family: 2, dst_len: 24, table: 254, protocol: 4, scope: 0, type: 1, flags: 0 },
    dst: `10.${(number >>> 8) & 255}.${number & 255}.0`,
    gateway: '192.0.2.1',
    oif: 1,
  };
}

function* rows(count: number, made: { most: number; now: number }) {
  for (let id = 0; id < count; id++) {
    made.now++;
    made.most = Math.max(made.most, made.now);
    yield { id, object: route(id) };
  }
}

describe('tables', () => {
  test('columns are aligned and empty ones left out', () => {
    const json = [...formatRows('route', rows(2, { most: 0, now: 0 }), context)].map((row) => row.json);
    json[1]!.dst = '2001:db8::/32';
    expect([...formatTable('route', json, [{ title: 'OFFLOAD', cell: () => 'softnic offloaded' }])]).toEqual([
      'TYPE     DESTINATION    VIA        DEV   TABLE  PROTOCOL  OFFLOAD',
      'unicast  10.0.0.0/24    192.0.2.1  eth1  main   static    softnic offloaded',
      'unicast  2001:db8::/32  192.0.2.1  eth1  main   static    softnic offloaded',
    ]);
  });

  test('addresses and VLANs have a line each, with the link they are on', () => {
    const addresses: DecodedObject[] = [1, 2].map((index) => ({
      header: { family: 2, prefixlen: 24, index, scope: 0, flags: 0x80 },
      local: `10.0.${index}.1`,
    }));
    const keyed = addresses.map((object, id) => ({ id, object }));
    const json = [...formatRows('address', keyed, context)].map((row) => row.json);
    expect([...formatTable('address', json)]).toEqual([
      'DEV   ADDRESS      SCOPE',
      'eth1  10.0.1.1/24  global',
      'eth2  10.0.2.1/24  global',
    ]);
  });

  test('nothing to show is the head alone', () => {
    expect([...formatTable('nexthop', [])]).toEqual(['ID  VIA  DEV  SCOPE  PROTOCOL  FLAGS']);
  });

  test('a hundred thousand rows stream', () => {
    const made = { most: 0, now: 0 };
    const json = (function* () {
      for (const row of formatRows('route', rows(100_000, made), context)) yield row.json;
    })();
    let lines = 0;
    let longest = 0;
    for (const line of formatTable('route', json)) {
      lines++;
      if (lines > 1001) made.now = 0;
      longest = Math.max(longest, line.length);
    }
    expect(lines).toBe(100_001);
    // No more than the measured rows were made before the first of them was given out.
    expect(made.most).toBeLessThanOrEqual(1001);
    expect(longest).toBeLessThan(80);
  });
});
