/**
 * BPF firmware on a stock kernel: ports of the module's link type, and rules of tc that a program decides about, as tc itself shows
 * them.
 */
import { once } from 'node:events';
import { afterAll, describe, expect, test } from 'vitest';
import { Firmware, type FirmwareRule } from '../../host/kernel/firmware/firmware.ts';
import { CAPABILITIES, isLoaded, load, Switch, unload, withModule } from './firmware-support.ts';
import { PACE } from './pace.ts';

/** Milliseconds in which a record of the ring arrives, on any machine. */
const SOON = { timeout: 120_000 * PACE };
const RULES = 1000;

describe('firmware', () => {
  let space: Switch;

  const newFaults = withModule(() => {
    space = new Switch();
  });

  afterAll(() => space?.end());

  /** Takes all rules away when it ends. */
  function attach(options: Partial<ConstructorParameters<typeof Firmware>[0]> = {}, handler = {}) {
    return new Firmware({ capabilities: CAPABILITIES, netns: space.netns, ...options }, handler);
  }

  const clear = () =>
    space.script('for n in 0 1; do tc qdisc del dev sw$n clsact; tc qdisc add dev sw$n clsact; done');

  test('ports say what switch they are of, and packets flow', async () => {
    const links = space.json('ip -j -d link show type ekho');
    expect(links).toHaveLength(2);
    const [one, other] = links;
    expect(one!.phys_switch_id).toMatch(/^[0-9a-f]{16}$/);
    expect(one!.phys_switch_id).toBe(other!.phys_switch_id);
    expect(one!.phys_port_name).toMatch(/^p\d+$/);
    expect(one!.phys_port_name).not.toBe(other!.phys_port_name);
    expect(space.run('ethtool', ['-i', 'sw0'])).toContain('driver: ekho');
    expect(space.run('ethtool', ['-k', 'sw0'])).toMatch(/hw-tc-offload: on/);
    space.script('ip addr add 192.0.2.1/24 dev sw0');
    space.hosts[0].script('ip addr add 192.0.2.2/24 dev eth0; ping -c 2 -i 0.2 -w 60 192.0.2.1');
    const flags = () => space.json('ip -j link show sw0')[0]!.flags;
    space.hosts[0].script('ip link set eth0 down');
    await expect.poll(flags, SOON).toContain('NO-CARRIER');
    space.hosts[0].script('ip link set eth0 up');
    await expect.poll(flags, SOON).not.toContain('NO-CARRIER');
  });

  test('without firmware a rule stays in software', () => {
    const flower = 'protocol ip flower dst_ip 192.0.2.9 action drop';
    space.script(`tc filter add dev sw0 ingress ${flower}`);
    expect(space.filters('dev sw0 ingress').map(({ isInHardware }) => isInHardware)).toEqual([false]);
    expect(
      space.refusal(`tc filter add dev sw0 ingress ${flower.replace('flower', 'flower skip_sw')}`),
    ).toContain('no firmware is attached to the port');
    clear();
  });

  test('rules are in hardware, with what it counted, until they go', async () => {
    const rules: FirmwareRule[] = [];
    const gone: bigint[] = [];
    using firmware = attach(
      {},
      { onReplace: (rule: FirmwareRule) => rules.push(rule), onDestroy: (id: bigint) => gone.push(id) },
    );
    space.script(`
      tc filter add dev sw0 ingress pref 1 protocol ip flower skip_sw dst_ip 192.0.2.9 ip_proto tcp dst_port 443 action drop
      tc filter add dev sw0 ingress pref 2 protocol ip flower src_ip 10.0.0.0/8 action mirred egress redirect dev sw1
      tc filter add dev sw0 egress pref 3 protocol all matchall skip_sw action drop
      tc filter add dev sw0 ingress chain 1 pref 4 protocol ipv6 flower skip_sw dst_ip 2001:db8::/32 action trap
    `);
    await expect.poll(() => rules.length, SOON).toBe(4);
    expect(
      rules.map(({ kind, direction, chain, preference }) => [kind, direction, chain, preference]),
    ).toEqual([
      ['flower', 'ingress', 0, 1],
      ['flower', 'ingress', 0, 2],
      ['matchall', 'egress', 0, 3],
      ['flower', 'ingress', 1, 4],
    ]);
    const [first, second, , fourth] = rules as [FirmwareRule, FirmwareRule, FirmwareRule, FirmwareRule];
    expect([...first.match]).toEqual(expect.arrayContaining(['ipv4', 'ports', 'protocol']));
    expect([...fourth.match]).toContain('ipv6');
    expect(first.actions).toEqual(['drop']);
    expect(second.actions).toEqual(['redirect']);
    expect(first).toMatchObject({ netns: space.netns, ifindex: space.ifindex('sw0') });
    expect(space.counts('sw0')).toEqual({ rules: 4, offloaded: 4 });
    expect(space.filters('dev sw0 ingress').map(({ isInHardware }) => isInHardware)).toEqual([
      true,
      true,
      true,
    ]);

    firmware.count(first.id, { packets: 1234n, bytes: 567_890n, drops: 1234n });
    expect(space.filters('dev sw0 ingress')[0]).toMatchObject({ packets: 1234, bytes: 567_890 });
    // What it reads twice it does not count twice, and what hardware forgot is not taken back.
    firmware.count(first.id, { packets: 2000n, bytes: 600_000n, drops: 2000n });
    space.filters('dev sw0 ingress');
    firmware.count(first.id, { packets: 5n, bytes: 600n, drops: 5n });
    expect(space.filters('dev sw0 ingress')[0]).toMatchObject({ packets: 2000, bytes: 600_000 });

    space.script('tc filter del dev sw0 ingress pref 1; tc filter del dev sw0 egress');
    await expect.poll(() => gone.length, SOON).toBe(2);
    expect(gone).toContain(first.id);
    clear();
    await expect.poll(() => gone.length, SOON).toBe(4);
    expect([...firmware.rules()]).toEqual([]);
    expect(new Set(gone).size).toBe(4);
  });

  test('a refusal says why, and leaves nothing behind', async () => {
    using firmware = attach();
    const add = 'tc filter add dev sw0 ingress pref 1 protocol';
    expect(space.refusal(`${add} ip flower skip_sw ip_proto icmp type 8 action drop`)).toContain(
      'the device cannot match ICMP types and codes',
    );
    expect(space.refusal(`${add} ip flower skip_sw ip_proto tcp tcp_flags 2/2 action drop`)).toContain(
      'the device cannot match TCP flags',
    );
    expect(space.refusal(`${add} ip flower skip_sw dst_ip 192.0.2.1 action skbedit mark 7`)).toContain(
      'the device cannot do one of the actions',
    );
    expect(space.refusal(`${add} ip chain 2 flower skip_sw dst_ip 192.0.2.1 action drop`)).toContain(
      'the device has no such chain',
    );
    // The module itself refuses what it cannot describe, rather than making the rule wider.
    expect(space.refusal(`${add} mpls_uc flower skip_sw mpls_label 5 action drop`)).toContain('no place for');
    expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
    // Without skip_sw software does it.
    space.script(`${add} ip flower ip_proto icmp type 8 action drop`);
    expect(space.filters('dev sw0 ingress')[0]).toMatchObject({ isInHardware: false });
    // A refused replacement is destroyed twice by the kernel, and takes nothing with it.
    clear();
    space.script(`${add} ip handle 1 flower skip_sw dst_ip 192.0.2.1 action drop`);
    const replace =
      'tc filter replace dev sw0 ingress pref 1 protocol ip handle 1 flower skip_sw dst_ip 192.0.2.1';
    expect(space.refusal(`${replace} action skbedit mark 7`)).toContain('cannot do one of the actions');
    expect(space.counts('sw0')).toEqual({ rules: 1, offloaded: 1 });
    expect([...firmware.rules()]).toHaveLength(1);
    space.script(`${replace} action trap`);
    expect([...firmware.rules()].map(({ actions }) => actions)).toEqual([['trap']]);
    clear();
  });

  test('an action that rules share is in hardware by itself', async () => {
    using firmware = attach({
      capabilities: {
        ...CAPABILITIES,
        actions: [...CAPABILITIES.actions, 'police'],
        kinds: [...CAPABILITIES.kinds, 'action'],
      },
    });
    expect(space.refusal('tc actions add action skbedit mark 7 index 9 skip_sw')).toContain(
      'the device cannot do one of the actions',
    );
    space.script(`
      tc actions add action police rate 1mbit burst 10k conform-exceed drop index 7 skip_sw
      tc filter add dev sw0 ingress pref 1 protocol ip flower skip_sw dst_ip 192.0.2.9 action police index 7
    `);
    const [action, rule] = [...firmware.rules()].sort((a, b) => Number(a.id - b.id));
    expect(action).toMatchObject({ kind: 'action', ifindex: 0, direction: undefined, actions: ['police'] });
    expect(rule).toMatchObject({ kind: 'flower', ifindex: space.ifindex('sw0'), actions: ['police'] });
    expect([action!, rule!].map(({ context }) => context.actions[0]!.index)).toEqual([7, 7]);
    firmware.count(action!.id, { packets: 40n, bytes: 4000n, drops: 4n });
    const shown = () =>
      space
        .json('tc -s -j actions ls action police')
        .flatMap(({ actions }) => (actions ?? []) as Record<string, unknown>[]);
    expect(shown()).toMatchObject([{ in_hw: true, stats: { hw_packets: 40, hw_bytes: 4000 } }]);
    // The kernel lets go of the rule's action a little after the rule.
    space.script(`
      tc filter del dev sw0 ingress
      for n in {1..600}; do tc actions del action police index 7 && break; sleep 0.1; done
    `);
    expect([...firmware.rules()]).toEqual([]);
  });

  test('a shared block is in hardware at every port of it', async () => {
    using firmware = attach();
    space.script(`
      for n in 0 1; do tc qdisc del dev sw$n clsact; tc qdisc add dev sw$n ingress_block 7 clsact; done
      tc filter add block 7 pref 1 protocol ip flower skip_sw dst_ip 192.0.2.1 action drop
    `);
    const [shown] = space.json('tc -j filter show block 7').filter(({ options }) => options !== undefined);
    expect(shown!.options).toMatchObject({ in_hw: true, in_hw_count: 2 });
    const ports = () => [...firmware.rules()].map(({ ifindex }) => ifindex).sort();
    expect(ports()).toEqual([space.ifindex('sw0'), space.ifindex('sw1')].sort());
    // A port that leaves the block leaves the rule.
    space.script('tc qdisc del dev sw1 clsact; tc qdisc add dev sw1 clsact');
    expect(ports()).toEqual([space.ifindex('sw0')]);
    clear();
  });

  test('rules outlive firmware: who comes next has them, and the counters go on', async () => {
    const rule = () => space.filters('dev sw0 ingress')[0]!;
    let id: bigint;
    {
      using firmware = attach();
      space.script(
        'tc filter add dev sw0 ingress pref 1 protocol ip flower skip_sw dst_ip 192.0.2.1 action drop',
      );
      id = [...firmware.rules()][0]!.id;
      firmware.count(id, { packets: 10n, bytes: 1000n, drops: 10n });
      expect(rule()).toMatchObject({ packets: 10, bytes: 1000 });
      expect(() => attach()).toThrow(expect.objectContaining({ code: 'E_EXISTS' }));
    }
    expect(rule()).toMatchObject({ isInHardware: true, packets: 10, bytes: 1000 });
    expect(space.counts('sw0')).toEqual({ rules: 1, offloaded: 0 });
    {
      const replayed: FirmwareRule[] = [];
      using firmware = attach({}, { onReplace: (each: FirmwareRule) => replayed.push(each) });
      await expect.poll(() => replayed.length, SOON).toBe(1);
      expect(replayed[0]).toMatchObject({ id, context: { packets: 10n, bytes: 1000n } });
      firmware.count(id, { packets: 15n, bytes: 1500n, drops: 15n });
      expect(rule()).toMatchObject({ packets: 15, bytes: 1500 });
      // The most specific firmware has a port.
      using special = attach({ ifindex: space.ifindex('sw0') });
      expect([...special.rules()].map((each) => each.id)).toEqual([id]);
      expect([...firmware.rules()]).toEqual([]);
    }
    // Destroyed while nobody listens.
    clear();
    using firmware = attach();
    expect([...firmware.rules()]).toEqual([]);
    expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
  });

  test('user space may be waited for, for so long', async () => {
    const add =
      'tc filter add dev sw0 ingress pref 1 protocol ip flower skip_sw dst_ip 192.0.2.1 action drop';
    // Nobody answers while this process waits for tc.
    using firmware = attach({ waitMs: 100, waitsWithRtnl: true });
    expect(space.refusal(add)).toContain('the host refused the rule, or was too slow');
    expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
    // It is over.
    for (let request = 0n; request < 100n; request++) expect(firmware.answer(request)).toBe(false);
  });

  test('user space that answers in time decides', async () => {
    let answer = 0;
    let answered = 0;
    using firmware: Firmware = attach(
      { waitMs: 500, waitsWithRtnl: true },
      {
        onReplace: (_rule: FirmwareRule, request: bigint | undefined) => {
          if (request !== undefined && firmware.answer(request, answer)) answered++;
        },
      },
    );
    /** A machine may be too slow now and then: whether it was is what `answered` tells. */
    const add = async (): Promise<string> => {
      for (const end = Date.now() + SOON.timeout; Date.now() < end; ) {
        const before = answered;
        const words =
          'filter add dev sw0 ingress pref 1 protocol ip flower skip_sw dst_ip 192.0.2.1 action drop';
        const tc = space.launch('tc', words.split(' '));
        let said = '';
        tc.stderr.on('data', (text) => {
          said += text;
        });
        const [code] = await once(tc, 'close');
        if (answered > before) return code === 0 ? 'accepted' : said;
      }
      throw new Error('user space was never in time');
    };
    expect(await add()).toBe('accepted');
    expect(space.counts('sw0')).toEqual({ rules: 1, offloaded: 1 });
    clear();
    answer = 28;
    expect(await add()).toContain('the host refused the rule, or was too slow');
    expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
    clear();
  });

  test('firmware is replaced in its place, and the other hears of nothing', async () => {
    const gone: bigint[] = [];
    const first = attach({}, { onDestroy: (id: bigint) => gone.push(id) });
    space.script(
      'tc filter add dev sw0 ingress pref 1 protocol ip flower skip_sw dst_ip 192.0.2.1 action drop',
    );
    const [rule] = [...first.rules()];
    first.count(rule!.id, { packets: 10n, bytes: 1000n, drops: 10n });
    expect(space.filters('dev sw0 ingress')[0]).toMatchObject({ packets: 10, bytes: 1000 });
    const told: FirmwareRule[] = [];
    using second = attach({ replaces: first }, { onReplace: (each: FirmwareRule) => told.push(each) });
    await expect.poll(() => told.map(({ id }) => id), SOON).toEqual([rule!.id]);
    expect([...first.rules()].map(({ id }) => id)).toEqual([rule!.id]);
    first.close();
    expect(gone).toEqual([]);
    second.count(rule!.id, { packets: 15n, bytes: 1500n, drops: 15n });
    expect(space.filters('dev sw0 ingress')[0]).toMatchObject({ packets: 15, bytes: 1500 });
    expect(space.counts('sw0')).toEqual({ rules: 1, offloaded: 1 });
    clear();
    expect([...second.rules()]).toEqual([]);
  });

  test(`${RULES} rules come and go, and stay while the module may not`, async () => {
    const lines = Array.from(
      { length: RULES },
      (_, n) =>
        `filter add dev sw0 ingress pref 1 protocol ip flower skip_sw dst_ip 10.1.${n >> 8}.${n & 255} action drop`,
    );
    {
      using firmware = attach();
      expect(space.batch(lines, 'tc').size).toBe(0);
      expect(space.counts('sw0')).toEqual({ rules: RULES, offloaded: RULES });
      expect(new Set([...firmware.rules()].map(({ id }) => id)).size).toBe(RULES);
      // Firmware holds the module.
      expect(space.refusal('rmmod ekho')).toContain('in use');
    }
    using firmware = attach();
    expect(space.counts('sw0')).toEqual({ rules: RULES, offloaded: RULES });
    clear();
    expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
    expect([...firmware.rules()]).toEqual([]);
  });

  test('namespaces and the module end with rules and traffic', async () => {
    {
      using firmware = attach();
      const other = new Switch();
      other.script('tc filter add dev sw0 ingress protocol ip flower dst_ip 192.0.2.1 action drop');
      // Firmware of one namespace is none of another's.
      expect(other.filters('dev sw0 ingress')[0]).toMatchObject({ isInHardware: false });
      using _theirs = new Firmware({ capabilities: CAPABILITIES, netns: other.netns });
      other.script('tc filter add dev sw1 ingress protocol ip flower skip_sw dst_ip 192.0.2.1 action drop');
      await other.end();
      space.script(
        'tc filter add dev sw0 ingress pref 1 protocol ip flower skip_sw dst_ip 192.0.2.1 action drop',
      );
      expect([...firmware.rules()]).toHaveLength(1);
    }
    const pings = space.hosts[0].launch('ping', ['-f', '-w', '600', '192.0.2.1']);
    try {
      await expect
        .poll(() => space.json('ip -j -s link show sw0')[0]!.stats64, SOON)
        .toMatchObject({
          rx: { packets: expect.toSatisfy((packets: number) => packets > 100) },
        });
      await unload();
    } finally {
      pings.kill('SIGKILL');
    }
    expect(isLoaded()).toBe(false);
    expect(space.json('ip -j link show').map(({ ifname }) => ifname)).not.toContain('sw0');
    load();
    await unload();
    expect(newFaults()).toEqual([]);
  });
});
