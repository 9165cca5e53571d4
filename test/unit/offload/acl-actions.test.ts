/** Actions of tc that edit, put together as edits of a rule: exact, with right checksums, or the kernel's. */

import { describe, expect, test } from 'vitest';
import type { Decoded } from '../../../host/netlink/decode.ts';
import type { AclMatch } from '../../../host/offload/acl.ts';
import { actionOf } from '../../../host/offload/acl-actions.ts';
import type { FilterView } from '../../../host/offload/kernel-view.ts';
import { REASON, REASON_NAMES } from '../../../host/offload/reasons.ts';
import { ACL_ACTION, ACL_EDITS, ACL_FIELDS, FAMILY } from '../../../host/plugin/records.ts';

const ALL_EDITS = Object.values(ACL_EDITS).reduce((sum, bit) => sum | bit, 0);
const OUT = 7;
const ASIDE = 8;
const SKIP_SW = 2;
const [OK, DROP, PIPE, STOLEN, TRAP] = [0, 2, 3, 4, 8];
const [SET, ADD] = [0, 1];
const [ETH, IP4, IP6, TCP, UDP] = [1, 2, 3, 4, 5];
const CSUM = { ip: 1, icmp: 2, tcp: 8, udp: 16 };

const gact = (action: number): Decoded => ({ kind: 'gact', options: { parms: { action } } });
const redirect = (action = STOLEN): Decoded => ({
  kind: 'mirred',
  options: { parms: { action, eaction: 1, ifindex: OUT } },
});
const mirror = (ifindex = ASIDE, action = PIPE): Decoded => ({
  kind: 'mirred',
  options: { parms: { action, eaction: 2, ifindex } },
});
const pop = (action = PIPE): Decoded => ({ kind: 'vlan', options: { parms: { action, v_action: 1 } } });
const tag = (v_action: number, id: number, priority = 0, protocol = 0x8100): Decoded => ({
  kind: 'vlan',
  options: {
    parms: { action: PIPE, v_action },
    push_vlan_id: id,
    push_vlan_protocol: protocol,
    push_vlan_priority: priority,
  },
});
const push = (id: number, priority = 0, protocol = 0x8100) => tag(2, id, priority, protocol);
const modify = (id: number, priority = 0) => tag(3, id, priority);
const csum = (...names: (keyof typeof CSUM)[]): Decoded => ({
  kind: 'csum',
  options: { parms: { action: PIPE, update_flags: names.reduce((sum, name) => sum | CSUM[name], 0) } },
});

type Key = readonly [header: number, cmd: number, off: number, mask: number, val: number];

const pedit = (...keys: readonly Key[]): Decoded => ({
  kind: 'pedit',
  options: {
    parms_ex: {
      action: PIPE,
      nkeys: keys.length,
      keys: keys.map(([, , off, mask, val]) => ({ mask, val, off, at: 0, offmask: 0, shift: 0 })),
    },
    keys_ex: { key_ex: keys.map(([htype, cmd]) => ({ htype, cmd })) },
  },
});
/** As tc writes them: big-endian words, bits of the mask stay. */
const ttlDec: Key = [IP4, ADD, 8, 0x00ffffff, 0xff000000];
const hopsDec: Key = [IP6, ADD, 4, 0xffffff00, 0x000000ff];
const destinationMac: readonly Key[] = [
  [ETH, SET, 0, 0, 0x02000000],
  [ETH, SET, 4, 0x0000ffff, 0x00070000],
];
const source4: Key = [IP4, SET, 12, 0, 0xc0000207];
const destination4: Key = [IP4, SET, 16, 0, 0xc0000208];
const port = (header: number): Key => [header, SET, 0, 0xffff0000, 8080];

const ip4: AclMatch = { family: FAMILY.ipv4, fields: ACL_FIELDS.ethertype, ethertype: 0x0800 };
const ip6: AclMatch = { family: FAMILY.ipv6, fields: ACL_FIELDS.ethertype, ethertype: 0x86dd };
const any: AclMatch = { family: FAMILY.ipv4, fields: 0 };
const of = (match: AclMatch, protocol: number): AclMatch => ({
  ...match,
  fields: match.fields | ACL_FIELDS.protocol,
  protocol,
});
const tcp4 = of(ip4, 6);
const udp4 = of(ip4, 17);

