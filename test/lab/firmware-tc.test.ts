/**
 * tc on ports whose driver asks firmware, with a host: every match, shared blocks, rules that are replaced, and counters that have every
 * packet. The XDP data path is the hardware. EKHO_FIRMWARE_PACKETS sends more packets than usual, and prints what came of them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { SOON, Switch, withModule } from './firmware-support.ts';
import { addLines, deleteLines, sendToEach, toldOf } from './many-rules.ts';
import { PACE } from './pace.ts';

const PACKETS = Number(process.env.EKHO_FIRMWARE_PACKETS ?? 20_000);
/** For all of them, on a slow machine, in milliseconds. */
const LIMIT = (250_000 + PACKETS) * PACE;
const PINGS = 20;
/** As many as its table has room for, beside some others. `npm run bench -- firmware` has 10,000. */
const RULES = 1000;
/** Bytes of a frame, without a checksum. */
const FRAME = 60;
/** Of each field and action that the data path has. */
const EVERY = [
  'ip flower src_mac 02:00:00:00:00:01 action drop',
  'ip flower dst_mac 02:00:00:00:00:02/ff:ff:ff:00:00:00 action trap',
  '802.1q flower vlan_id 7 action drop',
  '802.1q flower vlan_id 8 vlan_ethtype ip dst_ip 198.51.100.1 action ok',
  'arp flower src_mac 02:00:00:00:00:03 action trap',
  'ip flower src_ip 198.51.100.0/24 dst_ip 203.0.113.1 action drop',
  'ip flower ip_proto tcp dst_port 80 action trap',
  'ip flower ip_proto udp src_port 1000-2000 dst_port 53 action drop',
  'ip flower ip_tos 0x20/0xfc action drop',
  'ip flower ip_proto tcp tcp_flags 0x2/0x3 src_ip 198.51.100.7 action drop',
  'ip flower ip_proto icmp type 8 code 0 src_ip 198.51.100.8 action drop',
  'ip flower indev sw0 dst_ip 203.0.113.2 action drop',
  'ip flower indev sw1 dst_ip 203.0.113.3 action drop',
  'ip flower dst_ip 203.0.113.4 action mirred egress redirect dev sw1',
  'ipv6 flower src_ip 2001:db8:7::/48 dst_ip 2001:db8::1 action drop',
  'ipv6 flower ip_proto tcp dst_port 443 action ok',
  'ipv6 flower ip_proto icmpv6 type 128 src_ip 2001:db8::2 action drop',
  'all matchall action trap',
];
const FIRMWARE = fileURLToPath(new URL('../../host/kernel/firmware/firmware.ts', import.meta.url));

/** A process whose firmware waits for an answer that never comes. */
const SILENT = `
  const { Firmware } = await import(process.argv[1]);
  const firmware = new Firmware(
    {
      netns: Number(process.argv[2]),
      capabilities: { match: ['protocol', 'ipv4'], actions: ['drop'], directions: ['ingress'], kinds: ['flower'], chainMax: 0 },
      waitMs: 500,
      waitsWithRtnl: true,
    },
    { onReplace: () => console.log('asked') },
  );
  console.log('attached');
  setInterval(() => firmware, 1000);
`;

