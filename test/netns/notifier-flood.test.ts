/** Half a million forwarding entries: every event is received or reported lost, none is counted twice. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildAllBpf } from '../../bpf/build.mjs';
import { Notifier, type NotifierHandler, type NotifierOptions } from '../../host/kernel/notifier/notifier.ts';
import { netnsCookie } from '../../host/netlink/syscall.ts';
import { Netns } from '../support/netns.ts';

/** Entries; each is made and deleted. */
const ENTRIES = 250_000;
/** First byte of their MACs: of nobody else in the namespace. */
const PREFIX = 0x06;

let space: Netns;

beforeAll(() => {
  buildAllBpf();
  space = new Netns();
  space.ip('link add br0 type bridge mcast_snooping 0');
  space.ip('link add v0 type veth peer name v1');
  space.ip('link set br0 up');
  space.ip('link set v0 up');
});
afterAll(() => space?.close());

const hex = (byte: number) => (byte & 0xff).toString(16).padStart(2, '0');
const lines = Array.from({ length: ENTRIES }, (_, index) => {
  const mac = [PREFIX, 0, 0, index >> 16, index >> 8, index].map(hex).join(':');
  return `fdb add ${mac} dev v0 master static`;
});

/** Makes all entries and deletes them with their port. */
function flood(): void {
  space.ip('link set v0 master br0');
  expect(space.batch(lines, 'bridge').size).toBe(0);
  space.ip('link set v0 nomaster');
}

interface Received {
  /** How often each entry was told, by its index: additions in the low half byte, deletions in the high one. */
  readonly entries: Uint8Array;
  count: number;
  /** As onLost told. */
  lost: number;
  /** Sequence numbers that are missing, over all CPUs. */
  gaps(): bigint;
}

function open(options: NotifierOptions): Notifier {
  const notifier = Notifier.open({ netns: netnsCookie(space.name), rungs: ['tp_btf', 'raw_tp'], ...options });
  expect(notifier.states().find(({ hook }) => hook === 'fdb')?.rung).toBe('tp_btf');
  return notifier;
}

/** Collects with bounded memory. */
function collector(): { handler: NotifierHandler; received: Received } {
  const seen: { count: bigint; last: bigint }[] = [];
  const received = {
    entries: new Uint8Array(ENTRIES),
    count: 0,
    lost: 0,
    gaps: () => seen.reduce((sum, { count, last }) => sum + last + 1n - count, 0n),
  };
  const bytes = new Uint8Array(6);
  const handler: NotifierHandler = {
    onRecord(record) {
      received.count++;
      seen[record.cpu] ??= { count: 0n, last: -1n };
      const cpu = seen[record.cpu]!;
      cpu.count++;
      if (record.sequence > cpu.last) cpu.last = record.sequence;
      if (record.hook !== 'fdb') return;
      for (let at = 0; at < 6; at++) bytes[at] = record.byte('mac', at);
      if (bytes[0] !== PREFIX) return;
      const index = (bytes[3]! << 16) | (bytes[4]! << 8) | bytes[5]!;
      received.entries[index]! += record.event === 'fdb-add' ? 1 : record.event === 'fdb-delete' ? 16 : 100;
    },
    onLost(count) {
      received.lost += count;
    },
  };
  return { handler, received };
}

test('a ring with room for all loses nothing: every entry is added once and deleted once', () => {
  using notifier = open({ ringSize: 1 << 26 });
  flood();
  const { handler, received } = collector();
  notifier.drain(handler);
  const { produced, received: records, lost, missed, malformed } = notifier.stats();
  // Calls that the kernel keeps from programs, of any namespace, are all that can be missing.
  expect({ lost, malformed, gaps: received.gaps() }).toEqual({ lost: missed, malformed: 0n, gaps: 0n });
  expect(produced).toBe(records + missed);
  const others = received.entries.filter((times) => times !== 0x11).length;
  expect(others).toBeLessThanOrEqual(Number(missed));
  expect(produced).toBeGreaterThanOrEqual(BigInt(2 * ENTRIES));
});

test('a ring far too small, read meanwhile: produced = received + reported lost, exactly', async () => {
  using notifier = open({ ringSize: 4096 });
  const { handler, received } = collector();
  notifier.start(handler, { keepAlive: false });
  space.ip('link set v0 master br0');
  const bridge = spawn('ip', ['netns', 'exec', space.name, 'bridge', '-batch', '-'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  bridge.stdin.end(lines.join('\n'));
  const [code] = await once(bridge, 'exit');
  expect(code).toBe(0);
  space.ip('link set v0 nomaster');
  const settled = () => BigInt(received.count + received.lost) === notifier.stats().produced;
  await expect.poll(settled).toBe(true);
  // One more event on each CPU shows what it lost last.
  space.ip('link set v0 master br0');
  for (const cpu of cpus().keys()) {
    const mac = `0a:00:00:00:00:${hex(cpu)}`;
    space.run('taskset', ['-c', `${cpu}`, 'bridge', 'fdb', 'add', mac, 'dev', 'v0', 'master', 'static']);
    await expect.poll(settled).toBe(true);
  }
  const { produced, received: records, lost, missed, malformed } = notifier.stats();
  expect(produced).toBe(records + lost);
  expect({ records, lost, malformed }).toEqual({
    records: BigInt(received.count),
    lost: BigInt(received.lost),
    malformed: 0n,
  });
  // Calls that the kernel kept from programs have no number.
  expect(received.gaps()).toBe(lost - missed);
  expect(lost).toBeGreaterThan(0n);
  expect(produced).toBeGreaterThanOrEqual(BigInt(2 * ENTRIES));
  expect(received.entries.every((times) => (times & 0xf) <= 1 && times >> 4 <= 1)).toBe(true);
});
