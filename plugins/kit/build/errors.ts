/** What goes wrong in building, in words that help: the component tools speak of modules and worlds. */

import { EkhoError } from '../../../host/errors.ts';

const EXPORT = /failed to find export of interface `([^`]+)` function `([^`]+)`/;
const IMPORT = /module requires an import interface named `[^`]*\/([^`@]+)@/;

/** As `E_BUILD`, with a remedy where it is known. */
export function buildError(error: unknown, implement: string): EkhoError {
  if (error instanceof EkhoError) return error;
  const { message } = error as Error;
  const lacking = EXPORT.exec(message);
  if (lacking !== null)
    return failed(`the plugin has no function ${lacking[2]} of ${lacking[1]}`, implement, error);
  const foreign = IMPORT.exec(message);
  if (foreign !== null)
    return failed(
      `the plugin calls the interface ${foreign[1]}, which its world does not have`,
      'Set `world` in plugin.toml to one that imports it (wit/host.wit).',
      error,
    );
  return failed(message, undefined, error);
}

function failed(message: string, remedy: string | undefined, cause: unknown): EkhoError {
  return new EkhoError('E_BUILD', message, {
    operation: 'build',
    cause,
    ...(remedy !== undefined && { remedy }),
  });
}
