/**
 * What a component says of itself without being run: JSON in a custom section named `ekho:manifest`, which a signature
 * covers with the rest of the file. It is shown, never relied on.
 */

import { BinaryError } from './binary.ts';

export const MANIFEST_SECTION = 'ekho:manifest';
const MANIFEST_MAX = 4096;
const TEXT_MAX = 128;
const DEVICES_MAX = 16;

export interface Manifest {
  readonly name?: string;
  readonly version?: string;
  /** SPDX expression. */
  readonly licence?: string;
  /** Device interfaces it wants, e.g. `asic`. */
  readonly devices?: readonly string[];
}

const isText = (value: unknown) =>
  typeof value === 'string' && value.length <= TEXT_MAX && !/\p{Cc}/u.test(value);

/** Throws BinaryError. */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MANIFEST_MAX) throw new BinaryError(`its manifest is larger than ${MANIFEST_MAX} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new BinaryError('its manifest is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw new BinaryError('its manifest is not an object');
  const fields = value as Record<string, unknown>;
  for (const name of ['name', 'version', 'licence'])
    if (fields[name] !== undefined && !isText(fields[name]))
      throw new BinaryError(`its manifest’s ${name} is not a short text`);
  const { devices } = fields;
  if (
    devices !== undefined &&
    !(Array.isArray(devices) && devices.length <= DEVICES_MAX && devices.every(isText))
  )
    throw new BinaryError('its manifest’s devices are not a list of names');
  return {
    ...(fields.name !== undefined && { name: fields.name as string }),
    ...(fields.version !== undefined && { version: fields.version as string }),
    ...(fields.licence !== undefined && { licence: fields.licence as string }),
    ...(devices !== undefined && { devices: devices as string[] }),
  };
}

/** The component with the manifest at its end; one that it has already stays, and the last counts. */
export function embedManifest(component: Uint8Array, manifest: Manifest): Uint8Array {
  const name = Buffer.from(MANIFEST_SECTION);
  const contents = Buffer.concat([leb(name.length), name, Buffer.from(JSON.stringify(manifest))]);
  parseManifest(contents.subarray(1 + name.length));
  return new Uint8Array(Buffer.concat([component, Buffer.of(0), leb(contents.length), contents]));
}

function leb(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  do {
    bytes.push(left > 0x7f ? (left & 0x7f) | 0x80 : left);
    left >>>= 7;
  } while (left !== 0);
  return Buffer.from(bytes);
}
