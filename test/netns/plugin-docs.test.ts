/** docs/plugins/first.md: from an empty folder to a route in hardware, as it says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { comparablePlugin, DOCUMENT, runPluginDocument } from './documents-plugin.ts';

it('a vendor’s first plugin', { timeout: 900_000 }, async () => {
  const text = await runPluginDocument();
  expect(comparablePlugin(text)).toBe(comparablePlugin(readFileSync(join(ROOT, DOCUMENT), 'utf8')));
  expect(text).toMatch(/203\.0\.113\.0\/24 .*offloaded/);
});
