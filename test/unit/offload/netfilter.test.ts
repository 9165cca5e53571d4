/** Chains of nftables as ACL rules: what is held exactly, what goes to the kernel, in which order. */
import { describe, expect, test } from 'vitest';
import { KINDS } from '../../../host/mirror/types.ts';
import type { Decoded } from '../../../host/netlink/decode.ts';
import { KernelView } from '../../../host/offload/kernel-view.ts';
import { type NetfilterPlan, planNetfilter, prioritiesOf } from '../../../host/offload/netfilter.ts';
import { REASON } from '../../../host/offload/reasons.ts';
import { ACL_ACTION, ACL_FIELDS, ACL_STAGE } from '../../../host/plugin/records.ts';
import { KernelModel, PORT } from './kernel-model.ts';

const ALL_FIELDS = Object.values(ACL_FIELDS).reduce((sum, bit) => sum | bit, 0);
const AF_INET = 2;
const AF_INET6 = 10;
const NETWORK = 1;
const TRANSPORT = 2;
const TCP = 6;

/** Expressions as `nft --debug=netlink` shows them. */
const payload = (base: number, offset: number, len: number): Decoded => ({
  name: 'payload',
  data: { dreg: 1, base, offset, len },
});
const meta = (key: number): Decoded => ({ name: 'meta', data: { dreg: 1, key } });
const cmp = (value: string, op = 0): Decoded => ({ name: 'cmp', data: { sreg: 1, op, data: { value } } });
const mask = (bits: string): Decoded => ({
  name: 'bitwise',
  data: {
    sreg: 1,
    dreg: 1,
    len: bits.length / 2,
    mask: { value: bits },
    xor: { value: '00'.repeat(bits.length / 2) },
    op: 0,
  },
});
const counter: Decoded = { name: 'counter', data: { bytes: 0n, packets: 0n } };
const verdict = (code: number): Decoded => ({
  name: 'immediate',
  data: { dreg: 0, data: { verdict: { code } } },
});
const [drop, accept] = [verdict(0), verdict(1)];
const jump: Decoded = {
  name: 'immediate',
  data: { dreg: 0, data: { verdict: { code: 0xfffffffd, chain: 'more' } } },
};
const established: Decoded[] = [
  { name: 'ct', data: { dreg: 1, key: 0 } },
  mask('06000000'),
  cmp('00000000', 1),
];
const ip4 = [meta(15), cmp('02')];
const from = (net: string): Decoded[] => [...ip4, payload(NETWORK, 12, net.length / 2), cmp(net)];
const protocol = (number: number): Decoded[] => [meta(16), cmp(number.toString(16).padStart(2, '0'))];

interface Chain {
  readonly name: string;
  readonly hook?: number;
  readonly priority?: number;
  readonly policy?: number;
  readonly type?: string;
  readonly family?: number;
  readonly rules: readonly (readonly Decoded[])[];
}

function plan(
  chains: readonly Chain[],
  family = AF_INET,
  aclFields = ALL_FIELDS,
  isReordered = false,
  proxies = false,
): NetfilterPlan {
  const kernel = new KernelModel();
  if (proxies) kernel.put('netconf', { header: { family: AF_INET6 }, ifindex: -1, proxy_neigh: 1 });
  for (const { name, hook = 2, priority = 0, policy = 1, type = 'filter', family = 1, rules } of chains) {
    const header = { family, version: 0, res_id: 0 };
    kernel.put('nft-chain', {
      header,
      table: 'edge',
      name,
      handle: 1n,
      hook: { hooknum: hook, priority },
      policy,
      type,
    });
    const objects = rules.map((expressions, index) => ({
      header,
      table: 'edge',
      chain: name,
      handle: BigInt(100 * hook + 10 * index + 7),
      ...(index > 0 && { position: BigInt(100 * hook + 10 * (index - 1) + 7) }),
      expressions: { elem: [...expressions] },
    }));
    if (isReordered) objects.reverse();
    for (const object of objects) kernel.put('nft-rule', object);
  }
  kernel.commit();
  const view = new KernelView(kernel.mirror);
  for (const kind of KINDS.keys()) kernel.mirror.forEach(kind, (id) => view.change(kind, id, false));
  const link = view.link(PORT)!;
  return planNetfilter(view, family, {
    aclFields,
    interfaces: new Map([[PORT, { link, vlan: 0, vrf: 0 }]]),
    capacity: 100,
  });
}

