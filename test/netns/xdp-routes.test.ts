/**
 * Routes in the XDP data path while it looks at them: what the program itself says, in one thread, as the plugin's worker puts and removes
 * routes in another. Whatever it sees, it is a route that covers the address and is there or just was.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadPlugin } from '../../host/plugin/load.ts';
import { Random } from '../support/random.ts';
import { SEED } from '../support/seed.ts';
import { address4, type Entry, entry, handle, removal, Softnic } from '../unit/softnic/softnic.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ROUNDS = 150;

let xdp: Softnic;

beforeAll(async () => {
  const plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
    grants: ['tables'],
    cache: join(ROOT, 'build/fixtures/cache'),
  });
  xdp = await Softnic.start(plugin, { kind: 'tables', tables: { lpm4: 512 } });
}, 180_000);

afterAll(() => xdp?.[Symbol.asyncDispose]());

interface Prefix {
  readonly address: number;
  readonly length: number;
}

const mask = (length: number) => (length === 0 ? 0 : (-1 << (32 - length)) >>> 0);
const covers = (prefix: Prefix, address: number) =>
  ((address ^ prefix.address) & mask(prefix.length)) >>> 0 === 0;

/** Always there: the first two. The others come and go; they share chunks and lie in one another. */
const PREFIXES: readonly Prefix[] = [
  { address: 0, length: 0 },
  { address: 0x0a000000, length: 8 },
  ...[10, 15, 16, 17, 22, 24, 25, 31, 32].map((length) => ({
    address: (0x0a010203 & mask(length)) >>> 0,
    length,
  })),
  ...[16, 24, 32].map((length) => ({ address: (0x0a020304 & mask(length)) >>> 0, length })),
  { address: 0x0b000000, length: 9 },
];
const ADDRESSES = [
  0x0a010203, 0x0a010202, 0x0a010280, 0x0a010301, 0x0a020304, 0x0a020305, 0x0a400001, 0x0b010101,
];

const dotted = (address: number) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
const routeOf = (index: number): Entry =>
  entry('route', index, {
    action: 'trap',
    prefix: address4(PREFIXES[index]!.address),
    prefixLength: PREFIXES[index]!.length,
  });

/** Index of the prefix that the program finds for an address. */
function found(address: number): number {
  const { handles } = xdp.device.lookup({ destination: dotted(address) });
  return PREFIXES.findIndex((_, index) => handles.includes(handle('route', index)));
}

/** Longest of those that hold. */
function longest(address: number, holds: (index: number) => boolean): number {
  let best = -1;
  for (const [index, prefix] of PREFIXES.entries()) {
    if (!holds(index) || !covers(prefix, address)) continue;
    if (best < 0 || prefix.length > PREFIXES[best]!.length) best = index;
  }
  return best;
}

/** Whether the route covers the address and is there before or after the change, and none that is longer is there before and after. */
function isRight(index: number, address: number, held: Set<number>, next: Set<number>): boolean {
  if (index < 0 || !(held.has(index) || next.has(index)) || !covers(PREFIXES[index]!, address)) return false;
  const stays = longest(address, (one) => held.has(one) && next.has(one));
  return PREFIXES[index]!.length >= PREFIXES[stays]!.length;
}

test('every lookup finds a route that is right before or after the change', async () => {
  console.log(`seed ${SEED} (EKHO_SEED)`);
  const random = new Random(SEED);
  let held = new Set([0, 1]);
  expect(await xdp.apply([routeOf(0), routeOf(1)])).toEqual([]);
  let during = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const isAdding = random.chance(0.5);
    const changed = PREFIXES.keys()
      .filter((index) => index > 1 && held.has(index) !== isAdding && random.chance(0.6))
      .toArray();
    if (changed.length === 0) continue;
    const next = new Set(held);
    for (const index of changed) isAdding ? next.add(index) : next.delete(index);
    let isDone = false;
    const entries = changed.map(routeOf);
    const applied = xdp.apply(isAdding ? entries : entries.map(removal)).finally(() => {
      isDone = true;
    });
    while (!isDone) {
      for (const address of ADDRESSES) {
        const index = found(address);
        const note = `seed ${SEED}, round ${round}: ${dotted(address)} by ${index}`;
        expect(isRight(index, address, held, next), note).toBe(true);
        during++;
      }
      await new Promise(setImmediate);
    }
    expect(await applied).toEqual([]);
    held = next;
    for (const address of ADDRESSES) expect(found(address)).toBe(longest(address, (one) => held.has(one)));
  }
  console.log(`${during} lookups during changes`);
  expect(during).toBeGreaterThan(ROUNDS);
}, 120_000);
