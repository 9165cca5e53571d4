/** State files: a file mapped as the ASIC's memory, so that its tables outlive the host, whatever ends it. */

import { closeSync, constants, fstatSync, ftruncateSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { getSystemErrorMessage } from 'node:util';
import { EkhoError } from '../../errors.ts';
import { GROUP_MEMBERS, HEADER, LAYOUT_VERSION, MAGIC0, MAGIC1, type MemoryLayout } from './layout.ts';

// From <sys/mman.h> and <sys/file.h> of Linux.
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const LOCK_EXCLUSIVE_NOW = 2 | 4;
const LOCK_RELEASE = 8;
// From <errno.h>.
const EINTR = 4;
const ENOSPC = 28;
const EDQUOT = 122;
/** Times that a signal may interrupt a reservation. */
const RESERVE_TRIES_MAX = 16;

type Koffi = typeof import('koffi');

interface Libc {
  readonly view: Koffi['view'];
  readonly mmap: (
    hint: number,
    bytes: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ) => bigint | number;
  readonly flock: (fd: number, operation: number) => number;
  /** Returns an errno or 0. */
  readonly posixFallocate: (fd: number, offset: number, bytes: number) => number;
}

let libc: Libc | undefined;

/** Loaded when a state file is first used: devices without one need no native code. */
function loadLibc(): Libc {
  if (libc === undefined) {
    const koffi: Koffi = createRequire(import.meta.url)('koffi');
    const library = koffi.load('libc.so.6');
    libc = {
      view: koffi.view,
      mmap: library.func(
        'intptr_t mmap(intptr_t hint, size_t bytes, int prot, int flags, int fd, int64_t offset)',
      ) as unknown as Libc['mmap'],
      flock: library.func('int flock(int fd, int operation)') as unknown as Libc['flock'],
      posixFallocate: library.func(
        'int posix_fallocate(int fd, int64_t offset, int64_t bytes)',
      ) as unknown as Libc['posixFallocate'],
    };
  }
  return libc;
}

interface Mapping {
  readonly buffer: ArrayBuffer;
  /** Where it stands in this process: threads of it need no mapping of their own. */
  readonly address: bigint;
}

/**
 * Mappings of this thread by device and inode. A mapping is never undone: something may still look at it, and opening
 * the same file again finds it here.
 */
const mappings = new Map<string, Mapping>();

export interface OpenFile extends Mapping {
  /** Keeps the lock, until `releaseFile`. */
  readonly descriptor: number;
}

/**
 * Maps a state file, making it when it is not there or empty. With `lock` nobody else may have it open so, and the disk
 * has room for all of it.
 * @throws EkhoError E_DEVICE when it is locked, not a regular file, of another size, finds no room, or cannot be opened
 */
export function mapFile(path: string, bytes: number, lock: boolean): OpenFile {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw new EkhoError('E_DEVICE', `cannot open state file ${path}: ${(cause as Error).message}`, {
      remedy: 'Give a path in a folder that exists and that this user may write to.',
      cause,
    });
  }
  try {
    const stat = fstatSync(descriptor, { bigint: true });
    if (!stat.isFile()) {
      throw new EkhoError('E_DEVICE', `${path} is not a regular file`, {
        remedy: 'Give another path as state.',
      });
    }
    const { view, mmap, flock } = loadLibc();
    if (lock && flock(descriptor, LOCK_EXCLUSIVE_NOW) !== 0) {
      throw new EkhoError('E_DEVICE', `state file ${path} is in use by another process`, {
        remedy: 'End the other host, or give this one a state file of its own.',
      });
    }
    if (stat.size !== BigInt(bytes) && !(stat.size === 0n && lock)) {
      throw new EkhoError(
        'E_DEVICE',
        `state file ${path} has ${stat.size} bytes; these tables need ${bytes}`,
        {
          remedy: 'Set the table capacities it was made with, or delete it to start with empty tables.',
        },
      );
    }
    if (lock) reserve(path, descriptor, bytes, stat.size === 0n);
    const key = `${stat.dev}:${stat.ino}:${bytes}`;
    let mapping = mappings.get(key);
    if (mapping === undefined) {
      const address = BigInt(mmap(0, bytes, PROT_READ_WRITE, MAP_SHARED, descriptor, 0));
      if (address === -1n) {
        throw new EkhoError('E_DEVICE', `cannot map state file ${path} (${bytes} bytes)`, {
          remedy: 'Lower the table capacities or free memory.',
        });
      }
      mapping = { buffer: view(address, bytes) as ArrayBuffer, address };
      mappings.set(key, mapping);
    }
    return { ...mapping, descriptor };
  } catch (error) {
    releaseFile(descriptor);
    throw error;
  }
}

