/** Pins: names in a BPF file system that keep a map, program or link alive. */

import { readFileSync, statfsSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { EACCES, EINVAL, EPERM } from './errno.ts';
import { BpfError } from './errors.ts';
import { checked, failure } from './failure.ts';
import { closeFd } from './memory.ts';
import { native } from './native.ts';

/** include/uapi/linux/magic.h: BPF_FS_MAGIC */
const BPF_FS_MAGIC = 0xcafe4a11;

/** What a descriptor's /proc/self/fdinfo calls the kinds of BPF things. */
const MARKS = { map: 'map_type:', program: 'prog_type:', link: 'link_type:' } as const;

function inBpfFs(path: string): boolean {
  try {
    return statfsSync(dirname(path)).type === BPF_FS_MAGIC;
  } catch {
    return false;
  }
}

function pinError(errno: number, operation: string, path: string): BpfError {
  if ((errno === EPERM || errno === EINVAL || errno === EACCES) && !inBpfFs(path)) {
    return new BpfError('E_PIN', `${operation}: ${dirname(path)} is not in a BPF file system`, {
      operation,
      remedy: 'Mount one, e.g. mount -t bpf bpf /sys/fs/bpf.',
    });
  }
  return failure(errno, operation);
}

/** Pins a descriptor. @throws E_PIN, E_EXISTS, E_NOT_FOUND (no such folder), E_RIGHTS */
export function pinFd(fd: number, path: string, title: string): void {
  const result = native().bpf_obj_pin(fd, path) as number;
  if (result < 0) throw pinError(-result, `pin ${title} at ${path}`, path);
}

/** Opens a pin of that kind. @throws E_NOT_FOUND, E_PIN (not a pin, or of another kind), E_RIGHTS */
export function openPin(path: string, kind: keyof typeof MARKS): number {
  const operation = `open pinned ${kind} ${path}`;
  const fd = native().bpf_obj_get(path) as number;
  if (fd < 0) throw pinError(-fd, operation, path);
  checkKind(fd, kind, path);
  return fd;
}

/** Makes sure that a pin is of that kind; closes the descriptor if it is not. @throws E_PIN */
export function checkKind(fd: number, kind: keyof typeof MARKS, path: string): void {
  checked(fd, `open ${path}`);
  if (readFileSync(`/proc/thread-self/fdinfo/${fd}`, 'utf8').includes(MARKS[kind])) return;
  closeFd(fd);
  throw new BpfError('E_PIN', `${path} is not a pinned ${kind}`, {
    operation: `open pinned ${kind} ${path}`,
  });
}

/** Removes a pin. @throws E_NOT_FOUND */
export function unpin(path: string): void {
  try {
    unlinkSync(path);
  } catch (cause) {
    throw new BpfError('E_NOT_FOUND', `unpin ${path}: ${(cause as Error).message}`, { cause });
  }
}
