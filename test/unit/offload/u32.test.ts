/** u32 filters as ACL rules: words of the packet that are fields, and those that are none. */

import { describe, expect, test } from 'vitest';
import { planFilters } from '../../../host/offload/acl.ts';
import type { FilterView, KernelView } from '../../../host/offload/kernel-view.ts';
import { REASON, REASON_NAMES } from '../../../host/offload/reasons.ts';
import { ACL_ACTION, ACL_FIELDS, FAMILY } from '../../../host/plugin/records.ts';

const ALL_FIELDS = Object.values(ACL_FIELDS).reduce((sum, bit) => sum | bit, 0);
const IP = 0x0800;
const IPV6 = 0x86dd;
const TERMINAL = 1;
const ROOT = 0x80000000;
const DROP = [{ kind: 'gact', options: { parms: { index: 1, capab: 0, action: 2, refcnt: 1, bindcnt: 1 } } }];

type Key = readonly [offset: number, mask: number, value: number, offmask?: number];

function u32(keys: readonly Key[], more: Partial<FilterView> & { flags?: number } = {}): FilterView {
  const { flags = TERMINAL, options, ...rest } = more;
  const sel = {
    flags,
    nkeys: keys.length,
    keys: keys.map(([off, mask, val, offmask = 0]) => ({ off, mask, val, offmask })),
  };
  return {
    id: 1,
    ifindex: 2,
    parent: 0xfffffff2,
    handle: ROOT + 0x800,
    chain: 0,
    priority: 1,
    protocol: IP,
    kind: 'u32',
    options: { sel, act: DROP, ...options },
    ...rest,
  };
}

function plan(...filters: FilterView[]) {
  return planFilters({ links: new Map() } as unknown as KernelView, 2, filters, {
    aclFields: ALL_FIELDS,
    aclEdits: 0,
    egress: () => ({ isPort: false, reason: REASON.none }),
  }).map(({ want, reason }) => ({ ...want, reason: REASON_NAMES[reason] }));
}

const TO: Key = [16, 0xffffffff, 0xc0000201];
const IS_TCP: Key = [8, 0x00ff0000, 0x00060000];
const IS_UDP: Key = [8, 0x00ff0000, 0x00110000];
const IS_ICMP: Key = [8, 0x00ff0000, 0x00010000];
const TO_PORT_53: Key = [20, 0x0000ffff, 53];
const SYN: Key = [32, 0x00120000, 0x00020000];

describe('words of the IPv4 header', () => {
  test('addresses, with any mask', () => {
    expect(plan(u32([TO, [12, 0xff00ff00, 0x0a000100]]))).toMatchObject([
      {
        reason: 'none',
        action: ACL_ACTION.drop,
        family: FAMILY.ipv4,
        ethertype: IP,
        fields: ACL_FIELDS.ethertype | ACL_FIELDS.sourceAddress | ACL_FIELDS.destinationAddress,
        sourceAddress: [0, 0, 0, 0x0a000100],
        sourceMask: [0, 0, 0, 0xff00ff00],
        destinationAddress: [0, 0, 0, 0xc0000201],
        destinationMask: [0, 0, 0, 0xffffffff],
      },
    ]);
  });

  test('the upper bits of TOS are the DSCP, all of it is none', () => {
    expect(plan(u32([[0, 0x00fc0000, 0x00b80000]]))).toMatchObject([{ reason: 'none', dscp: 0x2e }]);
    expect(plan(u32([[0, 0x00ff0000, 0x00b80000]]))).toMatchObject([
      { reason: 'unsupported-match', action: ACL_ACTION.trap, fields: ACL_FIELDS.ethertype },
    ]);
  });

  test('two words of one place are one, unless they contradict each other', () => {
    const [low, high]: [Key, Key] = [
      [16, 0x0000ffff, 0x0201],
      [16, 0xffff0000, 0xc0000000],
    ];
    expect(plan(u32([low, high]))).toMatchObject([
      { reason: 'none', destinationAddress: [0, 0, 0, 0xc0000201] },
    ]);
    expect(plan(u32([TO, [16, 0xff, 2]]))).toMatchObject([{ reason: 'unsupported-match' }]);
  });

  test('a word that is no field widens the match', () => {
    expect(plan(u32([TO, [8, 0xff000000, 0x40000000]]))).toMatchObject([
      {
        reason: 'unsupported-match',
        action: ACL_ACTION.trap,
        fields: ACL_FIELDS.ethertype | ACL_FIELDS.destinationAddress,
      },
    ]);
  });

  test('words before the header, and those at a place that the packet says, are no fields', () => {
    for (const key of [[-4, 0xffff, IP] as const, [0, 0xffff, 53, -1] as const, [80, 1, 1] as const])
      expect(plan(u32([key]))).toMatchObject([{ reason: 'unsupported-match', fields: ACL_FIELDS.ethertype }]);
  });
});

