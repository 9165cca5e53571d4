/** The tables against the kernel headers of this machine: every number and struct size that both know. */

import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { KERNEL_KINDS } from '../../../host/mirror/types.ts';
import { FAMILIES } from '../../../host/netlink/schema/families.ts';
import type { AttributeSet, StructType, Type } from '../../../host/netlink/schema.ts';

const sets = new Set<AttributeSet>();
const structs = new Map<string, StructType>();
/** Headed and multipath types: the names of struct and attributes stand side by side when decoded. */
const sideBySide: [StructType, AttributeSet][] = [];

function visit(set: AttributeSet): void {
  if (sets.has(set)) return;
  sets.add(set);
  for (const attribute of set.byNumber) if (attribute !== undefined) visitType(attribute.type);
}

function visitStruct(struct: StructType): void {
  structs.set(struct.name, struct);
  for (const { type } of struct.fields) {
    if (typeof type === 'object' && 'kind' in type) visitStruct(type);
  }
}

function visitType(type: Type): void {
  if (typeof type === 'string') return;
  switch (type.kind) {
    case 'struct':
      visitStruct(type);
      break;
    case 'nest':
      visit(type.attributes());
      break;
    case 'indexed':
    case 'many':
      visitType(type.of);
      break;
    case 'array':
      if (typeof type.of === 'object') visitStruct(type.of);
      break;
    case 'counted':
      visitStruct(type.header);
      if (typeof type.of === 'object') visitStruct(type.of);
      break;
    case 'select':
      for (const inner of Object.values(type.of)) visitType(inner);
      break;
    case 'family':
      for (const inner of [...Object.values(type.of), type.otherwise]) visitType(inner);
      break;
    case 'headed':
    case 'multipath':
      visitStruct(type.header);
      sideBySide.push([type.header, type.attributes()]);
      visit(type.attributes());
      break;
  }
}

for (const kind of KERNEL_KINDS) {
  visitStruct(FAMILIES[kind].header);
  visit(FAMILIES[kind].attributes);
}

const HEADERS = [
  ...['rtnetlink', 'if_link', 'if_addr', 'if_bridge', 'neighbour', 'nexthop', 'fib_rules', 'netconf', 'veth'],
  ...['lwtunnel', 'mpls_iptunnel', 'seg6_iptunnel', 'seg6_local', 'rpl_iptunnel', 'ioam6_iptunnel', 'ila'],
  ...['pkt_cls', 'pkt_sched', 'gen_stats', 'xfrm', 'netfilter/nf_tables', 'netfilter/nfnetlink'],
  ...[
    'gact',
    'mirred',
    'vlan',
    'tunnel_key',
    'pedit',
    'skbedit',
    'skbmod',
    'csum',
    'ct',
    'mpls',
    'sample',
    'bpf',
    'nat',
    'connmark',
    'ife',
  ].map((action) => `tc_act/tc_${action}`),
];
const INCLUDES = HEADERS.map((header) => `#include <linux/${header}.h>`).join('\n');

function compile(source: string, ...options: readonly string[]): string {
  return execFileSync('cc', ['-x', 'c', ...options, '-'], {
    input: source,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  });
}

/** Enumerators and their values, from the preprocessed headers. */
function enumerators(): Map<string, number> {
  const text = compile(INCLUDES, '-E', '-P');
  const values = new Map<string, number>();
  for (const [, body] of text.matchAll(/enum\s*\w*\s*\{([^}]*)\}/g)) {
    let next = 0;
    for (const entry of body!.split(',')) {
      const [name, expression] = entry.split('=').map((part) => part.trim());
      if (!name) continue;
      if (expression !== undefined) next = values.get(expression) ?? Number(expression);
      values.set(name, next);
      next++;
    }
  }
  return values;
}

let hasCompiler = true;
try {
  compile('', '-fsyntax-only');
} catch {
  hasCompiler = false;
}

/** Names that are not the upper case of ours. */
const RENAMED: Readonly<Record<string, string>> = {
  RTAX_CC_ALGO: 'RTAX_CC_ALGO',
  NETCONFA_PROXY_NEIGH: 'NETCONFA_PROXY_NEIGH',
  IFLA_TARGET_NETNSID: 'IFLA_IF_NETNSID',
  MDBA_MDB_EATTR_VIA_IFINDEX: 'MDBA_MDB_EATTR_IFINDEX',
  TCA_NETEM_LOSS_MODEL: 'TCA_NETEM_LOSS',
  FRA_IIFNAME: 'FRA_IFNAME',
};

describe('tables', () => {
  test('names beside each other are different', () => {
    for (const [struct, set] of sideBySide) {
      expect(Object.keys(struct.offset).filter((name) => set.byName.has(name))).toEqual([]);
    }
    for (const kind of KERNEL_KINDS) {
      const { attributes } = FAMILIES[kind];
      expect(['header', 'unknown'].filter((name) => attributes.byName.has(name))).toEqual([]);
    }
  });

  test('every attribute has a doc of one line', () => {
    for (const set of sets) {
      for (const attribute of set.byNumber) {
        if (attribute !== undefined) expect(attribute.doc).toMatch(/^\S.{1,100}[^.]$/);
      }
    }
  });

  test.skipIf(!hasCompiler)('numbers are those of the kernel headers', () => {
    const values = enumerators();
    let compared = 0;
    const wrong: string[] = [];
    for (const set of sets) {
      const prefix = /^enum (\w+)\* in/.exec(set.source)?.[1];
      if (prefix === undefined) continue;
      for (const [name, number] of Object.entries(set.number)) {
        const constant = `${prefix}${name.toUpperCase()}`;
        const value = values.get(RENAMED[constant] ?? constant);
        if (value === undefined) continue;
        compared++;
        if (value !== number) wrong.push(`${constant} is ${value}, not ${number}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(700);
  });

  test.skipIf(!hasCompiler)('structs have the size and the offsets the compiler gives them', () => {
    // Not structs by themselves: fields every action starts with; a port's bare index.
    const invented = new Set(['tc_gen', 'br_mdb_port']);
    const lines = [...structs.values()]
      .filter(({ name }) => !invented.has(name))
      .map(({ name, size }) => `_Static_assert(sizeof(struct ${name}) == ${size}, "${name}");`);
    expect(lines.length).toBeGreaterThan(50);
    // A flexible array at the end adds nothing; a struct of other sizes stops here with its name.
    compile(`${INCLUDES}\n${lines.join('\n')}`, '-fsyntax-only');
  });
});
