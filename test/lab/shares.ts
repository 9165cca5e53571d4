/** Folders of this machine that a guest mounts by their tags. */
import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { foreignModules } from './foreign.ts';
import { type Arch, CHECKOUT, OWN_ARCH } from './machine.ts';
import { GUEST_CACHE } from './warm.ts';

export interface Share {
  readonly tag: string;
  readonly folder: string;
  /** Of the guest: `auto` where this machine writes into it as well. */
  readonly cache: 'always' | 'auto';
}

/** Not in the guest's copy of the checkout; node_modules is shared as it is. */
const NOT_COPIED = new Set(['.git', 'node_modules']);

/** What init.sh mounts: the checkout, copied to `copy`, with its modules. */
export function checkoutShares(
  arch: Arch,
  root: string,
  exchange: string,
  copy: string,
  say: (line: string) => void,
): Share[] {
  mkdirSync(join(copy, 'node_modules'), { recursive: true });
  // A copy: a file that changes under a guest that has read its size would be cut.
  for (const name of readdirSync(CHECKOUT)) {
    if (NOT_COPIED.has(name)) continue;
    cpSync(join(CHECKOUT, name), join(copy, name), { recursive: true, verbatimSymlinks: true });
  }
  const shares: Share[] = [
    { tag: 'root', folder: root, cache: 'always' },
    { tag: 'checkout', folder: copy, cache: 'always' },
    { tag: 'modules', folder: join(CHECKOUT, 'node_modules'), cache: 'always' },
    { tag: 'exchange', folder: exchange, cache: 'auto' },
    { tag: 'cache', folder: GUEST_CACHE, cache: 'auto' },
  ];
  if (arch !== OWN_ARCH) shares.push({ tag: 'foreign', folder: foreignModules(arch, say), cache: 'always' });
  return shares;
}

/** What init-systemd.sh mounts, which comes by the exchange folder itself. */
export function systemShares(root: string, exchange: string): Share[] {
  for (const name of ['init-systemd.sh', 'commands.sh'])
    cpSync(join(CHECKOUT, 'test/lab', name), join(exchange, name));
  return [
    { tag: 'root', folder: root, cache: 'always' },
    { tag: 'exchange', folder: exchange, cache: 'auto' },
  ];
}
