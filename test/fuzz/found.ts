/** Inputs that once broke a promise: files found/TARGET-NUMBER. They are tried first. */
import { readdirSync, readFileSync } from 'node:fs';

const FOLDER = new URL('./found/', import.meta.url);

/** Names and contents. */
export function found(target: string): [string, Uint8Array][] {
  return readdirSync(FOLDER)
    .filter((name) => name.startsWith(`${target}-`))
    .map((name) => [name, new Uint8Array(readFileSync(new URL(name, FOLDER)))]);
}
