/** Which tc filters see the packets of which link, those of shared blocks among them. */

import { BLOCK_IFINDEX, type FilterView, type KernelView } from './kernel-view.ts';

/** linux/pkt_sched.h */
const TC_H_INGRESS = 0xffff0000;
export const CLSACT_INGRESS = 0xfffffff2;

export interface LinkFilters {
  /** By interface index, in the order the kernel tries them; links without filters have no list. */
  readonly ingress: ReadonlyMap<number, readonly FilterView[]>;
  /** Interface indexes of links with filters on packets that leave: on clsact egress or on a qdisc. */
  readonly egress: ReadonlySet<number>;
}

/** Every filter and every qdisc is looked at once, whatever the number of links. */
export function filtersOfLinks(view: KernelView): LinkFilters {
  const ingress = new Map<number, FilterView[]>();
  const egress = new Set<number>();
  if (view.filters.size === 0) return { ingress, egress };
  const blocks = new Map<number, FilterView[]>();
  for (const filter of view.filters.values()) {
    if (filter.ifindex === BLOCK_IFINDEX) push(blocks, filter.parent, filter);
    else if (filter.parent === CLSACT_INGRESS || filter.parent === TC_H_INGRESS)
      push(ingress, filter.ifindex, filter);
    else egress.add(filter.ifindex);
  }
  for (const filters of [...blocks.values(), ...ingress.values()]) filters.sort(inOrder);
  for (const { ifindex, ingressBlock, egressBlock } of view.qdiscs.values()) {
    const entering = blocks.get(ingressBlock);
    if (entering !== undefined) {
      const own = ingress.get(ifindex);
      // Links of one block share its list.
      ingress.set(ifindex, own === undefined ? entering : [...own, ...entering].sort(inOrder));
    }
    if (blocks.has(egressBlock)) egress.add(ifindex);
  }
  return { ingress, egress };
}

function push(lists: Map<number, FilterView[]>, key: number, filter: FilterView): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [filter]);
  else list.push(filter);
}

function inOrder(a: FilterView, b: FilterView): number {
  return a.chain - b.chain || a.priority - b.priority || a.handle - b.handle;
}
