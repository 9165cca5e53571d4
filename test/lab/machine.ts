/** What the lab needs of the machine, and where it keeps things. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type Arch = 'amd64' | 'arm64';
export const ARCHES: readonly Arch[] = ['amd64', 'arm64'];

export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Debian's name of the architecture this runs on. */
export const OWN_ARCH: Arch = process.arch === 'arm64' ? 'arm64' : 'amd64';

export const QEMU: Record<Arch, { readonly command: string; readonly debianPackage: string }> = {
  amd64: { command: 'qemu-system-x86_64', debianPackage: 'qemu-system-x86' },
  arm64: { command: 'qemu-system-aarch64', debianPackage: 'qemu-system-arm' },
};

/** Places of virtiofsd: QEMU's own, and the one in Rust that took over. */
const VIRTIOFSD = ['/usr/lib/qemu/virtiofsd', '/usr/libexec/virtiofsd'];

/** Roots of guests and what Node compiled in them; can be deleted at any time. */
export const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ekho', 'lab');

/** Longest an installation of Debian packages may take, in milliseconds. */
const INSTALL_LIMIT = 10 * 60_000;

/** A fault of the machine or of a guest that a person can act on: shown without a stack. */
export class LabError extends Error {}

/** The value of an option, checked. */
export function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((name) => name === value);
  if (found === undefined) throw new LabError(`${option} is one of ${allowed.join(', ')}, not ${value}`);
  return found;
}

export const asArch = (value: string) => oneOf('--arch', value, ARCHES);

export function virtiofsd(): string | undefined {
  return VIRTIOFSD.find((path) => existsSync(path));
}

/** Debian packages that guests of `arch` need on this machine and that are not installed. */
export function missingPackages(arch: Arch = OWN_ARCH): string[] {
  const { command, debianPackage } = QEMU[arch];
  const missing = [];
  if (!has(command)) missing.push(debianPackage);
  if (virtiofsd() === undefined) missing.push(shipsOwnVirtiofsd() ? 'qemu-system-common' : 'virtiofsd');
  // Unpacks kernel modules and lists what they need.
  if (!has('xz')) missing.push('xz-utils');
  if (!has('mmdebstrap')) missing.push('mmdebstrap');
  if (!has('depmod')) missing.push('kmod');
  return missing;
}

/** Why no guest can run here, whatever is installed. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'guests are made from Debian packages on Linux';
  if (process.getuid?.() !== 0) return 'root makes the root file system of guests and shares it with them';
  if (!has('apt-get')) return 'guests are made from Debian packages and this machine has no apt';
  return undefined;
}

/** Installs what is missing with apt; the reason if that cannot be. Call it as root only. */
export function installMissing(say: (line: string) => void, arch: Arch = OWN_ARCH): string | undefined {
  const packages = missingPackages(arch);
  return packages.length === 0 ? undefined : installPackages(packages, say);
}

/** Installs Debian packages; the reason if that cannot be. Call it as root only. */
export function installPackages(
  packages: readonly string[],
  say: (line: string) => void,
): string | undefined {
  say(`Installing Debian packages: ${packages.join(' ')}`);
  const run = (...words: string[]) =>
    execFileSync('apt-get', ['-qq', ...words], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      timeout: INSTALL_LIMIT,
    });
  try {
    run('update');
    run('-y', '--no-install-recommends', 'install', ...packages);
  } catch (error) {
    return `apt-get could not install ${packages.join(', ')}: ${(error as Error).message.split('\n')[0]}`;
  }
  return undefined;
}

/** Debian 12's QEMU has one; there is no package virtiofsd yet. */
function shipsOwnVirtiofsd(): boolean {
  return /^VERSION_ID="?12"?$/m.test(readFileSync('/etc/os-release', 'utf8'));
}

function has(command: string): boolean {
  return `${process.env.PATH ?? ''}:/usr/sbin:/sbin`
    .split(delimiter)
    .some((folder) => folder !== '' && existsSync(join(folder, command)));
}
