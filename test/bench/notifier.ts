/**
 * `npm run bench -- notifier [--entries N] [--rounds N]`: what the notifiers cost the kernel. CPU time in the kernel of making and deleting
 * forwarding entries and routes without notifiers, with notifiers that want them, and with notifiers of another namespace, taking
 * turns in one run. Needs root, clang and libbpf's headers; where the kernel has no fentry, run it in the lab (docs/lab.md).
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Notifier } from '../../host/kernel/notifier/notifier.ts';
import { netnsCookie } from '../../host/netlink/syscall.ts';
import { Netns } from '../support/netns.ts';

const { values } = parseArgs({
  options: { entries: { type: 'string', default: '20000' }, rounds: { type: 'string', default: '7' } },
});
const entries = Number(values.entries);
const rounds = Number(values.rounds);
if (!(entries >= 1000 && entries <= 65_536 && rounds >= 3 && rounds <= 100)) {
  console.error('--entries takes a number from 1000 to 65536, --rounds one from 3 to 100');
  process.exit(2);
}

interface Workload {
  readonly name: string;
  readonly hook: string;
  /** Shell commands; makes 2 events an entry. */
  readonly script: string;
  readonly before: string;
}

const MODES = ['without', 'with', 'elsewhere'] as const;
type Mode = (typeof MODES)[number];

const folder = mkdtempSync(join(tmpdir(), 'ekho-bench-'));
const spaces = [new Netns(), new Netns()];
const [space, other] = spaces as [Netns, Netns];

function file(name: string, line: (high: number, low: number) => string): string {
  const path = join(folder, name);
  const lines = Array.from({ length: entries }, (_, index) => line(index >> 8, index & 0xff));
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

const hex = (byte: number) => byte.toString(16).padStart(2, '0');
const fdb = file('fdb', (high, low) => `fdb add 02:00:00:00:${hex(high)}:${hex(low)} dev v0 master static`);
const routes = file('routes', (high, low) => `route add 10.${high}.${low}.0/24 dev v0`);
const WORKLOADS: readonly Workload[] = [
  {
    name: 'forwarding entries',
    hook: 'fdb',
    before: 'ip link set v0 master br0',
    script: `bridge -batch ${fdb}; ip link set v0 nomaster`,
  },
  {
    name: 'routes',
    hook: 'fib',
    before: 'ip link set v0 up',
    script: `ip -batch ${routes}; ip link set v0 down`,
  },
];

/** Microseconds in the kernel of a shell script and its commands. */
function systemTime(script: string): number {
  const text = space.run('bash', ['-ec', `TIMEFORMAT=%S; { time { ${script}; }; } 2>&1`]);
  const seconds = Number(text.trim().split('\n').at(-1));
  if (!(seconds > 0)) throw new Error(`not a time: ${text}`);
  return seconds * 1e6;
}

function measure({ before, script, hook }: Workload, mode: Mode): number {
  space.run('bash', ['-ec', before]);
  if (mode === 'without') return systemTime(script);
  const wanted = mode === 'with';
  using notifier = Notifier.open({ netns: netnsCookie((wanted ? space : other).name), ringSize: 1 << 26 });
  const time = systemTime(script);
  let told = 0;
  notifier.drain({
    onRecord: (record) => {
      if (record.hook === hook) told++;
    },
  });
  if (wanted ? told < 2 * entries : told > 0) throw new Error(`${told} events of ${entries} entries`);
  return time;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;
}

try {
  space.ip('link add br0 type bridge');
  space.ip('link add v0 type veth peer name v1');
  space.ip('link set v1 up');
  const states = Notifier.open();
  const rungs = new Map(states.states().map(({ hook, rung }) => [hook, rung]));
  states.close();
  console.log(`${entries} entries, made and deleted; median of ${rounds} rounds, µs in the kernel an entry`);
  for (const workload of WORKLOADS) {
    const rung = rungs.get(workload.hook)!;
    if (rung === 'none') {
      console.log(`${workload.name}: this kernel has no rung for the hook ${workload.hook}`);
      continue;
    }
    const times: Record<Mode, number[]> = { without: [], with: [], elsewhere: [] };
    for (let round = 0; round < rounds; round++) {
      // Who goes first changes: what grows over the run is nobody's.
      for (let turn = 0; turn < MODES.length; turn++) {
        const mode = MODES[(turn + round) % MODES.length]!;
        times[mode].push(measure(workload, mode));
      }
    }
    const base = median(times.without);
    const cells = MODES.map((mode) => {
      const ratios = times[mode].map((time, round) => time / times.without[round]!);
      return `${mode} ${(median(times[mode]) / entries).toFixed(2)} (${median(ratios).toFixed(2)})`;
    });
    if (!(base > 0)) throw new Error('no time passed');
    console.log(`${workload.name} on ${rung}: ${cells.join(', ')}`);
  }
} finally {
  for (const each of spaces) each.close();
  rmSync(folder, { recursive: true, force: true });
}
