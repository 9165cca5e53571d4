/** Policy rules: tables in order, selectors as ACL rules that trap, and where the list must end. */

import { describe, expect, test } from 'vitest';
import { KINDS } from '../../../host/mirror/types.ts';
import type { DecodedObject } from '../../../host/netlink/decode.ts';
import { KernelView } from '../../../host/offload/kernel-view.ts';
import { planPorts } from '../../../host/offload/ports.ts';
import { REASON } from '../../../host/offload/reasons.ts';
import { planRules } from '../../../host/offload/rules.ts';
import { ACL_ACTION, ACL_FIELDS, ACL_STAGE } from '../../../host/plugin/records.ts';
import { KernelModel, PORT } from './kernel-model.ts';

const ALL_FIELDS = Object.values(ACL_FIELDS).reduce((sum, bit) => sum | bit, 0);
const VRF = 9;

function rule(
  priority: number,
  table: number,
  more: Partial<DecodedObject> = {},
  header: Record<string, number> = {},
): DecodedObject {
  return {
    header: {
      family: 2,
      dst_len: 0,
      src_len: 0,
      tos: 0,
      table: Math.min(table, 252),
      action: table === 0 ? 0 : 1,
      flags: 0,
      ...header,
    },
    ...(priority > 0 && { priority }),
    ...(table > 0 && { table }),
    ...more,
  } as DecodedObject;
}

function plan(
  rules: readonly DecodedObject[],
  setup: (kernel: KernelModel) => void = () => {},
  refused: ReadonlySet<number> = new Set(),
  aclFields = ALL_FIELDS,
  family = 2,
) {
  const kernel = new KernelModel();
  setup(kernel);
  for (const object of rules) kernel.put('rule', object);
  kernel.commit();
  const view = new KernelView(kernel.mirror);
  for (const kind of KINDS.keys()) kernel.mirror.forEach(kind, (id) => view.change(kind, id, false));
  const { interfaces } = planPorts(view, {
    isPort: undefined,
    netfilter: 'ignore',
    netfilterUnreadable: false,
    reversePath: true,
    vlanInterfaces: true,
  });
  return planRules(view, family, { aclFields, refused, interfaces });
}

const DEFAULT = [rule(0, 255), rule(32766, 254), rule(32767, 253)];

