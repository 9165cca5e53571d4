/** Where host and command find each other. Apart from the rest of the configuration, so that commands start quickly. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where host and command meet when nobody says. */
export function defaultSocket(): string {
  const runtime = process.env.XDG_RUNTIME_DIR;
  if (runtime) return join(runtime, 'ekho.sock');
  if (process.getuid?.() === 0) return '/run/ekho.sock';
  return join(homedir(), '.ekho', 'ekho.sock');
}
