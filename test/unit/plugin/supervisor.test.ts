/** Plugins that fall are brought back, the others go on, and the operator can see why. */

import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openDevice } from '../../../host/device/registry.ts';
import { EkhoError } from '../../../host/errors.ts';
import { embedManifest } from '../../../host/plugin/manifest.ts';
import type { Isolation } from '../../../host/plugin/pool-runner.ts';
import type { Runner } from '../../../host/plugin/runner.ts';
import type { PluginSetup, SupervisedPlugin } from '../../../host/plugin/supervised-plugin.ts';
import { Supervisor } from '../../../host/plugin/supervisor.ts';
import { buildProbe, MISCHIEF, temporaryFolder } from './probe.ts';

let file: string;
let folder: ReturnType<typeof temporaryFolder>;
let cache: ReturnType<typeof temporaryFolder>;
let supervisor: Supervisor | undefined;
let stopWait: number | undefined;
/** A worker starts sooner. */
let isolation: Isolation;
const devices = new Map<string, ReturnType<typeof openDevice>>();
/** What the planner was told, in order. */
let told: string[];
const runners = new Map<string, Runner>();

beforeAll(async () => {
  file = await buildProbe();
});

beforeEach(() => {
  folder = temporaryFolder();
  cache = temporaryFolder();
  told = [];
  isolation = 'worker';
});

afterEach(async () => {
  await supervisor?.stop();
  supervisor = undefined;
  for (const device of devices.values()) device.close();
  devices.clear();
  stopWait = undefined;
  folder[Symbol.dispose]();
  cache[Symbol.dispose]();
});

async function supervise(
  setup: (name: string) => Partial<PluginSetup> | undefined = () => ({}),
): Promise<Supervisor> {
  const listener = {
    notReplaced(plugin: SupervisedPlugin, error: EkhoError): void {
      told.push(`${plugin.name} not replaced ${error.code}`);
    },
    async withdraw(plugin: SupervisedPlugin): Promise<void> {
      told.push(`${plugin.name} withdrawn`);
    },
    up(plugin: SupervisedPlugin, runner: Runner): void {
      told.push(`${plugin.name} up`);
      runners.set(plugin.name, runner);
      runner.listen({
        result() {},
        ready() {},
        events() {},
        fault() {},
        down: () => told.push(`${plugin.name} runner down`),
      });
      plugin.synced();
    },
    down(plugin: SupervisedPlugin, error: EkhoError | undefined): void {
      told.push(`${plugin.name} down ${error?.code ?? 'in order'}`);
    },
  };
  const made = new Supervisor({
    folder: folder.path,
    cache: cache.path,
    ...(stopWait !== undefined && { stopWait }),
    listener,
    setup: (name) => {
      const wanted = setup(name);
      if (wanted === undefined) return undefined;
      const device = devices.get(name) ?? openDevice({ kind: 'asic', name });
      devices.set(name, device);
      return { devices: [device.share], ...(name !== 'unsigned' && { isolation }), ...wanted };
    },
  });
  supervisor = made;
  await made.start();
  return made;
}

function send(name: string, mischief: keyof typeof MISCHIEF, amount = 0): void {
  const runner = runners.get(name)!;
  const port = runner.begin()!.port(0, 1);
  port.bridge = MISCHIEF[mischief];
  port.mtu = amount;
  runner.commit();
}

function put(name: string): void {
  copyFileSync(file, join(folder.path, `${name}.wasm`));
}

test('each file is one plugin; what cannot run is told and does not keep the others from it', async () => {
  put('good');
  put('disabled');
  put('lonely');
  writeFileSync(join(folder.path, 'bad.wasm'), 'no');
  writeFileSync(join(folder.path, 'notes.txt'), 'not a plugin');
  const { plugins } = await supervise((name) =>
    name === 'disabled' ? undefined : name === 'lonely' ? { devices: [] } : {},
  );
  expect([...plugins.keys()].sort()).toEqual(['bad', 'disabled', 'good', 'lonely']);
  expect(plugins.get('good')!.state).toEqual({ state: 'active' });
  expect(plugins.get('good')!.description?.vendor).toBe('test');
  expect(plugins.get('disabled')!.state).toEqual({ state: 'found' });
  expect(plugins.get('bad')!.state).toMatchObject({ state: 'refused', error: { code: 'E_PLUGIN_INVALID' } });
  expect(plugins.get('lonely')!.state).toMatchObject({
    state: 'refused',
    error: { code: 'E_PLUGIN_IMPORT' },
  });
  expect(plugins.get('bad')!.errors).toMatchObject([{ code: 'E_PLUGIN_INVALID' }]);
  expect(told).toEqual(['good up']);
});

