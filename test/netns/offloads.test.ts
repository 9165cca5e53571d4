/** Objects of kinds that plugins declare, from the command to packets, on the XDP data path. */
import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BpfMap } from '../../bpf/libbpf-ts/src/index.ts';
import type { ObjectDetails, OffloadKindStatus, OffloadObject, Status } from '../../host/api/schemas.ts';
import { Datapath } from '../support/datapath.ts';
import { address4, address6, gateway4, has, Wires } from '../support/wires.ts';

/** The slowest there is, so that what is let through again while packets are sent is few of them. */
const RATE = 8000;
const BURST = 4000;
/** Of a frame with 1,400 bytes of data behind ICMP, IP and Ethernet headers. */
const FRAME4 = 1442;
const FRAME6 = 1462;
const SENT = 40;

const CONFIGURED = `[[offload]]
kind = "xdp:meter"
fields = { prefix = "203.0.113.0/24", rate = "1gbit" }

[[offload]]
kind = "nobody:knows"
fields = { name = "it" }`;

let path: Datapath;
let folder: string;
/** Where a program's map is pinned. */
let pin: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-offloads-'));
  const state = join(folder, 'offloads.json');
  pin = join(folder, 'bpf', 'offloads');
  mkdirSync(join(folder, 'bpf'));
  execFileSync('mount', ['-t', 'bpf', 'bpf', join(folder, 'bpf')]);
  path = await Datapath.start(new Wires(), {
    mode: 'tcx',
    sections: ['[offloads]', `state = "${state}"`, `maps = ["${pin}"]`, CONFIGURED],
  });
});

afterAll(async () => {
  await path?.close();
  execFileSync('umount', ['-l', join(folder, 'bpf')]);
  rmSync(folder, { recursive: true });
});

/** Fields as words; the first is the prefix. */
async function add(prefix: string, ...words: readonly string[]): Promise<void> {
  const fields = Object.fromEntries(words.map((word) => word.split('=') as [string, string]));
  await path.host.client.post('/api/v1/offloads', { kind: 'xdp:meter', fields: { prefix, ...fields } });
  await path.host.settled();
}

async function del(...words: readonly string[]): Promise<void> {
  await path.host.client.delete(`/api/v1/offloads/xdp:meter/${encodeURIComponent(words.join(' '))}`);
  await path.host.settled();
}

/** The objects, with counters as of now. */
async function offloads(): Promise<OffloadObject[]> {
  await path.host.stats();
  return path.host.client.get<OffloadObject[]>('/api/v1/offloads');
}

