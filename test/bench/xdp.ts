/**
 * `npm run bench -- xdp [--packets N] [--rounds N] [--routes N,N…] [--only TEXT] [--write]`: what it costs the machine to forward a packet, by the plain kernel and
 * by the XDP data path, taking turns in one run: routing, bridging, and a list of 1,000 rules (flower, or u32 where the kernel has
 * none). Needs root, clang and libbpf's headers, and an idle machine. The table at the end also goes into docs/xdp.md with --write.
 *
 * Frames are made by live runs of an XDP program (BPF_F_TEST_XDP_LIVE_FRAMES) on a veth pair; making them is measured by itself and
 * taken off. Time is CPU time: of this process, which the forwarding runs in as soft interrupts, and of ksoftirqd.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildBpf } from '../../bpf/build.mjs';
import { BpfError, BpfObject } from '../../bpf/libbpf-ts/src/index.ts';
import { inNetns } from '../../host/netlink/syscall.ts';
import { TestHost } from '../support/host.ts';
import { Netns } from '../support/netns.ts';

const { values } = parseArgs({
  options: {
    packets: { type: 'string', default: '2000000' },
    rounds: { type: 'string', default: '5' },
    routes: { type: 'string', default: '1,1000,100000' },
    only: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
  },
});
const packets = Number(values.packets);
const rounds = Number(values.rounds);
const routes = values.routes.split(',').map(Number);
if (!(packets >= 1000 && packets <= 1e8 && rounds >= 1 && rounds <= 100)) {
  console.error('--packets takes a number from 1,000 to 100,000,000, --rounds one from 1 to 100');
  process.exit(2);
}
if (!routes.every((count) => count >= 1 && count <= 1_000_000)) {
  console.error('--routes takes numbers from 1 to 1,000,000, with commas between');
  process.exit(2);
}

/** Frames a system call sends, and frames a batch. */
const BURST = 1 << 14;
const BATCH = 64;
const PROBES = 20_000;
const FIRST = 0x10000000;
const RULES = 1000;
const RULES_PART = 8;
const BUCKET_US = 0.1;
const ROUTER_MAC = '02:00:00:00:01:00';
const SINK_MAC = '02:00:00:00:02:01';
const SOURCE_MAC = '02:00:00:00:02:00';

const DOCUMENT = join(import.meta.dirname, '../../docs/xdp.md');

type Path = 'kernel' | 'XDP';

interface Workload {
  readonly name: string;
  readonly destinations: number;
  /** Lines of `ip -batch`, then of `tc -batch`. */
  readonly ip: readonly string[];
  readonly tc: readonly string[];
  readonly bridged: boolean;
  /** Of `packets`, one in so many is sent a round. */
  readonly part?: number;
}

interface Measured {
  /** Nanoseconds of CPU time a packet. */
  readonly cost: number;
  readonly lost: number;
}

const prefix = (number: number): string =>
  [24, 16, 8].map((shift) => ((FIRST + number * 256) >>> shift) & 0xff).join('.');

const OBJECT = join(import.meta.dirname, '../../build/bench/traffic.bpf.o');
buildBpf({ source: join(import.meta.dirname, 'traffic.bpf.c'), output: OBJECT });

/** Two wires with a router between: v0 – p0, p1 – v1. */
class Line {
  readonly far = new Netns();
  readonly router = new Netns();
  readonly #object: BpfObject;
  readonly #frame = new Uint8Array(60);

  constructor({ destinations, bridged, ip, tc }: Workload) {
    this.router.sysctl(
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
    );
    const lines = [
      `link add p0 address ${ROUTER_MAC} type veth peer name v0 address ${SOURCE_MAC} netns ${this.far.name}`,
      `link add p1 address 02:00:00:00:01:01 type veth peer name v1 address ${SINK_MAC} netns ${this.far.name}`,
      ...(bridged
        ? [
            'link add br0 type bridge mcast_snooping 0',
            'link set br0 up',
            'link set p0 master br0',
            'link set p1 master br0',
          ]
        : [
            'addr add 10.200.0.1/24 dev p0',
            'addr add 10.200.1.1/24 dev p1',
            `neigh add 10.200.1.2 lladdr ${SINK_MAC} dev p1 nud permanent`,
          ]),
      'link set p0 up',
      'link set p1 up',
      ...ip,
    ];
    must('ip', this.router.batch(lines));
    if (bridged) {
      must(
        'bridge',
        this.router.batch(
          [`fdb replace ${SINK_MAC} dev p1 master static`, `fdb replace ${SOURCE_MAC} dev p0 master static`],
          'bridge',
        ),
      );
    }
    if (tc.length > 0) must('tc', this.router.batch(tc, 'tc'));
    must('ip', this.far.batch(['link set v0 up', 'link set v1 up']));
    // Frames of XDP get in only where packets are polled.
    this.router.run('ethtool', ['-K', 'p0', 'gro', 'on']);
    this.#object = BpfObject.open(OBJECT);
    this.#object.load();
    const set = (name: string, value: unknown) => this.#object.variable(name).set(value as never);
    set('out', this.#ifindex(this.far, 'v0'));
    set('first', FIRST);
    set('destinations', destinations);
    set('headers', headersTo(bridged ? SINK_MAC : ROUTER_MAC));
  }

  #ifindex(netns: Netns, link: string): number {
    return (JSON.parse(netns.ip(`-j link show ${link}`)) as [{ ifindex: number }])[0].ifindex;
  }