describe('tc and the firmware of a host', () => {
  let space: Switch;

  const newFaults = withModule(() => {
    space = new Switch();
    const [one, other] = space.hosts;
    space.script(`
      sysctl -qw net.ipv4.ip_forward=1
      ip addr add 192.0.2.1/25 dev sw0
      ip addr add 192.0.2.129/25 dev sw1
      ip -n ${one.name} addr add 192.0.2.2/25 dev eth0
      ip -n ${one.name} route add default via 192.0.2.1
      ip -n ${other.name} addr add 192.0.2.130/25 dev eth0
      ip -n ${other.name} route add default via 192.0.2.129
    `);
  });

  afterAll(() => space?.end());

  test('a process that is killed while the kernel waits for it holds up nobody', async () => {
    const words = ['netns', 'exec', space.name, process.execPath, '--input-type=module', '-e', SILENT];
    const silent = spawn('ip', [...words, FIRMWARE, String(space.netns)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said: string[] = [];
    silent.stdout.setEncoding('utf8').on('data', (text) => said.push(text));
    const rule = 'pref 1 protocol ip flower skip_sw dst_ip 192.0.2.9 action drop';
    try {
      await expect.poll(() => said.join(), SOON).toContain('attached');
      // On a slow machine the kernel may have given up before the process hears of it: it is asked again.
      let refused = Promise.resolve<unknown[]>([]);
      const isAsked = async () => {
        refused = once(space.launch('tc', `filter add dev sw0 ingress ${rule}`.split(' ')), 'close');
        const isHeard = () => said.join().includes('asked');
        await Promise.race([refused, vi.waitUntil(isHeard, SOON)]);
        return isHeard();
      };
      await expect.poll(isAsked, SOON).toBe(true);
      silent.kill('SIGKILL');
      const [code] = await refused;
      expect(code).not.toBe(0);
    } finally {
      silent.kill('SIGKILL');
    }
    await expect
      .poll(() => /firmware_attached: 0/.test(space.run('ethtool', ['-S', 'sw0'])), SOON)
      .toBe(true);
    expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
    // It is as without firmware: software does it.
    expect(space.refusal(`tc filter add dev sw0 ingress ${rule}`)).toContain('no firmware is attached');
    space.script(
      `tc filter add dev sw0 ingress ${rule.replace('skip_sw ', '')}; tc filter del dev sw0 ingress`,
    );
  });

  describe('with a host', () => {
    beforeAll(() => space?.start(['sw?'], 'xdp', ['firmware.enabled = "on"', 'statistics.interval = 1']));

    /** How many of `count` pings from a host to the other, or to another address, come back. */
    function pings(from: 0 | 1, count: number, to = ['192.0.2.130', '192.0.2.2'][from]): number {
      const words = ['-c', `ping -q -n -c ${count} -i 0.01 -W 1 ${to} || true`];
      return Number(/(\d+) received/.exec(space.hosts[from].run('bash', words))?.[1]);
    }

    const clear = () => space.script('tc filter del dev sw0 ingress; tc filter del dev sw1 ingress');
    const counted = (where: string) => {
      const { packets, bytes } = space.filters(where)[0]!;
      return { packets, bytes };
    };

    test('every match and action that the device has is in hardware', async () => {
      const status = () => space.host.status().firmware;
      const add = (words: string, place: number) =>
        `tc filter add dev sw0 ingress pref ${place + 1} protocol ${words.replace(/flower|matchall/, '$& skip_sw')}`;
      space.script(EVERY.map(add).join('\n'));
      await space.settled();
      expect(space.filters('dev sw0 ingress').map(({ isInHardware }) => isInHardware)).toEqual(
        EVERY.map(() => true),
      );
      await expect.poll(status, SOON).toEqual({ state: 'on', rules: EVERY.length, amiss: 0 });
      clear();
      await space.settled();
      await expect.poll(status, SOON).toEqual({ state: 'on', rules: 0, amiss: 0 });
    });

    test('a rule of a shared block is in hardware at every port, and one that replaces it counts on', async () => {
      await expect.poll(() => pings(0, 3), SOON).toBe(3);
      space.script(`
        for n in 0 1; do tc qdisc del dev sw$n clsact; tc qdisc add dev sw$n ingress_block 7 clsact; done
        tc filter add block 7 pref 1 handle 1 protocol ip flower skip_sw ip_proto icmp type 8 action drop
      `);
      await space.settled();
      const [shown] = space.json('tc -j filter show block 7').filter(({ options }) => options !== undefined);
      expect(shown!.options).toMatchObject({ in_hw: true, in_hw_count: 2 });
      expect([pings(0, PINGS), pings(1, PINGS)]).toEqual([0, 0]);
      await expect.poll(() => counted('block 7').packets, SOON).toBe(2 * PINGS);
      space.script(
        'tc filter replace block 7 pref 1 handle 1 protocol ip flower skip_sw ip_proto icmp type 8 action ok',
      );
      await space.settled();
      await expect.poll(() => pings(1, 3), SOON).toBe(3);
      // A port that leaves the block is without the rule.
      space.script(`
        tc filter replace block 7 pref 1 handle 1 protocol ip flower skip_sw ip_proto icmp type 8 action drop
        tc qdisc del dev sw1 clsact; tc qdisc add dev sw1 clsact
      `);
      await space.settled();
      expect([space.counts('sw0').rules, space.counts('sw1').rules]).toEqual([1, 0]);
      expect(pings(0, 3)).toBe(0);
      await expect.poll(() => pings(1, 3), SOON).toBe(3);
      space.script('tc qdisc del dev sw0 clsact; tc qdisc add dev sw0 clsact');
      await space.settled();
      await expect.poll(() => pings(0, 3), SOON).toBe(3);
    });

    test.each([
      { flag: 'skip_sw', action: 'ok', to: '192.0.2.1', answered: PINGS, hardware: PINGS },
      { flag: '', action: 'ok', to: '192.0.2.1', answered: PINGS, hardware: 0 },
      { flag: 'skip_sw', action: 'ok', to: '192.0.2.130', answered: PINGS, hardware: PINGS },
      { flag: '', action: 'ok', to: '192.0.2.130', answered: PINGS },
      { flag: 'skip_sw', action: 'trap', to: '192.0.2.130', answered: PINGS, hardware: PINGS },
      // To software it is as good as dropped (include/uapi/linux/pkt_cls.h TC_ACT_TRAP).
      { flag: '', action: 'trap', to: '192.0.2.130', answered: 0, hardware: 0 },
    ])('a packet counts once for $flag $action, to $to', async ({ flag, action, to, answered, hardware }) => {
      space.script(
        `tc filter add dev sw0 ingress pref 1 protocol ip flower ${flag} ip_proto icmp type 8 dst_ip ${to} action ${action}`,
      );
      await space.settled();
      expect(pings(0, PINGS, to)).toBe(answered);
      // Software's and hardware's together.
      const all = () => {
        const [shown] = space
          .json('tc -s -j filter show dev sw0 ingress')
          .filter(({ options }) => options !== undefined);
        const { actions } = shown!.options as { actions: { stats: { packets: number } }[] };
        return actions[0]!.stats.packets;
      };
      await expect.poll(all, SOON).toBe(PINGS);
      // Nothing comes to it when all is read once more.
      await space.host.stats();
      expect(all()).toBe(PINGS);
      if (hardware !== undefined) expect(counted('dev sw0 ingress').packets).toBe(hardware);
      clear();
      await space.settled();
    });

    test(`${RULES} rules are in hardware, each counts its own packets, and all go`, async () => {
      const told = () => toldOf(space.run('tc', ['-s', '-j', 'filter', 'show', 'dev', 'sw0', 'ingress']));
      const mac = space.run('cat', ['/sys/class/net/sw0/address']).trim();
      expect(space.batch(addLines('sw0', RULES, 'skip_sw'), 'tc')).toEqual(new Set());
      await space.settled();
      expect(told()).toEqual({ rules: RULES, inHardware: RULES, packets: { 0: RULES } });
      sendToEach(space.hosts[0], mac, RULES);
      await expect.poll(told, SOON).toEqual({ rules: RULES, inHardware: RULES, packets: { 1: RULES } });
      expect(space.batch(deleteLines('sw0', RULES), 'tc')).toEqual(new Set());
      await space.settled();
      await expect
        .poll(() => space.host.status().firmware, SOON)
        .toEqual({ state: 'on', rules: 0, amiss: 0 });
      expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
    });

    test(
      `of ${PACKETS} packets tc tells of each once`,
      async () => {
        space.script(
          'tc filter add dev sw0 ingress pref 1 protocol ip flower skip_sw ip_proto udp dst_port 9 action drop',
        );
        await space.settled();
        const mac = space.run('cat', ['/sys/class/net/sw0/address']).trim();
        const [one] = space.hosts;
        one.script(`
        modprobe pktgen
        echo add_device eth0 > /proc/net/pktgen/kpktgend_0
        for word in 'count ${PACKETS}' 'pkt_size ${FRAME}' 'delay 0' 'dst 192.0.2.130' 'dst_mac ${mac}' 'udp_dst_min 9' 'udp_dst_max 9'; do
          echo "$word" > /proc/net/pktgen/eth0
        done
      `);
        const lost = () => Number(one.run('cat', ['/sys/class/net/eth0/statistics/tx_dropped']));
        const start = lost();
        const generator = one.launch('bash', ['-c', 'echo start > /proc/net/pktgen/pgctrl']);
        const isOver = once(generator, 'close');
        let isRunning = true;
        isOver.then(() => {
          isRunning = false;
        });
        const readings: number[] = [];
        await expect
          .poll(
            () => {
              readings.push(counted('dev sw0 ingress').packets);
              return isRunning;
            },
            { ...SOON, timeout: LIMIT },
          )
          .toBe(false);
        // What the queue between the two had no room for did not arrive.
        const came = PACKETS - (lost() - start);
        expect(came).toBeGreaterThan(PACKETS / 2);
        await expect
          .poll(() => counted('dev sw0 ingress'), SOON)
          .toEqual({ packets: came, bytes: came * FRAME });
        expect(readings).toEqual([...readings].sort((a, b) => a - b));
        if (process.env.EKHO_FIRMWARE_PACKETS)
          console.log(
            `${PACKETS} packets sent, ${came} came, tc told of ${came} in ${readings.length} readings`,
          );
        const { entries } = await space.host.stats();
        expect(
          entries.filter(({ entry }) => entry.startsWith('acl')).map(({ packets }) => packets),
        ).toContain(came);
        clear();
        expect(newFaults()).toEqual([]);
      },
      LIMIT + SOON.timeout,
    );
  });
});
