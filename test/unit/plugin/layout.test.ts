/** Layouts from WIT, and what is generated from them. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BATCH_STRIDES } from '../../../host/plugin/batch.ts';
import { BATCH_SIZE, PAGE_ENTRIES } from '../../../host/plugin/direct-calls.ts';
import { generateHeader } from '../../../host/plugin/generate-header.ts';
import { generateRecords } from '../../../host/plugin/generate-records.ts';
import { Layouts } from '../../../host/plugin/layout.ts';
import { readLayouts } from '../../../host/plugin/package.ts';
import { parseWit } from '../../../host/plugin/wit.ts';
import { WIT_PACKAGE, WIT_VERSION } from '../../../host/plugin/wit-version.ts';

function layoutsOf(text: string): Layouts {
  return new Layouts(parseWit(new Map([['one.wit', text]])));
}

const CURRENT = 'wit/ has changed: run `node host/plugin/generate.ts` and commit what it wrote';

describe('what is generated is current', () => {
  test('ekho.h', () => {
    const file = new URL('../../../plugins/include/ekho.h', import.meta.url);
    expect(readFileSync(file, 'utf8') === generateHeader(readLayouts()), CURRENT).toBe(true);
  });

  test('records.ts', () => {
    const file = new URL('../../../host/plugin/records.ts', import.meta.url);
    // The formatter breaks lines and adds commas, nothing else.
    const tokens = (text: string) => text.replace(/[\s,]+/g, '');
    expect(tokens(readFileSync(file, 'utf8')) === tokens(generateRecords(readLayouts())), CURRENT).toBe(true);
  });

  test('the version that a host runs', () => {
    expect(readLayouts().package).toMatchObject({ name: WIT_PACKAGE, version: WIT_VERSION });
  });

  test('the sizes that direct calls rely on', () => {
    const layouts = readLayouts();
    const batch = layouts.named('types', 'batch');
    expect(batch.size).toBe(BATCH_SIZE);
    if (batch.resolved.is !== 'record') throw new Error('batch is a record');
    const strides = batch.resolved.fields.map(({ layout: { resolved } }) =>
      resolved.is === 'list' ? resolved.element.size : 0,
    );
    expect(strides).toEqual(BATCH_STRIDES);
    for (const inside of ['offload', 'stats']) {
      const page = layouts.named(inside, 'page');
      if (page.resolved.is !== 'record') throw new Error('page is a record');
      expect(page.resolved.fields.map((field) => field.offset)).toEqual([0, PAGE_ENTRIES]);
    }
    const apply = layouts.function('offload', 'apply');
    expect([apply.spilled, apply.indirect]).toEqual([true, true]);
  });
});

describe('the canonical ABI', () => {
  const layouts = layoutsOf(`
    package a:b@1.2.3;
    /// Everything.
    interface i {
      type id = u32;
      enum small { a, b, }
      flags nine { f0, f1, f2, f3, f4, f5, f6, f7, f8 }
      record inner { x: u8, y: u64 }
      record outer { first: small, inner: inner, bits: nine, name: string, %list: list<inner>, id: id, last: bool }
      nothing: func();
      few: func(a: u8, b: list<u32>) -> inner;
      many: func(a: outer, b: outer) -> result<_, string>;
      scalar: func() -> small;
    }`);

  test('sizes, alignments and offsets', () => {
    const outer = layouts.named('i', 'outer');
    if (outer.resolved.is !== 'record') throw new Error('outer is a record');
    expect(outer.resolved.fields.map(({ name, offset }) => [name, offset])).toEqual([
      ['first', 0],
      ['inner', 8],
      ['bits', 24],
      ['name', 28],
      ['list', 36],
      ['id', 44],
      ['last', 48],
    ]);
    expect([outer.size, outer.align]).toEqual([56, 8]);
  });

  test('flattening', () => {
    expect(layouts.function('i', 'nothing')).toMatchObject({
      spilled: false,
      indirect: false,
      result: undefined,
    });
    expect(layouts.function('i', 'few')).toMatchObject({ spilled: false, indirect: true });
    expect(layouts.function('i', 'many')).toMatchObject({ spilled: true, indirect: true });
    expect(layouts.function('i', 'scalar')).toMatchObject({ indirect: false });
    expect(layouts.function('i', 'many').result).toMatchObject({
      size: 12,
      align: 4,
      flat: ['i32', 'i32', 'i32'],
    });
  });

  test('documentation', () => {
    expect(layouts.interface('i').docs).toBe('Everything.');
  });
});

test.each([
  ['package a:b@1.0.0; interface i { record r { x u8 } }', "one.wit:1: ':' expected, found 'u8'"],
  [
    'package a:b@1.0.0;\ninterface i {\n  f: func(a: u8 b: u8);\n}',
    "one.wit:3: ',' or ')' expected, found 'b'",
  ],
  ['resource r', 'one.wit:1: package, interface or world expected'],
])('a fault in WIT is told with its line: %s', (text, message) => {
  expect(() => parseWit(new Map([['one.wit', text]]))).toThrow(message);
});

test('a type that is not there is named', () => {
  expect(() => layoutsOf('package a:b@1.0.0; interface i { record r { x: gone } }').named('i', 'r')).toThrow(
    'no type gone in interface i',
  );
});
