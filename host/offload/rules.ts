/**
 * Policy routing rules (linux/fib_rules.h) as hardware can follow them: for each routing domain the tables that are
 * consulted, first to last, and for rules with selectors an ACL rule that hands their packets to the kernel.
 *
 * Where a rule can neither be ignored nor expressed, the domain's list ends: packets that none of the tables before it
 * has a route for go to the kernel.
 */

import { ACL_ACTION, ACL_FIELDS, ACL_STAGE, FAMILY } from '../plugin/records.ts';
import { parseAddress, prefixMask } from './addresses.ts';
import { type AclWant, type Words, ZERO_WORDS } from './codecs.ts';
import { RANKS_MAX } from './fib.ts';
import { type KernelView, nested, number32, type RuleView, text } from './kernel-view.ts';
import type { InterfacePlan } from './ports.ts';
import { REASON } from './reasons.ts';
import { AF_INET } from './route-reader.ts';
import type { DomainTables } from './routes.ts';

/** FR_ACT_* */
const TO_TABLE = 1;
const NOP = 3;
/** FIB_RULE_* */
const INVERT = 2;
const NO_SUPPRESSION = 0xffffffff;

/** Priority and table of the rules a machine starts with (net/ipv4/fib_rules.c fib_default_rules_init). */
const START = [
  [0, 255],
  [32_766, 254],
  [32_767, 253],
] as const;

/** What the tables of a domain do not show of the kernel's lookups. */
export interface Beyond {
  /** Tables in which packets may find a route, and that are not among the domain's. */
  readonly tables: ReadonlySet<number>;
  /** A rule sends some packets elsewhere although the domain's tables have a route for them. */
  readonly isSelective: boolean;
}

export interface RulesPlan {
  readonly domains: readonly DomainTables[];
  /** Per VRF table, 0 for the default domain. */
  readonly beyond: ReadonlyMap<number, Beyond>;
  /** Without priority and handles of ports: `iif` stays an interface index. */
  readonly acl: readonly { readonly rule: RuleView; readonly want: AclWant; readonly iif: number }[];
  /** Rules that the default domain does not follow, by id: the one that ends its list, and those after it. */
  readonly unfollowed: ReadonlyMap<number, number>;
}

export interface RulesOptions {
  /** Fields the plugin can match; 0 when it holds no ACL rules. */
  readonly aclFields: number;
  /** Rules whose ACL rule the device did not take. */
  readonly refused: ReadonlySet<number>;
  readonly interfaces: ReadonlyMap<number, InterfacePlan>;
}

type Scope = 'all' | 'never' | 'unknown' | { readonly want: AclWant; readonly iif: number };

export function planRules(view: KernelView, family: number, options: RulesOptions): RulesPlan {
  const rules = [...view.rules.values()]
    .filter((rule) => rule.family === family)
    .sort((a, b) => a.priority - b.priority || a.id - b.id);
  const scopes = new Map(rules.map((rule) => [rule, scopeOf(view, rule, options)]));
  const vrfs = new Set<number>([0]);
  for (const { vrf } of options.interfaces.values()) vrfs.add(vrf);
  const unfollowed = new Map<number, number>();
  const acl: RulesPlan['acl'][number][] = [];
  for (const [rule, scope] of scopes) if (typeof scope === 'object') acl.push({ rule, ...scope });

  const isStart =
    family === AF_INET &&
    rules.length === START.length &&
    START.every(([priority, table], index) => {
      const rule = rules[index]!;
      return rule.priority === priority && scopes.get(rule) === 'all' && tableOf(rule) === table;
    });
  const unordered = unorderedPriorities(scopes);
  const domains: DomainTables[] = [];
  const beyond = new Map<number, Beyond>();
  for (const vrf of vrfs) {
    const tables: number[] = [];
    const others = new Set<number>();
    let isEnded = false;
    let isSelective = false;
    for (const rule of rules) {
      const scope = scopes.get(rule)!;
      if (scope === 'never') continue;
      const { decoded } = rule;
      const action = number32(decoded.header.action);
      if (action === NOP) continue;
      const isVrf = number32(decoded.l3mdev) !== 0;
      if (isVrf && vrf === 0) continue;
      const table = isVrf ? vrf : tableOf(rule);
      if (typeof scope === 'object' || isEnded) {
        if (!isEnded) isSelective = true;
        else if (vrf === 0) unfollowed.set(rule.id, REASON['policy-rule']);
        if (action === TO_TABLE) others.add(table);
        continue;
      }
      const suppresses =
        (decoded.suppress_prefixlen ?? NO_SUPPRESSION) !== NO_SUPPRESSION ||
        (decoded.suppress_ifgroup ?? NO_SUPPRESSION) !== NO_SUPPRESSION;
      if (isVrf) {
        tables.push(vrf);
        isEnded = true;
      } else if (
        scope === 'unknown' ||
        action !== TO_TABLE ||
        suppresses ||
        tables.length === RANKS_MAX ||
        unordered.has(rule.priority)
      ) {
        if (vrf === 0) unfollowed.set(rule.id, REASON['policy-rule']);
        if (action === TO_TABLE) others.add(table);
        isEnded = true;
      } else if (!tables.includes(table)) tables.push(table);
    }
    for (const table of tables) others.delete(table);
    domains.push({ vrf, tables, mayBeMerged: isStart });
    beyond.set(vrf, { tables: others, isSelective });
  }
  return { domains, beyond, acl, unfollowed };
}

