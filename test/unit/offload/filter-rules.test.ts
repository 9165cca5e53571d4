/** Filters and a device with few places: what it does with a packet is what the kernel does, or it hands the packet over, at any moment. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KIND } from '../../../host/mirror/types.ts';
import type { DecodedObject } from '../../../host/netlink/decode.ts';
import { type AclWant, aclWantOf } from '../../../host/offload/codecs.ts';
import { CLSACT_INGRESS } from '../../../host/offload/link-filters.ts';
import { Planner } from '../../../host/offload/planner.ts';
import { memoryViews } from '../../../host/plugin/record-cursor.ts';
import {
  ACL_ACTION,
  AclRuleRecord,
  ENTRY_KIND,
  PORT_FLAGS,
  PortRecord,
} from '../../../host/plugin/records.ts';
import { FakeDevice, type FakeDeviceOptions, FakeRunner } from './fake-device.ts';
import { KernelModel, PORT } from './kernel-model.ts';

const SECOND_PORT = 3;
const PORTS = [PORT, SECOND_PORT];
const LISTENER = { fault: () => {}, down: () => {} };
/** Last bytes of the destinations 192.0.2.x that filters look for. */
const HOSTS = [1, 2, 3, 4, 5, 6];
/** Filters of even preferences match every packet. */
const PREFERENCES = [1, 2, 3, 4, 5];
const ACTIONS = { pass: 0, drop: 2 } as const;

interface Filter {
  readonly port: number;
  readonly preference: number;
  /** Of flower: no two of a preference have the same. */
  readonly host: number;
  readonly action: 'pass' | 'drop';
}

const isFlower = ({ preference }: Filter) => preference % 2 === 1;
const keyOf = (filter: Filter) =>
  `${filter.port} ${filter.preference} ${isFlower(filter) ? filter.host : 'all'}`;

function object({ port, preference, host, action, ...filter }: Filter): DecodedObject {
  const flower = isFlower({ port, preference, host, action, ...filter });
  const protocol = flower ? 0x0800 : 3;
  const act = [
    {
      kind: 'gact',
      options: { parms: { index: 1, capab: 0, action: ACTIONS[action], refcnt: 1, bindcnt: 1 } },
    },
  ];
  return {
    header: {
      family: 0,
      ifindex: port,
      handle: flower ? host : 1,
      parent: CLSACT_INGRESS,
      info: ((preference << 16) | ((protocol & 0xff) << 8) | (protocol >>> 8)) >>> 0,
    },
    kind: flower ? 'flower' : 'matchall',
    chain: 0,
    options: flower
      ? {
          key_eth_type: 0x0800,
          key_ipv4_dst: `192.0.2.${host}`,
          key_ipv4_dst_mask: '255.255.255.255',
          act,
        }
      : { act },
  };
}

class Bench {
  readonly kernel = new KernelModel();
  readonly filters = new Map<string, Filter>();
  readonly device: FakeDevice;
  readonly planner: Planner;
  runner: FakeRunner;

  constructor(options: Partial<FakeDeviceOptions>) {
    this.kernel.put('link', {
      header: { family: 0, type: 1, index: SECOND_PORT, flags: 0x10041, change: 0 },
      ifname: 'p2',
      mtu: 1500,
    });
    this.kernel.commit();
    this.device = new FakeDevice({ routes: 10, ...options });
    this.planner = new Planner({
      mirror: this.kernel.mirror,
      netfilter: 'trap',
      xfrm: 'trap',
      log: () => {},
    });
    this.planner.addPlugin({ name: 'fake', isPort: undefined });
    this.runner = new FakeRunner(this.device);
  }

  async start(): Promise<void> {
    await this.planner.pluginUp('fake', this.runner, LISTENER);
    await this.planner.settled();
  }

  async set(...filters: readonly Filter[]): Promise<void> {
    for (const filter of filters) {
      this.filters.set(keyOf(filter), filter);
      this.kernel.put('filter', object(filter));
    }
    await this.#settled();
  }

  async remove(...filters: readonly Filter[]): Promise<void> {
    for (const filter of filters) {
      this.filters.delete(keyOf(filter));
      this.kernel.remove('filter', object(filter));
    }
    await this.#settled();
  }

