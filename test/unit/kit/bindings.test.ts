/**
 * The bindings of every language against jco's glue: on random batches, the host's own way of calling and jco's give the same
 * answers, the same readback and the same device; and the languages agree with each other.
 */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadPlugin } from '../../../host/plugin/load.ts';
import { ENTRY_KIND_NAMES } from '../../../host/plugin/records.ts';
import { type Entry, handleOf, type Kind, parseEntry } from '../../../plugins/kit/check/entry.ts';
import { type Outcome, Subject } from '../../../plugins/kit/check/subject.ts';
import { LANGUAGES } from '../../../plugins/kit/project.ts';
import { buildTemplate, CACHE, hasRust } from './plugins.ts';
import { vendorFolder } from './support.ts';

const index = fc.integer({ min: 1, max: 6 });
const small = fc.integer({ min: 0, max: 3 });
const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const mac = fc.bigInt({ min: 0n, max: 2n ** 48n - 1n }).map((value) => `0x${value.toString(16)}`);
const operation = fc.constantFrom('put', 'put', 'put', 'remove');
const action = fc.constantFrom('forward', 'trap', 'drop');
const flags = (...names: string[]) => fc.subarray(names).map((some) => some.join(','));

/** What all examples can hold, near enough to what a planner sends that much of it is carried out. */
const line: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(operation, index, word, word, mac, flags('admin-up', 'carrier', 'learning', 'trap-all'))
    .map(
      ([op, i, a, b, mac, flags]) =>
        `${op} port ${i} ifindex=${i + 100} mtu=${a} bridge=${b} mac=${mac} flags=${flags}`,
    ),
  fc
    .tuple(operation, index, small, word, mac, flags('ipv4', 'ipv6', 'reverse-path-strict'))
    .map(
      ([op, i, port, mtu, mac, flags]) =>
        `${op} router-interface ${i} port=${port} vlan=${i} ifindex=${i + 100} mtu=${mtu} vrf=${mtu} mac=${mac} flags=${flags}`,
    ),
  fc
    .tuple(operation, index, action, small, word, mac)
    .map(
      ([op, i, action, rif, gateway, mac]) =>
        `${op} nexthop ${i} action=${action} router-interface=${rif} ifindex=${gateway} gateway=${ip(gateway)} destination-mac=${mac}`,
    ),
  fc
    .tuple(
      operation,
      index,
      word,
      fc.array(fc.tuple(index, fc.integer({ min: 1, max: 65_535 })), { minLength: 1, maxLength: 5 }),
    )
    .map(
      ([op, i, id, members]) =>
        `${op} group ${i} id=${id} members=${members.map(([n, w]) => `${n}*${w}`).join(',')}`,
    ),
  fc
    .tuple(operation, index, action, small)
    // A handle keeps its key: the host gives another to another prefix.
    .map(([op, i, action, group]) => {
      const key = `prefix=${ip((10 + 16 * i) * 2 ** 24)}/${8 + i} vrf=${2 ** 32 - i}`;
      return `${op} route ${i} action=${action} group=${action === 'forward' ? group : 0} ${key}`;
    }),
);

function ip(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** Batches with each handle once. */
const batch = fc
  .array(line, { maxLength: 40, size: 'max' })
  .map((lines) => [...new Map(lines.map(parseEntry).map((entry) => [entry.value.handle, entry])).values()]);

async function stateOf(subject: Subject): Promise<unknown> {
  const held = [...(await subject.held()).values()].sort((a, b) => a.value.handle - b.value.handle);
  const { tables } = subject.asic!.status();
  return { held, used: await subject.used(), counters: await subject.counters(), tables };
}

/** `detail` is a language's own. */
function sorted(outcomes: readonly Outcome[]): Outcome[] {
  return [...outcomes].sort((a, b) => a.handle - b.handle);
}

test('C, AssemblyScript, TypeScript and Rust, called directly and through jco’s glue', {
  timeout: 300_000,
}, async () => {
  using vendor = vendorFolder();
  await using subjects = new AsyncDisposableStack();
  const all: Subject[] = [];
  const rust = await hasRust();
  for (const language of LANGUAGES.filter((one) => one !== 'rust' || rust)) {
    const folder = `${vendor.path}/${language}`;
    const plugin = await loadPlugin(await buildTemplate(folder, language), {
      grants: ['asic'],
      cache: CACHE,
    });
    for (const path of ['direct', 'glue'] as const) {
      const subject = await Subject.start(plugin, undefined, { path });
      all.push(subjects.use(subject));
      expect((subject.runner as unknown as { direct: boolean }).direct).toBe(path === 'direct');
    }
  }
  let carried = 0;
  const told = await fc.check(
    fc.asyncProperty(batch, async (entries: Entry[]) => {
      const answers = await Promise.all(all.map((one) => one.apply(entries)));
      for (const answer of answers) expect(sorted(answer)).toEqual(sorted(answers[0]!));
      carried += entries.length - answers[0]!.length;
    }),
    { numRuns: 60, endOnFailure: true },
  );
  expect(told.failed, `seed ${told.seed}: ${told.errorInstance}`).toBe(false);
  expect(carried).toBeGreaterThan(200);
  const [first, ...others] = await Promise.all(all.map(stateOf));
  for (const other of others) expect(other).toEqual(first);
});

test('handles and kinds of the suite are those of the WIT', () => {
  for (const [number, kind] of ENTRY_KIND_NAMES.entries())
    expect(handleOf(kind as Kind, 5)).toBe((((number + 1) << 28) | 4) >>> 0);
});
