/**
 * Root file systems of guests: Debian packages unpacked into a folder of the cache, from the archive this machine's own
 * apt uses. The folder's name holds a hash of all that went into it, so that a change of the list builds a new one.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { aptSources, debootstrap } from '../../packaging/apt.ts';
import { unpackNewestKernel } from './archive.ts';
import { debugKernel, inputs } from './debug/kernel.ts';
import { makeInitramfs } from './initramfs.ts';
import { type Arch, CACHE, LabError, OWN_ARCH, oneOf } from './machine.ts';
import { keep } from './roots.ts';

/** Longest a tool that works on a root file system may take, in milliseconds. */
const TOOL_LIMIT = 5 * 60_000;

export const FLAVOUR_NAMES = [
  '6.1',
  '6.12',
  '6.12-frr',
  '6.12-ovs',
  '6.12-selftests',
  'newest',
  'debug',
] as const;
export type FlavourName = (typeof FLAVOUR_NAMES)[number];

/** A Debian release and the kernel of its guests. */
export interface Flavour {
  readonly suite: string;
  /**
   * The release's own, the newest 6.x that it or its backports have, if that is newer than `newerThan`, or its own compiled anew
   * with KASAN, lockdep and kmemleak.
   */
  readonly kernel: 'own' | 'debug' | { readonly newerThan: string };
  /** Whether bpf/module is built for it: that takes headers, which backports do not always have. */
  readonly hasModule: boolean;
  /** What its guests have besides PACKAGES. */
  readonly packages?: readonly string[];
}

export const FLAVOURS: Readonly<Record<FlavourName, Flavour>> = {
  '6.1': { suite: 'bookworm', kernel: 'own', hasModule: false },
  '6.12': { suite: 'trixie', kernel: 'own', hasModule: true },
  '6.12-frr': { suite: 'trixie', kernel: 'own', hasModule: true, packages: ['frr'] },
  '6.12-ovs': {
    suite: 'trixie',
    kernel: 'own',
    hasModule: true,
    packages: ['openvswitch-switch', 'iperf3', 'conntrack', 'tcpdump'],
  },
  '6.12-selftests': {
    suite: 'trixie',
    kernel: 'own',
    hasModule: true,
    packages: ['jq', 'ncat', 'netsniff-ng', 'python3'],
  },
  newest: { suite: 'trixie', kernel: { newerThan: '6.12' }, hasModule: false },
  debug: { suite: 'trixie', kernel: 'debug', hasModule: true },
};

export const DEFAULT_FLAVOUR: FlavourName = '6.12';
export const asFlavour = (value: string) => oneOf('--kernel', value, FLAVOUR_NAMES);

/** What runs in a guest besides the kernel; Node and its modules come with the checkout. */
const PACKAGES = [
  'base-files',
  'base-passwd',
  'bash',
  'busybox-static',
  'coreutils',
  'dash',
  'ethtool',
  'findutils',
  'grep',
  'iproute2',
  'iputils-ping',
  'kmod',
  'libatomic1',
  'libbpf1',
  'libc-bin',
  'liblzma5',
  'libstdc++6',
  'mawk',
  'mount',
  'netbase',
  'nftables',
  'procps',
  'sed',
  'util-linux',
];

/** Builds the kernel module in the root, against the very kernel that is in it. */
const BUILD_PACKAGES = ['gcc', 'make', 'pahole'];

/** Counts up when what is done to the unpacked packages changes. */
const RECIPE = 4;

export interface Image {
  readonly root: string;
  readonly kernel: string;
  /** Where the kernel needs one. */
  readonly initramfs: string | undefined;
  readonly release: string;
}