  async #settled(): Promise<void> {
    this.kernel.commit();
    await this.planner.settled();
  }

  /** The plugin starts over, and is read back. */
  async restart(): Promise<void> {
    this.runner.kill();
    this.runner = new FakeRunner(this.device);
    await this.start();
  }

  /** What the kernel does with a packet. */
  kernelDoes(port: number, host: number): string {
    const first = [...this.filters.values()]
      .filter((filter) => filter.port === port && (!isFlower(filter) || filter.host === host))
      .sort((a, b) => a.preference - b.preference)[0];
    return first?.action ?? 'pass';
  }

  deviceDoes(port: number, host: number): string {
    const rules: AclWant[] = [];
    let handle = 0;
    for (const [held, { kind, words }] of this.device.others) {
      const views = memoryViews(words.buffer);
      if (kind === ENTRY_KIND.aclRule) rules.push(aclWantOf(new AclRuleRecord(views, 0)));
      if (kind !== ENTRY_KIND.port) continue;
      const { ifindex, flags } = new PortRecord(views, 0);
      if (ifindex !== port) continue;
      handle = held;
      if ((flags & PORT_FLAGS.trapAll) !== 0) return 'trap';
    }
    const [first] = rules
      .filter(
        ({ port: of, destinationAddress }) =>
          of === handle && (destinationAddress === undefined || destinationAddress[3] === 0xc0000200 + host),
      )
      .sort((a, b) => a.priority - b.priority);
    return { [ACL_ACTION.drop]: 'drop', [ACL_ACTION.trap]: 'trap' }[first?.action ?? -1] ?? 'pass';
  }

  /** Packets that the device hands over, as port and host. */
  trapped(): string[] {
    const all = PORTS.flatMap((port) => HOSTS.map((host) => [port, host] as const));
    return all.filter(([port, host]) => this.deviceDoes(port, host) === 'trap').map(([, host]) => `${host}`);
  }

  /** State and reason of the filters of the first port, by preference. */
  states(): string[] {
    const states: [number, string][] = [];
    const { mirror } = this.kernel;
    mirror.forEach(KIND.filter, (id) => {
      const [offload] = this.planner.offloadOf(KIND.filter, id);
      const { state, reason } = offload!;
      states.push([id, reason === undefined ? state : `${state} ${reason}`]);
    });
    return states.sort(([a], [b]) => a - b).map(([, state]) => state);
  }

  /** Where the device neither does as the kernel, nor hands over. */
  wrong(before: ReadonlyMap<string, string> = new Map()): string[] {
    const found: string[] = [];
    for (const port of PORTS) {
      for (const host of HOSTS) {
        const [device, kernel] = [this.deviceDoes(port, host), this.kernelDoes(port, host)];
        if (device !== 'trap' && device !== kernel && device !== before.get(`${port} ${host}`))
          found.push(`${port} ${host}: ${device}, not ${kernel}`);
      }
    }
    return found;
  }

  decisions(): Map<string, string> {
    return new Map(
      PORTS.flatMap((port) => HOSTS.map((host) => [`${port} ${host}`, this.kernelDoes(port, host)] as const)),
    );
  }

  async end(): Promise<void> {
    expect(this.device.faults).toEqual([]);
    expect(await this.planner.verify()).toEqual([]);
    this.planner.close();
  }
}

async function bench(options: Partial<FakeDeviceOptions> = {}): Promise<Bench> {
  const made = new Bench(options);
  await made.start();
  return made;
}

const drop = (preference: number, host: number, port = PORT): Filter => ({
  port,
  preference,
  host,
  action: 'drop',
});

