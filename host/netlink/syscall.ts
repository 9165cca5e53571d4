/** The few system calls that neither Node nor the netlink package offers, through libc. */

import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import koffi from 'koffi';
import { EkhoError } from '../errors.ts';

const AF_NETLINK = 16;
const CLONE_NEWNET = 0x40000000;
/** linux/fcntl.h: LOCK_EX | LOCK_NB. */
const LOCK_EXCLUSIVE_NOW = 2 | 4;
const SOL_SOCKET = 1;
const SOL_NETLINK = 270;
const SO_RCVBUF = 8;
const SO_PEERCRED = 17;
const SO_RCVBUFFORCE = 33;
const SO_PROTOCOL = 38;
const SO_MEMINFO = 55;
const SO_NETNS_COOKIE = 71;
const AF_INET = 2;
/** linux/net.h: SOCK_DGRAM | SOCK_CLOEXEC. */
const DATAGRAM_SOCKET = 2 | 0x80000;
/** linux/sock_diag.h: SO_MEMINFO gives SK_MEMINFO_VARS numbers, SK_MEMINFO_DROPS is the last. */
const SK_MEMINFO_RMEM_ALLOC = 0;
const SK_MEMINFO_DROPS = 8;
const SK_MEMINFO_VARS = 9;

export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
export const NETLINK_GET_STRICT_CHK = 12;
export const NETLINK_NO_ENOBUFS = 5;

const libc = koffi.load(null);
const setns = libc.func('int setns(int fd, int nstype)');
const getsockname = libc.func('int getsockname(int fd, _Out_ uint8_t *address, _Inout_ uint32_t *length)');
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);
const getsockopt = libc.func(
  'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)',
);
const openSocket = libc.func('int socket(int domain, int type, int protocol)');
const closeDescriptor = libc.func('int close(int fd)');
const flock = libc.func('int flock(int fd, int operation)');
const mallocTrim = findMallocTrim();
const madvise = libc.func('int madvise(uintptr_t address, size_t length, int advice)');
const strerror = libc.func('const char *strerror(int error)');

function findMallocTrim(): ((keep: number) => number) | undefined {
  try {
    return libc.func('int malloc_trim(size_t pad)') as unknown as (keep: number) => number;
  } catch {
    return undefined; // another C library
  }
}

/** Returns what the C library holds in its free lists, as after a thread ended, to the system; glibc only. */
export function releaseFreeMemory(): void {
  mallocTrim?.(0);
}

/** linux/mman.h */
const MADV_DONTNEED = 4;
/** A mapping that /proc/PID/smaps begins with: addresses, permissions, and the file after offset, device and inode. */
const FILE_MAPPING = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \d+ +\//;

/**
 * Takes pages of files that are only read, code above all, out of this process; those it goes on using come back from the page cache.
 * Mappings with pages of this process's own, as relocated ones, are left alone. Gives the bytes.
 */
export function releaseFilePages(): number {
  let released = 0;
  for (const text of readFileSync('/proc/self/smaps', 'latin1').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)) {
    const mapping = FILE_MAPPING.exec(text);
    if (mapping === null || !/^Anonymous: +0 kB$/m.test(text) || /^Rss: +0 kB$/m.test(text)) continue;
    const [start, end] = [Number(`0x${mapping[1]}`), Number(`0x${mapping[2]}`)];
    if (madvise(start, end - start, MADV_DONTNEED) === 0) released += end - start;
  }
  return released;
}

/** The system's text for an errno, e.g. `No such file or directory`. */
export function errorText(errno: number): string {
  return strerror(errno) as string;
}

function readOption(fd: number, level: number, name: number, bytes: number): Uint8Array | undefined {
  const value = new Uint8Array(bytes);
  return getsockopt(fd, level, name, value, [bytes]) === 0 ? value : undefined;
}

function writeOption(fd: number, level: number, name: number, value: number): boolean {
  return setsockopt(fd, level, name, new Uint32Array([value]), 4) === 0;
}

/**
 * Finds this process's netlink socket that is bound to `port` (nl_pid), which the netlink package does not tell.
 * The newest (highest) descriptor wins: sockets of other namespaces may have the same port.
 */
export function findNetlinkSocket(protocol: number, port: number): number {
  const address = new Uint8Array(12);
  const view = new DataView(address.buffer);
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  const found: number[] = [];
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    try {
      if (!readlinkSync(`/proc/self/fd/${name}`).startsWith('socket:')) continue;
    } catch {
      continue; // closed since the listing
    }
    if (getsockname(fd, address, [address.length]) !== 0) continue;
    if (view.getUint16(0, little) !== AF_NETLINK || view.getUint32(4, little) !== port) continue;
    const bytes = readOption(fd, SOL_SOCKET, SO_PROTOCOL, 4);
    if (bytes !== undefined && new Uint32Array(bytes.buffer)[0] === protocol) found.push(fd);
  }
  if (found.length === 0) {
    throw new EkhoError('E_INTERNAL', `no descriptor of this process is netlink port ${port}`);
  }
  return Math.max(...found);
}

/** False when the kernel does not know the option. */
export function setNetlinkOption(fd: number, option: number): boolean {
  return writeOption(fd, SOL_NETLINK, option, 1);
}

/** Sets the receive buffer in bytes, beyond net.core.rmem_max where this process may (CAP_NET_ADMIN). */
export function setReceiveBuffer(fd: number, bytes: number): void {
  if (!writeOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes)) writeOption(fd, SOL_SOCKET, SO_RCVBUF, bytes);
}

