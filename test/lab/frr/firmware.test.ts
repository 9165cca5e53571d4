/**
 * FRR on a host's marks: zebra learns from the kernel what hardware has, and BGP tells its neighbours of nothing else. Three routers
 * in a row; hardware of the one in the middle has no room for all that the first one announces.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isLoaded, load, needsModule, unload } from '../firmware-support.ts';
import { LabSpace } from '../support.ts';
import { FrrRouter, hasFrr } from './support.ts';

const SOON = { timeout: 180_000, interval: 500 };
const PREFIXES = Array.from({ length: 24 }, (_, n) => `10.64.${n}.0/24`);
/** Announced while no host is there. */
const LATE = '10.64.99.0/24';
/** Rows of the table of IPv4 routes. */
const ROOM = 16;
/** Of them, those that the namespace's own routes may need; less than that. */
const OWN = 6;
/** Rows of the next host's. */
const LESS_ROOM = 6;
const PORTS = ['v1', 'v2'];

beforeEach((context) => {
  needsModule(context);
  if (!hasFrr()) context.skip('needs FRR in the guest');
});

/** bgpd.conf of router 65000 + `number`, whose neighbours have these addresses and numbers. */
function bgp(number: number, neighbours: Record<string, number>, lines: readonly string[]): string {
  const peers = Object.entries(neighbours).map(
    ([address, other]) => ` neighbor ${address} remote-as ${65000 + other}
 neighbor ${address} timers connect 1
 neighbor ${address} advertisement-interval 0`,
  );
  return `
router bgp ${65000 + number}
 bgp router-id 10.0.0.${number}
 no bgp ebgp-requires-policy
 no bgp network import-check
${[...lines, ...peers].join('\n')}
`;
}

/** Of `show ip route json`. */
interface Route {
  /** Absent: zebra does not know; false: it failed. */
  readonly offloaded?: boolean;
}

