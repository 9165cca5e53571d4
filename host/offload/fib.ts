/**
 * The forwarding table of one routing domain and family: all kernel tables its rules consult, merged into one
 * longest-prefix-match table that answers as the kernel would.
 *
 * The kernel asks table after table; the first with any match decides. So a route of a later table counts only where
 * no earlier table has a covering route ("shadowed"), unless that covering route is a throw route. A prefix holds the
 * routes that have it as candidates, ordered by the rank of their table; `winner` is the one the kernel uses.
 *
 * IPv4 with the three rules it starts with looks local and main up as one table, the longest prefix of both, and asks
 * table default after any failure; from the first change of a rule on, and for good, it follows the rules
 * (net/ipv4/fib_trie.c fib_trie_unmerge, include/net/ip_fib.h fib_lookup). Nothing tells which it is, so where the two
 * differ the kernel gets the packets.
 *
 * Forwarding equivalence when hardware does not hold every winner: packets of an absent prefix fall to the nearest
 * covering entry, so that one must trap. A node's LEAK flag says that some absent prefix in its subtree falls through
 * to whatever covers the node; an entry with a leak below it traps. The flag of a node follows from its children, so a
 * change costs the depth of the tree.
 */

import { ACTION } from '../plugin/records.ts';
import { formatAddress } from './addresses.ts';
import { PrefixTrie } from './prefix-trie.ts';
import { REASON } from './reasons.ts';
import { AF_INET } from './route-reader.ts';

/** Tables a domain may consult. The ranks after them are for IPsec policies and neighbours. */
export const RANKS_MAX = 30;
/** Not of a table: packets to these prefixes go to the kernel, whatever the tables say. */
export const POLICY_RANK = 30;
export const NEIGHBOUR_RANK = 31;
const POLICED = 1 << POLICY_RANK;

/** Bits of a candidate's `info`. */
const RANK_MASK = 0x1f;
const ACTION_SHIFT = 5;
const REASON_SHIFT = 8;
export const CANDIDATE_SKIP = 1 << 16;
export const CANDIDATE_THROW = 1 << 17;
/** Chosen by more than the destination address. */
export const CANDIDATE_SELECTIVE = 1 << 18;
/** A connected network: neighbours on its link may have entries of their own. */
export const CANDIDATE_CONNECTED = 1 << 19;

export function candidateInfo(rank: number, action: number, reason: number, flags: number): number {
  return rank | (action << ACTION_SHIFT) | (reason << REASON_SHIFT) | flags;
}

export const rankOf = (info: number): number => info & RANK_MASK;
export const actionOf = (info: number): number => (info >>> ACTION_SHIFT) & 3;
export const reasonOf = (info: number): number => (info >>> REASON_SHIFT) & 0xff;

/** Trie flags. */
export const LEAK = 1;
export const HAS_NEIGHBOURS = 2;
/** Has a winner that no entry holds. */
export const WAITING = 4;
const WINS = 8;

export const SEPARATE = 0;
export const MERGED = 1;
export const MERGED_FALLING = 2;
/** Where local and main stand in a domain that may be merged. */
const RANK_LOCAL = 0;
const RANK_MAIN = 1;

/** Columns of all candidates of a plan, shared by its domains. */
export interface Candidates {
  /** Mirror id of the route, or of the neighbour with rank NEIGHBOUR_RANK. */
  object: Uint32Array;
  info: Uint32Array;
  /** Group number with action forward. For connected routes: the link's ifindex. */
  group: Uint32Array;
  /** Next candidate of the same prefix. */
  nextInNode: Uint32Array;
}

/** What the domain needs of the plan it belongs to. */
export interface FibHost {
  readonly candidates: Candidates;
  /** Orders two routes of one prefix and table: negative when `a` is preferred, 0 when the kernel may use either. */
  compare(family: number, a: number, b: number): number;
  /** ifindex of the link of a neighbour's group. */
  linkOf(group: number): number;
  /** A place in the hardware table, 0 when there is none. */
  allocate(fib: Fib, node: number): number;
  /** Winner, action and reason of an entry changed, or may have to change: `ACTION` before leaks are considered. */
  setEntry(entry: number, winner: number, action: number, reason: number): void;
  /** The entry should trap where it would forward, or no longer has to. */
  leakChanged(entry: number): void;
  /** The device holds it, or will. */
  isPresent(entry: number): boolean;
}

