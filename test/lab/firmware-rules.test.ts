/**
 * Rules of tc and hardware that is not there for a while, or has room for few of them: the XDP data path is the hardware, and what
 * becomes of packets is what the rules say all the time.
 */
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { SOON, Switch, withModule } from './firmware-support.ts';

const FIRMWARE = ['firmware.enabled = "on"', 'statistics.interval = 1'];
const PINGS = 20;
/** Bytes of an Ethernet frame of a ping. */
const FRAME = 14 + 20 + 8 + 56;
/** Places of the ACL table, and rules that want one. */
const ROOM = 4;
const RULES = 6;

describe('rules without hardware, or without room', () => {
  let space: Switch;

  withModule(() => {
    space = new Switch();
    const [one, other] = space.hosts;
    space.script(`
      sysctl -qw net.ipv4.ip_forward=1
      ip addr add 192.0.2.1/25 dev sw0
      ip addr add 192.0.2.129/25 dev sw1
      ip -n ${one.name} addr add 192.0.2.2/25 dev eth0
      ip -n ${one.name} route add default via 192.0.2.1
      for n in $(seq 130 ${130 + RULES}); do ip -n ${other.name} addr add 192.0.2.$n/25 dev eth0; done
      ip -n ${other.name} route add default via 192.0.2.129
    `);
  });

  afterEach(async () => {
    await space?.stop();
    space?.script('tc filter del dev sw0 ingress || true; nft flush ruleset');
  });

  afterAll(() => space?.end());

  /** How many of `count` pings to 192.0.2.`to` come back. */
  function pings(to: number, count: number): number {
    const words = ['-c', `ping -q -n -c ${count} -i 0.01 -W 1 192.0.2.${to} || true`];
    return Number(/(\d+) received/.exec(space.hosts[0].run('bash', words))?.[1]);
  }

  const rule = (preference: number, to: number, skip = '') =>
    `pref ${preference} protocol ip flower ${skip} dst_ip 192.0.2.${to} action drop`;
  const add = (preference: number, to: number, skip = '') =>
    `tc filter add dev sw0 ingress ${rule(preference, to, skip)}`;
  /** What hardware counted, and whether it is in hardware, by preference. */
  const shown = () =>
    new Map(
      space
        .filters('dev sw0 ingress')
        .map(({ pref, isInHardware, packets, bytes }) => [pref, { isInHardware, packets, bytes }]),
    );

  /** Packets of a preference's filter, by who counted them. */
  function counted(preference: number): { hardware: number; software: number } {
    const rows = space.json(`tc -s -j filter show dev sw0 ingress pref ${preference}`);
    const options = rows.flatMap((row) => row.options ?? [])[0] as {
      actions: { stats: { packets: number; hw_packets?: number } }[];
    };
    const { packets, hw_packets: hardware = 0 } = options.actions[0]!.stats;
    return { hardware, software: packets - hardware };
  }

  /** State and reason of the filter of a preference. */
  async function stateOf(preference: number): Promise<string> {
    const words = ['dev', 'sw0', 'ingress', 'pref', String(preference)];
    // The kernel lists the preference by itself, too.
    const filters = await space.host.explain('filter', words, 2);
    const offloads = filters.flatMap(({ offload }) => offload);
    return offloads.map(({ state, reason }) => [state, reason].filter(Boolean).join(' ')).join();
  }

  test('they are software’s while there is no host, and the next one counts on', async () => {
    await space.start(['sw?'], 'xdp', FIRMWARE);
    await expect.poll(() => pings(130, 3), SOON).toBe(3);
    space.script(`${add(1, 130)}; ${add(2, 131, 'skip_sw')}`);
    await space.settled();
    expect([pings(130, PINGS), pings(131, PINGS)]).toEqual([0, 0]);
    const once = { isInHardware: true, packets: PINGS, bytes: PINGS * FRAME };
    await expect.poll(() => shown().get(1), SOON).toEqual(once);
    await expect.poll(() => shown().get(2), SOON).toEqual(once);
    await space.stop();
    // The kernel cannot be told that they are not in hardware; nobody does what software skips.
    expect([...shown().values()]).toEqual([once, once]);
    expect(space.counts('sw0')).toEqual({ rules: 2, offloaded: 0 });
    expect([pings(130, 5), pings(131, 5)]).toEqual([0, 5]);
    expect([...shown().values()]).toEqual([once, once]);
    // One that comes meanwhile is not for hardware.
    space.script(add(3, 132));
    expect(shown().get(3)).toMatchObject({ isInHardware: false });
    expect(space.refusal(add(4, 133, 'skip_sw'))).toContain('no firmware is attached');
    await space.start(['sw?'], 'xdp', FIRMWARE);
    await space.settled();
    expect(space.counts('sw0')).toEqual({ rules: 2, offloaded: 2 });
    expect([pings(130, PINGS), pings(131, PINGS), pings(132, 3)]).toEqual([0, 0, 0]);
    const twice = { isInHardware: true, packets: 2 * PINGS, bytes: 2 * PINGS * FRAME };
    await expect.poll(() => shown().get(1), SOON).toEqual(twice);
    await expect.poll(() => shown().get(2), SOON).toEqual(twice);
    await expect.poll(() => space.host.status().firmware, SOON).toMatchObject({ rules: 2, amiss: 0 });
    // In hardware, though the kernel was not asked when it came.
    expect(await stateOf(3)).toBe('offloaded');
    expect(shown().get(3)).toMatchObject({ isInHardware: false });
    await space.verified();
  });

  test('rules that there is no room for are software’s, and those before them stay in hardware', async () => {
    await space.start(['sw?'], 'xdp', FIRMWARE, { acl: ROOM });
    await expect.poll(() => pings(130, 3), SOON).toBe(3);
    const numbers = Array.from({ length: RULES }, (_, n) => n + 1);
    const status = () => space.host.status().firmware;
    const inHardware = () => numbers.filter((n) => shown().get(n)?.isInHardware);
    const states = (of = numbers) => Promise.all(of.map(stateOf));
    const noRoom = 'table-full: the device has no room left in the table';
    const behind = 'after-refused-filter: a filter of higher priority is not in hardware';

    space.script(
      numbers
        .slice(0, ROOM)
        .map((n) => add(n, 130 + n))
        .join('\n'),
    );
    await space.settled();
    expect(inHardware()).toEqual(numbers.slice(0, ROOM));
    expect(await states(numbers.slice(0, ROOM))).toEqual(new Array(ROOM).fill('offloaded'));
    expect(space.refusal(add(9, 130, 'skip_sw'))).toContain(noRoom);
    expect(status()).toMatchObject({ rules: ROOM, amiss: 0 });

    // The first three stay; the last place is for handing over what gets past them.
    space.script(
      numbers
        .slice(ROOM)
        .map((n) => add(n, 130 + n))
        .join('\n'),
    );
    await space.settled();
    expect(inHardware()).toEqual(numbers.slice(0, ROOM));
    expect(space.run('tc', ['filter', 'show', 'dev', 'sw0', 'ingress', 'pref', '6'])).toContain('not_in_hw');
    expect(await states()).toEqual(numbers.map((n) => (n < ROOM ? 'offloaded' : 'refused table-full')));
    // The kernel was told that the fourth is there.
    expect(status()).toMatchObject({ rules: ROOM, amiss: 1 });
    expect(space.refusal(add(9, 130, 'skip_sw'))).toContain(behind);
    expect(space.refusal(add(1, 130, 'skip_sw'))).toContain(noRoom);
    expect(numbers.map((n) => pings(130 + n, 1))).toEqual(numbers.map(() => 0));
    expect(pings(130, 3)).toBe(3);
    // Software sees none of the packets of those in hardware.
    await expect
      .poll(() => numbers.map(counted), SOON)
      .toEqual(numbers.map((n) => (n < ROOM ? { hardware: 1, software: 0 } : { hardware: 0, software: 1 })));
    await space.verified();

    // Those that there was no room for take the places.
    space.script('tc filter del dev sw0 ingress pref 1; tc filter del dev sw0 ingress pref 2');
    await space.settled();
    const left = numbers.slice(2);
    expect(await states(left)).toEqual(left.map(() => 'offloaded'));
    expect(status()).toMatchObject({ rules: ROOM - 2, amiss: 0 });
    expect(inHardware()).toEqual([3, 4]);
    expect(space.refusal(add(9, 130, 'skip_sw'))).toContain(noRoom);
    expect(left.map((n) => pings(130 + n, 1))).toEqual(left.map(() => 0));
    await expect.poll(() => pings(131, 3), SOON).toBe(3);

    // Made again, the kernel asks for it.
    space.script('tc filter del dev sw0 ingress pref 6; tc filter del dev sw0 ingress pref 3');
    await space.settled();
    space.script(`${add(6, 136)}; ${add(9, 130, 'skip_sw')}`);
    await space.settled();
    expect(inHardware()).toEqual([4, 6]);
    expect(await states([4, 5, 6, 9])).toEqual(new Array(4).fill('offloaded'));
    expect([pings(130, 3), pings(136, 3), pings(133, 3)]).toEqual([0, 0, 3]);
    expect(space.refusal(add(10, 131, 'skip_sw'))).toContain(noRoom);
    expect(status()).toMatchObject({ rules: 3, amiss: 0 });
    await space.verified();
  });

  test('a rule that would get no packet in hardware is refused, and says why', async () => {
    await space.start(['sw?'], 'xdp', FIRMWARE);
    const status = () => space.host.status().firmware;
    space.script(`
      ${add(1, 131)}
      tc filter add dev sw0 ingress pref 5 matchall skip_hw action ok
    `);
    await space.settled();
    // All that gets there is the kernel's.
    expect(space.refusal(add(6, 132, 'skip_sw'))).toBe(
      'Error: after-refused-filter: a filter of higher priority is not in hardware.\nWe have an error talking to the kernel\n',
    );
    space.script(add(4, 132, 'skip_sw'));
    await space.settled();
    expect([pings(130, 3), pings(131, 3), pings(132, 3)]).toEqual([3, 0, 0]);
    expect(status()).toMatchObject({ rules: 2, amiss: 0 });

    space.script(add(2, 133, 'skip_sw'));
    await space.settled();
    expect([pings(133, 3), pings(130, 3)]).toEqual([0, 3]);
    await space.verified();
  });
});
