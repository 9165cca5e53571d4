/**
 * The kernel's own selftests, as Debian packages them with the kernel's sources: fetched from the archive when they are to be run, and
 * kept in the lab's cache. Nothing of them is a part of this project.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { aptSources } from '../../../packaging/apt.ts';
import { Archive } from '../archive.ts';
import { FLAVOURS, type FlavourName } from '../image.ts';
import { CACHE, OWN_ARCH } from '../machine.ts';
import { SELFTESTS } from './list.ts';

/** Longest unpacking may take, in milliseconds: the archive is read to its end. */
const LIMIT = 10 * 60_000;
const PACKAGE = 'linux-source-6.12';
const TREE = 'tools/testing/selftests';
/** What is unpacked of it: the tests, and what they share. */
const PARTS = [
  ...new Set(['kselftest', 'net/lib', 'net/lib.sh', ...SELFTESTS.map(({ folder }) => folder)]),
].sort();

/** A folder with PARTS of the kernel that guests of `flavour` boot. */
export function selftests(flavour: FlavourName, say: (line: string) => void): string {
  const { suite } = FLAVOURS[flavour];
  const key = createHash('sha256')
    .update(JSON.stringify([suite, PACKAGE, PARTS]))
    .digest('hex')
    .slice(0, 16);
  const folder = join(CACHE, `selftests-${suite}-${key}`);
  if (existsSync(folder)) return folder;
  say(`Fetching ${PACKAGE} of Debian ${suite} for the kernel's selftests: 150 MB, once`);
  const making = `${folder}.tmp-${process.pid}`;
  try {
    mkdirSync(making, { recursive: true });
    using archive = new Archive(aptSources(suite), OWN_ARCH);
    archive.unpack([PACKAGE], making);
    execFileSync(
      'tar',
      [
        '--extract',
        `--file=${join(making, 'usr/src', `${PACKAGE}.tar.xz`)}`,
        `--directory=${making}`,
        '--strip-components=1',
        ...PARTS.map((part) => `${PACKAGE}/${TREE}/${part}`),
      ],
      { stdio: ['ignore', 'ignore', 'inherit'], timeout: LIMIT },
    );
    renameSync(join(making, TREE), folder);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return folder;
}
