/**
 * Rules of tc on ports whose driver asks firmware, with a host: the XDP data path is their hardware. What tc shows is what becomes
 * of packets.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { SOON, Switch, withModule } from './firmware-support.ts';

const FIRMWARE = ['firmware.enabled = "on"', 'statistics.interval = 1'];
const PINGS = 20;
/** Bytes of an Ethernet frame of `ping -s 100`. */
const FRAME = 14 + 20 + 8 + 100;

describe('firmware of a host', () => {
  let space: Switch;

  withModule(async () => {
    space = new Switch();
    space.script(`
      sysctl -qw net.ipv4.ip_forward=1
      ip addr add 192.0.2.1/25 dev sw0
      ip addr add 192.0.2.129/25 dev sw1
      ip -n ${space.hosts[0].name} addr add 192.0.2.2/25 dev eth0
      ip -n ${space.hosts[0].name} route add default via 192.0.2.1
      ip -n ${space.hosts[1].name} addr add 192.0.2.130/25 dev eth0
      ip -n ${space.hosts[1].name} route add default via 192.0.2.129
    `);
    await space.start(['sw?'], 'xdp', FIRMWARE);
  });

  afterAll(() => space?.end());

  /** How many of `count` pings from the first host to the second come back. */
  function pings(count: number): number {
    const text = space.hosts[0].run('bash', [
      '-c',
      `ping -q -n -s 100 -c ${count} -i 0.01 -W 1 192.0.2.130 || true`,
    ]);
    return Number(/(\d+) received/.exec(text)?.[1]);
  }

  const clear = () => space.script('tc filter del dev sw0 ingress; tc filter del dev sw1 ingress');
  const status = () => space.host.status().firmware;
  const counted = () => {
    const { packets, bytes } = space.filters('dev sw0 ingress')[0]!;
    return { packets, bytes };
  };

  test('a rule that software skips is what hardware does, and counts', async () => {
    await expect.poll(() => pings(3), SOON).toBe(3);
    space.script(`
      tc filter add dev sw0 ingress pref 1 protocol ip flower skip_sw ip_proto icmp type 8 action drop
      tc filter add dev sw0 ingress pref 2 protocol ip flower skip_sw dst_ip 192.0.2.200/29 ip_proto udp dst_port 53 action drop
    `);
    await space.settled();
    expect(space.filters('dev sw0 ingress').map(({ isInHardware }) => isInHardware)).toEqual([true, true]);
    expect(pings(PINGS)).toBe(0);
    await expect.poll(counted, SOON).toEqual({ packets: PINGS, bytes: PINGS * FRAME });
    clear();
    await space.settled();
    await expect.poll(() => pings(3), SOON).toBe(3);
    expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
    await expect.poll(status, SOON).toEqual({ state: 'on', rules: 0, amiss: 0 });
  });

  test('what the planner cannot express is refused in its words', () => {
    const add = 'tc filter add dev sw0 ingress pref 1 protocol';
    expect(space.refusal(`${add} ip flower skip_sw ip_ttl 3 action drop`)).toContain(
      'unsupported-match: it matches on a field the plugin cannot match',
    );
    expect(space.refusal(`${add} ip flower skip_sw dst_ip 192.0.2.9 action skbedit mark 7`)).toContain(
      'unsupported-action: the plugin cannot do its action',
    );
    expect(
      space.refusal(`${add} ip flower skip_sw dst_ip 192.0.2.9 action mirred egress redirect dev lo`),
    ).toContain('egress-not-a-port: it leaves by a link that is not a port of this device');
    expect(space.refusal(`${add} ip chain 1 flower skip_sw dst_ip 192.0.2.9 action drop`)).toContain(
      'unsupported-kind: the plugin does not hold this kind',
    );
    expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
    clear();
  });

  test('what was accepted and is not in hardware is told of', async () => {
    const add = 'tc filter add dev sw0 ingress pref 1 protocol ip flower';
    // Which of two masks goes first the kernel does not tell.
    space.script(`${add} dst_ip 192.0.2.209 action drop; ${add} dst_ip 192.0.2.208/29 action drop`);
    await space.settled();
    await expect.poll(status, SOON).toEqual({ state: 'on', rules: 2, amiss: 2 });
    expect(space.said.join('\n')).toContain('the kernel was told that the flower rule with preference 1');
    const [explained] = await space.host.explain('filter', ['dev', 'sw0', 'ingress'], 1);
    expect(explained!.lines.join('\n')).toContain('the kernel shows it as in_hw');
    clear();
    await space.settled();
    await expect.poll(status, SOON).toEqual({ state: 'on', rules: 0, amiss: 0 });
  });
});
