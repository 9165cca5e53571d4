/** C, by clang from the npm package `@yowasp/clang`. */

import { readdirSync } from 'node:fs';
import { ROOT } from '../../../host/config/config.ts';
import { EkhoError } from '../../../host/errors.ts';
import { buildPlugin } from '../../toolchain/build-plugin.mjs';
import type { Project } from '../project.ts';
import { buildError } from './errors.ts';
import { manifestOf, withManifest } from './manifest.ts';
import { resolveTool } from './tools.ts';

const IMPLEMENT =
  'Implement every function that ekho.h lists under “What a plugin implements”, and define EKHO_IMPLEMENT before it is included in one .c file.';

export async function buildC(project: Project): Promise<boolean> {
  const { folder, output, world } = project;
  if (!readdirSync(folder).some((name) => name.endsWith('.c')))
    throw new EkhoError('E_BUILD', `${folder} has no .c file`, {
      remedy: 'Every .c file of the folder is compiled; see what `ekho plugin new NAME` makes.',
      operation: 'build',
    });
  resolveTool(ROOT, '@yowasp/clang', 'package.json');
  try {
    return await buildPlugin({
      folder,
      output,
      world,
      finish: { inputs: manifestOf(project), apply: (component) => withManifest(component, project) },
    });
  } catch (error) {
    throw buildError(error, IMPLEMENT);
  }
}
