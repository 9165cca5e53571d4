/** What is refused before any of it runs, and the cache of what is not. */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { BinaryError, capCoreModule, isSafeName, readComponent } from '../../../host/plugin/binary.ts';
import { loadPlugin } from '../../../host/plugin/load.ts';
import { buildProbe, temporaryFolder } from './probe.ts';

let probe: string;

beforeAll(async () => {
  probe = await buildProbe();
});

const EXPORTS = ['plugin', 'offload', 'notifier', 'stats']
  .map((name) => `(instance $${name}) (export "ekho:offload/${name}@0.1.0" (instance $${name}))`)
  .join('\n');

async function load(text: string, grants: string[] = ['asic'], options = {}) {
  using folder = temporaryFolder();
  const file = join(folder.path, 'test.wasm');
  writeFileSync(file, await parse(text));
  return await loadPlugin(file, { grants, cache: folder.path, ...options });
}

describe('imports', () => {
  test('a device that was not granted', async () => {
    using folder = temporaryFolder();
    await expect(loadPlugin(probe, { grants: [], cache: folder.path })).rejects.toMatchObject({
      code: 'E_PLUGIN_IMPORT',
      message: 'plugin probe imports ekho:offload/asic@0.1.0 and was not granted a device of that kind',
      remedy: 'Grant it a device of kind asic in the configuration, or remove the plugin.',
    });
    expect(readdirSync(folder.path)).toEqual([]);
  });

  test.each([
    'wasi:cli/environment@0.2.0',
    'wasi:sockets/tcp@0.2.0',
    'ekho:offload/registers@0.1.0',
    'other:offload/asic@0.1.0',
  ])('%s', async (name) => {
    await expect(load(`(component (import "${name}" (instance)) ${EXPORTS})`)).rejects.toMatchObject({
      code: 'E_PLUGIN_IMPORT',
      message: `plugin test imports "${name}", which this host does not offer`,
      remedy: expect.stringContaining('ekho:offload/log@0.1.0'),
    });
  });

  test('a plugin built for another version of the package', async () => {
    using folder = temporaryFolder();
    const file = join(folder.path, 'later.wasm');
    writeFileSync(
      file,
      Buffer.from(readFileSync(probe).toString('latin1').replaceAll('@0.1.0', '@0.2.0'), 'latin1'),
    );
    await expect(loadPlugin(file, { grants: ['asic'], cache: folder.path })).rejects.toMatchObject({
      code: 'E_PLUGIN_VERSION',
      message: expect.stringMatching(
        /^plugin later is made for ekho:offload 0\.2\.0 \(ekho:offload\/\w+@0\.2\.0\), and this host runs 0\.1\.0$/,
      ),
      remedy: expect.stringContaining('0.1.0 is the first version of the package'),
    });
    expect(readdirSync(folder.path)).toEqual(['later.wasm']);
  });

  test('something that is not an interface', async () => {
    await expect(load(`(component (import "run" (func)) ${EXPORTS})`)).rejects.toMatchObject({
      code: 'E_PLUGIN_INVALID',
      message: expect.stringContaining('it imports "run", which is not an interface'),
    });
  });

  test('an import whose name makes the transpiler panic does not reach it', async () => {
    await expect(load(`(component (import "url=<https://x>" (instance)) ${EXPORTS})`)).rejects.toMatchObject({
      code: 'E_PLUGIN_IMPORT',
    });
  });
});

describe('names that would run as code in the glue', () => {
  const hostile = ["x'+(globalThis.owned=1)+'", 'x`$\x7b1}`', 'x"y', 'x\\\\y', '*/owned()/*'];

  test.each(hostile)('%s, exported by a core module', async (name) => {
    const quoted = name.replaceAll('"', '\\"');
    const text = `(component
      (core module $m (func (export "${quoted}")))
      (core instance $i (instantiate $m))
      (func $f (canon lift (core func $i "${quoted}")))
      (instance $n (export "run" (func $f)))
      (export "ekho:offload/plugin@0.1.0" (instance $n))
      (instance $offload) (export "ekho:offload/offload@0.1.0" (instance $offload))
      (instance $notifier) (export "ekho:offload/notifier@0.1.0" (instance $notifier))
      (instance $stats) (export "ekho:offload/stats@0.1.0" (instance $stats)))`;
    await expect(load(text)).rejects.toMatchObject({
      code: 'E_PLUGIN_INVALID',
      message: expect.stringContaining('has characters that names may not have'),
    });
    expect((globalThis as { owned?: number }).owned).toBeUndefined();
  });

  test('names of real components pass', () => {
    for (const name of ['cabi_post_ekho:offload/offload@0.1.0#apply', '[method]a.b', '$imports', 'a b', ''])
      expect(isSafeName(name)).toBe(true);
    for (const name of [...hostile, 'é', '\n', '\u2028']) expect(isSafeName(name)).toBe(false);
  });
});

