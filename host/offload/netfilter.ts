/**
 * nftables chains that forwarded packets pass, as ACL rules of stage routing.
 *
 * A packet passes the base chains by hook and priority, each rule by rule until one says accept (the chain is left) or drop. Where that can
 * be said by one list of rules, accepted packets stay in hardware, and everything else goes to the kernel: what is dropped, so that
 * it is dropped there and after the checks that come before netfilter; and what a rule matches that cannot be said exactly. Packets that
 * no rule decides about have the last chain's policy.
 *
 * What the kernel takes before or beside its chains comes first: fragments where connections are tracked, neighbour discovery where it is
 * answered for others.
 *
 * Not said by a list, so that all packets of the family go to the kernel: chains that translate addresses, and a chain that accepts
 * only some packets where others follow.
 */

import { ACL_ACTION, ACL_FIELDS, ACL_STAGE } from '../plugin/records.ts';
import type { AclWant } from './codecs.ts';
import type { ChainView, KernelView, NftRuleView } from './kernel-view.ts';
import { effectOf, type NftEffect } from './nft-match.ts';
import type { InterfacePlan } from './ports.ts';
import { REASON } from './reasons.ts';
import { AF_INET6 } from './route-reader.ts';

const NFPROTO_INET = 1;
/** NF_INET_* hooks of forwarded packets, in their order: prerouting, forward, postrouting. */
const HOOKS = [0, 2, 4];
/** NF_INET_INGRESS */
const HOOK_INGRESS = 5;
/** Above the priorities of policy rules, which are looked at first. */
const FIRST_PRIORITY = 0x8000_0000;
const LAST_PRIORITY = 0xffff_ffff;
/** Room for rules to come between two. */
const STEP = 0x1_0000;

export interface NetfilterRule {
  /** Mirror id of the nft-rule; 0 for the end of the last chain, FRAGMENTS and below it for what no rule says. */
  readonly id: number;
  /** Without port. */
  readonly want: AclWant;
  /** Interface index of the router interface its packets come in by, 0 for any. */
  readonly iif: number;
  /** Why its packets go to the kernel, REASON.none if they are accepted. */
  readonly reason: number;
}

/** `none`: no chain matters. `kernel`: every packet of the family goes there. */
export type NetfilterPlan =
  | { readonly kind: 'none' | 'kernel' }
  | { readonly kind: 'rules'; readonly rules: readonly NetfilterRule[] };

export interface NetfilterOptions {
  readonly aclFields: number;
  readonly interfaces: ReadonlyMap<number, Pick<InterfacePlan, 'link' | 'vlan' | 'vrf'>>;
  /** Rules the plugin has room for. */
  readonly capacity: number;
}

/** In place of a rule's id. */
export const FRAGMENTS = -1;
/** Less than this by its type, for a message of neighbour discovery. */
const DISCOVERY = -2;

const IPPROTO_ICMPV6 = 58;
/** ICMPv6 types of neighbour discovery: router solicitation to redirect. */
const DISCOVERY_TYPES = [133, 134, 135, 136, 137];

const DISCOVERY_FIELDS = ACL_FIELDS.protocol | ACL_FIELDS.icmpType;

const NONE: NetfilterPlan = { kind: 'none' };
const KERNEL: NetfilterPlan = { kind: 'kernel' };

/** Base chains that packets of `family` pass when they are routed, and that do something. */
export function routingChains(view: KernelView, family: number): ChainView[] {
  return [...view.chains()].filter(
    (chain) =>
      (chain.family === family || chain.family === NFPROTO_INET) &&
      (HOOKS.includes(chain.hook) || chain.hook === HOOK_INGRESS) &&
      // An empty base chain that accepts changes nothing.
      (chain.rules > 0 || chain.dropsByPolicy),
  );
}