function plan(match: AclMatch, actions: readonly Decoded[], aclEdits = ALL_EDITS, flags = 0) {
  const filter = { kind: 'flower', options: { act: actions, flags } } as unknown as FilterView;
  const { reason, ...rest } = actionOf(filter, match, {
    aclEdits,
    egress: (ifindex) => ({ isPort: ifindex === OUT || ifindex === ASIDE, reason: REASON.none }),
  });
  return reason === REASON.none ? rest : REASON_NAMES[reason];
}

const edited = (match: AclMatch, ...actions: readonly Decoded[]) => {
  const found = plan(match, [...actions, redirect()]);
  return typeof found === 'object' ? (found.edits ?? {}) : found;
};

const NO = 'unsupported-action';

describe('tags', () => {
  const { vlanPop, vlanPush, vlanModify } = ACL_EDITS;
  const five = { newVlan: 5, newVlanPriority: 0 };

  test('one action after another comes to one edit', () => {
    expect(edited(any, pop())).toEqual({ edits: vlanPop });
    expect(edited(any, push(5))).toEqual({ edits: vlanPush, ...five });
    expect(edited(any, pop(), push(5))).toEqual({ edits: vlanPop | vlanPush, ...five });
    expect(edited(any, modify(5, 3))).toEqual({ edits: vlanModify, newVlan: 5, newVlanPriority: 3 });
    expect(edited(any, push(6, 2), modify(5, 3))).toEqual({
      edits: vlanPush,
      newVlan: 5,
      newVlanPriority: 3,
    });
    expect(edited(any, modify(6), pop())).toEqual({ edits: vlanPop });
    expect(edited(any, pop(), modify(5))).toEqual({ edits: vlanPop });
    expect(edited(any, push(5), pop())).toEqual({});
    expect(edited(any, pop(), push(6), pop(), push(5))).toEqual({ edits: vlanPop | vlanPush, ...five });
  });

  test('two tags, a service tag, no VLAN and a priority that may stay are the kernel’s', () => {
    expect(edited(any, push(5), push(6))).toBe(NO);
    expect(edited(any, modify(5), push(6))).toBe(NO);
    expect(edited(any, push(5, 0, 0x88a8))).toBe(NO);
    expect(edited(any, push(0, 5))).toBe(NO);
    expect(edited(any, push(6, 2), modify(5))).toBe(NO);
    expect(edited(any, modify(6, 2), modify(5))).toBe(NO);
  });
});

