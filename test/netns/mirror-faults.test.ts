/** Lost notifications, storms, namespaces that go, missing rights: the mirror recovers, or says what it cannot have. */

import { execFileSync } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { AF_INET6 } from '../../host/kernel/rtnetlink.ts';
import { KernelSync, type KernelSyncOptions } from '../../host/kernel/sync.ts';
import { Mirror } from '../../host/mirror/mirror.ts';
import { KIND, KINDS } from '../../host/mirror/types.ts';
import {
  NetlinkClient,
  type NetlinkClientOptions,
  NetlinkError,
  type NetlinkRequest,
} from '../../host/netlink/request.ts';
import { MirrorBench } from './mirror-support.ts';

let bench: MirrorBench;

afterEach(() => bench?.close());

async function begin(options: KernelSyncOptions = {}): Promise<void> {
  bench = new MirrorBench(options);
  bench.veth('east', 'west');
  bench.ip('address add 10.0.0.1/24 dev east');
  await bench.sync.start();
}

const equal = async () => expect(await bench.differences()).toEqual([]);

/** Calls `onShown` before each object that a dump shows. */
class Watching extends NetlinkClient {
  readonly #onShown: (request: NetlinkRequest) => void;

  constructor(options: NetlinkClientOptions, onShown: (request: NetlinkRequest) => void) {
    super(options);
    this.#onShown = onShown;
  }

  override dump(...[request, handler]: Parameters<NetlinkClient['dump']>): Promise<boolean> {
    return super.dump(request, (...shown) => {
      this.#onShown(request);
      handler(...shown);
    });
  }
}

/** Lines for `ip -batch`: `count` routes from 16.0.0.0/32 on. */
function routes(verb: string, count: number, via = '10.0.0.2'): string[] {
  return Array.from({ length: count }, (_, at) => {
    const address = `${16 + (at >> 24)}.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`;
    return `route ${verb} ${address}/32 via ${via}`;
  });
}

describe('IPv6 routes that come and go all the while', () => {
  const prefix = (number: number) =>
    `2001:db8:${(number >> 8).toString(16)}:${(number & 255).toString(16)}::/64`;
  const line = (verb: string, number: number) => `route ${verb} ${prefix(number)} via fe80::1 dev east`;
  const ROUTES = 20_000;

  it('keep no mirror from being in sync', async () => {
    let shown = 0;
    let changed = 0;
    bench = new MirrorBench({
      openClient: (options) =>
        new Watching(options, ({ operation, payload }) => {
          // A few times in each dump.
          if (!operation.includes('route') || payload[0] !== AF_INET6 || ++shown % 6000 !== 0) return;
          const number = (changed++ * 37) % ROUTES;
          bench.batch([line('del', number), line('add', number)]);
        }),
    });
    bench.veth('east', 'west');
    bench.batch(Array.from({ length: ROUTES }, (_, number) => line('add', number)));
    await bench.sync.start();
    expect(bench.mirror.synced).toBe(true);
    await bench.sync.resync(['route']);
    expect(bench.logs.filter((text) => text.includes('changed during each'))).toEqual([]);
    const { interrupted } = bench.sync.status();
    expect(interrupted).toBeGreaterThan(2);
    expect(changed).toBeGreaterThan(interrupted);
    // Nothing changes under dumps from here on.
    shown = Number.NEGATIVE_INFINITY;
    await equal();
    expect(bench.count('route')).toBeGreaterThan(ROUTES);
  });

  it.each([
    ['a link that falls', 'link set doomed down', 'via fe80::1 dev doomed'],
    ['a nexthop object that goes', 'nexthop del id 7', 'nhid 7'],
  ])('go without a word in the middle of a dump, with %s', async (_, command, way) => {
    let shown = 0;
    bench = new MirrorBench({
      openClient: (options) =>
        new Watching(options, ({ operation, payload }) => {
          // In the first dump, once thousands were shown; with one more route the kernel begins at the root.
          if (!operation.includes('route') || payload[0] !== AF_INET6 || ++shown !== 6000) return;
          bench.ip(command);
          bench.ip(`-6 ${line('add', ROUTES)}`);
        }),
    });
    bench.veth('east', 'west');
    bench.veth('doomed', 'other');
    bench.run('sysctl', '-qw', 'net.ipv4.nexthop_compat_mode=0', 'net.ipv6.route.skip_notify_on_dev_down=1');
    bench.ip('nexthop add id 7 via fe80::1 dev doomed');
    bench.batch(
      Array.from({ length: 3000 }, (_, number) => `route add 2001:db7:${number.toString(16)}::/64 ${way}`),
    );
    bench.batch(Array.from({ length: ROUTES }, (_, number) => line('add', number)));
    await bench.sync.start();
    expect(shown).toBeGreaterThan(6000);
    await equal();
    expect(bench.count('route')).toBeGreaterThan(ROUTES);
  });
});

