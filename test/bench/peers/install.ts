/** Brings the peers onto the machine, by apt, and asks for their versions. */
import { spawnSync } from 'node:child_process';
import { ensurePackages } from '../../../scripts/packages.mjs';
import type { Peer } from './peer.ts';

export interface Installed {
  /** With their versions. */
  readonly ready: ReadonlyMap<Peer, string>;
  /** With the reason why not. */
  readonly missing: ReadonlyMap<Peer, string>;
}

/** Nothing that a package brings is started. What apt says is on the terminal. */
export async function install(peers: readonly Peer[], folder: string): Promise<Installed> {
  const ready = new Map<Peer, string>();
  const missing = new Map<Peer, string>();
  for (const peer of peers) {
    const wanted = peer.packages.filter((name) => !isInstalled(name));
    const refused = wanted.length === 0 ? undefined : apt(wanted);
    try {
      ready.set(peer, await peer.prepare(folder));
    } catch (error) {
      missing.set(peer, refused ?? String(error));
    }
  }
  return { ready, missing };
}

function isInstalled(name: string): boolean {
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f', '$' + '{Status}', name], { encoding: 'utf8' });
  return stdout === 'install ok installed';
}

/** Why apt did not; undefined when it did. */
function apt(names: readonly string[]): string | undefined {
  try {
    return ensurePackages(names) ? undefined : `not installed (Debian: ${names.join(' ')})`;
  } catch (error) {
    return (error as Error).message;
  }
}
