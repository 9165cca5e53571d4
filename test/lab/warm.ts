/**
 * The cache folder of all guests: the machine transpiles the plugins there, which takes a second; under emulation it
 * would take longer than the host allows.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DEVICE_INTERFACES } from '../../host/plugin/host-imports.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import { VARIANTS_FOLDER } from '../support/variants.ts';
import { CACHE, CHECKOUT } from './machine.ts';

/** $XDG_CACHE_HOME in a guest. */
export const GUEST_CACHE = join(CACHE, 'guest');

export async function warm(): Promise<void> {
  mkdirSync(GUEST_CACHE, { recursive: true, mode: 0o700 });
  for (const plugins of [join(CHECKOUT, 'build/plugins'), VARIANTS_FOLDER]) {
    if (!existsSync(plugins)) continue;
    for (const name of readdirSync(plugins)) {
      if (!name.endsWith('.wasm')) continue;
      await loadPlugin(join(plugins, name), {
        grants: DEVICE_INTERFACES,
        cache: join(GUEST_CACHE, 'ekho'),
      });
    }
  }
}
