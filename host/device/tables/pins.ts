/**
 * Tables and attachments that outlive the host: pins in a folder of a BPF file system. The data path goes on while no host runs, and the
 * next host takes it over as it is.
 */

import { createHash } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  statfsSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BpfError, BpfMap, type BpfObject, Link } from '../../../bpf/libbpf-ts/src/index.ts';
import { EkhoError } from '../../errors.ts';
import { lockFile } from '../../netlink/syscall.ts';
import { MAPS } from './layout.ts';
import { REASONS } from './reasons.ts';

/** To be raised when rows change their meaning without changing their size. */
const LAYOUT = 2;
/** include/uapi/linux/magic.h: BPF_FS_MAGIC */
const BPF_FS_MAGIC = 0xcafe4a11;

export class Pins {
  /** Folder of what has this layout. */
  readonly folder: string;
  #lock: number;

  /** Makes the folder and has it for this host alone; what another layout left there is removed. @throws EkhoError E_DEVICE */
  constructor(path: string, rows: ReadonlyMap<string, number>) {
    const reasons = REASONS.map(({ id }) => id);
    const layout = createHash('sha256').update(JSON.stringify([LAYOUT, [...rows], reasons]));
    this.folder = join(path, layout.digest('hex').slice(0, 16));
    needBpfFs(path);
    this.#lock = opened(path);
    if (!lockFile(this.#lock)) {
      closeSync(this.#lock);
      throw new EkhoError('E_DEVICE', `another host has the data path in ${path}`, {
        remedy: 'Stop that host, or give this one a folder of its own.',
      });
    }
    for (const name of readdirSync(path)) if (join(path, name) !== this.folder) discard(join(path, name));
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
  }

  /** Before the object is loaded: has it use the maps that are there. Whether there were any. */
  reuse(object: BpfObject): boolean {
    const there = new Set(readdirSync(this.folder));
    if (!MAPS.every((name) => there.has(`map-${name}`))) {
      // A host ended while it pinned them: nothing can be attached yet that matters.
      discard(this.folder);
      mkdirSync(this.folder, { mode: 0o700 });
      return false;
    }
    for (const name of MAPS) {
      using map = BpfMap.fromPin(join(this.folder, `map-${name}`));
      object.map(name).reuse(map);
    }
    return true;
  }

  pin(object: BpfObject): void {
    for (const name of MAPS) object.map(name).pin(join(this.folder, `map-${name}`));
  }

  /**
   * Pins again what somebody removed while this host runs. Not where another host has taken the folder meanwhile, and not where there is
   * no BPF file system any more: then all of it ends with this host.
   */
  restore(object: BpfObject): void {
    try {
      if (!this.#isLocked()) return;
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      const there = new Set(readdirSync(this.folder));
      for (const name of MAPS) {
        if (!there.has(`map-${name}`)) object.map(name).pin(join(this.folder, `map-${name}`));
      }
    } catch (error) {
      if (!(error instanceof BpfError || error instanceof EkhoError || isSystemError(error))) throw error;
    }
  }

  /** Has the folder for this host, also where it was removed and made again. */
  #isLocked(): boolean {
    const path = dirname(this.folder);
    needBpfFs(path);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    if (statSync(path).ino === fstatSync(this.#lock).ino) return true;
    const lock = openSync(path, 'r');
    if (lockFile(lock)) {
      closeSync(this.#lock);
      this.#lock = lock;
      return true;
    }
    closeSync(lock);
    return false;
  }

  /** Gives ports that are attached this host's programs. Descriptors of their links by interface index, and the programs they had. */
  takeOver(programOf: (ifindex: number) => { readonly fd: number }): {
    links: Map<number, number>;
    programs: Set<number>;
  } {
    const links = new Map<number, number>();
    const programs = new Set<number>();
    for (const name of readdirSync(this.folder)) {
      if (!name.startsWith('link-')) continue;
      const path = join(this.folder, name);
      const ifindex = Number(name.slice('link-'.length));
      const link = Link.fromPin(path);
      try {
        programs.add(link.info().programId);
        link.update(programOf(ifindex));
        links.set(ifindex, link.fd);
      } catch (error) {
        link.close();
        if (!(error instanceof BpfError)) throw error;
        // The port is gone, and the link holds on to nothing.
        Link.unpin(path);
      }
    }
    return { links, programs };
  }

  close(): void {
    closeSync(this.#lock);
  }
}

/** Makes the folder where there is none. */
function opened(path: string): number {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return openSync(path, 'r');
  } catch (error) {
    throw new EkhoError('E_DEVICE', `the data path cannot be kept in ${path}: ${(error as Error).message}`, {
      remedy: 'The user that runs the host needs the folder for itself, and x on those above it.',
    });
  }
}

function needBpfFs(path: string): void {
  for (let folder = path; ; folder = dirname(folder)) {
    let type: number;
    try {
      type = statfsSync(folder).type;
    } catch {
      if (folder !== dirname(folder)) continue;
      type = 0;
    }
    if (type === BPF_FS_MAGIC) return;
    throw new EkhoError('E_DEVICE', `${path} is not in a BPF file system`, {
      remedy: 'Mount one: `mount -t bpf bpf /sys/fs/bpf`; the state of a tables device is a folder in it.',
    });
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

/** Removes a folder of pins and with it what only they held: programs are detached. */
function discard(path: string): void {
  for (const name of readdirSync(path)) unlinkSync(join(path, name));
  rmdirSync(path);
}
