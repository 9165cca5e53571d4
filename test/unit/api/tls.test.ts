/** Whose certificates are taken: of the authority there is now, and until they expire. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Identity } from '../../../host/api/tls.ts';
import { certificates } from '../../support/nats.ts';

const DAY_MS = 86_400_000;

let folder: string;
let known: ReturnType<typeof certificates>;
let identity: Identity;
let server: Server;
const open: TLSSocket[] = [];

const settings = () => ({
  cert: known.server.cert,
  key: known.server.key,
  clientCa: join(folder, 'clients.pem'),
  operators: ['client'],
});

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-tls-'));
  known = certificates(folder);
  copyFileSync(known.client.ca, join(folder, 'clients.pem'));
  identity = new Identity(settings());
  server = createServer(identity.context);
  identity.serve(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  vi.useRealTimers();
  for (const socket of open.splice(0)) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

/** The server's end of a connection with the client's certificate. */
async function connected(): Promise<TLSSocket> {
  const { port } = server.address() as AddressInfo;
  const { ca, cert, key } = known.client;
  const files = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
  const accepted = new Promise<TLSSocket>((resolve) => server.once('secureConnection', resolve));
  const near = connect({ host: '127.0.0.1', port, ...files });
  near.on('error', () => {});
  open.push(near);
  const far = await accepted;
  far.on('error', () => {});
  open.push(far);
  return far;
}

const OPERATOR = { role: 'operate', name: 'certificate client' };

it('they are taken until they expire', async () => {
  const socket = await connected();
  expect(identity.callerOf(socket)).toEqual(OPERATOR);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3 * DAY_MS });
  expect(identity.callerOf(socket)).toBeUndefined();
});

it('they are taken while the authority is the same, whatever else changes', async () => {
  const socket = await connected();
  identity.reload({ ...settings(), operators: [] });
  expect(identity.callerOf(socket)).toEqual({ ...OPERATOR, role: 'read' });
  copyFileSync(join(folder, 'other.pem'), join(folder, 'clients.pem'));
  identity.reload(settings());
  expect(identity.callerOf(socket)).toBeUndefined();
});

it('who began to agree on keys under the authority before is not taken under the next', async () => {
  server.once('connection', () => {
    copyFileSync(join(folder, 'other.pem'), join(folder, 'clients.pem'));
    identity.reload(settings());
    server.setSecureContext(identity.context);
  });
  const socket = await connected();
  expect(socket.authorized).toBe(true);
  expect(identity.callerOf(socket)).toBeUndefined();
});
