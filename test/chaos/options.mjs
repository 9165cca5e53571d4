/** The options of `npm run chaos`: scripts/chaos.mjs looks at them on any Node from 18 on, run.ts takes them. */
import { parseArgs } from 'node:util';

export const USAGE = `npm run chaos -- [--minutes N] [--pieces N | --hours N] [--seed N] [--routes N] [--fault NAME]… [--list] [--write]

  --minutes N   of each piece (10)
  --pieces N    pieces, each with a seed and a table of its own (1)
  --hours N     pieces of an hour
  --seed N      of the first piece
  --routes N    of BIRD's table, 1000 to 1000000 (120000)
  --fault NAME  only this one; may come again
  --list        names the faults; needs no root
  --write       writes docs/chaos.md
  --help        this`;

/** @throws {TypeError} with a line that says which word is not understood */
export function chaosOptions(words, seed = '0') {
  return parseArgs({
    args: words,
    options: {
      minutes: { type: 'string', default: '10' },
      pieces: { type: 'string', default: '1' },
      hours: { type: 'string' },
      seed: { type: 'string', default: seed },
      routes: { type: 'string', default: '120000' },
      fault: { type: 'string', multiple: true },
      list: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  }).values;
}