describe('FRR', () => {
  const spaces: LabSpace[] = [];
  const routers: FrrRouter[] = [];

  beforeAll(async () => {
    if (!hasFrr()) return;
    try {
      load();
    } catch {
      return; // beforeEach() says why.
    }
    for (let n = 0; n < 3; n++) spaces.push(new LabSpace());
    const [first, middle, last] = spaces as [LabSpace, LabSpace, LabSpace];
    middle.sysctl('net.ipv4.ip_forward=1', 'net.ipv4.fib_notify_on_flag_change=1');
    middle.script(`
      ip link add v1 type veth peer name v0 netns ${first.name}
      ip link add v2 type veth peer name v0 netns ${last.name}
      ip link set v1 up; ip link set v2 up
      ip addr add 192.0.2.2/24 dev v1
      ip addr add 198.51.100.2/24 dev v2
      ip -n ${first.name} link set v0 up; ip -n ${first.name} addr add 192.0.2.1/24 dev v0
      ip -n ${last.name} link set v0 up; ip -n ${last.name} addr add 198.51.100.3/24 dev v0
    `);
    const zebra = ['--asic-offload=notify_on_offload'];
    const middling = bgp(2, { '192.0.2.1': 1, '198.51.100.3': 3 }, [' bgp suppress-fib-pending']);
    const announced = PREFIXES.map((prefix) => ` network ${prefix}`);
    routers.push(
      new FrrRouter(middle, zebra, middling),
      new FrrRouter(last, undefined, bgp(3, { '198.51.100.2': 2 }, [])),
      new FrrRouter(first, undefined, bgp(1, { '192.0.2.2': 2 }, announced)),
    );
  }, 300_000);

  afterAll(async () => {
    for (const router of routers) await router.end();
    for (const space of spaces) await space.end();
    if (isLoaded()) await unload();
  });

  const startHost = (room: number) =>
    spaces[1]!.start(PORTS, 'softnic', [
      'firmware.marks = "on"',
      `device.device0.tables = { lpm4 = ${room} }`,
    ]);

  /** Prefixes that the kernel shows with a mark. */
  const marked = (mark: string) =>
    spaces[1]!
      .json('ip -j route show')
      .filter(({ dst, flags }) => String(dst).startsWith('10.64.') && (flags as string[]).includes(mark))
      .map(({ dst }) => String(dst))
      .sort();

  /** Prefixes that zebra takes for offloaded, or for those that could not be. */
  const believed = (isOffloaded: boolean) => {
    const routes = routers[0]!.json<Record<string, Route[]>>('show ip route bgp');
    return Object.keys(routes)
      .filter((prefix) => routes[prefix]!.some((route) => route.offloaded === isOffloaded))
      .sort();
  };

  /** What the neighbour behind has heard of. */
  const heard = () => {
    const { routes } = routers[1]!.json<{ routes: object }>('show bgp ipv4 unicast');
    return Object.keys(routes).sort();
  };

  /** Prefixes in the kernel that zebra installed. */
  const installed = () =>
    spaces[1]!
      .json('ip -j route show proto bgp')
      .map(({ dst }) => String(dst))
      .sort();

  test('a neighbour hears of nothing while no hardware has it', async () => {
    await expect.poll(installed, SOON).toEqual([...PREFIXES].sort());
    expect(believed(true)).toEqual([]);
    expect(believed(false)).toEqual([]);
    expect(heard()).toEqual([]);
  });

  test('a neighbour hears of what is in hardware alone', { timeout: 900_000 }, async () => {
    await startHost(ROOM);
    await expect
      .poll(() => marked('rt_offload').length + marked('rt_offload_failed').length, SOON)
      .toBe(PREFIXES.length);
    const offloaded = marked('rt_offload');
    const failed = marked('rt_offload_failed');
    expect(failed.length).toBeGreaterThan(0);
    expect(offloaded.length).toBeGreaterThanOrEqual(failed.length);
    await expect.poll(() => believed(true), SOON).toEqual(offloaded);
    await expect.poll(() => believed(false), SOON).toEqual(failed);
    await expect.poll(heard, SOON).toEqual(offloaded);
    const text = routers[0]!.show('show ip route bgp');
    for (const prefix of failed) expect(text).toMatch(new RegExp(`^B>o ?${prefix} `, 'm'));
    for (const prefix of offloaded) expect(text).toMatch(new RegExp(`^B>\\* ?${prefix} `, 'm'));
  });

  test('what is withdrawn makes room for what is then announced', async () => {
    const failed = marked('rt_offload_failed');
    const gone = marked('rt_offload').slice(0, failed.length + OWN);
    routers[2]!.show(
      'configure terminal',
      'router bgp 65001',
      'address-family ipv4 unicast',
      ...gone.map((prefix) => `no network ${prefix}`),
    );
    const left = PREFIXES.filter((prefix) => !gone.includes(prefix)).sort();
    await expect.poll(() => marked('rt_offload'), SOON).toEqual(left);
    await expect.poll(heard, SOON).toEqual(left);
    await expect.poll(() => believed(false), SOON).toEqual([]);
  });

  test('without a host all stays as it was heard, and the next one tells what it has no room for', {
    timeout: 900_000,
  }, async () => {
    const before = heard();
    await spaces[1]!.stop();
    await expect.poll(() => marked('rt_offload'), SOON).toEqual([]);
    // Once this one is there, zebra was told that the others have no mark.
    routers[2]!.show(
      'configure terminal',
      'router bgp 65001',
      'address-family ipv4 unicast',
      `network ${LATE}`,
    );
    await expect.poll(installed, SOON).toContain(LATE);
    expect(heard()).toEqual(before);
    await startHost(LESS_ROOM);
    await expect
      .poll(() => marked('rt_offload').length + marked('rt_offload_failed').length, SOON)
      .toBe(before.length + 1);
    const offloaded = marked('rt_offload');
    expect(offloaded.length).toBeGreaterThan(0);
    expect(offloaded.length).toBeLessThan(before.length);
    await expect.poll(heard, SOON).toEqual(offloaded);
  });
});
