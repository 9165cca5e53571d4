/** A connection to NATS for one session, and its errors in words a person can act on. It never reconnects: a session starts over. */

import { readFileSync } from 'node:fs';
import {
  connect as connectNats,
  type NatsConnection,
  type NodeConnectionOptions,
} from '@nats-io/transport-node';
import { EkhoError } from '../errors.ts';

const CONNECT_MS = 5000;
const PING_MS = 2000;
/** Pings without an answer after which a connection counts as cut. */
const PINGS_OUT = 3;

export interface NatsOptions {
  /** `nats://HOST:PORT` or `tls://HOST:PORT`, tried in turn. */
  readonly servers: readonly string[];
  readonly bucket: string;
  /** PEM files. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** Stream behind a key-value bucket, and the subjects of its keys (NATS ADR-8). */
export function streamOf(bucket: string): string {
  return `KV_${bucket}`;
}

export function subjectOf(bucket: string, key: string): string {
  return `$KV.${bucket}.${key}`;
}

/** Takes the first server that answers. Throws E_REMOTE with what the last one said. */
export async function connect(options: NatsOptions, name: string): Promise<NatsConnection> {
  let failure: unknown;
  for (const server of options.servers) {
    try {
      return await connectNats({
        servers: [server],
        name,
        timeout: CONNECT_MS,
        reconnect: false,
        pingInterval: PING_MS,
        maxPingOut: PINGS_OUT,
        ignoreClusterUpdates: true,
        ...tlsOptions(server, options),
      });
    } catch (error) {
      failure = error;
    }
  }
  throw remoteError(failure, options);
}

/** Read at each connection: certificates are renewed under a host that runs. */
function tlsOptions(
  server: string,
  { ca, cert, key }: NatsOptions,
): { tls?: NodeConnectionOptions['tls'] & { host: string } } {
  if (!server.startsWith('tls://') && ca === undefined && cert === undefined) return {};
  const read = (file: string | undefined, name: string) => {
    if (file === undefined) return {};
    try {
      return { [name]: readFileSync(file, 'utf8') };
    } catch (error) {
      throw new EkhoError('E_REMOTE', `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
        remedy: 'Name a PEM file that the host may read.',
        cause: error,
      });
    }
  };
  // The name in the certificate: the client does not hand on an address, and "localhost" would be checked instead.
  const host = new URL(server).hostname.replace(/^\[|\]$/g, '');
  return { tls: { host, ...read(ca, 'ca'), ...read(cert, 'cert'), ...read(key, 'key') } };
}

/** `error` of a session as E_REMOTE; one that is already stays as it is. */
export function remoteError(error: unknown, { servers, bucket }: NatsOptions): EkhoError {
  if (error instanceof EkhoError) return error;
  const text = reasonOf(error);
  return new EkhoError('E_REMOTE', `NATS at ${servers.join(', ')}, bucket ${bucket}: ${text}`, {
    remedy: remedyFor(text),
    cause: error,
  });
}

/** The innermost cause says most: the client wraps what TLS and the system say. */
function reasonOf(error: unknown): string {
  let at = error;
  const seen: string[] = [];
  while (at instanceof Error && seen.length < 8) {
    const { code } = at as NodeJS.ErrnoException;
    const text =
      typeof code === 'string' && !at.message.includes(code) ? `${at.message} (${code})` : at.message;
    if (text !== '' && !seen.some((other) => other.includes(text))) seen.push(text);
    at = at.cause;
  }
  return seen.join(': ') || String(error);
}

function remedyFor(text: string): string {
  if (/certificate|tls|ssl|EPROTO/i.test(text)) {
    return 'Name in `ca`, `cert` and `key` the authority that signed the server’s certificate, and a certificate that the server accepts.';
  }
  if (/authorization|permission/i.test(text))
    return 'Give this user the bucket’s subjects and the JetStream API.';
  if (/not enabled|no responders|503/i.test(text)) {
    return 'Start the server with JetStream (`nats-server -js`, or `jetstream {}` in its file).';
  }
  if (/maximum bytes|insufficient|resource limits|max_payload/i.test(text)) {
    return 'Give the server more storage, or `publish.bytes` a smaller number before the bucket is made.';
  }
  return 'Start `nats-server -js` there, or name another address in `servers`.';
}
