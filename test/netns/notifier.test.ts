/** The tracepoint rungs of the notifiers on this machine's kernel: forwarding entries and neighbours of a namespace. */

import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { buildAllBpf } from '../../bpf/build.mjs';
import { probe } from '../../bpf/libbpf-ts/src/index.ts';
import { HOOKS } from '../../host/kernel/notifier/catalogue.ts';
import type { HookState } from '../../host/kernel/notifier/ladder.ts';
import { Notifier } from '../../host/kernel/notifier/notifier.ts';
import type { NotifierEvent } from '../../host/kernel/notifier/record.ts';
import { netnsCookie } from '../../host/netlink/syscall.ts';
import { Netns } from '../support/netns.ts';

let here: Netns;
let there: Netns;
/** Of v0, a port of br0 in `here`, whose other end is in `there`; and of br0. */
let port: number;
let bridge: number;

beforeAll(() => {
  buildAllBpf();
  here = new Netns();
  there = new Netns();
  here.ip('link add br0 type bridge');
  here.ip(`link add v0 type veth peer name v1 netns ${there.name}`);
  here.ip('link set v0 master br0');
  here.ip('addr add 10.0.0.1/24 dev br0');
  there.ip('addr add 10.0.0.2/24 dev v1');
  for (const link of ['v0', 'br0']) here.ip(`link set ${link} up`);
  there.ip('link set v1 up');
  port = ifindexOf(here, 'v0');
  bridge = ifindexOf(here, 'br0');
});
afterAll(() => {
  here?.close();
  there?.close();
});

function json(space: Netns, command: string): Record<string, unknown>[] {
  const [program, ...words] = command.split(' ');
  return JSON.parse(space.run(program!, words) || '[]');
}

function ifindexOf(space: Netns, link: string): number {
  return Number(json(space, `ip -j link show ${link}`)[0]!.ifindex);
}

let notifier: Notifier | undefined;
afterEach(() => notifier?.close());

/** Events that came since the last call. */
function events(): NotifierEvent[] {
  const found: NotifierEvent[] = [];
  notifier!.drain({ onRecord: (record) => found.push(record.toEvent()) });
  return found;
}

/** Waits for an event with these members, and gives all that came until then. */
async function awaited(members: Record<string, unknown>): Promise<NotifierEvent[]> {
  const found: NotifierEvent[] = [];
  await expect
    .poll(() => {
      found.push(...events());
      return found;
    })
    .toContainEqual(expect.objectContaining(members));
  return found;
}

const TRACEPOINT_HOOKS = HOOKS.filter(({ tracepoints }) => tracepoints.length > 0).map(({ name }) => name);

