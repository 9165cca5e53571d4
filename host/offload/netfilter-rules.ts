/**
 * The rules of netfilter in a device: put there first, and only when the device has said yes to all of them are packets routed in
 * hardware. While a rule comes, goes or changes, the kernel has the packets.
 */

import { isHeld, wantAcl } from './acl-entries.ts';
import type { AclWant } from './codecs.ts';
import type { Entry, EntryTable } from './entry-table.ts';
import type { KernelView } from './kernel-view.ts';
import {
  type NetfilterOptions,
  type NetfilterPlan,
  type NetfilterRule,
  planNetfilter,
  prioritiesOf,
} from './netfilter.ts';
import { REASON } from './reasons.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';

const FAMILIES = [AF_INET, AF_INET6];

/** `entry` undefined: packets of the family go to the kernel as a whole. */
export interface RuleInHardware {
  readonly entry: Entry<AclWant> | undefined;
  readonly reason: number;
}

export class Netfilter {
  /** Families whose rules the device holds, all of them and no others. */
  held: ReadonlySet<number> = new Set();
  readonly #view: KernelView;
  readonly #acl: EntryTable<AclWant>;
  readonly #portHandle: (ifindex: number) => number;
  readonly #plans = new Map<number, NetfilterPlan>();
  /** Rules of a family by mirror id. */
  readonly #rules = new Map<number, ReadonlyMap<number, NetfilterRule>>();
  /** Keys of the entries of a family, with their priorities. */
  readonly #priorities = new Map<number, ReadonlyMap<string, number>>();
  #seenChanges = -1;

  /** `portHandle`: handle of the port that a router interface is on, 0 while there is none. */
  constructor(view: KernelView, acl: EntryTable<AclWant>, portHandle: (ifindex: number) => number) {
    this.#view = view;
    this.#acl = acl;
    this.#portHandle = portHandle;
  }

  /** Another set of families is held than `held` says: ports are to be planned again. */
  get hasMoved(): boolean {
    if (this.#seenChanges === this.#acl.changes) return false;
    const now = this.#heldNow();
    const hasMoved = now.size !== this.held.size || [...now].some((family) => !this.held.has(family));
    if (!hasMoved) this.#seenChanges = this.#acl.changes;
    return hasMoved;
  }

  /** Brings `held` up to date: ports are about to be planned. */
  refresh(): void {
    this.held = this.#heldNow();
  }

  /** Plans the rules for the interfaces that there are now. What is held may be another set afterwards. */
  replan(options: Omit<NetfilterOptions, 'capacity'>): void {
    const wanted = new Set<string>();
    for (const family of FAMILIES) {
      const plan = planNetfilter(this.#view, family, { ...options, capacity: this.#acl.capacity });
      const isReady =
        plan.kind === 'rules' && plan.rules.every(({ iif }) => iif === 0 || this.#portHandle(iif) !== 0);
      this.#plans.set(family, isReady || plan.kind !== 'rules' ? plan : { kind: 'kernel' });
      const rules = isReady ? plan.rules : [];
      this.#rules.set(family, new Map(rules.map((rule) => [rule.id, rule])));
      const keys = rules.map(({ id }) => keyOf(family, id));
      const priorities = prioritiesOf(keys, this.#priorities.get(family) ?? new Map());
      this.#priorities.set(family, priorities);
      for (const [index, { want, iif, reason }] of rules.entries()) {
        const key = keys[index]!;
        wanted.add(key);
        const port = iif === 0 ? 0 : this.#portHandle(iif);
        wantAcl(this.#acl, key, { ...want, port, priority: priorities.get(key)! }, reason);
      }
    }
    for (const key of this.#acl.entries.keys())
      if (key.startsWith(PREFIX) && !wanted.has(key)) this.#acl.drop(key);
    this.#seenChanges = -1;
  }

  /** Undefined: the rule is in no chain that routed packets pass, or no packet gets to it. */
  ruleState(id: number): RuleInHardware | undefined {
    const families = this.#view.familiesOfRule(id);
    for (const family of FAMILIES) {
      if (!families.includes(family)) continue;
      const plan = this.#plans.get(family);
      if (plan?.kind === 'kernel') return { entry: undefined, reason: REASON['netfilter-hook'] };
      const rule = this.#rules.get(family)?.get(id);
      if (rule !== undefined) return { entry: this.#acl.get(keyOf(family, id)), reason: rule.reason };
    }
    return undefined;
  }

  #heldNow(): Set<number> {
    const held = new Set(FAMILIES.filter((family) => this.#plans.get(family)?.kind === 'rules'));
    if (held.size === 0) return held;
    for (const [key, entry] of this.#acl.entries) {
      if (!key.startsWith(PREFIX) || isHeld(this.#acl, entry)) continue;
      held.delete(Number(key.slice(PREFIX.length).split(' ', 1)[0]));
    }
    return held;
  }
}

const PREFIX = 'nft ';

function keyOf(family: number, id: number): string {
  return `${PREFIX}${family} ${id}`;
}