describe('a receive buffer that is too small', () => {
  it('100,000 routes come and go: what is lost is read again', async () => {
    await begin({ receiveBuffer: 4096 });
    bench.batch(routes('add', 100_000));
    await equal();
    expect(bench.count('route')).toBeGreaterThan(100_000);
    const { overruns, lost, lastResync } = bench.sync.status();
    expect(overruns).toBeGreaterThan(0);
    expect(lost).toBeGreaterThan(0);
    expect(lastResync).toMatchObject({ cause: 'overrun', duration_ms: expect.any(Number) });
    expect(lastResync?.kinds).toContain('route');
    bench.batch(routes('del', 100_000));
    await equal();
    expect(bench.count('route')).toBeLessThan(100);
    expect(bench.mirror.synced).toBe(true);
  });

  it('a storm while the loop does not read', async () => {
    await begin({ receiveBuffer: 4096 });
    // Both run while this process waits: nothing is received meanwhile.
    bench.batch(routes('add', 20_000));
    bench.batch(routes('del', 10_000));
    await equal();
    expect(bench.count('route')).toBeGreaterThan(10_000);
    expect(bench.sync.status().overruns).toBeGreaterThan(0);
  });

  it('routes are announced, and it is their deletion that is lost: they do not come back', async () => {
    // Of one kind alone: its dump begins while most of the announcements are still in the buffer.
    await begin({ kinds: ['route'], receiveBuffer: 1 << 20 });
    bench.batch([...routes('add', 6000), ...routes('del', 6000)]);
    await equal();
    expect(bench.sync.status().overruns).toBeGreaterThan(0);
  });
});

describe('storms', () => {
  it('changes while everything is being read', async () => {
    bench = new MirrorBench();
    bench.veth('east', 'west');
    bench.ip('address add 10.0.0.1/24 dev east');
    bench.batch(routes('add', 50_000));
    const started = bench.sync.start();
    await new Promise((resolve) => setTimeout(resolve, 30));
    // Synchronous, so that notifications pile up behind the dump.
    bench.batch(routes('replace', 5000, '10.0.0.3'));
    bench.batch(routes('del', 2500, '10.0.0.3'));
    await started;
    await equal();
    expect(bench.count('route')).toBeGreaterThan(47_500);
    expect(bench.sync.status().overruns).toBe(0);
  });

  it('links that flap under routes', async () => {
    await begin();
    bench.batch(routes('add', 5000));
    const lines: string[] = [];
    for (let round = 0; round < 20; round++) {
      lines.push('link set east down', 'link set east up', ...routes('replace', 200));
    }
    bench.batch(lines);
    await equal();
  });

  it('300 links come and go', async () => {
    await begin();
    const names = Array.from({ length: 150 }, (_, at) => at);
    bench.batch(names.map((at) => `link add a${at} type veth peer name b${at}`));
    bench.batch(
      names.flatMap((at) => [
        `link set a${at} up`,
        `link set b${at} up`,
        `address add 10.7.${at}.1/24 dev a${at}`,
      ]),
    );
    await equal();
    expect(bench.count('link')).toBe(303);
    bench.batch(names.map((at) => `link del a${at}`));
    await equal();
    expect(bench.count('link')).toBe(3);
  });
});