describe.each(['worker', 'process'] as const)('in a %s', (chosen) => {
  beforeEach(() => {
    isolation = chosen;
  });

  test('one that traps comes back, and the planner is told in order', async () => {
    put('one');
    put('two');
    const { plugins } = await supervise();
    const one = plugins.get('one')!;
    send('one', 'trap');
    await expect.poll(() => one.state.state).toBe('restarting');
    expect(one.state).toMatchObject({ attempt: 1, error: { code: 'E_PLUGIN_TRAP' } });
    expect(plugins.get('two')!.state.state).toBe('active');
    await expect.poll(() => one.state.state).toBe('active');
    expect(told.filter((line) => line.startsWith('one'))).toEqual([
      'one up',
      'one runner down',
      'one down E_PLUGIN_TRAP',
      'one up',
    ]);
    expect([one.restarts, plugins.get('two')!.restarts]).toEqual([1, 0]);
    expect(one.errors).toMatchObject([
      { code: 'E_PLUGIN_TRAP', message: expect.stringContaining('unreachable') },
    ]);
  });

  test('one that hangs comes back', async () => {
    put('one');
    const { plugins } = await supervise(() => ({ limits: { apply: 200 } }));
    send('one', 'spin');
    await expect.poll(() => told, { timeout: 60_000 }).toContain('one down E_PLUGIN_TIMEOUT');
    await expect.poll(() => plugins.get('one')!.state.state).toBe('active');
  });

  test('breaking the contract shows as degraded, and it goes on', async () => {
    put('one');
    const { plugins } = await supervise();
    const one = plugins.get('one')!;
    send('one', 'badStatus');
    await expect
      .poll(() => one.state)
      .toMatchObject({ state: 'degraded', error: { code: 'E_PLUGIN_PROTOCOL' } });
    expect(one.counters).toMatchObject({ faults: 1, batches: 1 });
    expect(one.errors).toMatchObject([{ code: 'E_PLUGIN_PROTOCOL' }]);
  });
});

test('the wait doubles with each fall', async () => {
  put('one');
  const { plugins } = await supervise(() => ({ settings: [{ name: 'start', value: 'refuse' }] }));
  const one = plugins.get('one')!;
  const waits: number[] = [];
  const started = performance.now();
  for (let attempt = 1; attempt <= 4; attempt++) {
    await expect
      .poll(() => one.state, { interval: 5, timeout: 60_000 })
      .toMatchObject({ state: 'restarting', attempt });
    const { state } = one;
    if (state.state === 'restarting') waits.push(Math.round(state.at - performance.now()));
  }
  expect(performance.now() - started).toBeGreaterThan(700);
  for (const [index, wait] of waits.entries()) {
    expect(wait).toBeLessThanOrEqual(100 * 2 ** index);
  }
  expect(one.errors.at(-1)).toMatchObject({
    code: 'E_PLUGIN_START',
    message: 'plugin one does not start: no light on the fibre',
  });
  await one.stop();
  expect(one.state).toEqual({ state: 'stopped' });
});

test('its log is kept, the last lines of it, without control characters', async () => {
  put('one');
  const { plugins } = await supervise();
  const one = plugins.get('one')!;
  for (let round = 0; round < 5; round++) {
    send('one', 'log', 60);
    await expect.poll(() => runners.get('one')!.inFlight).toBe(0);
  }
  expect(one.log).toHaveLength(200);
  expect(one.log[0]).toMatchObject({ level: 'debug', message: 'again \\x1b[31mand again' });
});

