/**
 * Bridge entries of the device `rtnetlink`: for each bridge that stands for one of the mirrored kernel, the addresses behind
 * its ports. They are marked as learned from outside (`extern_learn` of `bridge fdb`), which is how they are told from the
 * bridge's own: there is no protocol number in them. Such entries do not age, and frames from another port move them.
 */

import {
  attributeLength,
  type Datagram,
  findAttribute,
  MessageWriter,
  NLA_HDRLEN,
  NLM_F_CREATE,
  NLM_F_REPLACE,
} from '../../netlink/message.ts';
import { neighbourAttributes } from '../../netlink/schema/neighbour.ts';
import type { SyncNetlink, SyncRequest } from '../../netlink/sync-socket.ts';
import { STATUS } from './layout.ts';
import { RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH } from './messages.ts';
import { RowError } from './row-error.ts';
import type { Bridge, Targets } from './target.ts';

const E = neighbourAttributes.number;
const AF_BRIDGE = 7;
/** linux/neighbour.h */
const NTF_MASTER = 0x04;
const NTF_EXT_LEARNED = 0x10;
const NUD_REACHABLE = 0x02;
const NUD_STATIC = 0x40 | 0x80;
const ENOENT = 2;
const ACTION_FORWARD = 0;
const ACTION_TRAP = 1;
/** Upper 4 bits of a handle: its kind plus one (wit/types.wit). */
const KIND_FDB = 7;

/** Columns of a row (wit/host.wit). */
const HANDLE = 0;
const BRIDGE = 1;
const VLAN = 2;
const ACTION = 3;
const PORT = 4;
const IFINDEX = 5;
const MAC = 6;

/** An entry as the other kernel has it. */
interface Found {
  readonly ifindex: number;
  readonly bridge: number;
  readonly vlan: number;
  /** Two words. */
  readonly mac: readonly [number, number];
  readonly isOwn: boolean;
  /** Put there by somebody, not learned. */
  readonly isStatic: boolean;
}

/** Carries out requests; throws the first refusal whose error is not among `fine`. */
export type Do = (requests: readonly SyncRequest[], fine?: readonly number[]) => void;

export class BridgeEntries {
  readonly #netlink: SyncNetlink;
  readonly #targets: Targets;
  readonly #do: Do;
  readonly #rows = new Map<string, readonly number[]>();
  readonly #keys = new Map<number, string>();

  constructor(netlink: SyncNetlink, targets: Targets, carryOut: Do) {
    this.#netlink = netlink;
    this.#targets = targets;
    this.#do = carryOut;
  }

  get size(): number {
    return this.#rows.size;
  }

