/** Listens to what libbpf prints while it works, to put it into errors and logs. */

import koffi from 'koffi';
import { libc, native, type Pointer } from './native.ts';

/** Most lines of warnings that are kept of one operation; verifier logs are kept whole besides. */
export const MESSAGES_MAX = 200;

export interface Captured<T> {
  readonly result: T;
  /** errno right after the operation. */
  readonly errno: number;
  /** Warnings and notices, a line each, without libbpf's prefix. */
  readonly messages: readonly string[];
  /** Verifier logs with the lines around them, as libbpf printed them. */
  readonly logs: string;
}

const WARN = 0;
const DEBUG = 2;
const LOG_BEGIN = '-- BEGIN PROG LOAD LOG --';

interface Sink {
  messages: string[];
  logs: string;
}

let sink: Sink | undefined;
let register: (() => void) | undefined;
let unregister: (() => void) | undefined;

/** A va_list parameter is an address in both supported calling conventions (x86-64 SysV, AAPCS64). */
function print(level: number, format: string, list: Pointer): number {
  // libbpf prints hundreds of debug lines; only program logs among them matter, and their format says so.
  if (sink === undefined || (level >= DEBUG && !format.includes(LOG_BEGIN))) return 0;
  const out = new BigUint64Array(1);
  if (libc.vasprintf(out, format, list) < 0) return 0;
  const text = koffi.decode.string(out[0]!);
  libc.free(out[0]);
  if (text.includes(LOG_BEGIN)) {
    sink.logs += text;
  } else if (sink.messages.length < MESSAGES_MAX) {
    sink.messages.push(text.replace(/^libbpf: /, '').trimEnd());
  }
  return WARN;
}

function prepare(): void {
  native();
  const type = koffi.pointer(koffi.proto('int', ['int', 'const char *', 'uintptr_t']));
  const set = koffi
    .load(process.env.LIBBPF_TS_LIBRARY || 'libbpf.so.1')
    .func('libbpf_set_print', 'void *', [type]);
  const callback = koffi.register(print, type);
  register = () => set(callback);
  unregister = () => set(null);
}

/**
 * Runs a libbpf operation and collects what it prints. The print function is one per process: two JavaScript threads
 * that load objects at the same moment may see each other's messages, never each other's results.
 */
export function capture<T>(operation: () => T): Captured<T> {
  if (register === undefined) prepare();
  const mine: Sink = { messages: [], logs: '' };
  const outer = sink;
  sink = mine;
  register!();
  try {
    const result = operation();
    const errno = koffi.errno();
    return { result, errno, messages: mine.messages, logs: mine.logs };
  } finally {
    sink = outer;
    if (outer === undefined) unregister!();
  }
}
