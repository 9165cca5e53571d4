/**
 * A plugin written out of the WIT in each language, field by field through its bindings: it holds what the last batch said, answers each
 * entry by a sum of all its fields, each weighted by its place, and fills every field of what it gives from a sum of the notices it
 * heard. A field that a binding has in another place, or of another width, shows in one of these.
 */

import type { Layout } from '../../../host/plugin/layout.ts';
import { readLayouts } from '../../../host/plugin/package.ts';
import type { Value } from '../../../host/plugin/values.ts';
import { camelCase, pascalCase, snakeCase } from '../../../plugins/kit/generate/names.ts';
import type { Language } from '../../../plugins/kit/project.ts';

const LAYOUTS = readLayouts();

/** A number, enum or flags in a record, at the end of a path of names. */
interface Leaf {
  readonly path: readonly string[];
  readonly bytes: number;
  readonly is: 'number' | 'enum' | 'flags';
  readonly cases: readonly string[];
  /** Of the enum or flags. */
  readonly type: string;
}

interface Shape {
  /** Of the record, in WIT. */
  readonly name: string;
  readonly leaves: readonly Leaf[];
}

function leavesOf(layout: Layout, path: readonly string[] = []): Leaf[] {
  const { resolved, size } = layout;
  if (resolved.is === 'record')
    return resolved.fields.flatMap((field) => leavesOf(field.layout, [...path, field.name]));
  if (resolved.is === 'enum' || resolved.is === 'flags')
    return [{ path, bytes: size, is: resolved.is, cases: resolved.cases, type: resolved.name }];
  return [{ path, bytes: size, is: 'number', cases: [], type: '' }];
}

export function shapeOf(name: string): Shape {
  return { name, leaves: leavesOf(LAYOUTS.named('types', name)) };
}

/** The lists of a batch, in order. */
export const LISTS: readonly (Shape & { readonly list: string })[] = (() => {
  const { resolved } = LAYOUTS.named('types', 'batch');
  if (resolved.is !== 'record') throw new TypeError('batch is a record');
  return resolved.fields.map(({ name, layout }) => {
    const element = layout.resolved.is === 'list' ? layout.resolved.element.resolved : undefined;
    if (element?.is !== 'record') throw new TypeError(`${name} is no list of records`);
    return { list: name, ...shapeOf(element.name) };
  });
})();

const NOTICE = shapeOf('notice');
/** What the plugin gives of itself, and how many of each. */
export const GIVEN = { event: 3, counter: 3, 'table-usage': 3 } as const;
/** Records it has room for, by list. */
const ROOM = 512;
/** Where it goes on with its counters after the first of them. */
const SECOND_PAGE = 77;

/** Of the lower word of a field; that of the upper word is the next one. */
const weight = (leaf: number): number => Math.imul(1_000_003, 2 * leaf + 1) >>> 0;

/** What the plugin answers for a record. */
export function sumOf({ leaves }: Shape, value: Value): number {
  let sum = 0;
  for (const [place, leaf] of leaves.entries()) {
    const number = numberAt(leaf, value);
    const upper = Number(number >> 32n);
    sum += Math.imul(Number(number & 0xffff_ffffn), weight(place)) + Math.imul(upper, weight(place) + 1);
  }
  return sum >>> 0;
}

function numberAt({ path, cases, is }: Leaf, value: Value): bigint {
  const found = path.reduce((one, name) => (one as Record<string, Value>)[camelCase(name)]!, value);
  if (is === 'enum') return BigInt(cases.indexOf(found as string));
  if (is === 'flags')
    return cases.reduce(
      (bits, name, bit) =>
        bits | (BigInt((found as Record<string, boolean>)[camelCase(name)]!) << BigInt(bit)),
      0n,
    );
  return BigInt(found as number | bigint);
}

/** What it heard, after one more notice. */
export function heard(before: number, notice: Value): number {
  return (Math.imul(before, 31) + sumOf(NOTICE, notice)) >>> 0;
}

