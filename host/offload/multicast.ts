/**
 * Multicast groups of bridges as entries: to which ports hardware sends frames of a group. The kernel does so by what it learned
 * (net/bridge/br_forward.c br_multicast_flood), floods where it does not rely on that (br_private.h br_multicast_querier_exists), and
 * does not announce when it stops relying on it. So only groups of bridges that certainly rely on it are planned; frames of others have
 * no entry and go to the kernel.
 */

import type { ObjectCursor } from '../mirror/types.ts';
import { formatMac } from '../netlink/address.ts';
import { type Decoded, type DecodedObject, DecodeError, decodeObject } from '../netlink/decode.ts';
import { ENTRY_KIND, MULTICAST_FAMILY, type MulticastGroupRecord } from '../plugin/records.ts';
import { formatAddress, parseAddress } from './addresses.ts';
import type { PortWant, Words } from './codecs.ts';
import type { EntryCodec, EntryTable } from './entry-table.ts';
import { type KernelView, type LinkView, nested, number32, text } from './kernel-view.ts';
import type { PortsPlan } from './ports.ts';
import { REASON } from './reasons.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';

/** Ports of an entry: `port0` to `port31` of its record. */
export const GROUP_PORTS = 32;
/** Byte of the first of them. */
const PORTS_OFFSET = 32;

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
/** MDB_FLAGS_BLOCKED, linux/if_bridge.h: sources of the port are left out. */
const BLOCKED = 8;
/** MCAST_INCLUDE of MDBA_MDB_EATTR_GROUP_MODE */
const INCLUDE = 1;
/** BR_BOOLOPT_MCAST_VLAN_SNOOPING */
const VLAN_SNOOPING = 2;
/** MDB_RTR_TYPE_TEMP_QUERY: a port is known as that of a router when it is announced as one, and not before. */
const ROUTER_IF_ANNOUNCED = 1;
/** What `mcast_query_response_interval` is unless it was set. */
const RESPONSE_MS = 10_000;
/** The kernel's timers may be late by this. */
const LATE_MS = 100;
/** setTimeout() takes no more than 31 bits. */
const WAIT_MAX_MS = 3_600_000;

export interface MulticastWant {
  readonly family: number;
  readonly vlan: number;
  readonly bridge: number;
  /** A MAC stands in the last two words. */
  readonly address: Words;
  /** Handles, ascending. */
  readonly ports: readonly number[];
}

export const multicastCodec: EntryCodec<MulticastWant> = {
  kind: ENTRY_KIND.multicastGroup,
  isLeaf: true,
  equal: (a, b) =>
    a.family === b.family &&
    a.vlan === b.vlan &&
    a.bridge === b.bridge &&
    a.address.every((word, index) => word === b.address[index]) &&
    a.ports.length === b.ports.length &&
    a.ports.every((port, index) => port === b.ports[index]),
  size: () => 1,
  encode(encoder, operation, handle, want) {
    const record = encoder.multicastGroup(operation, handle);
    record.family = want.family;
    record.vlan = want.vlan;
    record.bridge = want.bridge;
    record.count = want.ports.length;
    record.setAddress(...want.address);
    record.u32.set(want.ports, (record.offset + PORTS_OFFSET) >>> 2);
  },
};

/** What a group read back says; its count is at most GROUP_PORTS. */
export function multicastWantOf(record: MulticastGroupRecord): MulticastWant {
  const { family, vlan, bridge, count } = record;
  const at = (record.offset + PORTS_OFFSET) >>> 2;
  return {
    family,
    vlan,
    bridge,
    address: [record.address0, record.address1, record.address2, record.address3],
    ports: [...record.u32.subarray(at, at + count)],
  };
}

/** For people, too: `12/10/239.1.1.1`. */
export function multicastKey({
  bridge,
  vlan,
  family,
  address,
}: Pick<MulticastWant, 'bridge' | 'vlan' | 'family' | 'address'>): string {
  return `${bridge}/${vlan}/${groupText(family, address)}`;
}

