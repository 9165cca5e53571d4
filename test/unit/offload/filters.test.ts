/** tc filters as ACL rules: exact where the device can, wider and trapping where it cannot. */

import { describe, expect, test } from 'vitest';
import { KINDS } from '../../../host/mirror/types.ts';
import type { Decoded, DecodedObject } from '../../../host/netlink/decode.ts';
import { type AclOptions, planFilters } from '../../../host/offload/acl.ts';
import { KernelView } from '../../../host/offload/kernel-view.ts';
import { CLSACT_INGRESS, filtersOfLinks } from '../../../host/offload/link-filters.ts';
import { REASON, REASON_NAMES } from '../../../host/offload/reasons.ts';
import { ACL_ACTION, ACL_EDITS, ACL_FIELDS } from '../../../host/plugin/records.ts';
import { KernelModel, PORT } from './kernel-model.ts';

const ALL_FIELDS = Object.values(ACL_FIELDS).reduce((sum, bit) => sum | bit, 0);
const ALL_EDITS = Object.values(ACL_EDITS).reduce((sum, bit) => sum | bit, 0);
const SECOND_PORT = 3;

function gact(action: number): Decoded {
  return { kind: 'gact', options: { parms: { index: 1, capab: 0, action, refcnt: 1, bindcnt: 1 } } };
}

function redirect(ifindex: number, action = 4): Decoded {
  return {
    kind: 'mirred',
    options: { parms: { index: 1, capab: 0, action, refcnt: 1, bindcnt: 1, eaction: 1, ifindex } },
  };
}

function filter(
  priority: number,
  kind: string,
  options: Decoded,
  more: Partial<{ protocol: number; parent: number; ifindex: number; handle: number }> = {},
): DecodedObject {
  const { protocol = 0x0800, parent = CLSACT_INGRESS, ifindex = PORT, handle = 1 } = more;
  const info = ((priority << 16) | ((protocol & 0xff) << 8) | (protocol >>> 8)) >>> 0;
  return { header: { family: 0, ifindex, handle, parent, info }, kind, chain: 0, options };
}

function plan(filters: readonly DecodedObject[], options: Partial<AclOptions> = {}) {
  const kernel = new KernelModel();
  kernel.put('link', {
    header: { family: 0, type: 1, index: SECOND_PORT, flags: 0x10041, change: 0 },
    ifname: 'p2',
    mtu: 1500,
  });
  for (const object of filters) kernel.put('filter', object);
  kernel.commit();
  const view = new KernelView(kernel.mirror);
  for (const kind of KINDS.keys()) kernel.mirror.forEach(kind, (id) => view.change(kind, id, false));
  const plans = planFilters(view, PORT, filtersOfLinks(view).ingress.get(PORT) ?? [], {
    aclFields: ALL_FIELDS,
    aclEdits: ALL_EDITS,
    egress: (ifindex) => ({ isPort: ifindex === SECOND_PORT, reason: REASON.none }),
    ...options,
  });
  return plans.map(({ want, reason, redirect: to }) => ({
    want,
    reason: REASON_NAMES[reason],
    redirect: to,
  }));
}

