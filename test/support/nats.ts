/** A NATS server with JetStream of a test's own, on loopback, with a folder that outlives its restarts. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pause } from './host.ts';

const START_MS = 20_000;

export interface NatsTls {
  /** PEM files. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export class NatsServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'ekho-nats-'));
  readonly port: number;
  readonly #tls: NatsTls | undefined;
  #process: ChildProcess | undefined;
  #output = '';

  private constructor(port: number, tls: NatsTls | undefined, hasJetStream: boolean) {
    this.port = port;
    this.#tls = tls;
    chmodSync(this.folder, 0o755);
    this.configure(hasJetStream);
  }

  /** For the next start. */
  configure(hasJetStream: boolean): void {
    const store = hasJetStream ? join(this.folder, 'store') : undefined;
    writeFileSync(join(this.folder, 'nats.conf'), configuration(this.port, store, this.#tls));
  }

  static async start(tls?: NatsTls, hasJetStream = true): Promise<NatsServer> {
    const server = new NatsServer(await freePort(), tls, hasJetStream);
    try {
      await server.start();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `${this.#tls === undefined ? 'nats' : 'tls'}://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const seen = this.#output.length;
    const child = spawn('nats-server', ['-c', join(this.folder, 'nats.conf')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process = child;
    child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#output += text;
    });
    const end = performance.now() + START_MS;
    while (!this.#output.slice(seen).includes('Server is ready')) {
      if (child.exitCode !== null || performance.now() > end) throw new Error(`nats-server: ${this.#output}`);
      await pause(10);
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.kill(signal);
    await ended;
  }

  /** Deletes all it stored; it must be stopped. */
  wipe(): void {
    rmSync(join(this.folder, 'store'), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function configuration(port: number, store: string | undefined, tls: NatsTls | undefined): string {
  const lines = [`listen: "127.0.0.1:${port}"`];
  if (store !== undefined) lines.push(`jetstream { store_dir: "${store}" }`);
  if (tls !== undefined) {
    lines.push(
      `tls { ca_file: "${tls.ca}", cert_file: "${tls.cert}", key_file: "${tls.key}", verify: true, timeout: 10 }`,
    );
  }
  return `${lines.join('\n')}\n`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A wire to a server that can be cut, held so that nothing passes without anybody being told, and slow. */
export class Wire {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  /** Bytes that arrive from the server in a turn, Infinity for all. */
  #share = Number.POSITIVE_INFINITY;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(target: number): Promise<Wire> {
    const server = createServer();
    const wire = new Wire(server);
    server.on('connection', (near) => wire.#connected(near, target));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return wire;
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Resets every connection and takes no more. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  /** What is sent is kept, nothing arrives. */
  hold(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  /** So many bytes a second arrive from the server; Infinity: as fast as they come. */
  slow(bytes: number): void {
    this.#share = (bytes * TURN_MS) / 1000;
  }

  async close(): Promise<void> {
    this.#share = Number.POSITIVE_INFINITY;
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #connected(near: Socket, target: number): void {
    if (this.#isCut) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(target, '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('data', (data) => {
        if (socket === far && data.length > this.#share) void this.#drip(data as Buffer, far, near);
        else other.write(data);
      });
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }

  /** Hands on what came from the server, a share a turn; what follows waits. */
  async #drip(data: Buffer, far: Socket, near: Socket): Promise<void> {
    far.pause();
    for (let at = 0; at < data.length && !near.destroyed; ) {
      const end = Math.min(data.length, at + this.#share);
      near.write(data.subarray(at, end));
      at = end;
      await pause(TURN_MS);
    }
    far.resume();
  }
}

/** Of a slow wire, in milliseconds. */
const TURN_MS = 100;

/** An authority and two certificates of it, one for the server on 127.0.0.1; and a client's of another authority. */
export function certificates(folder: string): { server: NatsTls; client: NatsTls; stranger: NatsTls } {
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const authority = (name: string) =>
    openssl(
      'req',
      '-x509',
      ...curve,
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
    );
  const signed = (name: string, by: string): NatsTls => {
    openssl(
      'req',
      ...curve.slice(0, 5),
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
    );
    writeFileSync(join(folder, `${name}.ext`), 'subjectAltName=IP:127.0.0.1\n');
    const from = ['-in', `${name}.csr`, '-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial'];
    openssl('x509', '-req', ...from, '-days', '2', '-extfile', `${name}.ext`, '-out', `${name}.pem`);
    return {
      ca: join(folder, `${by}.pem`),
      cert: join(folder, `${name}.pem`),
      key: join(folder, `${name}.key`),
    };
  };
  authority('authority');
  authority('other');
  return {
    server: signed('server', 'authority'),
    client: signed('client', 'authority'),
    stranger: { ...signed('stranger', 'other'), ca: join(folder, 'authority.pem') },
  };
}
