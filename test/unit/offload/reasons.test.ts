import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { reasonsDocument } from '../../../host/offload/reasons-doc.ts';

test('docs/reasons.md is current: node scripts/docs-reasons.mjs', () => {
  expect(readFileSync(new URL('../../../docs/reasons.md', import.meta.url), 'utf8')).toBe(reasonsDocument());
});
