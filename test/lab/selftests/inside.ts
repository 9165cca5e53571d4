/**
 * In a guest: the stages of the kernel's selftests, and the tests on them. `inside.ts FOLDER STAGE NAME…` leaves what each said in FOLDER, and
 * prints it.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { BpfObject } from '../../../bpf/libbpf-ts/src/index.ts';
import { parseConfig } from '../../../host/config/config.ts';
import { Host } from '../../../host/host.ts';
import { Firmware } from '../../../host/kernel/firmware/firmware.ts';
import { CHECKOUT } from '../machine.ts';
import { moduleFile } from '../module.ts';
import { SELFTESTS, type Selftest, type Stage } from './list.ts';

/** Milliseconds. */
const SETTLE_LIMIT = 600_000;
/** How long scripts look for a packet in a rule's counter, in milliseconds: hardware is read twice a second at most. */
const HIT_LIMIT = 4000;
/** Longest a command of tc-testing may take, in seconds. */
const TDC_LIMIT = 600;
/** Longest that a script's server waits, and serves, in seconds. */
const SERVER_LIMIT = 30;

const CONFIG = `
firmware.enabled = "on"
statistics.interval = 1
plugin.xdp = { device = "switch", isolation = "worker", ports = ["sw?"] }
device.switch.kind = "tables"
device.switch.tables = { lpm4 = 1000, lpm6 = 1000, nexthop = 500, fdb = 500, flow = 500, tunnel = 16, remote = 100 }
`;

/** Each runs its tests, one after the other. */
const RUNS: Readonly<Record<Stage, (tests: readonly Selftest[]) => Promise<void>>> = {
  host: withHost,
  firmware: withFirmware,
  switch: withSwitch,
};

const [folder, stage, ...names] = process.argv.slice(2);

makePorts();
const tests = SELFTESTS.filter(({ name }) => names.includes(name));
await RUNS[stage as Stage](tests).catch((error: unknown) => {
  console.error(`stage ${stage}:`, error);
  process.exitCode = 1;
});
process.exit();

async function withHost(tests: readonly Selftest[]): Promise<void> {
  const file = join(mkdtempSync(join(tmpdir(), 'ekho-')), 'ekho.toml');
  const host = new Host(parseConfig(CONFIG, file), (line) => console.log(`host: ${line}`));
  const settled = async () => void (await host.wait(AbortSignal.timeout(SETTLE_LIMIT)));
  await settled();
  writeConfig(await listen(settled));
  const env = { TC_HIT_TIMEOUT: String(HIT_LIMIT), PATH: `${makeTools()}:${process.env.PATH}` };
  for (const test of tests) await run(test, env);
  await host.stop();
}

/** With a hundredth of the rules, all of them for hardware alone. */
async function withFirmware(tests: readonly Selftest[]): Promise<void> {
  const cases = join(folder!, 'tc-testing');
  using _firmware = new Firmware({
    capabilities: {
      match: ['protocol', 'ethernet'],
      actions: ['accept', 'drop'],
      directions: ['ingress'],
      kinds: ['flower', 'action'],
      chainMax: 0,
    },
  });
  edit(join(cases, 'tc-tests/filters/flower.json'), /\b([15]0?)00(00[01])\b/g, '$1$2');
  edit(join(cases, 'tdc_batch.py'), 'skip = "skip_hw"', 'skip = "skip_sw"');
  writeFileSync(join(cases, 'tdc_config_local.py'), `EXTRA_NAMES = {'TIMEOUT': ${TDC_LIMIT}}\n`);
  for (const test of tests) await run(test);
}

/** First on netdevsim itself. For what is there instead, their paths are changed. */
async function withSwitch(tests: readonly Selftest[]): Promise<void> {
  execFileSync('mount', ['-t', 'debugfs', 'none', '/sys/kernel/debug']);
  const netdevsim = moduleFile(release(), { name: 'netdevsim' });
  execFileSync('bash', [
    '-euc',
    `modprobe -a $(modinfo -F depends ${netdevsim} | tr , ' '); insmod ${netdevsim}`,
  ]);
  for (const test of tests) await run(test, {}, `${test.name}.netdevsim`);
  const object = BpfObject.open(join(CHECKOUT, 'build/bpf/firmware_routes.bpf.o'));
  object.load();
  using _link = object.attachStructOps('firmware');
  for (const test of tests) {
    const script = join(folder!, test.folder, test.name);
    edit(script, /\/sys(\/bus|\/kernel\/debug)\/netdevsim\b/g, '/run/netdevsim$1');
    await run(test, { BASH_ENV: join(import.meta.dirname, 'netdevsim.bash') });
  }
}

function edit(file: string, from: string | RegExp, to: string): void {
  const before = readFileSync(file, 'utf8');
  const after = before.replaceAll(from, to);
  if (after === before) throw new Error(`${file} is not as expected`);
  writeFileSync(file, after);
}

function makePorts(): void {
  execFileSync('insmod', [moduleFile(release())]);
  const lines = [0, 1, 2].map(
    (number) => `
      ip link add sw${number} type ekho
      ip link add h${number} link sw${number} type ekho
      ip link set sw${number} up
      ip link set h${number} up`,
  );
  execFileSync('bash', ['-euc', `mount -t cgroup2 none /sys/fs/cgroup\n${lines.join('\n')}`]);
}

/** Who connects is answered once the rules that were made so far are in hardware; returns the TCP port. */
async function listen(settled: () => Promise<void>): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    settled().then(
      () => socket.end('settled\n'),
      (error) => socket.end(`${error.message}\n`),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/**
 * Scripts take the first two ports as one wire, the next two as another. Rules are in hardware soon after the kernel has them: no packet is
 * sent before that.
 */
function writeConfig(port: number): void {
  const forwarding = join(folder!, 'net/forwarding');
  const sender = join(forwarding, 'mausezahn-settled');
  writeFileSync(
    sender,
    `#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/${port} && read -r <&3\nexec mausezahn "$@"\n`,
  );
  chmodSync(sender, 0o755);
  writeFileSync(
    join(forwarding, 'forwarding.config'),
    `NETIFS=([p1]=h0 [p2]=sw0 [p3]=sw1 [p4]=h1 [p5]=h2 [p6]=sw2)\nNETIF_CREATE=no\nMZ=${sender}\nWAIT_TIME=1\n`,
  );
}

/** A folder of what scripts call and the guest has under another name; a server that nobody comes to ends. */
function makeTools(): string {
  const tools = join(folder!, 'bin');
  mkdirSync(tools);
  for (const [name, line] of [
    ['cmp', 'exec busybox cmp "$@"'],
    ['ncat', `exec timeout ${SERVER_LIMIT} /usr/bin/ncat "$@"`],
  ] as const)
    writeFileSync(join(tools, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  return tools;
}

/** What it says is in a file of the name once it has ended. */
async function run({ name, folder: place, command }: Selftest, env = {}, log = name): Promise<void> {
  const part = join(folder!, `${log}.part`);
  const file = createWriteStream(part);
  const child = spawn('bash', ['-c', `exec ${command} 2>&1`], {
    cwd: join(folder!, place),
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  child.stdout.pipe(process.stdout, { end: false });
  child.stdout.pipe(file);
  await once(file, 'close');
  renameSync(part, join(folder!, `${log}.log`));
}
