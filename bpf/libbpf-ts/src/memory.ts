/** Memory that JavaScript does not own: views of it, mappings, and taking views back before it goes away. */

import koffi from 'koffi';
import { errnoName } from './errno.ts';
import { BpfError } from './errors.ts';
import { lastErrno, libc, type Pointer } from './native.ts';

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const SC_PAGESIZE = 30;
const F_DUPFD_CLOEXEC = 1030;

export const pageSize: number = Number(libc.sysconf(SC_PAGESIZE));

/** An ArrayBuffer over `bytes` bytes at `address`; detach() it before the memory goes away. */
export function viewOf(address: Pointer, bytes: number): ArrayBuffer {
  return koffi.view(address, bytes);
}

/** Makes every view of a buffer empty, so that a use after close reads `undefined` and not foreign memory. */
export function detach(buffer: ArrayBuffer): void {
  buffer.transfer(0);
}

/** Address of a buffer of its own: `new ArrayBuffer`, which is never moved (small typed arrays are). */
export function addressOf(buffer: ArrayBuffer): Pointer {
  const address = koffi.address(buffer);
  return address <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(address) : address;
}

/** Copies bytes from an address. */
export function copyFrom(address: Pointer, bytes: number): Uint8Array<ArrayBuffer> {
  if (bytes === 0) return new Uint8Array(0);
  const view = viewOf(address, bytes);
  const copy = new Uint8Array(view).slice();
  detach(view);
  return copy;
}

/** A shared mapping of a file descriptor. */
export interface Mapping {
  readonly buffer: ArrayBuffer;
  readonly address: Pointer;
  unmap(): void;
}

/** Maps `bytes` bytes of `fd` from `offset` on, shared. @throws E_KERNEL */
export function mapShared(fd: number, offset: number, bytes: number, writable: boolean): Mapping {
  const address = libc.mmap(
    0,
    bytes,
    PROT_READ | (writable ? PROT_WRITE : 0),
    MAP_SHARED,
    fd,
    offset,
  ) as Pointer;
  // MAP_FAILED is (void *)-1, which arrives as the largest address.
  if (BigInt(address) === 0xffff_ffff_ffff_ffffn) {
    const errno = errnoName(lastErrno());
    throw new BpfError('E_KERNEL', `mmap of ${bytes} bytes: ${errno}`, { errno, operation: 'mmap' });
  }
  const buffer = viewOf(address, bytes);
  return {
    buffer,
    address,
    unmap() {
      detach(buffer);
      libc.munmap(address, bytes);
    },
  };
}

/** A mapping that somebody else in this process made, and undoes. */
export function mappedAt(address: Pointer, bytes: number): Mapping {
  const buffer = viewOf(address, bytes);
  return { buffer, address, unmap: () => detach(buffer) };
}

/** A second descriptor for the same file, closed on exec. @throws E_KERNEL */
export function duplicate(fd: number): number {
  const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, 0) as number;
  if (copy < 0) {
    const errno = errnoName(lastErrno());
    throw new BpfError('E_KERNEL', `dup of descriptor ${fd}: ${errno}`, { errno, operation: 'dup' });
  }
  return copy;
}

export function closeFd(fd: number): void {
  libc.close(fd);
}
