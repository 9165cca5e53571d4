/**
 * Components made to do harm, beside one that is good: each is refused or ended for the right reason, the good one misses
 * nothing, and the memory they took comes back.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { parse } from '@bytecodealliance/jco-transpile/wasm-tools';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectGarbage } from '../../../host/cli/give-back.ts';
import { ROOT } from '../../../host/config/config.ts';
import { openDevice } from '../../../host/device/registry.ts';
import type { EkhoError } from '../../../host/errors.ts';
import {
  BinaryError,
  COMPONENT_LIMITS,
  CORE_LIMITS,
  capCoreModule,
  readComponent,
} from '../../../host/plugin/binary.ts';
import { type LoadedPlugin, loadPlugin } from '../../../host/plugin/load.ts';
import { type Isolation, startRunner } from '../../../host/plugin/pool-runner.ts';
import { OPERATION } from '../../../host/plugin/records.ts';
import { PHASE } from '../../../host/plugin/ring.ts';
import { SEED } from '../../support/seed.ts';
import { buildProbe, loadProbe, RunningProbe, temporaryFolder } from './probe.ts';

const seed = SEED;
const MUTATIONS = 2000;
/** Of those, how many go all the way: each costs a process. */
const LOADED = 2;
/** Bytes of memory that plugins may have here. */
const CAP = 64 * 2 ** 20;

let good: RunningProbe;
let probe: string;
let folder: ReturnType<typeof temporaryFolder>;

beforeAll(async () => {
  probe = await buildProbe();
  folder = temporaryFolder();
  good = await RunningProbe.start(await loadProbe());
});

