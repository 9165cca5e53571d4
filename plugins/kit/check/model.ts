/** What the hardware must hold after the answers the plugin gave: the suite's own copy of the truth. */

import { ENTRY_KIND_NAMES } from '../../../host/plugin/records.ts';
import type { Description } from '../../../host/plugin/runner.ts';
import { camelCase } from '../../../host/plugin/values.ts';
import { type Entry, type Kind, type Member, nameOf, recordLayout } from './entry.ts';
import { type Outcome, type Subject, Wrong } from './subject.ts';

/** Differences told of one readback. */
const TOLD_MAX = 4;

export class Model {
  readonly entries = new Map<number, Entry>();

  /** Takes in a batch and what the plugin answered: what it refused or failed to do leaves what was held before. */
  take(batch: readonly Entry[], outcomes: readonly Outcome[]): void {
    const undone = new Set(outcomes.filter(({ status }) => status !== 'trapped').map(({ handle }) => handle));
    for (const entry of batch) {
      if (undone.has(entry.value.handle)) continue;
      if (entry.value.operation === 'put') this.entries.set(entry.value.handle, entry);
      else this.entries.delete(entry.value.handle);
    }
  }

  /** Kinds that cannot be read back are cleared by the plugin's start. */
  restarted({ abilities }: Description): void {
    for (const { kind, readsBack } of abilities) if (!readsBack) this.drop(ENTRY_KIND_NAMES[kind]!);
  }

  clear(): void {
    this.entries.clear();
  }

  private drop(kind: Kind): void {
    for (const [handle, entry] of this.entries) if (entry.kind === kind) this.entries.delete(handle);
  }

  /** Holds the plugin's readback and table fill to it. Throws `Wrong` with the first differences. */
  async compare(subject: Subject): Promise<void> {
    const held = await subject.held();
    const reading = kindsThatReadBack(subject.description);
    const differences: string[] = [];
    for (const [handle, entry] of this.entries) {
      if (!reading.has(entry.kind)) continue;
      const found = held.get(handle);
      if (found === undefined) differences.push(`${nameOf(handle)} is not held`);
      else differences.push(...fieldDifferences(entry, found));
    }
    for (const handle of held.keys())
      if (!this.entries.has(handle)) differences.push(`${nameOf(handle)} is held and should not be`);
    if (differences.length > 0) {
      const more = differences.length - TOLD_MAX;
      throw new Wrong(
        `readback: ${differences.slice(0, TOLD_MAX).join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
      );
    }
    await this.compareFill(subject);
  }

  private async compareFill(subject: Subject): Promise<void> {
    const used = await subject.used();
    for (const { kind } of subject.description.abilities) {
      const name = ENTRY_KIND_NAMES[kind]!;
      const expected = [...this.entries.values()].filter((entry) => entry.kind === name).length;
      const found = used.get(name);
      if (found === undefined) throw new Wrong(`tables does not list ${name}`);
      if (found !== expected)
        throw new Wrong(`tables counts ${found} entries of ${name}, ${expected} are held`);
    }
  }

  /** What was held must still be, whatever came since. */
  async containedIn(subject: Subject): Promise<void> {
    const held = await subject.held();
    const reading = kindsThatReadBack(subject.description);
    for (const [handle, entry] of this.entries) {
      if (!reading.has(entry.kind)) continue;
      const found = held.get(handle);
      if (found === undefined) throw new Wrong(`${nameOf(handle)} is no longer held`);
      const differences = fieldDifferences(entry, found);
      if (differences.length > 0) throw new Wrong(differences.join('; '));
    }
  }
}

function kindsThatReadBack({ abilities }: Description): Set<Kind> {
  return new Set(abilities.filter((one) => one.readsBack).map(({ kind }) => ENTRY_KIND_NAMES[kind]!));
}

function fieldDifferences(expected: Entry, found: Entry): string[] {
  const differences: string[] = [];
  const name = nameOf(expected.value.handle);
  for (const [field, value] of Object.entries(expected.value)) {
    // A readback has no operation; whatever stands there means nothing.
    if (field === 'operation') continue;
    const one = shown(expected.kind, field, value);
    const other = shown(expected.kind, field, found.value[field]);
    if (one !== other) differences.push(`${name} has ${field} ${other} in place of ${one}`);
  }
  const one = shownMembers(expected.members);
  const other = shownMembers(found.members);
  if (one !== other) differences.push(`${name} has members ${other} in place of ${one}`);
  return differences;
}

/** Members as the lines of a case write them. */
function shownMembers(members: readonly Member[] = []): string {
  return members.map(({ nexthop, weight }) => `${nameOf(nexthop)}*${weight}`).join(',') || 'none';
}

function shown(kind: Kind, field: string, value: unknown): string {
  if (typeof value === 'number' && isHandle(kind, field)) return value === 0 ? 'none' : nameOf(value);
  return (
    JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `0x${one.toString(16)}` : one)) ?? 'none'
  );
}

function isHandle(kind: Kind, field: string): boolean {
  const { resolved } = recordLayout(kind);
  if (resolved.is !== 'record') return false;
  const found = resolved.fields.find(({ name }) => camelCase(name) === field)?.layout.resolved;
  return found?.is === 'primitive' && found.alias === 'handle';
}
