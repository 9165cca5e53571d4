/** The ASIC's state file: it outlives whoever wrote it, and is not believed. */

import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AsicDevice, openAsicCore } from '../../../host/device/asic/device.ts';
import { GROUP, HEADER, LPM4, layOut, NONE, PORT, TABLES } from '../../../host/device/asic/layout.ts';
import type { DeviceConfig } from '../../../host/device/types.ts';
import { members, readAll, remove, row, write } from './rows.ts';

let folder: string;
let path: string;
const open: AsicDevice[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-asic-'));
  path = join(folder, 'state');
});

afterEach(() => {
  for (const device of open.splice(0)) device.close();
  rmSync(folder, { recursive: true });
});

function asic(tables: DeviceConfig['tables'] = {}): AsicDevice {
  const device = new AsicDevice({ name: 'test', kind: 'asic', state: path, tables });
  open.push(device);
  return device;
}

function route(cookie: number, action = 2): Uint32Array {
  return row(LPM4, { cookie, prefix: (0x0a000000 + cookie * 256) >>> 0, length: 24, action, group: NONE });
}

test('contents, counters and counts are there again when it is opened anew', () => {
  const first = asic();
  const core = openAsicCore(first.share);
  for (let cookie = 1; cookie <= 500; cookie++) expect(write(core, LPM4, route(cookie))).toBe(0);
  for (let cookie = 1; cookie <= 500; cookie += 2) expect(remove(core, LPM4, route(cookie))).toBe(0);
  first.lookup({ destination: '10.0.2.1' }, { count: true });
  const before = first.status();
  first.close();
  open.length = 0;

  const second = asic();
  expect(second.status()).toEqual(before);
  const again = openAsicCore(second.share);
  expect(
    readAll(again, LPM4)
      .map((words) => words[0])
      .sort((a, b) => a! - b!),
  ).toEqual(Array.from({ length: 250 }, (_, index) => 2 + 2 * index));
  expect(second.lookup({ destination: '10.0.2.1' }).by).toBe('route drop');
  expect(second.lookup({ destination: '10.0.1.1' }).by).toBe('lpm miss');
  const counted = again.counters(LPM4, 0, 1000);
  expect(
    counted
      .subarray(1)
      .filter((_, at) => at % 7 === 1)
      .reduce((sum, one) => sum + one, 0),
  ).toBe(1);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('kill -9 in the middle of bursts: every row that is held is whole, and what is derived fits', async () => {
  for (let round = 0; round < 8; round++) {
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'state-writer.ts'), path, String(round * 77 + 1)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await new Promise((resolve) => setTimeout(resolve, 3 + 7 * round));
    child.kill('SIGKILL');
    await ended;

    const device = asic({ lpm4: 5000 });
    const core = openAsicCore(device.share);
    expect(device.status().discarded).toBe(0);
    const rows = readAll(core, LPM4, 1000);
    expect(rows.length).toBeGreaterThan(0);
    expect(core.info(LPM4).used).toBe(rows.length);
    for (const words of rows) {
      const [cookie, vrf, prefix, length, action, group] = words as unknown as number[];
      expect(prefix).toBe((0x0a000000 + ((cookie! * 256) & 0x0fff00)) >>> 0);
      expect([vrf, length]).toEqual([7, 24]);
      expect([action, group]).toEqual(cookie! % 2 === 0 ? [0, 0] : [2, NONE]);
      const address = [24, 16, 8].map((shift) => (prefix! >>> shift) & 255).join('.');
      expect(device.lookup({ destination: `${address}.9`, vrf: 7 }).handles[0]).toBe(cookie);
    }
    // References were counted anew: the group may go exactly when no row forwards to it.
    const referred = rows.some((words) => words[4] === 0);
    expect(remove(core, GROUP, row(GROUP, { slot: 0 }))).toBe(referred ? 2 : 0);
    for (const words of rows) expect(remove(core, LPM4, words)).toBe(0);
    expect(remove(core, GROUP, row(GROUP, { slot: 0 }))).toBe(referred ? 0 : 3);
    device.close();
    open.length = 0;
  }
});

test('whatever the file says, opening, looking up, reading and writing come to an end', () => {
  const first = asic({ lpm4: 50, fdb: 50, nexthop: 50, group: 50 });
  const core = openAsicCore(first.share);
  write(core, PORT, row(PORT, { ifindex: 1, mtu: 1500, flags: 3 }));
  for (let cookie = 0; cookie < 40; cookie++) write(core, LPM4, route(cookie));
  first.close();
  open.length = 0;
  const good = readFileSync(path);
  const size = good.length / 4;
  const value = fc.oneof(fc.constantFrom(0, 1, 2, NONE, 0x7fffffff, 3, 51), fc.nat(0xffffffff));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 40, max: size - 1 }), value), { maxLength: 3000 }),
      fc.boolean(),
      (changes, everywhere) => {
        const words = new Uint32Array(good.buffer.slice(good.byteOffset, good.byteOffset + good.length));
        // A pattern over all of it makes every row claim to be held.
        if (everywhere) words.fill(1, 1024);
        for (const [word, value] of changes) words[word] = value;
        writeFileSync(path, words);
        const device = asic({ lpm4: 50, fdb: 50, nexthop: 50, group: 50 });
        const core = openAsicCore(device.share);
        for (let table = 0; table < TABLES.length; table++) {
          const rows = readAll(core, table, 1000);
          expect(rows.length).toBe(core.info(table).used);
          core.counters(table, 0, 4096);
          core.counters(table, NONE, 4096);
        }
        device.lookup({ destination: '10.0.1.1', ingress: 1 });
        for (let cookie = 0; cookie < 60; cookie++) write(core, LPM4, route(cookie, 1));
        for (let cookie = 0; cookie < 60; cookie++) remove(core, LPM4, route(cookie, 1));
        write(core, GROUP, row(GROUP, { count: 1, members: members([0, 1]) }));
        device.close();
        open.length = 0;
      },
    ),
    { numRuns: 60, verbose: 1 },
  );
}, 60_000);

