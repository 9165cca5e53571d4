/**
 * Tells the kernel what hardware uses, whose packets the kernel does not see: neighbours are checked again once they are stale, so
 * that one that is gone is found out, and the addresses a bridge learned do not grow old while their stations send.
 */

import type { Mirror } from '../mirror/mirror.ts';
import { KIND, type KindNumber, type ObjectCursor, objectCursor } from '../mirror/types.ts';
import { MessageWriter, NLA_HDRLEN } from '../netlink/message.ts';
import { type NetlinkClient, NetlinkError, type NetlinkRequest } from '../netlink/request.ts';
import { neighbourAttributes } from '../netlink/schema/neighbour.ts';
import { AF_BRIDGE, NUD_NOARP, NUD_REACHABLE, NUD_STALE, RTM_NEWNEIGH } from './rtnetlink.ts';

const NDA = neighbourAttributes.number;
const NEIGHBOUR_KEY: ReadonlySet<number> = new Set([NDA.dst]);
const FDB_KEY: ReadonlySet<number> = new Set([NDA.lladdr, NDA.vlan]);
const REMOTE_KEY: ReadonlySet<number> = new Set([NDA.lladdr, NDA.dst, NDA.ifindex]);
const NLA_TYPE_MASK = 0x3fff;
/** struct ndmsg. */
const NDMSG = { state: 8, flags: 10, size: 12 };
const NUD_PERMANENT = 0x80;
const NTF_USE = 0x01;
const NTF_SELF = 0x02;
const NTF_MASTER = 0x04;
const NTF_EXT_LEARNED = 0x10;
/** Requests of one pass; what is more comes with the next one. */
const PASS_MAX = 4096;
const EPERM = 1;

export interface UsedObject {
  readonly kind: KindNumber;
  readonly id: number;
}

export class KernelRefresh {
  readonly #mirror: Mirror;
  readonly #client: Pick<NetlinkClient, 'request'>;
  readonly #cursor = objectCursor();
  #isBusy = false;
  #isForbidden = false;

  constructor(mirror: Mirror, client: Pick<NetlinkClient, 'request'>) {
    this.#mirror = mirror;
    this.#client = client;
  }

  /** One pass over neighbours and fdb entries that are in use. A pass that is slower than the pace skips the next. */
  async pass(used: Iterable<UsedObject>): Promise<void> {
    if (this.#isBusy || this.#isForbidden) return;
    this.#isBusy = true;
    try {
      let sent = 0;
      for (const { kind, id } of used) {
        const request = this.#requestOf(kind, id);
        if (request === undefined) continue;
        await this.#client.request(request);
        if (++sent === PASS_MAX) return;
      }
    } catch (error) {
      // What is in the mirror may be gone already; without the right to change anything nothing is asked for again.
      if (!(error instanceof NetlinkError)) throw error;
      this.#isForbidden = error.errno === EPERM;
    } finally {
      this.#isBusy = false;
    }
  }

  /** Undefined: what does not age, or needs no check now. */
  #requestOf(kind: KindNumber, id: number): NetlinkRequest | undefined {
    const cursor = this.#cursor;
    if (!this.#mirror.open(kind, id, cursor) || cursor.end - cursor.start < NDMSG.size) return undefined;
    const { bytes, start } = cursor;
    const state = bytes[start + NDMSG.state]! | (bytes[start + NDMSG.state + 1]! << 8);
    if (kind === KIND.neighbour)
      return state === NUD_STALE ? useRequest(cursor, state, NTF_USE, NEIGHBOUR_KEY) : undefined;
    const isLearned =
      (state & (NUD_PERMANENT | NUD_NOARP)) === 0 && (bytes[start + NDMSG.flags]! & NTF_EXT_LEARNED) === 0;
    if (kind !== KIND.fdb || bytes[start] !== AF_BRIDGE || !isLearned) return undefined;
    // Of a VXLAN link's own table: vxlan_fdb_update_existing() in drivers/net/vxlan/vxlan_core.c.
    if ((bytes[start + NDMSG.flags]! & NTF_SELF) !== 0)
      return useRequest(cursor, state, NTF_USE | NTF_SELF, REMOTE_KEY);
    return useRequest(cursor, NUD_REACHABLE, NTF_USE | NTF_MASTER, FDB_KEY);
  }
}

/** The object's own key with other state and flags: neigh_add() in net/core/neighbour.c, br_fdb_add() in net/bridge/br_fdb.c. */
function useRequest(
  { bytes, start, end }: ObjectCursor,
  state: number,
  flags: number,
  key: ReadonlySet<number>,
): NetlinkRequest {
  const header = bytes.slice(start, start + NDMSG.size);
  header[NDMSG.state] = state;
  header[NDMSG.state + 1] = 0;
  header[NDMSG.flags] = flags;
  const writer = new MessageWriter().raw(header);
  for (let at = start + NDMSG.size; at + NLA_HDRLEN <= end; ) {
    const size = bytes[at]! | (bytes[at + 1]! << 8);
    if (size < NLA_HDRLEN || at + size > end) break;
    const type = (bytes[at + 2]! | (bytes[at + 3]! << 8)) & NLA_TYPE_MASK;
    if (key.has(type)) writer.attribute(type, bytes.slice(at + NLA_HDRLEN, at + size));
    at += (size + 3) & ~3;
  }
  return { type: RTM_NEWNEIGH, payload: writer.bytes(), operation: 'tell the kernel of a neighbour in use' };
}
