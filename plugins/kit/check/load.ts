/** Very many changes, and how long few take. Batches are encoded once and copied, so that the plugin is what is measured. */

import { BATCH_AREA_SIZE, BATCH_ENTRIES_MAX, BatchEncoder } from '../../../host/plugin/batch.ts';
import { memoryViews } from '../../../host/plugin/record-cursor.ts';
import { expand } from './case.ts';
import type { Entry } from './entry.ts';
import type { Model } from './model.ts';
import type { CaseStep } from './schema.ts';
import { addEntry, roomOf, type Subject, Wrong } from './subject.ts';

/** Batches on their way at a time: as many as the host has. */
const IN_FLIGHT = 8;

/** Where batches are encoded: a batch area is megabytes, what one of them fills of it is little. */
const encoder = new BatchEncoder(memoryViews(new ArrayBuffer(BATCH_AREA_SIZE)), 0);

/** Entries of one batch with their encoded form. */
class Prepared {
  readonly entries: readonly Entry[];
  private readonly handles: Uint32Array;
  private readonly operations: Uint8Array;
  private readonly room: number;
  /** The records of each list. */
  private readonly lists: readonly { readonly bytes: Uint8Array; readonly length: number }[];

  constructor(entries: readonly Entry[]) {
    this.entries = entries;
    encoder.reset();
    for (const entry of entries) addEntry(encoder, entry);
    this.handles = encoder.handles.slice(0, encoder.count);
    this.operations = encoder.operations.slice(0, encoder.count);
    this.room = encoder.room;
    this.lists = encoder.lists.map(({ u8, start, length, stride }) => ({
      bytes: u8.slice(start, start + length * stride),
      length,
    }));
  }

  /** Puts the entries into an empty batch. */
  copyTo(batch: BatchEncoder): void {
    batch.handles.set(this.handles);
    batch.operations.set(this.operations);
    batch.count = this.handles.length;
    batch.room = this.room;
    for (const [list, { bytes, length }] of this.lists.entries()) {
      const to = batch.lists[list]!;
      to.u8.set(bytes, to.start);
      to.reset(length);
    }
  }
}

/** The first `most` entries of each round as batches of at most `size`. */
function prepare(
  step: CaseStep,
  rounds: readonly (readonly string[])[],
  size: number,
  most = Number.POSITIVE_INFINITY,
): Prepared[] {
  const batches: Prepared[] = [];
  for (const round of rounds) {
    let entries: Entry[] = [];
    let room = BATCH_ENTRIES_MAX;
    for (const entry of expand(round, step.for).slice(0, most)) {
      if (entries.length === size || room < roomOf(entry)) {
        batches.push(new Prepared(entries));
        entries = [];
        room = BATCH_ENTRIES_MAX;
      }
      entries.push(entry);
      room -= roomOf(entry);
    }
    if (entries.length > 0) batches.push(new Prepared(entries));
  }
  return batches;
}

/** Runs a storm and returns the figures as text. */
export async function storm(subject: Subject, model: Model, step: CaseStep): Promise<string> {
  const { rounds, changes, seconds, growth } = step.storm!;
  const batches = prepare(step, rounds, 256);
  const begin = performance.now();
  let sent = 0;
  let half: { readonly memory: number; readonly sent: number } | undefined;
  let turn = 0;
  const flying = new Set<Promise<void>>();
  // Ends with a whole number of turns through all rounds, so that the model knows what is held then.
  while (turn % batches.length !== 0 || !isOver()) {
    const batch = batches[turn++ % batches.length]!;
    const answer = subject
      .send((to) => batch.copyTo(to))
      .then((outcomes) => {
        if (outcomes.length > 0)
          throw new Wrong(
            `${outcomes.length} changes of a batch were ${outcomes[0]!.status} (${outcomes[0]!.reason})`,
          );
        model.take(batch.entries, outcomes);
      });
    const settled = answer.finally(() => flying.delete(settled));
    flying.add(settled);
    sent += batch.entries.length;
    if (flying.size >= IN_FLIGHT) await Promise.race(flying);
    if (half === undefined && passed() >= 0.5) half = { memory: subject.runner.memory, sent };
  }
  await Promise.all(flying);
  const took = (performance.now() - begin) / 1000;
  await model.compare(subject);
  const { memory } = subject.runner;
  const grown = memory - (half?.memory ?? memory);
  const wanted = sent < changes ? ` of ${changes.toLocaleString('en')}` : '';
  const text = `${sent.toLocaleString('en')}${wanted} changes in ${took.toFixed(1)} s, ${kibibytes(memory)} of memory, ${kibibytes(grown)} more than halfway`;
  if (grown > growth) throw new Wrong(`${text}; ${kibibytes(growth)} are allowed`);
  return text;

  function passed(): number {
    return Math.max(sent / changes, (performance.now() - begin) / 1000 / seconds);
  }
  function isOver(): boolean {
    return passed() >= 1;
  }
}

/** Times batches one by one; a line of figures for each size. */
export async function latency(subject: Subject, model: Model, step: CaseStep): Promise<string[]> {
  const { rounds, batches: sizes, samples, median } = step.latency!;
  const lines: string[] = [];
  for (const size of sizes) {
    // The sizes of a batch vary only at the end of a round; those are not timed.
    // All rounds in whole turns: no more of each than is timed, or batches of one would take for ever.
    const batches = prepare(step, rounds, size, Math.ceil(samples / rounds.length) * size);
    const times: number[] = [];
    for (let turn = 0; times.length < samples || turn % batches.length !== 0; turn++) {
      const batch = batches[turn % batches.length]!;
      const begin = performance.now();
      const outcomes = await subject.send((to) => batch.copyTo(to));
      const took = performance.now() - begin;
      model.take(batch.entries, outcomes);
      if (batch.entries.length === size && times.length < samples) times.push(took);
    }
    times.sort((a, b) => a - b);
    const at = (part: number) => times[Math.min(times.length - 1, Math.floor(times.length * part))]!;
    const text = `batches of ${size}: ${at(0.5).toFixed(2)} ms in the middle, 99 of 100 below ${at(0.99).toFixed(2)} ms`;
    if (at(0.5) > median) throw new Wrong(`${text}; ${median} ms are allowed in the middle`);
    lines.push(text);
  }
  await model.compare(subject);
  return lines;
}

function kibibytes(bytes: number): string {
  return `${(bytes / 1024).toLocaleString('en')} KiB`;
}
