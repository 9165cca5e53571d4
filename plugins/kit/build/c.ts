/** C, by clang from the npm package `@yowasp/clang`. */

import { EkhoError } from '../../../host/errors.ts';
import { buildPlugin } from '../../toolchain/build-plugin.mjs';
import type { Project } from '../project.ts';

export async function buildC({ folder, output, world }: Project): Promise<boolean> {
  try {
    return await buildPlugin({ folder, output, world });
  } catch (error) {
    if (!(error instanceof Error) || error instanceof EkhoError) throw error;
    throw new EkhoError('E_BUILD', error.message, { operation: 'build', cause: error });
  }
}
