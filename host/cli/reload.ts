/** SIGHUP: the configuration file is read again, and what can change while the host runs does: tokens, certificates and log levels. */
import type { Server as TlsServer } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { Access } from '../api/access.ts';
import type { Server } from '../api/server.ts';
import type { Identity } from '../api/tls.ts';
import { type Config, readConfig } from '../config/config.ts';
import type { LogLevel } from '../log/levels.ts';
import type { Logs } from '../log/log.ts';

export interface Reloadable {
  readonly access: Access;
  readonly identity: Identity | undefined;
  /** The one on TCP. */
  readonly network: Server | undefined;
  readonly logs: Logs;
  /** An option of the command, which the file does not override. */
  readonly logLevel?: LogLevel | undefined;
}

/** Sections of which nothing changes before the next start. */
const FIXED = [
  'mirror',
  'plugins',
  'plugin',
  'device',
  'planner',
  'notifier',
  'firmware',
  'source',
  'publish',
  'statistics',
  'tracing',
  'offload',
  'offloads',
] as const;

/**
 * Gives what could be done as a line; `started` is the file as it was when the host started.
 * @throws EkhoError E_CONFIG for a file that is wrong, or a certificate that is; then all stays as it was
 */
export function reload(started: Config, { access, identity, network, logs, logLevel }: Reloadable): string {
  if (started.file === undefined) return 'there is no configuration file to read again';
  const { api, ...sections } = readConfig(started.file);
  if (identity !== undefined && api.tls !== undefined) {
    identity.reload(api.tls);
    (network?.server as unknown as TlsServer | undefined)?.setSecureContext(identity.context);
  }
  access.know(api.tokens);
  logs.configure({ ...sections.log, ...(logLevel !== undefined && { level: logLevel }) });
  const later: string[] = FIXED.filter((name) => !isDeepStrictEqual(sections[name], started[name]));
  if ((api.tls === undefined) !== (started.api.tls === undefined)) later.push('api.tls');
  // Whether clients are asked for a certificate is settled when the server is made.
  else if ((api.tls?.clientCa === undefined) !== (started.api.tls?.clientCa === undefined))
    later.push('api.tls.client-ca');
  if (sections.log.format !== started.log.format) later.push('log.format');
  if (!isDeepStrictEqual(api.listen, started.api.listen)) later.push('api.listen');
  if (api.socket !== started.api.socket) later.push('api.socket');
  if (api.socketGroup !== started.api.socketGroup) later.push('api.socket-group');
  if (api.readGroup !== started.api.readGroup) later.push('api.read-group');
  const done = `configuration read again: ${api.tokens.length} tokens${identity ? ', certificate' : ''}`;
  return later.length === 0 ? done : `${done}; for what changed in ${later.join(', ')} start the host again`;
}
