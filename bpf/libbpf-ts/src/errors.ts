/** The one error class of this package and the registry of its codes: callers match `code`, people read the message. */

import type { VerifierReport } from './verifier.ts';

export const ERROR_CODES = {
  E_LIBBPF_MISSING: 'libbpf.so.1 is not installed or cannot be loaded.',
  E_LIBBPF_OLD: 'The installed libbpf lacks what was asked for; the message names the version that has it.',
  E_RIGHTS: 'The process lacks capabilities; the message names them.',
  E_LOCKDOWN: 'Kernel lockdown forbids it.',
  E_REFUSED: 'The kernel refused (EPERM or EACCES) although rights are there and lockdown is off.',
  E_NOT_SUPPORTED: 'This kernel does not have the feature.',
  E_NO_TARGET: 'What a program should attach to does not exist on this kernel.',
  E_OBJECT: 'The file is not a BPF object that libbpf can open.',
  E_RELOCATION: 'A CO-RE relocation or an extern could not be resolved against this kernel.',
  E_VERIFIER: 'The verifier rejected a program; `verifier` says which, where and why.',
  E_NOT_FOUND: 'There is no map, program, variable, type, pin or id of that name.',
  E_EXISTS: 'It exists already.',
  E_MISSING_KEY: 'The map has no such key.',
  E_FULL: 'The map is full.',
  E_VALUE: 'A value does not fit its type or size.',
  E_STATE: 'Not possible in this state: the message says what has to happen first.',
  E_CLOSED: 'The handle, or the object it belongs to, has been closed.',
  E_ITERATION: 'The map changed too much while it was iterated.',
  E_PIN: 'The path is not in a BPF file system, or cannot be used as a pin.',
  E_BTF: 'The BTF data is missing or malformed.',
  E_KERNEL: 'The kernel or libbpf failed; `errno` has its name.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorDetails {
  /** Name of the errno, e.g. `EPERM`. */
  readonly errno?: string | undefined;
  /** What was being done, e.g. `load counter.bpf.o`. */
  readonly operation?: string | undefined;
  /** What can be done about it, as one sentence. */
  readonly remedy?: string | undefined;
  /** What libbpf printed meanwhile, a line each, at most MESSAGES_MAX. */
  readonly messages?: readonly string[] | undefined;
  readonly verifier?: VerifierReport | undefined;
  /** Of a batch operation: how many entries were done before the failure. */
  readonly done?: number | undefined;
  readonly cause?: unknown;
}

export class BpfError extends Error {
  readonly code: ErrorCode;
  readonly errno: string | undefined;
  readonly operation: string | undefined;
  readonly remedy: string | undefined;
  readonly messages: readonly string[];
  readonly verifier: VerifierReport | undefined;
  readonly done: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'BpfError';
    this.code = code;
    this.errno = details.errno;
    this.operation = details.operation;
    this.remedy = details.remedy;
    this.messages = details.messages ?? [];
    this.verifier = details.verifier;
    this.done = details.done;
  }
}