export function planNetfilter(view: KernelView, family: number, options: NetfilterOptions): NetfilterPlan {
  const chains = routingChains(view, family);
  const tracks = view.tracksConnections(family);
  const proxies = family === AF_INET6 && view.netconfOf(AF_INET6, -1)?.proxies === true;
  if (chains.length === 0 && !tracks && !proxies) return NONE;
  const needed = (tracks ? ACL_FIELDS.fragment : 0) | (proxies ? DISCOVERY_FIELDS : 0);
  if (options.aclFields === 0 || (options.aclFields & needed) !== needed) return KERNEL;
  if (chains.some(({ hook, type }) => hook === HOOK_INGRESS || type !== 'filter')) return KERNEL;
  chains.sort((a, b) => HOOKS.indexOf(a.hook) - HOOKS.indexOf(b.hook) || a.priority - b.priority);
  const list = new RuleList(view, family, options);
  if (tracks) list.trapFragments();
  if (proxies) list.trapDiscovery();
  if (chains.length === 0) list.isUseful = true;
  for (const [index, chain] of chains.entries()) {
    // Of equal ones the kernel does not tell which goes first.
    const next = chains[index + 1];
    if (next !== undefined && next.hook === chain.hook && next.priority === chain.priority) return KERNEL;
    if (!list.addChain(chain, next === undefined)) return KERNEL;
    if (list.isClosed) break;
  }
  return list.isUseful && list.rules.length <= options.capacity
    ? { kind: 'rules', rules: list.rules }
    : KERNEL;
}

class RuleList {
  readonly rules: NetfilterRule[] = [];
  /** Every packet that gets to the end has been decided about. */
  isClosed = false;
  /** Some packets stay in hardware. */
  isUseful = false;
  readonly #view: KernelView;
  readonly #family: number;
  readonly #options: NetfilterOptions;
  readonly #hasVrfs: boolean;

  constructor(view: KernelView, family: number, options: NetfilterOptions) {
    this.#view = view;
    this.#family = family;
    this.#options = options;
    this.#hasVrfs = [...options.interfaces.values()].some(({ vrf }) => vrf !== 0);
  }

  /** The kernel puts them together before any chain sees them. */
  trapFragments(): void {
    this.#trap(FRAGMENTS, ACL_FIELDS.fragment, {});
  }

  /** With `proxy_ndp` the kernel takes these itself where it answers for their destination (net/ipv6/ip6_output.c ip6_forward_proxy_check). */
  trapDiscovery(): void {
    for (const icmpType of DISCOVERY_TYPES)
      this.#trap(DISCOVERY - icmpType, DISCOVERY_FIELDS, { protocol: IPPROTO_ICMPV6, icmpType });
  }

  #trap(id: number, fields: number, values: Partial<AclWant>): void {
    const every = effectOf([], this.#family, this.#options.aclFields);
    const match = { ...every.match, ...values, fields: every.match.fields | fields };
    this.#add(id, { match, coversAll: false }, 0, REASON['rule-traps']);
  }

  /** False if a list cannot say what the chain does. */
  addChain(chain: ChainView, isLast: boolean): boolean {
    const rules = inOrder(this.#view.rulesOf(chain));
    if (rules === undefined) return false;
    let hasAccepted = false;
    for (const rule of rules) {
      const { effect, iif } = this.#effectOf(rule);
      if (effect.isNever) continue;
      if (effect.isExact && effect.verdict === 'accept') {
        hasAccepted = true;
        // Leaves this chain only: without others after it that is a rule, before others it must be its last word.
        if (isLast) this.#add(rule.id, effect, iif, REASON.none);
      } else {
        if (hasAccepted && !isLast) return false;
        const isDrop = effect.isExact && effect.verdict === 'drop';
        this.#add(rule.id, effect, iif, REASON[isDrop ? 'rule-traps' : 'unsupported-match']);
      }
      if (this.isClosed) return true;
    }
    if (chain.dropsByPolicy) {
      if (hasAccepted && !isLast) return false;
      this.#add(0, effectOf([], this.#family, this.#options.aclFields), 0, REASON['rule-traps']);
    } else if (isLast) this.isUseful = true;
    return true;
  }

  #add(
    id: number,
    { match, coversAll }: Pick<NftEffect, 'match' | 'coversAll'>,
    iif: number,
    reason: number,
  ): void {
    if (reason === REASON.none) this.isUseful = true;
    if (coversAll) this.isClosed = true;
    const action = reason === REASON.none ? ACL_ACTION.accept : ACL_ACTION.trap;
    const want = { stage: ACL_STAGE.routing, action, port: 0, priority: 0, redirectPort: 0, ...match };
    this.rules.push({ id, iif, reason, want });
  }

