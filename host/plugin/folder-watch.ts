/**
 * The plugin folder as it changes. A change counts once two looks, some time apart, saw the same: a file that is being
 * written is left alone until it is whole. The kernel's notifications only make the next look come sooner, so that folders
 * without any (some network file systems) are followed, too; where they can be relied on, looks without one are rare.
 */

import { type FSWatcher, watch } from 'node:fs';
import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { signatureFileOf } from './load.ts';

/** Between two looks at what has just changed, and at what has not. */
const SETTLE_MS = 250;
const LOOK_MS = 2000;
/** Where the kernel tells of every change of the folder; not of one of a folder above, nor of what is written through a mapping. */
const TOLD_LOOK_MS = 10_000;
/** File systems that nobody but this machine writes to (statfs(2)): ext2 to 4, xfs, btrfs, tmpfs, overlayfs, f2fs, squashfs, erofs. */
const LOCAL = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0xf2f52010, 0x73717368, 0xe0f5e1e2,
]);
/** Files looked at: first those that are wanted, then those known already, then the others, by name. */
export const PLUGINS_MAX = 64;

export type FolderChange = 'added' | 'changed' | 'removed';

/** What tells one state of a file from another: file and signature, by what the file system keeps of them. */
async function fingerprintOf(file: string): Promise<string | undefined> {
  const [plugin, signature] = await Promise.all(
    [file, signatureFileOf(file)].map((path) => stat(path, { bigint: true }).catch(() => undefined)),
  );
  if (plugin === undefined) return undefined;
  return [plugin, signature]
    .map((found) => (found ? `${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}` : ''))
    .join('|');
}

/**
 * Names of the `.wasm` files of a folder, without it, and their fingerprints. Files that nobody `wants` take no place of
 * those that somebody does, whatever they are called and however many there are.
 */
export async function listPlugins(
  folder: string,
  wants: (name: string) => boolean,
  known: ReadonlyMap<string, string> = new Map(),
): Promise<Map<string, string>> {
  const names = (await readdir(folder))
    .filter((name) => name.endsWith('.wasm') && !name.startsWith('.'))
    .map((name) => name.slice(0, -'.wasm'.length))
    .sort();
  const rank = (name: string) => (wants(name) ? 0 : known.has(name) ? 1 : 2);
  const found = new Map<string, string>();
  for (const name of names.sort((a, b) => rank(a) - rank(b)).slice(0, PLUGINS_MAX)) {
    const fingerprint = await fingerprintOf(join(folder, `${name}.wasm`));
    // Undefined: gone meanwhile, or a link to nothing.
    found.set(name, fingerprint ?? '');
  }
  return found;
}

export class FolderWatch {
  private readonly folder: string;
  private readonly wants: (name: string) => boolean;
  private readonly onChange: (change: FolderChange, name: string) => void;
  /** What was told of, and what the last look saw. */
  private known: Map<string, string>;
  private seen: Map<string, string>;
  private watcher: FSWatcher | undefined;
  /** Which folder is watched: one of the same name may take its place. */
  private identity = '';
  private timer: NodeJS.Timeout | undefined;
  /** When the next look is due, on the clock of performance.now(). */
  private due = Number.POSITIVE_INFINITY;
  private closed = false;

  /**
   * @param known the files as they are known already
   * @param wants plugins that somebody has configured
   */
  constructor(
    folder: string,
    known: Map<string, string>,
    wants: (name: string) => boolean,
    onChange: (change: FolderChange, name: string) => void,
  ) {
    this.folder = folder;
    this.known = known;
    this.seen = known;
    this.wants = wants;
    this.onChange = onChange;
    this.lookIn(SETTLE_MS);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.watcher?.close();
  }

  private lookIn(delay: number): void {
    // Never later than it would be: whoever goes on writing in the folder holds up nobody.
    const due = performance.now() + delay;
    if (this.closed || due >= this.due) return;
    this.due = due;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.due = Number.POSITIVE_INFINITY;
      this.look().catch(() => this.lookIn(LOOK_MS));
    }, delay);
  }

  /** Has the kernel tell of changes in the folder that has this name now; whether it tells of all of them. */
  private async follow(): Promise<boolean> {
    const [{ dev, ino, birthtimeNs }, { type }, entries] = await Promise.all([
      stat(this.folder, { bigint: true }),
      statfs(this.folder),
      readdir(this.folder, { withFileTypes: true }),
    ]);
    // The next folder of this name may well have the number of the last.
    const identity = `${dev}:${ino}:${birthtimeNs}`;
    if (this.closed) return false;
    if (identity !== this.identity) {
      this.identity = identity;
      this.open();
    }
    // What a link leads to may be anywhere.
    return this.watcher !== undefined && LOCAL.has(type) && !entries.some((entry) => entry.isSymbolicLink());
  }

  private open(): void {
    this.watcher?.close();
    this.watcher = undefined;
    try {
      const watcher = watch(this.folder, () => this.lookIn(SETTLE_MS));
      this.watcher = watcher;
      watcher.on('error', () => {
        watcher.close();
        if (this.watcher === watcher) this.watcher = undefined;
      });
    } catch {
      // No notifications to be had: looking goes on.
    }
  }

  private async look(): Promise<void> {
    // Before the look: what changes after it is told.
    const isTold = await this.follow();
    const now = await listPlugins(this.folder, this.wants, this.known);
    if (this.closed) return;
    let isMoving = false;
    for (const name of new Set([...this.known.keys(), ...now.keys()])) {
      const fingerprint = now.get(name);
      if (fingerprint === this.known.get(name)) continue;
      if (fingerprint !== this.seen.get(name)) {
        isMoving = true;
        continue;
      }
      const change = fingerprint === undefined ? 'removed' : this.known.has(name) ? 'changed' : 'added';
      if (fingerprint === undefined) this.known.delete(name);
      else this.known.set(name, fingerprint);
      this.onChange(change, name);
    }
    this.seen = now;
    this.lookIn(isMoving ? SETTLE_MS : isTold ? TOLD_LOOK_MS : LOOK_MS);
  }
}