  rows(): number[][] {
    return [...this.#rows.values()].map((row) => [...row]);
  }

  /** Reads the bridges. Entries that are as they were keep their handles, others are numbered. */
  load(): void {
    const seen = new Map<string, Found>();
    for (const { ifindex } of this.#targets.bridges()) this.#dump(ifindex, seen);
    for (const [key, row] of [...this.#rows]) {
      if (!seen.has(key) && !this.#needsNone(row)) this.#forget(key);
    }
    let next = 0;
    for (const [key, found] of seen) {
      const before = this.#rows.get(key);
      while (before === undefined && this.#keys.has(numbered(next))) next++;
      const action = this.#targets.isWayToHost(found.ifindex) ? ACTION_TRAP : ACTION_FORWARD;
      const ifindex = action === ACTION_TRAP ? 0 : this.#targets.sourceOf(found.ifindex);
      const port = before?.[IFINDEX] === ifindex ? before[PORT]! : 0;
      const handle = before?.[HANDLE] ?? numbered(next);
      const bridge = this.#targets.sourceOf(found.bridge);
      this.#keep(key, [handle, bridge, found.vlan, action, port, ifindex, ...found.mac]);
    }
  }

  put(row: readonly number[]): void {
    const key = keyOf(row);
    const bridge = this.#bridgeFor(row[BRIDGE]!);
    const link = this.#linkFor(row, bridge);
    const before = this.#keys.get(row[HANDLE]!);
    if (before !== undefined && before !== key) this.remove(row[HANDLE]!);
    const found = this.#get(bridge, row);
    if (found?.isStatic && !found.isOwn)
      throw new RowError(STATUS.foreign, `${bridge.name} has that address already, by somebody else`);
    if (link === undefined) {
      if (found?.isOwn) this.#do([entry(RTM_DELNEIGH, found.ifindex, row)], [ENOENT]);
    } else if (!found?.isOwn || found.ifindex !== link) {
      this.#do([entry(RTM_NEWNEIGH, link, row)]);
    }
    this.#keep(key, row);
  }

  remove(handle: number): void {
    const key = this.#keys.get(handle);
    const row = key === undefined ? undefined : this.#rows.get(key);
    if (key === undefined || row === undefined) return;
    this.#forget(key);
    const bridge = this.#targets.bridgeOf(row[BRIDGE]!);
    const found = bridge && this.#get(bridge, row);
    if (found?.isOwn) this.#do([entry(RTM_DELNEIGH, found.ifindex, row)], [ENOENT]);
  }

  /** Whether an entry that was announced as changed or gone is one of these, and not as it should be. */
  isLost(data: Datagram, start: number, end: number): boolean {
    if (data.bytes[start] !== AF_BRIDGE) return false;
    const told = foundIn(data, start, end);
    const source = told === undefined ? 0 : this.#targets.sourceOf(told.bridge);
    const row = source === 0 ? undefined : this.#rows.get(`${source}/${told!.vlan}/${told!.mac.join('.')}`);
    if (row === undefined || this.#needsNone(row)) return false;
    const bridge = this.#targets.bridgeOf(row[BRIDGE]!);
    if (bridge === undefined) return true;
    // What it is now: announcements of this device's own changes come as well.
    const found = this.#get(bridge, row);
    return !(found?.isOwn && found.ifindex === this.#wayFor(row, bridge));
  }

  #bridgeFor(source: number): Bridge {
    const bridge = this.#targets.bridgeOf(source);
    if (bridge !== undefined) return bridge;
    const name = this.#targets.map(source)?.link;
    // Nothing but another configuration would change that.
    if (name === undefined)
      throw new RowError(
        STATUS.invalid,
        `nothing stands for the bridge with index ${source}: its [device.NAME.links.LINK] is missing`,
      );
    throw new RowError(STATUS.missingLink, `there is no bridge ${name}`);
  }

  /** The link behind which the address is to be; undefined: the bridge is to decide itself. */
  #linkFor(row: readonly number[], bridge: Bridge): number | undefined {
    const action = row[ACTION]!;
    if (action !== ACTION_FORWARD && action !== ACTION_TRAP)
      throw new RowError(STATUS.invalid, 'a bridge drops no frames by their address');
    const link = this.#wayFor(row, bridge);
    if (link !== undefined || action === ACTION_TRAP) return link;
    const name = this.#targets.map(row[IFINDEX]!)?.link;
    throw new RowError(
      STATUS.missingLink,
      name === undefined
        ? `nothing stands for the link with index ${row[IFINDEX]}: its [device.NAME.links.LINK] is missing`
        : `there is no link ${name} in ${bridge.name}`,
    );
  }

  #wayFor(row: readonly number[], bridge: Bridge): number | undefined {
    const { map } = bridge;
    const name = row[ACTION] === ACTION_TRAP ? map.via : this.#targets.map(row[IFINDEX]!)?.link;
    const link = name === undefined ? undefined : this.#targets.link(name);
    return link?.master === bridge.ifindex ? link.ifindex : undefined;
  }

  /** Frames that the bridge is to decide itself have no entry. */
  #needsNone(row: readonly number[]): boolean {
    const bridge = this.#targets.bridgeOf(row[BRIDGE]!);
    return row[ACTION] === ACTION_TRAP && (bridge === undefined || this.#wayFor(row, bridge) === undefined);
  }

  #keep(key: string, row: readonly number[]): void {
    this.#forget(key);
    this.#rows.set(key, row);
    this.#keys.set(row[HANDLE]!, key);
  }

  #forget(key: string): void {
    const handle = this.#rows.get(key)?.[HANDLE];
    if (handle !== undefined) this.#keys.delete(handle);
    this.#rows.delete(key);
  }

  #dump(bridge: number, seen: Map<string, Found>): void {
    const mine = new Set<string>();
    const again = () => {
      for (const key of mine) seen.delete(key);
    };
    const payload = new MessageWriter().raw(header(0, 0)).u32(E.master, bridge).bytes();
    this.#netlink.dump(RTM_GETNEIGH, payload, again, (_type, _flags, _sequence, data, start, end) => {
      const found = foundIn(data, start, end);
      if (!found?.isOwn || found.bridge !== bridge) return;
      if (!this.#targets.isWayToHost(found.ifindex) && this.#targets.sourceOf(found.ifindex) === 0) return;
      const key = `${this.#targets.sourceOf(bridge)}/${found.vlan}/${found.mac.join('.')}`;
      mine.add(key);
      seen.set(key, found);
    });
  }

