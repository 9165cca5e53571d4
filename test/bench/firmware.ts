/**
 * `npm run bench -- firmware [--rules N,N…] [--rounds N] [--write]`: what rules of tc cost that are in hardware by BPF firmware and a host, beside
 * the same rules on the kernel alone: time and memory to have them, to show them and to take them away. In a guest of the lab
 * (docs/lab.md), on a port of type ekho with the XDP data path. Needs what `npm run build` makes. `--write` puts the table into
 * docs/firmware.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../host/config/config.ts';
import { Guest } from '../lab/guest.ts';
import { DEFAULT_FLAVOUR, image } from '../lab/image.ts';
import { installMissing, LabError, OWN_ARCH, whyNot } from '../lab/machine.ts';
import { accelerator } from '../lab/qemu.ts';
import { MEASURES, type Measured } from './firmware/measures.ts';
import { table } from './table.ts';

const MEMORY_MIB = 2048;
/** Milliseconds. */
const LIMIT = 60 * 60_000;
/** The plugin's table has room for 16,384, and some are needed for others. */
const RULES_MAX = 16_000;
const PAGE = join(ROOT, 'docs/firmware.md');

const { values } = parseArgs({
  options: {
    rules: { type: 'string', default: '1000,4000,10000' },
    rounds: { type: 'string', default: '3' },
    write: { type: 'boolean', default: false },
  },
});
const counts = values.rules.split(',').map(Number);
const rounds = Number(values.rounds);
if (!counts.every((count) => count >= 10 && count <= RULES_MAX) || !(rounds >= 1 && rounds <= 100)) {
  console.error(
    `--rules takes numbers from 10 to ${RULES_MAX}, with commas between, --rounds one from 1 to 100`,
  );
  process.exit(2);
}
const say = (line: string) => console.error(`lab: ${line}`);
const reason = whyNot() ?? installMissing(say);
if (reason !== undefined) throw new LabError(reason);
const how = await accelerator(OWN_ARCH, image(DEFAULT_FLAVOUR, OWN_ARCH, say));
await using guest = await Guest.boot({ memoryMiB: MEMORY_MIB, say });
const words = ['node', '--expose-gc', 'test/bench/firmware/inside.ts', `${rounds}`, ...counts.map(String)];
let said = '';
const { code } = await guest.run(words.join(' '), {
  limit: LIMIT,
  onOutput: (stream, data) => {
    if (stream === 'stdout') said += data;
    else process.stderr.write(data);
  },
});
if (code !== 0) throw new LabError(`the bench ended with exit code ${code}: ${said}`);
const measured = said
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line) as Measured);
const rows = counts.flatMap((count) =>
  MEASURES.map(({ name, text, factor, digits }) => {
    const of = (where: Measured['where']) =>
      median(measured.filter((one) => one.rules === count && one.where === where).map((one) => one[name])) *
      factor;
    const [alone, hardware] = [of('kernel'), of('hardware')];
    const ratio = alone > 0 ? (hardware / alone).toFixed(1) : '';
    return [count.toLocaleString('en'), text, alone.toFixed(digits), hardware.toFixed(digits), ratio];
  }),
);
const text = `${rounds === 1 ? 'One round' : `Medians of ${rounds} rounds`}, in a guest (${guest.release}, one processor${how === 'tcg' ? ', emulated in software' : ''}):

${table([['rules', '', 'kernel alone', 'in hardware', 'ratio'], ...rows])}`;
console.log(text);
if (values.write) {
  const before = readFileSync(PAGE, 'utf8');
  const after = before.replace(
    /(<!-- rules:[^>]*-->\n).*(<!-- \/rules -->)/s,
    (_, begin, end) => `${begin}${text}\n${end}`,
  );
  if (after === before) throw new Error(`${PAGE} has no place for what was measured`);
  writeFileSync(PAGE, after);
}

function median(numbers: number[]): number {
  return numbers.sort((a, b) => a - b)[numbers.length >> 1]!;
}