async function offload(name: string): Promise<OffloadObject> {
  const all = await offloads();
  const found = all.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no ${name}: ${JSON.stringify(all)}`);
  return found;
}

/** Every packet that was not answered was dropped by the meter, and counted; some were not, and some were. */
async function isPoliced(name: string, to: string, frame: number): Promise<void> {
  const before = (await offload(name)).counters[0] ?? { packets: 0, bytes: 0 };
  const answered = path.wires.ping(0, to, SENT, ['-s', '1400', '-M', 'dont']);
  const { packets, bytes } = (await offload(name)).counters[0]!;
  expect(packets - before.packets).toBe(SENT - answered);
  expect(bytes - before.bytes).toBe((SENT - answered) * frame);
  expect(answered).toBeGreaterThan(0);
  expect(answered).toBeLessThan(SENT);
}

test('packets to a prefix that come faster than its rate are dropped and counted, others are not', async () => {
  const name = `${address4(1)}/32 destination`;
  await add(`${address4(1)}/32`, 'rate=8kbit', `burst=${BURST}`);
  expect(await offload(name)).toMatchObject({
    kind: 'xdp:meter',
    source: 'api',
    fields: { prefix: `${address4(1)}/32`, direction: 'destination', rate: `${RATE}`, burst: `${BURST}` },
    offload: [{ plugin: 'xdp', state: 'offloaded' }],
  });
  await isPoliced(name, address4(1), FRAME4);
  // IPv6 to the same host is of no prefix that has a meter.
  expect(path.wires.ping(0, address6(1), SENT, ['-s', '1400'])).toBe(SENT);
  await path.host.verified();

  // With room it lets all of them through again.
  const replacing = [
    'offload',
    'add',
    'xdp:meter',
    `${address4(1)}/32`,
    'rate=10gbit',
    'burst=1m',
    '--replace',
  ];
  expect(await path.host.ekho(...replacing)).toEqual({ code: 0, out: '', err: '' });
  await path.host.settled();
  expect(path.wires.ping(0, address4(1), SENT, ['-s', '1400'])).toBe(SENT);
  const shown = await path.host.ekho('offload', 'show', 'xdp:meter');
  expect(shown.out).toContain(`${address4(1)}/32 destination`);
  expect(await path.host.ekho('offload', 'del', 'xdp:meter', `${address4(1)}/32`)).toMatchObject({ code: 0 });
  await path.host.settled();
  await path.host.verified();
});

test('the longest prefix counts, sources have meters of their own, of both families', async () => {
  await add('10.200.1.0/24', 'rate=8kbit', `burst=${BURST}`);
  await add(`${address4(1)}/32`, 'rate=1gbit', 'burst=1m');
  expect(path.wires.ping(0, address4(1), SENT, ['-s', '1400'])).toBe(SENT);
  await del('10.200.1.0/24');
  await del(`${address4(1)}/32`);

  await add(`${address6(0)}/128`, 'direction=source', 'rate=8kbit', `burst=${BURST}`);
  await isPoliced(`${address6(0)}/128 source`, address6(1), FRAME6);
  expect(path.wires.ping(1, address6(0), SENT, ['-s', '1400'])).toBeLessThan(SENT);
  await del(`${address6(0)}/128`, 'source');
});

test('what goes to the kernel is policed before', async () => {
  const name = `${gateway4(0)}/32 destination`;
  await add(`${gateway4(0)}/32`, `rate=${RATE}`, `burst=${BURST}`);
  await isPoliced(name, gateway4(0), FRAME4);
  await del(`${gateway4(0)}/32`);
  expect(path.wires.ping(0, gateway4(0), SENT, ['-s', '1400'])).toBe(SENT);
});

/** A UDP port that nobody has. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

test.skipIf(!has('nfcapd'))('samples reach a collector as IPFIX, which it understands', async () => {
  const { host, wires } = path;
  const folder = mkdtempSync(join(tmpdir(), 'ekho-nfcapd-'));
  const port = await freePort();
  const collector = spawn('nfcapd', ['-b', '127.0.0.1', '-p', String(port), '-w', folder, '-t', '3600'], {
    stdio: 'ignore',
  });
  const ended = new Promise<void>((resolve) => collector.on('exit', () => resolve()));
  const name = 'p0';
  try {
    await host.until('the collector listens', async () =>
      execFileSync('ss', ['-Hlun'], { encoding: 'utf8' }).includes(`127.0.0.1:${port} `),
    );
    const fields = { port: name, every: 1, collector: '127.0.0.1', 'udp-port': port };
    await host.client.post('/api/v1/offloads', { kind: 'xdp:sample', fields });
    await host.settled();
    await host.verified();
    expect(await offload(name)).toMatchObject({ offload: [{ state: 'offloaded' }] });
    expect(wires.ping(0, address4(1), SENT)).toBe(SENT);
    expect(wires.ping(0, address6(1), SENT)).toBe(SENT);
    // Neighbours may have said something, too.
    const sampled = async () => (await offload(name)).counters[0]!.packets;
    expect(await sampled()).toBeGreaterThanOrEqual(2 * SENT);
    await host.until('all are sent', async () => {
      const { exported, unsent, lost } = (await host.device()).samples!;
      return exported + unsent + lost >= (await sampled());
    });
    expect((await host.device()).samples).toMatchObject({ unsent: 0, lost: 0 });
    await host.client.delete(`/api/v1/offloads/xdp:sample/${name}`);
  } finally {
    collector.kill('SIGTERM');
    await ended;
  }
  try {
    const read = (filter: string) =>
      execFileSync('nfdump', ['-R', folder, '-q', '-o', 'csv', filter], { encoding: 'utf8' });
    const lines = (from: string, to: string) =>
      read(`src ip ${from} and dst ip ${to}`)
        .split('\n')
        .filter((line) => line.includes(from)).length;
    expect(lines(address4(0), address4(1))).toBe(SENT);
    expect(lines(address6(0), address6(1))).toBe(SENT);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what is wrong is told with field and remedy', async () => {
  const wrong = async (...words: string[]) => {
    const { code, err } = await path.host.ekho('offload', 'add', ...words);
    expect(code).not.toBe(0);
    return err;
  };
  expect(await wrong('xdp:metre', '10.0.0.0/8')).toMatch(
    /no plugin declares the kind xdp:metre; did you mean xdp:meter\?/,
  );
  expect(await wrong('xdp:meter', '10.0.0.0/8')).toMatch(/xdp:meter needs rate/);
  expect(await wrong('xdp:meter', '10.0.0.1/8', 'rate=1mbit')).toMatch(/prefix cannot be "10.0.0.1\/8"/);
  expect(await wrong('xdp:meter', '10.0.0.0/8', 'rate=1kbit')).toMatch(
    /rate is 8000 to 1000000000000 bit\/s/,
  );
  expect(await wrong('xdp:meter', '10.0.0.0/8', 'rat=1mbit')).toMatch(/no field rat; did you mean rate\?/);
  expect(await wrong('xdp:meter', '203.0.113.0/24', 'rate=1mbit')).toMatch(/already, from the configuration/);
  const { code, err } = await path.host.ekho('offload', 'del', 'xdp:meter', '203.0.113.0/24');
  expect(code).toBe(1);
  expect(err).toMatch(/is from the configuration/);
  await expect(
    path.host.client.post('/api/v1/offloads', {
      kind: 'xdp:meter',
      fields: { prefix: '::/0', rate: 'much' },
    }),
  ).rejects.toMatchObject({ code: 'E_USAGE', message: expect.stringContaining('rate cannot be "much"') });
});

test('the configuration’s are there, and what nobody declares says so', async () => {
  expect(await offload('203.0.113.0/24 destination')).toMatchObject({
    source: 'config',
    offload: [{ state: 'offloaded' }],
  });
  expect(await offload('it')).toMatchObject({
    offload: [{ plugin: 'nobody', state: 'refused', reason: 'kind-unknown' }],
  });
  // Left to the kernel like all else that is not in hardware, and a plugin that declares it would have it.
  const { offload: rows } = await path.host.client.get<Status>('/api/v1/status');
  expect(rows).toContainEqual(
    expect.objectContaining({ plugin: 'nobody', kind: 'custom', refused: 1, offloaded: 0 }),
  );
  const metrics = execFileSync('curl', ['-sS', '--unix-socket', path.host.socket, 'http://host/metrics'], {
    encoding: 'utf8',
  });
  const meters = (await offloads()).filter(({ kind }) => kind === 'xdp:meter').length;
  expect(metrics).toContain(`ekho_offload_objects{kind="xdp:meter",state="offloaded"} ${meters}\n`);
  expect(metrics).toContain('ekho_offload_objects{kind="unknown",state="refused"} 1\n');
  const { id } = await offload('203.0.113.0/24 destination');
  const details = await path.host.client.get<ObjectDetails>(`/api/v1/objects/offload/${id}`);
  expect(details.counters).toEqual([expect.objectContaining({ plugin: 'xdp' })]);
  const explained = await path.host.ekho('explain', 'offload', 'nobody:knows');
  expect(explained.out).toMatch(/refused \(kind-unknown\)/);
  expect(explained.out).toMatch(/remedy: .*ekho offload kinds/);
});

test('an object outlives a plugin that is killed and a host that is killed; nothing stale is left', async () => {
  const { host } = path;
  const kept = `${address4(1)}/32 destination`;
  await add(`${address4(1)}/32`, 'rate=8kbit', `burst=${BURST}`);
  await add('198.51.100.0/24', 'rate=1mbit');
  await host.restartPlugin();
  await host.settled();
  await host.verified();
  await isPoliced(kept, address4(1), FRAME4);

  await host.stop('SIGKILL');
  await host.start();
  await host.verified();
  expect(await offload(kept)).toMatchObject({ source: 'api', offload: [{ state: 'offloaded' }] });
  await isPoliced(kept, address4(1), FRAME4);
  await del(`${address4(1)}/32`);
  await del('198.51.100.0/24');
  await host.verified();
  expect((await offloads()).map(({ name }) => name).sort()).toEqual(['203.0.113.0/24 destination', 'it']);
  expect((await host.device()).tables.find(({ name }) => name === 'meters')!.used).toBe(1);
});

/** struct ekho_offload of bpf/ekho_offload.h, with numbers in some of its words; the first three are a /32. */
function record(
  kind: string,
  version: number,
  address: number,
  present: number,
  words: Readonly<Record<number, bigint>> = {},
): Uint8Array {
  const bytes = Buffer.alloc(200);
  bytes.write(kind, 0);
  bytes.writeUInt32LE(version, 64);
  bytes.writeUInt32LE(present, 68);
  const data = { 0: 32n, 2: BigInt(address), ...words };
  for (const [word, value] of Object.entries(data)) bytes.writeBigUInt64LE(value, 72 + 8 * Number(word));
  return bytes;
}

test('what BPF programs ask for in a pinned map is there as long as the record is', async () => {
  const { host } = path;
  const kinds = await host.client.get<OffloadKindStatus[]>('/api/v1/offloads/kinds');
  const { fields, version } = kinds.find(({ name }) => name === 'xdp:meter')!;
  const bit = (name: string) => 1 << fields.findIndex((field) => field.name === name);
  // The prefix takes three words, what follows one each.
  const rate = 2 + fields.findIndex(({ name }) => name === 'rate');
  using map = BpfMap.create<number, Uint8Array>({
    type: 'hash',
    name: 'offloads',
    keySize: 4,
    valueSize: 200,
    maxEntries: 16,
  });
  map.pin(pin);
  const byPin = async () => (await offloads()).filter(({ source }) => source === pin);
  const present = bit('prefix') | bit('rate');
  map.set(1, record('xdp:meter', version, 0xcb007107, present, { [rate]: 8000n }));
  await host.until('it is in hardware', async () => (await byPin())[0]?.offload[0]?.state === 'offloaded');
  expect(await byPin()).toMatchObject([
    { kind: 'xdp:meter', fields: { prefix: '203.0.113.7/32', rate: '8000' } },
  ]);

  // Hostile or mistaken: a rate of nothing, a version that is not, a kind that is no name.
  map.set(2, record('xdp:meter', version, 0xcb007108, present, { [rate]: 0n }));
  map.set(3, record('xdp:meter', version + 1, 0xcb007109, present, { [rate]: 8000n }));
  map.set(4, record('../etc', version, 0, present));
  await host.until('they are refused', async () => (await byPin()).length === 3);
  const reasons = (await byPin()).map(({ offload }) => offload[0]?.reason);
  expect(reasons.sort()).toEqual(['kind-version', 'offload-invalid', undefined]);
  expect(host.output).toContain('a record whose kind is no VENDOR:KIND is left out');

  for (const key of [1, 2, 3, 4]) map.delete(key);
  await host.until('nothing is asked for', async () => (await byPin()).length === 0);
  BpfMap.unpin(pin);
  using other = BpfMap.create({ type: 'array', name: 'other', keySize: 4, valueSize: 8, maxEntries: 1 });
  other.pin(pin);
  await host.until('it is said', async () => host.output.includes('bpf/ekho_offload.h'));
});
