/** Runs cases on a plugin: each on a fresh instance with a fresh device. */

import { createHash } from 'node:crypto';
import { EkhoError } from '../../../host/errors.ts';
import { BATCH_ENTRIES_MAX } from '../../../host/plugin/batch.ts';
import type { LoadedPlugin } from '../../../host/plugin/load.ts';
import { ENTRY_KIND_NAMES } from '../../../host/plugin/records.ts';
import type { Description } from '../../../host/plugin/runner.ts';
import type { Case } from './case.ts';
import type { Entry } from './entry.ts';
import { Model } from './model.ts';
import { ACTIONS, type CaseStep } from './schema.ts';
import { type Context, STEPS } from './steps.ts';
import { LeftOut, LOG_LINES, Subject, type Way, Wrong } from './subject.ts';

export interface CaseResult {
  readonly case: Case;
  readonly verdict: 'passed' | 'failed' | 'left out';
  /** Why it failed, or was left out. */
  readonly why?: string;
  /** The plugin's last log lines, when it failed. */
  readonly log?: readonly string[];
  readonly figures: readonly string[];
  readonly milliseconds: number;
}

/** One way to run a case. */
interface Variant {
  readonly name: string;
  readonly batch: number;
  readonly order: (entries: Entry[]) => Entry[];
}

/** Runs one case; a fault of the plugin is in the result, anything else is thrown. */
export async function runCase(
  plugin: LoadedPlugin,
  way: Way,
  description: Description,
  one: Case,
): Promise<CaseResult> {
  const begin = performance.now();
  const figures: string[] = [];
  const result = (verdict: CaseResult['verdict'], rest: Partial<CaseResult> = {}): CaseResult => ({
    case: one,
    verdict,
    figures,
    milliseconds: performance.now() - begin,
    ...rest,
  });
  const lacking = lacks(description, plugin.devices, one);
  if (lacking !== undefined) return result('left out', { why: lacking });
  let first: readonly string[] | undefined;
  for (const variant of variantsOf(one)) {
    const log: string[] = [];
    try {
      const transcript = await runVariant(plugin, way, one, variant, figures, log);
      first ??= transcript;
      if (one.says.repeat !== undefined) compareTranscripts(first, transcript);
    } catch (error) {
      if (error instanceof LeftOut) return result('left out', { why: error.message });
      if (!isFaultOfPlugin(error)) throw error;
      const where = variant.name === '' ? '' : ` (${variant.name})`;
      return result('failed', { why: `${error.message}${where}`, log: log.slice(-LOG_LINES) });
    }
  }
  return result('passed');
}

function isFaultOfPlugin(error: unknown): error is Error {
  return error instanceof Wrong || (error instanceof EkhoError && error.code.startsWith('E_PLUGIN'));
}

/** Why the case is not for this plugin. */
function lacks(
  { abilities, groupMembers }: Description,
  devices: readonly string[],
  { kinds, members, says }: Case,
): string | undefined {
  const ability = (kind: string) => abilities.find((one) => ENTRY_KIND_NAMES[one.kind] === kind);
  for (const kind of kinds) if (ability(kind) === undefined) return `it does not hold ${kind}`;
  if (says.tables !== undefined && devices.includes('rtnetlink'))
    return 'another kernel has no tables of a given size';
  if (members > groupMembers) return `its groups have at most ${groupMembers} members`;
  for (const kind of says.ability?.['update-in-place'] ?? [])
    if (ability(kind)?.updateInPlace !== true) return `it does not update ${kind} in place`;
  for (const kind of says.ability?.counts ?? [])
    if (ability(kind)?.counts !== true) return `it does not count ${kind}`;
  return undefined;
}

function variantsOf({ name, says }: Case): Variant[] {
  const same = (entries: Entry[]) => entries;
  const batch = BATCH_ENTRIES_MAX;
  if (says.orders !== undefined)
    return Array.from({ length: says.orders }, (_, number) => ({
      name: `order ${number + 1}`,
      batch,
      order: (entries) => shuffled(entries, `${name} ${number}`),
    }));
  if (says.batches !== undefined)
    return says.batches.map((size) => ({ name: `batches of ${size}`, batch: size, order: same }));
  return Array.from({ length: says.repeat ?? 1 }, (_, number) => ({
    name: number === 0 ? '' : `run ${number + 1}`,
    batch,
    order: same,
  }));
}

/** In an order that depends on the seed alone. */
function shuffled(entries: Entry[], seed: string): Entry[] {
  const rank = (index: number) => createHash('sha256').update(`${seed} ${index}`).digest('hex');
  return entries
    .map((entry, index) => ({ entry, rank: rank(index) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .map(({ entry }) => entry);
}

async function runVariant(
  plugin: LoadedPlugin,
  way: Way,
  one: Case,
  { batch, order }: Variant,
  figures: string[],
  log: string[],
): Promise<string[]> {
  const subject = await Subject.start(plugin, one.says.tables, way);
  try {
    const transcript: string[] = [];
    const model = new Model();
    const context: Context = {
      subject,
      model,
      batch,
      order,
      must: one.says.must ?? false,
      transcript,
      figures,
    };
    for (const [index, step] of one.steps.entries()) await runStep(context, step, index);
    const held = [...(await subject.held()).values()].sort((a, b) => a.value.handle - b.value.handle);
    transcript.push(JSON.stringify(held, (_, value) => (typeof value === 'bigint' ? String(value) : value)));
    if (subject.asic !== undefined) transcript.push(JSON.stringify(subject.asic.status()));
    if (subject.faults.length > 0) throw new Wrong(subject.faults[0]);
    return transcript;
  } finally {
    log.push(...subject.log);
    await subject[Symbol.asyncDispose]();
  }
}

async function runStep(context: Context, step: CaseStep, index: number): Promise<void> {
  const action = Object.keys(step).find((key) => key in ACTIONS)!;
  try {
    await STEPS[action]!(context, step);
  } catch (error) {
    if (isFaultOfPlugin(error)) throw new Wrong(`step ${index + 1}, ${action}: ${error.message}`);
    throw error;
  }
}

function compareTranscripts(first: readonly string[], other: readonly string[]): void {
  for (const [index, text] of first.entries())
    if (other[index] !== text)
      throw new Wrong(`the same changes gave another result: ${difference(text, other[index] ?? '')}`);
}

/** The first place where two texts differ. */
function difference(one: string, other: string): string {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  const from = Math.max(0, at - 30);
  return `…${one.slice(from, at + 30)}… and …${other.slice(from, at + 30)}…`;
}