afterAll(async () => {
  // Through it all it was not disturbed.
  expect((await good.mischief('write', 1)).outcomes).toHaveLength(1);
  expect(good.faults).toEqual([]);
  await good[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const EXPORTS = ['plugin', 'offload', 'notifier', 'stats']
  .map((name) => `(instance $${name}) (export "ekho:offload/${name}@0.1.0" (instance $${name}))`)
  .join('\n');

async function refusal(bytes: Uint8Array): Promise<EkhoError> {
  const file = join(folder.path, 'hostile.wasm');
  writeFileSync(file, bytes);
  return await loadPlugin(file, { grants: ['asic'], cache: folder.path }).then(
    () => {
      throw new Error('it was loaded');
    },
    (error: EkhoError) => error,
  );
}

/** xorshift32. */
function random(): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

describe('refused before any of it runs', () => {
  const many = (count: number, text: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => text(index)).join('\n');
  const cases: readonly (readonly [string, string, string, string])[] = [
    [
      'a device that there is not',
      '(import "ekho:offload/flash@0.1.0" (instance))',
      'E_PLUGIN_IMPORT',
      'flash',
    ],
    ['WASI', '(import "wasi:filesystem/types@0.2.0" (instance))', 'E_PLUGIN_IMPORT', 'wasi:filesystem'],
    [
      'another version',
      '(import "ekho:offload/log@9.0.0" (instance))',
      'E_PLUGIN_VERSION',
      'is made for ekho:offload 9.0.0 (ekho:offload/log@9.0.0), and this host runs 0.1.0',
    ],
    ['a name that panics the transpiler', '(import "url=<https://x>" (instance))', 'E_PLUGIN_IMPORT', 'url='],
    [
      'more types than anyone needs',
      many(COMPONENT_LIMITS.types + 1, () => '(type (func))'),
      'E_PLUGIN_INVALID',
      `more than ${COMPONENT_LIMITS.types} types`,
    ],
    [
      'more modules',
      many(COMPONENT_LIMITS.modules + 1, () => '(core module)'),
      'E_PLUGIN_INVALID',
      `more than ${COMPONENT_LIMITS.modules} modules`,
    ],
    [
      'components within components',
      `${'(component '.repeat(COMPONENT_LIMITS.depth + 1)}${')'.repeat(COMPONENT_LIMITS.depth + 1)}`,
      'E_PLUGIN_INVALID',
      `nested deeper than ${COMPONENT_LIMITS.depth}`,
    ],
    [
      'a memory that is too large',
      '(core module $m (memory (export "memory") 60000)) (core instance $i (instantiate $m)) (alias core export $i "memory" (core memory))',
      'E_PLUGIN_INVALID',
      'MiB of memory to start with',
    ],
    [
      'a table that is too large',
      `(core module $m (table (export "t") ${CORE_LIMITS.elements + 1} funcref)) (core instance $i (instantiate $m))`,
      'E_PLUGIN_INVALID',
      `more than ${CORE_LIMITS.elements} elements`,
    ],
    [
      'a module that is instantiated twice',
      '(core module $m (memory 1600)) (core instance (instantiate $m)) (core instance (instantiate $m))',
      'E_PLUGIN_INVALID',
      'it instantiates one of its modules twice',
    ],
    [
      // Two kilobytes of glue for each, and a few bytes of it here.
      'more functions',
      `(core module $m (func (export "f"))) (core instance $i (instantiate $m))
       ${many(COMPONENT_LIMITS.functions + 1, () => '(func (canon lift (core func $i "f")))')}`,
      'E_PLUGIN_INVALID',
      `more than ${COMPONENT_LIMITS.functions} functions`,
    ],
  ];

  test.each(cases)('%s', async (_, text, code, message) => {
    const error = await refusal(await parse(`(component ${text} ${EXPORTS})`));
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test('names that would run as code', async () => {
    const name = "x'+(globalThis.owned=1)+'";
    const text = `(core module $m (func (export "${name}"))) (core instance $i (instantiate $m))
      (func $f (canon lift (core func $i "${name}"))) (instance $n (export "run" (func $f)))
      (export "ekho:offload/plugin@0.1.0" (instance $n))`;
    const rest = EXPORTS.split('\n').slice(1).join('\n');
    expect(await refusal(await parse(`(component ${text} ${rest})`))).toMatchObject({
      code: 'E_PLUGIN_INVALID',
      message: expect.stringContaining('has characters that names may not have'),
    });
    expect((globalThis as { owned?: number }).owned).toBeUndefined();
  });

  test('cut off anywhere', async () => {
    const bytes = readFileSync(probe);
    for (let end = 0; end < bytes.length; end += 97) {
      const cut = bytes.subarray(0, end);
      try {
        // Between two sections it is a whole component, of less: then it does not export what it must.
        expect(readComponent(cut).exports.length).toBeLessThan(4);
      } catch (error) {
        expect(error).toBeInstanceOf(BinaryError);
      }
    }
    expect(await refusal(bytes.subarray(0, bytes.length >> 1))).toMatchObject({ code: 'E_PLUGIN_INVALID' });
  });
});

test(`${MUTATIONS} random changes of a good file (EKHO_SEED=${seed})`, async () => {
  const next = random();
  const bytes = readFileSync(probe);
  const start = bytes.indexOf(Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
  let passed = 0;
  const survivors: Uint8Array[] = [];
  for (let round = 0; round < MUTATIONS; round++) {
    const changed = Uint8Array.from(bytes);
    for (let count = 1 + (next() % 4); count > 0; count--) changed[next() % changed.length] = next();
    try {
      readComponent(changed);
      passed++;
      if (survivors.length < LOADED && next() % 8 === 0) survivors.push(changed);
    } catch (error) {
      if (!(error instanceof BinaryError)) throw error;
    }
    try {
      capCoreModule(changed.subarray(start), 2 ** 24);
    } catch (error) {
      if (!(error instanceof BinaryError)) throw error;
    }
  }
  expect(passed).toBeGreaterThan(MUTATIONS / 10);
  for (const changed of survivors) {
    const file = join(folder.path, 'mutated.wasm');
    writeFileSync(file, changed);
    const device = openDevice({ kind: 'asic', name: 'mutated' });
    try {
      const plugin = await loadPlugin(file, { grants: ['asic'], cache: folder.path });
      const limits = { apply: 1000, call: 1000, start: 1000 };
      const runner = await startRunner({ plugin, devices: [device.share], isolation: 'process', limits });
      await runner.stop();
    } catch (error) {
      expect((error as EkhoError).code).toMatch(/^E_(PLUGIN|DEVICE)/);
    } finally {
      device.close();
    }
  }
}, 120_000);

/** Grows a table without a maximum and traps when it cannot: an element above the limit would have it return. */
const TABLE_GROWS = `(module (table $t 1 funcref)
  (func $f (if (i32.eq (table.grow $t (ref.null func) (i32.const ${CORE_LIMITS.elements})) (i32.const -1)) (then unreachable)))
  (start $f))`;

/** What a component would become if its glue were this. */
function pluginOf(glue: string, modules: ReadonlyMap<string, Uint8Array>, before = ''): LoadedPlugin {
  const source = `${before}\nexport function instantiate(get, imports, inst) { ${glue} }`;
  return {
    name: 'hostile',
    file: 'hostile.wasm',
    sha256: '',
    devices: [],
    glue: `data:text/javascript,${encodeURIComponent(source)}`,
    source,
    modules,
    cached: false,
    memoryMax: CAP,
    trust: { trust: 'unsigned' },
    manifest: undefined,
  };
}

test('JavaScript that got out of WebAssembly, in its process, reaches nothing', async () => {
  using outside = temporaryFolder();
  const path = join(outside.path, 'socket');
  const heard: unknown[] = [];
  const server = createServer((socket) => heard.push(socket.destroy()));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  // Each must throw, or tell of an error.
  const attacks = `
    const module = (name) => process.getBuiltinModule(name);
    const failing = (emitter) => new Promise((resolve, reject) => emitter.on('connect', resolve).on('error', reject));
    const attacks = {
      read: () => module('fs').readFileSync('/proc/self/environ'),
      program: () => module('fs').readFileSync(${JSON.stringify(join(ROOT, 'host/plugin/process-child.ts'))}),
      write: () => module('fs').writeFileSync(${JSON.stringify(join(outside.path, 'owned'))}, 'x'),
      start: () => module('child_process').spawnSync('/bin/true').pid || Promise.reject(),
      replace: () => process.execve('/bin/true', ['true'], {}),
      thread: () => new (module('worker_threads').Worker)('1', { eval: true }),
      unix: () => failing(module('net').connect(${JSON.stringify(path)})),
      tcp: () => failing(module('net').connect(9, '127.0.0.1')),
      names: () => new Promise((resolve, reject) => module('dns').lookup('localhost', (error) => (error ? reject(error) : resolve()))),
      udp: () => new Promise((resolve, reject) => module('dgram').createSocket('udp4').on('error', reject).send('x', 9, '127.0.0.1', (error) => (error ? reject(error) : resolve()))),
      signal: () => process.kill(process.ppid, 0),
      native: () => process.dlopen({ exports: {} }, 'libc.so.6'),
      addon: () => import('koffi'),
      binding: () => process.binding('spawn_sync'),
      inspector: () => module('inspector').open(0),
      flags: () => module('v8').setFlagsFromString('--no-wasm-bounds-checks'),
      flagsAgain: async () => (await import('node:v8')).setFlagsFromString('--no-wasm-bounds-checks'),
      code: () => eval('1'),
      user: () => process.seteuid(1),
      environment: () => Object.keys(process.env).length || Promise.reject(),
    };
    const succeeded = [];
    for (const [name, attack] of Object.entries(attacks)) {
      try { await attack(); succeeded.push(name); } catch {}
    }`;
  const plugin = pluginOf(`throw new Error('succeeded: ' + succeeded.join())`, new Map(), attacks);
  const started = startRunner({ plugin, devices: [], isolation: 'process' });
  await expect(started).rejects.toThrow(/succeeded: $/);
  expect(existsSync(join(outside.path, 'owned'))).toBe(false);
  expect(heard).toEqual([]);
  server.close();
}, 120_000);

test('JavaScript that got out of WebAssembly takes no more memory than its process may have', async () => {
  const hog = 'const held = []; for (;;) held.push(Buffer.alloc(2 ** 26, 1));';
  const started = startRunner({ plugin: pluginOf(hog, new Map()), devices: [], isolation: 'process' });
  await expect(started).rejects.toThrow(/memory/);
}, 120_000);

describe('a process that says what it may not', () => {
  /** Sends a message as process-child.ts does, past it. */
  const say = `
    const { writevSync } = process.getBuiltinModule('fs');
    const say = (type, body) => {
      const bytes = typeof body === 'number' ? Buffer.from(Uint32Array.of(body).buffer) : Buffer.from(body);
      const head = Buffer.from(Uint32Array.of(type, bytes.length).buffer);
      writevSync(3, [head, bytes, Buffer.alloc(-bytes.length & 7)]);
    };`;
  const description = JSON.stringify({
    ...{
      vendor: 'a',
      name: 'b',
      version: '1.0.0',
      abilities: [],
      aclFields: {},
      aclEdits: {},
      notices: {},
      offloadKinds: [],
    },
    ...{ groupMembers: 1, reversePath: false, vlanInterfaces: false, pollInterval: 0 },
  });

  test.each([
    ['a phase that is not the next', `say(1, ${PHASE.serve})`, 'a phase'],
    ['a phase again', `say(1, ${PHASE.instantiate})`, 'a phase'],
    ['that it is up before it serves', `say(3, '{"description":${description}}')`, 'a description'],
    ['an answer to nothing', 'say(4, Buffer.alloc(128))', 'an answer to nothing'],
    ['that it stopped, unasked', `say(6, '{"end":"stopped"}')`, 'an end nobody asked for'],
    ['that it does not start, unasked', `say(6, '{"end":"refused","text":"x"}')`, 'a refusal to start'],
    ['an end of no kind', `say(6, '{"end":"well"}')`, 'an end without a reason'],
    ['a device call of no device', 'say(5, new Uint8Array(64))', 'a call to no device'],
    ['a log line of no level', 'say(2, 77)', 'a log line of no level'],
    ['a message of no type', 'say(77, 0)', 'a message of type 77'],
    [
      'a message that is too long',
      'writevSync(3, [Buffer.from(Uint32Array.of(4, 2 ** 31).buffer)])',
      'a message of 2147483648 bytes',
    ],
  ])('%s', async (_, lie, told) => {
    const plugin = pluginOf(`${lie}; for (;;);`, new Map(), say);
    const started = startRunner({ plugin, devices: [], isolation: 'process' });
    await expect(started).rejects.toMatchObject({
      code: 'E_PLUGIN_PROTOCOL',
      message: expect.stringContaining(`its process sent ${told}`),
    });
  });

  test('a log line before any of the plugin runs', async () => {
    const plugin = pluginOf('', new Map(), `${say} say(2, 1); for (;;);`);
    await expect(startRunner({ plugin, devices: [], isolation: 'process' })).rejects.toMatchObject({
      code: 'E_PLUGIN_PROTOCOL',
      message: expect.stringContaining('what only a plugin says'),
    });
  });

  test.each([
    ['answers `stop` and lives on', 'say(4, Buffer.alloc(128)); for (;;);'],
    ['says nothing to `stop`', 'for (;;);'],
  ])('one that %s does not hold up the host', async (_, stop) => {
    const glue = `return { plugin: { describe: () => (${description}), configure() {}, start() {}, stop() { ${stop} } } }`;
    const plugin = pluginOf(glue, new Map(), say);
    const down = Promise.withResolvers<EkhoError | undefined>();
    const runner = await startRunner({
      ...{ plugin, devices: [], isolation: 'process', limits: { start: 1000 } },
      onDown: (error) => down.resolve(error),
    });
    await runner.stop();
    expect((await down.promise)?.code).toMatch(/^E_PLUGIN_(PROTOCOL|TIMEOUT)$/);
  });
});

describe.each(['process', 'worker'] as const)('ended while it runs, in a %s', (isolation: Isolation) => {
  const limits = { apply: 400, call: 400, start: 400 };

  test.each([
    ['trap', 'E_PLUGIN_TRAP'],
    ['recurse', 'E_PLUGIN_TRAP'],
    ['badPointer', 'E_PLUGIN_TRAP'],
    ['spin', 'E_PLUGIN_TIMEOUT'],
  ] as const)('%s', async (what, code) => {
    const one = await RunningProbe.start(await loadProbe(), { isolation, limits });
    void one.mischief(what);
    expect(await one.down.promise).toMatchObject({ code });
    one.device.close();
  });

  test.each(['readback', 'collect', 'poll', 'tables'] as const)('an infinite loop in %s', async (call) => {
    const settings = [{ name: 'spin', value: call }];
    const one = await RunningProbe.start(await loadProbe(), { isolation, limits, settings });
    one.runner[call](() => {}).catch(() => {});
    expect(await one.down.promise).toMatchObject({ code: 'E_PLUGIN_TIMEOUT' });
    one.device.close();
  });

  test.each([
    ['instantiate', '(module (func $f (loop br 0)) (start $f))', 'E_PLUGIN_TIMEOUT'],
    // As much of a table as a module may have has been had by then.
    ['table', TABLE_GROWS, 'E_PLUGIN_TRAP'],
  ] as const)('core code that runs when it is instantiated: %s', async (_, text, code) => {
    const { bytes } = capCoreModule(await parse(text), CAP);
    const plugin = pluginOf('inst(get("m"), {}); throw new Error("it returned")', new Map([['m', bytes]]));
    const started = startRunner({ plugin, devices: [], isolation, limits: { instantiate: 1000 } });
    await expect(started).rejects.toMatchObject({ code });
    await expect(started).rejects.not.toMatchObject({ message: expect.stringContaining('it returned') });
  });

  test('a module with a memory that is instantiated twice', async () => {
    const { bytes } = capCoreModule(await parse('(module (memory 1600))'), CAP * 2);
    const glue =
      'const m = get("m"); for (let n = 0; n < 2; n++) inst(m, {}); throw new Error("it returned")';
    const started = startRunner({ plugin: pluginOf(glue, new Map([['m', bytes]])), devices: [], isolation });
    await expect(started).rejects.toThrow(/instantiates one of its modules twice/);
  });

  test.each(['describe', 'configure', 'start'] as const)('an infinite loop in %s', async (call) => {
    const glue = `return { plugin: { describe() {}, configure() {}, start() {}, ${call}() { for (;;); } } }`;
    const plugin = pluginOf(glue, new Map());
    const started = startRunner({ plugin, devices: [], isolation, limits: { call: 1000, start: 1000 } });
    await expect(started).rejects.toMatchObject({
      code: 'E_PLUGIN_TIMEOUT',
      message: expect.stringContaining(`did not return from ${call} within 1000 ms`),
    });
  });

  test('device calls beyond the rate wait, in its own time', async () => {
    const deviceCalls = 1000;
    const began = performance.now();
    const one = await RunningProbe.start(await loadProbe(), { isolation, limits, deviceCalls });
    await one.mischief('calls', 1200);
    void one.mischief('calls', 2 ** 32 - 1);
    expect(await one.down.promise).toMatchObject({ code: 'E_PLUGIN_TIMEOUT' });
    const { counters } = one.runner;
    expect(counters.deviceWaits).toBeGreaterThan(0);
    expect(counters.deviceCalls).toBeGreaterThanOrEqual(1200);
    // As many at once, and as many a second.
    const seconds = (performance.now() - began) / 1000;
    expect(counters.deviceCalls).toBeLessThanOrEqual(deviceCalls * (1 + seconds) + 1);
    one.device.close();
  });

  test('memory that it took comes back', async () => {
    const plugin = await loadProbe(CAP);
    const rounds = 6;
    const round = async () => {
      const one = await RunningProbe.start(plugin, { isolation, limits: { apply: 20_000 } });
      // What it allocates once, it has then.
      await one.apply((batch) => batch.port(OPERATION.put, 1));
      const { outcomes } = await one.mischief('grow');
      // In pages: it grew to the cap.
      expect(outcomes[0]!.detail * 65_536).toBeGreaterThan(CAP * 0.9);
      expect(outcomes[0]!.detail * 65_536).toBeLessThanOrEqual(CAP);
      await one[Symbol.asyncDispose]();
    };
    // What the host itself takes for the first one, it keeps.
    await round();
    const before = process.memoryUsage().rss;
    for (let count = 0; count < rounds; count++) await round();
    await expect
      .poll(
        () => {
          // The host's own part of each, the rings, goes when V8 happens to collect.
          collectGarbage();
          return process.memoryUsage().rss - before;
        },
        { timeout: 60_000, interval: 500 },
      )
      .toBeLessThan((rounds * CAP) / 2);
  }, 180_000);

  test('forged and unknown outcomes are left out and told', async () => {
    const one = await RunningProbe.start(await loadProbe(), { isolation });
    for (const what of ['unknownHandle', 'badStatus', 'tooMany', 'twice'] as const)
      expect((await one.mischief(what)).invalid, what).toBeGreaterThan(0);
    expect(one.faults.map(({ code }) => code)).toEqual(Array(4).fill('E_PLUGIN_PROTOCOL'));
    await one[Symbol.asyncDispose]();
  });
});