describe('flower', () => {
  test('a five-tuple that drops is exact', () => {
    const [only] = plan([
      filter(1, 'flower', {
        key_eth_type: 0x0800,
        key_ip_proto: 6,
        key_ipv4_src: '192.0.2.0',
        key_ipv4_src_mask: '255.255.255.0',
        key_ipv4_dst: '198.51.100.1',
        key_ipv4_dst_mask: '255.255.255.255',
        key_tcp_dst: 443,
        key_tcp_dst_mask: 0xffff,
        act: [gact(2)],
      }),
    ]);
    expect(only).toMatchObject({
      reason: 'none',
      want: {
        action: ACL_ACTION.drop,
        ethertype: 0x0800,
        protocol: 6,
        sourceAddress: [0, 0, 0, 0xc0000200],
        sourceMask: [0, 0, 0, 0xffffff00],
        destinationAddress: [0, 0, 0, 0xc6336401],
        destinationPort: [443, 443],
      },
    });
  });

  test('redirect goes to the port, and only to a port', () => {
    expect(
      plan([filter(1, 'flower', { key_eth_type: 0x0800, act: [redirect(SECOND_PORT)] })])[0],
    ).toMatchObject({
      reason: 'none',
      redirect: SECOND_PORT,
      want: { action: ACL_ACTION.redirect },
    });
    expect(plan([filter(1, 'flower', { key_eth_type: 0x0800, act: [redirect(77)] })])[0]).toMatchObject({
      reason: 'egress-not-a-port',
      want: { action: ACL_ACTION.trap },
    });
  });

  test('a redirect that lets the packet go on is the kernel’s: it is sent, and passed or dropped as well', () => {
    for (const action of [-1, 0, 2, 3])
      expect(
        plan([filter(1, 'flower', { key_eth_type: 0x0800, act: [redirect(SECOND_PORT, action)] })])[0],
      ).toMatchObject({ reason: 'unsupported-action', want: { action: ACL_ACTION.trap } });
  });

  test('a key the device cannot match widens the match and traps', () => {
    const [only] = plan([
      filter(1, 'flower', { key_eth_type: 0x0800, key_ct_state: 1, key_ct_state_mask: 1, act: [gact(2)] }),
    ]);
    expect(only).toMatchObject({
      reason: 'unsupported-match',
      want: { action: ACL_ACTION.trap, fields: ACL_FIELDS.ethertype },
    });
  });

  test('a field the plugin did not name widens the match and traps', () => {
    const [only] = plan([filter(1, 'flower', { key_eth_type: 0x0800, key_ip_proto: 17, act: [gact(2)] })], {
      aclFields: ALL_FIELDS & ~ACL_FIELDS.protocol,
    });
    expect(only).toMatchObject({
      reason: 'unsupported-match',
      want: { action: ACL_ACTION.trap, fields: ACL_FIELDS.ethertype },
    });
  });

  test('pipe with no action after it accepts; only continue goes on to the next filter', () => {
    const of = (action: number) =>
      plan([
        filter(1, 'flower', { key_eth_type: 0x0800, act: [gact(action)] }),
        filter(2, 'matchall', { act: [gact(2)] }, { protocol: 3 }),
      ]).map(({ want }) => want?.action);
    expect(of(3)).toEqual([ACL_ACTION.accept, ACL_ACTION.drop]);
    expect(of(-1)).toEqual([ACL_ACTION.drop]);
  });

  test('indev of the port says nothing more, of another link it matches nothing, an unknown one traps', () => {
    const of = (indev: string) =>
      plan([filter(1, 'flower', { key_eth_type: 0x0800, indev, act: [gact(2)] })]).map(
        ({ want }) => want?.action,
      );
    expect(of('p1')).toEqual([ACL_ACTION.drop]);
    expect(of('p2')).toEqual([]);
    expect(of('formerly')).toEqual([ACL_ACTION.trap]);
  });

  test('skip_hw is obeyed: the kernel does it', () => {
    expect(plan([filter(1, 'flower', { key_eth_type: 0x0800, flags: 1, act: [gact(2)] })])[0]).toMatchObject({
      reason: 'unsupported-action',
      want: { action: ACL_ACTION.trap },
    });
  });

  test('the priority of a tag is a field where the tag is', () => {
    const of = (options: Decoded, aclFields = ALL_FIELDS) =>
      plan(
        [filter(1, 'flower', { key_eth_type: 0x8100, ...options, act: [gact(2)] }, { protocol: 0x8100 })],
        {
          aclFields,
        },
      )[0];
    const { vlan, vlanPriority } = ACL_FIELDS;
    expect(of({ key_vlan_id: 7, key_vlan_prio: 0 })).toMatchObject({
      reason: 'none',
      want: { action: ACL_ACTION.drop, fields: vlan | vlanPriority, vlan: 7, vlanPriority: 0 },
    });
    const wider = { reason: 'unsupported-match', want: { action: ACL_ACTION.trap, fields: vlan } };
    expect(of({ key_vlan_id: 7, key_vlan_prio: 0 }, ALL_FIELDS & ~vlanPriority)).toMatchObject(wider);
    expect(of({ key_vlan_prio: 3 })).toMatchObject({ ...wider, want: { action: ACL_ACTION.trap } });
  });

  test('packets that are no fragments are a field; those that are cannot be told from each other', () => {
    const of = (key_flags: number, key_flags_mask: number) =>
      plan([
        filter(1, 'flower', {
          key_eth_type: 0x0800,
          key_flags,
          key_flags_mask,
          act: [redirect(SECOND_PORT)],
        }),
      ])[0];
    expect(of(0, 1)).toMatchObject({
      reason: 'none',
      want: { action: ACL_ACTION.redirect, fields: ACL_FIELDS.ethertype | ACL_FIELDS.unfragmented },
    });
    expect(of(0, 0)).toMatchObject({ reason: 'none', want: { fields: ACL_FIELDS.ethertype } });
    for (const [flags, mask] of [
      [1, 1],
      [1, 3],
      [0, 3],
      [3, 3],
    ] as const)
      expect(of(flags, mask)).toMatchObject({
        reason: 'unsupported-match',
        want: { action: ACL_ACTION.trap, fields: ACL_FIELDS.ethertype },
      });
  });

  test('several masks in one priority: their order is not known', () => {
    const both = plan([
      filter(
        1,
        'flower',
        {
          key_eth_type: 0x0800,
          key_ipv4_dst: '192.0.2.0',
          key_ipv4_dst_mask: '255.255.255.0',
          act: [gact(2)],
        },
        { handle: 1 },
      ),
      filter(
        1,
        'flower',
        {
          key_eth_type: 0x0800,
          key_ipv4_dst: '192.0.2.1',
          key_ipv4_dst_mask: '255.255.255.255',
          act: [gact(0)],
        },
        { handle: 2 },
      ),
    ]);
    expect(both.map(({ want }) => want?.action)).toEqual([ACL_ACTION.trap, ACL_ACTION.trap]);
  });
});

