/** The multibit trie against a plain list of prefixes: random routes come, change and go in any order, with few chunks as with many. */

import { describe, expect, test } from 'vitest';
import { CHUNK, MultibitTrie, ROOTS, type RouteRow } from '../../../host/device/tables/multibit.ts';
import { Random } from '../../support/random.ts';
import { SEED } from '../../support/seed.ts';

interface Route extends RouteRow {
  readonly vrf: number;
  readonly address: number;
}

const mask = (length: number) => (length === 0 ? 0 : (-1 << (32 - length)) >>> 0);
/** The last two have the same place among the roots. */
const VRFS = [0, 7, 7 + ROOTS];

/** A trie, the list beside it, and a lookup as bpf/datapath_fib.h makes it. */
class Pair {
  readonly routes = new Map<string, Route>();
  readonly trie: MultibitTrie;
  quiesced = 0;
  readonly #strides: BigUint64Array;
  readonly #covers: BigUint64Array;
  readonly #roots: BigUint64Array;

  constructor(chunks: number) {
    // What somebody left there does not matter.
    this.#strides = new BigUint64Array(CHUNK * chunks).fill(0x1234_5678_9abc_def0n);
    this.#covers = new BigUint64Array(chunks).fill(0x1234_5678_9abc_def0n);
    this.#roots = new BigUint64Array(ROOTS).fill(5n);
    const memory = {
      chunks,
      strides: this.#strides.buffer,
      covers: this.#covers.buffer,
      roots: this.#roots.buffer,
    };
    this.trie = new MultibitTrie(memory, {
      covering: (vrf, address, length) => this.longest(vrf, address, length),
      quiesce: () => {
        this.quiesced++;
      },
    });
  }

  longest(vrf: number, address: number, most = 32): Route | undefined {
    for (let length = most; length >= 0; length--) {
      const route = this.routes.get(`${vrf} ${(address & mask(length)) >>> 0} ${length}`);
      if (route !== undefined) return route;
    }
    return undefined;
  }

  put(route: Route): void {
    const { vrf, address, length, handle, action, group } = route;
    this.routes.set(`${vrf} ${address} ${length}`, route);
    this.trie.put(vrf, address, length, handle, action, group);
  }

  remove({ vrf, address, length }: Route): void {
    this.routes.delete(`${vrf} ${address} ${length}`);
    this.trie.remove(vrf, address, length);
  }

  /** Lower half: handle; upper half without the length. 0 for none, undefined where the table is asked. */
  find(vrf: number, address: number): bigint | undefined {
    const root = this.#roots[vrf % ROOTS]!;
    let chunk = Number(root & 0xffff_ffffn);
    if (chunk === 0 || Number(root >> 32n) !== vrf) return undefined;
    let covering = 0n;
    let entry = chunk * CHUNK + (address >>> 16);
    for (let shift = 8; ; shift -= 8) {
      const found = this.#strides[entry]!;
      if (found >> 63n === 0n) return (found || covering) & 0x1ff_ffff_ffff_ffffn;
      chunk = Number(found & 0xffff_ffffn);
      if (chunk === 0) return undefined;
      covering = this.#covers[chunk]! || covering;
      entry = chunk * CHUNK + ((address >>> shift) & 0xff);
    }
  }

  expected(vrf: number, address: number): bigint {
    const route = this.longest(vrf, address);
    if (route === undefined) return 0n;
    const upper =
      BigInt(route.group) | (BigInt(route.action) << 22n) | (route.length === 32 ? 1n << 24n : 0n);
    return (upper << 32n) | BigInt(route.handle);
  }

  /** Share of these addresses that the trie itself answered. */
  compare(addresses: readonly number[], note: string): number {
    let answered = 0;
    for (const vrf of VRFS) {
      for (const address of addresses) {
        const found = this.find(vrf, address);
        if (found === undefined) continue;
        answered++;
        expect(found, `${note}, vrf ${vrf}, ${address.toString(16)}`).toBe(this.expected(vrf, address));
      }
    }
    return answered / (VRFS.length * addresses.length);
  }
}

/** Few bits vary in each byte, so that prefixes lie in one another. */
function someAddress(random: Random): number {
  const byte = () => random.pick([0, 1, 2, 3, 128, 129, 255]);
  return ((byte() << 24) | (byte() << 16) | (byte() << 8) | byte()) >>> 0;
}