/** Each leaf of record number `index` that it gives, by path. */
export function given(
  name: keyof typeof GIVEN,
  index: number,
  seed: number,
): [path: string, number: number][] {
  return shapeOf(name).leaves.map((leaf, place) => {
    const number = seed + 7 * place + 13 * index;
    return [leaf.path.map(camelCase).join('.'), leaf.bytes === 8 ? number * 1_048_577 : number % range(leaf)];
  });
}

function range({ is, cases, bytes }: Leaf): number {
  return is === 'enum' ? cases.length : is === 'flags' ? 2 ** cases.length : 2 ** (8 * bytes);
}

export const DESCRIPTION = {
  vendor: 'Grüße & Söhne',
  name: 'recorder',
  version: '1.2.3',
  groupMembers: 77,
  aclFields: 0b1_0010_0000_0101,
  aclEdits: 0b100_0000_1010,
  notices: 0b101_0101,
  offloadKinds: [],
};
const KINDS = LISTS.filter(({ name }) => name !== 'member');
/** Of the ability of a kind. */
export const capacityOf = (kind: number): number => 1000 + kind;

function lines<T>(of: readonly T[], line: (one: T, index: number) => string): string {
  return of.map(line).join('\n');
}

// ---- C ----

function inC(): string {
  const at = (leaf: Leaf) => leaf.path.map(snakeCase).join('.');
  const fill = (name: keyof typeof GIVEN) =>
    lines(shapeOf(name).leaves, (leaf, place) => {
      const number = `((uint64_t)heard + ${7 * place} + 13 * n)`;
      return `    to->${at(leaf)} = ${leaf.bytes === 8 ? `${number} * 1048577` : `${number} % ${range(leaf)}ull`};`;
    });
  return `#define EKHO_IMPLEMENT
#include <ekho.h>
static uint32_t sum, heard;
static void add(uint32_t weight, uint64_t number) { sum += (uint32_t)number * weight + (uint32_t)(number >> 32) * (weight + 1); }
${lines(LISTS, ({ name, list }) => `static ekho_${snakeCase(name)} held_${snakeCase(list)}[${ROOM}]; static uint32_t count_${snakeCase(list)};`)}
void ekho_plugin_describe(ekho_plugin_description *result) {
  static ekho_plugin_ability abilities[${KINDS.length}];
  for (uint32_t n = 0; n < ${KINDS.length}; n++)
    abilities[n] = (ekho_plugin_ability){.kind = n, .capacity = 1000 + n, .update_in_place = true, .counts = n % 2, .reads_back = n % 3 == 0};
  *result = (ekho_plugin_description){
    .vendor = EKHO_STRING("${DESCRIPTION.vendor}"), .name = EKHO_STRING("recorder"), .version = EKHO_STRING("1.2.3"),
    .abilities = {abilities, ${KINDS.length}}, .acl_fields = ${DESCRIPTION.aclFields}, .acl_edits = ${DESCRIPTION.aclEdits}, .group_members = 77,
    .reverse_path = true, .vlan_interfaces = false, .poll_interval = 0, .notices = ${DESCRIPTION.notices},
  };
}
void ekho_plugin_configure(const ekho_plugin_setting_list *settings, ekho_result_none_string *result) {
  for (uint32_t n = 0; n < settings->count; n++) {
    ekho_log_write(EKHO_LOG_LEVEL_WARN, settings->items[n].name);
    ekho_log_write(EKHO_LOG_LEVEL_WARN, settings->items[n].value);
    if (settings->items[n].value.length == 0) *result = (ekho_result_none_string){.is_error = true, .error = settings->items[n].name};
  }
}
void ekho_plugin_start(ekho_result_none_string *result) { (void)result; }
void ekho_plugin_stop(void) {}
void ekho_offload_apply(const ekho_batch *changes, ekho_outcome_list *result) {
  uint32_t members = 0;
  result->items = ekho_alloc(${KINDS.length} * ${ROOM} * sizeof *result->items);
${lines(
  LISTS,
  ({ name, list, leaves }) => `  count_${snakeCase(list)} = changes->${snakeCase(list)}.count;
  for (uint32_t n = 0; n < changes->${snakeCase(list)}.count; n++) {
    const ekho_${snakeCase(name)} *from = &changes->${snakeCase(list)}.items[n];
    ekho_${snakeCase(name)} *to = &held_${snakeCase(list)}[n];
    memset(to, 0, sizeof *to);
    sum = 0;
${lines(leaves, (leaf, place) => `    to->${at(leaf)} = from->${at(leaf)}; add(${weight(place)}u, from->${at(leaf)});`)}
    ${
      name === 'member'
        ? 'members += sum;'
        : `result->items[result->count++] = (ekho_outcome){from->handle, EKHO_STATUS_REFUSED, EKHO_REASON_UNSUPPORTED_MATCH, sum${name === 'group' ? ' + members' : ''}};`
    }
  }`,
)}
}
void ekho_offload_readback(uint32_t cursor, uint32_t limit, ekho_offload_page *result) {
  (void)limit;
  switch (cursor) {
${lines(LISTS, ({ list, name }, n) => `  case ${n}: result->entries.${snakeCase(list)} = (ekho_${snakeCase(name)}_list){held_${snakeCase(list)}, count_${snakeCase(list)}}; break;`)}
  }
  result->next = cursor + 1 < ${LISTS.length} ? cursor + 1 : 0;
}
void ekho_offload_poll(ekho_event_list *result) {
  static ekho_event events[${GIVEN.event}];
  for (uint32_t n = 0; n < ${GIVEN.event}; n++) {
    ekho_event *to = &events[n];
${fill('event')}
  }
  *result = (ekho_event_list){events, ${GIVEN.event}};
}
void ekho_offload_tables(ekho_table_usage_list *result) {
  static ekho_table_usage tables[${GIVEN['table-usage']}];
  for (uint32_t n = 0; n < ${GIVEN['table-usage']}; n++) {
    ekho_table_usage *to = &tables[n];
${fill('table-usage')}
  }
  *result = (ekho_table_usage_list){tables, ${GIVEN['table-usage']}};
}
void ekho_stats_collect(uint32_t cursor, uint32_t limit, ekho_stats_page *result) {
  static ekho_counter counters[${GIVEN.counter}];
  (void)limit;
  for (uint32_t n = 0; n < ${GIVEN.counter}; n++) {
    ekho_counter *to = &counters[n];
${fill('counter')}
  }
  result->counters = cursor == 0 ? (ekho_counter_list){counters, 1} : (ekho_counter_list){counters + 1, ${GIVEN.counter - 1}};
  result->next = cursor == 0 ? ${SECOND_PAGE} : 0;
}
void ekho_notifier_notify(const ekho_notice_list *notices) {
  for (uint32_t n = 0; n < notices->count; n++) {
    const ekho_notice *from = &notices->items[n];
    sum = 0;
${lines(NOTICE.leaves, (leaf, place) => `    add(${weight(place)}u, from->${at(leaf)});`)}
    heard = heard * 31 + sum;
  }
}
`;
}

