/** In a guest: bench `firmware`. `inside.ts ROUNDS RULES…` prints a line of JSON (`Measured`) for each round. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../../host/config/config.ts';
import { Host } from '../../../host/host.ts';
import { addLines, deleteLines, sendToEach, toldOf } from '../../lab/many-rules.ts';
import { moduleFile } from '../../lab/module.ts';
import { Netns } from '../../support/netns.ts';
import type { Measured } from './measures.ts';

/** Milliseconds. */
const SETTLE_LIMIT = 30 * 60_000;
const COUNT_LIMIT = 120_000;

const [rounds, ...counts] = process.argv.slice(2).map(Number);
const folder = mkdtempSync(join(tmpdir(), 'ekho-bench-'));

execFileSync('insmod', [moduleFile(release())]);
const space = new Netns();
const peer = new Netns();
space.run('bash', [
  '-euc',
  `ip link add sw0 type ekho
  ip link add eth0 netns ${peer.name} link sw0 type ekho
  ip link set sw0 up
  ip -n ${peer.name} link set eth0 up
  ip -n ${peer.name} addr add 192.0.2.2/24 dev eth0
  tc qdisc add dev sw0 clsact`,
]);
const mac = space.run('cat', ['/sys/class/net/sw0/address']).trim();

/** The first time costs what is made once. */
for (const count of [100, ...counts])
  for (let round = 0; round < rounds!; round++) tell(await measure('kernel', count), count !== 100);
const host = new Host(parseConfig(config(Math.max(...counts)), join(folder, 'ekho.toml')), (line) =>
  console.error(line),
);
await settled();
for (const count of [100, ...counts])
  for (let round = 0; round < rounds!; round++) tell(await measure('hardware', count), count !== 100);
await host.stop();
process.exit(0);

function config(rules: number): string {
  return `
mirror.netns = "${space.name}"
firmware.enabled = "on"
statistics.interval = 1
plugin.xdp = { device = "switch", isolation = "worker", ports = ["sw?"] }
device.switch.kind = "tables"
device.switch.tables = { acl = ${rules + 10}, lpm4 = 1000, lpm6 = 1000, nexthop = 500, fdb = 500, flow = 500, tunnel = 16, remote = 100 }
`;
}

async function settled(): Promise<void> {
  await host.wait(AbortSignal.timeout(SETTLE_LIMIT));
}

function tell(measured: Measured, isTold: boolean): void {
  const line = JSON.stringify(measured);
  console.error(line);
  if (isTold) console.log(line);
}

/** Runs tc beside the host, which is in this process. */
async function tc(lines: readonly string[]): Promise<void> {
  const file = join(folder, 'lines');
  writeFileSync(file, `${lines.join('\n')}\n`);
  await run('tc', ['-batch', file]);
}

async function run(command: string, words: readonly string[]): Promise<string> {
  const child = spawn('ip', ['netns', 'exec', space.name, command, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part) => {
    text += part;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ended with exit code ${code}`);
  return text;
}

/** Milliseconds. */
async function time(what: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await what();
  return performance.now() - started;
}

/** KiB that could be used for something else. */
function available(): number {
  (globalThis as { gc?: () => void }).gc?.();
  execFileSync('bash', ['-c', 'sync; echo 3 > /proc/sys/vm/drop_caches']);
  return Number(/MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);
}

async function measure(where: Measured['where'], rules: number): Promise<Measured> {
  const isHardware = where === 'hardware';
  const before = available();
  const addTc_ms = await time(() => tc(addLines('sw0', rules, isHardware ? 'skip_sw' : 'skip_hw')));
  const add_ms = addTc_ms + (isHardware ? await time(settled) : 0);
  const memory_kib = before - available();
  if (isHardware) await expectPackets(rules, 0);
  sendToEach(peer, mac, rules);
  if (isHardware) await expectPackets(rules, 1);
  const show_ms = await time(() => run('tc', ['-s', 'filter', 'show', 'dev', 'sw0', 'ingress']));
  const deleteTc_ms = await time(() => tc(deleteLines('sw0', rules)));
  const delete_ms = deleteTc_ms + (isHardware ? await time(settled) : 0);
  return { where, rules, add_ms, addTc_ms, show_ms, delete_ms, deleteTc_ms, memory_kib };
}

/** Waits until tc tells that hardware counted so many packets of each rule; all are there. */
async function expectPackets(rules: number, each: number): Promise<void> {
  const wanted = JSON.stringify({ rules, inHardware: rules, packets: { [each]: rules } });
  let told = '';
  for (const end = Date.now() + COUNT_LIMIT; Date.now() < end; ) {
    told = JSON.stringify(toldOf(await run('tc', ['-s', '-j', 'filter', 'show', 'dev', 'sw0', 'ingress'])));
    if (told === wanted) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`tc told ${told}, not ${wanted}`);
}
