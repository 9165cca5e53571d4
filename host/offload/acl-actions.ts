/**
 * What a tc filter does with the packets it matches, as an ACL rule says it: one action, with what it edits before, a copy and a rate.
 *
 * The kernel carries out a filter's actions one after another, each on what the one before it made of the packet. Those
 * that edit are put together here to what becomes of the packet in all; that is planned only where it is exact, with the
 * checksums right as `csum` makes them.
 */

import type { Decoded } from '../netlink/decode.ts';
import { ACL_ACTION, ACL_EDITS } from '../plugin/records.ts';
import type { AclMatch } from './acl.ts';
import type { AclEdits } from './codecs.ts';
import { type FilterView, nested, number32 } from './kernel-view.ts';
import { PacketEdits } from './packet-edits.ts';
import { policeOf } from './police-action.ts';
import { REASON } from './reasons.ts';
import { isTerminal } from './u32-match.ts';

/** linux/pkt_cls.h */
const TC_ACT_UNSPEC = -1;
const TC_ACT_OK = 0;
const TC_ACT_SHOT = 2;
const TC_ACT_PIPE = 3;
const TC_ACT_STOLEN = 4;
const TC_ACT_TRAP = 8;
/** enum in linux/tc_act/tc_mirred.h */
const EGRESS_REDIRECT = 1;
const EGRESS_MIRROR = 2;
/** TCA_CLS_FLAGS_* */
const SKIP_HW = 1;
const SKIP_SW = 2;

export interface ActionOptions {
  /** ACL_EDITS that the plugin has. */
  readonly aclEdits: number;
  /** Ports and why packets may not leave by them, by interface index. */
  readonly egress: (ifindex: number) => { readonly isPort: boolean; readonly reason: number };
}

export interface RuleAction {
  /** ACL_ACTION; undefined without a reason: the filter does nothing, the next one decides. */
  readonly action: number | undefined;
  readonly reason: number;
  /** Interface index of the link packets are redirected to. */
  readonly redirect: number;
  /** Of the link that copies leave by. */
  readonly mirror: number;
  readonly edits?: AclEdits;
}

function plain(action: number | undefined): RuleAction {
  return { action, reason: REASON.none, redirect: 0, mirror: 0 };
}

function no(reason: number): RuleAction {
  return { action: undefined, reason, redirect: 0, mirror: 0 };
}

/** @param match which packets the rule is for: edits of what they need not have cannot be said */
export function actionOf(filter: FilterView, match: AclMatch, options: ActionOptions): RuleAction {
  const flags = number32(filter.options.flags);
  if ((flags & SKIP_HW) !== 0) return no(REASON['unsupported-action']);
  if (filter.kind === 'u32' && !isTerminal(filter)) return plain(undefined);
  const actions = Array.isArray(filter.options.act) ? filter.options.act.map(nested) : [];
  const isOnlyHardwares = (flags & SKIP_SW) !== 0;
  if (actions.length === 0) {
    const nothing: Besides = { mirror: 0, police: undefined };
    return withBesides(plain(ACL_ACTION.accept), {}, nothing, isOnlyHardwares, options);
  }
  const last = actions.at(-1)!;
  const edits = new PacketEdits();
  const besides: Besides = { mirror: 0, police: undefined };
  for (const one of isEnd(last) ? actions.slice(0, -1) : actions) {
    const isLast = one === last;
    if (!isLast && !isPolice(one) && controlOf(one) !== TC_ACT_PIPE) return no(REASON['unsupported-action']);
    const reason = add(one, isLast, edits, besides, options);
    if (reason !== REASON.none) return no(reason);
  }
  const end = endOf(last, options);
  if (end.reason !== REASON.none) return end;
  const made = end.action === ACL_ACTION.redirect ? edits.result(match) : {};
  // What is edited and then goes on to the bridge or the router is the kernel's; what is dropped may have been anything.
  const isDone = end.action === ACL_ACTION.redirect || end.action === ACL_ACTION.drop;
  const isAlone = besides.mirror === 0 && besides.police === undefined;
  const isPlain = edits.isEmpty && (isAlone || end.action === ACL_ACTION.accept);
  if (made === undefined || !(isDone || isPlain)) return no(REASON['unsupported-action']);
  return withBesides(end, made, besides, isOnlyHardwares, options);
}

/** What a rule does that changes nothing in the packet: interface index of the link that copies leave by, 0 for none, and a rate. */
interface Besides {
  mirror: number;
  police: AclEdits | undefined;
}

