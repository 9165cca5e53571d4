/** Where host and command find each other. Apart from the rest of the configuration, so that commands start quickly. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { EkhoError } from '../errors.ts';

/** linux/un.h: bytes of a socket's path, without the zero behind it. */
const PATH_MAX = 107;

/** Where host and command meet when nobody says. */
export function defaultSocket(): string {
  const runtime = process.env.XDG_RUNTIME_DIR;
  if (runtime) return join(runtime, 'ekho.sock');
  if (process.getuid?.() === 0) return '/run/ekho.sock';
  return join(homedir(), '.ekho', 'ekho.sock');
}

/** The one for those who may only look, beside the other. Throws E_USAGE for a path that no socket can have. */
export function readSocketPath(socket: string): string {
  return socketPath(`${socket.replace(/\.sock$/, '')}-read.sock`);
}

/** What a person chose, or the default. Throws E_USAGE for a path that no socket can have. */
export function socketPath(chosen: string | undefined, otherwise = defaultSocket()): string {
  const path = chosen ?? (process.env.EKHO_SOCKET || otherwise);
  const bytes = Buffer.byteLength(path);
  if (bytes > 0 && bytes <= PATH_MAX) return path;
  throw new EkhoError(
    'E_USAGE',
    bytes === 0
      ? 'the path of the socket is empty'
      : `the path of the socket has ${bytes} bytes, and may have ${PATH_MAX}: ${path}`,
    { remedy: 'Choose another path with --socket or EKHO_SOCKET.' },
  );
}