/**
 * Gives every byte of the file a block on the disk, holes of an older file too, and leaves what it says: a write into a
 * mapping that finds no block left ends the process with SIGBUS.
 */
function reserve(path: string, descriptor: number, bytes: number, made: boolean): void {
  const { posixFallocate } = loadLibc();
  let errno = EINTR;
  for (let tries = 0; errno === EINTR && tries < RESERVE_TRIES_MAX; tries++)
    errno = posixFallocate(descriptor, 0, bytes);
  if (errno === 0) return;
  // What was reserved before the disk was full goes back to it.
  if (made) ftruncateSync(descriptor, 0);
  const full = errno === ENOSPC || errno === EDQUOT;
  throw new EkhoError(
    'E_DEVICE',
    `cannot reserve ${bytes} bytes for state file ${path}: ${getSystemErrorMessage(-errno)}`,
    {
      remedy: full
        ? 'Make room on that disk, lower the table capacities, or give a path on another disk as state.'
        : 'Give a path on another file system as state.',
    },
  );
}

/** Lets others open the file. The mapping stays, and with it the kernel's open file: closing alone keeps the lock. */
export function releaseFile(descriptor: number): void {
  loadLibc().flock(descriptor, LOCK_RELEASE);
  closeSync(descriptor);
}

/** What another thread of this process mapped. */
export function viewMapping(address: bigint, bytes: number): ArrayBuffer {
  return loadLibc().view(address, bytes) as ArrayBuffer;
}

/** Writes a fresh header. The magic number comes last: without it the memory counts as new. */
export function writeHeader(words: Uint32Array, layout: MemoryLayout): void {
  words[HEADER.version] = LAYOUT_VERSION;
  words[HEADER.totalWords] = layout.words;
  words[HEADER.groupMembers] = GROUP_MEMBERS;
  for (const table of layout.tables) words[HEADER.capacities + table.number] = table.capacity;
  words[HEADER.magic1] = MAGIC1;
  words[HEADER.magic0] = MAGIC0;
}

/** Nothing was ever written here. */
export function isBlank(words: Uint32Array): boolean {
  return words[HEADER.magic0] === 0 && words[HEADER.magic1] === 0 && words[HEADER.epoch] === 0;
}

/**
 * Refuses memory that is not this version's or has other capacities.
 * @throws EkhoError E_DEVICE naming what differs
 */
export function checkHeader(words: Uint32Array, layout: MemoryLayout, path: string): void {
  const remedy = 'Give another path as state, or delete the file to start with empty tables.';
  if (words[HEADER.magic0] !== MAGIC0 || words[HEADER.magic1] !== MAGIC1) {
    throw new EkhoError('E_DEVICE', `${path} is not a state file of a simulated ASIC`, { remedy });
  }
  if (words[HEADER.version] !== LAYOUT_VERSION) {
    throw new EkhoError(
      'E_DEVICE',
      `state file ${path} has layout version ${words[HEADER.version]}, not ${LAYOUT_VERSION}`,
      { remedy },
    );
  }
  for (const table of layout.tables) {
    const rows = words[HEADER.capacities + table.number]!;
    if (rows !== table.capacity) {
      throw new EkhoError(
        'E_DEVICE',
        `state file ${path} was made with ${rows} rows in table ${table.name}, not ${table.capacity}`,
        { remedy: `Set tables.${table.name} = ${rows}, or delete the file to start with empty tables.` },
      );
    }
  }
  if (words[HEADER.totalWords] !== layout.words || words[HEADER.groupMembers] !== GROUP_MEMBERS) {
    throw new EkhoError('E_DEVICE', `state file ${path} has another layout`, { remedy });
  }
}
