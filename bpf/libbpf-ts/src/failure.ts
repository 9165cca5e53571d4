/** Turns an errno into the typed error that says what stood in the way. */

import { E2BIG, EACCES, EEXIST, ENOENT, ENOSYS, ENOTSUPP, EOPNOTSUPP, EPERM, errnoName } from './errno.ts';
import { BpfError, type ErrorCode, type ErrorDetails } from './errors.ts';
import { type Capability, effectiveCapabilities, explainRefusal, lockdownMode } from './rights.ts';

/** Codes of errnos that mean the same wherever they come from. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  [ENOENT]: 'E_NOT_FOUND',
  [EEXIST]: 'E_EXISTS',
  [E2BIG]: 'E_FULL',
  [ENOSYS]: 'E_NOT_SUPPORTED',
  [EOPNOTSUPP]: 'E_NOT_SUPPORTED',
  [ENOTSUPP]: 'E_NOT_SUPPORTED',
};

export interface Circumstances extends Omit<ErrorDetails, 'errno' | 'operation'> {
  /** What the operation needs, to explain EPERM. */
  readonly rights?: readonly Capability[];
  /** Codes that this operation's errnos have instead of the usual ones. */
  readonly codes?: Readonly<Record<number, ErrorCode>>;
}

/** The error for an operation that failed with `errno` (positive). */
export function failure(errno: number, operation: string, circumstances: Circumstances = {}): BpfError {
  const { rights = ['CAP_BPF'], codes, ...details } = circumstances;
  const name = errnoName(errno);
  const given = codes?.[errno];
  if (given === undefined && (errno === EPERM || errno === EACCES)) {
    const refusal = explainRefusal(effectiveCapabilities(), lockdownMode(), rights);
    return new BpfError(refusal.code, `${operation}: ${name}: ${refusal.why}${tail(details.messages)}`, {
      ...details,
      errno: name,
      operation,
      remedy: details.remedy ?? refusal.remedy,
    });
  }
  const code = given ?? CODES[errno] ?? 'E_KERNEL';
  return new BpfError(code, `${operation}: ${name}${tail(details.messages)}`, {
    ...details,
    errno: name,
    operation,
  });
}

function tail(messages: readonly string[] | undefined): string {
  return messages !== undefined && messages.length > 0 ? ` (${messages.join('; ')})` : '';
}

/** Passes a result ≥ 0 on. @throws the error for a negative one, which is -errno (libbpf 1.x returns that) */
export function checked(result: number, operation: string, circumstances?: Circumstances): number {
  if (result >= 0) return result;
  throw failure(-result, operation, circumstances);
}
