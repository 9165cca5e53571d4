/**
 * Which forwarded packets IPsec policies (xfrm) can concern: those to the prefixes that policies for packets that are
 * forwarded (`fwd`) or leave (`out`) select. Sources, ports and protocols are not looked at: what a policy says of some packets to a
 * prefix keeps all of them with the kernel.
 *
 * Policies for packets to this machine (`in`) are none of the hardware's business, which hands all of these to the kernel. Those with
 * an interface id (XFRMA_IF_ID) only see packets through an XFRM interface, which is no port (net/xfrm/xfrm_policy.c
 * xfrm_policy_match).
 */

import type { KernelView, PolicyView } from './kernel-view.ts';

/** XFRM_POLICY_IN */
const FOR_THIS_MACHINE = 0;

/** A prefix whose packets go to the kernel. */
export interface PolicyPrefix {
  /** Mirror id of a policy that selects it. */
  readonly id: number;
  readonly family: number;
  /** IPv4: in the first word. */
  readonly prefix: Uint32Array;
  readonly length: number;
}

/** Packets that are forwarded can match. */
export function concernsForwarded({ direction, interfaceId }: PolicyView): boolean {
  return direction !== FOR_THIS_MACHINE && interfaceId === 0;
}

/** By family and prefix. */
export function policyPrefixes(view: KernelView): Map<string, PolicyPrefix> {
  const prefixes = new Map<string, PolicyPrefix>();
  for (const policy of view.policies.values()) {
    if (!concernsForwarded(policy)) continue;
    const { id, family, destination, destinationLength: length } = policy;
    const prefix = masked(destination, length);
    const key = `${family} ${prefix.join(' ')}/${length}`;
    if (!prefixes.has(key)) prefixes.set(key, { id, family, prefix, length });
  }
  return prefixes;
}

function masked(words: Uint32Array, length: number): Uint32Array {
  return words.map((word, index) => {
    const bits = Math.min(32, Math.max(0, length - 32 * index));
    return bits === 0 ? 0 : word & (0xffffffff << (32 - bits));
  });
}