/** One action more, that is not the end. Returns why it cannot be said. */
function add(
  action: Decoded,
  isLast: boolean,
  edits: PacketEdits,
  besides: Besides,
  options: ActionOptions,
): number {
  if (isMirror(action)) {
    // One copy, of the packet as it came.
    if (besides.mirror !== 0 || !edits.isEmpty) return REASON['unsupported-action'];
    besides.mirror = number32(parameters(action).ifindex);
    return whyNotTo(besides.mirror, options);
  }
  if (isPolice(action)) {
    // What it drops has no copy.
    if (besides.police !== undefined || besides.mirror !== 0) return REASON['unsupported-action'];
    besides.police = policeOf(action, isLast);
    return besides.police === undefined ? REASON['unsupported-action'] : REASON.none;
  }
  return edits.add(action) ? REASON.none : REASON['unsupported-action'];
}

/** A rule with an action, and what it does besides. */
function withBesides(
  end: RuleAction,
  made: AclEdits,
  { mirror, police }: Besides,
  isOnlyHardwares: boolean,
  { aclEdits }: ActionOptions,
): RuleAction {
  const { mirrorTrapped, policeTrapped } = ACL_EDITS;
  const copies = mirror === 0 ? 0 : ACL_EDITS.mirror | (isOnlyHardwares ? mirrorTrapped : 0);
  const rates = police === undefined ? 0 : police.edits! | (isOnlyHardwares ? policeTrapped : 0);
  const needed = (made.edits ?? 0) | copies | rates;
  if ((needed & ~aclEdits) !== 0) return no(REASON['unsupported-action']);
  // A plugin that does not count them has the rule all the same.
  const counts = isOnlyHardwares && handsOver(end.action) ? aclEdits & ACL_EDITS.countTrapped : 0;
  const edits = needed | counts;
  return { ...end, mirror, ...(edits !== 0 && { edits: { ...made, ...police, edits } }) };
}

/** Packets that a rule with the action matches go on to the kernel, or may. */
function handsOver(action: number | undefined): boolean {
  return action === ACL_ACTION.accept || action === ACL_ACTION.trap;
}

function parameters(action: Decoded): Decoded {
  const options = nested(action.options);
  return nested(options.parms ?? options.parms_ex);
}

function controlOf(action: Decoded): number {
  return number32(parameters(action).action) | 0;
}

function isMirror(action: Decoded): boolean {
  return action.kind === 'mirred' && number32(parameters(action).eaction) === EGRESS_MIRROR;
}

function isPolice(action: Decoded): boolean {
  return action.kind === 'police';
}

/** Says what becomes of a packet, and nothing besides. */
function isEnd(action: Decoded): boolean {
  return !isMirror(action) && !isPolice(action);
}

/** Why packets cannot leave by a link, REASON.none if they can. */
function whyNotTo(ifindex: number, { egress }: ActionOptions): number {
  const way = egress(ifindex);
  return way.isPort ? way.reason : REASON['egress-not-a-port'];
}

/** What the last action makes of a packet. */
function endOf(last: Decoded, options: ActionOptions): RuleAction {
  if (isMirror(last)) return controlled(controlOf(last));
  if (isPolice(last)) return plain(ACL_ACTION.accept);
  if (last.kind === 'mirred') return redirectOf(last, options);
  if (last.kind !== 'gact') return no(REASON['unsupported-action']);
  const { prob } = nested(last.options);
  if (prob !== undefined && number32(nested(prob).ptype) !== 0) return no(REASON['unsupported-action']);
  return controlled(controlOf(last));
}

function controlled(control: number): RuleAction {
  switch (control) {
    case TC_ACT_OK:
    // The end of the actions, and thereby of the filters: only TC_ACT_UNSPEC goes on to the next (tcf_classify).
    case TC_ACT_PIPE:
      return plain(ACL_ACTION.accept);
    case TC_ACT_SHOT:
      return plain(ACL_ACTION.drop);
    case TC_ACT_TRAP:
      return plain(ACL_ACTION.trap);
    case TC_ACT_UNSPEC:
      return plain(undefined);
  }
  return no(REASON['unsupported-action']);
}

function redirectOf(action: Decoded, options: ActionOptions): RuleAction {
  const { eaction, ifindex } = parameters(action);
  // With another end than `stolen` the packet goes on here as well (net/sched/act_mirred.c tcf_mirred_to_dev).
  if (number32(eaction) !== EGRESS_REDIRECT || controlOf(action) !== TC_ACT_STOLEN)
    return no(REASON['unsupported-action']);
  const redirect = number32(ifindex);
  const reason = whyNotTo(redirect, options);
  return reason === REASON.none ? { ...plain(ACL_ACTION.redirect), redirect } : no(reason);
}
