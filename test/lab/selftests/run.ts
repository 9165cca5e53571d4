/**
 * `npm run lab:selftests -- [NAME…]`: the kernel's selftests that try offload, in a guest on ports of the module's link type, and what
 * became of each test of them. Without names all of them run, and docs/firmware-selftests.md is written anew.
 */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Guest, quote } from '../guest.ts';
import type { FlavourName } from '../image.ts';
import { CHECKOUT, installMissing, LabError, whyNot } from '../machine.ts';
import { SELFTESTS } from './list.ts';
import { selftests } from './source.ts';
import { page } from './table.ts';

const FLAVOUR: FlavourName = '6.12-selftests';
/** Longest all of them may take together, in milliseconds. */
const LIMIT = 60 * 60_000;
process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof LabError ? `lab: ${error.message}` : error);
  return 125;
});

async function main(names: readonly string[]): Promise<number> {
  const say = (line: string) => console.error(`lab: ${line}`);
  const known = SELFTESTS.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new LabError(`${unknown} is none of ${known.join(', ')}`);
  const reason = whyNot() ?? installMissing(say);
  if (reason !== undefined) throw new LabError(reason);
  const started = performance.now();
  const source = selftests(FLAVOUR, say);
  const tests = SELFTESTS.filter(({ name }) => names.length === 0 || names.includes(name));
  await using guest = await Guest.boot({ flavour: FLAVOUR, say });
  cpSync(source, join(guest.exchange, 'selftests'), { recursive: true });
  const words = [
    'node',
    'test/lab/selftests/inside.ts',
    '/run/lab/selftests',
    ...tests.map(({ name }) => name),
  ];
  const { code } = await guest.run(words.map(quote).join(' '), {
    limit: LIMIT,
    onOutput: (stream, data) => process[stream].write(data),
  });
  const results = tests.map((test) => ({ test, outcomes: test.outcomes(said(guest, test.name)) }));
  const text = page(guest.release, results);
  const silent = results.find(({ outcomes }) => outcomes.length === 0);
  if (code !== 0 || silent !== undefined) {
    console.log(text);
    throw new LabError(`${silent?.test.name ?? 'a stage'} did not run as it should`);
  }
  say(`${results.length} scripts in ${((performance.now() - started) / 60_000).toFixed(0)} minutes`);
  if (names.length === 0) writeFileSync(join(CHECKOUT, 'docs/firmware-selftests.md'), text);
  else console.log(text);
  return 0;
}

/** What a test wrote, if it ran. */
function said(guest: Guest, name: string): string {
  const file = join(guest.exchange, 'selftests', `${name}.log`);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