function refusal(tables?: DeviceConfig['tables']): string {
  try {
    asic(tables);
  } catch (error) {
    const { code, message, remedy } = error as { code: string; message: string; remedy: string };
    expect(code).toBe('E_DEVICE');
    expect(remedy).toBeTruthy();
    return message.replaceAll(path, 'FILE');
  }
  return 'opened';
}

test('a file that is not for these tables is refused, with what to do', () => {
  asic().close();
  open.length = 0;
  expect(refusal({ fdb: 7 })).toMatch(/^state file FILE has \d+ bytes; these tables need \d+$/);
  const words = new Uint32Array(readFileSync(path).buffer.slice(0));
  const saved = join(folder, 'saved');
  copyFileSync(path, saved);
  for (const [word, value, expected] of [
    [HEADER.magic0, 1, 'FILE is not a state file of a simulated ASIC'],
    [HEADER.version, 9, 'state file FILE has layout version 9, not 2'],
    [HEADER.capacities + PORT, 63, 'state file FILE was made with 63 rows in table port, not 64'],
    [HEADER.totalWords, 1, 'state file FILE has another layout'],
  ] as const) {
    const changed = words.slice();
    changed[word] = value;
    writeFileSync(path, changed);
    expect(refusal()).toBe(expected);
  }
  truncateSync(path, 100);
  expect(refusal()).toMatch(/has 100 bytes/);
  truncateSync(path, 0);
  expect(refusal()).toBe('opened');
  expect(refusal()).toBe('state file FILE is in use by another process');
  path = folder;
  expect(refusal()).toMatch(/^cannot open state file FILE: EISDIR/);
  path = '/dev/null';
  expect(refusal()).toBe('FILE is not a regular file');
  path = join(folder, 'none', 'state');
  expect(refusal()).toMatch(/ENOENT/);
});

test('every byte of the file has a block, also where it had holes', () => {
  const inBlocks = () => statSync(path).blocks * 512 >= statSync(path).size;
  asic().close();
  expect(inBlocks()).toBe(true);
  open.length = 0;
  const { size } = statSync(path);
  const head = readFileSync(path).subarray(0, 4096);
  // As `cp --sparse` leaves it.
  truncateSync(path, 0);
  writeFileSync(path, head);
  truncateSync(path, size);
  expect(inBlocks()).toBe(false);
  asic();
  expect(inBlocks()).toBe(true);
  expect(readFileSync(path).subarray(0, 32)).toEqual(head.subarray(0, 32));
});

