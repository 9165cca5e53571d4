/** The records' layouts here and in bpf/notifier/record.h are one, and docs/notifiers.md is what the catalogue says. */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildAllBpf } from '../../../bpf/build.mjs';
import { BpfObject, type Btf, type BtfMember } from '../../../bpf/libbpf-ts/src/index.ts';
import { EVENTS, HOOKS, programName, programsOn, RUNGS } from '../../../host/kernel/notifier/catalogue.ts';
import { notifiersDocument } from '../../../host/kernel/notifier/document.ts';
import { type Field, GATEWAY, GATEWAYS_MAX, HEADER, LAYOUTS } from '../../../host/kernel/notifier/layouts.ts';

let object: BpfObject;
let btf: Btf;

beforeAll(() => {
  buildAllBpf();
  object = BpfObject.open(new URL('../../../build/bpf/notifier.bpf.o', import.meta.url).pathname);
  btf = object.btf!;
});
afterAll(() => object?.close());

const SIZES = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8 };

/** Offset and size of the scalars and arrays of scalars in a struct, those of the header with their own names left out. */
function members(struct: string): Record<string, [offset: number, bytes: number]> {
  const type = btf.find(struct, 'struct')!;
  const scalar = ({ name, type, bitOffset }: BtfMember): [string, [number, number]] => [
    name,
    [bitOffset / 8, btf.sizeOf(type)],
  ];
  return Object.fromEntries(type.members.map(scalar));
}

function declared(fields: ReadonlyMap<string, Field>): Record<string, [number, number]> {
  return Object.fromEntries(
    [...fields].map(([name, { offset, type, count }]) => [name, [offset, SIZES[type] * count]]),
  );
}

test('the header and gateways', () => {
  expect(members('notifier_header')).toEqual(declared(HEADER.fields));
  expect(members('gateway')).toEqual(declared(GATEWAY.fields));
  expect(btf.find('notifier_header', 'struct')!.size).toBe(HEADER.end);
  expect(btf.find('gateway', 'struct')!.size).toBe(GATEWAY.end);
});

test.each(Object.entries(LAYOUTS))('%s', (_, { struct, fields, size }) => {
  expect(btf.find(struct, 'struct')!.size).toBe(size);
  const { header, gateways, gateway, ...rest } = members(struct);
  expect(header).toEqual([0, HEADER.end]);
  if (gateways !== undefined) expect(gateways).toEqual([size - GATEWAY.end, GATEWAY.end]);
  // A gateway in the middle is declared member by member.
  const own = gateway === undefined ? [...fields] : [...fields].filter(([name]) => !GATEWAY.fields.has(name));
  if (gateway !== undefined) {
    for (const [name, { offset }] of GATEWAY.fields) {
      expect(fields.get(name)?.offset, name).toBe(gateway[0] + offset);
    }
  }
  expect(rest).toEqual(declared(new Map(own)));
});

test('records with many gateways have room for GATEWAYS_MAX', () => {
  for (const [struct, layout] of [
    ['route_multipath_record', LAYOUTS.route],
    ['nexthop_group_record', LAYOUTS.nexthop],
  ] as const) {
    const room = btf.find(struct, 'struct')!.size - layout.size;
    expect(room / GATEWAY.end + 1, struct).toBe(GATEWAYS_MAX);
  }
});

test('events have the numbers of enum notifier_event', () => {
  const values = btf.find('notifier_event', 'enum')!.values;
  const numbers = Object.fromEntries(values.map(([name, value]) => [name, Number(value)]));
  const constant = (name: string) => `EVENT_${name.toUpperCase().replaceAll('-', '_')}`;
  expect(numbers).toEqual(
    Object.fromEntries(Object.entries(EVENTS).map(([name, { number }]) => [constant(name), number])),
  );
});

test('every program belongs to a hook, and every hook has its programs', () => {
  const wanted = HOOKS.flatMap((hook) =>
    RUNGS.flatMap((rung) => programsOn(hook, rung).map((program) => programName(program, rung))),
  );
  expect([...object.programNames].sort()).toEqual([...new Set(wanted)].sort());
  for (const hook of HOOKS) {
    for (const rung of RUNGS) {
      for (const program of programsOn(hook, rung)) {
        expect(object.program(programName(program, rung)).section).toBe(`${rung}/${program.target}`);
      }
    }
  }
});

test('every event comes from a program of its hook', () => {
  for (const [name, { hook }] of Object.entries(EVENTS)) {
    const { functions, tracepoints } = HOOKS.find((each) => each.name === hook)!;
    const given = [...functions, ...tracepoints].flatMap(({ events }) => events as readonly string[]);
    expect(given, hook).toContain(name);
  }
});

test('docs/notifiers.md is current: node scripts/docs-notifiers.mjs', () => {
  const file = new URL('../../../docs/notifiers.md', import.meta.url);
  expect(readFileSync(file, 'utf8')).toBe(notifiersDocument());
});
