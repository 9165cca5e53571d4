/**
 * Root file systems of guests: Debian packages unpacked into a folder of the cache, from the archive this machine's own
 * apt uses. The folder's name holds a hash of all that went into it, so that a change of the list builds a new one.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeInitramfs } from './initramfs.ts';
import { type Arch, CACHE, LabError } from './machine.ts';

/** A Debian release and a kernel from it. */
export interface Flavour {
  readonly suite: string;
  /** Name of the kernel's package, less the architecture. */
  readonly kernel: string;
}

export const FLAVOURS = {
  '6.1': { suite: 'bookworm', kernel: 'linux-image' },
  '6.12': { suite: 'trixie', kernel: 'linux-image' },
} as const satisfies Record<string, Flavour>;

export type FlavourName = keyof typeof FLAVOURS;
export const DEFAULT_FLAVOUR: FlavourName = '6.12';

/** What runs in a guest besides the kernel; Node and its modules come with the checkout. */
const PACKAGES = [
  'base-files',
  'base-passwd',
  'bash',
  'busybox-static',
  'coreutils',
  'dash',
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

/** Counts up when what is done to the unpacked packages changes. */
const RECIPE = 3;
/** Longest a build may take, in milliseconds. */
const BUILD_LIMIT = 15 * 60_000;
/** Roots not used for this long go when another is built, in milliseconds. */
const KEEP = 7 * 24 * 3_600_000;
/** Roots kept at most, besides the one just built. */
const ROOTS_MAX = 5;

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
  const packages = [...PACKAGES, `${flavour.kernel}-${arch}`];
  const key = createHash('sha256')
    .update(JSON.stringify([RECIPE, flavour.suite, arch, packages]))
    .digest('hex')
    .slice(0, 16);
  const root = join(CACHE, `root-${name}-${arch}-${key}`);
  if (!existsSync(root)) build(root, flavour.suite, arch, packages, say);
  const now = new Date();
  utimesSync(root, now, now);
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

function build(
  root: string,
  suite: string,
  arch: Arch,
  packages: readonly string[],
  say: (line: string) => void,
): void {
  mkdirSync(CACHE, { recursive: true });
  clean(root);
  say(`Building a root file system in ${root} (Debian ${suite}, ${arch}): a minute or two, once`);
  const started = performance.now();
  const folder = `${root}.tmp-${process.pid}`;
  try {
    // Unpacking is all it takes: no maintainer script runs, so any architecture works and nothing leaks out.
    execFileSync(
      'mmdebstrap',
      [
        '--quiet',
        '--variant=extract',
        // Debian 12's packages still spread over /bin and /usr/bin.
        ...(suite === 'bookworm' ? ['--hook-directory=/usr/share/mmdebstrap/hooks/merged-usr'] : []),
        `--architectures=${arch}`,
        `--include=${packages.join(',')}`,
        ...aptOptions().map((option) => `--aptopt=${option}`),
        suite,
        folder,
        '-',
      ],
      { input: aptSources(suite), stdio: ['pipe', 'ignore', 'inherit'], timeout: BUILD_LIMIT },
    );
    finish(folder);
    renameSync(folder, root);
  } catch (error) {
    // Another process that built the same meanwhile is as good.
    if (!existsSync(root)) {
      throw new LabError(
        `The root file system could not be built: ${(error as Error).message.split('\n')[0]}`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  say(`Built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
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
    const files = readdirSync(join(kernel, part), { recursive: true, encoding: 'utf8' })
      .filter(
        (file) => file.endsWith('.ko.xz') && !file.startsWith('ethernet/') && !file.startsWith('wireless/'),
      )
      .map((file) => join(kernel, part, file));
    if (files.length > 0) execFileSync('xz', ['--decompress', '--threads=0', ...files], { stdio: 'inherit' });
  }
}

/** This machine's archive entries, for another suite. */
function aptSources(suite: string): string {
  const own = ownSuite();
  const format = '$(REPO_URI)|$(RELEASE)|$(COMPONENT)';
  const targets = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  });
  const lines = new Set<string>();
  for (const target of targets.split('\n')) {
    const [uri, release, component] = target.split('|');
    if (!uri || !release || !component) continue;
    // bookworm, bookworm-updates, bookworm-security; other entries are of no use to a guest.
    if (release !== own && release !== `${own}-updates` && release !== `${own}-security`) continue;
    lines.add(`deb ${uri} ${suite}${release.slice(own.length)} ${component}`);
  }
  if (lines.size === 0) {
    throw new LabError(
      `apt on this machine has no entry for Debian ${own}, which guests would be made from; ` +
        'see /etc/apt/sources.list and /etc/apt/sources.list.d',
    );
  }
  return `${[...lines].join('\n')}\n`;
}

function ownSuite(): string {
  const release = readFileSync('/etc/os-release', 'utf8');
  const id = /^ID=(.*)$/m.exec(release)?.[1];
  const suite = /^VERSION_CODENAME=(.*)$/m.exec(release)?.[1];
  if (id !== 'debian' || suite === undefined) {
    throw new LabError(`Guests are made from the archive a Debian machine uses; this one is ${id}`);
  }
  return suite;
}

/** How this machine reaches its archive: proxies, and whether old indexes are all right. */
function aptOptions(): string[] {
  return execFileSync('apt-config', ['dump'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => /^Acquire::(https?|Check-Valid-Until|Check-Date|Retries)\b/.test(line))
    .map((line) => line.replace(/;$/, ''));
}

/** Removes half-built roots and those nobody uses any more. */
function clean(keep: string): void {
  const roots = readdirSync(CACHE)
    .filter((name) => name.startsWith('root-'))
    .map((name) => join(CACHE, name))
    .filter((path) => path !== keep)
    .map((path) => ({ path, age: Date.now() - statSync(path).mtimeMs }))
    .sort((a, b) => a.age - b.age);
  let kept = 0;
  for (const { path, age } of roots) {
    const isHalf = path.includes('.tmp-');
    if (isHalf ? age > BUILD_LIMIT : age > KEEP || ++kept > ROOTS_MAX)
      rmSync(path, { recursive: true, force: true });
  }
}
