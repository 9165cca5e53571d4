/**
 * What the kernel changes without announcing it, by what it does announce. Nothing is guessed: each case only asks for
 * the part to be read again.
 *
 * - A link goes down, loses carrier, changes its master or leaves: IPv4 routes and nexthop objects out of it vanish
 *   (net/ipv4/fib_frontend.c fib_disable_ip, net/ipv4/nexthop.c nexthop_flush_dev), hops of multipath routes get
 *   RTNH_F_DEAD or RTNH_F_LINKDOWN, its default qdisc comes or goes, bridge and filter objects of a deleted link leave.
 * - An address leaves: IPv4 routes with it as source vanish (fib_sync_down_addr), all of a link's with its last one; hops
 *   of multipath routes are dead until the link has one again (fib_sync_up).
 * - ignore_routes_with_linkdown changes: routes out of links without carrier are shown as dead, or not.
 * - A nexthop object leaves: the routes that use it do too, and groups shrink under the routes that use them.
 * - A qdisc or class is changed: its parents, children, chains and filters change with it; u32 makes hash tables itself.
 * - The first filter of a priority makes an object of handle 0, the last takes it along; so does the last qdisc of a
 *   shared block with its filters. Filters bring and take actions, and show those they share.
 * - Virtual functions are in no notification of their link.
 * - An nf_tables rule changes the position of the next one.
 */

import { wordOf } from '../mirror/key.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { KIND, type KindNumber, type ObjectId } from '../mirror/types.ts';
import { attributeLength, type Datagram, findAttribute, NLA_HDRLEN } from '../netlink/message.ts';
import { addressAttributes } from '../netlink/schema/address.ts';
import { linkAttributes } from '../netlink/schema/link.ts';
import { netconfAttributes } from '../netlink/schema/netconf.ts';
import { nexthopAttributes } from '../netlink/schema/nexthop.ts';
import { routeAttributes } from '../netlink/schema/route.ts';
import { qdiscAttributes, tcHeader } from '../netlink/schema/tc.ts';
import { DUMPED, linkFlags, linkMaster, type Mode, type Reactions } from './apply.ts';
import type { Scope } from './requests.ts';
import { routeNexthopId, routeTable } from './routes.ts';
import {
  AF_INET,
  AF_INET6,
  IFF_LOWER_UP,
  IFF_RUNNING,
  IFF_UP,
  NETCONFA_IFINDEX_ALL,
  TC_H_ROOT,
  TCM_IFINDEX_MAGIC_BLOCK,
} from './rtnetlink.ts';
import { inSlices } from './slices.ts';

const { ifindex: IFINDEX } = netconfAttributes.number;
const WATCHED_FLAGS = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
/** Nexthop ids and addresses looked for in one walk over the routes; beyond this all routes are read again. */
const SUSPECTS = 65536;
const LATER_MS = 200;

export interface SilentChangesHandler {
  reread(scope: Scope): void;
  /** Resolves once what notifiers hinted at so far was looked at. */
  hinted(): Promise<void>;
  /** Resolves once all routes that were announced before now are in the mirror. */
  routesReleased(): Promise<void>;
}

export class SilentChanges implements Reactions {
  readonly #mirror: Mirror;
  readonly #handler: SilentChangesHandler;
  /** Nexthop objects that left or changed, and addresses (as hex) that left: routes that use them are suspect. */
  #nexthops = new Set<number>();
  #addresses = new Set<string>();
  /** Family and table of routes whose hops have different attributes. At most as many as there are tables. */
  readonly #mixed = new Set<string>();
  #later: NodeJS.Timeout | undefined;
  #walk: Promise<void> | undefined;
  /** Milliseconds. */
  #walkTook = 0;

  constructor(mirror: Mirror, handler: SilentChangesHandler) {
    this.#mirror = mirror;
    this.#handler = handler;
  }

