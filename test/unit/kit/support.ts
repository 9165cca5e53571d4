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

export function ekho(folder: string, ...words: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [join(ROOT, 'host/cli/ekho.mjs'), ...words], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder },
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