describe('masks of one priority', () => {
  const two = (first: Decoded, second: Decoded) =>
    plan([
      filter(1, 'flower', { key_eth_type: 0x0800, ...first, act: [gact(2)] }, { handle: 1 }),
      filter(1, 'flower', { key_eth_type: 0x0800, ...second, act: [gact(0)] }, { handle: 2 }),
    ]).map(({ want }) => want?.action);
  const exact = [ACL_ACTION.drop, ACL_ACTION.accept];
  const traps = [ACL_ACTION.trap, ACL_ACTION.trap];

  test('the same keys with other values keep their actions', () => {
    const to = (address: string) => ({ key_ipv4_dst: address, key_ipv4_dst_mask: '255.255.255.255' });
    expect(two(to('192.0.2.1'), to('192.0.2.2'))).toEqual(exact);
  });

  test('where no packet can match both, their order does not matter', () => {
    const macs = (last: number, key_flags_mask: number) => ({
      key_eth_src: `02:00:00:00:00:0${last}`,
      key_flags: 0,
      key_flags_mask,
    });
    const to = (address: string, key_ipv4_dst_mask: string) => ({ key_ipv4_dst: address, key_ipv4_dst_mask });
    expect(two(macs(1, 1), macs(2, 0))).toEqual(exact);
    expect(two(macs(1, 1), macs(1, 0))).toEqual(traps);
    expect(two(to('192.0.2.200', '255.255.255.255'), to('192.0.2.208', '255.255.255.248'))).toEqual(exact);
    expect(two(to('192.0.2.209', '255.255.255.255'), to('192.0.2.208', '255.255.255.248'))).toEqual(traps);
    // Nothing that both look at.
    expect(two(to('192.0.2.209', '255.255.255.255'), macs(1, 0))).toEqual(traps);
    // One says the frame is tagged, the other what the tag carries: one frame may be both.
    expect(
      two(
        { key_eth_type: 0x8100, key_vlan_id: 5, key_vlan_eth_type: 0x0800 },
        { key_eth_type: 0x8100, key_vlan_eth_type: 0x0800 },
      ),
    ).toEqual(traps);
    expect(
      two(
        { key_ip_proto: 6, key_tcp_dst: 53, key_tcp_dst_mask: 0xffff },
        { key_ip_proto: 6, key_port_dst_min: 60, key_port_dst_max: 70 },
      ),
    ).toEqual(traps);
  });

  test('ports of TCP and of UDP are one mask', () => {
    expect(
      two(
        { key_ip_proto: 6, key_tcp_dst: 53, key_tcp_dst_mask: 0xffff },
        { key_ip_proto: 17, key_udp_dst: 53, key_udp_dst_mask: 0xffff },
      ),
    ).toEqual(exact);
  });

  test('masks that differ in what no entry can say are different ones', () => {
    const marked = (mask: number) => ({ key_ct_mark: 1, key_ct_mark_mask: mask });
    expect(two(marked(1), {})).toEqual(traps);
    // A key the plugin has no field for and one it has: the reduced matches would be the same.
    expect(two({ key_ip_ttl: 1, key_ip_ttl_mask: 255 }, {})).toEqual(traps);
  });

  test('an indev is part of the mask', () => {
    expect(two({ indev: 'p1' }, { key_ip_proto: 6 })).toEqual(traps);
  });

  test('ranges are tried in an order nobody tells', () => {
    const range = (first: number, last: number) => ({
      key_ip_proto: 6,
      key_port_dst_min: first,
      key_port_dst_max: last,
    });
    expect(two(range(1, 1000), range(500, 2000))).toEqual(traps);
  });
});

