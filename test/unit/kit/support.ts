/** The kit as a vendor meets it: the `ekho` command in a folder outside of the checkout. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../../host/config/config.ts';

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A folder that is gone after `dispose`. */
export function vendorFolder(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'ekho-vendor-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** @param where the folder to be in, and what to look for commands in if not PATH */
export function ekho(
  where: string | { readonly folder: string; readonly path: string },
  ...words: string[]
): Promise<Ended> {
  const { folder, path } = typeof where === 'string' ? { folder: where, path: process.env.PATH } : where;
  const child = spawn(process.execPath, [join(ROOT, 'host/cli/ekho.mjs'), ...words], {
    cwd: folder,
    env: { PATH: path, HOME: folder },
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (data) => {
    out += data;
  });
  child.stderr.on('data', (data) => {
    err += data;
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })));
}
