/**
 * Root file systems of guests with systemd: a small Debian as its installer would leave it, all packages configured. Kernel
 * modules and headers are those of the lab's guests.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { debootstrap } from '../../packaging/apt.ts';
import { DEFAULT_FLAVOUR, FLAVOURS, type Image } from './image.ts';
import { type Arch, CACHE, installPackages, OWN_ARCH } from './machine.ts';
import { keep } from './roots.ts';

/** What the packages under test depend on comes from here, as guests have no network; and what tests look with. */
const PACKAGES = [
  'bpftool',
  'curl',
  'dbus',
  'iproute2',
  'iputils-ping',
  'kmod',
  'libatomic1',
  'libbpf1',
  'procps',
  'systemd-sysv',
  'udev',
];

/** With these DKMS builds modules in a guest. */
const BUILD_PACKAGES = ['dkms', 'gcc', 'make', 'pahole'];

/** The emulator's names of the architectures. */
const EMULATOR: Readonly<Record<Arch, string>> = { amd64: 'x86_64', arm64: 'aarch64' };
const BINFMT = '/proc/sys/fs/binfmt_misc';

/** Counts up when what is done to the installed packages changes. */
const RECIPE = 1;
/** Longest copying may take, in milliseconds. */
const COPY_LIMIT = 5 * 60_000;

/** The root for an architecture, built if it is not there, for the kernel of `image`. */
export function systemRoot(arch: Arch, image: Image, say: (line: string) => void): string {
  const packages = [...PACKAGES, ...(arch === OWN_ARCH ? BUILD_PACKAGES : [])];
  const { suite } = FLAVOURS[DEFAULT_FLAVOUR];
  const key = createHash('sha256')
    .update(JSON.stringify([RECIPE, suite, packages, basename(image.root)]))
    .digest('hex')
    .slice(0, 16);
  const root = join(CACHE, `root-systemd-${arch}-${key}`);
  const make = (folder: string) => {
    debootstrap('minbase', suite, arch, packages, folder);
    const kernel = ['usr/lib/modules', 'usr/src', 'usr/lib/linux-kbuild-*'];
    // Links, as nobody writes into either root.
    execFileSync(
      'bash',
      [
        '-ec',
        `shopt -s nullglob; cd "$0"; for path in ${kernel.join(' ')}; do cp --archive --link --force "$path" "$1/\${path%/*}"; done`,
        image.root,
        folder,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'], timeout: COPY_LIMIT },
    );
    writeFileSync(join(folder, 'etc/hostname'), 'lab\n');
    writeFileSync(join(folder, 'etc/machine-id'), `${'0123456789abcdef'.repeat(2)}\n`);
    // Else what packages brought is indexed anew at each boot.
    for (const name of ['etc/.updated', 'var/.updated'])
      writeFileSync(join(folder, name), `TIMESTAMP_NSEC=${Date.now()}000000\n`);
    rmSync(join(folder, 'usr/share/doc'), { recursive: true, force: true });
  };
  keep(root, `Debian ${suite} with systemd, ${arch}`, make, say);
  return root;
}

/**
 * The emulator of single programs, without which scripts of packages of another architecture do not run here, told to the kernel; the
 * reason if that cannot be.
 */
export function installEmulator(arch: Arch, say: (line: string) => void): string | undefined {
  if (arch === OWN_ARCH || runs(arch)) return undefined;
  const reason = installPackages(['qemu-user-static', 'arch-test'], say);
  if (reason !== undefined) return reason;
  // Without systemd nobody has told the kernel of it.
  if (!runs(arch)) {
    if (!existsSync(`${BINFMT}/register`)) spawnSync('mount', ['-t', 'binfmt_misc', 'none', BINFMT]);
    spawnSync('/usr/lib/systemd/systemd-binfmt', [`/usr/lib/binfmt.d/qemu-${EMULATOR[arch]}.conf`]);
  }
  return runs(arch) ? undefined : `programs of ${arch} do not run here: see binfmt_misc`;
}

/** Whether programs of an architecture run here. */
function runs(arch: Arch): boolean {
  return spawnSync('arch-test', [arch]).status === 0;
}