  /** What the bridge has for the row's address. */
  #get({ ifindex }: Bridge, row: readonly number[]): Found | undefined {
    const writer = new MessageWriter().raw(header(0, 0)).u32(E.master, ifindex);
    let found: Found | undefined;
    this.#netlink.get(RTM_GETNEIGH, address(writer, row), (_type, _flags, _sequence, data, start, end) => {
      found = foundIn(data, start, end);
    });
    return found;
  }
}

function numbered(index: number): number {
  return ((KIND_FDB << 28) | index) >>> 0;
}

function keyOf(row: readonly number[]): string {
  return `${row[BRIDGE]}/${row[VLAN]}/${row[MAC]}.${row[MAC + 1]}`;
}

function header(ifindex: number, flags: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  bytes[0] = AF_BRIDGE;
  view.setUint32(4, ifindex, true);
  view.setUint16(8, flags === 0 ? 0 : NUD_REACHABLE, true);
  bytes[10] = flags;
  return bytes;
}

function entry(type: number, ifindex: number, row: readonly number[]): SyncRequest {
  const writer = new MessageWriter().raw(header(ifindex, NTF_MASTER | NTF_EXT_LEARNED));
  const isNew = type === RTM_NEWNEIGH;
  return { type, flags: isNew ? NLM_F_CREATE | NLM_F_REPLACE : 0, payload: address(writer, row) };
}

function address(writer: MessageWriter, row: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, row[MAC]!);
  view.setUint32(4, row[MAC + 1]!);
  writer.attribute(E.lladdr, bytes.subarray(2));
  const vlan = row[VLAN]!;
  if (vlan !== 0) writer.attribute(E.vlan, new Uint8Array([vlan & 0xff, vlan >> 8]));
  return writer.bytes();
}

function foundIn({ bytes, words }: Datagram, start: number, end: number): Found | undefined {
  const at = (type: number) => findAttribute(words, start + 12, end, type);
  const [mac, vlan, master] = [at(E.lladdr), at(E.vlan), at(E.master)];
  if (mac < 0 || master < 0 || attributeLength(words, mac) !== NLA_HDRLEN + 6) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const state = view.getUint16(start + 8, true);
  return {
    ifindex: view.getInt32(start + 4, true),
    bridge: view.getUint32(master + NLA_HDRLEN, true),
    vlan: vlan < 0 ? 0 : view.getUint16(vlan + NLA_HDRLEN, true),
    mac: [view.getUint16(mac + NLA_HDRLEN), view.getUint32(mac + NLA_HDRLEN + 2)],
    isOwn: (bytes[start + 10]! & NTF_EXT_LEARNED) !== 0,
    isStatic: (state & NUD_STATIC) !== 0,
  };
}