describe('words behind the header', () => {
  test('ports of a protocol that has them, in either order', () => {
    for (const keys of [
      [IS_UDP, TO_PORT_53],
      [TO_PORT_53, IS_UDP],
    ])
      expect(plan(u32(keys))).toMatchObject([{ reason: 'none', protocol: 17, destinationPort: [53, 53] }]);
    expect(plan(u32([IS_TCP, [20, 0xfff80000, 1000 << 16]]))).toMatchObject([
      { reason: 'none', sourcePort: [1000, 1007] },
    ]);
    expect(plan(u32([IS_TCP, [20, 0x000f0000, 1 << 16]]))).toMatchObject([{ reason: 'unsupported-match' }]);
  });

  test('ports of no protocol, or one that has none, are bytes', () => {
    for (const keys of [[TO_PORT_53], [IS_ICMP, TO_PORT_53]])
      expect(plan(u32(keys))).toMatchObject([{ reason: 'unsupported-match' }]);
  });

  test('TCP flags, once it is known that it is TCP', () => {
    expect(plan(u32([IS_TCP, SYN]))).toMatchObject([{ reason: 'none', tcpFlags: 2, tcpFlagsMask: 0x12 }]);
    // With UDP, the kernel would stop at a packet that ends before the flags, and try none of the filters behind.
    expect(plan(u32([SYN, IS_TCP]))).toMatchObject([{ reason: 'unsupported-match' }]);
    expect(plan(u32([IS_UDP, SYN]))).toMatchObject([{ reason: 'unsupported-match' }]);
  });

  test('ICMP type and code', () => {
    expect(plan(u32([IS_ICMP, [20, 0xffff0000, 0x08000000]]))).toMatchObject([
      { reason: 'none', icmpType: 8, icmpCode: 0 },
    ]);
  });
});

test('IPv6: four words an address, next header and class', () => {
  const keys: Key[] = [
    [24, 0xffffffff, 0x20010db8],
    [28, 0xffff0000, 0x000a0000],
    [4, 0x0000ff00, 0x00000600],
    [40, 0x0000ffff, 80],
    [0, 0x0fc00000, 0x0b800000],
  ];
  expect(plan(u32(keys, { protocol: IPV6 }))).toMatchObject([
    {
      reason: 'none',
      family: FAMILY.ipv6,
      destinationAddress: [0x20010db8, 0x000a0000, 0, 0],
      destinationMask: [0xffffffff, 0xffff0000, 0, 0],
      protocol: 6,
      destinationPort: [80, 80],
      dscp: 0x2e,
    },
  ]);
});

test('of other protocols only what compares nothing', () => {
  expect(plan(u32([[0, 0, 0]], { protocol: 3 }))).toMatchObject([{ reason: 'none', fields: 0 }]);
  expect(plan(u32([IS_UDP], { protocol: 3 }))).toMatchObject([{ reason: 'unsupported-match', fields: 0 }]);
  // Packets of other protocols may end before it.
  expect(plan(u32([[40, 0, 0]], { protocol: 3 }))).toMatchObject([{ reason: 'unsupported-match' }]);
});

test('filters of one priority are tried by their place in the table', () => {
  const [first, second] = plan(u32([TO]), u32([IS_UDP], { handle: ROOT + 0x801 }));
  expect([first!.priority, second!.priority]).toEqual([0x10800, 0x10801]);
});

test('with tables beside the one that is always there, nothing is known but the protocol', () => {
  const other = { id: 2, handle: 0x00700000, options: { divisor: 4 } };
  expect(plan(u32([TO]), { ...u32([]), ...other })).toMatchObject([
    { reason: 'unsupported-match', fields: ACL_FIELDS.ethertype },
  ]);
  expect(plan(u32([TO], { handle: 0x00700800 }))).toMatchObject([{ reason: 'unsupported-match' }]);
  expect(plan(u32([TO]), { ...u32([]), ...other, handle: ROOT })).toMatchObject([{ reason: 'none' }]);
});

test('a filter that only leads on does nothing by itself', () => {
  expect(plan(u32([TO], { flags: 0 }))).toEqual([]);
  expect(plan(u32([TO], { flags: 0, options: { link: 0x00700000 } }))).toMatchObject([
    { reason: 'unsupported-match', action: ACL_ACTION.trap },
  ]);
});

test('a mark, an interface or a policer is more than fields', () => {
  for (const options of [{ mark: { val: 1, mask: 1, success: 0 } }, { indev: 'p1' }, { police: {} }])
    expect(plan(u32([TO], { options: { ...options } as FilterView['options'] }))).toMatchObject([
      { reason: 'unsupported-match', action: ACL_ACTION.trap },
    ]);
});