function groupText(family: number, address: Words): string {
  if (family === MULTICAST_FAMILY.ipv4) return formatAddress(AF_INET, address);
  if (family === MULTICAST_FAMILY.ipv6) return formatAddress(AF_INET6, address);
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, address[2]);
  view.setUint32(4, address[3]);
  return formatMac(bytes, 2, 8);
}

interface Group {
  readonly key: string;
  readonly family: number;
  readonly vlan: number;
  readonly address: Words;
}

/** A port that is a member of a group, or a router port. */
interface Known {
  readonly bridge: number;
  /** Interface index; that of the bridge where this machine is the member. */
  readonly ifindex: number;
  /** Undefined: a router port. */
  readonly group: Group | undefined;
  /** Of an (S, G) entry, else ''. */
  readonly source: string;
  /** Not all of the group's frames are to leave by the port. */
  readonly isFiltered: boolean;
}

export interface MulticastOptions {
  readonly view: KernelView;
  readonly table: EntryTable<MulticastWant>;
  readonly ports: EntryTable<PortWant>;
  /** The plan is to be settled again. */
  readonly onDue: () => void;
}

/** A bridge as it is. A change of it is a new LinkView. */
interface Seen {
  readonly link: LinkView;
  /** Its `mcast_query_response_interval`. */
  readonly response_ms: number;
  /** By then it relies on who joined, by `performance.now`. */
  readonly due: number;
  /** Its table was nearly full: the kernel stops snooping, without a word, when it is. */
  wasFull: boolean;
}

export class Multicast {
  readonly #options: MulticastOptions;
  readonly #known = new Map<number, Known>();
  /** Why there is no entry of a group, by its key. */
  #reasons = new Map<string, number>();
  readonly #seen = new Map<number, Seen>();
  #bridgeReasons = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;
  /** Until the next bridge has waited long enough. */
  #wait_ms = Number.POSITIVE_INFINITY;
  /** `plan` is to be called before sending. */
  isDirty = true;

  constructor(options: MulticastOptions) {
    this.#options = options;
  }

  /** An object of kind `mdb`; undefined: it is gone. */
  change(id: number, object: ObjectCursor | undefined): void {
    const known = object && read(object);
    if (known === undefined) this.#known.delete(id);
    else this.#known.set(id, known);
    this.isDirty = true;
  }

  /** Key of the entry of an object, or why it has none. Undefined: no such object. */
  stateOf(id: number): { readonly key: string } | { readonly reason: number } | undefined {
    const known = this.#known.get(id);
    if (known === undefined) return undefined;
    if (known.group === undefined) return { reason: REASON['multicast-router'] };
    const reason = this.#reasons.get(known.group.key) ?? REASON['multicast-flooded'];
    return reason === REASON.none ? { key: known.group.key } : { reason };
  }