describe('rules', () => {
  test('the default ones', () => {
    expect(plan(DEFAULT)).toMatchObject({
      domains: [{ vrf: 0, tables: [255, 254, 253], mayBeMerged: true }],
      acl: [],
    });
    const others = plan([...DEFAULT, rule(100, 77)]);
    expect(others.domains).toEqual([{ vrf: 0, tables: [255, 77, 254, 253], mayBeMerged: false }]);
  });

  test('from a prefix: an ACL rule traps, the tables stay', () => {
    const { domains, acl } = plan([...DEFAULT, rule(100, 77, { src: '10.1.0.0' }, { src_len: 16 })]);
    expect(domains[0]!.tables).toEqual([255, 254, 253]);
    expect(acl).toHaveLength(1);
    expect(acl[0]!.want).toMatchObject({
      stage: ACL_STAGE.routing,
      action: ACL_ACTION.trap,
      fields: ACL_FIELDS.sourceAddress,
      sourceAddress: [0, 0, 0, 0x0a010000],
      sourceMask: [0, 0, 0, 0xffff0000],
    });
  });

  test('a rule the device did not take ends the list', () => {
    const rules = [rule(0, 255), rule(100, 77, { src: '10.1.0.0' }, { src_len: 16 }), rule(32766, 254)];
    const { domains, unfollowed } = plan(rules, () => {}, new Set([2]));
    expect(domains[0]!.tables).toEqual([255]);
    const reason = REASON['policy-rule'];
    expect([...unfollowed]).toEqual([
      [2, reason],
      [3, reason],
    ]);
  });

  test.each([
    ['fwmark', { fwmark: 1, fwmask: 0xffffffff }],
    ['suppress_prefixlength', { suppress_prefixlen: 0 }],
    ['flow label', { flowlabel: 1, flowlabel_mask: 1 }],
  ])('%s cannot be followed: the list ends before it', (_, more) => {
    expect(plan([rule(0, 255), rule(100, 254, more), rule(32766, 254)]).domains[0]!.tables).toEqual([255]);
  });

  test.each([
    ['packets of this machine', { iifname: 'lo' }],
    ['a link that is no router interface', { iifname: 'nosuch' }],
    ['sockets bound to a link', { oifname: 'p1' }],
    ['users', { uid_range: { start: 1000, end: 1000 } }],
  ])('rules for %s never match what hardware routes', (_, more) => {
    const { domains, acl } = plan([...DEFAULT, rule(100, 77, more)]);
    expect(domains[0]!.tables).toEqual([255, 254, 253]);
    expect(acl).toEqual([]);
  });

  test('packets that are forwarded are those of root', () => {
    const rules = [rule(0, 255), rule(100, 77, { uid_range: { start: 0, end: 100 } }), rule(32766, 254)];
    expect(plan(rules).domains[0]!.tables).toEqual([255, 77, 254]);
    const rules6 = rules.map(({ header, ...rest }) => ({
      ...rest,
      header: { ...(header as object), family: 10 },
    }));
    expect(plan(rules6 as DecodedObject[], undefined, undefined, undefined, 10).domains[0]!.tables).toEqual([
      255,
    ]);
  });

  test('tables only some packets are led to, and those after the end of the list, are beyond the domain', () => {
    const selective = plan([...DEFAULT, rule(100, 77, { src: '10.1.0.0' }, { src_len: 16 })]);
    expect(selective.beyond.get(0)).toEqual({ tables: new Set([77]), isSelective: true });
    const ended = plan([rule(0, 255), rule(100, 77, { fwmark: 1, fwmask: 1 }), rule(32766, 254)]);
    expect(ended.beyond.get(0)).toEqual({ tables: new Set([77, 254]), isSelective: false });
    expect(plan(DEFAULT).beyond.get(0)).toEqual({ tables: new Set(), isSelective: false });
  });

  test('iif of a port becomes the port of the ACL rule', () => {
    expect(plan([...DEFAULT, rule(100, 77, { iifname: 'p1' })]).acl[0]).toMatchObject({ iif: PORT });
  });

  test('tos of IPv4 stands for several code points: all of them trap, and the tables stay', () => {
    const alone = plan([...DEFAULT, rule(100, 77, {}, { tos: 0x18 })]);
    expect(alone.domains[0]!.tables).toEqual([255, 254, 253]);
    expect(alone.acl[0]!.want).toMatchObject({
      action: ACL_ACTION.trap,
      family: 0,
      fields: ACL_FIELDS.destinationAddress,
      destinationMask: [0, 0, 0, 0],
    });
    const from = plan([...DEFAULT, rule(100, 77, { src: '10.1.0.0' }, { src_len: 16, tos: 0x18 })]);
    expect(from.acl[0]!.want.fields).toBe(ACL_FIELDS.sourceAddress);
  });

  test('dscp is compared in full', () => {
    const { acl } = plan([...DEFAULT, rule(100, 77, { dscp: 46 })]);
    expect(acl[0]!.want).toMatchObject({
      fields: ACL_FIELDS.dscp | ACL_FIELDS.destinationAddress,
      dscp: 46,
    });
  });

  test('a rule without addresses needs an address match to keep to its family', () => {
    const rules = [rule(0, 255), rule(100, 77, { ip_proto: 6 }), rule(32766, 254)];
    expect(plan(rules).domains[0]!.tables).toEqual([255, 254]);
    const { domains } = plan(rules, () => {}, new Set(), ACL_FIELDS.protocol);
    expect(domains[0]!.tables).toEqual([255]);
  });

  test('blackhole for everything ends the list', () => {
    expect(plan([rule(0, 255), rule(50, 0, {}, { action: 6 }), rule(32766, 254)]).domains[0]!.tables).toEqual(
      [255],
    );
  });

  test('a VRF consults its table after the rules before l3mdev, and nothing after it', () => {
    const { domains } = plan([...DEFAULT, rule(1000, 0, { l3mdev: 1 }, { action: 1 })], (kernel) => {
      kernel.put('link', {
        header: { family: 0, type: 1, index: VRF, flags: 0x10041, change: 0 },
        ifname: 'red',
        mtu: 65575,
        linkinfo: { kind: 'vrf', data: { table: 50 } },
      });
      kernel.put('link', {
        header: { family: 0, type: 1, index: PORT, flags: 0x10041, change: 0 },
        ifname: 'p1',
        mtu: 1500,
        master: VRF,
      });
    });
    expect(domains).toEqual([
      { vrf: 0, tables: [255, 254, 253], mayBeMerged: false },
      { vrf: 50, tables: [255, 50], mayBeMerged: false },
    ]);
  });

  test('rules of one priority that lead to different tables: their order is not known, so the list ends', () => {
    const rules = [rule(0, 255), rule(100, 77), rule(100, 78), rule(32766, 254)];
    expect(plan(rules).domains[0]!.tables).toEqual([255]);
    expect(plan([rule(0, 255), rule(100, 77), rule(32766, 254)]).domains[0]!.tables).toEqual([255, 77, 254]);
  });
});