describe.each(['tp_btf', 'raw_tp'] as const)('%s', (rung) => {
  const open = (space = here) => {
    notifier = Notifier.open({ netns: netnsCookie(space.name), rungs: [rung] });
  };

  test('hooks with tracepoints stand on it, the others say why they do not', () => {
    open();
    const states = notifier!.states();
    expect(states.map(({ hook }) => hook)).toEqual(HOOKS.map(({ name }) => name));
    for (const { hook, rung: found, target, events, reason } of states) {
      if (TRACEPOINT_HOOKS.includes(hook)) {
        expect([hook, found]).toEqual([hook, rung]);
        expect(events.length).toBeGreaterThan(0);
        expect(target).toBeTruthy();
      } else {
        expect([hook, found, events]).toEqual([hook, 'none', []]);
        expect(reason).toContain('the kernel has no tracepoint for it');
      }
    }
  });

  test('entries that users add, change and delete, as `bridge fdb` shows them', () => {
    open();
    const entry = '02:00:00:00:00:55';
    here.run('bridge', ['fdb', 'add', entry, 'dev', 'v0', 'master', 'static']);
    const shown = json(here, 'bridge -j fdb show br br0').find(({ mac }) => mac === entry)!;
    expect(shown).toMatchObject({ ifname: 'v0', state: 'static' });
    expect(events().filter(({ mac }) => mac === entry)).toEqual([
      expect.objectContaining({
        event: 'fdb-add',
        hook: 'fdb',
        ifindex: port,
        vlan: 0,
        state: ['reachable', 'noarp'],
        neighbourFlags: ['master'],
        netns: netnsCookie(here.name),
      }),
    ]);
    here.run('bridge', ['fdb', 'del', entry, 'dev', 'v0', 'master']);
    expect(events().filter(({ mac }) => mac === entry)).toEqual([
      expect.objectContaining({ event: 'fdb-delete', ifindex: port, bridge, vlan: 0 }),
    ]);
    here.run('bridge', ['fdb', 'add', entry, 'dev', 'v0', 'master', 'extern_learn']);
    expect(events().filter(({ mac }) => mac === entry)).toEqual([
      expect.objectContaining({ event: 'fdb-external-learn', ifindex: port, bridge, vlan: 0 }),
    ]);
    here.run('bridge', ['fdb', 'del', entry, 'dev', 'v0', 'master']);
  });

  test('frames: the MAC is learned, the neighbours resolved, on both sides', async () => {
    open();
    // Other frames of theirs may come first: what was learned before is not told.
    here.ip('neigh flush all');
    there.ip('neigh flush all');
    here.run('bridge', ['fdb', 'flush', 'dev', 'br0', 'dynamic']);
    const mac = json(there, 'ip -j link show v1')[0]!.address;
    there.run('ping', ['-c1', '-W5', '10.0.0.1']);
    const found = await awaited({ event: 'fdb-learn', ifindex: port, bridge, mac });
    const shown = json(here, 'ip -j neigh show 10.0.0.2')[0]!;
    expect(shown.lladdr).toBe(mac);
    expect(found).toContainEqual(
      expect.objectContaining({
        event: 'neighbour-update',
        ifindex: bridge,
        family: 'inet',
        dst: '10.0.0.2',
        lladdr: mac,
        dead: false,
      }),
    );
    // The other namespace resolved too, and is not told here.
    const cookie = netnsCookie(here.name);
    expect(found.every(({ netns }) => netns === cookie)).toBe(true);
    expect(found.some(({ dst }) => dst === '10.0.0.1')).toBe(false);
  });

  test('neighbours that users add and delete, IPv6 ones too', () => {
    open();
    here.ip('neigh add fe80::77 lladdr 02:00:00:00:00:77 dev br0 nud permanent extern_learn');
    const ours = () => events().filter(({ dst }) => dst === 'fe80::77');
    expect(ours().at(-1)).toMatchObject({
      family: 'inet6',
      ifindex: bridge,
      lladdr: '02:00:00:00:00:77',
      state: ['permanent'],
      flags: ['extern_learn'],
      dead: false,
    });
    here.ip('neigh del fe80::77 dev br0');
    const states = ours();
    expect(states.some(({ state }) => (state as string[]).includes('failed'))).toBe(true);
    expect(states.at(-1)).toMatchObject({ dead: true });
  });

  test('sequence numbers have no gaps and times do not go back on a CPU', () => {
    open();
    for (let round = 0; round < 20; round++) {
      here.ip('neigh replace 10.0.0.99 lladdr 02:00:00:00:00:99 dev br0');
      here.ip('neigh del 10.0.0.99 dev br0');
    }
    const cpus = Map.groupBy(events(), ({ cpu }) => cpu);
    const total = [...cpus.values()].reduce((sum, { length }) => sum + length, 0);
    expect(total).toBeGreaterThanOrEqual(40);
    for (const [cpu, ours] of cpus) {
      const numbers = ours.map(({ sequence }) => sequence);
      expect(numbers, `CPU ${cpu}`).toEqual(Array.from(numbers, (_, index) => BigInt(index)));
      const times = ours.map(({ time }) => time);
      expect(times).toEqual(times.toSorted((a, b) => (a < b ? -1 : 1)));
    }
    const { produced, received, lost, missed } = notifier!.stats();
    expect({ produced, received, lost }).toEqual({
      produced: BigInt(total) + missed,
      received: BigInt(total),
      lost: missed,
    });
  });
});

