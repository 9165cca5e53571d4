/**
 * `dev LINK`, `ingress` and `egress` for filters and chains, as `tc filter show` and `tc chain show` take them. What hangs in a
 * shared block belongs to every link whose qdisc uses the block there.
 *
 * - A filter of clsact has the hook as its parent. One of an ingress qdisc has the qdisc, whichever hook is asked for.
 * - A chain has the qdisc, of clsact too (net/sched/cls_api.c tc_chain_fill_node): it belongs to both hooks.
 */

import type { DecodedObject } from '../netlink/decode.ts';
import { type FormatContext, headerNumber, linkName, numberOf } from './context.ts';

export type Hook = 'ingress' | 'egress';

/** Handle of ingress and clsact qdiscs (linux/pkt_sched.h). */
const TC_H_CLSACT = 0xffff0000;
const PARENTS: Readonly<Record<Hook, readonly number[]>> = {
  ingress: [0xfffffff2, TC_H_CLSACT],
  egress: [0xfffffff3, TC_H_CLSACT],
};
/** tcm_ifindex of what hangs in a shared block; the parent is the block. */
const TCM_IFINDEX_MAGIC_BLOCK = -1;

/** What one selection says of where filters hang. */
export class Place {
  readonly #context: FormatContext;
  /** Names of links and hooks that were asked for. */
  #device: string | undefined;
  #hook: Hook | undefined;
  #uses: readonly { link: string; hook: Hook; block: number }[] | undefined;

  constructor(context: FormatContext) {
    this.#context = context;
  }

  onDevice(name: string): (object: DecodedObject) => boolean {
    this.#device = name;
    return (object) => {
      const ifindex = headerNumber(object, 'ifindex');
      if (ifindex !== TCM_IFINDEX_MAGIC_BLOCK) return linkName(this.#context, ifindex) === name;
      return this.#isUsed(headerNumber(object, 'parent'));
    };
  }

  atHook(hook: Hook): (object: DecodedObject) => boolean {
    this.#hook = hook;
    return (object) => {
      const parent = headerNumber(object, 'parent');
      if (headerNumber(object, 'ifindex') !== TCM_IFINDEX_MAGIC_BLOCK) return PARENTS[hook].includes(parent);
      return this.#isUsed(parent);
    };
  }

  /** Whether a block is used where the selection looks. */
  #isUsed(block: number): boolean {
    this.#uses ??= [...(this.#context.qdiscs?.() ?? [])].flatMap((qdisc) => {
      const link = linkName(this.#context, headerNumber(qdisc, 'ifindex'));
      return (['ingress', 'egress'] as const).flatMap((hook) => {
        const block = numberOf(qdisc[`${hook}_block`]);
        return block === undefined ? [] : [{ link, hook, block }];
      });
    });
    return this.#uses.some(
      (use) =>
        use.block === block &&
        (this.#device === undefined || use.link === this.#device) &&
        (this.#hook === undefined || use.hook === this.#hook),
    );
  }
}