// ---- AssemblyScript ----

function inAssemblyScript(): string {
  const at = (leaf: Leaf) => leaf.path.map(camelCase).join('.');
  const type = (leaf: Leaf) => `u${8 * leaf.bytes}`;
  const fill = (name: keyof typeof GIVEN) =>
    lines(shapeOf(name).leaves, (leaf, place) => {
      const number = `(<u64>heard + ${7 * place} + 13 * n)`;
      return `  to.${at(leaf)} = <${type(leaf)}>(${leaf.bytes === 8 ? `${number} * 1048577` : `${number} % ${range(leaf)}`});`;
    });
  const names = LISTS.map(({ name }) => pascalCase(name)).join(', ');
  return `import {
  Batch, Counter, Event, EventList, LogLevel, logWrite, NoticeList, OffloadPage, OutcomeList, PluginDescription, PluginSettingList, Reason,
  StatsPage, Status, TableUsage, TableUsageList, ${names},
} from "./ekho";
let sum: u32 = 0;
let heard: u32 = 0;
function add(weight: u32, number: u64): void { sum += <u32>number * weight + <u32>(number >> 32) * (weight + 1); }
${lines(
  LISTS,
  (
    { name, list },
    n,
  ) => `const held${n} = new StaticArray<${pascalCase(name)} | null>(${ROOM}); let count${n}: i32 = 0;
function place${n}(n: i32): ${pascalCase(name)} {
  const to = held${n}[n] || ${pascalCase(name)}.lasting();
  held${n}[n] = to;
  return to;
}
function take${n}(changes: Batch, result: OutcomeList): void {
  count${n} = changes.${camelCase(list)}.length;
  for (let n = 0; n < count${n}; n++) {
    const from = changes.${camelCase(list)}[n];
    const to = place${n}(n);
    sum = 0;
${lines(LISTS[n]!.leaves, (leaf, place) => `    to.${at(leaf)} = from.${at(leaf)}; add(${weight(place)}, from.${at(leaf)});`)}
    ${
      name === 'member'
        ? 'members += sum;'
        : `const outcome = result.add(); outcome.handle = from.handle; outcome.status = Status.refused; outcome.reason = Reason.unsupportedMatch; outcome.detail = sum${name === 'group' ? ' + members' : ''};`
    }
  }
}
function give${n}(result: OffloadPage): void {
  for (let n = 0; n < count${n}; n++) {
    const from = place${n}(n);
    const to = result.entries.${camelCase(list)}.add();
${lines(LISTS[n]!.leaves, (leaf) => `    to.${at(leaf)} = from.${at(leaf)};`)}
  }
}`,
)}
let members: u32 = 0;
export function pluginDescribe(result: PluginDescription): void {
  result.vendor = "${DESCRIPTION.vendor}"; result.name = "recorder"; result.version = "1.2.3";
  for (let n = 0; n < ${KINDS.length}; n++) {
    const ability = result.abilities.add();
    ability.kind = <u8>n; ability.capacity = 1000 + n; ability.updateInPlace = true; ability.counts = n % 2 == 1; ability.readsBack = n % 3 == 0;
  }
  result.aclFields = ${DESCRIPTION.aclFields}; result.aclEdits = ${DESCRIPTION.aclEdits}; result.groupMembers = 77; result.reversePath = true; result.vlanInterfaces = false;
  result.pollInterval = 0; result.notices = ${DESCRIPTION.notices};
}
export function pluginConfigure(settings: PluginSettingList): string | null {
  let refused: string | null = null;
  for (let n = 0; n < settings.length; n++) {
    logWrite(LogLevel.warn, settings[n].name);
    logWrite(LogLevel.warn, settings[n].value);
    if (settings[n].value.length == 0) refused = settings[n].name;
  }
  return refused;
}
export function pluginStart(): string | null { return null; }
export function pluginStop(): void {}
export function offloadApply(changes: Batch, result: OutcomeList): void {
  members = 0;
${lines(LISTS, (_, n) => `  take${n}(changes, result);`)}
}
export function offloadReadback(cursor: u32, limit: u32, result: OffloadPage): void {
  switch (cursor) {
${lines(LISTS, (_, n) => `    case ${n}: give${n}(result); break;`)}
  }
  result.next = cursor + 1 < ${LISTS.length} ? cursor + 1 : 0;
}
function fillEvent(to: Event, n: u32): void {
${fill('event')}
}
function fillTable(to: TableUsage, n: u32): void {
${fill('table-usage')}
}
function fillCounter(to: Counter, n: u32): void {
${fill('counter')}
}
export function offloadPoll(result: EventList): void { for (let n = 0; n < ${GIVEN.event}; n++) fillEvent(result.add(), n); }
export function offloadTables(result: TableUsageList): void { for (let n = 0; n < ${GIVEN['table-usage']}; n++) fillTable(result.add(), n); }
export function statsCollect(cursor: u32, limit: u32, result: StatsPage): void {
  if (cursor == 0) fillCounter(result.counters.add(), 0);
  else for (let n = 1; n < ${GIVEN.counter}; n++) fillCounter(result.counters.add(), n);
  result.next = cursor == 0 ? ${SECOND_PAGE} : 0;
}
export function notifierNotify(notices: NoticeList): void {
  for (let n = 0; n < notices.length; n++) {
    const from = notices[n];
    sum = 0;
${lines(NOTICE.leaves, (leaf, place) => `    add(${weight(place)}, from.${at(leaf)});`)}
    heard = heard * 31 + sum;
  }
}
`;
}

