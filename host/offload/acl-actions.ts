/**
 * What a tc filter does with the packets it matches, as an ACL rule says it: one action, with what it edits before.
 *
 * The kernel carries out a filter's actions one after another, each on what the one before it made of the packet. Those
 * that edit are put together here to what becomes of the packet in all; that is planned only where it is exact, with the
 * checksums right as `csum` makes them.
 */

import type { Decoded } from '../netlink/decode.ts';
import { ACL_ACTION } from '../plugin/records.ts';
import type { AclMatch } from './acl.ts';
import type { AclEdits } from './codecs.ts';
import { type FilterView, nested, number32 } from './kernel-view.ts';
import { PacketEdits } from './packet-edits.ts';
import { REASON } from './reasons.ts';
import { isTerminal } from './u32-match.ts';

/** linux/pkt_cls.h */
const TC_ACT_UNSPEC = -1;
const TC_ACT_OK = 0;
const TC_ACT_SHOT = 2;
const TC_ACT_PIPE = 3;
const TC_ACT_STOLEN = 4;
const TC_ACT_TRAP = 8;
/** TCA_EGRESS_REDIR */
const EGRESS_REDIRECT = 1;
/** TCA_CLS_FLAGS_SKIP_HW */
const SKIP_HW = 1;

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
  /** With the action `redirect`. */
  readonly edits?: AclEdits;
}

function plain(action: number | undefined): RuleAction {
  return { action, reason: REASON.none, redirect: 0 };
}

function no(reason: number): RuleAction {
  return { action: undefined, reason, redirect: 0 };
}

/** @param match which packets the rule is for: edits of what they need not have cannot be said */
export function actionOf(filter: FilterView, match: AclMatch, options: ActionOptions): RuleAction {
  if ((number32(filter.options.flags) & SKIP_HW) !== 0) return no(REASON['unsupported-action']);
  if (filter.kind === 'u32' && !isTerminal(filter)) return plain(undefined);
  const actions = Array.isArray(filter.options.act) ? filter.options.act.map(nested) : [];
  if (actions.length === 0) return plain(ACL_ACTION.accept);
  const edits = new PacketEdits();
  for (const one of actions.slice(0, -1)) {
    if (controlOf(one) !== TC_ACT_PIPE || !edits.add(one)) return no(REASON['unsupported-action']);
  }
  const last = actions.at(-1)!;
  if (last.kind === 'mirred') return redirectOf(last, edits, match, options);
  if (last.kind !== 'gact') return no(REASON['unsupported-action']);
  const end = gactOf(last);
  // What is edited and then goes on to the bridge or the router is the kernel's; what is dropped may have been anything.
  if (actions.length > 1 && end.action !== ACL_ACTION.drop) return no(REASON['unsupported-action']);
  return end;
}

function parameters(action: Decoded): Decoded {
  const options = nested(action.options);
  return nested(options.parms ?? options.parms_ex);
}

function controlOf(action: Decoded): number {
  return number32(parameters(action).action) | 0;
}

function gactOf(action: Decoded): RuleAction {
  const { prob } = nested(action.options);
  if (prob !== undefined && number32(nested(prob).ptype) !== 0) return no(REASON['unsupported-action']);
  switch (number32(parameters(action).action)) {
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

function redirectOf(
  action: Decoded,
  before: PacketEdits,
  match: AclMatch,
  { aclEdits, egress }: ActionOptions,
): RuleAction {
  const { eaction, ifindex } = parameters(action);
  // With another end than `stolen` the packet goes on here as well (net/sched/act_mirred.c tcf_mirred_to_dev).
  if (number32(eaction) !== EGRESS_REDIRECT || controlOf(action) !== TC_ACT_STOLEN)
    return no(REASON['unsupported-action']);
  const redirect = number32(ifindex);
  const way = egress(redirect);
  if (!way.isPort) return no(REASON['egress-not-a-port']);
  if (way.reason !== REASON.none) return no(way.reason);
  const edits = before.result(match);
  if (edits === undefined || ((edits.edits ?? 0) & ~aclEdits) !== 0) return no(REASON['unsupported-action']);
  return { action: ACL_ACTION.redirect, reason: REASON.none, redirect, edits };
}
