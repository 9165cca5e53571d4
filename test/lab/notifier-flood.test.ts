/** A flood of routes on the functions' rungs: every event is received or reported lost, none is counted twice. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Notifier, type NotifierHandler } from '../../host/kernel/notifier/notifier.ts';
import { netnsCookie } from '../../host/netlink/syscall.ts';
import { UPPER } from './notifier-support.ts';
import { LabSpace } from './support.ts';

/** Each is made, and deleted by the kernel when its link goes down. */
const ROUTES = 10_000;

let space: LabSpace;
beforeAll(() => {
  space = new LabSpace();
  space.script('ip link add d0 type dummy');
});
afterAll(() => space?.end());

const lines = Array.from(
  { length: ROUTES },
  (_, index) => `route add 10.${index >> 8}.${index & 0xff}.0/24 dev d0`,
);

function flood(): void {
  space.script('ip link set d0 up');
  expect(space.batch(lines).size).toBe(0);
  space.script('ip link set d0 down');
}

/** How often each route was told: additions in the low half byte, deletions in the high one; and the numbers of the events. */
function collector() {
  const told = new Uint8Array(ROUTES);
  const numbers: { count: bigint; last: bigint }[] = [];
  const handler: NotifierHandler = {
    onRecord(record) {
      numbers[record.cpu] ??= { count: 0n, last: -1n };
      const cpu = numbers[record.cpu]!;
      cpu.count++;
      if (record.sequence > cpu.last) cpu.last = record.sequence;
      if (record.hook !== 'fib' || record.family !== 2 || record.number('dst_len') !== 24) return;
      told[(record.byte('dst', 1) << 8) | record.byte('dst', 2)]! +=
        record.event === 'route-replace' ? 1 : 16;
    },
  };
  const gaps = () => numbers.reduce((sum, { count, last }) => sum + last + 1n - count, 0n);
  return { handler, told, gaps };
}

describe.each([...new Set([UPPER, 'kprobe' as const])])('%s', (rung) => {
  const open = (ringSize: number) => {
    const notifier = Notifier.open({ netns: netnsCookie(space.name), rungs: [rung], ringSize });
    expect(notifier.states().find(({ hook }) => hook === 'fib')!.rung).toBe(rung);
    return notifier;
  };

  test('with room for all, each route is told once when it comes and once when it goes', () => {
    using notifier = open(1 << 24);
    flood();
    const { handler, told, gaps } = collector();
    notifier.drain(handler);
    const { produced, received, lost, missed, malformed } = notifier.stats();
    expect({ lost, malformed, gaps: gaps() }).toEqual({ lost: missed, malformed: 0n, gaps: 0n });
    expect(produced).toBe(received + lost);
    expect(told.filter((times) => times !== 0x11).length).toBeLessThanOrEqual(Number(missed));
  });

  test('with a ring far too small: produced = received + reported lost', () => {
    using notifier = open(4096);
    const { handler, told, gaps } = collector();
    flood();
    notifier.drain(handler);
    // One more event shows what was lost last: a guest has one processor.
    space.script('ip link set d0 up');
    notifier.drain(handler);
    const { produced, received, lost, missed, malformed } = notifier.stats();
    expect(produced).toBe(received + lost);
    expect({ malformed, gaps: gaps() }).toEqual({ malformed: 0n, gaps: lost - missed });
    expect(produced).toBeGreaterThanOrEqual(BigInt(2 * ROUTES));
    expect(lost).toBeGreaterThan(BigInt(ROUTES));
    expect(told.every((times) => (times & 0xf) <= 1 && times >> 4 <= 1)).toBe(true);
  });
});
