/**
 * The suite and kinds that a plugin declares itself: one that is right passes, and of one that is wrong in one way the suite says
 * which. It is built once, with every fault behind a number in its memory, which is then set in the file.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildProject } from '../../../plugins/kit/build/index.ts';
import { checkPlugin } from '../../../plugins/kit/check/index.ts';
import { newPlugin } from '../../../plugins/kit/new.ts';
import { readProject } from '../../../plugins/kit/project.ts';
import { CACHE, writeWithFault } from './plugins.ts';
import { vendorFolder } from './support.ts';

const SOURCE = join(import.meta.dirname, 'kinds-plugin.c');

/** As the plugin's source numbers them. */
const WRONG = [
  'right',
  'forgets-a-field',
  'default-not-allowed',
  'keeps-what-is-replaced',
  'less-room',
  'refuses-the-largest',
  'declines-all',
  'traps-on-hostile',
  'loses-others-on-hostile',
  'counts-what-is-gone',
  'counts-what-does-not',
] as const;
type Wrong = (typeof WRONG)[number];

let vendor: ReturnType<typeof vendorFolder>;
let built: Buffer;

beforeAll(async () => {
  vendor = vendorFolder();
  const { folder } = newPlugin('acme', 'c', vendor.path);
  writeFileSync(join(folder, 'plugin.c'), readFileSync(SOURCE));
  const project = readProject(folder);
  await buildProject(project);
  built = readFileSync(project.output);
}, 300_000);

afterAll(() => vendor[Symbol.dispose]());

/** The plugin with this fault. */
const write = (wrong: Wrong) =>
  writeWithFault(built, WRONG.indexOf(wrong), join(vendor.path, `${wrong}.wasm`));

const check = (wrong: Wrong, only = 'kind-') => checkPlugin(write(wrong), { cache: CACHE, only });

test('a plugin that is right passes, with all it could not be tried with told', async () => {
  const { results } = await check('right');
  expect(results.map(({ case: { name }, verdict, why }) => [name, verdict, why])).toEqual([
    ['kind-counters', 'passed', undefined],
    ['kind-full', 'passed', undefined],
    ['kind-hostile', 'passed', undefined],
    ['kind-limits', 'passed', undefined],
    ['kind-mistakes', 'passed', undefined],
    ['kind-replace', 'passed', undefined],
  ]);
  const full = results.find((one) => one.case.name === 'kind-full')!;
  expect(full.figures).toEqual(['acme:tap is not filled: only 4 names are possible']);
});

/** A case that fails, and what is told of it. */
const TOLD: readonly (readonly [wrong: Wrong, fails: string, why: RegExp])[] = [
  ['forgets-a-field', 'kind-limits', /readback: custom 1 has data2 "0x0" in place of "0x61"/],
  [
    'default-not-allowed',
    'kind-mistakes',
    /acme:mark: weight cannot be "1001", which its declaration gives itself/,
  ],
  [
    'keeps-what-is-replaced',
    'kind-replace',
    /step 3, offloads: readback: custom 1 has data2 "0x61" in place of/,
  ],
  ['less-room', 'kind-full', /object 100 of 100 of acme:mark: refused \(table-full\)/],
  [
    'refuses-the-largest',
    'kind-limits',
    /acme:mark number=6 colour=red note=a weight=1000 urgent=false: refused \(invalid\), and its declaration allows it/,
  ],
  ['declines-all', 'kind-limits', /none of 17 objects of acme:mark is held/],
  ['traps-on-hostile', 'kind-hostile', /step 2, offloads: plugin \S+ trapped: .*unreachable/],
  ['loses-others-on-hostile', 'kind-hostile', /custom 1 is no longer held/],
  ['counts-what-is-gone', 'kind-counters', /collect lists custom 78, which is not held/],
  [
    'counts-what-does-not',
    'kind-counters',
    /collect lists acme:tap p101, and its kind says that it counts nothing/,
  ],
];

test.each(TOLD)('%s', { timeout: 300_000 }, async (wrong, fails, why) => {
  const [result, ...others] = (await check(wrong, fails)).results;
  expect(others).toEqual([]);
  expect(result).toMatchObject({ verdict: 'failed', why: expect.stringMatching(why) });
});