  /** Mirror id of some object of the entry with this key. */
  ownerOf(key: string): number | undefined {
    for (const [id, { group }] of this.#known) if (group?.key === key) return id;
    return undefined;
  }

  /** Groups of this bridge are planned, if nothing of their own is against it. As of the last plan. */
  takes(bridge: number): boolean {
    return this.#bridgeReasons.get(bridge) === REASON.none;
  }

  /** Says again what the table should hold. */
  plan(ports: PortsPlan): void {
    this.isDirty = false;
    const { table, view } = this.#options;
    if (table.capacity === 0) return;
    const groups = new Map<string, Known[]>();
    for (const known of this.#known.values()) {
      if (known.group === undefined) continue;
      const members = groups.get(known.group.key);
      if (members === undefined) groups.set(known.group.key, [known]);
      else members.push(known);
    }
    this.#wait_ms = Number.POSITIVE_INFINITY;
    this.#lookAtBridges(ports);
    this.#comeBack();
    const reasons = new Map<string, number>();
    for (const [key, members] of groups) {
      const [{ bridge, group }] = members as [Known];
      const { family, vlan, address } = group!;
      let reason = this.#bridgeReasons.get(bridge) ?? REASON['multicast-flooded'];
      if (reason === REASON.none) reason = reasonAgainst(view.link(bridge)!, group!);
      if (reason === REASON.none) reason = reasonOf(members);
      const handles = reason === REASON.none ? this.#portsOf(members, ports) : [];
      if (typeof handles === 'number') reason = handles;
      else if (handles.length > GROUP_PORTS) reason = REASON['multicast-ports'];
      else if (reason === REASON.none) table.want(key, { family, vlan, bridge, address, ports: handles });
      reasons.set(key, reason);
    }
    this.#reasons = reasons;
    for (const key of table.entries.keys()) if (reasons.get(key) !== REASON.none) table.drop(key);
  }

  /** The handles of the members, or why they are not all of this device. */
  #portsOf(members: readonly Known[], plan: PortsPlan): number[] | number {
    const { ports, view } = this.#options;
    const handles = new Set<number>();
    for (const { ifindex, bridge } of members) {
      const entry = ports.get(`${ifindex}`);
      if (entry === undefined || plan.ports.get(ifindex)?.want.bridge !== bridge || !ports.isUsable(entry))
        return REASON['egress-not-a-port'];
      const reason = plan.egressReasons.get(ifindex) ?? REASON.none;
      // Its bridge does not forward there, which the port says.
      if (reason !== REASON.none && reason !== REASON['link-down']) return reason;
      if (number32(view.link(ifindex)?.slaveData.mcast_to_ucast) !== 0) return REASON['multicast-sources'];
      handles.add(ports.handle(entry));
    }
    return [...handles].sort((a, b) => a - b);
  }

  #lookAtBridges(plan: PortsPlan): void {
    const { view } = this.#options;
    const routed = new Set<number>();
    const sizes = new Map<number, Set<string>>();
    for (const { bridge, group, source } of this.#known.values()) {
      if (group === undefined) routed.add(bridge);
      else if (sizes.get(bridge)?.add(`${group.key} ${source}`) === undefined)
        sizes.set(bridge, new Set([`${group.key} ${source}`]));
    }
    for (const { master, slaveKind, slaveData } of view.links.values())
      if (slaveKind === 'bridge' && number32(slaveData.multicast_router) !== ROUTER_IF_ANNOUNCED)
        routed.add(master);
    this.#bridgeReasons = new Map();
    for (const bridge of new Set([...plan.ports.values()].map(({ want }) => want.bridge))) {
      const link = view.link(bridge);
      if (link === undefined) continue;
      let reason = plan.bridgeReasons.get(bridge) ?? REASON.none;
      if (reason === REASON.none) reason = this.#snooping(link, sizes.get(bridge)?.size ?? 0);
      if (reason === REASON.none && (routed.has(bridge) || number32(link.data.mcast_router) !== 0))
        reason = REASON['multicast-router'];
      const isHeard = link.promiscuous || view.netconfOf(AF_INET, bridge)?.routesMulticast === true;
      if (reason === REASON.none && isHeard) reason = REASON['multicast-local'];
      this.#bridgeReasons.set(bridge, reason);
    }
    for (const bridge of this.#seen.keys()) if (!this.#bridgeReasons.has(bridge)) this.#seen.delete(bridge);
  }