export class Fib {
  readonly number: number;
  /** AF_INET or AF_INET6. */
  readonly family: number;
  /** VRF table, 0 for the default domain. */
  readonly vrf: number;
  readonly trie: PrefixTrie;
  readonly #host: FibHost;
  /** Candidates per rank: what a change can shadow. */
  readonly #ranks = new Uint32Array(32);
  /** Prefixes that have a winner but no entry. */
  waiting = 0;
  /** The kernel may look the first two tables up as one; MERGED_FALLING: and then go on to the third after any failure. */
  merged: typeof SEPARATE | typeof MERGED | typeof MERGED_FALLING = SEPARATE;

  constructor(number: number, family: number, vrf: number, words: 1 | 4, host: FibHost) {
    this.number = number;
    this.family = family;
    this.vrf = vrf;
    this.trie = new PrefixTrie(words);
    this.#host = host;
  }

  /** The prefix of a node, for people. */
  describe(node: number): string {
    const { keys, lengths } = this.trie;
    const words = this.family === AF_INET ? [0, 0, 0, keys[node]!] : keys.subarray(4 * node, 4 * node + 4);
    const domain = this.vrf === 0 ? '' : ` in vrf table ${this.vrf}`;
    return `${formatAddress(this.family, words)}/${lengths[node]}${domain}`;
  }

  /** Adds a candidate (its columns are filled) to a prefix; returns the node. */
  add(prefix: Uint32Array, length: number, candidate: number): number {
    const { trie } = this;
    const { info, nextInNode } = this.#host.candidates;
    const node = trie.insert(prefix, length);
    const rank = rankOf(info[candidate]!);
    let previous = 0;
    let next = trie.head[node]!;
    while (next !== 0 && rankOf(info[next]!) <= rank) {
      previous = next;
      next = nextInNode[next]!;
    }
    nextInNode[candidate] = next;
    if (previous === 0) trie.head[node] = candidate;
    else nextInNode[previous] = candidate;
    this.#ranks[rank]!++;
    this.#changed(rank);
    return node;
  }

  /** Takes a candidate away. */
  remove(node: number, candidate: number): void {
    const { trie } = this;
    const { info, nextInNode } = this.#host.candidates;
    trie.pathTo(node);
    let previous = 0;
    for (let at = trie.head[node]!; at !== candidate; at = nextInNode[at]!) {
      if (at === 0) throw new Error('candidate is not of this node');
      previous = at;
    }
    if (previous === 0) trie.head[node] = nextInNode[candidate]!;
    else nextInNode[previous] = nextInNode[candidate]!;
    const rank = rankOf(info[candidate]!);
    this.#ranks[rank]!--;
    this.#changed(rank);
    trie.prune();
  }

  /** A candidate of this node has new columns (same rank). */
  update(node: number, rank: number): void {
    this.trie.pathTo(node);
    this.#changed(rank);
  }

  /** Whether the entry of this node is present changed, or it went: leaks are to be looked at again. */
  presenceChanged(node: number): void {
    this.trie.pathTo(node);
    this.#propagate();
  }

  /** The entry of this node is gone from the device: forget it, or give the place to a winner that came meanwhile. */
  entryFreed(node: number): void {
    const { trie } = this;
    trie.pathTo(node);
    trie.entry[node] = 0;
    this.#evaluateLast();
    this.#propagate();
    trie.prune();
  }

  /** Looks for a place for a waiting prefix again; false when there is still none. */
  place(node: number): boolean {
    this.trie.pathTo(node);
    this.#evaluateLast();
    this.#propagate();
    return (this.trie.flags[node]! & WAITING) === 0;
  }

  /** A packet of an absent prefix would be caught by this entry. */
  leaksBelow(node: number): boolean {
    const { children, flags } = this.trie;
    return ((flags[children[2 * node]!]! | flags[children[2 * node + 1]!]!) & LEAK) !== 0;
  }

  /** Node and entry of exactly this prefix bound to each other: used when what a device holds is read back. */
  adopt(prefix: Uint32Array, length: number, entry: number): number {
    const node = this.trie.insert(prefix, length);
    if (this.trie.entry[node] !== 0) return 0;
    this.trie.entry[node] = entry;
    if ((this.trie.flags[node]! & WAITING) !== 0) {
      this.#evaluateLast();
    }
    this.#propagate();
    return node;
  }

  // What the nearest covering candidates per table mean to the node being walked to.
  #shadow = 0;
  /** ifindex of the connected route that is the nearest winner above, 0 if the nearest winner is something else. */
  #connected = 0;