describe('more filters than places', () => {
  test('those before the first without a place stay, and nothing else is looked at behind them', async () => {
    const it = await bench({ rules: 3 });
    await it.set(drop(1, 1), drop(3, 2), drop(5, 3));
    expect(it.states()).toEqual(['offloaded', 'offloaded', 'offloaded']);
    expect(it.trapped()).toEqual([]);
    await it.set(drop(7, 4));
    expect(it.states()).toEqual(['offloaded', 'offloaded', 'refused table-full', 'refused table-full']);
    expect(it.deviceDoes(PORT, 1)).toBe('drop');
    expect(it.deviceDoes(PORT, 2)).toBe('drop');
    // Another port of the device has nothing to do with it.
    expect(it.trapped()).toEqual(['3', '4', '5', '6']);
    expect(it.deviceDoes(SECOND_PORT, 3)).toBe('pass');
    await it.remove(drop(1, 1));
    expect(it.states()).toEqual(['offloaded', 'offloaded', 'offloaded']);
    expect(it.trapped()).toEqual([]);
    await it.end();
  });

  test('one that comes before others takes the place of the last', async () => {
    const it = await bench({ rules: 4 });
    await it.set(drop(1, 1), drop(3, 2), drop(5, 3), drop(7, 4));
    await it.set({ ...drop(2, 0), action: 'pass' });
    expect(it.states()).toEqual([
      'offloaded',
      'offloaded',
      'refused table-full',
      'refused table-full',
      'offloaded',
    ]);
    expect(it.deviceDoes(PORT, 5)).toBe('pass');
    await it.end();
  });

  test('of one preference those that are there stay, wherever the new one comes', async () => {
    const it = await bench({ rules: 4 });
    await it.set(drop(1, 2), drop(1, 3), drop(1, 4), drop(1, 5));
    await it.set(drop(1, 1));
    expect(it.states().filter((state) => state === 'offloaded')).toHaveLength(3);
    expect(it.deviceDoes(PORT, 1)).toBe('trap');
    expect([2, 3, 4, 5].map((host) => it.deviceDoes(PORT, host))).toEqual(['drop', 'drop', 'drop', 'trap']);
    await it.end();
  });

  test('ports keep what they have, and one without a place for its end hands over all', async () => {
    const it = await bench({ rules: 3 });
    await it.set(drop(1, 1), drop(1, 2), drop(1, 3));
    await it.set(drop(1, 4, SECOND_PORT));
    expect(it.states()).toEqual(['offloaded', 'offloaded', 'offloaded', 'refused table-full']);
    expect(it.trapped()).toEqual(HOSTS.map(String));
    await it.restart();
    expect(it.states()).toEqual(['offloaded', 'offloaded', 'offloaded', 'refused table-full']);
    await it.end();
  });

  test('a plugin that starts over finds it as it was, and changes nothing', async () => {
    const it = await bench({ rules: 3 });
    await it.set(drop(1, 1), drop(3, 2), drop(5, 3), drop(7, 4));
    const { writes } = it.device;
    await it.restart();
    expect(it.device.writes).toBe(writes);
    expect(it.states()).toEqual(['offloaded', 'offloaded', 'refused table-full', 'refused table-full']);
    await it.end();
  });
});

test('those behind a filter that the device refuses have no packets, and say so', async () => {
  const it = await bench({ refusesRule: ({ destinationAddress }) => destinationAddress?.[3] === 0xc0000202 });
  await it.set(drop(1, 1), drop(3, 2), drop(5, 3));
  expect(it.states()).toEqual(['offloaded', 'refused unsupported-match', 'trapped after-refused-filter']);
  expect([1, 2, 3, 4].map((host) => it.deviceDoes(PORT, host))).toEqual(['drop', 'trap', 'trap', 'trap']);
  await it.remove(drop(3, 2));
  expect(it.trapped()).toEqual([]);
  await it.end();
});

test('a filter on a port that hands over all packets says so', async () => {
  const it = await bench({ refusesRule: () => true });
  await it.set(drop(1, 1), drop(3, 2));
  expect(it.states()).toEqual(['refused unsupported-match', 'refused unsupported-match']);
  expect(it.trapped()).toEqual(HOSTS.map(String));
  await it.end();
});

test('whatever comes and goes, and at every step', async () => {
  const filter = fc.record({
    port: fc.constantFrom(...PORTS),
    preference: fc.constantFrom(...PREFERENCES),
    host: fc.constantFrom(...HOSTS),
    action: fc.constantFrom('pass' as const, 'drop' as const),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(filter, fc.boolean()), { minLength: 5, maxLength: 40 }),
      fc.integer({ min: 0, max: 8 }),
      fc.option(fc.constantFrom(...HOSTS), { nil: undefined }),
      async (steps, rules, refused) => {
        const it = await bench({
          rules,
          refusesRule: ({ destinationAddress }) =>
            refused !== undefined && destinationAddress?.[3] === 0xc0000200 + refused,
        });
        const wrong: string[] = [];
        let before = it.decisions();
        it.device.options.onChange = () => void wrong.push(...it.wrong(before));
        for (const [each, isRemoval] of steps) {
          before = it.decisions();
          if (isRemoval) await it.remove(each);
          else await it.set(each);
          expect(wrong).toEqual([]);
          expect(it.wrong()).toEqual([]);
          // Nothing is handed over without need.
          if (it.filters.size <= rules && refused === undefined) expect(it.trapped()).toEqual([]);
        }
        await it.restart();
        expect([...wrong, ...it.wrong()]).toEqual([]);
        await it.end();
      },
    ),
    { numRuns: 60 },
  );
}, 120_000);
