/** docs/asic.md says what the code does. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { document } from '../../../host/device/asic/document.ts';
import { TABLES } from '../../../host/device/asic/layout.ts';
import * as tables from '../../../host/device/asic/tables.ts';
import { readLayouts } from '../../../host/plugin/package.ts';

const ROOT = new URL('../../../', import.meta.url);

test('docs/asic.md is current', () => {
  expect(readFileSync(new URL('docs/asic.md', ROOT), 'utf8')).toBe(document());
});

test('tables and statuses have the numbers that wit/host.wit gives them', () => {
  const layouts = readLayouts();
  const cases = (name: string): readonly string[] => {
    const { resolved } = layouts.named('asic', name);
    return resolved.is === 'enum' ? resolved.cases : [];
  };
  expect(cases('table')).toEqual(TABLES.map((table) => table.name));
  const { OK, TABLE_FULL, INVALID, MISSING, REFUSED, IO_ERROR, POWERED_OFF } = tables;
  expect([OK, TABLE_FULL, INVALID, MISSING, REFUSED, IO_ERROR, POWERED_OFF]).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(cases('status')).toEqual([
    'ok',
    'table-full',
    'invalid',
    'missing',
    'refused',
    'io-error',
    'powered-off',
  ]);
});

test('names every decision of the pipeline', () => {
  const folder = new URL('host/device/asic/', ROOT);
  const source = readFileSync(new URL('pipeline.ts', folder), 'utf8');
  const text = document().replaceAll(/\s+/g, ' ');
  const reasons = source.matchAll(/(?:trap|drop)\('([^']+)'\)|return '([a-z][a-z ]+ [a-z ]+)'/g);
  const names = [...reasons].map((match) => match[1] ?? match[2]!);
  expect(names.length).toBeGreaterThan(30);
  for (const name of names) expect(text).toContain(`\`${name}\``);
});
