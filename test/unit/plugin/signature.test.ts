/** Signatures as minisign makes and checks them, the policies, and what a component says of itself. */

import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { inspectPlugin } from '../../../host/plugin/inspect.ts';
import { loadPlugin } from '../../../host/plugin/load.ts';
import { embedManifest } from '../../../host/plugin/manifest.ts';
import { generateKeys, parsePublicKey, signFile, verifyFile } from '../../../host/plugin/signature.ts';
import { buildProbe, temporaryFolder } from './probe.ts';

const hasMinisign = spawnSync('minisign', ['-v']).status === 0;
const file = Buffer.from('a plugin');

let probe: string;

beforeAll(async () => {
  probe = await buildProbe();
});

describe('of a file', () => {
  test('holds for the file, the comment and the key', () => {
    const keys = generateKeys();
    const trusted = [parsePublicKey(keys.publicText)];
    const signature = signFile(file, keys.secretText, 'mynic 1.0');
    expect(verifyFile(file, signature, trusted)).toEqual({
      trust: 'trusted',
      key: keys.id,
      comment: 'mynic 1.0',
    });
    expect(verifyFile(file, signature, [])).toEqual({ trust: 'unknown-key', key: keys.id });
    expect(verifyFile(file, undefined, trusted)).toEqual({ trust: 'unsigned' });
    const changed = [
      [Buffer.from('a plugiN'), signature],
      [file, signature.replace('mynic 1.0', 'mynic 1.1')],
      [file, signature.replace(/(.)(=*)\n$/, (_, last, end) => `${last === 'A' ? 'Q' : 'A'}${end}\n`)],
    ] as const;
    for (const [bytes, text] of changed)
      expect(() => verifyFile(bytes, text, trusted)).toThrow(
        `its signature by key ${keys.id} is not of this`,
      );
    for (const text of ['', 'RWQ', signature.slice(0, 60), signature.replace('trusted comment: m', 'm')])
      expect(() => verifyFile(file, text, trusted)).toThrow('not one of minisign’s format');
    for (const text of ['', 'RWQ', keys.secretText, 'A'.repeat(56)])
      expect(() => parsePublicKey(text)).toThrow('is not a public key');
  });

  test.skipIf(!hasMinisign)('is one that minisign takes, and the other way round', () => {
    using folder = temporaryFolder();
    const path = (name: string) => join(folder.path, name);
    writeFileSync(path('x.wasm'), file);
    const ours = generateKeys();
    writeFileSync(path('ours.pub'), ours.publicText);
    writeFileSync(path('x.wasm.sig'), signFile(file, ours.secretText, 'signed here'));
    const verify = ['-V', '-p', path('ours.pub'), '-m', path('x.wasm'), '-x', path('x.wasm.sig')];
    expect(execFileSync('minisign', verify, { encoding: 'utf8' })).toContain('signed here');

    execFileSync('minisign', ['-G', '-W', '-p', path('their.pub'), '-s', path('their.key')]);
    for (const options of [['-S'], ['-S', '-l']]) {
      const sign = [...options, '-s', path('their.key'), '-m', path('x.wasm'), '-x', path('x.sig')];
      execFileSync('minisign', [...sign, '-t', 'signed there']);
      const key = parsePublicKey(readFileSync(path('their.pub'), 'utf8'));
      expect(verifyFile(file, readFileSync(path('x.sig'), 'utf8'), [key])).toEqual({
        trust: 'trusted',
        key: key.id,
        comment: 'signed there',
      });
    }
  });
});

test('what may be loaded, by policy', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'probe.wasm');
  copyFileSync(probe, path);
  const keys = generateKeys();
  const trustedKeys = [parsePublicKey(keys.publicText)];
  const load = (signatures: 'require' | 'prefer' | 'off', known = trustedKeys) =>
    loadPlugin(path, { grants: ['asic'], cache: folder.path, signatures, trustedKeys: known });
  await expect(load('require')).rejects.toMatchObject({
    code: 'E_SIGNATURE',
    message: `${path}: it is not signed`,
    remedy: expect.stringContaining('trusted-keys'),
  });
  expect((await load('prefer')).trust).toEqual({ trust: 'unsigned' });
  writeFileSync(`${path}.sig`, signFile(readFileSync(path), keys.secretText, 'probe 1'));
  expect((await load('require')).trust).toMatchObject({ trust: 'trusted', comment: 'probe 1' });
  await expect(load('require', [])).rejects.toMatchObject({ code: 'E_SIGNATURE' });
  expect((await load('prefer', [])).trust).toEqual({ trust: 'unknown-key', key: keys.id });
  writeFileSync(`${path}.sig`, signFile(Buffer.from('another file'), keys.secretText, 'probe 1'));
  for (const policy of ['require', 'prefer'] as const)
    await expect(load(policy)).rejects.toMatchObject({ code: 'E_SIGNATURE' });
  expect((await load('off')).trust).toEqual({ trust: 'unsigned' });
});

test('what a component says of itself and is made of', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'mynic.wasm');
  const manifest = { name: 'mynic', version: '1.0', licence: 'Apache-2.0', devices: ['asic'] };
  writeFileSync(path, embedManifest(readFileSync(probe), manifest));
  const found = await inspectPlugin(path, [], folder.path);
  expect(found).toMatchObject({ manifest, needs: ['asic'], signature: { trust: 'unsigned' } });
  expect(found.refused).toBeUndefined();
  expect(found.exports).toContain('ekho:offload/plugin@0.1.0');
  expect(found.counts.modules).toBeGreaterThan(0);
  expect((await loadPlugin(path, { grants: ['asic'], cache: folder.path })).manifest).toEqual(manifest);
  expect(() => embedManifest(file, { name: 'x'.repeat(5000) })).toThrow('larger than 4096 bytes');
  expect(() => embedManifest(file, { name: 'a\nb' })).toThrow('name is not a short text');
  writeFileSync(path, readFileSync(probe).subarray(0, 5000));
  await expect(inspectPlugin(path, [], folder.path)).rejects.toMatchObject({ code: 'E_PLUGIN_INVALID' });
});
