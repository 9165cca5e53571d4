/**
 * The action `police` of a filter, as an ACL rule says it: a token bucket of so many nanoseconds, from which a packet takes what it needs at
 * the rate. What the rule cannot say exactly is not said: more than one rate, a rate that is estimated, sizes that are not the packet's,
 * and anything but dropping what is more.
 *
 * net/sched/act_police.c tcf_police_act, tcf_police_dump; include/net/sch_generic.h psched_l2t_ns.
 */

import type { Decoded } from '../netlink/decode.ts';
import { ACL_EDITS } from '../plugin/records.ts';
import type { AclEdits } from './codecs.ts';
import { nested, number32 } from './kernel-view.ts';

/** linux/pkt_cls.h */
const TC_ACT_OK = 0;
const TC_ACT_SHOT = 2;
const TC_ACT_PIPE = 3;
/** Nanoseconds of a tick of the scheduler (PSCHED_TICKS2NS). */
const TICK_NS = 64;
/** TC_LINKLAYER_ATM: packets take cells. */
const ATM = 2;

/** @param isLast no action comes after it: what conforms may also end the actions */
export function policeOf(action: Decoded, isLast: boolean): AclEdits | undefined {
  const options = nested(action.options);
  const parameters = nested(options.tbf);
  const rate = nested(parameters.rate);
  const conforming = number32(options.result) | 0;
  const goesOn = conforming === TC_ACT_PIPE || (isLast && conforming === TC_ACT_OK);
  if (!goesOn || number32(parameters.action) !== TC_ACT_SHOT) return undefined;
  if (number32(options.avrate) !== 0 || number32(nested(parameters.peakrate).rate) !== 0) return undefined;
  if (number32(rate.overhead) !== 0 || number32(rate.linklayer) === ATM) return undefined;
  const bytes = Number(options.rate64 ?? rate.rate ?? 0);
  const packets = Number(options.pktrate64 ?? 0);
  const ticks = packets === 0 ? number32(parameters.burst) : Number(options.pktburst64 ?? 0);
  const policeRate = bytes + packets;
  const policeBurst = ticks * TICK_NS;
  // The kernel takes one of them.
  if ((bytes === 0) === (packets === 0)) return undefined;
  if (!Number.isSafeInteger(policeRate) || !Number.isSafeInteger(policeBurst)) return undefined;
  return {
    edits: ACL_EDITS.police | (packets === 0 ? 0 : ACL_EDITS.policePackets),
    police: number32(parameters.index),
    policeMtu: number32(parameters.mtu),
    policeMinimum: number32(rate.mpu),
    policeRate,
    policeBurst,
  };
}