/** Needs a user namespace for the disk of 256 KiB. */
const canMount = spawnSync('unshare', ['-Urm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

test.skipIf(!canMount)('a disk too small for it is told at once, and gets back what was taken', () => {
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  const script = `
    import { statSync, truncateSync, writeFileSync } from 'node:fs';
    import { AsicDevice } from ${JSON.stringify(new URL('../../../host/device/asic/device.ts', import.meta.url).href)};
    const state = ${JSON.stringify(join(disk, 'state'))};
    const attempt = (tables) => {
      try {
        new AsicDevice({ name: 'test', kind: 'asic', state, tables }).close();
        return 'opened';
      } catch ({ code, message, remedy }) {
        return { code, message, remedy };
      }
    };
    const made = attempt({ lpm4: 100000 });
    const left = statSync(state).blocks;
    truncateSync(state, ${layOut({ lpm4: 100_000 }).words * 4});
    const sparse = attempt({ lpm4: 100000 });
    console.log(JSON.stringify({ made, left, sparse }));
  `;
  const { stdout, stderr } = spawnSync(
    'unshare',
    [
      '-Urm',
      'sh',
      '-c',
      'mount -t tmpfs -o size=256k none "$1" && exec "$2" --input-type=module -e "$3"',
      'sh',
      disk,
      process.execPath,
      script,
    ],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  const refused = {
    code: 'E_DEVICE',
    message: `cannot reserve ${layOut({ lpm4: 100_000 }).words * 4} bytes for state file ${join(disk, 'state')}: no space left on device`,
    remedy: expect.stringContaining('Make room'),
  };
  expect(JSON.parse(stdout)).toEqual({ made: refused, left: 0, sparse: refused });
});

test('a worker writes what the main thread looks up, through a file and through shared memory', async () => {
  for (const state of [path, undefined]) {
    const device = new AsicDevice({ name: 'test', kind: 'asic', ...(state !== undefined && { state }) });
    open.push(device);
    const worker = new Worker(new URL('./write-worker.ts', import.meta.url), { workerData: device.share });
    try {
      const ended = new Promise((resolve, reject) => {
        worker.once('exit', resolve);
        worker.once('error', reject);
      });
      let looks = 0;
      const verdicts = new Set<string>();
      let running = true;
      ended.then(
        () => {
          running = false;
        },
        () => {
          running = false;
        },
      );
      // The worker turns one route between two groups all the time: never anything in between.
      while (running) {
        for (let at = 0; at < 200; at++) {
          const { handles, by } = device.lookup({ destination: '10.1.2.3' });
          verdicts.add(`${by} ${handles.join()}`);
          looks++;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      await ended;
      verdicts.delete('lpm miss ');
      expect([...verdicts].sort()).toEqual(['route drop 4', 'route trap 5']);
      expect(looks).toBeGreaterThan(100);
    } finally {
      await worker.terminate();
    }
  }
});

test('a replacement cut short is carried out when the file is opened', () => {
  const first = asic();
  const core = openAsicCore(first.share);
  write(core, LPM4, route(1));
  write(core, LPM4, route(2));
  first.close();
  open.length = 0;
  const words = new Uint32Array(readFileSync(path).buffer.slice(0));
  const replacement = route(2, 1);
  replacement[0] = 77;
  words[HEADER.journalTable] = LPM4 + 1;
  words[HEADER.journalSlot] = 1;
  words.set(replacement, HEADER.journalRow);
  // Half of it stands in its slot already.
  words[layOut({}).tables[LPM4]!.rows + layOut({}).tables[LPM4]!.stride] = 77;
  writeFileSync(path, words);
  const rows = readAll(openAsicCore(asic().share), LPM4);
  expect(rows).toEqual([route(1), replacement]);
});

test('a writer that dies in the middle leaves readers an error, and the next writer what was whole', () => {
  const device = new AsicDevice({ name: 'test', kind: 'asic' });
  write(openAsicCore(device.share), LPM4, route(1));
  const words = new Uint32Array(device.share.memory!);
  words[HEADER.sequence]! |= 1;
  expect(() => device.lookup({ destination: '10.0.1.1' })).toThrow(
    expect.objectContaining({ code: 'E_DEVICE' }),
  );
  expect(readAll(openAsicCore(device.share), LPM4)).toEqual([route(1)]);
  expect(device.lookup({ destination: '10.0.1.1' }).by).toBe('route drop');
});