  /** With the interface as hardware knows it: one that is no router interface sees nothing that hardware routes. */
  #effectOf(rule: NftRuleView): { readonly effect: NftEffect; readonly iif: number } {
    const effect = cachedEffect(rule, this.#family, this.#options.aclFields);
    if (effect.iif === 0 && effect.iifname === '') return { effect, iif: 0 };
    const link = [...this.#view.links.values()].find(
      ({ ifindex, name }) => ifindex === effect.iif || name === effect.iifname,
    );
    const planned = link && this.#options.interfaces.get(link.ifindex);
    // Packets of a VRF pass the chains once more, as its own.
    if (this.#hasVrfs || (planned !== undefined && planned.vlan !== 0))
      return { effect: { ...effect, isExact: false, coversAll: isAnywhere(effect) }, iif: 0 };
    if (planned === undefined) return { effect: { ...effect, isNever: true }, iif: 0 };
    return { effect, iif: planned.link.ifindex };
  }
}

/** Without its interface the match covers every packet. */
function isAnywhere({ match }: NftEffect): boolean {
  return match.fields === ACL_FIELDS.destinationAddress && match.destinationMask!.every((word) => word === 0);
}

const effects = new WeakMap<NftRuleView, Map<string, NftEffect>>();

/** Plans are made over and over. */
function cachedEffect(rule: NftRuleView, family: number, fields: number): NftEffect {
  let known = effects.get(rule);
  if (known === undefined) {
    known = new Map();
    effects.set(rule, known);
  }
  const key = `${family}/${fields}`;
  let effect = known.get(key);
  if (effect === undefined) {
    effect = effectOf(rule.expressions, family, fields);
    known.set(key, effect);
  }
  return effect;
}

/**
 * The rules of a chain as they follow each other: each but the first names the one before it. Undefined while that does not fit together:
 * what a notification said of one rule is then yet to be read of the next.
 */
export function inOrder(rules: readonly NftRuleView[]): NftRuleView[] | undefined {
  const next = new Map<number | bigint, NftRuleView>();
  for (const rule of rules) {
    if (next.has(rule.position)) return undefined;
    next.set(rule.position, rule);
  }
  const list: NftRuleView[] = [];
  for (let rule = next.get(0); rule !== undefined && list.length < rules.length; rule = next.get(rule.handle))
    list.push(rule);
  return list.length === rules.length ? list : undefined;
}

/**
 * Priorities for a list of rules that leave those before it as they are where it can be: a rule that is new goes between its
 * neighbours. `before` are the priorities rules had, by key.
 */
export function prioritiesOf(
  keys: readonly string[],
  before: ReadonlyMap<string, number>,
): Map<string, number> {
  const kept = new Map<string, number>();
  let last = FIRST_PRIORITY;
  let place = 0;
  while (place < keys.length) {
    // Up to the next rule whose priority can stay.
    let end = place;
    while (end < keys.length && (before.get(keys[end]!) ?? 0) <= last + (end - place)) end++;
    const limit = end < keys.length ? before.get(keys[end]!)! : LAST_PRIORITY;
    const count = end - place;
    const step = Math.min(STEP, Math.floor((limit - last) / (count + 1)));
    if (step === 0) return spread(keys);
    for (; place < end; place++) {
      last += step;
      kept.set(keys[place]!, last);
    }
    if (end === keys.length) break;
    last = limit;
    kept.set(keys[place++]!, last);
  }
  return kept;
}

function spread(keys: readonly string[]): Map<string, number> {
  const step = Math.floor((LAST_PRIORITY - FIRST_PRIORITY) / (keys.length + 1));
  return new Map(keys.map((key, index) => [key, FIRST_PRIORITY + (index + 1) * step]));
}
