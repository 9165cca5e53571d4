/**
 * Names of the plugins that an operator disabled, in a file that outlives the host if there is one: a name a line, written beside
 * the old one and renamed.
 */

import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { EkhoError } from '../errors.ts';

/** Bytes of a file that are read: more names than a folder has plugins. */
const FILE_MAX = 65_536;

export class DisabledPlugins {
  readonly #path: string | undefined;
  readonly #names = new Set<string>();

  /** Without `path` nothing is kept. `warn` is told when the file cannot be read; all plugins are enabled then. */
  constructor(path: string | undefined, warn: (message: string) => void) {
    this.#path = path;
    if (path === undefined) return;
    try {
      if (!existsSync(path)) return;
      for (const line of readFileSync(path, 'utf8').slice(0, FILE_MAX).split('\n'))
        if (line !== '') this.#names.add(line);
    } catch (error) {
      warn(`which plugins are disabled is not known, none is: ${(error as Error).message}`);
    }
  }

  /** It outlives the host. */
  get isKept(): boolean {
    return this.#path !== undefined;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** @throws EkhoError E_CONFIG when it cannot be written: it holds until the host ends, all the same */
  add(name: string): void {
    this.#names.add(name);
    this.#write();
  }

  /** @throws as `add` */
  delete(name: string): void {
    if (this.#names.delete(name)) this.#write();
  }

  #write(): void {
    if (this.#path === undefined) return;
    const making = `${this.#path}.${process.pid}`;
    try {
      writeFileSync(making, [...this.#names].map((name) => `${name}\n`).join(''), { mode: 0o600 });
      renameSync(making, this.#path);
    } catch (error) {
      rmSync(making, { force: true });
      throw new EkhoError('E_CONFIG', `which plugins are disabled is not kept: ${(error as Error).message}`, {
        remedy: 'It holds until the host ends. See `state` under [plugins].',
        cause: error,
      });
    }
  }
}
