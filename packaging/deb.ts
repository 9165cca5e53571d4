/** A Debian package from a folder, byte for byte the same from the same files: dpkg-deb sorts, and takes owners and times from here. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** Longest dpkg-deb may take, in milliseconds. */
const LIMIT = 10 * 60_000;

export interface DebOptions {
  /** As it is to be below /. */
  readonly folder: string;
  /** Of the control file, in its order; Installed-Size is added. */
  readonly fields: Readonly<Record<string, string>>;
  /** Maintainer scripts by name, and `conffiles`. */
  readonly control: Readonly<Record<string, string>>;
  /** Seconds since 1970: the time of every file. */
  readonly epoch: number;
  readonly output: string;
}

/** Writes `output`. */
export function writeDeb({ folder, fields, control, epoch, output }: DebOptions): void {
  const files = listed(folder);
  normalise(folder, files);
  const place = join(folder, 'DEBIAN');
  mkdirSync(place);
  chmodSync(place, 0o755);
  const sums = files
    .filter((path) => lstatSync(join(folder, path)).isFile())
    .map((path) => `${md5(readFileSync(join(folder, path)))}  ${path}\n`);
  const all = {
    control: controlFile({ ...fields, 'Installed-Size': `${sizeOf(folder, files)}` }),
    md5sums: sums.join(''),
    ...control,
  };
  for (const [name, text] of Object.entries(all)) {
    const isScript = text.startsWith('#!');
    writeFileSync(join(place, name), text, { mode: isScript ? 0o755 : 0o644 });
    chmodSync(join(place, name), isScript ? 0o755 : 0o644);
  }
  for (const path of ['.', ...listed(folder)]) lutimesSync(join(folder, path), epoch, epoch);
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zzstd', '-z6', '--build', folder, output], {
    env: { ...process.env, SOURCE_DATE_EPOCH: `${epoch}` },
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: LIMIT,
  });
}

/** Every path below, without the folder, sorted. */
export function listed(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}

/** Modes that no mask of whoever builds has changed: what may be executed stays so. */
export function normalise(folder: string, files = listed(folder)): void {
  for (const path of ['.', ...files]) {
    const found = lstatSync(join(folder, path));
    if (found.isSymbolicLink()) continue;
    chmodSync(join(folder, path), found.isDirectory() || (found.mode & 0o100) !== 0 ? 0o755 : 0o644);
  }
}

function controlFile(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('');
}

/** In KiB, each file rounded up, a folder counted as one (Debian Policy 5.6.20). */
function sizeOf(folder: string, files: readonly string[]): number {
  return files.reduce((sum, path) => {
    const found = lstatSync(join(folder, path));
    return sum + (found.isFile() ? Math.ceil(found.size / 1024) : 1);
  }, 0);
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}