  /** Resolves once the suspects known now have been looked for. */
  async settled(): Promise<void> {
    while (this.#walk !== undefined) await this.#walk;
  }

  doubt(family: number, table: number): void {
    this.#handler.reread({ kind: KIND.route, family, table });
  }

  siblingsDiffer(family: number, table: number): void {
    this.#mixed.add(`${family} ${table}`);
    this.doubt(family, table);
  }

  siblingGone(family: number, table: number): void {
    if (this.#mixed.has(`${family} ${table}`)) this.doubt(family, table);
  }

  bridgePort(ifindex: number, gone: boolean): void {
    this.#handler.reread({ kind: KIND.link, ifindex });
    if (!gone) return;
    this.#handler.reread({ kind: KIND.fdb, ifindex });
    this.#handler.reread({ kind: KIND.mdb });
    this.#handler.reread({ kind: KIND.vlan });
  }

  functionsUntold(ifindex: number): void {
    this.#handler.reread({ kind: KIND.link, ifindex });
  }

  bulkDeletion(kind: KindNumber, ifindex: number): void {
    this.#handler.reread(ifindex === TCM_IFINDEX_MAGIC_BLOCK ? { kind } : { kind, ifindex });
  }

  removing(kind: KindNumber, id: ObjectId, mode: Mode): void {
    const { data, start, end } = this.#mirror.table(kind).locate(id);
    const ifindex = data.words[(start + 4) >>> 2]!;
    switch (kind) {
      case KIND.link:
        if (mode === DUMPED) break;
        this.#rereadOtherEnd(data, start, end);
        this.#linkGone(ifindex);
        this.#mastersChanged(linkMaster(data, start, end), 0);
        break;
      case KIND.address:
        if (mode !== DUMPED || this.#routesAreRead) this.#addressGone(data, start, end, ifindex);
        break;
      case KIND.nexthop:
        this.#suspectNexthop(wordOf(data, start + 8, end, nexthopAttributes.number.id, 0));
        break;
      case KIND.filter:
        if (mode >= DUMPED) this.#actionsChanged();
        else this.#controlChanged(kind, data, start, end);
        break;
      default:
        if (mode < DUMPED) this.#controlChanged(kind, data, start, end);
    }
  }

  changed(
    kind: KindNumber,
    id: ObjectId,
    mode: Mode,
    fresh: boolean,
    flagsBefore: number,
    masterBefore: number,
  ): void {
    // Of nexthops all are read again when one may have left: groups have shrunk then, and their routes with them.
    if (mode === DUMPED && kind !== KIND.nexthop && !(kind === KIND.address && this.#routesAreRead)) return;
    const { data, start, end } = this.#mirror.table(kind).locate(id);
    switch (kind) {
      case KIND.link: {
        const flags = linkFlags(data, start);
        const master = linkMaster(data, start, end);
        // A veth's peer learns its other end only after it was announced.
        if (fresh) this.#rereadOtherEnd(data, start, end);
        if (((flags ^ flagsBefore) & WATCHED_FLAGS) !== 0 || master !== masterBefore) {
          this.#linkChanged(data.words[(start + 4) >>> 2]!, master !== masterBefore);
          if (master !== masterBefore) this.#mastersChanged(master, masterBefore);
        }
        break;
      }
      case KIND.address:
        if (fresh && data.bytes[start] === AF_INET) this.#addressCame(data.words[(start + 4) >>> 2]!);
        break;
      case KIND.netconf:
        if (!fresh) this.#netconfChanged(data.bytes[start]!, wordOf(data, start + 4, end, IFINDEX, 0) | 0);
        break;
      case KIND.nexthop:
        // Nothing can use one that was not there.
        if (!fresh) this.#suspectNexthop(wordOf(data, start + 8, end, nexthopAttributes.number.id, 0));
        break;
      default:
        if (mode < DUMPED) this.#controlChanged(kind, data, start, end);
    }
  }

  #rereadOtherEnd(data: Datagram, start: number, end: number): void {
    const other = wordOf(data, start + 16, end, linkAttributes.number.link, 0);
    if (other !== 0) this.#handler.reread({ kind: KIND.link, ifindex: other });
  }

  /** `ifindex` is negative for all links. */
  #netconfChanged(family: number, ifindex: number): void {
    // What is set for all is written to the default as well, without a word of that (net/ipv6/addrconf.c addrconf_fixup_linkdown).
    if (family === AF_INET6 && ifindex === NETCONFA_IFINDEX_ALL) this.#handler.reread({ kind: KIND.netconf });
    const links = this.#mirror.table(KIND.link);
    links.forEach((id) => {
      const { data, start } = links.locate(id);
      const index = data.words[(start + 4) >>> 2]!;
      if ((ifindex >= 0 && index !== ifindex) || (linkFlags(data, start) & IFF_LOWER_UP) !== 0) return;
      this.#handler.reread({ kind: KIND.route, family, ifindex: index });
    });
  }

  /** What a bridge can do depends on its ports. */
  #mastersChanged(...masters: readonly number[]): void {
    for (const ifindex of masters) if (ifindex !== 0) this.#handler.reread({ kind: KIND.link, ifindex });
  }

  #linkChanged(ifindex: number, masterChanged: boolean): void {
    const { reread } = this.#handler;
    if (this.#mirror.count(KIND.nexthop) > 0) reread({ kind: KIND.nexthop });
    if (this.#mirror.count(KIND.route) > 0) {
      reread({ kind: KIND.route, family: AF_INET, ifindex });
      reread({ kind: KIND.route, family: AF_INET6, ifindex });
    }
    reread({ kind: KIND.neighbour, ifindex });
    reread({ kind: KIND.fdb, ifindex });
    reread({ kind: KIND.qdisc });
    if (masterChanged) {
      reread({ kind: KIND.mdb });
      reread({ kind: KIND.vlan });
    }
  }

  #linkGone(ifindex: number): void {
    const { reread } = this.#handler;
    this.#linkChanged(ifindex, true);
    reread({ kind: KIND.netconf });
    reread({ kind: KIND.address, ifindex });
    for (const kind of [KIND.class, KIND.chain, KIND.filter]) {
      if (this.#mirror.count(kind) > 0) reread({ kind });
    }
    this.#actionsChanged();
    for (const kind of [KIND['nft-chain'], KIND['nft-rule'], KIND['nft-flowtable']]) {
      if (this.#mirror.count(kind) > 0) reread({ kind });
    }
  }

  /** All addresses may be read again without the routes, which came and went, or died and revived, with them. */
  get #routesAreRead(): boolean {
    return this.#mirror.kindState(KIND.route).state === 'synced';
  }

  #addressGone(data: Datagram, start: number, end: number, ifindex: number): void {
    if (data.bytes[start] === AF_INET) this.#handler.reread({ kind: KIND.route, family: AF_INET, ifindex });
    const { local: LOCAL, address: ADDRESS } = addressAttributes.number;
    const local = findAttribute(data.words, start + 8, end, LOCAL);
    const at = local >= 0 ? local : findAttribute(data.words, start + 8, end, ADDRESS);
    if (at < 0) return;
    this.#addresses.add(payloadText(data, at));
    this.#walkSoon();
  }

  #addressCame(ifindex: number): void {
    const addresses = this.#mirror.table(KIND.address);
    let others = -1;
    addresses.forEach((id) => {
      const { data, start } = addresses.locate(id);
      if (data.bytes[start] === AF_INET && data.words[(start + 4) >>> 2] === ifindex) others++;
    });
    if (others === 0) this.#handler.reread({ kind: KIND.route, family: AF_INET, ifindex });
  }

