/**
 * The kernel module for a guest: compiled in the guest's root file system, which has the compiler and the headers of the very
 * kernel it boots. What it was made from is told by content, so a guest boots with no wait unless bpf/module changed.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { CHECKOUT, LabError } from './machine.ts';

/** A kernel module, of the project or of the kernel's sources. */
export interface Module {
  /** Of its file; the kernel's own name for it is that of its object in Kbuild. */
  readonly name: string;
  /** Folders of which all files go into one, and one Kbuild behind the other. */
  readonly sources: readonly string[];
}

const EKHO: Module = { name: 'ekho', sources: [join(CHECKOUT, 'bpf/module')] };
/** Deliberate bugs, which the debug kernel has to find. */
export const FAULTS: Module = { name: 'faults', sources: [join(CHECKOUT, 'test/lab/debug/faults')] };
/** The module, with steps that can be made to fail. */
export const UNWIND: Module = {
  name: 'unwind',
  sources: [...EKHO.sources, join(CHECKOUT, 'test/lab/unwind')],
};

/** Longest a build may take, in milliseconds; seconds on an idle machine. */
const LIMIT = 10 * 60_000;

/** A root file system and the kernel release it has headers for. */
export interface ModuleRoot {
  readonly root: string;
  readonly release: string;
}

/** Where a module for a kernel release is, in the checkout; the same in a guest. */
export const moduleFile = (release: string, { name }: Pick<Module, 'name'> = EKHO) =>
  join(CHECKOUT, 'build/module', release, `${name}.ko`);

/**
 * Compiles a module, bpf/module by default, for the kernel of a root, unless that was done from the same sources. Without headers in the root there is
 * nothing to do.
 *
 * @param say told of a build
 * @throws LabError with the compiler's messages
 */
export function buildModule(
  { root, release }: ModuleRoot,
  say: (line: string) => void,
  module: Module = EKHO,
): void {
  const headers = `/usr/src/linux-headers-${release}`;
  if (!existsSync(join(root, headers))) return;
  const file = moduleFile(release, module);
  const stamp = `${file}.inputs`;
  const inputs = inputsOf(root, module);
  if (existsSync(file) && existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs) return;
  const started = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'ekho-module-'));
  try {
    const { built } = compileModule({ root, release }, folder, module);
    mkdirSync(join(file, '..'), { recursive: true });
    // Several processes may build at once: each its own, then into place.
    const making = `${file}.${process.pid}`;
    cpSync(built, making);
    renameSync(making, file);
    writeFileSync(stamp, inputs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  say(
    `The kernel module ${module.name} for ${release}: built in ${((performance.now() - started) / 1000).toFixed(1)} s`,
  );
}

/**
 * Compiles a module in a folder that is empty: the module's file, and what make said.
 *
 * @param variables more words for make
 * @throws LabError with the compiler's messages
 */
export function compileModule(
  { root, release }: ModuleRoot,
  folder: string,
  module: Module = EKHO,
  variables = '',
): { readonly built: string; readonly said: string } {
  for (const [path, name] of filesOf(module))
    if (name === 'Kbuild') appendFileSync(join(folder, name), readFileSync(path));
    else cpSync(path, join(folder, name));
  const line = `make -s -C /usr/src/linux-headers-${release} M=/mnt ${variables} modules`;
  const { status, stdout, stderr } = inRoot(root, folder, line);
  const said = `${stdout}${stderr}`;
  if (status !== 0)
    throw new LabError(`The kernel module ${module.name} does not build for ${release}:\n${said}`);
  const built = readdirSync(folder).find((name) => name.endsWith('.ko'))!;
  return { built: join(folder, built), said };
}

/** Runs a line of shell in a root, with `folder` as /mnt; the mounts are gone when it ends. */
export function inRoot(root: string, folder: string, line: string, limit = LIMIT) {
  // Maintainer scripts would have made it.
  mkdirSync(join(root, 'mnt'), { recursive: true });
  const script = `
    mount --bind "$1" "$0/mnt"
    mount --rbind /dev "$0/dev"
    mount -t proc proc "$0/proc"
    LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin exec chroot "$0" /bin/bash -ec "cd /mnt; $2"`;
  return spawnSync('unshare', ['--mount', 'bash', '-ec', script, root, folder, line], {
    encoding: 'utf8',
    timeout: limit,
    killSignal: 'SIGKILL',
    maxBuffer: 64 << 20,
  });
}

/** The root's name tells its compiler and kernel. */
function inputsOf(root: string, module: Module): string {
  const hash = createHash('sha256').update(basename(root));
  for (const [path, name] of filesOf(module)) hash.update(name).update(readFileSync(path));
  return hash.digest('hex');
}

/** Path and name of each file that a module is made from. */
function filesOf({ sources }: Module): [path: string, name: string][] {
  return sources.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => /\.[ch]$|^Kbuild$|^Makefile$/.test(name))
      .sort()
      .map((name): [string, string] => [join(folder, name), name]),
  );
}