/** Size of the receive buffer as the kernel counts it, twice the bytes asked for (socket(7)). */
export function receiveBuffer(fd: number): number | undefined {
  const bytes = readOption(fd, SOL_SOCKET, SO_RCVBUF, 4);
  return bytes === undefined ? undefined : new Uint32Array(bytes.buffer)[0];
}

/**
 * The kernel's number for a network namespace, never used twice while the machine is up: of the one named, or of this
 * thread's. Undefined where the kernel does not tell (SO_NETNS_COOKIE, Linux 5.14). Throws E_NETNS as `inNetns`.
 */
export function netnsCookie(name: string | undefined): bigint | undefined {
  const ask = (): bigint | undefined => {
    const fd = openSocket(AF_INET, DATAGRAM_SOCKET, 0) as number;
    if (fd < 0) return undefined;
    try {
      const bytes = readOption(fd, SOL_SOCKET, SO_NETNS_COOKIE, 8);
      return bytes === undefined ? undefined : new BigUint64Array(bytes.buffer)[0];
    } finally {
      // Not Node's: in a worker it would warn that it did not open the descriptor.
      closeDescriptor(fd);
    }
  };
  return name === undefined ? ask() : inNetns(name, ask);
}

/** Datagrams the kernel dropped because the socket's buffer was full, modulo 2^32. */
export function socketDrops(fd: number): number {
  return memoryInfo(fd, SK_MEMINFO_DROPS);
}

/** Bytes of the socket's buffer that datagrams take which were not received yet; each takes more than its length. */
export function socketBacklog(fd: number): number {
  return memoryInfo(fd, SK_MEMINFO_RMEM_ALLOC);
}

const memoryVars = new Uint32Array(SK_MEMINFO_VARS);
const memoryVarsBytes = new Uint8Array(memoryVars.buffer);
const memoryVarsLength = new Uint32Array(1);

/** Asked after each turn of the event loop in which something came: nothing is allocated for it. */
function memoryInfo(fd: number, field: number): number {
  memoryVarsLength[0] = memoryVarsBytes.length;
  const isTold = getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memoryVarsBytes, memoryVarsLength) === 0;
  // An older kernel tells of fewer.
  return isTold && field * 4 < memoryVarsLength[0]! ? memoryVars[field]! : 0;
}

/** Who connected a unix socket (unix(7)): numbers of the user and the process; undefined: it is no such socket. */
export function peerOf(fd: number): { readonly uid: number; readonly pid: number } | undefined {
  // struct ucred: pid, uid, gid.
  const bytes = readOption(fd, SOL_SOCKET, SO_PEERCRED, 12);
  if (bytes === undefined) return undefined;
  const [pid = 0, uid = 0] = new Uint32Array(bytes.buffer, bytes.byteOffset, 3);
  return { uid, pid };
}

/** Takes the file's lock for as long as the descriptor is open; false when another process has it. */
export function lockFile(fd: number): boolean {
  return flock(fd, LOCK_EXCLUSIVE_NOW) === 0;
}

/** Where `name` is: a path as it stands, else a namespace of `ip netns`. */
export function netnsPath(name: string): string {
  return name.includes('/') ? name : `/run/netns/${name}`;
}

/**
 * Runs `action` synchronously with this thread in the network namespace `name`; what it opens stays there.
 * Throws E_NETNS when the namespace is not there or may not be entered (needs CAP_SYS_ADMIN).
 */
export function inNetns<T>(name: string, action: () => T): T {
  if (name === '') {
    throw new EkhoError('E_NETNS', 'the name of the network namespace is empty', {
      remedy: 'List the namespaces with `ip netns list`, or leave the name out for this one.',
      operation: 'enter network namespace',
    });
  }
  const path = netnsPath(name);
  let target: number;
  try {
    target = openSync(path, 'r');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new EkhoError('E_NETNS', `network namespace ${name}: ${path} cannot be opened (${code})`, {
      remedy: code === 'ENOENT' ? 'List the namespaces with `ip netns list`.' : 'Run as root.',
      operation: 'enter network namespace',
      cause,
    });
  }
  let home: number;
  try {
    home = openSync('/proc/thread-self/ns/net', 'r');
  } catch (cause) {
    closeSync(target);
    throw new EkhoError(
      'E_NETNS',
      `no way back from network namespace ${name}: ${(cause as Error).message}`,
      {
        operation: 'enter network namespace',
        cause,
      },
    );
  }
  try {
    if (setns(target, CLONE_NEWNET) !== 0) {
      const errno = koffi.errno();
      throw new EkhoError('E_NETNS', `network namespace ${name} cannot be entered: ${errorText(errno)}`, {
        remedy:
          errno === koffi.os.errno.EPERM
            ? 'Entering another namespace needs CAP_SYS_ADMIN: run as root.'
            : `Check that ${path} is a network namespace.`,
        operation: 'enter network namespace',
      });
    }
    try {
      return action();
    } finally {
      // A process left in the wrong namespace would mirror, and program, the wrong network: end it instead.
      if (setns(home, CLONE_NEWNET) !== 0) {
        process.stderr.write(
          `ekho: cannot return from network namespace ${name}: ${errorText(koffi.errno())}\n`,
        );
        process.abort();
      }
    }
  } finally {
    closeSync(home);
    closeSync(target);
  }
}