describe('files', () => {
  test.each([
    ['nothing', new Uint8Array(), 'it is too short'],
    ['text', Buffer.from('#!/bin/sh\nexit'), 'it is not WebAssembly'],
    [
      'a core module',
      Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]),
      'it is a core module, not a component',
    ],
    [
      'another version',
      Uint8Array.from([0, 0x61, 0x73, 0x6d, 0x0e, 0, 1, 0]),
      'it is a component of another version',
    ],
    [
      'no exports',
      Uint8Array.from([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0]),
      'does not export ekho:offload/plugin@0.1.0',
    ],
  ])('%s', async (_, bytes, message) => {
    using folder = temporaryFolder();
    const file = join(folder.path, 'bad.wasm');
    writeFileSync(file, bytes);
    await expect(loadPlugin(file, { grants: [], cache: folder.path })).rejects.toMatchObject({
      code: 'E_PLUGIN_INVALID',
      message: expect.stringContaining(message),
    });
  });

  test('missing, a folder, or too large', async () => {
    using folder = temporaryFolder();
    const options = { grants: ['asic'], cache: folder.path };
    const refused = { code: 'E_PLUGIN_INVALID' };
    await expect(loadPlugin(join(folder.path, 'no.wasm'), options)).rejects.toMatchObject(refused);
    await expect(loadPlugin(folder.path, options)).rejects.toMatchObject(refused);
    await expect(loadPlugin(probe, { ...options, fileMax: 1000 })).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining('larger than 1000 bytes'),
    });
  });

  test('whatever is no regular file is refused at once', async () => {
    using folder = temporaryFolder();
    const path = (name: string) => join(folder.path, `${name}.wasm`);
    execFileSync('mkfifo', [path('fifo')]);
    mkdirSync(path('folder'));
    symlinkSync('/dev/zero', path('device'));
    const server = createServer().listen(path('socket'));
    await once(server, 'listening');
    try {
      for (const name of ['fifo', 'folder', 'device', 'socket'])
        await expect(loadPlugin(path(name), { grants: [], cache: folder.path }), name).rejects.toMatchObject({
          code: 'E_PLUGIN_INVALID',
          message: `${path(name)}: it is not a regular file`,
          remedy: expect.stringContaining('remove it'),
        });
    } finally {
      server.close();
    }
  });

  test('names that are not UTF-8', async () => {
    using folder = temporaryFolder();
    const bytes = new Uint8Array(readFileSync(probe));
    bytes[Buffer.from(bytes).indexOf('ekho:offload/')] = 0xff;
    const file = join(folder.path, 'names.wasm');
    writeFileSync(file, bytes);
    await expect(loadPlugin(file, { grants: ['asic'], cache: folder.path })).rejects.toMatchObject({
      code: 'E_PLUGIN_INVALID',
      message: expect.stringContaining(`${file}: `),
      remedy: expect.stringContaining('component'),
    });
    const named = Uint8Array.from([
      ...[0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0],
      ...[10, 7, 1, 0, 2, 0xc3, 0x28, 5, 0],
    ]);
    expect(() => readComponent(named)).toThrow(new BinaryError('a name is not valid UTF-8'));
  });

  test('valid outside, broken inside: the transpiler says so', async () => {
    using folder = temporaryFolder();
    const bytes = new Uint8Array(readFileSync(probe));
    const module = Buffer.from(bytes).indexOf(Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    bytes.fill(0xff, module + 20, module + 40);
    const file = join(folder.path, 'broken.wasm');
    writeFileSync(file, bytes);
    await expect(loadPlugin(file, { grants: ['asic'], cache: folder.path })).rejects.toMatchObject({
      code: 'E_PLUGIN_INVALID',
    });
  });

  test('any damage is an error of its own, never another', async () => {
    const bytes = new Uint8Array(readFileSync(probe));
    const told = fc.check(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, end) => {
        const damaged = bytes.slice(0, end);
        if (at < end) damaged[at] = value;
        try {
          readComponent(damaged);
        } catch (error) {
          // Names that are not UTF-8 are a TypeError of the decoder.
          if (!(error instanceof BinaryError) && !(error instanceof TypeError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
    expect(told.failed, `seed ${told.seed}: ${told.errorInstance}`).toBe(false);
  });
});

describe('memory', () => {
  const module = async (memory: string) => await parse(`(module ${memory} (func (export "f")))`);
  const limits = (bytes: Uint8Array) => {
    const { exports } = new WebAssembly.Instance(
      new (WebAssembly as never as { Module: new (b: Uint8Array) => WebAssembly.Module }).Module(bytes),
    );
    const memory = exports.memory as WebAssembly.Memory & { grow(pages: number): number };
    let pages = memory.buffer.byteLength / 65536;
    try {
      for (; pages < 1000; pages++) memory.grow(1);
    } catch {}
    return pages;
  };

  test.each([
    ['(memory (export "memory") 1)', 16],
    ['(memory (export "memory") 1 5)', 5],
    ['(memory (export "memory") 1 60000)', 16],
    ['(memory (export "memory") 16)', 16],
  ])('%s may have %i pages', async (memory, pages) => {
    expect(limits(capCoreModule(await module(memory), 2 ** 20).bytes)).toBe(pages);
  });

  test.each([
    ['(memory 17)', 'it needs 1.0625 MiB of memory to start with and may have 1 MiB'],
    ['(memory 1 2 shared)', 'its memory is shared or of 64 bits'],
    ['(memory i64 1)', 'its memory is shared or of 64 bits'],
  ])('%s is refused', async (memory, message) => {
    const bytes = await module(memory);
    expect(() => capCoreModule(bytes, 2 ** 20)).toThrow(message);
  });

  test('everything else of a module stays as it was', async () => {
    const bytes = await module('(import "a" "f" (func)) (import "a" "t" (table 1 2 funcref)) (memory 2 9)');
    const { names, memories, bytes: capped } = capCoreModule(bytes, 2 ** 20);
    expect(names).toEqual(['a', 'f', 'a', 't', 'f']);
    expect(memories).toBe(1);
    expect(capped).toEqual(new Uint8Array(bytes));
  });
});

describe('cache', () => {
  test('a file is transpiled once; another cap is another entry', async () => {
    using folder = temporaryFolder();
    const options = { grants: ['asic'], cache: folder.path };
    const first = await loadPlugin(probe, options);
    const second = await loadPlugin(probe, options);
    expect([first.cached, second.cached]).toEqual([false, true]);
    expect(second.glue).toBe(first.glue);
    expect([...second.modules.keys()]).toEqual([...first.modules.keys()]);
    const capped = await loadPlugin(probe, { ...options, memoryMax: 2 ** 22 });
    expect(capped.cached).toBe(false);
    expect(readdirSync(join(folder.path, 'plugins'))).toHaveLength(2);
  });

  test('damage of any file is seen, and mended', async () => {
    using folder = temporaryFolder();
    const options = { grants: ['asic'], cache: folder.path };
    await loadPlugin(probe, options);
    const plugins = join(folder.path, 'plugins');
    const entry = join(plugins, readdirSync(plugins)[0]!);
    for (const name of readdirSync(entry)) {
      const bytes = readFileSync(join(entry, name));
      bytes[bytes.length >> 1]! ^= 1;
      writeFileSync(join(entry, name), bytes);
      expect((await loadPlugin(probe, options)).cached, name).toBe(false);
    }
    expect((await loadPlugin(probe, options)).cached).toBe(true);
  });

  test('a folder that others can write is not used', async () => {
    using folder = temporaryFolder();
    const options = { grants: ['asic'], cache: folder.path };
    await loadPlugin(probe, options);
    const plugins = join(folder.path, 'plugins');
    chmodSync(plugins, 0o777);
    await expect(loadPlugin(probe, options)).rejects.toMatchObject({
      code: 'E_CACHE',
      message: `${plugins} is not a folder that only this user can write`,
    });
    chmodSync(plugins, 0o700);
    chmodSync(join(plugins, readdirSync(plugins)[0]!), 0o770);
    await expect(loadPlugin(probe, options)).rejects.toMatchObject({ code: 'E_CACHE' });
  });

  test('two loads at the same time do not disturb each other', async () => {
    using folder = temporaryFolder();
    const options = { grants: ['asic'], cache: folder.path };
    const loaded = await Promise.all([loadPlugin(probe, options), loadPlugin(probe, options)]);
    expect(loaded[0]!.glue).toBe(loaded[1]!.glue);
    expect(readdirSync(join(folder.path, 'plugins'))).toHaveLength(1);
  });
});