test('start() hands on what comes and tells the end of each turn; close() ends it', async () => {
  notifier = Notifier.open({ netns: netnsCookie(here.name), rungs: ['tp_btf'] });
  const told: string[] = [];
  notifier.start({
    onRecord: ({ event }) => told.push(event),
    onTurnEnd: () => told.push('end'),
  });
  here.run('bridge', ['fdb', 'add', '02:00:00:00:00:56', 'dev', 'v0', 'master', 'static']);
  await expect.poll(() => told.join()).toContain('fdb-add,end');
  notifier.close();
  const before = told.length;
  here.run('bridge', ['fdb', 'del', '02:00:00:00:00:56', 'dev', 'v0', 'master']);
  expect(told.length).toBe(before);
  const { produced, received, lost, malformed } = notifier.stats();
  expect({ produced, malformed }).toEqual({ produced: received + lost, malformed: 0n });
});

test('all rungs: each hook has the highest that the kernel grants, and no event is told twice', () => {
  notifier = Notifier.open({ netns: netnsCookie(here.name) });
  const fentry = probe('fentry').status === 'available';
  const kprobe = probe('kprobe').status === 'available';
  for (const { hook, rung, reason } of notifier.states()) {
    if (rung === 'fentry') expect([hook, fentry]).toEqual([hook, true]);
    if (rung === 'kprobe') expect([hook, kprobe]).toEqual([hook, true]);
    if (rung !== 'fentry') expect(reason, hook).toMatch(/^fentry/);
  }
  const entry = '02:00:00:00:00:57';
  here.run('bridge', ['fdb', 'add', entry, 'dev', 'v0', 'master', 'static']);
  expect(events().filter(({ mac }) => mac === entry).length).toBe(1);
  here.run('bridge', ['fdb', 'del', entry, 'dev', 'v0', 'master']);
  expect(events().filter(({ mac }) => mac === entry).length).toBe(1);
});

test('nothing allowed: every hook is on none, and says so', () => {
  notifier = Notifier.open({ rungs: [] });
  expect(notifier.states().every(({ rung, reason }) => rung === 'none' && reason !== undefined)).toBe(true);
  expect(notifier.drain({ onRecord: () => {} })).toBe(0);
  expect(notifier.stats()).toEqual({ produced: 0n, received: 0n, lost: 0n, missed: 0n, malformed: 0n });
});

test('without rights: every hook is on none, and says which it lacks', () => {
  const module = new URL('../../host/kernel/notifier/notifier.ts', import.meta.url);
  const script = `
    const { Notifier } = await import('${module}');
    using notifier = Notifier.open();
    console.log(JSON.stringify(notifier.states()));
  `;
  const capabilities = '-bpf,-perfmon,-sys_admin';
  const text = execFileSync(
    'setpriv',
    [
      `--bounding-set=${capabilities}`,
      `--inh-caps=${capabilities}`,
      ...[process.execPath, '--input-type=module', '-e', script],
    ],
    { encoding: 'utf8' },
  );
  const states = JSON.parse(text) as HookState[];
  expect(states.map(({ hook }) => hook)).toEqual(HOOKS.map(({ name }) => name));
  for (const { hook, rung, reason } of states) {
    expect([hook, rung]).toEqual([hook, 'none']);
    expect(reason).toContain('CAP_BPF');
  }
});

test('a ring of an odd size is refused', () => {
  for (const ringSize of [0, 1000, 5000, 2 ** 31, Number.NaN, 4096.5]) {
    expect(() => Notifier.open({ ringSize })).toThrowError(expect.objectContaining({ code: 'E_USAGE' }));
  }
});
