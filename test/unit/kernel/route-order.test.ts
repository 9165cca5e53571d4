/** Routes of one prefix and metric stand in the kernel's order, whichever way the mirror learns of them. */

import { expect, test } from 'vitest';
import { applyDumpedRoute, applyNewRoute } from '../../../host/kernel/routes.ts';
import { Mirror } from '../../../host/mirror/mirror.ts';
import { KIND } from '../../../host/mirror/types.ts';
import { encodeObject } from '../../../host/netlink/encode.ts';
import {
  datagram,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
} from '../../../host/netlink/message.ts';

const INET = 2;
const INET6 = 10;

function make(family: number) {
  const table = new Mirror().table(KIND.route);
  const route = (oif: number) => {
    const bytes = encodeObject('route', {
      header: {
        family,
        dst_len: 8,
        src_len: 0,
        tos: 0,
        table: 255,
        protocol: 2,
        scope: 0,
        type: 1,
        flags: 0,
      },
      table: 255,
      dst: family === INET ? '10.0.0.0' : 'ff00::',
      oif,
    });
    return { data: datagram(bytes), end: bytes.length };
  };
  const doubts: string[] = [];
  return {
    table,
    doubts,
    announce: (oif: number, flags: number) => {
      const { data, end } = route(oif);
      applyNewRoute(table, flags, data, 0, end, {
        doubt: (family, number) => doubts.push(`${family} ${number}`),
        siblingsDiffer: () => {},
        siblingGone: () => {},
      });
    },
    dump: (oif: number) => {
      const { data, end } = route(oif);
      applyDumpedRoute(table, data, 0, end, false);
    },
    order: () => {
      const { data, end } = route(0);
      const { ids, length } = table.match(data, 0, end)!;
      return [...ids.subarray(0, length)].map((id) => {
        const { data, start, end } = table.locate(id);
        return [3, 6, 7].find((oif) => {
          const other = route(oif);
          return Buffer.from(data.bytes.subarray(start, end)).equals(other.data.bytes.subarray(0, other.end));
        });
      });
    },
  };
}

test('a dump of a part shows a new IPv6 route: it stands last', () => {
  const { table, announce, dump, order } = make(INET6);
  announce(6, NLM_F_EXCL);
  announce(7, 0);
  table.beginSweep();
  dump(3);
  announce(3, 0);
  expect(order()).toEqual([6, 7, 3]);
});

test('a dump of a part shows a new IPv4 route before its notification: others of its key stay', () => {
  const { table, announce, dump, order } = make(INET);
  announce(3, NLM_F_EXCL);
  table.beginSweep();
  dump(7);
  expect(order()).toEqual([7, 3]);
  announce(7, NLM_F_APPEND);
  expect(order()).toEqual([3, 7]);
});

test('a dump of a part shows several new IPv4 routes in their order', () => {
  const { table, announce, dump, order } = make(INET);
  announce(3, NLM_F_EXCL);
  table.beginSweep();
  dump(7);
  dump(6);
  expect(order()).toEqual([7, 6, 3]);
});

test('an IPv4 route that left in silence is appended again', () => {
  const { announce, order } = make(INET);
  announce(3, NLM_F_EXCL);
  announce(6, NLM_F_APPEND);
  announce(7, NLM_F_APPEND);
  expect(order()).toEqual([3, 6, 7]);
  announce(3, NLM_F_APPEND);
  expect(order()).toEqual([6, 7, 3]);
});

test('an IPv4 route announced as the first of its key: the others left in silence', () => {
  const { announce, order } = make(INET);
  announce(3, NLM_F_EXCL);
  announce(6, NLM_F_APPEND);
  announce(3, NLM_F_EXCL);
  expect(order()).toEqual([3]);
});

test('a dump of a part shows a route before it is announced as a replacement: the table is read again', () => {
  for (const family of [INET, INET6]) {
    const { table, doubts, announce, dump } = make(family);
    announce(3, NLM_F_EXCL);
    table.beginSweep();
    dump(7);
    announce(7, NLM_F_REPLACE);
    expect(doubts).toEqual([`${family} 255`]);
  }
});

test('a route announced as a replacement once more: nothing is in doubt', () => {
  const { doubts, announce } = make(INET);
  announce(3, NLM_F_EXCL);
  announce(3, NLM_F_REPLACE);
  expect(doubts).toEqual([]);
});

test('dumps of two links show IPv6 routes in another order than that in which they are announced', () => {
  const { table, announce, dump, order } = make(INET6);
  announce(6, NLM_F_CREATE | NLM_F_EXCL);
  table.beginSweep();
  dump(3);
  table.beginSweep();
  dump(7);
  expect(order()).toEqual([6, 3, 7]);
  announce(7, NLM_F_CREATE);
  announce(3, NLM_F_CREATE);
  expect(order()).toEqual([6, 7, 3]);
  // Announced for its flags alone.
  announce(6, 0);
  expect(order()).toEqual([6, 7, 3]);
});
