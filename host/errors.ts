/** The one registry of error codes: callers match `code`, people read `message` and `remedy`. */

export const ERROR_CODES = {
  E_USAGE: 'The command line or request is not understood.',
  E_CONFIG: 'The configuration file is not valid; the message names file, line and key.',
  E_NO_HOST: 'No host answers on the socket.',
  E_SOCKET_ACCESS: 'The socket is there but may not be used by this user.',
  E_SOCKET_BUSY: 'Another host already answers on the socket.',
  E_UNKNOWN_KIND: 'There is no such kind of object.',
  E_UNKNOWN_OBJECT: 'No object matches.',
  E_EXISTS: 'There is one already, or it is somebody else’s.',
  E_UNAVAILABLE: 'The kernel does not give this kind of object to the host, or it is not mirrored.',
  E_DENIED: 'The caller may not do this.',
  E_BUSY: 'Too much is asked at a time; ask again.',
  E_BAD_ADDRESS: 'Not an IP address or prefix.',
  E_NETNS: 'The network namespace cannot be entered.',
  E_NETLINK: 'The kernel refused a netlink request.',
  E_REMOTE: 'A mirror cannot be published to, or read from, the NATS server.',
  E_DECODE: 'A netlink message or a notifier record does not follow its layout.',
  E_TIMEOUT: 'The time limit passed before it was done.',
  E_DIVERGED: 'Mirror and kernel, or plan and hardware, differ.',
  E_PLUGIN_INVALID: 'The file is not a component this host can run.',
  E_PLUGIN_IMPORT: 'The plugin imports an interface it was not granted.',
  E_PLUGIN_VERSION: 'The plugin was made for another version of the interfaces.',
  E_SIGNATURE: 'The plugin’s signature, or a key, is not valid or not trusted.',
  E_PLUGIN_TRAP: 'The plugin trapped.',
  E_PLUGIN_TIMEOUT: 'A call into the plugin did not return in time.',
  E_PLUGIN_DOWN: 'The plugin is not running.',
  E_PLUGIN_START: 'The plugin refused its configuration or to start.',
  E_PLUGIN_PROTOCOL: 'The plugin answered what it may not answer.',
  E_PROJECT: 'The plugin folder or its plugin.toml is not valid.',
  E_TOOL: 'A compiler that the plugin needs is not installed.',
  E_BUILD: 'The plugin does not compile; the message is the compiler’s.',
  E_CASE: 'A case of the conformance suite is not valid; the message names file and step.',
  E_CACHE: 'The folder for transpiled plugins cannot be written or is not safe to use.',
  E_DEMO: 'The demo cannot be built on this machine.',
  E_DEVICE: 'The device cannot be opened or does not exist.',
  E_INTERNAL: 'A fault in this program.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorDetails {
  /** What can be done about it, as one sentence. */
  readonly remedy?: string;
  /** What was being done, e.g. `dump route`. */
  readonly operation?: string;
  /** Text of the kernel's extended ack (NLMSGERR_ATTR_MSG). */
  readonly kernel?: string;
  readonly cause?: unknown;
}

export class EkhoError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string | undefined;
  readonly operation: string | undefined;
  readonly kernel: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'EkhoError';
    this.code = code;
    this.remedy = details.remedy;
    this.operation = details.operation;
    this.kernel = details.kernel;
  }
}

/** What machines and processes run out of, and have again: descriptors, processes, memory. */
const SHORTAGES = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

/** The error, or what caused it, says nothing of what was asked for but that the machine could not do it just now. */
export function isShortage(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (SHORTAGES.has((at as NodeJS.ErrnoException).code ?? '')) return true;
  return false;
}
