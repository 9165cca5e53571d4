/** Kernels of the archive that guests are made from. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Arch, LabError } from './machine.ts';

/** Longest apt may take to read the archive's indexes or a kernel's packages, in milliseconds. */
const LIMIT = 10 * 60_000;

/** The archive has no such kernel: no fault of anyone here. */
export class NotOffered extends LabError {}

/** Debian's packages of one kernel, e.g. 6.18.15. */
export interface KernelPackages {
  readonly version: string;
  /** Together they have the kernel, its configuration and all of its modules. */
  readonly packages: readonly string[];
}

/**
 * The newest kernel 6.x, not counting rt and cloud variants, whose parts `has` all knows: an archive keeps descriptions of
 * kernels for some time after their modules have gone. Other packages they depend on are of no use to a guest.
 *
 * @param depends what the Depends field of a package says
 */
export function newestOf(
  names: readonly string[],
  arch: Arch,
  depends: (name: string) => string,
): KernelPackages | undefined {
  const plain = new RegExp(String.raw`^linux-image-(6\.[\d.]+)(\+deb\w+)?-${arch}$`);
  const known = new Set(names);
  for (const name of names
    .filter((name) => plain.test(name))
    .sort(compareVersions)
    .reverse()) {
    const parts = depends(name).match(/\blinux-(binary|modules)-6[\w.+-]+/g) ?? [];
    const packages = [name, ...parts];
    if (packages.every((part) => known.has(part))) return { version: plain.exec(name)![1]!, packages };
  }
  return undefined;
}

/**
 * Unpacks the newest kernel 6.x of an archive into a folder.
 *
 * @param sources lines of sources.list
 * @throws NotOffered if none is newer than `than`, e.g. `6.12`
 */
export function unpackNewestKernel(sources: string, arch: Arch, than: string, folder: string): void {
  using archive = new Archive(sources, arch);
  const newest = newestOf(archive.names('linux-'), arch, (name) => archive.depends(name));
  if (newest === undefined || compareVersions(newest.version.split('.').slice(0, 2).join('.'), than) <= 0) {
    const suites = [...new Set(sources.split('\n').map((line) => line.split(' ')[2]))].filter(Boolean);
    throw new NotOffered(`Debian's ${suites.join(', ')} for ${arch} offers no kernel newer than ${than}`);
  }
  archive.unpack(newest.packages, folder);
}

export function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/** Indexes of an archive in a folder of their own: this machine's apt is left as it is. */
export class Archive implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'ekho-apt-'));
  readonly #options: readonly string[];

  constructor(sources: string, arch: Arch) {
    const list = join(this.#folder, 'sources.list');
    writeFileSync(list, sources);
    mkdirSync(join(this.#folder, 'state/lists/partial'), { recursive: true });
    mkdirSync(join(this.#folder, 'cache/archives/partial'), { recursive: true });
    this.#options = [
      `Dir::Etc::SourceList=${list}`,
      'Dir::Etc::SourceParts=/dev/null',
      `Dir::State=${join(this.#folder, 'state')}`,
      'Dir::State::Status=/dev/null',
      `Dir::Cache=${join(this.#folder, 'cache')}`,
      `APT::Architecture=${arch}`,
      `APT::Architectures=${arch}`,
      // The user it would change to cannot enter the folder.
      'APT::Sandbox::User=root',
    ].flatMap((option) => ['-o', option]);
    try {
      this.#run('apt-get', '-qq', 'update');
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  names(prefix: string): string[] {
    return this.#run('apt-cache', 'pkgnames', prefix).trim().split('\n');
  }

  depends(name: string): string {
    return this.#field(name, 'Depends');
  }

  version(name: string): string {
    return this.#field(name, 'Version');
  }

  /** Puts the packages' files into a folder; nothing they come with is run. */
  unpack(names: readonly string[], folder: string): void {
    this.#run('apt-get', '-qq', 'download', ...names);
    for (const file of readdirSync(this.#folder)) {
      if (!file.endsWith('.deb')) continue;
      execFileSync('dpkg-deb', ['--extract', join(this.#folder, file), folder], { timeout: LIMIT });
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A field of a package's description, empty where it has none. */
  #field(name: string, field: string): string {
    const text = this.#run('apt-cache', 'show', '--no-all-versions', name);
    return new RegExp(`^${field}: (.*)$`, 'm').exec(text)?.[1] ?? '';
  }

  #run(command: string, ...words: string[]): string {
    return execFileSync(command, [...this.#options, ...words], {
      cwd: this.#folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 64 << 20,
      timeout: LIMIT,
    });
  }
}
