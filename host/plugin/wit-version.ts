/**
 * Which versions of the WIT package a host runs. Records lie in memory as the package declares them, so while it is 0.x each change of
 * them is another minor version, and there is no reading one version as another without having both.
 *
 * 0.1.0 is the first version that was published: there is none before it to run.
 */

import { EkhoError } from '../errors.ts';

export const WIT_PACKAGE = 'ekho:offload';
/** A test holds it to wit/. */
export const WIT_VERSION = '0.1.0';

const FIRST_VERSION = '0.1.0';

/** Full name of an interface of this version. */
export function interfaceName(short: string): string {
  return `${WIT_PACKAGE}/${short}@${WIT_VERSION}`;
}

/**
 * @param names of what a component imports and exports, safe to show
 * @throws EkhoError E_PLUGIN_VERSION when one is of the package and of another version
 */
export function checkVersion(plugin: string, names: readonly string[]): void {
  for (const name of names) {
    const found = /^ekho:offload\/[^@]*@(.{1,40})/.exec(name);
    if (found === null || found[1] === WIT_VERSION) continue;
    throw new EkhoError(
      'E_PLUGIN_VERSION',
      `plugin ${plugin} is made for ${WIT_PACKAGE} ${found[1]} (${name.slice(0, 80)}), and this host runs ${WIT_VERSION}`,
      {
        remedy:
          `Build it again with the kit of this host (docs/plugins.md). ${FIRST_VERSION} is the first version of the package: ` +
          'none came before it that a host could still run.',
        operation: 'load',
      },
    );
  }
}