  /** The last node of the path got, lost or changed a candidate of `rank`. */
  #changed(rank: number): void {
    const { trie } = this;
    const node = trie.path[trie.pathLength - 1]!;
    this.#context(trie.pathLength - 1);
    const below = this.#mayShadow(rank);
    if (below || this.#hasNeighboursBelow(node)) {
      this.#walk(node, this.#shadow, this.#connected, below);
      // An entry below that was refused and is wanted differently has led the path to itself.
      trie.pathTo(node);
    } else this.#evaluate(node, this.#shadow, this.#connected);
    this.#propagate();
  }

  /** Candidates of later ranks exist, so a change of this rank may shadow or uncover them. */
  #mayShadow(rank: number): boolean {
    // A policy says something about every route below.
    if (rank === POLICY_RANK) return true;
    for (let later = rank + 1; later < POLICY_RANK; later++) if (this.#ranks[later]! > 0) return true;
    return false;
  }

  #hasNeighboursBelow(node: number): boolean {
    if (this.#ranks[NEIGHBOUR_RANK] === 0) return false;
    const { children, flags } = this.trie;
    return ((flags[children[2 * node]!]! | flags[children[2 * node + 1]!]!) & HAS_NEIGHBOURS) !== 0;
  }

  #evaluateLast(): void {
    const depth = this.trie.pathLength - 1;
    this.#context(depth);
    this.#evaluate(this.trie.path[depth]!, this.#shadow, this.#connected);
  }

  /** Sets `#shadow` and `#connected` as the first `depth` nodes of the path leave them. */
  #context(depth: number): void {
    this.#shadow = 0;
    this.#connected = 0;
    for (let level = 0; level < depth; level++) {
      const node = this.trie.path[level]!;
      if (this.trie.head[node] === 0) continue;
      this.#pick(node, this.#shadow, this.#connected);
      this.#shadow = this.#pickedShadow;
      this.#connected = this.#pickedConnected;
    }
  }

  /** Evaluates the node and those of its subtree that `everything` or neighbours ask for. */
  #walk(node: number, shadow: number, connected: number, everything: boolean): void {
    const { trie } = this;
    this.#evaluate(node, shadow, connected);
    const shadowBelow = this.#pickedShadow;
    const connectedBelow = this.#pickedConnected;
    for (let side = 0; side < 2; side++) {
      const child = trie.children[2 * node + side]!;
      if (child === 0) continue;
      if (!everything && (trie.flags[child]! & HAS_NEIGHBOURS) === 0) continue;
      this.#walk(child, shadowBelow, connectedBelow, everything);
    }
    this.#summarize(node);
  }

  // Results of #pick.
  #pickedWinner = 0;
  #pickedAction = 0;
  #pickedReason = 0;
  #pickedShadow = 0;
  #pickedConnected = 0;

  /** Which candidate of a node the kernel uses, and what the node means to those below it. */
  #pick(node: number, shadow: number, connected: number): void {
    const { info, nextInNode, group, object } = this.#host.candidates;
    let winner = 0;
    let action: number = ACTION.trap;
    let reason: number = REASON.none;
    let mask = shadow;
    for (let at = this.trie.head[node]!; at !== 0; ) {
      const rank = rankOf(info[at]!);
      let best = 0;
      let selective = false;
      let ambiguous = false;
      for (; at !== 0 && rankOf(info[at]!) === rank; at = nextInNode[at]!) {
        const bits = info[at]!;
        if ((bits & CANDIDATE_SKIP) !== 0) continue;
        if ((bits & CANDIDATE_SELECTIVE) !== 0) selective = true;
        if (best === 0) {
          best = at;
          continue;
        }
        const order = this.#host.compare(this.family, object[at]!, object[best]!);
        if (order < 0) {
          best = at;
          ambiguous = false;
        } else if (order === 0) ambiguous = true;
      }
      if (best === 0) continue;
      const bits = info[best]!;
      if (rank === NEIGHBOUR_RANK) {
        // A host has an entry of its own where the kernel would use the connected route of its link.
        const isConnected = connected !== 0 && connected === this.#host.linkOf(group[best]!);
        if (winner === 0 && reason === REASON.none && isConnected) {
          winner = best;
          action = actionOf(bits);
          reason = reasonOf(bits);
        }
        continue;
      }
      if (rank === POLICY_RANK) {
        if (winner === 0) winner = best;
        mask |= POLICED;
        continue;
      }
      const thrown = (bits & CANDIDATE_THROW) !== 0 && !selective && !ambiguous;
      const before = mask & ((1 << rank) - 1);
      if (winner === 0 && before === 1 << RANK_LOCAL && rank === RANK_MAIN && this.merged !== SEPARATE) {
        winner = best;
        reason = REASON['merged-tables'];
      } else if (winner === 0 && before === 0) {
        if (this.merged !== SEPARATE && this.#isMergedOtherwise(rank, bits)) {
          winner = best;
          reason = REASON['merged-tables'];
        } else if (!thrown) {
          winner = best;
          action = actionOf(bits);
          reason = reasonOf(bits);
          if (selective) {
            action = ACTION.trap;
            if ((bits & CANDIDATE_SELECTIVE) === 0)
              reason = this.family === 2 ? REASON['tos-route'] : REASON['source-specific-route'];
          } else if (ambiguous && (action !== ACTION.trap || (bits & CANDIDATE_CONNECTED) !== 0)) {
            action = ACTION.trap;
            reason = REASON['ambiguous-route'];
          }
        } else if (reason === REASON.none) reason = REASON['throw-route'];
      }
      mask = thrown ? mask & ~(1 << rank) : mask | (1 << rank);
    }
    if (winner === 0 && reason === REASON['throw-route']) {
      // Where the lookup goes on is decided packet by packet by the tables after: let the kernel do it.
      winner = this.trie.head[node]!;
      action = ACTION.trap;
    }
    // What the device would do or resolve, the kernel does; what it does anyway keeps its reason.
    if (
      (mask & POLICED) !== 0 &&
      (action !== ACTION.trap || reason === REASON.none || reason === REASON.connected)
    ) {
      action = ACTION.trap;
      reason = REASON['ipsec-policy'];
    }
    this.#pickedWinner = winner;
    this.#pickedAction = action;
    this.#pickedReason = reason;
    this.#pickedShadow = mask;
    const isRoute = winner !== 0 && rankOf(info[winner]!) !== NEIGHBOUR_RANK;
    this.#pickedConnected = !isRoute
      ? connected
      : (info[winner]! & CANDIDATE_CONNECTED) !== 0 && reason === REASON.connected
        ? group[winner]!
        : 0;
  }

  /** What separate tables would do with the winner of its prefix, merged ones would not. */
  #isMergedOtherwise(rank: number, bits: number): boolean {
    if ((bits & CANDIDATE_THROW) !== 0) return rank === RANK_LOCAL;
    return rank <= RANK_MAIN && this.merged === MERGED_FALLING && actionOf(bits) === ACTION.drop;
  }

  #evaluate(node: number, shadow: number, connected: number): void {
    const { trie } = this;
    this.#pick(node, shadow, connected);
    const winner = this.#pickedWinner;
    let flags = trie.flags[node]!;
    const wasWaiting = (flags & WAITING) !== 0;
    flags &= ~(WINS | WAITING);
    const entry = trie.entry[node]!;
    if (winner === 0) {
      if (entry !== 0) this.#host.setEntry(entry, 0, ACTION.trap, REASON.none);
    } else {
      const isRoute = rankOf(this.#host.candidates.info[winner]!) !== NEIGHBOUR_RANK;
      // A host without an entry is caught by its connected route, which traps anyway: it leaks nothing.
      if (isRoute) flags |= WINS;
      let place = entry;
      if (place === 0) {
        place = this.#host.allocate(this, node);
        trie.entry[node] = place;
      }
      if (place === 0) flags |= WAITING;
      else this.#host.setEntry(place, winner, this.#pickedAction, this.#pickedReason);
    }
    if (wasWaiting !== ((flags & WAITING) !== 0)) this.waiting += wasWaiting ? -1 : 1;
    trie.flags[node] = flags;
  }

  /** LEAK and HAS_NEIGHBOURS of a node from its own state and its children; true if either changed. */
  #summarize(node: number): boolean {
    const { trie } = this;
    const { info, nextInNode } = this.#host.candidates;
    const before = trie.flags[node]!;
    const left = trie.flags[trie.children[2 * node]!]!;
    const right = trie.flags[trie.children[2 * node + 1]!]!;
    let summary = (left | right) & (LEAK | HAS_NEIGHBOURS);
    const entry = trie.entry[node]!;
    if ((before & WINS) !== 0) {
      const present = entry !== 0 && this.#host.isPresent(entry);
      summary = present ? summary & ~LEAK : summary | LEAK;
    }
    if ((summary & HAS_NEIGHBOURS) === 0) {
      for (let at = trie.head[node]!; at !== 0; at = nextInNode[at]!) {
        if (rankOf(info[at]!) === NEIGHBOUR_RANK) summary |= HAS_NEIGHBOURS;
      }
    }
    trie.flags[node] = (before & ~(LEAK | HAS_NEIGHBOURS)) | summary;
    if (entry !== 0) this.#host.leakChanged(entry);
    return (before & (LEAK | HAS_NEIGHBOURS)) !== summary;
  }

  /** From the last node of the path to the root, as far as summaries change. */
  #propagate(): void {
    const { path, pathLength } = this.trie;
    for (let depth = pathLength - 1; depth >= 0; depth--) {
      // Joining nodes made on the way have no summary yet: they lie within two levels of the end.
      if (!this.#summarize(path[depth]!) && depth < pathLength - 2) return;
    }
  }
}
