/**
 * Who may do what on TCP. `read` sees everything and changes nothing; `operate` may do what the unix socket may. On loopback
 * whoever is on this machine reads; beyond it nobody does without a token or a certificate. Tokens are of the configuration, or made on the
 * unix socket, which live as long as the host does at most; both are kept as hashes.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { KnownToken } from '../config/listen.ts';
import { EkhoError } from '../errors.ts';

export const ROLES = ['read', 'operate'] as const;
export type Role = (typeof ROLES)[number];

export interface Caller {
  readonly role: Role;
  /** For the audit log: `socket`, `loopback`, or the name of the token or certificate. */
  readonly name: string;
}

interface Token {
  readonly name: string;
  readonly role: Role;
  readonly hash: Buffer;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

/** Tokens that are valid at a time, those of the configuration apart; the oldest goes first. */
const TOKENS_MAX = 64;
const LIFE_MS = 12 * 3600 * 1000;
/** Length of a token's text, at most. */
const TEXT_MAX = 256;

export class Access {
  #known: readonly Token[] = [];
  readonly #made: Token[] = [];
  #count = 0;

  constructor(known: readonly KnownToken[] = []) {
    this.know(known);
  }

  /** Takes the tokens of the configuration, in place of those it had. */
  know(known: readonly KnownToken[]): void {
    this.#known = known.map(({ name, role, sha256 }) => ({
      name: `token ${name}`,
      role,
      hash: Buffer.from(sha256, 'hex'),
      expires: Number.POSITIVE_INFINITY,
    }));
  }

  make(role: Role): { token: string; role: Role; expires: string } {
    const text = randomBytes(24).toString('base64url');
    const expires = Date.now() + LIFE_MS;
    this.#made.push({ name: `session ${++this.#count}`, role, hash: hashOf(text), expires });
    if (this.#made.length > TOKENS_MAX) this.#made.shift();
    return { token: text, role, expires: new Date(expires).toISOString() };
  }

  /**
   * By `Authorization: Bearer TOKEN`, or `Basic` with the token as password. Undefined: it has none. Throws E_DENIED for a
   * token that is not valid, so that nobody takes `read` for what they asked for.
   */
  callerOf({ authorization }: IncomingHttpHeaders): Caller | undefined {
    if (authorization === undefined) return undefined;
    const text = tokenOf(authorization);
    const hash = text === undefined ? undefined : hashOf(text);
    let found: Token | undefined;
    // All are compared, so that time does not tell which was near.
    for (const token of [...this.#known, ...this.#made]) {
      if (hash !== undefined && timingSafeEqual(token.hash, hash) && token.expires > Date.now())
        found = token;
    }
    if (found !== undefined) return { role: found.role, name: found.name };
    throw Object.assign(
      new EkhoError('E_DENIED', 'the token is not valid, or not any more', {
        remedy: '`ekho dashboard` makes another.',
      }),
      { statusCode: 401 },
    );
  }
}

/** Whether `callerOf` would take them for `caller` still. */
export function isStill(caller: Caller, callerOf: () => Caller | undefined): boolean {
  try {
    const now = callerOf();
    return now?.name === caller.name && now.role === caller.role;
  } catch {
    return false;
  }
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function tokenOf(authorization: string): string | undefined {
  const [scheme = '', value = ''] = authorization.split(' ', 2);
  if (value.length > TEXT_MAX * 2) return undefined;
  if (scheme.toLowerCase() === 'bearer') return value;
  if (scheme.toLowerCase() !== 'basic') return undefined;
  return Buffer.from(value, 'base64').toString().split(':').slice(1).join(':');
}
