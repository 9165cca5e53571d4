/** The kernel module is compiled for the other architecture, on Debian's own kernel and on the newest one of its backports. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, type TestContext, test } from 'vitest';
import { NotOffered } from '../archive.ts';
import { headers } from '../headers.ts';
import { installMissing, OWN_ARCH, whyNot } from '../machine.ts';
import { compileModule } from '../module.ts';

const reason = whyNot();
const ARCH = OWN_ARCH === 'amd64' ? 'arm64' : 'amd64';
const VERMAGIC = { arm64: / aarch64$/, amd64: / modversions$/ }[ARCH];

/** Skips a test of what the archive does not have. */
function offered(kernel: 'own' | 'backports', context: TestContext) {
  try {
    return headers(kernel, ARCH, console.log);
  } catch (error) {
    if (error instanceof NotOffered) context.skip(error.message);
    throw error;
  }
}

describe.skipIf(reason !== undefined)(`the kernel module for ${ARCH}${reason ? `: ${reason}` : ''}`, () => {
  test.for([
    ['own', /^6\.12\./],
    ['backports', /^[7-9]\.|^6\.1[3-9]\./],
  ] as const)('compiles for the kernel of %s without a word', ([kernel, version], context) => {
    expect(installMissing(console.log)).toBeUndefined();
    const root = offered(kernel, context);
    expect(root.release).toMatch(version);
    const folder = mkdtempSync(join(tmpdir(), 'ekho-module-'));
    try {
      const { built, said } = compileModule(root, folder, undefined, root.variables);
      expect(said).toBe('');
      const field = (name: string) =>
        execFileSync('modinfo', ['--field', name, built], { encoding: 'utf8' }).trim();
      expect(field('vermagic')).toMatch(VERMAGIC);
      expect(field('vermagic').split(' ')[0]).toBe(root.release);
      expect(field('name')).toBe('ekho');
      expect(field('license')).toBe('GPL');
      expect(field('alias')).toBe('rtnl-link-ekho');
      expect(field('description')).not.toBe('');
      // Without it the module loads, and no program can be attached.
      expect(readFileSync(built).includes('\0.BTF\0')).toBe(true);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
