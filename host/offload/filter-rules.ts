/**
 * tc filters in a device's table of ACL rules. Where it has no room for all filters of a port, or says no to one, the port's rules end in one that
 * hands over every packet that gets to it: filters before it stay in hardware, and the kernel asks those that come after. A port that
 * has no room for that rule either hands over all its packets.
 */

import { ACL_ACTION, ACL_STAGE, FAMILY } from '../plugin/records.ts';
import { type AclOptions, type AclPlan, LAST_OF_PREFERENCE, planFilters } from './acl.ts';
import { heldAclKey, isHeld, wantAcl } from './acl-entries.ts';
import type { AclWant } from './codecs.ts';
import type { Entry, EntryTable } from './entry-table.ts';
import type { KernelView } from './kernel-view.ts';
import type { PortsPlan } from './ports.ts';
import { REASON } from './reasons.ts';

const FILTER = 'filter ';
const END = 'end of filters on ';
const HELD = 'held ';

type Abilities = Pick<AclOptions, 'aclFields' | 'aclEdits'>;

/** A filter that has a rule, with the handles of its ports. */
type Ruled = AclPlan & { readonly want: AclWant };

/** Where the rules of a port end. */
interface End {
  readonly priority: number;
  /** Why the first filter that comes after it is not held. */
  readonly reason: number;
}

/** What of a port's rules there is room for. */
interface Shortened {
  readonly kept: readonly AclPlan[];
  readonly cut: readonly AclPlan[];
  /** `hasRoom`: for a rule of its own. Undefined: there is room for all. */
  readonly end: (End & { readonly hasRoom: boolean }) | undefined;
}

/** What is found while all ports are planned. */
interface Round {
  /** Keys of all rules. */
  readonly wanted: Set<string>;
  readonly ends: Map<number, End>;
  readonly behind: Map<number, number>;
  readonly doubted: Set<string>;
  readonly awaited: Entry<AclWant>[];
}

/** A rule that the device does not hold, or has not said yes to since it did not. */
interface Amiss {
  readonly plan: Ruled;
  readonly entry: Entry<AclWant>;
  readonly isUsable: boolean;
}

export interface FilterRulesOptions {
  readonly view: KernelView;
  readonly acl: EntryTable<AclWant>;
  /** Handle of the port with an interface index, 0 while there is none. */
  readonly portHandle: (ifindex: number) => number;
}

export class FilterRules {
  /** By mirror id of the filter: its rule on each port. */
  plans: ReadonlyMap<number, readonly AclPlan[]> = new Map();
  /** By interface index of ports that hand over all packets because of a filter: why that is not held. */
  trappedPorts: ReadonlyMap<number, number> = new Map();
  /** Rules that there is no room for. */
  refused = 0;
  readonly #options: FilterRulesOptions;
  #ends: ReadonlyMap<number, End> = new Map();
  #behind: ReadonlyMap<number, number> = new Map();
  /** Keys of rules before which their port's rules end until the device has said yes to them. */
  #doubted: ReadonlySet<string> = new Set();
  /** What the device is about to say yes to. */
  #awaited: readonly Entry<AclWant>[] = [];

  constructor(options: FilterRulesOptions) {
    this.#options = options;
  }

  /** The device has said yes to a rule that its port's packets do not get to before: to be planned again. */
  get hasMoved(): boolean {
    return this.#awaited.some((entry) => isHeld(this.#options.acl, entry));
  }