describe('order', () => {
  test('a filter of another priority leaves the priorities of the rest alone', () => {
    const of = (...priorities: number[]) =>
      plan(
        priorities.map((priority) => filter(priority, 'flower', { key_eth_type: 0x0800, act: [gact(2)] })),
      ).map(({ want }) => want!.priority);
    const [first, last] = of(10, 30);
    expect(of(10, 20, 30)).toEqual([first, 20 * 0x10000 + 1, last]);
    // The largest the kernel has still is 32 bits wide.
    expect(of(0xffff)).toEqual([0xffff0001]);
  });

  test('handles beyond 16 bits stay within their priority', () => {
    const plans = plan([
      filter(7, 'flower', { key_eth_type: 0x0800, act: [gact(2)] }, { handle: 0x12345678 }),
      filter(8, 'matchall', { act: [gact(2)] }, { protocol: 3 }),
    ]);
    expect(plans.map(({ want }) => want?.priority)).toEqual([7 * 0x10000 + 0xfffe, 8 * 0x10000 + 1]);
  });

  test('filters keep the order of their priorities', () => {
    const plans = plan([
      filter(20, 'matchall', { act: [gact(2)] }, { protocol: 3 }),
      filter(10, 'flower', { key_eth_type: 0x0800, act: [gact(0)] }),
    ]);
    expect(plans.map(({ want }) => [want?.priority, want?.action])).toEqual([
      [10 * 0x10000 + 1, ACL_ACTION.accept],
      [20 * 0x10000 + 1, ACL_ACTION.drop],
    ]);
  });

  test('after a filter that hands everything over, none is planned', () => {
    const plans = plan([
      filter(1, 'bpf', {}, { protocol: 3 }),
      filter(2, 'matchall', { act: [gact(2)] }, { protocol: 3 }),
    ]);
    expect(plans.map(({ reason, want }) => [reason, want?.action])).toEqual([
      ['unsupported-match', ACL_ACTION.trap],
      ['after-refused-filter', undefined],
    ]);
  });

  test('a filter of another protocol does not hold back the rest', () => {
    const plans = plan([
      filter(1, 'bpf', {}, { protocol: 0x86dd }),
      filter(2, 'matchall', { act: [gact(2)] }, { protocol: 3 }),
    ]);
    expect(plans.map(({ reason, want }) => [reason, want?.action, want?.fields])).toEqual([
      ['unsupported-match', ACL_ACTION.trap, ACL_FIELDS.ethertype],
      ['none', ACL_ACTION.drop, 0],
    ]);
  });

  test('egress filters, u32 hash tables and what stands for a whole priority are no rules', () => {
    expect(
      plan([
        filter(1, 'matchall', {}, { handle: 0 }),
        filter(2, 'flower', {}, { handle: 0 }),
        filter(3, 'bpf', {}, { handle: 0 }),
        filter(1, 'matchall', { act: [gact(2)] }, { parent: 0xfffffff3 }),
        filter(1, 'u32', { divisor: 1 }),
      ]),
    ).toEqual([]);
  });
});