describe('headers', () => {
  test('addresses, ports and TTL with their checksums', () => {
    expect(edited(any, pedit(...destinationMac))).toEqual({
      edits: ACL_EDITS.destinationMac,
      newDestinationMac: 0x020000000007,
    });
    expect(edited(ip4, pedit(ttlDec), csum('ip'))).toEqual({ edits: ACL_EDITS.ttlAdd, newTtl: 255 });
    expect(edited(ip6, pedit(hopsDec))).toEqual({ edits: ACL_EDITS.ttlAdd, newTtl: 255 });
    expect(edited(tcp4, pedit(source4, port(TCP)), csum('ip', 'tcp'))).toEqual({
      edits: ACL_EDITS.sourceAddress | ACL_EDITS.destinationPort,
      newSourceAddress: [0, 0, 0, 0xc0000207],
      newDestinationPort: 8080,
    });
    expect(edited(udp4, pedit(port(UDP)), csum('udp'))).toEqual({
      edits: ACL_EDITS.destinationPort,
      newDestinationPort: 8080,
    });
    const words = [0x20010db8, 0, 0, 9];
    const source6 = words.map((word, index): Key => [IP6, SET, 8 + 4 * index, 0, word]);
    expect(edited(of(ip6, 58), pedit(...source6), csum('icmp'))).toEqual({
      edits: ACL_EDITS.sourceAddress,
      newSourceAddress: words,
    });
  });

  test('the last of several edits counts, sums of TTLs modulo 256', () => {
    const set: Key = [IP4, SET, 8, 0x00ffffff, 0x09000000];
    expect(edited(ip4, pedit(ttlDec), pedit(ttlDec), csum('ip'))).toEqual({
      edits: ACL_EDITS.ttlAdd,
      newTtl: 254,
    });
    expect(edited(ip4, pedit(ttlDec, set), csum('ip'))).toEqual({ edits: ACL_EDITS.ttl, newTtl: 9 });
    expect(edited(ip4, pedit(set, ttlDec), csum('ip'))).toEqual({ edits: ACL_EDITS.ttl, newTtl: 8 });
    const other: Key = [IP4, SET, 16, 0, 0x0a000001];
    expect(edited(udp4, pedit(destination4), pedit(other), csum('ip', 'udp'))).toMatchObject({
      newDestinationAddress: [0, 0, 0, 0x0a000001],
    });
  });

  test('a checksum that would stay wrong is the kernel’s', () => {
    expect(edited(ip4, pedit(ttlDec))).toBe(NO);
    expect(edited(ip4, csum('ip'), pedit(ttlDec))).toBe(NO);
    expect(edited(tcp4, pedit(source4), csum('ip'))).toBe(NO);
    expect(edited(tcp4, pedit(source4), csum('ip', 'udp'))).toBe(NO);
    expect(edited(tcp4, pedit(source4), csum('ip', 'tcp'), pedit(port(TCP)))).toBe(NO);
    expect(edited(tcp4, pedit(source4), csum('ip', 'tcp'), pedit(port(TCP)), csum('tcp'))).toMatchObject({});
    // Of any protocol: those that addresses are part of.
    expect(edited(ip4, pedit(source4), csum('ip', 'tcp'))).toBe(NO);
    expect(edited(ip4, pedit(source4), csum('ip', 'tcp', 'udp'))).toMatchObject({});
    expect(edited(of(ip4, 1), pedit(source4), csum('ip'))).toMatchObject({});
  });

  test('what not all packets of the match have is the kernel’s', () => {
    expect(edited(any, pedit(ttlDec), csum('ip'))).toBe(NO);
    expect(edited(ip6, pedit(ttlDec), csum('ip'))).toBe(NO);
    expect(edited(ip4, pedit(hopsDec))).toBe(NO);
    expect(edited(ip4, pedit(port(TCP)), csum('tcp'))).toBe(NO);
    expect(edited(udp4, pedit(port(TCP)), csum('tcp', 'udp'))).toBe(NO);
  });

  test('bits, parts of addresses, other bytes and offsets that packets give are the kernel’s', () => {
    expect(edited(ip4, pedit([IP4, SET, 0, 0xff03ffff, 0x00b80000]), csum('ip'))).toBe(NO);
    expect(edited(ip4, pedit([IP4, SET, 0, 0xff00ffff, 0x00b80000]), csum('ip'))).toBe(NO);
    expect(edited(any, pedit(destinationMac[0]!))).toBe(NO);
    expect(edited(any, pedit(destinationMac[0]!), pedit(destinationMac[1]!))).toMatchObject({});
    expect(edited(ip4, pedit([IP4, SET, 16, 0x00ffffff, 0x0a000000]), csum('ip', 'tcp', 'udp'))).toBe(NO);
    // Bits under the mask are inverted.
    expect(edited(ip4, pedit([IP4, SET, 8, 0x00ffffff, 0x09000001]), csum('ip'))).toBe(NO);
    expect(edited(ip4, pedit([IP4, ADD, 12, 0, 1]), csum('ip', 'tcp', 'udp'))).toBe(NO);
    const moving = pedit(ttlDec);
    const [key] = ((moving.options as Decoded).parms_ex as Decoded).keys as Decoded[];
    key!.offmask = 0xf;
    expect(edited(ip4, moving, csum('ip'))).toBe(NO);
    const plain = pedit(ttlDec).options as Decoded;
    const old = { kind: 'pedit', options: { parms: plain.parms_ex! } } as Decoded;
    expect(edited(ip4, old, csum('ip'))).toBe(NO);
  });
});

describe('the end', () => {
  test('what was edited goes nowhere but out of a port; what is dropped may have been anything', () => {
    expect(plan(any, [pop(), redirect()])).toEqual({
      action: ACL_ACTION.redirect,
      redirect: OUT,
      mirror: 0,
      edits: { edits: ACL_EDITS.vlanPop },
    });
    expect(plan(any, [pop(), gact(OK)])).toBe(NO);
    expect(plan(any, [pop()])).toBe(NO);
    expect(plan(any, [pop(), gact(DROP)])).toEqual({ action: ACL_ACTION.drop, redirect: 0, mirror: 0 });
    expect(plan(any, [redirect(), pop()])).toBe(NO);
  });

  test('an action that does not go on to the next, and a redirect that does', () => {
    expect(plan(any, [pop(OK), redirect()])).toBe(NO);
    expect(plan(any, [redirect(PIPE)])).toBe(NO);
  });

  test('edits that the plugin does not have', () => {
    const actions = [pop(), pedit(...destinationMac), redirect()];
    expect(plan(any, actions, ACL_EDITS.vlanPop)).toBe(NO);
    expect(plan(any, actions, ACL_EDITS.vlanPop | ACL_EDITS.destinationMac)).toMatchObject({ redirect: OUT });
    expect(plan(any, [redirect()], 0)).toMatchObject({ redirect: OUT });
  });
});