test('restarting on request, ending on request, stopping', async () => {
  put('one');
  const { plugins } = await supervise();
  const one = plugins.get('one')!;
  await one.restart();
  expect(one.state.state).toBe('active');
  expect(told).toEqual(['one up', 'one runner down', 'one down in order', 'one up']);
  one.kill();
  await expect.poll(() => told.length).toBe(7);
  expect(told.slice(4)).toEqual(['one runner down', 'one down E_PLUGIN_DOWN', 'one up']);
  one.kill(new EkhoError('E_PLUGIN_PROTOCOL', 'nonsense'));
  await expect.poll(() => told.length).toBe(10);
  expect(told.slice(7)).toEqual(['one runner down', 'one down E_PLUGIN_PROTOCOL', 'one up']);
  await one.stop();
  expect(one.state).toEqual({ state: 'stopped' });
  expect(one.log.at(-1)?.message).toBe('stopped');
  expect(one.restarts).toBe(3);
});

test('a pipe among the files keeps nothing from starting or stopping', async () => {
  put('good');
  execFileSync('mkfifo', [join(folder.path, 'pipe.wasm')]);
  const made = await supervise();
  expect(made.plugins.get('pipe')!.state).toMatchObject({
    state: 'refused',
    error: { code: 'E_PLUGIN_INVALID' },
  });
  expect(made.plugins.get('good')!.state.state).toBe('active');
  await made.stop();
});

test('stopping leaves a start behind that takes too long, and nothing comes of it', async () => {
  put('one');
  stopWait = 1;
  const again = (await supervise()).plugins.get('one')!;
  await again.stop();
  told = [];
  const start = again.start();
  await again.stop();
  expect(again.state).toEqual({ state: 'stopped' });
  expect(again.errors.at(-1)).toMatchObject({ code: 'E_TIMEOUT' });
  await start;
  expect(again.state).toEqual({ state: 'stopped' });
  expect(told).toEqual([]);
  await again.start();
  expect(again.state.state).toBe('active');
});

test('stopped before the folder is read, nothing starts', async () => {
  put('one');
  const made = new Supervisor({
    folder: folder.path,
    listener: { up() {}, down() {} },
    setup: () => undefined,
  });
  const started = made.start();
  await made.stop();
  await started;
  expect(made.plugins.size).toBe(0);
});

test('a folder that is not there', async () => {
  const gone = new Supervisor({
    folder: '/nonexistent/plugins',
    listener: { up() {}, down() {} },
    setup: () => undefined,
  });
  await expect(gone.start()).rejects.toMatchObject({ code: 'E_CONFIG' });
});

