/** What the kit says where Rust is not as it should be. Plugins in Rust that are built: examples.test.ts, bindings.test.ts. */

import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { ekho, vendorFolder } from './support.ts';

/** A folder of commands that print what they are told to. */
function toolchain(parent: string, commands: Readonly<Record<string, string>>): string {
  const folder = join(parent, 'bin');
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(commands)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

test('no Rust, Rust without the target, and a crate that is none', { timeout: 120_000 }, async () => {
  using vendor = vendorFolder();
  const started = await ekho(vendor.path, 'plugin', 'new', 'mynic', '--lang', 'rust');
  expect(started.out.split('\n').slice(0, -1)).toEqual([
    'mynic/.cargo/config.toml',
    'mynic/.gitignore',
    'mynic/Cargo.toml',
    'mynic/plugin.toml',
    'mynic/src/lib.rs',
  ]);
  const build = (path: string) => ekho({ folder: join(vendor.path, 'mynic'), path }, 'plugin', 'build');
  const node = dirname(process.execPath);

  const without = await build(node);
  expect(without).toMatchObject({ code: 1, out: '' });
  expect(without.err).toMatch(
    /^ekho: there is no cargo with a rustc on PATH\nInstall Rust with the target wasm32-unknown-unknown/,
  );

  const bin = toolchain(vendor.path, { cargo: 'exit 1', rustc: 'echo /nowhere/wasm32-unknown-unknown/lib' });
  const targetless = await build(`${node}:${bin}`);
  expect(targetless).toMatchObject({ code: 1, out: '' });
  expect(targetless.err).toContain(
    `${bin}/rustc cannot compile to wasm32-unknown-unknown: its library is not installed\n`,
  );
  expect(targetless.err).toContain('rustup target add wasm32-unknown-unknown');

  rmSync(join(vendor.path, 'mynic/Cargo.toml'));
  const none = await build(node);
  expect(none).toMatchObject({ code: 1, out: '' });
  expect(none.err).toMatch(/mynic has no Cargo\.toml\nA plugin in Rust is a crate/);
});
