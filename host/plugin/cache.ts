/**
 * Transpiled plugins on disk: a folder per key with the files and a manifest of their checksums. The glue is code that
 * the host runs, so the folder must belong to this user alone, and what is read must be what was written.
 */

import { createHash, randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { EkhoError } from '../errors.ts';

/** Entries kept; the least recently written go first. */
const ENTRIES_MAX = 64;
const MANIFEST = 'manifest.json';
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** `$XDG_CACHE_HOME/ekho`, `~/.cache/ekho`, or a folder of this user under the system's for temporary files. */
export function defaultCacheFolder(): string {
  const base = process.env.XDG_CACHE_HOME;
  if (base?.startsWith('/')) return join(base, 'ekho');
  const home = homedir();
  return home.length > 1 ? join(home, '.cache', 'ekho') : join(tmpdir(), `ekho-${process.getuid!()}`);
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export interface CacheEntry {
  /** Absolute path of the folder. */
  readonly folder: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export class TranspileCache {
  private readonly folder: string;

  /** @param folder made if missing */
  constructor(folder: string) {
    this.folder = join(folder, 'plugins');
  }

  /** Undefined when there is none or it is damaged, which is told and removes it. Throws E_CACHE for a folder others can write. */
  async read(key: string, damaged: (folder: string) => void = () => {}): Promise<CacheEntry | undefined> {
    await this.open();
    const folder = join(this.folder, key);
    try {
      return await this.entry(key);
    } catch (error) {
      if (error instanceof EkhoError) throw error;
      if (!isMissing(error)) damaged(folder);
      await rm(folder, { recursive: true, force: true });
      return undefined;
    }
  }

  /** As `read`, of a folder that is only read: whatever is wrong with it, there is none. */
  async readOnly(key: string): Promise<CacheEntry | undefined> {
    try {
      await checkOwner(this.folder);
      return await this.entry(key);
    } catch {
      return undefined;
    }
  }

  /** Appears at once or not at all. Of two hosts that write the same, one wins. */
  async write(key: string, files: ReadonlyMap<string, Uint8Array>): Promise<CacheEntry> {
    await this.open();
    const folder = join(this.folder, key);
    const making = join(this.folder, `.${key}.${process.pid}.${randomBytes(6).toString('hex')}`);
    try {
      await mkdir(making, { mode: 0o700 });
      const manifest: Record<string, string> = {};
      for (const [name, bytes] of files) {
        if (!FILE_NAME.test(name)) throw new TypeError(`file name ${JSON.stringify(name)}`);
        manifest[name] = sha256(bytes);
        await writeFile(join(making, name), bytes, { mode: 0o600 });
      }
      await writeFile(join(making, MANIFEST), JSON.stringify(manifest), { mode: 0o600 });
      await rename(making, folder);
    } catch (error) {
      await rm(making, { recursive: true, force: true });
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw unusable(this.folder, error);
    }
    await this.trim(key);
    return { folder, files };
  }

  private async entry(key: string): Promise<CacheEntry> {
    const folder = join(this.folder, key);
    await checkOwner(folder);
    const manifest: unknown = JSON.parse(await readFile(join(folder, MANIFEST), 'utf8'));
    const files = new Map<string, Uint8Array>();
    for (const [name, sum] of Object.entries(manifest as Record<string, string>)) {
      const bytes = FILE_NAME.test(name) ? await readFile(join(folder, name)) : undefined;
      if (bytes === undefined || sha256(bytes) !== sum) throw new SyntaxError('damaged');
      files.set(name, new Uint8Array(bytes));
    }
    return { folder, files };
  }

  private async open(): Promise<void> {
    try {
      await mkdir(this.folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw unusable(this.folder, error);
    }
    await checkOwner(this.folder);
  }

  private async trim(keep: string): Promise<void> {
    const names = (await readdir(this.folder)).filter((name) => name !== keep);
    if (names.length < ENTRIES_MAX) return;
    const ages = await Promise.all(
      names.map(async (name) => {
        const found = await stat(join(this.folder, name)).catch(() => undefined);
        return { name, time: found?.mtimeMs ?? 0 };
      }),
    );
    ages.sort((a, b) => a.time - b.time);
    for (const { name } of ages.slice(0, names.length - ENTRIES_MAX + 1))
      await rm(join(this.folder, name), { recursive: true, force: true });
  }
}

/** Throws E_CACHE unless `path` is a folder that only this user (or root) can write. */
async function checkOwner(path: string): Promise<void> {
  const found = await lstat(path);
  const ours = found.uid === process.getuid!() || found.uid === 0;
  if (found.isDirectory() && ours && (found.mode & 0o022) === 0) return;
  throw new EkhoError('E_CACHE', `${path} is not a folder that only this user can write`, {
    remedy: 'Remove it, or name another folder: `cache` under [plugins].',
  });
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

function unusable(folder: string, error: unknown): EkhoError {
  return new EkhoError('E_CACHE', `${folder} cannot be written: ${(error as Error).message}`, {
    remedy: 'Name a folder this user can write: `cache` under [plugins].',
    cause: error,
  });
}
