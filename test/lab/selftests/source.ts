/**
 * The kernel's own selftests, and the module netdevsim that some of them are for, as Debian packages them with the kernel's sources: fetched from
 * the archive when they are to be run, and kept in the lab's cache. Nothing of them is a part of this project.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { aptSources } from '../../../packaging/apt.ts';
import { Archive } from '../archive.ts';
import { FLAVOURS, type FlavourName } from '../image.ts';
import { CACHE, OWN_ARCH } from '../machine.ts';
import type { Module } from '../module.ts';
import { SELFTESTS } from './list.ts';

/** Longest unpacking may take, in milliseconds: the archive is read to its end. */
const LIMIT = 10 * 60_000;
const PACKAGE = 'linux-source-6.12';
const TREE = 'tools/testing/selftests';
const NETDEVSIM = 'drivers/net/netdevsim';
/** What is unpacked of the tests: those that run, and what they share. */
const PARTS = [
  ...new Set(['kselftest', 'net/lib', 'net/lib.sh', ...SELFTESTS.map(({ folder }) => folder)]),
].sort();

/** Folders. */
export interface Source {
  readonly tests: string;
  readonly netdevsim: string;
}

/** Of the kernel that guests of `flavour` boot. */
export function source(flavour: FlavourName, say: (line: string) => void): Source {
  const { suite } = FLAVOURS[flavour];
  const parts = [...PARTS.map((part) => `${TREE}/${part}`), NETDEVSIM];
  const key = createHash('sha256')
    .update(JSON.stringify([suite, PACKAGE, parts]))
    .digest('hex')
    .slice(0, 16);
  const folder = join(CACHE, `selftests-${suite}-${key}`);
  const found = { tests: join(folder, TREE), netdevsim: join(folder, NETDEVSIM) };
  if (existsSync(folder)) return found;
  say(`Fetching ${PACKAGE} of Debian ${suite} for the kernel's selftests: 150 MB, once`);
  const making = `${folder}.tmp-${process.pid}`;
  try {
    mkdirSync(making, { recursive: true });
    using archive = new Archive(aptSources(suite), OWN_ARCH);
    archive.unpack([PACKAGE], making);
    const archived = join(making, 'usr/src', `${PACKAGE}.tar.xz`);
    const made = join(making, 'made');
    mkdirSync(made);
    execFileSync(
      'tar',
      [
        '--extract',
        `--file=${archived}`,
        `--directory=${made}`,
        '--strip-components=1',
        ...parts.map((part) => `${PACKAGE}/${part}`),
      ],
      { stdio: ['ignore', 'ignore', 'inherit'], timeout: LIMIT },
    );
    // Debian's kernel is built without it, and its Makefile asks.
    writeFileSync(join(made, NETDEVSIM, 'Kbuild'), 'CONFIG_NETDEVSIM := m\ninclude $(src)/Makefile\n');
    renameSync(made, folder);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return found;
}

/** netdevsim itself, for `buildModule`. */
export function netdevsim({ netdevsim: sources }: Source): Module {
  return { name: 'netdevsim', sources: [sources] };
}
