/**
 * Rules on the link of a tunnel, which the kernel offers to whoever registered for blocks of other drivers' links: the same firmware as for
 * ports is asked, and told which tunnel it is.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { Firmware, type FirmwareRule } from '../../host/kernel/firmware/firmware.ts';
import { CAPABILITIES, load, SOON, Switch, unload, withModule } from './firmware-support.ts';

const VNI = 42;
const PORT = 4789;
const RULE = 'pref 1 protocol ip flower dst_ip 192.0.2.9 action mirred egress redirect dev sw0';

describe('firmware and tunnels', () => {
  let space: Switch;

  const newFaults = withModule(() => {
    space = new Switch();
    make();
  });

  afterAll(() => space?.end());

  /** Links of one tunnel, and of many. */
  const make = () =>
    space.script(`
      ip link add one type vxlan id ${VNI} local 192.0.2.1 dstport ${PORT}
      ip link add many type vxlan external dstport ${PORT + 1}
      for link in one many; do ip link set $link up; tc qdisc add dev $link clsact; done
    `);
  const inHardware = (link: string) =>
    space.filters(`dev ${link} ingress`).map(({ isInHardware }) => isInHardware);

  /** What tc says of a rule that is added: with `skip_sw` the kernel takes none on links without a driver of a device. */
  const add = (link: string, preference = 1) =>
    space.run('bash', [
      '-c',
      `tc filter add dev ${link} ingress pref ${preference} protocol ip flower verbose dst_ip 192.0.2.8 action drop 2>&1`,
    ]);

  function attach(tunnels: boolean, rules = new Map<bigint, FirmwareRule>()) {
    return new Firmware(
      {
        capabilities: { ...CAPABILITIES, match: [...CAPABILITIES.match, 'tunnel'], tunnels },
        netns: space.netns,
      },
      { onReplace: (rule) => rules.set(rule.id, rule), onDestroy: (id) => rules.delete(id) },
    );
  }

  test('a rule comes with its tunnel, and goes with the link', async () => {
    const rules = new Map<bigint, FirmwareRule>();
    using firmware = attach(true, rules);
    space.script(`
      tc filter add dev one ingress ${RULE}
      tc filter add dev many ingress ${RULE.replace('flower', 'flower enc_key_id 7 enc_dst_ip 192.0.2.1 enc_flags tuncsum/notundf')}
    `);
    await expect.poll(() => rules.size, SOON).toBe(2);
    const [one, many] = [...rules.values()];
    expect(one).toMatchObject({ ifindex: space.ifindex('one'), direction: 'ingress', actions: ['redirect'] });
    expect(one!.context.tunnel).toMatchObject({ kind: 1, key: VNI << 24, port: swap16(PORT), flags: 0 });
    expect(many).toMatchObject({ ifindex: space.ifindex('many') });
    expect(many!.context.tunnel).toMatchObject({ kind: 1, key: 0, port: swap16(PORT + 1), flags: 1 });
    expect(many!.context.match.tunnel).toMatchObject({ key: 7 << 24, flags: 1, flags_mask: 3 });
    expect([inHardware('one'), inHardware('many')]).toEqual([[true], [true]]);
    firmware.count(one!.id, { packets: 12n, bytes: 3456n, drops: 0n });
    expect(space.filters('dev one ingress')[0]).toMatchObject({ packets: 12, bytes: 3456 });
    space.script('tc filter del dev one ingress; ip link del many');
    await expect.poll(() => rules.size, SOON).toBe(0);
  });

  test('firmware that has no rules on tunnels refuses them, and ports are as ever', () => {
    using _firmware = attach(false);
    expect(add('one')).toContain('the device has no rules on links of tunnels');
    expect(add('sw1')).toBe('');
    expect([inHardware('one'), inHardware('sw1')]).toEqual([[false], [true]]);
    space.script('tc filter del dev one ingress; tc filter del dev sw1 ingress');
  });

  test('the module goes while a tunnel has rules, and what it comes back to is software’s', async () => {
    {
      using _firmware = attach(true);
      space.script(`tc filter add dev one ingress ${RULE.replace('dev sw0', 'dev lo')}`);
      expect(inHardware('one')).toEqual([true]);
    }
    space.script('ip link del sw0; ip link del sw1');
    await unload();
    expect(inHardware('one')).toEqual([false]);
    load();
    using _firmware = attach(true);
    // Of rules that were there the module was never told, so their block is not its.
    add('one', 2);
    expect(inHardware('one')).toEqual([false, false]);
    space.script('tc qdisc del dev one clsact; tc qdisc add dev one clsact');
    add('one');
    expect(inHardware('one')).toEqual([true]);
    space.script('ip link del one');
    expect(newFaults()).toEqual([]);
  });
});

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}
