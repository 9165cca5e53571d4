/** What the steps of a case do, on a running plugin and the model of what it should hold. */

import type { Device } from '../../../host/device/types.ts';
import { ENTRY_KIND_NAMES, NOTICE_TYPE_NAMES } from '../../../host/plugin/records.ts';
import { NOTICES_MAX } from '../../../host/plugin/runner.ts';
import { batchesOf } from './batches.ts';
import { expand } from './case.ts';
import { type Entry, nameOf, parseEntry } from './entry.ts';
import { latency, storm } from './load.ts';
import type { Model } from './model.ts';
import { offloads } from './offloads.ts';
import { packets } from './packets.ts';
import type { CaseStep } from './schema.ts';
import { LeftOut, type Outcome, type Subject, told, Wrong } from './subject.ts';
import { fill } from './template.ts';

export interface Context {
  readonly subject: Subject;
  readonly model: Model;
  /** Entries of a batch, at most. */
  readonly batch: number;
  /** Puts the lines of a step in another order. */
  readonly order: (entries: Entry[]) => Entry[];
  /** The plugin may not decline. */
  readonly must: boolean;
  /** Everything it answered, to be compared with another run. */
  readonly transcript: string[];
  /** Figures for the report. */
  readonly figures: string[];
}

/** How long news from the device may take. */
const EVENTS_MS = 5000;
const EVENT_PAUSE_MS = 20;

type Action = (context: Context, step: CaseStep) => Promise<void>;

export const STEPS: Readonly<Record<string, Action>> = {
  apply: async (context, step) => {
    await applyAll(context, context.order(expand(step.apply!, step.for)), step);
    await context.model.compare(context.subject);
  },
  hostile: async (context, step) => {
    for (const entry of expand(step.hostile!, step.for)) await context.subject.apply([entry]);
    await context.model.containedIn(context.subject);
  },
  restart: async ({ subject, model }, step) => {
    await subject.restart(step.restart!);
    model.restarted(subject.description);
    await model.compare(subject);
  },
  power: async ({ subject, model }, step) => {
    const device = faultyOf(subject);
    if (step.power === 'cycle') device.powerCycle();
    else device.inject({ poweredOff: step.power === 'off' });
    model.clear();
  },
  inject: async ({ subject }, step) => {
    const { 'fail-every': failEvery, refuse } = step.inject!;
    faultyOf(subject).inject({
      ...(failEvery !== undefined && { failEvery }),
      ...(refuse !== undefined && { refuse }),
    });
  },
  events,
  packets: async ({ subject }, step) => packets(pathOf(subject), step.packets!),
  counted,
  notices,
  storm: async (context, step) => {
    context.figures.push(await storm(context.subject, context.model, step));
  },
  latency: async (context, step) => {
    context.figures.push(...(await latency(context.subject, context.model, step)));
  },
  capacity,
  offloads: (context, step) => offloads(context, step.offloads!),
};

function faultyOf({ faulty }: Subject): Device {
  if (faulty === undefined) throw new LeftOut('it needs a device that fails when it is told to');
  return faulty;
}

function pathOf({ path }: Subject): Device {
  if (path === undefined) throw new LeftOut('it needs a device that tells what becomes of a packet');
  return path;
}

/** Sends entries in batches, takes the answers into the model and holds them to what the step expects. */
async function applyAll(context: Context, entries: readonly Entry[], step: CaseStep): Promise<void> {
  const { subject, model } = context;
  const before = writesOf(subject);
  const outcomes = new Map<number, Outcome>();
  for (const batch of batchesOf(entries, context.batch)) {
    const found = await subject.apply(batch);
    model.take(batch, found);
    for (const outcome of found) outcomes.set(outcome.handle, outcome);
  }
  context.transcript.push(JSON.stringify([...outcomes.values()].sort((a, b) => a.handle - b.handle)));
  checkAnswers(context, entries, outcomes, step);
  if (step.writes === undefined || before === undefined) return;
  const writes = writesOf(subject)! - before;
  if (writes > step.writes)
    throw new Wrong(`the ASIC was made to write ${writes} rows; ${step.writes} were enough`);
}

function writesOf({ asic }: Subject): number | undefined {
  if (asic === undefined) return undefined;
  const { writes, removes } = asic.status();
  return writes + removes;
}

