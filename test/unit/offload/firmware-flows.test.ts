/** Directions of connections among the rules of firmware: which rule speaks for one, and what its packets are recognised by. */
import { expect, test } from 'vitest';
import type { FirmwareRule } from '../../../host/kernel/firmware/firmware.ts';
import { FirmwareRules } from '../../../host/offload/firmware-rules.ts';
import { flowKey } from '../../../host/offload/flows.ts';
import type { FilterView } from '../../../host/offload/kernel-view.ts';

const NOTHING = [0, 0, 0, 0];
const ALL = 0xffff_ffff;
const NO_MAC = new Uint8Array(6);

/** A number as it lies in memory, in the byte order of the network. */
const big16 = (value: number) => ((value & 0xff) << 8) | (value >>> 8);
const big32 = (value: number) => ((big16(value & 0xffff) << 16) | big16(value >>> 16)) >>> 0;

interface Tuple {
  readonly ifindex: number;
  /** Interface its packets come by. */
  readonly from: number;
  readonly ethertype: number;
  readonly protocol: number;
  readonly source: readonly number[];
  readonly destination: readonly number[];
}

function ruleOf(
  id: bigint,
  { ifindex, from, ethertype, protocol, source, destination }: Tuple,
): FirmwareRule {
  const whole = ethertype === 0x86dd ? Array(4).fill(ALL) : [ALL, 0, 0, 0];
  const match = {
    keys: 0,
    ifindex: from,
    ifindex_mask: ALL,
    protocol: big16(ethertype),
    protocol_mask: 0xffff,
    ip_protocol: protocol,
    ip_protocol_mask: 0xff,
    vlan: [],
    tos_mask: 0,
    source_mac_mask: NO_MAC,
    destination_mac_mask: NO_MAC,
    source: [...source, ...NOTHING].slice(0, 4).map(big32),
    source_mask: whole,
    destination: [...destination, ...NOTHING].slice(0, 4).map(big32),
    destination_mask: whole,
    source_port: big16(40_000),
    source_port_mask: 0xffff,
    destination_port: big16(443),
    destination_port_mask: 0xffff,
    tcp_flags: 0,
    tcp_flags_mask: big16(5),
    icmp_type_mask: 0,
    icmp_code_mask: 0,
  };
  return {
    id,
    ifindex,
    kind: 'flowtable',
    chain: 0,
    preference: 0,
    context: { match },
  } as unknown as FirmwareRule;
}

const IPV4: Tuple = {
  ifindex: 7,
  from: 7,
  ethertype: 0x0800,
  protocol: 6,
  source: [0x0a00_0001],
  destination: [0xc000_0201],
};
const IPV6: Tuple = {
  ...IPV4,
  ethertype: 0x86dd,
  protocol: 17,
  source: [0x2001_0db8, 0, 0, 1],
  destination: [0x2001_0db8, 0, 0, 2],
};

test('a direction is known by its tuple, at the port that its packets come by', () => {
  const rules = new FirmwareRules();
  rules.put(ruleOf(1n, IPV4));
  rules.put(ruleOf(2n, { ...IPV4, ifindex: 8 }));
  rules.put(ruleOf(3n, { ...IPV6, ifindex: 8, from: 8 }));
  const known = () => [...rules.flows()].map(({ rule, flow }) => [rule.id, flowKey(flow)]);
  expect(known()).toEqual([
    [1n, 'tcp 10.0.0.1:40000 > 192.0.2.1:443'],
    [3n, 'udp [2001:db8::1]:40000 > [2001:db8::2]:443'],
  ]);
  expect(rules.size).toBe(3);
  rules.put(ruleOf(1n, { ...IPV4, source: [0x0a00_0002] }));
  rules.delete(3n);
  expect(known()).toEqual([[1n, 'tcp 10.0.0.2:40000 > 192.0.2.1:443']]);
  rules.clear();
  expect(known()).toEqual([]);
});

test('a rule of a shared block for packets of another port is no filter on this one', () => {
  const rules = new FirmwareRules();
  const all = { kind: 'matchall', chain: 0, priority: 0 } as FilterView;
  const flower = (id: bigint, from: number) => ({
    ...ruleOf(id, { ...IPV4, from }),
    kind: 'flower' as const,
  });
  rules.put(flower(1n, 8));
  expect(rules.find(7, all)).toBeUndefined();
  rules.put(flower(2n, 7));
  rules.put(flower(3n, 8));
  expect(rules.find(7, all)?.id).toBe(2n);
  rules.delete(3n);
  rules.delete(2n);
  expect(rules.find(7, all)).toBeUndefined();
  expect(rules.size).toBe(1);
});

test('while a filter is being replaced, the rule that came last is it', () => {
  const rules = new FirmwareRules();
  const all = { kind: 'matchall', chain: 0, priority: 0 } as FilterView;
  for (const id of [1n, 2n]) rules.put({ ...ruleOf(id, { ...IPV4, from: 7 }), kind: 'matchall' });
  expect(rules.find(7, all)?.id).toBe(2n);
  rules.delete(1n);
  expect(rules.find(7, all)?.id).toBe(2n);
  rules.delete(2n);
  expect(rules.find(7, all)).toBeUndefined();
});