// ---- TypeScript ----

/** An object written out from its leaves. */
function literal(
  leaves: readonly Leaf[],
  value: (leaf: Leaf, place: number) => string,
  field = camelCase,
): string {
  const parts = new Map<string, string[]>();
  for (const [place, leaf] of leaves.entries()) {
    const [outer, inner] = leaf.path as [string, string | undefined];
    const text = value(leaf, place);
    if (inner === undefined) parts.set(outer, [text]);
    else parts.set(outer, [...(parts.get(outer) ?? []), `${field(inner)}: ${text}`]);
  }
  const nested = (name: string) => leaves.some(({ path }) => path.length > 1 && path[0] === name);
  return [...parts]
    .map(([name, texts]) => `${field(name)}: ${nested(name) ? `{ ${texts.join(', ')} }` : texts[0]}`)
    .join(', ');
}

function inTypeScript(): string {
  const at = (leaf: Leaf) => leaf.path.map(camelCase).join('.');
  const names = (leaf: Leaf, change = (name: string) => name) =>
    `[${leaf.cases.map((name) => `'${change(name)}'`).join(', ')}]`;
  const copied = (leaf: Leaf) =>
    leaf.is === 'flags'
      ? `{ ${leaf.cases.map((name) => `${camelCase(name)}: from.${at(leaf)}.${camelCase(name)} === true`).join(', ')} }`
      : `from.${at(leaf)}`;
  const number = (leaf: Leaf) =>
    leaf.is === 'enum'
      ? `(${names(leaf)} as string[]).indexOf(from.${at(leaf)})`
      : leaf.is === 'flags'
        ? `bits(${names(leaf, camelCase)}, from.${at(leaf)})`
        : `from.${at(leaf)}`;
  const fill = (name: keyof typeof GIVEN) =>
    literal(shapeOf(name).leaves, (leaf, place) => {
      const value = `(heard + ${7 * place} + 13 * n)`;
      if (leaf.bytes === 8) return `${value} * 1048577`;
      return leaf.is === 'enum'
        ? `(${names(leaf)} as const)[${value} % ${range(leaf)}]!`
        : `${value} % ${range(leaf)}`;
    });
  const flags = (value: number, type: string) =>
    (LAYOUTS.named('types', type).resolved as { cases: readonly string[] }).cases
      .filter((_, bit) => ((value >> bit) & 1) === 1)
      .map((name) => `${camelCase(name)}: true`)
      .join(', ');
  return `import { log } from './ekho.ts';
import type { Batch, Counter, Event, Notifier, Offload, Outcome, Plugin, Stats, TableUsage } from './ekho.ts';
let sum = 0;
let heard = 0;
function add(weight: number, number: number): void {
  sum = (sum + Math.imul(number % 2 ** 32, weight) + Math.imul(Math.floor(number / 2 ** 32), weight + 1)) >>> 0;
}
function bits(names: readonly string[], flags: object): number {
  return names.reduce((sum, name, bit) => sum + ((flags as { [name: string]: boolean })[name] ? 2 ** bit : 0), 0);
}
const nothing = (): Batch => ({ ${LISTS.map(({ list }) => `${camelCase(list)}: []`).join(', ')} });
let held = nothing();
export const plugin: Plugin = {
  describe: () => ({
    vendor: '${DESCRIPTION.vendor}', name: 'recorder', version: '1.2.3',
    abilities: ([${KINDS.map(({ name }) => `'${name}'`).join(', ')}] as const).map((kind, n) => ({
      kind, capacity: 1000 + n, updateInPlace: true, counts: n % 2 === 1, readsBack: n % 3 === 0,
    })),
    aclFields: { ${flags(DESCRIPTION.aclFields, 'acl-fields')} }, aclEdits: { ${flags(DESCRIPTION.aclEdits, 'acl-edits')} }, notices: { ${flags(DESCRIPTION.notices, 'notice-set')} }, offloadKinds: [],
    groupMembers: 77, reversePath: true, vlanInterfaces: false, pollInterval: 0,
  }),
  configure(settings) {
    for (const { name, value } of settings) {
      log.write('warn', name);
      log.write('warn', value);
    }
    const refused = settings.find(({ value }) => value === '');
    if (refused !== undefined) throw refused.name;
  },
  start() {},
  stop() {},
};
export const offload: Offload = {
  apply(changes) {
    const outcomes: Outcome[] = [];
    let members = 0;
    held = nothing();
${lines(
  LISTS,
  ({ name, list, leaves }) => `    for (const from of changes.${camelCase(list)}) {
      sum = 0;
${lines(leaves, (leaf, place) => `      add(${weight(place)}, ${number(leaf)});`)}
      held.${camelCase(list)}.push({ ${literal(leaves, copied)} });
      ${
        name === 'member'
          ? 'members = (members + sum) >>> 0;'
          : `outcomes.push({ handle: from.handle, status: 'refused', reason: 'unsupported-match', detail: ${name === 'group' ? '(sum + members) >>> 0' : 'sum'} });`
      }
    }`,
)}
    return outcomes;
  },
  readback(cursor) {
    const entries = nothing();
${lines(LISTS, ({ list }, n) => `    if (cursor === ${n}) entries.${camelCase(list)} = held.${camelCase(list)};`)}
    return { next: cursor + 1 < ${LISTS.length} ? cursor + 1 : 0, entries };
  },
  poll: () => [0, 1, 2].map((n): Event => ({ ${fill('event')} })),
  tables: () => [0, 1, 2].map((n): TableUsage => ({ ${fill('table-usage')} })),
};
export const notifier: Notifier = {
  notify(notices) {
    for (const from of notices) {
      sum = 0;
${lines(NOTICE.leaves, (leaf, place) => `      add(${weight(place)}, ${number(leaf)});`)}
      heard = (Math.imul(heard, 31) + sum) >>> 0;
    }
  },
};
export const stats: Stats = {
  collect(cursor) {
    const counters = [0, 1, 2].map((n): Counter => ({ ${fill('counter')} }));
    return cursor === 0 ? { next: ${SECOND_PAGE}, counters: counters.slice(0, 1) } : { next: 0, counters: counters.slice(1) };
  },
};
`;
}