/** Waits until the kernel has nothing more to say, e.g. of duplicate address detection. */
async function quiet(): Promise<void> {
  let last = -1;
  for (let since = Date.now(); Date.now() - since < 2500; ) {
    await bench.sync.barrier();
    if (bench.mirror.revision !== last) since = Date.now();
    last = bench.mirror.revision;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('reading again', () => {
  it('changes nothing for the listeners when nothing changed', async () => {
    await begin();
    bench.batch(routes('add', 2000));
    await quiet();
    const { revision } = bench.mirror;
    await bench.sync.resync();
    await bench.sync.barrier();
    expect(bench.mirror.revision).toBe(revision);
    await equal();
  });

  it('says what differs', async () => {
    await begin();
    await bench.sync.barrier();
    // An object the kernel does not have: as if its deletion had been missed.
    const table = bench.mirror.table(KIND.rule);
    const bytes = new Uint8Array(12);
    bytes.set([2, 0, 0, 0, 254, 0, 0, 1]);
    const data = { bytes, words: new Uint32Array(bytes.buffer) };
    table.insert(table.match(data, 0, 12)!.hash, data, 0, 12);
    bench.mirror.commit();
    const { equal: same, differences } = await bench.sync.verify();
    expect(same).toBe(false);
    expect(differences).toMatchObject([{ kind: 'rule', side: 'mirror-only' }]);
    await bench.sync.resync(['rule']);
    await equal();
  });
});

describe('refused dumps', () => {
  it('leave the filters, qdiscs and routes that are there', async () => {
    const refused = new Set<number>();
    class Refusing extends NetlinkClient {
      override async dump(...[request, handler]: Parameters<NetlinkClient['dump']>): Promise<boolean> {
        if (!refused.has(request.type)) return super.dump(request, handler);
        throw new NetlinkError(request.operation, constants.errno.ENOMEM, undefined);
      }
    }
    await begin({ openClient: (options) => new Refusing(options) });
    bench.tc('qdisc add dev east clsact');
    bench.tc('filter add dev east ingress pref 5 protocol ip u32 match ip dst 198.51.100.1/32 flowid 1:1');
    bench.ip('route add 203.0.113.0/24 via 10.0.0.2 table 77');
    await equal();
    const kinds = ['filter', 'chain', 'qdisc', 'route'] as const;
    const counts = () => kinds.map((kind) => bench.count(kind));
    await quiet();
    const before = counts();
    expect(Math.min(before[0]!, before[2]!)).toBeGreaterThan(0);
    // RTM_GETROUTE, RTM_GETQDISC, RTM_GETTFILTER, RTM_GETCHAIN
    for (const type of [26, 38, 46, 102]) refused.add(type);
    const again = bench.sync.resync();
    const deadline = Date.now() + 60_000;
    while (bench.sync.status().failing.length < kinds.length && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(
      bench.sync
        .status()
        .failing.map(({ kind }) => kind)
        .sort(),
    ).toEqual([...kinds].sort());
    expect(counts()).toEqual(before);
    // What is announced meanwhile is followed.
    bench.tc('filter add dev east ingress pref 6 protocol ip u32 match ip dst 198.51.100.2/32 flowid 1:1');
    await bench.sync.barrier();
    expect(bench.count('filter')).toBeGreaterThan(before[0]!);
    expect((await bench.sync.verify()).equal).toBe(false);
    refused.clear();
    await again;
    await equal();
    expect(bench.sync.status().failing).toEqual([]);
  });
});

describe('filters', () => {
  it('only some kinds and tables', async () => {
    await begin({ kinds: ['link', 'route'], tables: [254, 77] });
    bench.ip('route add 203.0.113.0/24 via 10.0.0.2');
    bench.ip('route add 203.0.114.0/24 via 10.0.0.2 table 77');
    bench.ip('route add 203.0.115.0/24 via 10.0.0.2 table 78');
    await equal();
    const tables = new Set(bench.objects('route').map((route) => route.table));
    expect([...tables].sort()).toEqual([254, 77]);
    expect(bench.count('address')).toBe(0);
    expect(bench.mirror.kindState(KIND.address)).toEqual({ state: 'unavailable', reason: 'not mirrored' });
    await bench.sync.resync();
    await equal();
  });
});

describe('namespaces', () => {
  it('one that does not exist', async () => {
    const sync = new KernelSync(new Mirror(), { netns: `ekho-${process.pid}-none` });
    await expect(sync.start()).rejects.toMatchObject({ code: 'E_NETNS' });
    sync.close();
  });

  it('a file that is none', async () => {
    const sync = new KernelSync(new Mirror(), { netns: '/etc/hostname' });
    await expect(sync.start()).rejects.toMatchObject({ code: 'E_NETNS' });
    sync.close();
  });

  it('deleted while it is mirrored', async () => {
    await begin();
    execFileSync('ip', ['netns', 'del', bench.netns]);
    await bench.sync.barrier();
    await bench.sync.resync();
    expect(bench.mirror.synced).toBe(true);
  });

  it('deleted before it could be read', async () => {
    bench = new MirrorBench({
      kinds: ['link', 'address'],
      // Notifications are subscribed to by now; what reads enters the namespace with its first request.
      openClient: (options) => {
        execFileSync('ip', ['netns', 'del', options.netns!]);
        return new NetlinkClient(options);
      },
    });
    await expect(bench.sync.start()).rejects.toMatchObject({
      code: 'E_NETNS',
      message: `network namespace ${bench.netns} was deleted`,
      remedy: 'Start the host again once there is a namespace of that name.',
    });
    expect(bench.mirror.synced).toBe(false);
    expect(bench.logs.filter((text) => text.includes('what is left'))).toEqual([]);
  });

  it('this process stays where it is', async () => {
    const links = () => execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' });
    const before = links();
    await begin();
    expect(links()).toBe(before);
  });
});

describe('rights', () => {
  it('without any, all is mirrored that the kernel shows to everybody', () => {
    const script = `
      import { KernelSync } from '${join(import.meta.dirname, '../../host/kernel/sync.ts')}';
      import { Mirror } from '${join(import.meta.dirname, '../../host/mirror/mirror.ts')}';
      import { KINDS } from '${join(import.meta.dirname, '../../host/mirror/types.ts')}';
      const mirror = new Mirror();
      const sync = new KernelSync(mirror);
      await sync.start();
      const { equal } = await sync.verify();
      console.log(JSON.stringify({ equal, states: KINDS.map((kind, number) => mirror.kindState(number)) }));
      sync.close();`;
    const output = execFileSync(process.execPath, ['--input-type=module-typescript', '-e', script], {
      encoding: 'utf8',
      uid: 65534,
      gid: 65534,
      cwd: '/',
    });
    const { equal: same, states } = JSON.parse(output);
    expect(same).toBe(true);
    expect(states[KIND.route]).toEqual({ state: 'synced' });
    for (const kind of KINDS.filter((name) => name.startsWith('nft-'))) {
      expect(states[KIND[kind]]).toMatchObject({
        state: 'unavailable',
        reason: expect.stringContaining('permitted'),
      });
    }
  });
});
