/** The system calls that a plugin's process needs and Node does not offer, through libc. */

import koffi from 'koffi';

const AF_UNIX = 1;
/** linux/net.h: SOCK_STREAM | SOCK_CLOEXEC. */
const STREAM_SOCKET = 1 | 0x80000;
/** asm-generic/resource.h. */
const RESOURCES = { cpu: 0, fileSize: 1, core: 4, descriptors: 7 } as const;

export type ResourceLimit = keyof typeof RESOURCES;

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
