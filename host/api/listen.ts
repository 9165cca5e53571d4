/** Where the API is served: the unix socket, private to its user, and TCP. */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  unlinkSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import { dirname } from 'node:path';
import { Server as TlsServer } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { EkhoError } from '../errors.ts';
import { lockFile } from '../netlink/syscall.ts';

/** Connections at a time on the unix socket; further ones are closed at once. limits.ts has those on TCP. */
const CONNECTIONS_MAX = 256;

/**
 * Serves on `path` with mode 0600, with a `group` 0660 and of that group. A socket nobody answers on is replaced; one that a host answers on is E_SOCKET_BUSY.
 * Of several hosts that start at once, the one that gets the lock of `path`.lock goes on; it keeps it until the server
 * closes or the process ends, and the file stays.
 */
export async function listenUnix(
  app: FastifyInstance,
  path: string,
  group?: { readonly name: string; readonly setting: string },
): Promise<void> {
  const id = group === undefined ? undefined : groupId(group.name, group.setting);
  const lock = takeLock(path);
  try {
    await clear(path);
    await serve(app, path, id);
  } catch (error) {
    closeSync(lock);
    throw error;
  }
  app.server.once('close', () => closeSync(lock));
}

function takeLock(path: string): number {
  let descriptor: number;
  try {
    makeFolder(dirname(path));
  } catch (error) {
    throw inaccessible(error, path);
  }
  try {
    descriptor = openSync(`${path}.lock`, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw access(error, path);
  }
  if (lockFile(descriptor)) return descriptor;
  closeSync(descriptor);
  throw busy(path);
}

/** With those above it. Node's own `recursive` never returns below a folder in which none can be made (/proc). */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another host made it in between.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** The number of a group. @throws EkhoError E_CONFIG */
function groupId(name: string, setting: string): number {
  if (/^\d{1,9}$/.test(name)) return Number(name);
  const lines = readFileSync('/etc/group', 'utf8').split('\n');
  const found = lines.map((line) => line.split(':')).find(([group]) => group === name);
  if (found?.[2] !== undefined) return Number(found[2]);
  throw new EkhoError('E_CONFIG', `api.${setting}: /etc/group has no group "${name}"`, {
    remedy: `Make it (groupadd --system ${name}), or give its number.`,
  });
}

async function serve(app: FastifyInstance, path: string, group: number | undefined): Promise<void> {
  app.server.maxConnections = CONNECTIONS_MAX;
  // The mask makes the socket private from the moment it exists.
  const mask = process.umask(0o177);
  try {
    await app.listen({ path });
    if (group === undefined) chmodSync(path, 0o600);
    else {
      // The group first: before, 0660 would be for members of another.
      chownSync(path, -1, group);
      chmodSync(path, 0o660);
    }
  } catch (error) {
    throw access(error, path);
  } finally {
    process.umask(mask);
  }
}

/** Serves on TCP; returns the URL. `name` is what clients call the host by where `address` stands for all it has. */
export async function listenTcp(
  app: FastifyInstance,
  address: string,
  port: number,
  name?: string,
): Promise<string> {
  try {
    await app.listen({ host: address, port });
  } catch (error) {
    const remedy =
      'Choose another with --listen 127.0.0.1:PORT, a free one with --listen 127.0.0.1:0, or none with --listen off.';
    const { code } = error as NodeJS.ErrnoException;
    switch (code) {
      case 'EADDRINUSE':
        throw new EkhoError('E_SOCKET_BUSY', `another program serves ${address} port ${port} already`, {
          remedy,
          cause: error,
        });
      case 'EACCES':
      case 'EPERM':
      case 'EADDRNOTAVAIL':
      case 'EAFNOSUPPORT':
        throw new EkhoError('E_SOCKET_ACCESS', `cannot serve ${address} port ${port} (${code})`, {
          remedy,
          cause: error,
        });
      default:
        throw error;
    }
  }
  const bound = app.server.address() as { port: number };
  const scheme = app.server instanceof TlsServer ? 'https' : 'http';
  const isAny = address === '0.0.0.0' || address === '::';
  const shown = isAny && name !== undefined ? name : address;
  return `${scheme}://${shown.includes(':') ? `[${shown}]` : shown}:${bound.port}`;
}

async function clear(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) {
      throw new EkhoError('E_SOCKET_ACCESS', `${path} is there and is not a socket`, {
        remedy: 'Remove it, or choose another path with --socket.',
      });
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw access(error, path);
  }
  if (await answers(path)) throw busy(path);
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw access(error, path);
  }
}

function busy(path: string, cause?: unknown): EkhoError {
  return new EkhoError('E_SOCKET_BUSY', `another host answers on ${path}`, {
    remedy: 'Stop it, or give this one another path with --socket.',
    cause,
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const connection = createConnection(path);
    connection.on('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else reject(access(error, path));
    });
  });
}

function access(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  // Both: another program made or removed the socket in between.
  if (code === 'EADDRINUSE' || code === 'ENOENT') return busy(path, error);
  if (!['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'EISDIR', 'ELOOP'].includes(code ?? ''))
    return error;
  return inaccessible(error, path);
}

function inaccessible(error: unknown, path: string): EkhoError {
  const { code } = error as NodeJS.ErrnoException;
  return new EkhoError('E_SOCKET_ACCESS', `cannot make the socket ${path} (${code})`, {
    remedy: 'Choose a path you may write to with --socket or EKHO_SOCKET.',
    cause: error,
  });
}
