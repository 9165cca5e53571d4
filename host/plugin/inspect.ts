/** What can be said of a plugin's file without a host: what it is made of, who signed it, what it would need granted. */

import { EkhoError } from '../errors.ts';
import { BinaryError, COMPONENT_LIMITS, type ComponentCounts, readComponent } from './binary.ts';
import { sha256 } from './cache.ts';
import { DEVICE_INTERFACES } from './host-imports.ts';
import { FILE_MAX_DEFAULT, loadPlugin, readLimited, readSignature } from './load.ts';
import { MANIFEST_SECTION, type Manifest, parseManifest } from './manifest.ts';
import { type PublicKey, type Trust, verifyFile } from './signature.ts';

export interface Inspection {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly imports: readonly string[];
  readonly exports: readonly string[];
  readonly counts: ComponentCounts;
  readonly limits: ComponentCounts;
  readonly manifest?: Manifest;
  readonly signature: Trust;
  /** Kinds of device it would need granted. */
  readonly needs: readonly string[];
  /** Why no host would run it, whatever it is granted. */
  readonly refused?: { readonly code: string; readonly message: string; readonly remedy?: string };
}

/**
 * @param keys those trusted
 * @param cache folder for transpiled plugins, default the user's
 * @throws EkhoError E_PLUGIN_INVALID when the file cannot be read or is no component at all
 */
export async function inspectPlugin(
  file: string,
  keys: readonly PublicKey[],
  cache?: string,
): Promise<Inspection> {
  const bytes = await readLimited(file, FILE_MAX_DEFAULT);
  const { imports, exports, custom, counts } = read(file, bytes);
  const told = custom.get(MANIFEST_SECTION);
  const manifest = told && readable(told);
  let refused: EkhoError | undefined;
  let signature: Trust = { trust: 'unsigned' };
  try {
    signature = verifyFile(bytes, await readSignature(file), keys);
    await loadPlugin(file, { grants: DEVICE_INTERFACES, ...(cache !== undefined && { cache }) });
  } catch (error) {
    if (!(error instanceof EkhoError)) throw error;
    refused = error;
  }
  const short = imports.map((name) => /^ekho:offload\/([^@]*)@/.exec(name)?.[1] ?? '');
  const { depth: _, ...limits } = COMPONENT_LIMITS;
  return {
    file,
    bytes: bytes.length,
    sha256: sha256(bytes),
    imports,
    exports,
    counts,
    limits,
    ...(manifest !== undefined && { manifest }),
    signature,
    needs: short.filter((name) => DEVICE_INTERFACES.includes(name)),
    ...(refused && {
      refused: {
        code: refused.code,
        message: refused.message,
        ...(refused.remedy !== undefined && { remedy: refused.remedy }),
      },
    }),
  };
}

/** Undefined if it is none: loading says why. */
function readable(told: Uint8Array): Manifest | undefined {
  try {
    return parseManifest(told);
  } catch (error) {
    if (!(error instanceof BinaryError)) throw error;
    return undefined;
  }
}

function read(file: string, bytes: Uint8Array) {
  try {
    return readComponent(bytes, [MANIFEST_SECTION]);
  } catch (error) {
    if (!(error instanceof BinaryError)) throw error;
    throw new EkhoError('E_PLUGIN_INVALID', `${file}: ${error.message}`, {
      remedy: 'Build it as a component of the package ekho:offload (docs/plugins.md).',
      cause: error,
    });
  }
}
