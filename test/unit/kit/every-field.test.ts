/**
 * The bindings of every language have every field of every record where the host has it, called directly and through jco's glue:
 * random batches and notices go in, and what comes back is what the WIT says.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadPlugin } from '../../../host/plugin/load.ts';
import type { RecordCursor } from '../../../host/plugin/record-cursor.ts';
import { REASON, STATUS } from '../../../host/plugin/records.ts';
import { readValue, type Value, writeValue } from '../../../host/plugin/values.ts';
import { buildProject } from '../../../plugins/kit/build/index.ts';
import { newPlugin } from '../../../plugins/kit/new.ts';
import { LANGUAGES, type Language, readProject } from '../../../plugins/kit/project.ts';
import { RunningProbe } from '../plugin/probe.ts';
import { arbitrary, entries, layoutOf, type RandomEntry, write } from '../plugin/random-batch.ts';
import { CACHE, hasRust } from './plugins.ts';
import { capacityOf, DESCRIPTION, GIVEN, given, heard, LISTS, recorder, shapeOf, sumOf } from './recorder.ts';
import { vendorFolder } from './support.ts';

async function build(parent: string, language: Language): Promise<string> {
  const { folder } = newPlugin('recorder', language, parent);
  const [file, text] = recorder(language);
  writeFileSync(join(folder, file), text);
  const project = readProject(folder);
  await buildProject(project);
  return project.output;
}

/** Every 64-bit number cut to 53 bits: componentize-qjs hands them over as doubles. */
function rounded<T>(value: T): T {
  if (typeof value === 'bigint') return (value & (2n ** 53n - 1n)) as T;
  if (Array.isArray(value)) return value.map(rounded) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, rounded(one)])) as T;
}

type Fields = Record<string, Value>;

/** What the lists of a batch hold, in order, groups with their members apart. */
function expected(found: readonly RandomEntry[]): Map<string, Fields[]> {
  const lists = new Map<string, Fields[]>(LISTS.map(({ name }) => [name, []]));
  const members = lists.get('member')!;
  for (const { type, value, members: own } of found) {
    if (type !== 'group') lists.get(type)!.push(value);
    else lists.get('group')!.push({ ...value, first: members.length, count: own.length });
    for (const [nexthop, weight] of own) members.push({ group: value.handle!, nexthop, weight });
  }
  return lists;
}

function read(cursor: RecordCursor, type: string): Fields[] {
  const found: Fields[] = [];
  const view = new DataView(cursor.u8.buffer);
  for (cursor.rewind(); cursor.next(); ) found.push(readValue(view, cursor.offset, layoutOf(type)) as Fields);
  return found;
}

async function checkBatch(probe: RunningProbe, found: readonly RandomEntry[]): Promise<void> {
  const lists = expected(found);
  const { outcomes, invalid } = await probe.apply((batch) => write(batch, found));
  expect(invalid).toBe(0);
  const members = lists.get('member')!.reduce((sum, one) => (sum + sumOf(shapeOf('member'), one)) >>> 0, 0);
  const answers = LISTS.filter(({ name }) => name !== 'member').flatMap((shape) =>
    lists.get(shape.name)!.map((value) => ({
      handle: value.handle,
      status: STATUS.refused,
      reason: REASON.unsupportedMatch,
      detail: (sumOf(shape, value) + (shape.name === 'group' ? members : 0)) >>> 0,
    })),
  );
  expect(outcomes).toEqual(answers);
  const held = new Map<string, Fields[]>(LISTS.map(({ name }) => [name, []]));
  await probe.runner.readback((page) => {
    for (const [list, { name }] of LISTS.entries()) held.get(name)!.push(...read(page.lists[list]!, name));
  });
  expect(held).toEqual(lists);
}

/** Flat, with numbers for enums, as the plugin fills them. */
function flat(cursor: RecordCursor, name: keyof typeof GIVEN): [string, number][][] {
  const { leaves } = shapeOf(name);
  return read(cursor, name).map((value) =>
    leaves.map(({ path, is, cases }) => {
      const field = path[0]!.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
      const one = value[field]!;
      return [field, is === 'enum' ? cases.indexOf(one as string) : Number(one)];
    }),
  );
}

