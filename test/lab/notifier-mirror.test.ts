/**
 * What the kernel deletes without a word, with notifiers and without: corrected either way, sooner with. Both times are of the
 * same mirror in the same run, from the kernel's own time of the first deletion to the mirror without any of the routes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HintTarget, KernelEvents } from '../../host/kernel/kernel-events.ts';
import { RING_DEFAULT } from '../../host/kernel/notifier/ring-size.ts';
import { KIND, type ObjectId, OPERATION_DELETE, objectCursor } from '../../host/mirror/types.ts';
import { decodeObject } from '../../host/netlink/decode.ts';
import { MirrorBench } from '../netns/mirror-support.ts';
import { manyRoutes } from '../support/many-routes.ts';
import { PACE } from './pace.ts';

/** Routes that stay: so many that reading all of them takes its time. */
const MANY = Number(process.env.EKHO_TEST_ROUTES ?? 10_000);
/** Routes that go, each time. */
const GOING = 400;
/** Measurements of a case, each way. */
const ROUNDS = Number(process.env.EKHO_TEST_ROUNDS ?? 3);

/** Hands hints on while `isOn`. */
class Switch implements HintTarget {
  isOn = true;
  readonly #target: HintTarget;

  constructor(target: HintTarget) {
    this.#target = target;
  }

  expectHints(): void {
    this.#target.expectHints();
  }

  routeGone(...key: Parameters<HintTarget['routeGone']>): void {
    if (this.isOn) this.#target.routeGone(...key);
  }

  nexthopGone(id: number): void {
    if (this.isOn) this.#target.nexthopGone(id);
  }

  hintsLost(): void {
    if (this.isOn) this.#target.hintsLost();
  }
}

interface Case {
  readonly name: string;
  /** Makes what goes, and undoes what made it go. */
  readonly prepare: readonly string[];
  /** What makes routes go. */
  readonly cause: string;
  readonly route: (prefix: string) => string;
}

const UP = ['link set east up', 'link set west up'];
const CASES: readonly Case[] = [
  {
    name: 'a link goes down',
    prepare: UP,
    cause: 'link set east down',
    route: (prefix) => `route replace ${prefix} via 10.0.0.2`,
  },
  {
    name: 'a link loses its carrier, and with it a nexthop object',
    prepare: [...UP, 'nexthop replace id 1 via 10.0.0.2 dev east'],
    cause: 'link set west down',
    route: (prefix) => `route replace ${prefix} nhid 1`,
  },
  {
    name: 'a nexthop object is deleted',
    prepare: [...UP, 'nexthop replace id 1 via 10.0.0.2 dev east'],
    cause: 'nexthop del id 1',
    route: (prefix) => `route replace ${prefix} nhid 1`,
  },
  {
    name: 'the last address of a link is deleted',
    prepare: [...UP, 'address replace 10.0.0.1/24 dev east'],
    cause: 'address del 10.0.0.1/24 dev east',
    route: (prefix) => `route replace ${prefix} via 10.0.0.2`,
  },
];

const going = Array.from({ length: GOING }, (_, at) => `203.${at >> 8}.${at & 255}.0/24`);
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

describe('deletions without a word', () => {
  let bench: MirrorBench;
  let events: KernelEvents;
  let hints: Switch;
  /** Kernel time of the first deletion since it was reset, in ns. */
  let first: bigint | undefined;
  /** Medians of all cases, in milliseconds. */
  const sums = { with: 0, without: 0 };

  beforeAll(async () => {
    bench = new MirrorBench();
    bench.veth('east', 'west');
    bench.veth('north', 'south');
    bench.ip('address add 10.0.0.1/24 dev east');
    bench.ip('address add 10.1.0.1/24 dev north');
    await manyRoutes(bench.netns, MANY, '10.1.0.2');
    hints = new Switch(bench.sync);
    events = new KernelEvents({ enabled: 'on', ringSize: RING_DEFAULT, netns: bench.netns }, hints);
    events.subscribe({
      record: (record) => {
        if (record.event === 'route-delete') first ??= record.time;
      },
      lost: (count) => expect.unreachable(`${count} records were lost`),
    });
    const synced = bench.sync.start();
    events.start();
    await synced;
  }, 600_000);

  afterAll(() => {
    events?.close();
    bench?.close();
  });

  const cursor = objectCursor();
  /** Whether a route is to 203.0.0.0/15. */
  function isGoing(id: ObjectId): boolean {
    if (!bench.mirror.open(KIND.route, id, cursor)) return false;
    const { dst } = decodeObject('route', cursor.bytes, cursor.start, cursor.end);
    return String(dst).startsWith('203.');
  }

  /** Milliseconds from the first deletion in the kernel to the mirror without any of the routes. */
  async function measure({ prepare, cause, route }: Case): Promise<number> {
    const left = new Set<ObjectId>();
    const unlisten = bench.mirror.subscribe((changes) => {
      for (let at = 0; at < changes.length; at++) {
        if (changes.kinds[at] === KIND.route && isGoing(changes.ids[at]!)) left.add(changes.ids[at]!);
      }
    });
    for (const command of prepare) bench.ip(command);
    bench.batch(going.map(route));
    await bench.sync.barrier();
    unlisten();
    expect(left.size).toBe(GOING);
    first = undefined;
    let unsubscribe = () => {};
    const corrected = new Promise<bigint>((resolve) => {
      unsubscribe = bench.mirror.subscribe((changes) => {
        for (let at = 0; at < changes.length; at++) {
          if (changes.kinds[at] === KIND.route && changes.operations[at] === OPERATION_DELETE)
            left.delete(changes.ids[at]!);
        }
        if (left.size === 0) resolve(process.hrtime.bigint());
      });
    });
    await once(spawn('ip', ['-n', bench.netns, ...cause.split(' ')]), 'exit');
    const at = await corrected;
    unsubscribe();
    await expect.poll(() => first).toBeDefined();
    await bench.sync.barrier();
    return Number(at - first!) / 1e6;
  }

  test.each(CASES)('$name', { timeout: 600_000 * PACE }, async (one) => {
    const times = { with: [] as number[], without: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      for (const way of ['without', 'with'] as const) {
        hints.isOn = way === 'with';
        times[way].push(await measure(one));
      }
    }
    const [sooner, later] = [median(times.with), median(times.without)];
    const list = (values: readonly number[]) => values.map((value) => value.toFixed(0)).join(' ');
    console.log(
      `${one.name}: with notifiers ${sooner.toFixed(1)} ms (${list(times.with)}), without ${later.toFixed(1)} ms (${list(times.without)})`,
    );
    sums.with += sooner;
    sums.without += later;
  });

  test('all in all, sooner with them', () => {
    // One case alone may be unlucky on a busy machine; an address that leaves is announced soon enough without.
    expect(bench.sync.status().foundGone).toBeGreaterThanOrEqual(GOING);
    expect(sums.with).toBeLessThan(sums.without);
  });

  test('the mirror equals a fresh dump', { timeout: 120_000 * PACE }, async () => {
    expect(await bench.differences()).toEqual([]);
    expect(events.status()).toMatchObject({ state: 'on', lost: 0 });
  });
});
