/**
 * Counters that outlive the host: a file with a line of JSON for each entry that ever counted, written beside the old one
 * and renamed. What cannot be read is told and left out; counting goes on.
 */

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { SavedCounter } from './counters.ts';

/** Lines read and written; counters of further entries start from zero. */
const ENTRIES_MAX = 2_000_000;

export interface SavedEntry extends SavedCounter {
  readonly plugin: string;
  /** The entry as people read it: handles are new in every host. */
  readonly entry: string;
}

export class SavedCounters {
  readonly #path: string;
  readonly #entries = new Map<string, SavedCounter>();

  /** Reads the file if there is one; `warn` is told what is wrong with it. */
  constructor(path: string, warn: (message: string) => void) {
    this.#path = path;
    try {
      if (existsSync(path)) this.#read(readFileSync(path, 'utf8'), warn);
    } catch (error) {
      warn(`counters of earlier hosts: ${(error as Error).message}`);
    }
  }

  /** What was counted before, once: whoever asks goes on with it. */
  take(plugin: string, entry: string): SavedCounter | undefined {
    const key = keyOf(plugin, entry);
    const saved = this.#entries.get(key);
    this.#entries.delete(key);
    return saved;
  }

  /** All that was counted under a name before, once. */
  *takeAll(plugin: string): Generator<SavedEntry> {
    for (const [key, saved] of this.#entries) {
      if (!key.startsWith(`${plugin} `)) continue;
      this.#entries.delete(key);
      yield { plugin, entry: key.slice(plugin.length + 1), ...saved };
    }
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Throws what the file system says. */
  write(entries: Iterable<SavedEntry>): void {
    const lines: string[] = [];
    for (const entry of entries) {
      if (lines.length === ENTRIES_MAX) break;
      lines.push(JSON.stringify(entry));
    }
    const making = `${this.#path}.${process.pid}`;
    try {
      writeFileSync(making, lines.length === 0 ? '' : `${lines.join('\n')}\n`, { mode: 0o600 });
      renameSync(making, this.#path);
    } catch (error) {
      rmSync(making, { force: true });
      throw error;
    }
  }

  #read(text: string, warn: (message: string) => void): void {
    let bad = 0;
    for (const line of text.split('\n')) {
      if (line === '' || this.#entries.size === ENTRIES_MAX) continue;
      const entry = parse(line);
      if (entry === undefined) bad++;
      else this.#entries.set(keyOf(entry.plugin, entry.entry), entry);
    }
    if (bad > 0) warn(`${this.#path}: ${bad} lines are no counters; those entries count from zero`);
  }
}

function keyOf(plugin: string, entry: string): string {
  return `${plugin} ${entry}`;
}

function parse(line: string): SavedEntry | undefined {
  try {
    const { plugin, entry, ...counts } = JSON.parse(line) as Record<string, unknown>;
    const { packets, bytes, devicePackets, deviceBytes } = counts;
    const isSound = [packets, bytes, devicePackets, deviceBytes].every(
      (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0,
    );
    if (typeof plugin !== 'string' || typeof entry !== 'string' || !isSound) return undefined;
    return { plugin, entry, packets, bytes, devicePackets, deviceBytes } as SavedEntry;
  } catch {
    return undefined;
  }
}
