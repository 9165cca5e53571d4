/** docs/kernels.md is true: this kernel has what its column says. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Capabilities, findCapabilities } from './capabilities.ts';
import { columnFile } from './matrix-files.ts';
import { PACE } from './pace.ts';

/** Milliseconds; ten seconds on an idle machine. */
const LIMIT = 900_000 * PACE;

test('the kernel has what the table says', { timeout: LIMIT }, async () => {
  const found = await findCapabilities();
  // The machine makes the table of it.
  writeFileSync('/run/lab/capabilities.json', JSON.stringify(found));
  // A column that was not recorded holds nothing against it.
  const file = columnFile(process.env.EKHO_LAB_KERNEL ?? '', found.arch);
  if (process.env.EKHO_LAB_RECORD || !existsSync(file)) return;
  const { sections } = JSON.parse(readFileSync(file, 'utf8')) as Pick<Capabilities, 'sections'>;
  // Rows that are new, or gone, wait until the table is made the next time.
  const common = (from: Capabilities['sections'], other: Capabilities['sections']) =>
    Object.entries(from).flatMap(([title, rows]) =>
      Object.entries(rows)
        .filter(([name]) => other[title]?.[name] !== undefined)
        .map(([name, answer]) => `${title}: ${name}: ${answer}`),
    );
  const ours = common(found.sections, sections);
  expect(ours.length).toBeGreaterThan(30);
  expect(ours.sort(), 'if the kernel is right, run `npm run lab:matrix`').toEqual(
    common(sections, found.sections).sort(),
  );
});
