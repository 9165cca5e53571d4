/** What is derived from the list of reasons is up to date. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DOCUMENT, document, HEADER } from '../../../host/device/tables/document.ts';
import { REASONS, reasonsHeader } from '../../../host/device/tables/reasons.ts';

test('the program’s numbers are those of the list', () => {
  expect(readFileSync(HEADER, 'utf8')).toBe(reasonsHeader());
});

test('docs/xdp.md lists every reason', () => {
  const text = readFileSync(DOCUMENT, 'utf8');
  expect(text).toBe(document(text));
});

test('no two reasons have one name', () => {
  expect(new Set(REASONS.map(({ name }) => name)).size).toBe(REASONS.length);
  expect(new Set(REASONS.map(({ id }) => id)).size).toBe(REASONS.length);
});
