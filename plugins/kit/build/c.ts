/** C, by clang from the npm package `@yowasp/clang`. */

import { EkhoError } from '../../../host/errors.ts';
import { buildPlugin } from '../../toolchain/build-plugin.mjs';
import type { Project } from '../project.ts';
import { manifestOf, withManifest } from './manifest.ts';

export async function buildC(project: Project): Promise<boolean> {
  const { folder, output, world } = project;
  try {
    return await buildPlugin({
      folder,
      output,
      world,
      finish: { inputs: manifestOf(project), apply: (component) => withManifest(component, project) },
    });
  } catch (error) {
    if (!(error instanceof Error) || error instanceof EkhoError) throw error;
    throw new EkhoError('E_BUILD', error.message, { operation: 'build', cause: error });
  }
}