describe('a copy', () => {
  const edits = { edits: ACL_EDITS.mirror };
  const accept = { action: ACL_ACTION.accept, redirect: 0, mirror: ASIDE, edits };

  test('of what goes on, is dropped or leaves by another port', () => {
    expect(plan(any, [mirror()])).toEqual(accept);
    expect(plan(any, [mirror(ASIDE, OK)])).toEqual(accept);
    expect(plan(any, [mirror(), gact(OK)])).toEqual(accept);
    expect(plan(any, [mirror(), gact(DROP)])).toEqual({ ...accept, action: ACL_ACTION.drop });
    expect(plan(any, [mirror(ASIDE, DROP)])).toEqual({ ...accept, action: ACL_ACTION.drop });
    const redirected = { ...accept, action: ACL_ACTION.redirect, redirect: OUT };
    expect(plan(any, [mirror(), redirect()])).toEqual(redirected);
    expect(plan(any, [mirror(), pop(), redirect()])).toEqual({
      ...redirected,
      edits: { edits: ACL_EDITS.mirror | ACL_EDITS.vlanPop },
    });
  });

  test('which the kernel makes of what it gets, unless the filter is hardware’s alone', () => {
    expect(plan(any, [mirror()], ALL_EDITS, SKIP_SW)).toEqual({
      ...accept,
      edits: { edits: ACL_EDITS.mirror | ACL_EDITS.mirrorTrapped | ACL_EDITS.countTrapped },
    });
  });

  test('two, one of an edited packet, and one of what is the kernel’s or the next filter’s', () => {
    expect(plan(any, [mirror(), mirror(OUT)])).toBe(NO);
    expect(plan(any, [pop(), mirror(), redirect()])).toBe(NO);
    expect(plan(any, [mirror(), pop(), gact(OK)])).toBe(NO);
    expect(plan(any, [mirror(), gact(TRAP)])).toBe(NO);
    expect(plan(any, [mirror(), gact(-1)])).toBe(NO);
    expect(plan(any, [mirror(ASIDE, OK), redirect()])).toBe(NO);
  });

  test('by a link that is no port, and where the plugin makes none', () => {
    expect(plan(any, [mirror(9)])).toBe('egress-not-a-port');
    expect(plan(any, [mirror(), redirect()], ALL_EDITS & ~ACL_EDITS.mirror)).toBe(NO);
    expect(plan(any, [mirror()], ACL_EDITS.mirror, SKIP_SW)).toBe(NO);
  });
});

describe('packets that the kernel gets', () => {
  const countTrapped = { edits: { edits: ACL_EDITS.countTrapped } };

  test.each([
    ['accept', [gact(OK)]],
    ['accept', [gact(PIPE)]],
    ['accept', []],
    ['trap', [gact(TRAP)]],
  ] as const)('count for a rule that hardware alone has: %s', (action, actions) => {
    const made = { action: ACL_ACTION[action], redirect: 0, mirror: 0 };
    expect(plan(any, actions, ALL_EDITS, SKIP_SW)).toEqual({ ...made, ...countTrapped });
    expect(plan(any, actions, ALL_EDITS)).toEqual(made);
    // Not by a plugin that does not, which has the rule all the same.
    expect(plan(any, actions, 0, SKIP_SW)).toEqual(made);
  });

  test('are none of what hardware drops or sends out itself', () => {
    for (const actions of [[gact(DROP)], [redirect()]])
      expect(plan(any, actions, ALL_EDITS, SKIP_SW)).not.toHaveProperty('edits');
    expect(plan(any, [mirror(), gact(DROP)], ALL_EDITS, SKIP_SW)).toMatchObject({
      edits: { edits: ACL_EDITS.mirror | ACL_EDITS.mirrorTrapped },
    });
  });
});