// ---- Rust ----

function inRust(): string {
  const at = (leaf: Leaf) => leaf.path.map(snakeCase).join('.');
  const number = (leaf: Leaf) => `from.${at(leaf)}${leaf.is === 'number' ? '' : '.0'} as u64`;
  const record = (leaves: readonly Leaf[], value: (leaf: Leaf, place: number) => string) =>
    // The one record in a record is an address.
    literal(leaves, value, snakeCase).replaceAll(': { ', ': Address { ');
  const fill = (name: keyof typeof GIVEN) =>
    record(shapeOf(name).leaves, (leaf, place) => {
      const value = `(self.heard as u64 + ${7 * place} + 13 * n)`;
      if (leaf.bytes === 8) return `${value} * 1048577`;
      const narrow = `(${value} % ${range(leaf)}) as u${8 * leaf.bytes}`;
      return leaf.is === 'number' ? narrow : `${pascalCase(leaf.type)}(${narrow})`;
    });
  return `mod ekho;
use ekho::*;
#[derive(Default)]
struct Recorder { heard: u32, ${LISTS.map(({ list, name }) => `${snakeCase(list)}: Vec<${pascalCase(name)}>`).join(', ')} }
ekho::export!(Recorder);
fn term(weight: u32, number: u64) -> u32 {
    (number as u32).wrapping_mul(weight).wrapping_add(((number >> 32) as u32).wrapping_mul(weight + 1))
}
fn total(terms: &[u32]) -> u32 { terms.iter().fold(0, |sum, term| sum.wrapping_add(*term)) }
impl Plugin for Recorder {
    fn describe(&mut self) -> PluginDescription {
        let ability = |n: u8| PluginAbility {
            kind: Kind(n), capacity: 1000 + n as u32, update_in_place: true, counts: n % 2 == 1, reads_back: n % 3 == 0,
        };
        PluginDescription {
            vendor: "${DESCRIPTION.vendor}".into(), name: "recorder".into(), version: "1.2.3".into(),
            abilities: (0..${KINDS.length}).map(ability).collect(), acl_fields: AclFields(${DESCRIPTION.aclFields}), acl_edits: AclEdits(${DESCRIPTION.aclEdits}), group_members: 77,
            reverse_path: true, vlan_interfaces: false, poll_interval: 0, notices: NoticeSet(${DESCRIPTION.notices}), offload_kinds: Default::default(),
        }
    }
    fn configure(&mut self, settings: List<PluginSetting>) -> Result<(), String> {
        for one in &settings {
            log::write(LogLevel::WARN, &one.name);
            log::write(LogLevel::WARN, &one.value);
        }
        settings.iter().find(|one| one.value.is_empty()).map_or(Ok(()), |one| Err(one.name.to_string()))
    }
    fn start(&mut self) -> Result<(), String> { Ok(()) }
    fn stop(&mut self) {}
}
impl Offload for Recorder {
    fn apply(&mut self, changes: Batch) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut members = 0u32;
        ${LISTS.map(({ list }) => `self.${snakeCase(list)}.clear();`).join(' ')}
${lines(
  LISTS,
  ({ name, list, leaves }) => `        for from in &changes.${snakeCase(list)} {
            let sum = total(&[${leaves.map((leaf, place) => `term(${weight(place)}, ${number(leaf)})`).join(', ')}]);
            self.${snakeCase(list)}.push(${pascalCase(name)} { ${record(leaves, (leaf) => `from.${at(leaf)}`)} });
            ${
              name === 'member'
                ? 'members = members.wrapping_add(sum);'
                : `outcomes.push(Outcome { handle: from.handle, status: Status::REFUSED, reason: Reason::UNSUPPORTED_MATCH, detail: ${name === 'group' ? 'sum.wrapping_add(members)' : 'sum'} });`
            }
        }`,
)}
        outcomes
    }
    fn readback(&mut self, cursor: u32, _limit: u32) -> OffloadPage {
        let mut entries = Batch::default();
        match cursor {
${lines(LISTS, ({ list }, n) => `            ${n} => entries.${snakeCase(list)} = self.${snakeCase(list)}.clone().into(),`)}
            _ => {}
        }
        OffloadPage { next: if cursor + 1 < ${LISTS.length} { cursor + 1 } else { 0 }, entries }
    }
    fn poll(&mut self) -> Vec<Event> { (0..${GIVEN.event}u64).map(|n| Event { ${fill('event')} }).collect() }
    fn tables(&mut self) -> Vec<TableUsage> { (0..${GIVEN['table-usage']}u64).map(|n| TableUsage { ${fill('table-usage')} }).collect() }
}
impl Notifier for Recorder {
    fn notify(&mut self, notices: List<Notice>) {
        for from in &notices {
            let sum = total(&[${NOTICE.leaves.map((leaf, place) => `term(${weight(place)}, ${number(leaf)})`).join(', ')}]);
            self.heard = self.heard.wrapping_mul(31).wrapping_add(sum);
        }
    }
}
impl Stats for Recorder {
    fn collect(&mut self, cursor: u32, _limit: u32) -> StatsPage {
        let range = if cursor == 0 { 0..1u64 } else { 1..${GIVEN.counter}u64 };
        StatsPage { next: if cursor == 0 { ${SECOND_PAGE} } else { 0 }, counters: range.map(|n| Counter { ${fill('counter')} }).collect() }
    }
}
`;
}

/** File of the project, and its text. */
export function recorder(language: Language): readonly [file: string, text: string] {
  switch (language) {
    case 'c':
      return ['plugin.c', inC()];
    case 'assemblyscript':
      return ['plugin.ts', inAssemblyScript()];
    case 'typescript':
      return ['plugin.ts', inTypeScript()];
    case 'rust':
      return ['src/lib.rs', inRust()];
  }
}
