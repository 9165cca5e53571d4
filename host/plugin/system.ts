/** What the processes of plugins need of the system and Node does not offer. */

import { readFileSync } from 'node:fs';
import koffi from 'koffi';

const AF_UNIX = 1;
/** linux/net.h: SOCK_STREAM | SOCK_CLOEXEC. */
const STREAM_SOCKET = 1 | 0x80000;
/** asm-generic/resource.h. */
const RESOURCES = { cpu: 0, fileSize: 1, core: 4, descriptors: 7 } as const;

export type ResourceLimit = keyof typeof RESOURCES;

/** CLOCKS_PER_SEC of /proc (USER_HZ), the same on every Linux architecture. */
const TICKS_PER_S = 100;

const libc = koffi.load(null);
const socketpair = libc.func('int socketpair(int domain, int type, int protocol, _Out_ int *pair)');
const prlimit = libc.func('int prlimit(int pid, int resource, const uint64_t *limit, void *old)');

/** Two ends of a blocking stream, both closed in programs that are started. */
export function socketPair(): [number, number] {
  const pair: [number, number] = [-1, -1];
  if (socketpair(AF_UNIX, STREAM_SOCKET, 0, pair) !== 0)
    throw new Error(`socketpair: errno ${koffi.errno()}`);
  return pair;
}

/** RLIM_INFINITY. */
const UNLIMITED = 2n ** 64n - 1n;

/**
 * Limits a process of this user, see setrlimit(2): for good, or `soft`, which can be raised again. False if it is gone or
 * the limit cannot be set.
 */
export function setResourceLimit(process: number, what: ResourceLimit, value: number, soft = false): boolean {
  const limits = BigUint64Array.of(BigInt(value), soft ? UNLIMITED : BigInt(value));
  return prlimit(process, RESOURCES[what], limits, null) === 0;
}

/** CPU time of a process so far, 0 if it is gone. */
export function cpuSeconds(pid: number | undefined): number {
  try {
    // proc(5): utime and stime are fields 14 and 15; the name before them may have spaces, but ends the last parenthesis.
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
  } catch {
    return 0;
  }
}

/** Resident memory of a process in MiB, 0 if it is gone. */
export function memoryMib(pid: number | undefined): number {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return Number(kib ?? 0) / 1024;
  } catch {
    return 0;
  }
}
