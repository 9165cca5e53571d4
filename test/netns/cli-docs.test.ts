/** README.md and docs/cli.md show what happens. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { comparable, DOCUMENTS, runDocuments } from './documents.ts';

let texts: Map<string, string>;
beforeAll(async () => {
  texts = await runDocuments();
}, 900_000);

it.each(DOCUMENTS)('%s', (name) => {
  expect(comparable(texts.get(name)!)).toBe(comparable(readFileSync(join(ROOT, name), 'utf8')));
});
