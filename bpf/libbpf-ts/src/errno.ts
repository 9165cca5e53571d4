/** Names of error numbers. */

import { constants } from 'node:os';

/** include/linux/errno.h: kernel-internal, but the bpf system call returns it. */
export const ENOTSUPP = 524;

export const {
  EPERM,
  ENOENT,
  ESRCH,
  E2BIG,
  EAGAIN,
  EBUSY,
  EEXIST,
  EINVAL,
  ENOSPC,
  EOPNOTSUPP,
  ENOSYS,
  EACCES,
} = constants.errno;

const names = new Map<number, string>([[ENOTSUPP, 'ENOTSUPP']]);
for (const [name, number] of Object.entries(constants.errno)) {
  // Two names share a number here and there (EWOULDBLOCK, ENOTSUP): the first is the usual one, but for EOPNOTSUPP.
  if (!names.has(number) || name === 'EOPNOTSUPP') names.set(number, name);
}

/** `2` → `ENOENT`; a number without a name stays a number. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? String(errno);
}
