/**
 * How much a dump of IPv6 routes may have left out, in nodes of the kernel's tree: a node is a prefix with all its routes. The kernel
 * dumps in pieces, a datagram each. When routes came since the last piece, the next one begins at the root again and passes over as many
 * nodes as were shown (net/ipv6/ip6_fib.c fib6_dump_table), unmarked. Where some of those are gone by then, it passes over others that
 * were not shown: no more than routes were deleted during the dump, as a node goes with its last route, and those right behind the end of
 * a piece. Further dumps show them unless the same ones are passed over again.
 */
import type { Datagram } from '../netlink/message.ts';

/** Fewer nodes than this, as far as chance lets one say: one in a thousand dumps may leave one out. */
const FEW = 0.001;

export class Ipv6Omissions {
  /** Nodes left out of all dumps so far, at most; infinite: nobody knows; undefined: there was none. */
  #expected: number | undefined;
  #pieces = 0;
  #last: Datagram | undefined;

  /** A dump begins, the first or a further one. */
  begin(): void {
    this.#pieces = 0;
    this.#last = undefined;
  }

  /** A route of a dump stood in this datagram. */
  shown(data: Datagram): void {
    if (data === this.#last) return;
    this.#last = data;
    this.#pieces++;
  }

  /** A dump has ended. @param deleted IPv6 routes that were deleted meanwhile, and so nodes at most; infinite: some may have been without a word */
  end(deleted: number): void {
    const before = this.#expected ?? Number.POSITIVE_INFINITY;
    // Within a piece the tree stands still.
    if (this.#pieces <= 1 || deleted === 0) this.#expected = 0;
    else if (before === Number.POSITIVE_INFINITY) this.#expected = deleted;
    else this.#expected = before * Math.min(1, deleted / this.#pieces);
  }

  /** All dumps together can be taken for all there is. */
  get areFew(): boolean {
    return (this.#expected ?? 0) < FEW;
  }

  /** One of the dumps showed all there is. */
  get areNone(): boolean {
    return (this.#expected ?? 0) === 0;
  }
}
