/** The XDP data path on stock kernels: what the verifier says, VLAN links, VRFs and flower rules with real packets. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BpfObject } from '../../bpf/libbpf-ts/src/index.ts';
import { Netns } from '../support/netns.ts';
import { LabSpace } from './support.ts';

const OBJECT = fileURLToPath(new URL('../../build/bpf/datapath.bpf.o', import.meta.url));

test('the verifier takes the programs, with room to spare', () => {
  using object = BpfObject.open(OBJECT, { log: 'stats' }).load();
  for (const name of object.programNames) {
    const processed = /processed (\d+) insns/.exec(object.log(name) ?? '')?.[1];
    expect(Number(processed), name).toBeLessThan(250_000);
  }
});

describe('packets', () => {
  let space: LabSpace;
  let hosts: Netns[];

  const traps = () =>
    Object.fromEntries(
      (space.host.devices()[0]!.traps ?? []).map(({ reason, packets }) => [reason, packets]),
    );

  /** Echo requests from host 0 that were answered. */
  const ping = (to: string, count = 3, options: readonly string[] = []): number => {
    let output: string;
    try {
      output = hosts[0]!.run('ping', ['-c', `${count}`, '-i', '0.02', '-W', '2', ...options, to]);
    } catch (error) {
      output = String((error as { stdout?: unknown }).stdout);
    }
    return Number(/(\d+) received/.exec(output)?.[1] ?? Number.NaN);
  };

  /** Packets of the entry whose text contains `part`. */
  const packets = async (part: string): Promise<number> => {
    const { entries } = await space.host.stats();
    return entries.find(({ entry }) => entry.includes(part))?.packets ?? 0;
  };

  /** Host `n` has 10.<n>.0.2 without a tag and 10.1<n>.0.2 on VLAN 7. */
  beforeAll(async () => {
    space = new LabSpace();
    hosts = [new Netns(), new Netns(), new Netns()];
    space.sysctl(
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
    );
    for (const [number, host] of hosts.entries()) {
      space.script(`
        ip link add p${number} type veth peer name eth0 netns ${host.name}
        ip link set p${number} up
        ip link add link p${number} name p${number}.7 type vlan id 7
        ip link set p${number}.7 up
        ip addr add 10.${number}.0.1/24 dev p${number}
        ip addr add 10.1${number}.0.1/24 dev p${number}.7
        ip -n ${host.name} link set eth0 up
        ip -n ${host.name} link add link eth0 name eth0.7 type vlan id 7
        ip -n ${host.name} link set eth0.7 up
        ip -n ${host.name} addr add 10.${number}.0.2/24 dev eth0
        ip -n ${host.name} addr add 10.1${number}.0.2/24 dev eth0.7
        ip -n ${host.name} route add default via 10.${number}.0.1
        ip netns exec ${host.name} ping -c 1 -W 2 10.${number}.0.1
        ip netns exec ${host.name} ping -c 1 -W 2 10.1${number}.0.1
      `);
    }
    await space.start(['p?'], 'xdp');
  });

  afterAll(async () => {
    await space?.end();
    for (const host of hosts ?? []) host.close();
  });

  test('are routed, and leave with the tag of a VLAN link and come back without', async () => {
    expect(ping('10.1.0.2')).toBe(3);
    expect(await packets('route 10.1.0.2/32')).toBe(3);
    expect(ping('10.11.0.2')).toBe(3);
    expect(await packets('route 10.11.0.2/32')).toBe(3);
    await space.verified();
  });

  test('that flower drops are dropped by the data path, and counted by the rule', async () => {
    space.script(`
      tc qdisc add dev p0 clsact
      tc filter add dev p0 ingress protocol ip pref 10 flower ip_proto icmp dst_ip 10.1.0.2 action drop
    `);
    await space.settled();
    expect(ping('10.1.0.2')).toBe(0);
    expect(ping('10.2.0.2')).toBe(3);
    const { entries } = await space.host.stats();
    expect(entries.filter(({ entry }) => entry.includes('flower')).map(({ packets }) => packets)).toEqual([
      3,
    ]);
    space.script('tc filter del dev p0 ingress pref 10');
    await space.settled();
    expect(ping('10.1.0.2')).toBe(3);
    await space.verified();
  });

  test('of a VRF do not see the routes of another', async () => {
    space.script(`
      ip link add red type vrf table 100
      ip link set red up
      ip link set p2 master red
    `);
    await space.settled();
    const before = traps();
    expect(ping('10.2.0.2')).toBe(0);
    expect(traps()['lpm miss']! - (before['lpm miss'] ?? 0)).toBe(3);
  });
});