/** The root for a flavour and architecture, built if it is not there. `say` is told of a build. */
export function image(name: FlavourName, arch: Arch, say: (line: string) => void): Image {
  const flavour = FLAVOURS[name];
  const parts: unknown[] = [RECIPE, flavour, arch, PACKAGES, BUILD_PACKAGES];
  if (flavour.kernel === 'debug') parts.push(inputs());
  const key = createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
  const root = join(CACHE, `root-${name}-${arch}-${key}`);
  keep(root, `Debian ${flavour.suite}, ${arch}`, (folder) => build(folder, flavour, arch, say), say);
  const kernel = readdirSync(join(root, 'boot')).find((file) => file.startsWith('vmlinuz-'));
  if (kernel === undefined) throw new LabError(`${root}/boot has no kernel: delete ${root} and try again`);
  const initramfs = join(root, 'boot/initramfs');
  return {
    root,
    kernel: join(root, 'boot', kernel),
    initramfs: existsSync(initramfs) ? initramfs : undefined,
    release: kernel.slice('vmlinuz-'.length),
  };
}

function build(folder: string, flavour: Flavour, arch: Arch, say: (line: string) => void): void {
  const { suite } = flavour;
  // First, as it takes longest.
  const compiled = flavour.kernel === 'debug' ? debugKernel(arch, say) : undefined;
  const own = flavour.kernel === 'own' ? [`linux-image-${arch}`] : [];
  // The compiler runs here, so it is for guests of this machine's architecture.
  if (flavour.hasModule && arch === OWN_ARCH)
    own.push(...(compiled ? [] : [`linux-headers-${arch}`]), ...BUILD_PACKAGES);
  // Unpacking is all it takes: no maintainer script runs, so any architecture works and nothing leaks out.
  debootstrap('extract', suite, arch, [...PACKAGES, ...(flavour.packages ?? []), ...own], folder, [
    // Debian 12's packages still spread over /bin and /usr/bin.
    ...(suite === 'bookworm' ? ['--hook-directory=/usr/share/mmdebstrap/hooks/merged-usr'] : []),
  ]);
  // Links, as nobody writes into either.
  if (compiled)
    execFileSync('cp', ['--archive', '--link', `${compiled}/.`, folder], {
      stdio: 'inherit',
      timeout: TOOL_LIMIT,
    });
  if (typeof flavour.kernel === 'object') {
    unpackNewestKernel(aptSources(suite, true), arch, flavour.kernel.newerThan, folder);
  }
  finish(folder);
}

/** What the maintainer scripts would have done, as far as a guest needs it. */
function finish(folder: string): void {
  const write = (path: string, text: string) => writeFileSync(join(folder, path), text);
  write('etc/passwd', 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n');
  write('etc/group', 'root:x:0:\nnogroup:x:65534:\n');
  write('etc/hosts', '127.0.0.1 localhost lab\n::1 localhost\n');
  write('etc/hostname', 'lab\n');
  write('etc/resolv.conf', '');
  if (!existsSync(join(folder, 'usr/bin/awk'))) symlinkSync('mawk', join(folder, 'usr/bin/awk'));
  mkdirSync(join(folder, 'checkout'), { recursive: true });
  const [release] = readdirSync(join(folder, 'usr/lib/modules'));
  if (release === undefined) throw new LabError('the kernel package has no modules');
  unpackModules(join(folder, 'usr/lib/modules', release, 'kernel'));
  execFileSync('depmod', ['--basedir', join(folder, 'usr'), release], {
    stdio: 'inherit',
    timeout: TOOL_LIMIT,
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  makeInitramfs(folder, release);
  rmSync(join(folder, 'usr/share/doc'), { recursive: true, force: true });
  rmSync(join(folder, 'usr/share/man'), { recursive: true, force: true });
  rmSync(join(folder, 'usr/share/locale'), { recursive: true, force: true });
}

/** Modules that guests do load: unpacked here, it is not done under emulation each time. */
function unpackModules(kernel: string): void {
  for (const part of ['net', 'lib', 'fs/overlayfs', 'drivers/net']) {
    if (!existsSync(join(kernel, part))) continue;
    const files = readdirSync(join(kernel, part), { recursive: true, encoding: 'utf8' })
      .filter(
        (file) => file.endsWith('.ko.xz') && !file.startsWith('ethernet/') && !file.startsWith('wireless/'),
      )
      .map((file) => join(kernel, part, file));
    if (files.length > 0)
      execFileSync('xz', ['--decompress', '--threads=0', ...files], {
        stdio: 'inherit',
        timeout: TOOL_LIMIT,
      });
  }
}