  /** Attaches a program of the traffic to a link, until the result is closed. */
  attach(netns: Netns, link: string, program: string) {
    const ifindex = this.#ifindex(netns, link);
    return inNetns(netns.name, () => this.#object.program(program).attachXdp(ifindex, 'native'));
  }

  send(count: number, batch = BATCH): void {
    const generate = this.#object.program('generate');
    inNetns(this.far.name, () => {
      const serial = this.#object.variable<bigint>('serial');
      const end = Number(serial.get()) + count;
      for (let left = count; left > 0; left = end - Number(serial.get())) {
        try {
          generate.run({ data: this.#frame, repeat: Math.min(left, BURST), liveFrames: batch });
        } catch (error) {
          // A signal ends a run early.
          if (!(error instanceof BpfError) || error.errno !== 'EINTR') throw error;
        }
      }
    });
  }

  /** Frames the sink has taken since the last call. */
  arrived(): number {
    const variable = this.#object.variable<bigint>('arrived');
    const count = Number(variable.get());
    variable.set(0n);
    return count;
  }

  /** What `latency` tells is of frames from here on, which carry the time. */
  stamp(): void {
    const variable = this.#object.variable<bigint[]>('latency');
    variable.set(variable.get().map(() => 0n));
    this.#object.variable<number>('stamped').set(1);
  }

  /** Percentiles of the way from the program that makes frames to the one that takes them, in microseconds. */
  latency(): readonly number[] {
    const variable = this.#object.variable<bigint[]>('latency');
    const buckets = variable.get().map(Number);
    const total = buckets.reduce((sum, count) => sum + count, 0);
    return [0.5, 0.9, 0.99].map((part) => {
      let seen = 0;
      const at = buckets.findIndex((count) => {
        seen += count;
        return seen >= total * part;
      });
      return at * BUCKET_US;
    });
  }

  close(): void {
    this.#object.close();
    this.router.close();
    this.far.close();
  }
}

function must(tool: string, failed: Set<number>): void {
  if (failed.size > 0)
    throw new Error(`${tool} refuses ${failed.size} lines, the first is number ${[...failed][0]}`);
}

function headersTo(mac: string): Uint8Array {
  const bytes = (text: string) => text.split(':').map((byte) => Number.parseInt(byte, 16));
  // 60 bytes: Ethernet 14, IPv4 20, UDP 8, payload 18.
  const ip = [0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0, 10, 200, 0, 2, 0, 0, 0, 0];
  return Uint8Array.from([
    ...bytes(mac),
    ...bytes(SOURCE_MAC),
    8,
    0,
    ...ip,
    0x0f,
    0xa0,
    0x13,
    0x88,
    0,
    26,
    0,
    0,
  ]);
}

/** CPU time of this process and of ksoftirqd, in nanoseconds. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  let ticks = 0;
  for (const pid of KSOFTIRQD) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (user + system) * 1000 + ticks * 10_000_000;
}

const KSOFTIRQD = readdirSync('/proc').filter((name) => {
  try {
    return /^\d+$/.test(name) && readFileSync(`/proc/${name}/comm`, 'utf8').startsWith('ksoftirqd/');
  } catch {
    return false;
  }
});

function timed(line: Line, count: number): Measured {
  line.arrived();
  const began = cpuTime();
  line.send(count);
  return { cost: (cpuTime() - began) / count, lost: count - line.arrived() };
}

function packetsOf({ part = 1 }: Workload): number {
  return Math.ceil(packets / part);
}

async function measure(
  workload: Workload,
  path: Path,
): Promise<{ rounds: Measured[]; latency: readonly number[] }> {
  const line = new Line(workload);
  let host: TestHost | undefined;
  try {
    if (path === 'XDP')
      host = await TestHost.start({ netns: line.router.name, plugin: 'xdp', mode: 'native' });
    using _sink = line.attach(line.far, 'v1', 'take');
    line.send(PROBES);
    const measured = Array.from({ length: rounds }, () => timed(line, packetsOf(workload)));
    line.arrived();
    line.stamp();
    // One at a time, as somebody who waits for an answer.
    for (let probe = 0; probe < PROBES; probe++) line.send(1, 1);
    return { rounds: measured, latency: line.latency() };
  } finally {
    await host?.close();
    line.close();
  }
}

/** What making the frames costs: they are thrown away where they would be forwarded. */
function baseline(workload: Workload): number {
  const line = new Line({ ...workload, tc: [] });
  try {
    using _taker = line.attach(line.router, 'p0', 'discard');
    line.send(PROBES);
    return median(Array.from({ length: rounds }, () => timed(line, packets).cost));
  } finally {
    line.close();
  }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}

function workloads(): Workload[] {
  const all: Workload[] = routes.map((count) => ({
    name: `routing, ${count.toLocaleString('en')} routes`,
    destinations: count,
    ip: Array.from({ length: count }, (_, number) => `route add ${prefix(number)}.0/24 via 10.200.1.2`),
    tc: [],
    bridged: false,
  }));
  all.push({ name: 'bridging', destinations: 1, ip: [], tc: [], bridged: true });
  const isFlower = hasFlower();
  // Without flower there is no gact either in the kernels we know; what the rule would do does not matter, as none matches.
  const match = (address: string) =>
    isFlower
      ? `flower dst_ip ${address} action drop`
      : `u32 match ip dst ${address}/32 action mirred egress redirect dev p1`;
  const rules = Array.from(
    { length: RULES },
    (_, number) =>
      `filter add dev p0 ingress pref ${number + 1} protocol ip ${match(`192.0.${number >> 8}.${number & 0xff}`)}`,
  );
  all.push({
    ...all[0]!,
    name: `routing, ${number(RULES)} rules (${isFlower ? 'flower' : 'u32'})`,
    tc: ['qdisc add dev p0 clsact', ...rules],
    // The kernel needs many times the time for each.
    part: RULES_PART,
  });
  return all;
}

function hasFlower(): boolean {
  const netns = new Netns();
  try {
    const lines = [
      'qdisc add dev lo clsact',
      'filter add dev lo ingress protocol ip flower dst_ip 192.0.2.1 action drop',
    ];
    return netns.batch(lines, 'tc').size === 0;
  } finally {
    netns.close();
  }
}

function number(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** Rows of the table at the end. */
const table: string[] = [];

console.log(`${number(packets)} packets of 60 bytes, ${rounds} rounds; medians (least–most)`);
for (const workload of workloads().filter(({ name }) => name.includes(values.only))) {
  const made = baseline(workload);
  const costs = new Map<Path, number>();
  const latencies = new Map<Path, string>();
  console.log(`${workload.name}: making a frame takes ${number(made)} ns`);
  for (const path of ['kernel', 'XDP'] as const) {
    let result: Awaited<ReturnType<typeof measure>>;
    try {
      result = await measure(workload, path);
    } catch (error) {
      console.log(`  ${path}: not measured: ${(error as Error).message}`);
      continue;
    }
    const net = result.rounds.map(({ cost }) => cost - made);
    costs.set(path, median(net));
    const lost = result.rounds.reduce((sum, { lost }) => sum + lost, 0);
    const spread = `${number(Math.min(...net))}–${number(Math.max(...net))}`;
    const [p50, p90, p99] = result.latency.map((us) => us.toFixed(1));
    latencies.set(path, `${p50} / ${p90} / ${p99}`);
    console.log(
      `  ${path}: ${number(median(net))} ns (${spread}) CPU time a packet, ${number(1e9 / median(net))} packets a CPU second; ` +
        `lost ${number(lost)}; latency ${p50}/${p90}/${p99} µs (50/90/99 %)`,
    );
  }
  const [kernel, xdp] = [costs.get('kernel'), costs.get('XDP')];
  if (kernel === undefined || xdp === undefined) continue;
  console.log(`  XDP forwards ${(kernel / xdp).toFixed(1)} × the packets of the kernel a CPU second`);
  table.push(
    `| ${workload.name} | ${number(kernel)} ns | ${number(xdp)} ns | ${(kernel / xdp).toFixed(1)} | ${latencies.get('kernel')} | ${latencies.get('XDP')} |`,
  );
}

const text = [
  `${number(packets)} packets of 60 bytes a round (with rules ${number(packets / RULES_PART)}), medians of ${rounds} rounds, Linux ${release().split('-')[0]}:`,
  '',
  '| | CPU time a packet, kernel | XDP | Packets a CPU second, XDP to kernel | Latency in µs at 50 / 90 / 99 %, kernel | XDP |',
  '|---|---|---|---|---|---|',
  ...table,
].join('\n');
console.log(`\n${text}`);
if (values.write) {
  const before = readFileSync(DOCUMENT, 'utf8');
  writeFileSync(
    DOCUMENT,
    before.replace(
      /(<!-- speed:[^>]*-->\n).*(<!-- \/speed -->)/s,
      (_, begin, end) => `${begin}${text}\n${end}`,
    ),
  );
}
