/**
 * The kernel of `--kernel debug`: Debian's sources of 6.12, compiled with KASAN, lockdep and kmemleak (kernel.config). It is built in a root file
 * system of the same release, whose compiler then builds modules for it, and kept in the cache under a name that changes with the
 * configuration, with how it is built and with Debian's version of the sources.
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { aptSources, debootstrap } from '../../../packaging/apt.ts';
import { Archive } from '../archive.ts';
import { type Arch, CACHE, CHECKOUT, LabError } from '../machine.ts';
import { inRoot } from '../module.ts';
import { keep } from '../roots.ts';

const SUITE = 'trixie';
const SOURCE = 'linux-source-6.12';
const CONFIG = join(CHECKOUT, 'test/lab/debug/kernel.config');
/** What builds it, besides what that depends on. */
const PACKAGES = [
  'base-files',
  'bash',
  'bc',
  'binutils',
  'bison',
  'coreutils',
  'dash',
  'diffutils',
  'findutils',
  'flex',
  'gcc',
  'grep',
  'gzip',
  'kmod',
  'libc-bin',
  'libelf-dev',
  'lz4',
  'make',
  'mawk',
  'pahole',
  'perl',
  'python3',
  'sed',
  'tar',
  'xz-utils',
];
/** Longest it may take, in seconds: a quarter of an hour on two idle processors. */
const LIMIT = 60 * 60;
/** Names of finished and half-built kernels. */
const PREFIX = 'kernel-debug-';
const HALF = '.making';

/** Sources that are not unpacked: two thirds of all. */
const UNUSED = [
  ...['gpu', 'media', 'net/ethernet', 'net/wireless', 'staging', 'infiniband', 'scsi'].map(
    (part) => `drivers/${part}/*.[ch]`,
  ),
  'sound/*.[ch]',
  'arch/*/boot/dts/*',
  'tools/testing/*',
];

/** In the builder's root, with the folder that becomes the kernel as /mnt. */
const BUILD = `
  export KBUILD_BUILD_USER=ekho KBUILD_BUILD_HOST=lab
  mkdir source
  tar --extract --file=usr/src/${SOURCE}.tar.xz --directory=source --strip-components=1 \
    ${UNUSED.map((part) => `--exclude='${SOURCE}/${part}'`).join(' ')}
  cd source
  make --silent tinyconfig
  cat ../kernel.config >>.config
  make --silent olddefconfig
  while read -r line; do
    case $line in
    '# CONFIG_'*) name=\${line#'# '}; ! grep -q "^\${name%% *}=" .config || echo "$line" ;;
    CONFIG_*) grep -qxF "$line" .config || echo "$line" ;;
    esac
  done <../kernel.config >../missing
  [ ! -s ../missing ] || { echo 'The kernel does not take:'; cat ../missing; exit 1; }
  timeout --kill-after=10 ${LIMIT} nice make --silent --jobs=\${JOBS} bzImage modules || exit $?
  release=$(make --silent kernelrelease)
  make --silent INSTALL_MOD_PATH=/mnt/usr INSTALL_MOD_STRIP=1 modules_install
  rm -f /mnt/usr/lib/modules/$release/build
  mkdir /mnt/boot
  cp arch/x86/boot/bzImage /mnt/boot/vmlinuz-$release
  cp .config /mnt/boot/config-$release
  cp System.map /mnt/boot/System.map-$release
  headers=/mnt/usr/src/linux-headers-$release
  mkdir $headers
  find Makefile Module.symvers .config include arch/x86/Makefile* arch/x86/include scripts tools/objtool/objtool \
    tools/bpf/resolve_btfids/resolve_btfids \\( -type f -o -type l \\) ! -name '*.o' ! -name '.*.cmd' -print0 |
    tar --create --null --files-from=- | tar --extract --directory=$headers
  # BTF of modules refers to the kernel's.
  objcopy --only-section=.BTF --set-section-flags .BTF=alloc,readonly vmlinux $headers/vmlinux
`;