/** Action and reason of each rule. */
function said(planned: NetfilterPlan): string[] {
  if (planned.kind !== 'rules') return [planned.kind];
  return planned.rules.map(({ want, reason }) =>
    want.action === ACL_ACTION.accept ? 'accept' : reason === REASON['rule-traps'] ? 'drop' : 'kernel',
  );
}

function first(rules: readonly Decoded[], family = AF_INET) {
  const planned = plan([{ name: 'forward', rules: [rules] }], family);
  return planned.kind === 'rules' ? planned.rules[0] : planned.kind;
}

describe('a rule', () => {
  test('of addresses, protocol and ports', () => {
    const rule = first([
      ...from('c0a8'),
      ...protocol(TCP),
      payload(TRANSPORT, 2, 2),
      cmp('01bb'),
      counter,
      accept,
    ]);
    expect(rule).toMatchObject({
      reason: REASON.none,
      want: {
        stage: ACL_STAGE.routing,
        action: ACL_ACTION.accept,
        fields: ACL_FIELDS.sourceAddress | ACL_FIELDS.protocol | ACL_FIELDS.destinationPort,
        sourceAddress: [0, 0, 0, 0xc0a80000],
        sourceMask: [0, 0, 0, 0xffff0000],
        protocol: TCP,
        destinationPort: [443, 443],
      },
    });
  });

  test('of a prefix that ends within a byte, a range of ports, flags and a code point', () => {
    const rules = [
      ...[payload(NETWORK, 16, 4), mask('ffff8000'), cmp('0a010000')],
      ...[payload(NETWORK, 1, 1), mask('fc'), cmp('28')],
      ...[...protocol(TCP), payload(TRANSPORT, 0, 2), cmp('03e8', 5), cmp('07d0', 3)],
      ...[payload(TRANSPORT, 13, 1), mask('12'), cmp('02')],
    ];
    expect(first([...ip4, ...rules, accept])).toMatchObject({
      reason: REASON.none,
      want: {
        destinationAddress: [0, 0, 0, 0x0a010000],
        destinationMask: [0, 0, 0, 0xffff8000],
        dscp: 10,
        sourcePort: [1000, 2000],
        tcpFlags: 2,
        tcpFlagsMask: 0x12,
      },
    });
  });

  test('of another family matches nothing', () => {
    expect(said(plan([{ name: 'forward', rules: [[...from('0a'), drop]] }], AF_INET6))).toEqual([]);
    expect(said(plan([{ name: 'forward', rules: [[...from('0a'), drop]] }]))).toEqual(['drop']);
  });

  test('that contradicts itself matches nothing', () => {
    expect(said(plan([{ name: 'forward', rules: [[...from('0a'), ...from('0b'), drop]] }]))).toEqual([]);
    const outOfMask = [...ip4, payload(NETWORK, 12, 1), mask('f0'), cmp('01'), drop];
    expect(said(plan([{ name: 'forward', rules: [outOfMask] }]))).toEqual([]);
  });

  test.each<[string, Decoded[]]>([
    ['a set', [payload(TRANSPORT, 2, 2), { name: 'lookup', data: { set: '__set0', sreg: 1 } }, accept]],
    ['the outgoing interface', [meta(7), cmp('7031'.padEnd(32, '0')), accept]],
    ['the beginning of a name', [meta(6), cmp('7031'), accept]],
    ['a value that is not it', [payload(NETWORK, 16, 4), cmp('0a000001', 1), accept]],
    ['the TTL', [payload(NETWORK, 8, 1), cmp('40'), accept]],
    ['ports of any protocol', [payload(TRANSPORT, 2, 2), cmp('0016'), accept]],
    ['a limit', [{ name: 'limit', data: { rate: 1n, unit: 1n, burst: 5, type: 0, flags: 0 } }, accept]],
    ['a jump', [jump]],
    ['counting alone', [counter]],
    ['a rejection', [{ name: 'reject', data: { type: 0, icmp_code: 3 } }]],
  ])('with %s sends what it may match to the kernel, and no more', (_, rest) => {
    const rule = first([...from('0a'), ...rest]);
    expect(rule).toMatchObject({
      reason: REASON['unsupported-match'],
      want: {
        action: ACL_ACTION.trap,
        sourceAddress: [0, 0, 0, 0x0a000000],
        sourceMask: [0, 0, 0, 0xff000000],
      },
    });
  });

  test('for a field that the device cannot match', () => {
    const rules = [[...from('0a'), ...protocol(TCP), accept]];
    const fields = ALL_FIELDS & ~ACL_FIELDS.protocol;
    expect(said(plan([{ name: 'forward', rules }], AF_INET, fields))).toEqual(['kernel']);
  });

  test('on where a packet comes in', () => {
    const named = (name: string) => [meta(6), cmp(Buffer.from(name).toString('hex').padEnd(32, '0')), drop];
    expect(first(named('p1'))).toMatchObject({ iif: PORT, reason: REASON['rule-traps'] });
    expect(said(plan([{ name: 'forward', rules: [named('lo')] }]))).toEqual([]);
  });
});