  #suspectNexthop(id: number): void {
    this.#nexthops.add(id);
    this.#walkSoon();
  }

  #controlChanged(kind: KindNumber, data: Datagram, start: number, end: number): void {
    const { reread } = this.#handler;
    const ifindex = data.words[(start + 4) >>> 2]!;
    switch (kind) {
      case KIND.qdisc:
        // The root qdisc's name is an attribute of the link.
        if (data.words[(start + 12) >>> 2] === TC_H_ROOT) reread({ kind: KIND.link, ifindex });
        reread({ kind });
        reread({ kind: KIND.class, ifindex });
        // The last qdisc of a shared block takes its filters along, which stand under no link.
        for (const inside of [KIND.chain, KIND.filter])
          reread(hasBlock(data, start, end) ? { kind: inside } : { kind: inside, ifindex });
        break;
      case KIND.class:
        reread({ kind, ifindex });
        reread({ kind: KIND.qdisc });
        reread({ kind: KIND.filter, ifindex });
        break;
      case KIND.chain:
        // clsact has two chains of a number, the message does not say which (net/sched/cls_api.c tc_chain_fill_node).
        reread({ kind, ifindex });
        break;
      case KIND.filter:
        // The first filter of a priority makes an object of handle 0, the last takes it along; u32 has tables besides.
        this.bulkDeletion(kind, ifindex);
        // Likewise with chains.
        this.bulkDeletion(KIND.chain, ifindex);
        this.#actionsChanged();
        break;
      case KIND.action:
        // Filters show the actions they share. While one is replaced, it counts a reference more than after.
        if (this.#mirror.count(KIND.filter) > 0) reread({ kind: KIND.filter });
        this.#actionsChanged();
        break;
      case KIND['nft-table']:
        reread({ kind: KIND['nft-chain'] });
        reread({ kind: KIND['nft-rule'] });
        reread({ kind: KIND['nft-flowtable'] });
        break;
      case KIND['nft-chain']:
      case KIND['nft-rule']:
        reread({ kind: KIND['nft-rule'] });
        break;
      default:
    }
  }

  /** Filters let their actions go some time after they left (net/sched/cls_api.c tcf_queue_work): look now and then. */
  #actionsChanged(): void {
    this.#handler.reread({ kind: KIND.action });
    if (this.#later !== undefined) {
      this.#later.refresh();
      return;
    }
    this.#later = setTimeout(() => {
      this.#later = undefined;
      this.#handler.reread({ kind: KIND.action });
    }, LATER_MS);
    this.#later.unref();
  }

  #walkSoon(): void {
    if (this.#walk !== undefined || this.#mirror.count(KIND.route) === 0) {
      if (this.#walk === undefined) this.#forget();
      return;
    }
    // Rest as long as the last walk took.
    const rest = this.#walkTook;
    this.#walk = new Promise((resolve) => setTimeout(resolve, rest))
      // Where notifiers named the routes already, the walk finds none of them.
      .then(() => this.#handler.hinted())
      // Those held back while routes are read may use what left: the walk would not see them.
      .then(() => this.#handler.routesReleased())
      .then(() => this.#findSuspects());
  }

  #forget(): void {
    this.#nexthops = new Set();
    this.#addresses = new Set();
  }

  /** Reads the tables again in which a route uses a suspect nexthop object or source address. */
  async #findSuspects(): Promise<void> {
    const began = performance.now();
    const nexthops = this.#nexthops;
    const addresses = this.#addresses;
    this.#forget();
    const found = new Set<string>();
    const note = (data: Datagram, start: number, end: number): void => {
      const family = data.bytes[start]!;
      const table = routeTable(data, start, end);
      const name = `${family} ${table}`;
      if (found.has(name)) return;
      found.add(name);
      this.doubt(family, table);
    };
    if (nexthops.size + addresses.size > SUSPECTS) {
      this.#handler.reread({ kind: KIND.route });
    } else {
      const table = this.#mirror.table(KIND.route);
      const { prefsrc: PREFSRC } = routeAttributes.number;
      await inSlices(
        1,
        () => table.limit,
        (id) => {
          if (!table.has(id)) return;
          const { data, start, end } = table.locate(id);
          if (nexthops.size > 0) {
            const nexthop = routeNexthopId(data, start, end);
            if (nexthop !== 0 && nexthops.has(nexthop)) note(data, start, end);
          }
          if (addresses.size > 0) {
            const at = findAttribute(data.words, start + 12, end, PREFSRC);
            if (at >= 0 && addresses.has(payloadText(data, at))) note(data, start, end);
          }
        },
      );
    }
    this.#walkTook = performance.now() - began;
    this.#walk = undefined;
    if (this.#nexthops.size + this.#addresses.size > 0) this.#walkSoon();
  }
}

/** Whether a qdisc shares its filters with others. */
function hasBlock(data: Datagram, start: number, end: number): boolean {
  const { ingress_block: INGRESS, egress_block: EGRESS } = qdiscAttributes.number;
  return [INGRESS, EGRESS].some((type) => findAttribute(data.words, start + tcHeader.size, end, type) >= 0);
}

function payloadText(data: Datagram, at: number): string {
  const end = at + attributeLength(data.words, at);
  return Buffer.from(
    data.bytes.buffer,
    data.bytes.byteOffset + at + NLA_HDRLEN,
    end - at - NLA_HDRLEN,
  ).toString('latin1');
}