  /**
   * Plans the rules of all ports.
   *
   * @param can what the plugin can match and edit; nothing when it holds no ACL rules
   * @returns whether other ports hand over all packets than before, or for other reasons
   */
  replan(ports: PortsPlan, can: Abilities): boolean {
    const { acl } = this.#options;
    const lists = this.#planLists(ports, can);
    const grants = this.#grants(lists);
    const round: Round = {
      wanted: new Set(),
      ends: new Map(),
      behind: new Map(),
      doubted: new Set(),
      awaited: [],
    };
    const trapped = new Map<number, number>();
    const plans = new Map<number, AclPlan[]>();
    this.refused = 0;
    for (const [ifindex, list] of lists) {
      const shortened = this.#shorten(list, grants.get(ifindex));
      for (const plan of shortened.kept) push(plans, plan);
      for (const plan of shortened.cut)
        push(plans, { ...plan, want: undefined, reason: this.#noRoom, redirect: 0, mirror: 0 });
      this.refused += shortened.cut.length;
      const reason = this.#planPort(ifindex, shortened, round);
      if (reason !== REASON.none) trapped.set(ifindex, reason);
    }
    for (const key of acl.entries.keys())
      if ((key.startsWith(FILTER) || key.startsWith(END)) && !round.wanted.has(key)) acl.drop(key);
    // Claimed by nobody: what an earlier host left.
    for (const [key, entry] of acl.entries)
      if (key.startsWith(HELD) && entry.want === undefined) acl.requeue(entry);
    this.plans = plans;
    this.#ends = round.ends;
    this.#behind = round.behind;
    this.#doubted = round.doubted;
    this.#awaited = round.awaited;
    const before = this.trappedPorts;
    this.trappedPorts = trapped;
    return (
      trapped.size !== before.size || [...trapped].some(([ifindex, reason]) => before.get(ifindex) !== reason)
    );
  }

  /** No packet gets to the rule: one before it hands over all. */
  isBehindEnd(ifindex: number, { priority }: AclWant): boolean {
    const end = this.#ends.get(ifindex);
    return end !== undefined && priority > end.priority;
  }

  /** The first preference from which on no filter of the port gets a packet in hardware; undefined: there is none. */
  behind(ifindex: number): number | undefined {
    return this.#behind.get(ifindex);
  }

  get #noRoom(): number {
    return this.#options.acl.capacity === 0 ? REASON['unsupported-kind'] : REASON['table-full'];
  }

  #planLists(ports: PortsPlan, can: Abilities): Map<number, AclPlan[]> {
    const { view, portHandle } = this.#options;
    const lists = new Map<number, AclPlan[]>();
    for (const [ifindex, filters] of ports.filters.ingress) {
      const port = portHandle(ifindex);
      // Without a handle it is no port of the device: a rule would be for all ports.
      if (!ports.ports.has(ifindex) || port === 0) continue;
      const list = planFilters(view, ifindex, filters, {
        ...can,
        egress: (to) => ({
          isPort: ports.ports.has(to) && portHandle(to) !== 0,
          reason: ports.egressReasons.get(to) ?? REASON.none,
        }),
      });
      const placed = list.map((plan) => {
        const { want, redirect, mirror } = plan;
        if (want === undefined) return plan;
        const redirectPort = redirect === 0 ? 0 : portHandle(redirect);
        const mirrorPort = mirror === 0 ? {} : { mirrorPort: portHandle(mirror) };
        return { ...plan, want: { ...want, port, redirectPort, ...mirrorPort } };
      });
      lists.set(ifindex, placed);
    }
    return lists;
  }

  /**
   * Rules that each port may have, its end included; none: as many as it wants. Where they are too many, ports keep what they have
   * and take what is free in the order of the links.
   */
  #grants(lists: ReadonlyMap<number, readonly AclPlan[]>): Map<number, number> {
    const { acl, portHandle } = this.#options;
    const grants = new Map<number, number>();
    let needed = 0;
    for (const list of lists.values()) needed += list.filter(isRuled).length;
    let free = acl.capacity;
    for (const [key, { want }] of acl.entries)
      if (want !== undefined && !key.startsWith(FILTER) && !key.startsWith(END)) free--;
    if (needed <= free) return grants;
    const needs = new Map<number, number>();
    for (const [ifindex, list] of lists) {
      const ruled = list.filter(isRuled);
      const rules = ruled.filter((plan) => this.#entryOf(plan) !== undefined).length;
      const held = rules + (this.#hasEnd(ifindex, portHandle(ifindex)) ? 1 : 0);
      needs.set(ifindex, ruled.length);
      grants.set(ifindex, Math.min(ruled.length, held));
      free -= Math.min(ruled.length, held);
    }
    for (const [ifindex, need] of needs) {
      const granted = grants.get(ifindex)!;
      // What rules of other kinds take away goes from the first ports.
      const more = free < 0 ? -Math.min(granted, -free) : Math.min(need - granted, free);
      grants.set(ifindex, granted + more);
      free -= more;
    }
    return grants;
  }

  /** The entry of a rule that has a place, or of one read back that says the same. */
  #entryOf({ filter, port, want }: Ruled): Entry<AclWant> | undefined {
    const { acl } = this.#options;
    const entry = acl.get(aclKey(filter.id, port)) ?? acl.get(heldAclKey(want));
    return entry === undefined || entry.index === 0 ? undefined : entry;
  }