/**
 * Priorities that several rules share which do not do the same. The kernel asks them in the order they were added
 * (net/core/fib_rules.c fib_nl_newrule), which a rule does not tell.
 */
function unorderedPriorities(scopes: ReadonlyMap<RuleView, Scope>): Set<number> {
  const known = new Map<number, string>();
  const unordered = new Set<number>();
  for (const [rule, scope] of scopes) {
    const { decoded, priority } = rule;
    const action = number32(decoded.header.action);
    if (scope === 'never' || typeof scope === 'object' || action === NOP) continue;
    const does = `${action} ${tableOf(rule)} ${number32(decoded.l3mdev)} ${scope}`;
    const other = known.get(priority);
    if (other === undefined) known.set(priority, does);
    else if (other !== does) unordered.add(priority);
  }
  return unordered;
}

function tableOf({ decoded }: RuleView): number {
  return decoded.table === undefined ? number32(decoded.header.table) : number32(decoded.table);
}

/** Which packets that hardware would route can match a rule. */
function scopeOf(view: KernelView, rule: RuleView, options: RulesOptions): Scope {
  const { decoded, family } = rule;
  const { header } = decoded;
  const isV4 = family === AF_INET;
  let fields = 0;
  let want: Partial<AclWant> = {};
  let isExpressible = true;

  const destinationLength = number32(header.dst_len);
  const sourceLength = number32(header.src_len);
  if (destinationLength > 0) {
    fields |= ACL_FIELDS.destinationAddress;
    want = {
      ...want,
      destinationAddress: wordsOf(text(decoded.dst)),
      destinationMask: prefixMask(destinationLength, isV4),
    };
  }
  if (sourceLength > 0) {
    fields |= ACL_FIELDS.sourceAddress;
    want = { ...want, sourceAddress: wordsOf(text(decoded.src)), sourceMask: prefixMask(sourceLength, isV4) };
  }
  if (number32(decoded.ip_proto) !== 0) {
    fields |= ACL_FIELDS.protocol;
    want = { ...want, protocol: number32(decoded.ip_proto) };
  }
  for (const [name, field] of [
    ['sport_range', ACL_FIELDS.sourcePort],
    ['dport_range', ACL_FIELDS.destinationPort],
  ] as const) {
    const range = nested(decoded[name]);
    if (range.start === undefined) continue;
    fields |= field;
    const ends = [number32(range.start), number32(range.end)] as const;
    want = { ...want, ...(name === 'sport_range' ? { sourcePort: ends } : { destinationPort: ends }) };
  }
  const tos = number32(header.tos);
  // IPv4 compares only some bits of the packet's TOS with that of a rule (IPTOS_RT_MASK), so that several code points match:
  // trap every one. IPv6 compares all of them, and so does the attribute `dscp`.
  if (tos !== 0 && !isV4) {
    fields |= ACL_FIELDS.dscp;
    want = { ...want, dscp: tos >>> 2 };
  }
  if (decoded.dscp !== undefined) {
    fields |= ACL_FIELDS.dscp;
    want = { ...want, dscp: number32(decoded.dscp) };
    if (decoded.dscp_mask !== undefined && number32(decoded.dscp_mask) !== 0x3f) isExpressible = false;
  }
  if (decoded.sport_mask !== undefined && number32(decoded.sport_mask) !== 0xffff) isExpressible = false;
  if (decoded.dport_mask !== undefined && number32(decoded.dport_mask) !== 0xffff) isExpressible = false;
  // What hardware cannot see: marks, tunnel ids, flow labels.
  const hasHidden =
    number32(decoded.fwmark) !== 0 ||
    number32(decoded.fwmask) !== 0 ||
    (typeof decoded.tun_id === 'number' && decoded.tun_id !== 0) ||
    typeof decoded.tun_id === 'bigint' ||
    decoded.flowlabel !== undefined;
  const isInverted = (number32(header.flags) & INVERT) !== 0;
  const hasUsers = decoded.uid_range !== undefined && !hasRoot(nested(decoded.uid_range));
  // IPv6 lookups of `ip route get` are nobody's, those of real packets root's: leave both to the kernel.
  if (decoded.uid_range !== undefined && !hasUsers && !isV4) isExpressible = false;

  let iif = 0;
  const iifname = text(decoded.iifname);
  const oifname = text(decoded.oifname);
  if (!isInverted) {
    if (hasUsers) return 'never';
    if (iifname !== '') {
      const link = [...view.links.values()].find(({ name }) => name === iifname);
      if (link === undefined) return 'never';
      if (link.kind === 'vrf') isExpressible = false;
      else if (!options.interfaces.has(link.ifindex)) return 'never';
      else if (options.interfaces.get(link.ifindex)!.vlan !== 0) isExpressible = false;
      iif = link.ifindex;
    }
    if (oifname !== '') {
      // Only local sockets name an outgoing link, except that VRF lookups once did.
      const link = [...view.links.values()].find(({ name }) => name === oifname);
      if (link?.kind !== 'vrf') return 'never';
      isExpressible = false;
    }
  }
  const isUnselective =
    fields === 0 && tos === 0 && !hasHidden && iifname === '' && oifname === '' && !hasUsers && isExpressible;
  if (isUnselective) return isInverted ? 'never' : 'all';
  const { fields: familyFields, ...familyWant } = familyMatch(fields);
  fields |= familyFields;
  const canMatch = options.aclFields !== 0 && (fields & ~options.aclFields) === 0;
  if (hasHidden || isInverted || !isExpressible || !canMatch || options.refused.has(rule.id))
    return 'unknown';
  return {
    iif,
    want: {
      stage: ACL_STAGE.routing,
      action: ACL_ACTION.trap,
      family: isV4 ? FAMILY.ipv4 : FAMILY.ipv6,
      port: 0,
      priority: 0,
      redirectPort: 0,
      ...want,
      ...familyWant,
      fields,
    },
  };
}

/** A rule of one family must not catch the other's packets: with no address to match, match every address of it. */
function familyMatch(fields: number): {
  fields: number;
  destinationAddress?: Words;
  destinationMask?: Words;
} {
  if ((fields & (ACL_FIELDS.sourceAddress | ACL_FIELDS.destinationAddress)) !== 0) return { fields: 0 };
  return {
    fields: ACL_FIELDS.destinationAddress,
    destinationAddress: ZERO_WORDS,
    destinationMask: ZERO_WORDS,
  };
}

/** Packets that are forwarded count as those of the namespace's root (sock_net_uid). */
function hasRoot(range: { readonly [name: string]: unknown }): boolean {
  return range.start === 0;
}

function wordsOf(address: string): Words {
  return parseAddress(address)?.words ?? ZERO_WORDS;
}