describe('a rate', () => {
  const tcRate = (rate: number, more: Decoded = {}): Decoded => ({
    ...{ cell_log: 3, linklayer: 1, overhead: 0, cell_align: -1, mpu: 0, rate },
    ...more,
  });
  const police = (options: Decoded = {}, parameters: Decoded = {}): Decoded => ({
    kind: 'police',
    options: {
      tbf: { index: 4, action: DROP, burst: 1000, mtu: 2040, rate: tcRate(125_000), ...parameters },
      result: PIPE,
      ...options,
    },
  });
  const values = { police: 4, policeMtu: 2040, policeMinimum: 0, policeRate: 125_000, policeBurst: 64_000 };
  const edits = { edits: ACL_EDITS.police, ...values };
  const redirected = { action: ACL_ACTION.redirect, redirect: OUT, mirror: 0, edits };
  const accepted = { action: ACL_ACTION.accept, redirect: 0, mirror: 0, edits };

  test('of what leaves by another port, goes on, or is dropped', () => {
    expect(plan(any, [police(), redirect()])).toEqual(redirected);
    expect(plan(any, [police()])).toEqual(accepted);
    expect(plan(any, [police({ result: OK })])).toEqual(accepted);
    // The kernel leaves 0 out.
    const silent = police();
    delete (silent.options as Decoded).result;
    expect(plan(any, [silent])).toEqual(accepted);
    expect(plan(any, [police(), gact(OK)])).toEqual(accepted);
    expect(plan(any, [police(), gact(DROP)])).toMatchObject({ action: ACL_ACTION.drop, edits });
  });

  test('of bytes beyond 32 bits, so many a packet at least, and of packets', () => {
    expect(plan(any, [police({}, { rate: tcRate(125_000, { mpu: 60 }) }), redirect()])).toMatchObject({
      edits: { policeMinimum: 60 },
    });
    const fast = police({ rate64: 5_000_000_000n }, { rate: tcRate(0xffff_ffff) });
    expect(plan(any, [fast, redirect()])).toEqual({
      ...redirected,
      edits: { ...edits, policeRate: 5_000_000_000 },
    });
    const packets = police({ pktrate64: 10n, pktburst64: 5_000_000_000n }, { burst: 0, rate: tcRate(0) });
    expect(plan(any, [packets, redirect()])).toEqual({
      ...redirected,
      edits: {
        ...edits,
        edits: ACL_EDITS.police | ACL_EDITS.policePackets,
        policeRate: 10,
        policeBurst: 320_000_000_000,
      },
    });
    const endless = police({ pktrate64: 10n, pktburst64: 2n ** 60n }, { rate: tcRate(0) });
    expect(plan(any, [endless, redirect()])).toBe(NO);
  });

  test('with edits on either side, and before a copy, which is of what passes', () => {
    const tagged = { ...redirected, edits: { ...edits, edits: ACL_EDITS.police | ACL_EDITS.vlanPop } };
    expect(plan(any, [police(), pop(), redirect()])).toEqual(tagged);
    expect(plan(any, [pop(), police(), redirect()])).toEqual(tagged);
    const copied = { ...edits, edits: ACL_EDITS.police | ACL_EDITS.mirror };
    expect(plan(any, [police(), mirror(), redirect()])).toEqual({
      ...redirected,
      mirror: ASIDE,
      edits: copied,
    });
    expect(plan(any, [mirror(), police(), redirect()])).toBe(NO);
    expect(plan(any, [pop(), police()])).toBe(NO);
  });

  test('which the kernel keeps for what it gets, unless the filter is hardware’s alone', () => {
    expect(plan(any, [police()], ALL_EDITS, SKIP_SW)).toEqual({
      ...accepted,
      edits: { ...edits, edits: ACL_EDITS.police | ACL_EDITS.policeTrapped | ACL_EDITS.countTrapped },
    });
  });

  test('that hardware has not as the kernel has it', () => {
    const odd: readonly Decoded[] = [
      police({ result: -1 >>> 0 }),
      police({ result: DROP }),
      police({ avrate: 1000 }),
      police({}, { action: 1 }),
      police({}, { action: OK }),
      police({}, { peakrate: tcRate(250_000) }),
      police({}, { rate: tcRate(125_000, { overhead: 4 }) }),
      police({}, { rate: tcRate(125_000, { linklayer: 2 }) }),
      police({}, { rate: tcRate(0) }),
    ];
    for (const one of odd) expect(plan(any, [one, redirect()])).toBe(NO);
    // What conforms goes no further.
    expect(plan(any, [police({ result: OK }), redirect()])).toBe(NO);
    expect(plan(any, [police(), police(), redirect()])).toBe(NO);
    expect(plan(any, [police(), gact(8)])).toBe(NO);
    expect(plan(any, [police(), gact(-1)])).toBe(NO);
    for (const missing of [ACL_EDITS.police, ACL_EDITS.policeTrapped])
      expect(plan(any, [police()], ALL_EDITS & ~missing, SKIP_SW)).toBe(NO);
  });
});