  #hasEnd(ifindex: number, handle: number): boolean {
    const { acl } = this.#options;
    const entry = acl.get(endKey(ifindex));
    if (entry !== undefined) return entry.index !== 0;
    for (const [key, { last }] of acl.entries)
      if (
        key.startsWith(HELD) &&
        last?.port === handle &&
        last.fields === 0 &&
        last.action === ACL_ACTION.trap
      )
        return true;
    return false;
  }

  /** What of a port's rules there is room for, the first of them. */
  #shorten(list: readonly AclPlan[], grant: number | undefined): Shortened {
    const ruled = list.filter(isRuled);
    if (grant === undefined || grant >= ruled.length) return { kept: list, cut: [], end: undefined };
    const room = Math.max(0, grant - 1);
    const { priority, kind } = ruled[room]!.filter;
    const first = ruled.findIndex(({ filter }) => filter.priority === priority);
    let of = ruled.filter(({ filter }) => filter.priority === priority);
    const after = ruled.slice(first + of.length);
    // Of flower filters with one preference those that are there stay: no two match a packet, or all trap.
    if (kind === 'flower') {
      const isThere = (plan: Ruled) => this.#entryOf(plan)?.want !== undefined;
      of = [...of.filter(isThere), ...of.filter((plan) => !isThere(plan))];
    }
    const cut = new Set<AclPlan>([...of.slice(room - first), ...after]);
    return {
      kept: list.filter((plan) => !cut.has(plan)),
      cut: ruled.filter((plan) => cut.has(plan)),
      end: { priority: endOf(of[room - first]!), reason: this.#noRoom, hasRoom: grant > 0 },
    };
  }

  /** Plans the rules of one port. Returns why it hands over all packets, REASON.none if it does not. */
  #planPort(ifindex: number, shortened: Shortened, round: Round): number {
    const { acl } = this.#options;
    const amiss = this.#wantRules(ifindex, shortened.kept, round);
    const end = firstEnd(shortened.end, amiss);
    const behind = end === undefined ? coveredFrom(shortened.kept) : Math.floor(end.priority / 0x10000) + 1;
    if (behind !== undefined) round.behind.set(ifindex, behind);
    if (end === undefined) return REASON.none;
    round.ends.set(ifindex, end);
    // What the device does not hold would let packets pass.
    const before = this.trappedPorts.get(ifindex);
    const entry = this.#wantsEnd(ifindex, shortened, amiss)
      ? this.#wantEnd(ifindex, end, round.wanted)
      : undefined;
    if (entry !== undefined && acl.isUsable(entry)) {
      if (before === undefined || isHeld(acl, entry)) return REASON.none;
      round.awaited.push(entry);
    }
    return end.reason !== REASON.none ? end.reason : (before ?? REASON['device-error']);
  }

  /** Plans the rules that there is room for, and returns those that are not in hardware. */
  #wantRules(ifindex: number, kept: readonly AclPlan[], round: Round): Amiss[] {
    const { acl } = this.#options;
    const amiss: Amiss[] = [];
    for (const plan of kept) {
      if (!isRuled(plan)) continue;
      const key = aclKey(plan.filter.id, ifindex);
      const entry = wantAcl(acl, key, plan.want, plan.reason);
      round.wanted.add(key);
      const isUsable = acl.isUsable(entry);
      if (isUsable && (!this.#doubted.has(key) || isHeld(acl, entry))) continue;
      amiss.push({ plan, entry, isUsable });
      round.doubted.add(key);
      if (isUsable) round.awaited.push(entry);
    }
    return amiss;
  }

  /** The port's rules end in one that hands over all; otherwise the port does. */
  #wantsEnd(ifindex: number, { end }: Shortened, amiss: readonly Amiss[]): boolean {
    if (end !== undefined) return end.hasRoom;
    const hasPlace = (this.#options.acl.get(endKey(ifindex))?.index ?? 0) !== 0;
    if (amiss.every(({ isUsable }) => isUsable)) return hasPlace;
    // The last rule that waits for a place gets this one.
    return !(hasPlace && amiss.length === 1 && amiss[0]!.entry.index === 0);
  }

  #wantEnd(ifindex: number, { priority, reason }: End, wanted: Set<string>): Entry<AclWant> {
    const { acl, portHandle } = this.#options;
    const key = endKey(ifindex);
    wanted.add(key);
    return wantAcl(acl, key, { ...END_OF_ALL, port: portHandle(ifindex), priority }, reason);
  }
}

/** Before the first rule that is not in hardware. */
function firstEnd(shortened: End | undefined, amiss: readonly Amiss[]): End | undefined {
  let end = shortened;
  for (const { plan, entry } of amiss) {
    const priority = endOf(plan);
    if (end === undefined || priority < end.priority) end = { priority, reason: entry.statusReason };
  }
  return end;
}

/** Everything, to the kernel. */
const END_OF_ALL = {
  stage: ACL_STAGE.ingress,
  action: ACL_ACTION.trap,
  family: FAMILY.ipv4,
  redirectPort: 0,
  fields: 0,
};

/** Priority of what stands in for a filter and all after it. */
function endOf({ filter, want }: Ruled): number {
  return filter.kind === 'flower' ? filter.priority * 0x10000 + LAST_OF_PREFERENCE : want.priority;
}

/** The first preference that a filter leaves nothing to which hands over all packets. Others of its own may be tried before it. */
function coveredFrom(plans: readonly AclPlan[]): number | undefined {
  const cover = plans.find(({ want, reason }) => want?.fields === 0 && reason !== REASON.none)?.filter;
  return cover && (cover.kind === 'flower' ? cover.priority : cover.priority + 1);
}

function isRuled(plan: AclPlan): plan is Ruled {
  return plan.want !== undefined;
}

function push(plans: Map<number, AclPlan[]>, plan: AclPlan): void {
  const list = plans.get(plan.filter.id);
  if (list === undefined) plans.set(plan.filter.id, [plan]);
  else list.push(plan);
}

export function aclKey(filter: number, port: number): string {
  return `${FILTER}${filter} on ${port}`;
}

function endKey(port: number): string {
  return `${END}${port}`;
}
