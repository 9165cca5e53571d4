/** Root file systems that compile the kernel module for another architecture, by a cross compiler. */
import { createHash } from 'node:crypto';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { aptSources, debootstrap } from '../../packaging/apt.ts';
import { Archive, compareVersions, NotOffered } from './archive.ts';
import { type Arch, CACHE, OWN_ARCH } from './machine.ts';
import type { ModuleRoot } from './module.ts';
import { keep } from './roots.ts';

const SUITE = 'trixie';
/** The suite's own kernel, which its backports are newer than. */
const OWN_KERNEL = '6.12';
/** A compiler's package, the beginning of its name, and what the kernel calls the architecture. */
const COMPILERS: Readonly<Record<Arch, { package: string; prefix: string; kernel: string }>> = {
  amd64: { package: 'gcc-x86-64-linux-gnu', prefix: 'x86_64-linux-gnu-', kernel: 'x86' },
  arm64: { package: 'gcc-aarch64-linux-gnu', prefix: 'aarch64-linux-gnu-', kernel: 'arm64' },
};
const PACKAGES = [
  'base-files',
  'bash',
  'coreutils',
  'dash',
  'findutils',
  'grep',
  'kmod',
  'libc-bin',
  'make',
  'mawk',
  'pahole',
  'sed',
];

export interface Headers extends ModuleRoot {
  /** What make needs to know to compile for the architecture. */
  readonly variables: string;
}

/**
 * A root with the headers of Debian 13's own kernel or of the newest one of its backports, built if it is not there.
 *
 * @param arch another one than this machine's, whose compiler is no cross compiler
 * @throws NotOffered where the archive has none
 */
export function headers(kernel: 'own' | 'backports', arch: Arch, say: (line: string) => void): Headers {
  const { package: compiler, prefix, kernel: name } = COMPILERS[arch];
  using archive = new Archive(aptSources(SUITE, kernel === 'backports'), arch);
  const plain = new RegExp(String.raw`^linux-headers-\d[\d.]*\+deb\w+(\.\d+)?-${arch}$`);
  const newest = archive
    .names('linux-headers-')
    .filter((headers) => plain.test(headers) && (kernel === 'own' || !headers.includes(`-${OWN_KERNEL}.`)))
    .sort(compareVersions)
    .at(-1);
  if (newest === undefined)
    throw new NotOffered(`Debian's ${SUITE} has no such headers for ${arch}: ${kernel}`);
  const release = newest.slice('linux-headers-'.length);
  const common = /\blinux-headers-[\w.+]+-common\b/.exec(archive.depends(newest))![0];
  // Programs, of this machine's architecture.
  const kbuild = /\blinux-kbuild-[\w.+]+/.exec(archive.depends(newest))![0];
  const packages = [...PACKAGES, compiler];
  const key = createHash('sha256').update(JSON.stringify(packages)).digest('hex').slice(0, 16);
  const root = join(CACHE, `root-headers-${release}-${key}`);
  const make = (folder: string) => {
    debootstrap('extract', SUITE, OWN_ARCH, packages, folder);
    symlinkSync('mawk', join(folder, 'usr/bin/awk'));
    archive.unpack([newest, common], folder);
    using own = new Archive(aptSources(SUITE, kernel === 'backports'), OWN_ARCH);
    own.unpack([kbuild], folder);
  };
  keep(root, `headers of ${release}`, make, say);
  return { root, release, variables: `ARCH=${name} CROSS_COMPILE=${prefix}` };
}
