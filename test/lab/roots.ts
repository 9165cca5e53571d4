/** Root file systems in the cache: built once, under a name that tells what went into them, and removed when nobody uses them any more. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, LabError } from './machine.ts';

/** Half-built roots older than this go, in milliseconds. */
const BUILD_LIMIT = 15 * 60_000;
/** Roots not used for this long go when another is built, in milliseconds. */
const KEEP = 7 * 24 * 3_600_000;
/** Roots kept at most, besides the one just built. */
const ROOTS_MAX = 12;

/** Has `make` fill a folder that becomes `root`, unless that is there; then it counts as used just now. */
export function keep(
  root: string,
  what: string,
  make: (folder: string) => void,
  say: (line: string) => void,
): void {
  if (!existsSync(root)) {
    mkdirSync(CACHE, { recursive: true });
    clean(root);
    say(`Building a root file system in ${root} (${what}): a minute or two, once`);
    const started = performance.now();
    const folder = `${root}.tmp-${process.pid}`;
    try {
      make(folder);
      renameSync(folder, root);
    } catch (error) {
      // Another process that built the same meanwhile is as good.
      if (!existsSync(root)) {
        if (error instanceof LabError) throw error;
        throw new LabError(
          `The root file system could not be built: ${(error as Error).message.split('\n')[0]}`,
        );
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    say(`Built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  }
  const now = new Date();
  utimesSync(root, now, now);
}

/** Removes half-built roots and those nobody uses any more. */
function clean(keep: string): void {
  const roots = readdirSync(CACHE)
    .filter((name) => name.startsWith('root-'))
    .map((name) => join(CACHE, name))
    .filter((path) => path !== keep)
    // Another process may be done with one of them just now.
    .map((path) => ({
      path,
      age: Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()),
    }))
    .sort((a, b) => a.age - b.age);
  let kept = 0;
  for (const { path, age } of roots) {
    const isHalf = path.includes('.tmp-');
    if (isHalf ? age > BUILD_LIMIT : age > KEEP || ++kept > ROOTS_MAX)
      rmSync(path, { recursive: true, force: true });
  }
}
