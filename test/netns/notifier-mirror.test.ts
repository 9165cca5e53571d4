/** Notifiers beside the mirror on whatever rung this machine has: lost records, and what they cost in a storm. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { probe } from '../../bpf/libbpf-ts/src/index.ts';
import { KernelEvents } from '../../host/kernel/kernel-events.ts';
import { RING_DEFAULT } from '../../host/kernel/notifier/ring-size.ts';
import { MirrorBench } from './mirror-support.ts';

/** A ring of one page holds some thirty events. */
const TINY = 4096;
const ADDRESSES = 250;
const STORM = 20_000;

let bench: MirrorBench;
let events: KernelEvents | undefined;

beforeEach(() => {
  bench = new MirrorBench();
  bench.veth('east', 'west');
  bench.ip('address add 10.0.0.1/16 dev east');
});

afterEach(() => {
  events?.close();
  events = undefined;
  bench.close();
});

function attach(ringSize = RING_DEFAULT): KernelEvents {
  events = new KernelEvents({ enabled: 'on', ringSize, netns: bench.netns }, bench.sync);
  events.start();
  return events;
}

/** Neighbours that change their address again and again. */
function storm(count: number): void {
  bench.batch(
    Array.from({ length: count }, (_, at) => {
      const lladdr = `02:00:00:00:00:${Math.floor(at / ADDRESSES) & 1 ? '11' : '22'}`;
      return `neigh replace 10.0.1.${1 + (at % ADDRESSES)} lladdr ${lladdr} dev east nud permanent`;
    }),
  );
}

describe.skipIf(probe('tp_btf').status !== 'available')('with notifiers', () => {
  it('records lost are counted, and what they might have hinted at is read again where there are hints', async () => {
    const { sync } = bench;
    const losses: number[] = [];
    const attached = attach(TINY);
    attached.subscribe({ record: () => {}, lost: (count) => losses.push(count) });
    await sync.start();
    // This thread does not read meanwhile.
    storm(2000);
    await expect.poll(() => attached.status().lost).toBeGreaterThan(0);
    const hints = attached
      .status()
      .hooks.some(({ hook, rung }) => (hook === 'fib' || hook === 'nexthop') && rung !== 'none');
    if (hints) await expect.poll(() => sync.status().lastResync?.duration_ms).toBeDefined();
    expect(sync.status().lastResync?.cause).toBe(hints ? 'notifier records lost' : undefined);
    const told = () => losses.reduce((sum, count) => sum + count, 0);
    await expect
      .poll(() => {
        const { produced, received, lost } = attached.status();
        return received + lost === produced && told() === lost;
      })
      .toBe(true);
    expect(await bench.differences()).toEqual([]);
  });

  it('a storm costs the mirror’s thread little more than without', async () => {
    const { sync } = bench;
    await sync.start();
    /** Milliseconds of this thread's own time. */
    const cost = async (heard = () => STORM): Promise<number> => {
      const before = process.threadCpuUsage();
      storm(STORM);
      await sync.barrier();
      while (heard() < STORM) await new Promise((resolve) => setTimeout(resolve, 10));
      const { user, system } = process.threadCpuUsage(before);
      return (user + system) / 1000;
    };
    await cost();
    const without = Math.min(await cost(), await cost(), await cost());
    const attached = attach();
    const watched = (): Promise<number> => {
      const { received } = attached.status();
      return cost(() => attached.status().received - received);
    };
    const withThem = Math.min(await watched(), await watched(), await watched());
    console.log(
      `${STORM} changes of neighbours: ${without.toFixed(0)} ms of the thread without notifiers, ${withThem.toFixed(0)} ms with, ratio ${(withThem / without).toFixed(2)}`,
    );
    expect(withThem / without).toBeLessThan(2);
  });
});
