/** Where the API may be served, and what it needs for that: beyond this machine, a certificate. */
import { isIPv4, isIPv6 } from 'node:net';
import { EkhoError } from '../errors.ts';
import type { ConfigFile } from './schema.ts';

export interface ListenAddress {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  readonly port: number;
}

/** PEM files, all paths absolute. */
export interface TlsConfig {
  readonly cert: string;
  readonly key: string;
  /** The authority whose certificates clients may show; undefined: they are not asked for any. */
  readonly clientCa: string | undefined;
  /** Common names of client certificates whose owners may operate; the others may read. */
  readonly operators: readonly string[];
}

/** A token that outlives the host: the SHA-256 of its text, in hex. */
export interface KnownToken {
  readonly name: string;
  readonly role: 'read' | 'operate';
  readonly sha256: string;
}

const REMEDY = 'Use ADDRESS:PORT, [ADDRESS]:PORT for IPv6, or off.';

/** `127.0.0.1:8642`, `[::]:0` or `off`; throws E_USAGE. */
export function parseListen(text: string): ListenAddress | undefined {
  if (text === 'off') return undefined;
  const [, six, four, digits] = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const isAddress = (six !== undefined && isIPv6(six)) || (four !== undefined && isIPv4(four));
  if (!isAddress || port > 65_535)
    throw new EkhoError('E_USAGE', `"${text}" is not an address to listen on`, { remedy: REMEDY });
  return { address: (six ?? four)!, port };
}

/** Whether only this machine can reach it. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}

/** Throws E_USAGE where the API would be reached from elsewhere without a certificate. */
export function checkListen(listen: ListenAddress | undefined, tls: TlsConfig | undefined): void {
  if (listen === undefined || tls !== undefined || isLoopback(listen.address)) return;
  throw new EkhoError(
    'E_USAGE',
    `${listen.address} can be reached from other machines, and there is no [api.tls]`,
    {
      remedy: 'Give the configuration file an [api.tls] with cert and key, or listen on 127.0.0.1:PORT.',
    },
  );
}

/** What is wrong with `[api]` beyond its keys. */
export function* apiProblems({ api }: ConfigFile): Generator<[string[], string]> {
  if (api === undefined) return;
  const { listen, tls } = api;
  if (listen !== undefined) {
    try {
      const parsed = parseListen(listen);
      if (parsed !== undefined && tls === undefined && !isLoopback(parsed.address))
        yield [['api', 'listen'], `${parsed.address} can be reached from other machines and needs [api.tls]`];
    } catch (error) {
      const { message, remedy } = error as EkhoError;
      yield [['api', 'listen'], `${message}; ${remedy}`];
    }
  }
  if (tls?.operators !== undefined && tls['client-ca'] === undefined)
    yield [['api', 'tls', 'operators'], 'are names in client certificates, and need client-ca'];
}