function someRoute(random: Random, handle: number): Route {
  const length = random.chance(0.3) ? random.pick([0, 8, 16, 24, 32]) : random.below(33);
  return {
    vrf: random.pick([0, 0, 0, ...VRFS]),
    address: (someAddress(random) & mask(length)) >>> 0,
    length,
    handle,
    action: random.below(3),
    group: random.below(100),
  };
}

/** Routes come and go, with as many as `most`; then all go. */
function shuffle(random: Random, pair: Pair, steps: number, most: number, note: string): number {
  let answered = 0;
  let looks = 0;
  for (let step = 1; step <= steps; step++) {
    const held = [...pair.routes.values()];
    if (held.length >= most || (held.length > 0 && random.chance(0.45))) pair.remove(random.pick(held));
    else
      pair.put(
        random.chance(0.2) && held.length > 0
          ? { ...random.pick(held), handle: step }
          : someRoute(random, step),
      );
    if (step % 8 !== 0) continue;
    const addresses = Array.from({ length: 20 }, () => someAddress(random));
    for (const { address, length } of random.chance(0.5) ? held.slice(-5) : [])
      addresses.push(address, (address | ~mask(length)) >>> 0);
    answered += pair.compare(addresses, `${note}, step ${step}`);
    looks++;
  }
  for (const route of pair.routes.values()) pair.remove(route);
  return answered / looks;
}

describe('random routes', () => {
  for (const most of [4, 40, 400]) {
    test(`up to ${most}, with chunks for all`, () => {
      console.log(`seed ${SEED} (EKHO_SEED)`);
      const random = new Random(SEED + most);
      const pair = new Pair(3000);
      pair.trie.go();
      // One VRF is in the place of another, and rarely both have none.
      expect(shuffle(random, pair, 4000, most, `seed ${SEED}`)).toBeGreaterThan(0.2);
      expect(pair.trie.used).toBe(0);
    });

    test(`up to ${most}, with few chunks`, () => {
      const random = new Random(SEED + most + 1);
      const pair = new Pair(1 + 2 * 256 + 8);
      pair.trie.go();
      shuffle(random, pair, 4000, most, `seed ${SEED}`);
      expect(pair.trie.used).toBeLessThanOrEqual(2 * 256 + 8);
    });
  }
});

const route = (handle: number, address: number, length: number): Route => ({
  vrf: 0,
  address,
  length,
  handle,
  action: 0,
  group: handle,
});

test('nothing is looked up in it before it goes', () => {
  const pair = new Pair(300);
  expect(pair.quiesced).toBe(1);
  pair.put(route(1, 0x0a000000, 8));
  expect(pair.find(0, 0x0a010203)).toBeUndefined();
  pair.trie.go();
  expect(pair.find(0, 0x0a010203)).toBe(pair.expected(0, 0x0a010203));
  pair.trie.leave();
  expect(pair.find(0, 0x0a010203)).toBeUndefined();
  pair.put(route(2, 0x0a010000, 16));
  expect(pair.find(0, 0x0a010203)).toBeUndefined();
});

test('a chunk is used again only when no frame can be in it', () => {
  const pair = new Pair(1 + 256 + 1);
  pair.trie.go();
  pair.put(route(1, 0x0a000000, 24));
  expect(pair.trie.used).toBe(257);
  pair.remove(route(1, 0x0a000000, 24));
  expect([pair.trie.used, pair.quiesced]).toEqual([0, 1]);
  pair.put(route(2, 0x0b000000, 24));
  expect([pair.trie.used, pair.quiesced]).toEqual([257, 2]);
  expect(pair.find(0, 0x0b000001)).toBe(pair.expected(0, 0x0b000001));
});

test('where chunks end, the table is asked, and only there', () => {
  const pair = new Pair(1 + 256 + 1);
  pair.trie.go();
  pair.put(route(1, 0, 0));
  pair.put(route(2, 0x0a000000, 24));
  pair.put(route(3, 0x0b000000, 24));
  expect(pair.find(0, 0x0a000001)).toBe(pair.expected(0, 0x0a000001));
  expect(pair.find(0, 0x0b000001)).toBeUndefined();
  expect(pair.find(0, 0x0c000001)).toBe(pair.expected(0, 0x0c000001));
});
