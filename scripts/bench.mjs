/** `npm run bench -- NAME [options]`: installs and builds what is missing, then runs test/bench/NAME.ts with the bundled Node; without a name, lists them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { become, build, ensureModules, fail, NODE, ROOT, SetupError, say } from './setup.mjs';

const FOLDER = join(ROOT, 'test/bench');

try {
  const [name, ...options] = process.argv.slice(2);
  // Files whose first lines say how to call them are benches, the others belong to one.
  const benches = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.ts'))
    .filter((file) => readFileSync(join(FOLDER, file), 'utf8').slice(0, 300).includes('npm run bench'))
    .map((file) => file.slice(0, -3));
  if (name === undefined || !benches.includes(name) || !existsSync(join(FOLDER, `${name}.ts`))) {
    if (name !== undefined)
      throw new SetupError(`There is no bench "${name}"; there are: ${benches.join(', ')}.`);
    say(`Benches: ${benches.join(', ')}. Run one with: npm run bench -- NAME`);
  } else {
    ensureModules();
    build();
    become(NODE, [join(FOLDER, `${name}.ts`), ...options]);
  }
} catch (error) {
  fail(error);
}