describe('the folder changes', () => {
  /** The probe as another file that does the same. */
  const version = (number: string) => embedManifest(readFileSync(file), { version: number });
  /** One that loads and does not run: what it describes itself with is not printable. */
  const broken = () => {
    const bytes = Buffer.from(version('broken'));
    bytes[bytes.indexOf('1.2.3') + 1] = 7;
    return bytes;
  };
  const path = (name: string) => join(folder.path, `${name}.wasm`);
  const poll = { timeout: 60_000 };

  /** As a file is put in place that is there as a whole or not at all. */
  function place(name: string, bytes: Uint8Array): void {
    writeFileSync(path(`.${name}`), bytes);
    renameSync(path(`.${name}`), path(name));
  }

  test('a file that comes is started, one that goes is taken out and stopped', async () => {
    put('one');
    const { plugins } = await supervise();
    place('two', version('1'));
    await expect.poll(() => plugins.get('two')?.state.state, poll).toBe('active');
    expect(plugins.get('one')!.state.state).toBe('active');
    rmSync(path('two'));
    await expect.poll(() => plugins.has('two'), poll).toBe(false);
    expect(told.filter((line) => line.startsWith('two'))).toEqual([
      'two up',
      'two withdrawn',
      'two runner down',
      'two down in order',
    ]);
    expect(plugins.get('one')).toMatchObject({ state: { state: 'active' }, restarts: 0 });
  });

  test('one that goes while it waits for another attempt is not waited for, and does not come back', async () => {
    put('one');
    const { plugins } = await supervise(() => ({ settings: [{ name: 'start', value: 'refuse' }] }));
    const one = plugins.get('one')!;
    expect(one.errors).toMatchObject([{ code: 'E_PLUGIN_START' }]);
    rmSync(path('one'));
    await expect.poll(() => plugins.has('one'), poll).toBe(false);
    expect(told).toEqual(['one withdrawn']);
    expect(one.state).toEqual({ state: 'stopped' });
  });

  test.each(['worker', 'process'] as const)(
    'another version takes over, in a %s; the same one again changes nothing',
    async (chosen) => {
      isolation = chosen;
      put('one');
      const { plugins } = await supervise();
      const one = plugins.get('one')!;
      const before = one.file256;
      place('one', version('2'));
      await expect.poll(() => one.file256, poll).not.toBe(before);
      await expect.poll(() => one.state.state, poll).toBe('active');
      expect(told).toEqual(['one up', 'one runner down', 'one down in order', 'one up']);
      place('one', version('2'));
      await one.reload();
      expect(told).toHaveLength(4);
    },
  );

  test('a file is left alone while it is being written', async () => {
    const { plugins } = await supervise();
    const bytes = version('slow');
    for (let size = 0; size < 8; size++) {
      writeFileSync(path('slow'), bytes.subarray(0, size * 1000));
      expect(plugins.has('slow')).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    writeFileSync(path('slow'), bytes);
    await expect.poll(() => plugins.get('slow')?.state.state, poll).toBe('active');
    expect(plugins.get('slow')!.errors).toEqual([]);
  });

  test('one that cannot be loaded leaves the one before running, and says why', async () => {
    put('one');
    const { plugins } = await supervise();
    const one = plugins.get('one')!;
    place('one', version('2').subarray(0, 5000));
    await expect
      .poll(() => one.state, poll)
      .toMatchObject({
        state: 'degraded',
        error: { code: 'E_PLUGIN_INVALID', message: expect.stringContaining('ends too early') },
      });
    expect(told).toEqual(['one up', 'one not replaced E_PLUGIN_INVALID']);
    place('one', version('3'));
    await expect.poll(() => one.state.state, poll).toBe('active');
    expect(told.at(-1)).toBe('one up');
  });

  test.each(['worker', 'process'] as const)(
    'one that does not start, in a %s, gives way to the one before',
    async (chosen) => {
      isolation = chosen;
      put('one');
      const { plugins } = await supervise();
      const one = plugins.get('one')!;
      const before = one.file256;
      place('one', broken());
      await expect.poll(() => told, poll).toContain('one not replaced E_PLUGIN_PROTOCOL');
      await expect
        .poll(() => one.state, poll)
        .toMatchObject({
          state: 'degraded',
          error: { message: expect.stringContaining('another version of plugin one does not run: ') },
        });
      expect(one.file256).toBe(before);
      expect(told.at(-1)).toBe('one up');
    },
  );

  test('a broken file does not cost the one before its place, not in the pause before a restart, nor when it is asked to restart', async () => {
    put('one');
    const { plugins } = await supervise();
    const one = plugins.get('one')!;
    const before = one.file256;
    // The pauses get longer.
    for (let falls = 1; falls <= 3; falls++) {
      await expect.poll(() => one.state.state, poll).toBe('active');
      send('one', 'trap');
      await expect
        .poll(() => told.filter((line) => line === 'one down E_PLUGIN_TRAP').length, poll)
        .toBe(falls);
    }
    writeFileSync(path('one'), 'no');
    await one.reload();
    await expect
      .poll(() => one.state, poll)
      .toMatchObject({ state: 'degraded', error: { code: 'E_PLUGIN_INVALID' } });
    expect(one.file256).toBe(before);
    await one.restart();
    expect(one.state).toMatchObject({ state: 'degraded', error: { code: 'E_PLUGIN_INVALID' } });
    expect(one.trouble).toMatchObject({ message: expect.stringContaining('it is too short') });
    expect(one.file256).toBe(before);
    place('one', version('4'));
    await expect.poll(() => one.state.state, poll).toBe('active');
    expect(one.file256).not.toBe(before);
    expect(one.trouble).toBeUndefined();
  });

  test('what was refused is looked at again when the file is another', async () => {
    writeFileSync(path('one'), 'no');
    const { plugins } = await supervise();
    const one = plugins.get('one')!;
    expect(one.state.state).toBe('refused');
    place('one', version('1'));
    await expect.poll(() => one.state.state, poll).toBe('active');
  });
});

test('it runs in a process of its own, unless it is said otherwise', async () => {
  put('unsigned');
  put('two');
  const { plugins } = await supervise();
  expect([plugins.get('unsigned')!.isolatedBy, plugins.get('two')!.isolatedBy]).toEqual([
    'process',
    'worker',
  ]);
});
