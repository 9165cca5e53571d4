/** What dumps of IPv6 routes may have left out, and how many of them together can be taken for all. */
import { expect, test } from 'vitest';
import { Ipv6Omissions } from '../../../host/kernel/ipv6-omissions.ts';
import { datagram } from '../../../host/netlink/message.ts';

function dump(omissions: Ipv6Omissions, pieces: number, deleted: number): void {
  omissions.begin();
  for (let piece = 0; piece < pieces; piece++) {
    const data = datagram(new Uint8Array(4));
    omissions.shown(data);
    omissions.shown(data);
  }
  omissions.end(deleted);
}

test('without a dump, without deletions and in one piece nothing is left out', () => {
  const omissions = new Ipv6Omissions();
  expect(omissions.areNone).toBe(true);
  dump(omissions, 1000, 0);
  expect(omissions.areNone).toBe(true);
  dump(omissions, 1, 50);
  expect(omissions.areNone && omissions.areFew).toBe(true);
});

test('each further dump shows what those before left out, but for where the ends of its pieces fall', () => {
  const omissions = new Ipv6Omissions();
  dump(omissions, 1000, 10);
  expect(omissions.areFew).toBe(false);
  dump(omissions, 1000, 10);
  expect(omissions.areFew).toBe(false);
  // 10, then 0.1, then 0.001, then 0.00001.
  dump(omissions, 1000, 10);
  dump(omissions, 1000, 10);
  expect(omissions.areFew).toBe(true);
  expect(omissions.areNone).toBe(false);
  dump(omissions, 1000, 0);
  expect(omissions.areNone).toBe(true);
});

test('a dump in which routes may have gone without a word tells nothing, and the next one begins anew', () => {
  const omissions = new Ipv6Omissions();
  dump(omissions, 1000, Number.POSITIVE_INFINITY);
  expect(omissions.areFew).toBe(false);
  for (let attempt = 0; attempt < 3; attempt++) dump(omissions, 1000, 10);
  expect(omissions.areFew).toBe(false);
  dump(omissions, 1000, 10);
  expect(omissions.areFew).toBe(true);
  dump(omissions, 1000, Number.POSITIVE_INFINITY);
  expect(omissions.areFew).toBe(true);
  expect(omissions.areNone).toBe(false);
});

test('dumps with more deletions than pieces tell nothing new', () => {
  const omissions = new Ipv6Omissions();
  for (let attempt = 0; attempt < 8; attempt++) dump(omissions, 50, 60);
  expect(omissions.areFew).toBe(false);
});