describe('chains', () => {
  test('none that does anything', () => {
    expect(plan([]).kind).toBe('none');
    expect(plan([{ name: 'forward', rules: [] }]).kind).toBe('none');
    expect(plan([{ name: 'input', hook: 1, policy: 0, rules: [[drop]] }]).kind).toBe('none');
  });

  test('connections are tracked for the machine itself: fragments go to the kernel', () => {
    const input = { name: 'input', hook: 1, rules: [[...established, accept]] };
    const planned = plan([input]);
    expect(planned.kind === 'rules' && planned.rules).toMatchObject([
      {
        reason: REASON['rule-traps'],
        want: { action: ACL_ACTION.trap, fields: ACL_FIELDS.fragment | ACL_FIELDS.destinationAddress },
      },
    ]);
    expect(said(plan([input, { name: 'forward', rules: [[...from('0a'), drop]] }]))).toEqual([
      'drop',
      'drop',
    ]);
    // Of the other family nothing is tracked; without the field every packet is the kernel's.
    expect(plan([{ ...input, family: AF_INET6 }]).kind).toBe('none');
    expect(plan([input], AF_INET, ALL_FIELDS & ~ACL_FIELDS.fragment).kind).toBe('kernel');
  });

  test('neighbours are answered for: their discovery goes to the kernel, before any rule', () => {
    const proxied = (family: number, fields = ALL_FIELDS) =>
      plan([{ name: 'forward', rules: [[accept]] }], family, fields, false, true);
    const planned = proxied(AF_INET6);
    expect(planned.kind === 'rules' && planned.rules.map(({ want }) => [want.action, want.icmpType])).toEqual(
      [...[133, 134, 135, 136, 137].map((type) => [ACL_ACTION.trap, type]), [ACL_ACTION.accept, undefined]],
    );
    expect(said(plan([], AF_INET6, ALL_FIELDS, false, true))).toEqual(Array(5).fill('drop'));
    expect(said(proxied(AF_INET))).toEqual(['accept']);
    expect(said(proxied(AF_INET6, ALL_FIELDS & ~ACL_FIELDS.icmpType))).toEqual(['kernel']);
  });

  test('rules are in their order, whatever order they were read in', () => {
    const rules = [
      [...from('0a'), accept],
      [...from('0b'), drop],
      [...from('0c'), accept],
    ];
    expect(said(plan([{ name: 'forward', rules }], AF_INET, ALL_FIELDS, true))).toEqual([
      'accept',
      'drop',
      'accept',
    ]);
  });

  test('the policy is the last rule, if it drops', () => {
    expect(said(plan([{ name: 'forward', policy: 0, rules: [[...from('0a'), accept]] }]))).toEqual([
      'accept',
      'drop',
    ]);
  });

  test('nothing stays in hardware: the family is the kernel’s as a whole', () => {
    expect(plan([{ name: 'forward', policy: 0, rules: [[...from('0a'), drop]] }]).kind).toBe('kernel');
    expect(
      plan([
        {
          name: 'forward',
          rules: [
            [...established, accept],
            [...from('0a'), accept],
          ],
        },
      ]).kind,
    ).toBe('kernel');
  });

  test('after a rule that takes every packet there is none', () => {
    const rules = [
      [...from('0a'), accept],
      [...established, accept],
      [...from('0b'), accept],
    ];
    expect(said(plan([{ name: 'forward', rules }]))).toEqual(['drop', 'accept', 'kernel']);
  });

  test('several are one list, by hook and priority', () => {
    const early = { name: 'early', hook: 0, priority: -300, rules: [[...from('0a'), drop]] };
    const late = { name: 'late', hook: 4, rules: [[...from('0b'), drop]] };
    const forward = { name: 'forward', rules: [[...from('0c'), drop]] };
    const planned = plan([late, forward, early]);
    expect(
      planned.kind === 'rules' && planned.rules.map(({ want }) => want.sourceAddress![3]! >>> 24),
    ).toEqual([0x0a, 0x0c, 0x0b]);
  });

  test('one that accepts some packets before others that drop cannot be said', () => {
    const early = {
      name: 'early',
      hook: 0,
      rules: [
        [...from('0a'), accept],
        [...from('0b'), drop],
      ],
    };
    const forward = { name: 'forward', rules: [[...from('0c'), drop]] };
    expect(plan([early, forward]).kind).toBe('kernel');
    const isLastWord = {
      name: 'early',
      hook: 0,
      rules: [
        [...from('0b'), drop],
        [...from('0a'), accept],
      ],
    };
    expect(said(plan([isLastWord, forward]))).toEqual(['drop', 'drop']);
  });

  test.each<[string, Partial<Chain>]>([
    ['that translates addresses', { type: 'nat', hook: 4 }],
    ['at ingress', { hook: 5 }],
  ])('one %s: the kernel has every packet', (_, more) => {
    expect(plan([{ name: 'other', rules: [[...from('0a'), accept]], ...more }]).kind).toBe('kernel');
  });

  test('two of one priority: nobody knows which goes first', () => {
    const chains = ['one', 'two'].map((name) => ({
      name,
      hook: name === 'one' ? 2 : 2,
      rules: [[...from('0a'), drop]],
    }));
    expect(plan([{ ...chains[0]! }, { ...chains[1]!, family: AF_INET }]).kind).toBe('kernel');
  });

  test('while the order of rules is not known the kernel has the packets', () => {
    const header = { family: 1, version: 0, res_id: 0 };
    const kernel = new KernelModel();
    kernel.put('nft-chain', {
      header,
      table: 'edge',
      name: 'forward',
      hook: { hooknum: 2, priority: 0 },
      policy: 1,
      type: 'filter',
    });
    for (const handle of [7n, 8n])
      kernel.put('nft-rule', {
        header,
        table: 'edge',
        chain: 'forward',
        handle,
        expressions: { elem: [...from('0a'), drop] },
      });
    kernel.commit();
    const view = new KernelView(kernel.mirror);
    for (const kind of KINDS.keys()) kernel.mirror.forEach(kind, (id) => view.change(kind, id, false));
    expect(
      planNetfilter(view, AF_INET, { aclFields: ALL_FIELDS, interfaces: new Map(), capacity: 9 }).kind,
    ).toBe('kernel');
  });
});

describe('priorities', () => {
  const inOrder = (priorities: ReadonlyMap<string, number>) => {
    const values = [...priorities.values()];
    expect(values).toEqual([...new Set(values)].sort((a, b) => a - b));
    for (const value of values) expect(value).toBeLessThan(2 ** 32);
  };

  test('a rule that comes goes between its neighbours, which keep theirs', () => {
    const before = prioritiesOf(['a', 'b', 'c'], new Map());
    const after = prioritiesOf(['x', 'a', 'y', 'z', 'b', 'c', 'w'], before);
    inOrder(after);
    for (const key of ['a', 'b', 'c']) expect(after.get(key)).toBe(before.get(key));
  });

  test('all anew where there is no room', () => {
    let priorities = prioritiesOf(['a', 'b'], new Map());
    const keys = ['a', 'b'];
    for (let count = 0; count < 40; count++) {
      keys.splice(1, 0, `n${count}`);
      priorities = prioritiesOf(keys, priorities);
      expect([...priorities.keys()]).toEqual(keys);
      inOrder(priorities);
    }
  });

  test('rules that change places', () => {
    inOrder(prioritiesOf(['c', 'a', 'b'], prioritiesOf(['a', 'b', 'c'], new Map())));
  });
});
