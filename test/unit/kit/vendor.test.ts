/** From an empty folder to a checked plugin, by the command alone. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ekho, vendorFolder } from './support.ts';

const OWN_CASE = `title = "Routes of VRF 7 are held"
include = ["base/routing.toml"]

[[steps]]
apply = ["put route {i} vrf=7 prefix={10.1.0.0/24+i} group=1"]
for = { i = [1, 20] }
`;

test('new, build, check in C', { timeout: 300_000 }, async () => {
  using vendor = vendorFolder();
  const started = await ekho(vendor.path, 'plugin', 'new', 'mynic');
  expect(started).toEqual({
    code: 0,
    out: 'mynic/.gitignore\nmynic/plugin.c\nmynic/plugin.toml\n',
    err: '',
  });
  const folder = join(vendor.path, 'mynic');

  const built = await ekho(folder, 'plugin', 'build');
  expect(built).toEqual({ code: 0, out: 'build/mynic.wasm\n', err: '' });
  const again = await ekho(folder, 'plugin', 'build');
  expect(again).toEqual({ code: 0, out: 'build/mynic.wasm: unchanged\n', err: '' });

  const junit = join(vendor.path, 'junit.xml');
  const checked = await ekho(
    vendor.path,
    'plugin',
    'check',
    'mynic',
    '--only',
    'fib-ipv4-re',
    '--junit',
    junit,
  );
  expect(checked.out).toMatch(/^mynic 0\.1\.0 by mynic, holds port 64, /);
  expect(checked.out).toMatch(/\n\d+ passed, 0 failed, 0 left out, in \d+\.\d s\n$/);
  expect(checked).toMatchObject({ code: 0, err: '' });
  expect(readFileSync(junit, 'utf8')).toContain('<testcase name="fib-ipv4-replace: ');

  const own = join(vendor.path, 'own');
  mkdirSync(own);
  writeFileSync(join(own, 'my-vrf.toml'), OWN_CASE);
  const words = ['--cases', own, '--only', 'my-', '--isolation', 'process', '--json'];
  const mine = await ekho(vendor.path, 'plugin', 'check', 'mynic', ...words);
  expect(mine).toMatchObject({ code: 0, err: '' });
  const { plugin, cases } = JSON.parse(mine.out);
  expect(plugin.name).toBe('mynic');
  expect(cases).toMatchObject([{ name: 'my-vrf', title: 'Routes of VRF 7 are held', verdict: 'passed' }]);

  const whole = readFileSync(join(folder, 'plugin.c'), 'utf8');
  writeFileSync(join(folder, 'plugin.c'), whole.replace('epoch = ekho_asic_epoch();', 'epoch = nothing;'));
  const wrong = await ekho(folder, 'plugin', 'build');
  expect(wrong.code).toBe(1);
  expect(wrong.err).toContain('plugin.c:');
  expect(wrong.err).toContain("use of undeclared identifier 'nothing'");
});

test('what is not a plugin folder, or not a name, is said with a remedy', async () => {
  using vendor = vendorFolder();
  const nothing = await ekho(vendor.path, 'plugin', 'build');
  expect(nothing).toMatchObject({ code: 2, out: '' });
  expect(nothing.err).toContain('plugin.toml: there is no such file\nBegin with `ekho plugin new NAME`');
  const name = await ekho(vendor.path, 'plugin', 'new', '../elsewhere');
  expect(name).toMatchObject({ code: 2, out: '' });
  expect(name.err).toContain('a plugin cannot be named "../elsewhere"');
  await ekho(vendor.path, 'plugin', 'new', 'mynic');
  const unbuilt = await ekho(vendor.path, 'plugin', 'check', 'mynic');
  expect(unbuilt).toMatchObject({ code: 2, out: '' });
  expect(unbuilt.err).toContain('mynic/build/mynic.wasm is not there\nBuild it: ekho plugin build mynic\n');
  const nowhere = await ekho(vendor.path, 'plugin', 'check', 'nowhere.wasm');
  expect(nowhere).toMatchObject({ code: 2, out: '' });
  expect(nowhere.err).toContain('there is no nowhere.wasm\nName a component');
  const twice = await ekho(vendor.path, 'plugin', 'new', 'mynic');
  expect(twice).toMatchObject({ code: 2, out: '' });
  expect(twice.err).toContain('is there already and not empty');
});
