/** What a plugin is told of the kernel as it happens, in order: from the mirror, and from the notifiers this machine has. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { probe } from '../../bpf/libbpf-ts/src/index.ts';
import { TestHost } from '../support/host.ts';
import { Netns } from '../support/netns.ts';
import { buildListener, type Told, toldBy } from '../support/notices.ts';

const HAS_TRACEPOINTS = probe('tp_btf').status === 'available';

describe('a plugin that wants all notices', () => {
  const space = new Netns();
  let host: TestHost;

  beforeAll(async () => {
    space.ip('link add p0 type veth peer name p0x');
    space.sysctl('net.ipv4.ip_forward=1', 'net.ipv6.conf.p0.disable_ipv6=1');
    space.ip('link add br0 type bridge');
    for (const link of ['p0', 'p0x', 'br0']) space.ip(`link set ${link} up`);
    space.ip('addr add 192.0.2.1/24 dev p0');
    host = new TestHost({ netns: space.name, plugin: 'listener', folder: await buildListener() });
    await host.start();
  }, 120_000);
  afterAll(async () => {
    await host?.close();
    space.close();
  });

  const told = async (): Promise<Told[]> =>
    (await host.logs()).map(({ message }) => toldBy(message)).filter((notice) => notice !== undefined);

  /** What it is told of a type because of `cause`; of others' addresses it may hear at any time. */
  async function hears(type: string, cause: () => void, mac?: string): Promise<Told> {
    const before = (await told()).at(-1)?.sequence ?? 0;
    cause();
    let found: Told | undefined;
    await expect
      .poll(
        async () => {
          found = (await told()).find(
            (notice) =>
              notice.sequence > before && notice.type === type && (mac === undefined || notice.mac === mac),
          );
          return found;
        },
        { timeout: 60_000 },
      )
      .toBeDefined();
    return found!;
  }

  it('hears of links and neighbours', async () => {
    expect(await hears('mtu-changed', () => space.ip('link set p0 mtu 1400'))).toMatchObject({
      hasPort: true,
      value: 1400,
    });
    const neighbour = await hears(
      'neighbour-update',
      () => space.ip('neigh replace 192.0.2.9 lladdr 02:00:00:00:00:09 dev p0 nud permanent'),
      '20000000009',
    );
    expect(neighbour).toMatchObject({ hasPort: true, mac: '20000000009', address: '0 c0000209' });
    expect(await hears('link-down', () => space.ip('link set p0 down'))).toMatchObject({ hasPort: true });
    await hears('link-up', () => space.ip('link set p0 up'));
  });

  it.skipIf(!HAS_TRACEPOINTS)(
    'hears of forwarding entries from the notifiers, at the kernel’s time',
    async () => {
      const { ifindex } = await hears('bridge-joined', () => space.ip('link set p0 master br0'));
      const before = Number(process.hrtime.bigint() / 1_000_000n);
      const entry = ['02:00:00:00:aa:01', 'dev', 'p0', 'master', 'static'];
      const mac = '2000000aa01';
      const changed = await hears('fdb-changed', () => space.run('bridge', ['fdb', 'add', ...entry]), mac);
      expect(changed).toMatchObject({ hasPort: true, ifindex });
      expect(changed.time).toBeGreaterThanOrEqual(before);
      expect(changed.time).toBeLessThanOrEqual(Number(process.hrtime.bigint() / 1_000_000n));
      const removed = await hears('fdb-removed', () => space.run('bridge', ['fdb', 'del', ...entry]), mac);
      expect(removed).toMatchObject({ hasPort: true });
      // Not of ports of others.
      space.run('bridge', ['fdb', 'add', '02:00:00:00:bb:01', 'dev', 'br0', 'self', 'local']);
      await hears('fdb-changed', () => space.run('bridge', ['fdb', 'add', ...entry]), mac);
      expect((await told()).filter(({ mac }) => mac === '2000000bb01')).toEqual([]);
    },
  );

  it('in order and without gaps', async () => {
    const sequences = (await told()).map(({ sequence }) => sequence);
    expect(sequences.length).toBeGreaterThan(4);
    expect(sequences).toEqual(sequences.map((_, at) => sequences[0]! + at));
  });
});
