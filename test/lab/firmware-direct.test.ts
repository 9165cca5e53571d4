/**
 * Firmware with its hardware and no user space between them: bpf/firmware_direct.bpf.c, and packets. This process attaches it by pins and lets go of
 * it.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { BpfMap, BpfObject, Link } from '../../bpf/libbpf-ts/src/index.ts';
import { inNetns } from '../../host/netlink/syscall.ts';
import { SOON, Switch, withModule } from './firmware-support.ts';
import { CHECKOUT } from './machine.ts';

const OBJECT = join(CHECKOUT, 'build/bpf/firmware_direct.bpf.o');
const PINS = '/sys/fs/bpf';
const LINKS = ['direct-sw0', 'direct-sw1', 'direct-firmware'].map((name) => join(PINS, name));
const RULES = join(PINS, 'direct-rules');
const PINGS = 5;
/** Bytes of a frame of ping. */
const FRAME = 98;

describe('direct firmware', () => {
  let space: Switch;

  const newFaults = withModule(() => {
    space = new Switch();
    const [first, second] = space.hosts;
    // What goes from host to host goes by hardware: ports have no bridge, and no address but these of sw0.
    space.script(`
      ip addr add 192.0.2.101/24 dev sw0
      ip addr add 192.0.2.102/32 dev sw0
      ip -n ${first.name} addr add 192.0.2.1/24 dev eth0
      ip -n ${second.name} addr add 192.0.2.2/24 dev eth0
      ip -n ${first.name} neigh add 192.0.2.2 lladdr $(ip netns exec ${second.name} cat /sys/class/net/eth0/address) dev eth0
      ip -n ${second.name} neigh add 192.0.2.1 lladdr $(ip netns exec ${first.name} cat /sys/class/net/eth0/address) dev eth0
    `);
  });

  afterEach(detach);

  afterAll(() => space?.end());

  /** From then on nobody but the kernel has it. */
  function attach(): void {
    using object = BpfObject.open(OBJECT);
    object.setStructOps('firmware', { netns: space.netns });
    object.load();
    for (const [number, pin] of LINKS.entries()) {
      using link = pin.endsWith('firmware')
        ? object.attachStructOps('firmware')
        : inNetns(space.name, () =>
            object.program('forward').attachXdp(space.ifindex(`sw${number}`), 'generic'),
          );
      link.pin(pin);
    }
    object.map('rules').pin(RULES);
  }

  async function detach(): Promise<void> {
    for (const pin of LINKS) if (existsSync(pin)) Link.unpin(pin);
    if (existsSync(RULES)) BpfMap.unpin(RULES);
    // The kernel lets go of it later.
    if (space)
      await expect.poll(() => space.run('ethtool', ['-S', 'sw0']), SOON).toContain('firmware_attached: 0');
    if (space) await expect.poll(() => space.ip('link show'), SOON).not.toContain('xdp');
  }

  /** How many rules hardware has. */
  function inHardware(): number {
    using map = BpfMap.fromPin(RULES);
    return [...map.keys()].length;
  }

  /** How many of some pings of the first host were answered. */
  function answered(address: string): number {
    const text = space.hosts[0].run('bash', ['-c', `ping -n -q -c ${PINGS} -i 0.2 -W 2 ${address} || true`]);
    return Number(/(\d+) received/.exec(text)![1]);
  }

  const add = (port: string, words: string) =>
    space.script(`tc filter add dev ${port} ingress pref 1 handle 1 protocol ip flower skip_sw ${words}`);
  const clear = () => space.script('tc filter del dev sw0 ingress; tc filter del dev sw1 ingress');
  const shown = (count: number) => [
    {
      chain: 0,
      pref: 1,
      kind: 'flower',
      isInHardware: true,
      packets: count * PINGS,
      bytes: count * PINGS * FRAME,
    },
  ];

  test('packets are forwarded by hardware alone, which says how many, and by none when the rules are gone', () => {
    attach();
    expect(answered('192.0.2.2')).toBe(0);
    add('sw0', 'dst_ip 192.0.2.2 action mirred egress redirect dev sw1');
    expect(answered('192.0.2.2')).toBe(0);
    expect(space.filters('dev sw0 ingress')).toEqual(shown(1));
    add('sw1', 'dst_ip 192.0.2.1 action mirred egress redirect dev sw0');
    expect(answered('192.0.2.2')).toBe(PINGS);
    expect(space.filters('dev sw0 ingress')).toEqual(shown(2));
    expect(space.filters('dev sw1 ingress')).toEqual(shown(1));
    expect(inHardware()).toBe(2);
    space.script('tc filter del dev sw1 ingress');
    expect(inHardware()).toBe(1);
    expect(answered('192.0.2.2')).toBe(0);
    clear();
    expect(inHardware()).toBe(0);
    expect(space.counts('sw0')).toEqual({ rules: 0, offloaded: 0 });
  });

  test('a rule that drops goes on where other firmware stopped', async () => {
    attach();
    expect(answered('192.0.2.101')).toBe(PINGS);
    add('sw0', 'dst_ip 192.0.2.101 action drop');
    expect(answered('192.0.2.101')).toBe(0);
    expect(answered('192.0.2.102')).toBe(PINGS);
    expect(space.filters('dev sw0 ingress')).toEqual(shown(1));
    await detach();
    expect(answered('192.0.2.101')).toBe(PINGS);
    attach();
    expect(answered('192.0.2.101')).toBe(0);
    expect(space.filters('dev sw0 ingress')).toEqual(shown(2));
    clear();
    expect(answered('192.0.2.101')).toBe(PINGS);
  });

  test('what it cannot do it refuses with its own words', () => {
    attach();
    add('sw0', 'dst_ip 192.0.2.101 action drop');
    const other = (words: string) =>
      space.refusal(`tc filter add dev sw0 ingress pref 2 protocol ip flower skip_sw ${words}`);
    const ONLY = 'this firmware only drops and redirects IPv4 packets to an address';
    expect(other('src_ip 192.0.2.1 action drop')).toContain(ONLY);
    expect(other('dst_ip 192.0.2.0/24 action drop')).toContain(ONLY);
    expect(other('dst_ip 192.0.2.102 ip_proto icmp action drop')).toContain(ONLY);
    expect(other('dst_ip 192.0.2.102 action pass')).toContain(ONLY);
    expect(other('dst_ip 192.0.2.101 action drop')).toContain('another rule has the packets to this address');
    expect(space.counts('sw0')).toEqual({ rules: 1, offloaded: 1 });
    expect(inHardware()).toBe(1);
    clear();
    expect(newFaults()).toEqual([]);
  });
});
