/**
 * Meters of Open vSwitch in hardware: policers of tc by themselves, which its flows share and which change under them. Open vSwitch makes them for software
 * as well, so its flows are there, too (`tc-policy` none).
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { frameOf, numberOf, type Packet } from '../../packets/frame.ts';
import { WireEnd } from '../../packets/wire.ts';
import { faults, isLoaded, load, needsModule, SOON, Switch, unload } from '../firmware-support.ts';
import { OpenVswitch, packetsOf } from './support.ts';

/** Packets that each case sends at once: many more than its meter lets pass. */
const PACKETS = 60;
/** Longest that a packet too many is waited for, in milliseconds. */
const QUIET_MS = 500;

const came: Packet = {
  port: 0,
  from: '02:00:00:00:00:01',
  to: '02:00:00:00:00:02',
  payload: 500,
  body: {
    is: 'ip4',
    source: '192.0.2.1',
    destination: '192.0.2.9',
    ttl: 64,
    l4: { is: 'udp', sport: 1000, dport: 80 },
  },
};

let faultsBefore: string[];
let space: Switch;
let ends: WireEnd[];
let ovs: OpenVswitch;
let next = 0;

beforeEach((context) => needsModule(context));

beforeAll(async () => {
  faultsBefore = faults();
  try {
    load();
  } catch {
    return; // beforeEach() says why.
  }
  space = new Switch();
  // Silence: IPv6 has hosts and switch speak by themselves.
  for (const each of [space, ...space.hosts])
    each.script('sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1');
  ends = space.hosts.map(
    (host) => new WireEnd(host.name, Number(host.run('cat', ['/sys/class/net/eth0/ifindex']))),
  );
  ovs = new OpenVswitch(space);
  await space.start(['sw?'], 'xdp', ['firmware.enabled = "on"', 'statistics.interval = 1']);
  await ovs.start('none');
  ovs.run('ovs-ofctl del-flows br0');
}, 900_000);

afterAll(async () => {
  for (const end of ends ?? []) end[Symbol.dispose]();
  ovs?.end();
  await space?.end();
  if (isLoaded()) await unload();
});

const flow = () => ovs.flows('offloaded').find((line) => line.includes('in_port(sw0)'));

/** Sends packets into the first port; how many of them leave by the second. */
async function passedOf(count: number): Promise<number> {
  const first = next;
  next += count;
  let passed = 0;
  const take = () => {
    for (const frame of ends[1]!.received()) if ((numberOf(frame) ?? -1) >= first) passed++;
    return passed;
  };
  for (let number = first; number < next; number++) expect(ends[0]!.send(frameOf(came, number))).toBe(true);
  await expect.poll(take, SOON).toBeGreaterThan(0);
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  return take();
}

/** What hardware counted of the meter's policer, and what it dropped of that. */
function policer(): { hardware: number; dropped: number } {
  const [one] = space
    .json('tc -s -j actions ls action police')
    .flatMap((row) => (row.actions as { stats: { hw_packets?: number; drops: number } }[]) ?? []);
  return { hardware: one?.stats.hw_packets ?? 0, dropped: one?.stats.drops ?? 0 };
}

/** Waits until counters stand still. */
async function settledCounts<T>(counts: () => T): Promise<T> {
  let last = '';
  const isSame = () => {
    const before = last;
    last = JSON.stringify(counts());
    return last === before;
  };
  await expect.poll(isSame, { ...SOON, interval: 3000 }).toBe(true);
  return counts();
}

test.each(['kbps', 'pktps'])(
  'a meter in hardware drops what is more, counts it, and changes: %s',
  async (unit) => {
    const set = (command: string, rate: number) =>
      ovs.run(
        `ovs-ofctl -O OpenFlow13 ${command} br0 meter=1,${unit},burst,band=type=drop,rate=${rate},burst_size=10`,
      );
    set('add-meter', 8);
    ovs.run('ovs-ofctl -O OpenFlow13 add-flow br0 udp,in_port=sw0,actions=meter:1,output:sw1');
    const isThere = async () => {
      await passedOf(1).catch(() => 0);
      return packetsOf(flow()) > 0;
    };
    await expect.poll(isThere, SOON).toBe(true);
    expect(flow()).toMatch(/actions:meter\(\d+\),sw1$/);
    const counts = () => ({ ...policer(), flow: packetsOf(flow()) });
    const before = await settledCounts(counts);
    const passed = await passedOf(PACKETS);
    expect(passed).toBeLessThan(PACKETS / 2);
    await expect.poll(counts, SOON).toEqual({
      hardware: before.hardware + PACKETS,
      dropped: before.dropped + PACKETS - passed,
      flow: before.flow + PACKETS,
    });
    set('mod-meter', 1_000_000);
    await space.settled();
    expect(await passedOf(10)).toBe(10);
    expect(space.host.status().firmware).toMatchObject({ amiss: 0 });
    expect(ovs.flows('ovs')).toEqual([]);
    ovs.run('ovs-ofctl del-flows br0');
    ovs.run('ovs-appctl --timeout=60 revalidator/purge');
    ovs.run('ovs-ofctl -O OpenFlow13 del-meters br0');
    expect(faults().filter((line) => !faultsBefore.includes(line))).toEqual([]);
  },
);
