/** The certificate the API shows on TCP, and whose certificates it takes. Read again on reload. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP, type Socket } from 'node:net';
import { createSecureContext, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import type { TlsConfig } from '../config/listen.ts';
import { EkhoError } from '../errors.ts';
import type { Caller } from './access.ts';

/** For a peer to agree on keys, in milliseconds. */
export const HANDSHAKE_MS = 10_000;

export type TlsContext = SecureContextOptions & {
  readonly ca?: Buffer;
  readonly requestCert: boolean;
  readonly rejectUnauthorized: false;
};

export class Identity {
  #operators!: readonly string[];
  #context!: TlsContext;
  #certificate!: X509Certificate;
  /** Counts the authorities there were. */
  #generation = 0;
  /** Of connections: the authority that their certificates were checked by. */
  readonly #checkedBy = new WeakMap<Socket, number>();

  /** Throws E_CONFIG for a file that cannot be read, is no PEM, has expired, or is the key of another certificate. */
  constructor(config: TlsConfig) {
    this.reload(config);
  }

  /** For a server of node:https or node:tls. */
  get context(): TlsContext {
    return this.#context;
  }

  /** Reads the files. Where it throws, as the constructor does, all stays as it was. */
  reload({ cert, key, clientCa, operators }: TlsConfig): void {
    const context = {
      cert: read(cert),
      key: read(key),
      ...(clientCa !== undefined && { ca: read(clientCa) }),
      // Who shows none may still have a token.
      requestCert: clientCa !== undefined,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
    } as const;
    const certificate = parsed(cert, context.cert);
    if (clientCa !== undefined) parsed(clientCa, context.ca!);
    if (certificate.validToDate.getTime() < Date.now()) {
      throw new EkhoError('E_CONFIG', `${cert}: the certificate has expired on ${certificate.validTo}`, {
        remedy: 'Put a new one there.',
      });
    }
    try {
      createSecureContext(context);
    } catch (error) {
      throw new EkhoError('E_CONFIG', `${key}: ${(error as Error).message}`, {
        remedy: `Name the PEM file, without a passphrase, of the key that ${cert} was made for.`,
        cause: error,
      });
    }
    if (this.#context === undefined || !isSame(context.ca, this.#context.ca)) this.#generation++;
    this.#context = context;
    this.#certificate = certificate;
    this.#operators = operators;
  }

  /** Certificates are taken on connections of this server, before it has any. */
  serve(server: Server): void {
    // Keys are agreed on under the authority there was when the peer came. The socket of the one event is not that of the other.
    const agreeing = new Map<string, { readonly generation: number }>();
    const nameOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`;
    server.on('connection', (socket) => {
      const name = nameOf(socket);
      const peer = { generation: this.#generation };
      agreeing.set(name, peer);
      socket.once('close', () => {
        if (agreeing.get(name) === peer) agreeing.delete(name);
      });
    });
    server.on('secureConnection', (socket) => {
      const peer = agreeing.get(nameOf(socket));
      if (peer !== undefined) this.#checkedBy.set(socket, peer.generation);
    });
  }

  /** Whether the certificate is for a name as a request has it, without the port. */
  isNamed(name: string): boolean {
    const bare = name.replace(/^\[|\]$/g, '');
    const found = isIP(bare) === 0 ? this.#certificate.checkHost(bare) : this.#certificate.checkIP(bare);
    return found !== undefined;
  }

  /** A name by which clients can trust it: the first host name or address that it is for. */
  get name(): string | undefined {
    return /(?:DNS|IP Address):([^,\s]+)/.exec(this.#certificate.subjectAltName ?? '')?.[1];
  }

  /** Whom the certificate of a connection is of; undefined where there is none that the present authority signed, or it has expired. */
  callerOf(socket: TLSSocket): Caller | undefined {
    if (!socket.authorized || this.#checkedBy.get(socket) !== this.#generation) return undefined;
    const { subject, valid_to } = socket.getPeerCertificate();
    const name = subject?.CN;
    if (typeof name !== 'string' || !(Date.parse(valid_to) > Date.now())) return undefined;
    const role = this.#operators.includes(name) ? 'operate' : 'read';
    return { role, name: `certificate ${name}` };
  }
}

function isSame(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one === undefined ? other === undefined : other !== undefined && one.equals(other);
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new EkhoError('E_CONFIG', `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      remedy: 'Name a PEM file that exists and that the host may read.',
      cause: error,
    });
  }
}

function parsed(file: string, pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new EkhoError('E_CONFIG', `${file}: there is no certificate in it`, {
      remedy: 'Name a PEM file that begins with -----BEGIN CERTIFICATE-----.',
      cause: error,
    });
  }
}