async function checkGiven(probe: RunningProbe, seed: number): Promise<void> {
  const wanted = (name: keyof typeof GIVEN) =>
    Array.from({ length: GIVEN[name] }, (_, index) => given(name, index, seed));
  const counters: [string, number][][] = [];
  await probe.runner.collect((page) => counters.push(...flat(page, 'counter')));
  expect(counters).toEqual(wanted('counter'));
  let tables: [string, number][][] = [];
  await probe.runner.tables((page) => {
    tables = flat(page, 'table-usage');
  });
  expect(tables).toEqual(wanted('table-usage'));
  probe.onEvents = (events) => {
    expect(flat(events, 'event')).toEqual(wanted('event'));
    polled++;
  };
  let polled = 0;
  await probe.runner.poll();
  expect(polled).toBe(1);
}

async function checkNotices(probe: RunningProbe, notices: readonly Value[], seed: number): Promise<number> {
  const record = probe.runner.beginNotices()!;
  for (const notice of notices) {
    record.append();
    writeValue(new DataView(record.u8.buffer), record.offset, layoutOf('notice'), notice);
  }
  probe.runner.commitNotices();
  const now = notices.reduce<number>(heard, seed);
  await checkGiven(probe, now);
  return now;
}

const notices = fc.array(arbitrary(layoutOf('notice')), { minLength: 1, maxLength: 5 });

const rust = await hasRust();

describe.each(LANGUAGES.filter((one) => one !== 'rust' || rust))('%s', (language) => {
  const fit = language === 'typescript' ? rounded : <T>(value: T) => value;

  test('every field of every record', { timeout: 300_000 }, async () => {
    using vendor = vendorFolder();
    const file = await build(vendor.path, language);
    const plugin = await loadPlugin(file, { grants: ['asic'], cache: CACHE });
    for (const path of ['direct', 'glue'] as const) {
      const settings = [
        { name: 'schlüssel', value: 'straße €' },
        { name: 'empty', value: 'not' },
      ];
      await using probe = await RunningProbe.start(plugin, { path, settings });
      expect(probe.runner.direct).toBe(path === 'direct');
      const { abilities, ...description } = probe.runner.description;
      expect(description).toEqual({
        ...DESCRIPTION,
        reversePath: true,
        vlanInterfaces: false,
        pollInterval: 0,
      });
      expect(abilities).toEqual(
        abilities.map((_, kind) => ({
          kind,
          capacity: capacityOf(kind),
          updateInPlace: true,
          counts: kind % 2 === 1,
          readsBack: kind % 3 === 0,
        })),
      );
      expect(abilities.length).toBe(LISTS.length - 1);
      const kinds = new Set<string>();
      const told = await fc.check(
        fc.asyncProperty(entries, async (found) => {
          await checkBatch(probe, fit(found));
          for (const { type } of found) kinds.add(type);
        }),
        { numRuns: 40, endOnFailure: true },
      );
      expect(told.failed, `seed ${told.seed}: ${told.errorInstance}`).toBe(false);
      expect(kinds.size).toBe(LISTS.length - 1);
      let seed = 0;
      const heard = await fc.check(
        fc.asyncProperty(notices, async (some) => {
          seed = await checkNotices(probe, fit(some), seed);
        }),
        { numRuns: 20, endOnFailure: true },
      );
      expect(heard.failed, `seed ${heard.seed}: ${heard.errorInstance}`).toBe(false);
      expect(probe.log).toEqual(settings.flatMap(({ name, value }) => [name, value]));
    }
    await expect(
      RunningProbe.start(plugin, { settings: [{ name: 'größe', value: '' }] }),
    ).rejects.toMatchObject({ code: 'E_PLUGIN_START', message: expect.stringContaining('größe') });
  });
});
