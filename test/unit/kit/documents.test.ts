/** The pages that are made from wit/ and from the suite are as they would be made now. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../../host/config/config.ts';
import { documents } from '../../../plugins/kit/document.ts';

const DOCUMENTS = documents();

test.each([...DOCUMENTS])('%s', (path, text) => {
  expect(readFileSync(join(ROOT, path), 'utf8')).toBe(text);
});

test('no page of an interface that is gone', () => {
  const pages = readdirSync(join(ROOT, 'docs/plugins/wit')).map((name) => `docs/plugins/wit/${name}`);
  expect(pages.filter((path) => !DOCUMENTS.has(path))).toEqual([]);
});