/** What tells one such kernel from another, as far as it is known without asking the archive. */
export const inputs = (): unknown => [SUITE, SOURCE, PACKAGES, BUILD, readFileSync(CONFIG, 'utf8')];

/**
 * A folder with boot, usr/lib/modules and usr/src, as Debian's packages of a kernel have them; built if it is not there, which takes long.
 *
 * @throws LabError where it cannot be built, with what the compiler says
 */
export function debugKernel(arch: Arch, say: (line: string) => void): string {
  if (arch !== 'amd64' || process.arch !== 'x64')
    throw new LabError('The debug kernel is for amd64 guests of an amd64 machine');
  mkdirSync(CACHE, { recursive: true });
  using archive = new Archive(aptSources(SUITE), arch);
  const version = archive.version(SOURCE);
  const key = createHash('sha256')
    .update(JSON.stringify([inputs(), version]))
    .digest('hex')
    .slice(0, 16);
  const folder = join(CACHE, `${PREFIX}${version.replaceAll(/[^\w.]/g, '_')}-${key}`);
  const until = Date.now() + 2 * LIMIT * 1000;
  let isWaiting = false;
  while (!existsSync(folder)) {
    const making = `${folder}${HALF}`;
    if (claim(making)) {
      try {
        make(making, version, archive, arch, say);
        renameSync(making, folder);
      } finally {
        rmSync(making, { recursive: true, force: true });
      }
    } else {
      if (!isWaiting) say('Another process is building the debug kernel: waiting for it');
      isWaiting = true;
      if (Date.now() > until)
        throw new LabError(`Nobody has built the debug kernel: delete ${making} and try again`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000);
    }
  }
  const now = new Date();
  utimesSync(folder, now, now);
  return folder;
}

/** Whether this process is the one that builds it; a process that died on the way counts no more. */
function claim(making: string): boolean {
  const owner = join(making, 'owner');
  try {
    mkdirSync(making);
  } catch {
    const pid = existsSync(owner) ? readFileSync(owner, 'utf8') : undefined;
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(making, { recursive: true, force: true });
    return false;
  }
  writeFileSync(owner, String(process.pid));
  return true;
}

function make(
  making: string,
  version: string,
  archive: Archive,
  arch: Arch,
  say: (line: string) => void,
): void {
  clean(making);
  say(`Building the debug kernel from ${SOURCE} ${version}: a quarter of an hour, once`);
  const started = performance.now();
  const key = createHash('sha256').update(JSON.stringify(PACKAGES)).digest('hex').slice(0, 16);
  const root = join(CACHE, `root-kbuild-${arch}-${key}`);
  const unpack = (folder: string) => {
    debootstrap('extract', SUITE, arch, PACKAGES, folder);
    // As maintainer scripts would have it.
    symlinkSync('mawk', join(folder, 'usr/bin/awk'));
  };
  keep(root, `what builds kernels, Debian ${SUITE}`, unpack, say);
  archive.unpack([SOURCE], making);
  copyFileSync(CONFIG, join(making, 'kernel.config'));
  const line = `export JOBS=${availableParallelism()}\n${BUILD}`;
  const { status, stdout, stderr } = inRoot(root, making, line, (LIMIT + 600) * 1000);
  if (status === 124) throw new LabError(`The debug kernel did not build within ${LIMIT / 60} minutes`);
  if (status !== 0)
    throw new LabError(`The debug kernel does not build:\n${stdout.slice(-2000)}${stderr.slice(-4000)}`);
  for (const name of readdirSync(making))
    if (name !== 'boot' && name !== 'usr') rmSync(join(making, name), { recursive: true, force: true });
  rmSync(join(making, 'usr/src', `${SOURCE}.tar.xz`));
  rmSync(join(making, 'usr/share'), { recursive: true, force: true });
  say(`Built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
}

/** Removes other debug kernels: of one configuration at a time there is use. */
function clean(making: string): void {
  for (const name of readdirSync(CACHE)) {
    const path = join(CACHE, name);
    if (name.startsWith(PREFIX) && !name.endsWith(HALF) && path !== making)
      rmSync(path, { recursive: true, force: true });
  }
}