  /** Why the bridge may flood what it has groups for; REASON.none: it does not. */
  #snooping(link: LinkView, size: number): number {
    const now = performance.now();
    let seen = this.#seen.get(link.ifindex);
    if (seen?.link !== link) {
      // It floods until there was time to answer: by the interval when it began to ask, which may be another one by now.
      const response_ms = 10 * Number(link.data.mcast_query_response_intvl ?? 0);
      const wait = Math.max(response_ms, seen?.response_ms ?? 0, RESPONSE_MS) + LATE_MS;
      seen = { link, response_ms, due: Math.max(seen?.due ?? 0, now + wait), wasFull: false };
      this.#seen.set(link.ifindex, seen);
    }
    const { data } = link;
    const most = number32(data.mcast_hash_max);
    if (size >= most - most / 8) seen.wasFull = true;
    const byVlan = (number32(nested(data.multi_boolopt).optval) & VLAN_SNOOPING) !== 0;
    if (!link.up || number32(data.mcast_snooping) === 0 || byVlan || seen.wasFull)
      return REASON['multicast-flooded'];
    // Another one's queries come and go unseen.
    if (number32(data.mcast_querier) === 0) return REASON['multicast-flooded'];
    const wait = seen.due - now;
    if (wait <= 0) return REASON.none;
    this.#wait_ms = Math.min(this.#wait_ms, wait);
    return REASON['multicast-flooded'];
  }

  #comeBack(): void {
    clearTimeout(this.#timer);
    if (this.#wait_ms === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(
      () => {
        this.isDirty = true;
        this.#options.onDue();
      },
      Math.min(this.#wait_ms, WAIT_MAX_MS),
    ).unref();
  }
}

/** Why the kernel does not look for this group in its table. */
function reasonAgainst(bridge: LinkView, { family, vlan, address }: Group): number {
  const filters = number32(bridge.data.vlan_filtering) !== 0;
  // Whether the bridge asks for members of groups of IPv6 depends on its having an address, as of its last query.
  if (family === MULTICAST_FAMILY.ipv6 || filters !== (vlan !== 0)) return REASON['multicast-flooded'];
  // 224.0.0.0/24 is never snooped.
  if (family === MULTICAST_FAMILY.ipv4 && address[3] >>> 8 === 0xe0_0000) return REASON['multicast-flooded'];
  return REASON.none;
}

/** Why it is not as simple as that its members get the group's frames. */
function reasonOf(members: readonly Known[]): number {
  if (members.some(({ ifindex, bridge }) => ifindex === bridge)) return REASON['multicast-local'];
  if (members.some(({ isFiltered, source }) => isFiltered || source !== ''))
    return REASON['multicast-sources'];
  return REASON.none;
}

/** Undefined for what is neither a member nor a router port. */
function read(cursor: ObjectCursor): Known | undefined {
  let object: DecodedObject;
  try {
    object = decodeObject('mdb', cursor.bytes, cursor.start, cursor.end);
  } catch (error) {
    // The mirror counted it and reads the kind again.
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
  const bridge = number32(object.header.ifindex);
  const router = first(nested(object.router).port);
  if (router !== undefined)
    return { bridge, ifindex: number32(router.ifindex), group: undefined, source: '', isFiltered: false };
  const info = first(first(nested(object.mdb).entry)?.info);
  const address = parseAddress(text(info?.address))?.words;
  if (info === undefined || address === undefined) return undefined;
  const family =
    info.proto === ETH_P_IP
      ? MULTICAST_FAMILY.ipv4
      : info.proto === ETH_P_IPV6
        ? MULTICAST_FAMILY.ipv6
        : MULTICAST_FAMILY.mac;
  const vlan = number32(info.vid);
  const group = { family, vlan, address: wordsOf(family, address) };
  return {
    bridge,
    ifindex: number32(info.ifindex),
    group: { ...group, key: multicastKey({ bridge, ...group }) },
    source: text(info.source),
    isFiltered:
      (number32(info.flags) & BLOCKED) !== 0 || info.group_mode === INCLUDE || info.src_list !== undefined,
  };
}

/** The kernel has an IPv4 address and a MAC in the first bytes of the field. */
function wordsOf(family: number, field: Words): Words {
  if (family === MULTICAST_FAMILY.ipv4) return [0, 0, 0, field[0]];
  if (family === MULTICAST_FAMILY.ipv6) return field;
  return [0, 0, field[0] >>> 16, ((field[0] << 16) | (field[1] >>> 16)) >>> 0];
}

function first(list: unknown): Decoded | undefined {
  const one = Array.isArray(list) ? list[0] : list;
  return one === undefined ? undefined : nested(one);
}