function checkAnswers(
  context: Context,
  entries: readonly Entry[],
  outcomes: ReadonlyMap<number, Outcome>,
  { answer = 'ok', fits = 0, reason }: CaseStep,
): void {
  if (answer === 'any') return;
  if (answer === 'full') {
    checkFull(entries, outcomes, fits);
    return;
  }
  for (const { value } of entries) {
    const outcome = outcomes.get(value.handle);
    const status = outcome === undefined || outcome.status === 'trapped' ? 'ok' : outcome.status;
    const what = `${value.operation} of ${nameOf(value.handle)}`;
    if (answer === 'ok' && status === 'refused' && outcome!.reason.startsWith('unsupported') && !context.must)
      throw new LeftOut(`it refuses the ${what} (${outcome!.reason})`);
    if (status !== answer) throw new Wrong(`${what}: ${told(outcome)}, expected ${answer}`);
    if (reason !== undefined && outcome?.reason !== reason)
      throw new Wrong(`${what}: ${told(outcome)}, expected the reason ${reason}`);
  }
}

function checkFull(entries: readonly Entry[], outcomes: ReadonlyMap<number, Outcome>, fits: number): void {
  const refused = entries.filter(({ value }) => outcomes.has(value.handle));
  const held = entries.length - refused.length;
  if (held !== fits) throw new Wrong(`${held} of ${entries.length} entries went in; the table takes ${fits}`);
  for (const { value } of refused) {
    const outcome = outcomes.get(value.handle)!;
    if (outcome.status !== 'refused' || outcome.reason !== 'table-full')
      throw new Wrong(
        `${nameOf(value.handle)} past the end of the table: ${told(outcome)}, expected refused (table-full)`,
      );
  }
}

async function events({ subject }: Context, { events }: CaseStep): Promise<void> {
  const missing = new Set<string>(events);
  const end = performance.now() + EVENTS_MS;
  for (;;) {
    await subject.poll();
    for (const event of subject.events.splice(0)) missing.delete(event);
    if (missing.size === 0) return;
    if (performance.now() > end) throw new Wrong(`poll does not tell ${[...missing].join(', ')}`);
    await new Promise((resolve) => setTimeout(resolve, EVENT_PAUSE_MS));
  }
}

async function counted({ subject }: Context, { counted }: CaseStep): Promise<void> {
  const counters = await subject.counters();
  for (const [name, packets] of Object.entries(counted!)) {
    const { handle } = parseEntry(`put ${name}`).value;
    const found = counters.get(handle);
    // What never counted need not be told.
    if (found === undefined && packets === 0) continue;
    if (found === undefined) throw new Wrong(`collect does not list ${name}`);
    if (found.packets !== packets)
      throw new Wrong(`${name} counts ${found.packets} packets, it was hit by ${packets}`);
    if (packets > 0 && found.bytes === 0) throw new Wrong(`${name} counts packets and no bytes`);
    if (packets > 0 && found.lastUsed === 0) throw new Wrong(`${name} counts packets and was never used`);
  }
}

async function notices({ subject, model }: Context, step: CaseStep): Promise<void> {
  for (let left = step.notices!; left > 0; left -= NOTICES_MAX) {
    const notice = subject.runner.beginNotices();
    if (notice === undefined) throw new Wrong('the plugin takes no notices');
    for (let index = 0; index < Math.min(left, NOTICES_MAX); index++) {
      notice.append();
      notice.noticeType = index % NOTICE_TYPE_NAMES.length;
      notice.ifindex = index;
      notice.value = index;
      notice.port = ((1 << 28) | (index % 100)) >>> 0;
    }
    subject.runner.commitNotices();
    // Answered in order: what is asked now comes after them.
    await subject.used();
  }
  await model.compare(subject);
}

async function capacity(context: Context, step: CaseStep): Promise<void> {
  const { line, beyond, most } = step.capacity!;
  const { subject, model } = context;
  const kind = parseEntry(fill(line, { i: 1 })).kind;
  const ability = subject.description.abilities.find((one) => ENTRY_KIND_NAMES[one.kind] === kind);
  const total = ability?.capacity ?? 0;
  if (total > most) throw new LeftOut(`it holds ${total} entries of ${kind}, more than ${most}`);
  const held = [...model.entries.values()].filter((entry) => entry.kind === kind).length;
  const first = held + 1;
  const entries = Array.from({ length: total + beyond - held }, (_, index) =>
    parseEntry(fill(line, { i: first + index })),
  );
  await applyAll(context, entries, { answer: 'full', fits: total - held });
  await model.compare(subject);
}
