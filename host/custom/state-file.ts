/** Objects that users made through the API, in a file that outlives the host: JSON, written beside the old one and renamed. */

import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { EkhoError } from '../errors.ts';
import { KIND_NAME } from '../plugin/offload-kinds.ts';
import type { Values } from './values.ts';

export interface StoredObject {
  readonly kind: string;
  /** Of the kind, when it was made. */
  readonly version: number;
  readonly values: Values;
}

/** Bytes of a file that are read: more than as many objects as there may be. */
const FILE_MAX = 64 * 1024 * 1024;

export class StateFile {
  readonly #path: string | undefined;

  /** Without `path` nothing is kept. */
  constructor(path: string | undefined) {
    this.#path = path;
  }

  /** @throws EkhoError E_CONFIG for a file that is not what `write` writes: it is left as it is */
  read(): StoredObject[] {
    const path = this.#path;
    if (path === undefined || !existsSync(path)) return [];
    try {
      if (statSync(path).size > FILE_MAX) throw new Error(`it is larger than ${FILE_MAX} bytes`);
      const { objects } = JSON.parse(readFileSync(path, 'utf8')) as { objects: unknown };
      if (!Array.isArray(objects) || !objects.every(isStored)) throw new Error('it has no list of objects');
      return objects;
    } catch (error) {
      throw new EkhoError('E_CONFIG', `offloads cannot be read from ${path}: ${(error as Error).message}`, {
        remedy: 'Move the file away to begin with none, or name another with `state` under [offloads].',
        cause: error,
      });
    }
  }

  /** @throws EkhoError E_CONFIG when it cannot be written: what was there stays */
  write(objects: readonly StoredObject[]): void {
    if (this.#path === undefined) return;
    const making = `${this.#path}.${process.pid}`;
    try {
      const file = openSync(making, 'w', 0o600);
      try {
        writeSync(file, `${JSON.stringify({ version: 1, objects }, null, 1)}\n`);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(making, this.#path);
    } catch (error) {
      rmSync(making, { force: true });
      throw new EkhoError('E_CONFIG', `the offload cannot be kept: ${(error as Error).message}`, {
        remedy: 'See `state` under [offloads].',
        cause: error,
      });
    }
  }
}

function isStored(value: unknown): value is StoredObject {
  const { kind, version, values } = value as Partial<StoredObject>;
  return (
    typeof kind === 'string' &&
    KIND_NAME.test(kind) &&
    Number.isInteger(version) &&
    typeof values === 'object' &&
    Object.values(values).every((one) => typeof one === 'string')
  );
}
