/** What the root tests share: an expected error code, a BPF file system, network namespaces, open descriptors. */

import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { BpfError } from '../src/index.ts';

/** The error an action ends with. */
export function errorOf(action: () => unknown): BpfError {
  try {
    action();
  } catch (error) {
    if (error instanceof BpfError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

/** A BPF file system of its own, in place of /sys/fs/bpf. */
export function mountBpfFs(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'libbpf-ts-fs-'));
  execFileSync('mount', ['-t', 'bpf', 'bpf', path]);
  return {
    path,
    [Symbol.dispose]() {
      execFileSync('umount', [path]);
      rmdirSync(path);
    },
  };
}

export function ip(...args: string[]): string {
  return execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}

const setns = koffi.load(null).func('int setns(int fd, int type)');
const CLONE_NEWNET = 0x40000000;

function enter(fd: number): void {
  if ((setns(fd, CLONE_NEWNET) as number) !== 0) throw new Error(`setns: errno ${koffi.errno()}`);
}

let count = 0;

/** Two namespaces joined by a veth pair, `east` 10.9.0.1 in the first. inside() runs in the first. */
export class Wire implements Disposable {
  readonly near = `ekho-${process.pid}-bpf${count++}`;
  readonly far = `${this.near}f`;

  constructor() {
    try {
      for (const name of [this.near, this.far]) ip('netns', 'add', name);
      ip('-n', this.near, 'link', 'add', 'east', 'type', 'veth', 'peer', 'name', 'west', 'netns', this.far);
      ip('-n', this.near, 'address', 'add', '10.9.0.1/24', 'dev', 'east');
      ip('-n', this.far, 'address', 'add', '10.9.0.2/24', 'dev', 'west');
      ip('-n', this.near, 'link', 'set', 'east', 'up');
      ip('-n', this.far, 'link', 'set', 'west', 'up');
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Of `east`. */
  get ifindex(): number {
    return JSON.parse(ip('-n', this.near, '-j', 'link', 'show', 'east'))[0].ifindex;
  }

  /** Sends pings from the far side; whether all were answered. */
  ping(times: number): boolean {
    try {
      execFileSync('ip', [
        ...['netns', 'exec', this.far],
        ...['ping', '-q', '-c', String(times), '-i', '0.05', '-W', '1', '10.9.0.1'],
      ]);
      return true;
    } catch {
      return false;
    }
  }

  /** Runs with this thread in the near namespace; nothing asynchronous. */
  inside<T>(action: () => T): T {
    const home = openSync('/proc/thread-self/ns/net', 'r');
    const near = openSync(`/run/netns/${this.near}`, 'r');
    try {
      enter(near);
      return action();
    } finally {
      enter(home);
      closeSync(near);
      closeSync(home);
    }
  }

  [Symbol.dispose](): void {
    for (const name of [this.near, this.far]) {
      try {
        ip('netns', 'del', name);
      } catch {
        // was never made
      }
    }
  }
}

export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

export function residentBytes(): number {
  return Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4096;
}

koffi.struct('mallinfo2', {
  arena: 'size_t',
  ordblks: 'size_t',
  smblks: 'size_t',
  hblks: 'size_t',
  hblkhd: 'size_t',
  usmblks: 'size_t',
  fsmblks: 'size_t',
  uordblks: 'size_t',
  fordblks: 'size_t',
  keepcost: 'size_t',
});
const mallinfo2 = koffi.load(null).func('mallinfo2 mallinfo2()');

/** Bytes that malloc has given out and not taken back: libbpf's and koffi's, not JavaScript's. Needs glibc 2.33. */
export function allocatedBytes(): number {
  const { uordblks, hblkhd } = mallinfo2() as { uordblks: number; hblkhd: number };
  return uordblks + hblkhd;
}

export function mappings(): number {
  return readFileSync('/proc/self/maps', 'utf8').split('\n').length;
}
