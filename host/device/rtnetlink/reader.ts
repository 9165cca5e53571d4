/** What another kernel has of a device: dumps by its protocol number, in the device's own terms. */

import { AF_INET6 } from '../../netlink/decode.ts';
import {
  attributeLength,
  type Datagram,
  findAttribute,
  MessageWriter,
  NLA_HDRLEN,
} from '../../netlink/message.ts';
import { neighbourAttributes } from '../../netlink/schema/neighbour.ts';
import { nexthopAttributes } from '../../netlink/schema/nexthop.ts';
import { routeAttributes } from '../../netlink/schema/route.ts';
import type { SyncNetlink } from '../../netlink/sync-socket.ts';
import type { RoutingConfig } from './layout.ts';
import { addressFamily, type Family, RTM_GETNEIGH, RTM_GETNEXTHOP, RTM_GETROUTE } from './messages.ts';
import type { Domain } from './target.ts';

const N = nexthopAttributes.number;
const R = routeAttributes.number;
const E = neighbourAttributes.number;
const KIND_NEXTHOP = 3;
const KIND_GROUP = 4;
const ACTION_FORWARD = 0;
const ACTION_TRAP = 1;
const ACTION_DROP = 2;
const RTN_BLACKHOLE = 6;

export interface OwnRoute {
  readonly handle: number;
  readonly vrf: number;
  readonly family: Family;
  readonly length: number;
  /** Four words. */
  readonly prefix: readonly number[];
  readonly action: number;
  readonly group: number;
}

export interface OwnNexthops {
  readonly ids: Set<number>;
  /** Rows of the table `nexthop`, by handle. */
  readonly ways: Map<number, number[]>;
  readonly groups: Map<number, (readonly [nexthop: number, weight: number])[]>;
}

/** Id of a plan's group in the table with this number. */
export function groupId(handle: number, table: number): number {
  return ((KIND_GROUP << 28) | (table << 24) | (handle & 0x00ff_ffff)) >>> 0;
}

function groupHandle(id: number): number {
  return ((KIND_GROUP << 28) | (id & 0x00ff_ffff)) >>> 0;
}

export function routeKey(vrf: number, family: Family, length: number, prefix: readonly number[]): string {
  return `${vrf}/${family}/${length}/${prefix.join('.')}`;
}

/** `sourceOf`: link of the mirrored kernel that a link here stands for. */
export function readNexthops(
  netlink: SyncNetlink,
  protocol: number,
  sourceOf: (ifindex: number) => number,
): OwnNexthops {
  const macs = readNeighbours(netlink, protocol);
  const found: OwnNexthops = { ids: new Set(), ways: new Map(), groups: new Map() };
  const clear = () => {
    found.ids.clear();
    found.ways.clear();
    found.groups.clear();
  };
  netlink.dump(RTM_GETNEXTHOP, new Uint8Array(8), clear, (_type, _flags, _sequence, data, start, end) => {
    const { bytes } = data;
    if (bytes[start + 2] !== protocol) return;
    const at = (type: number) => findAttribute(data.words, start + 8, end, type);
    const word = (type: number) => (at(type) < 0 ? 0 : data.words[(at(type) + NLA_HDRLEN) >>> 2]!);
    const id = word(N.id) >>> 0;
    found.ids.add(id);
    if (id >>> 28 === KIND_GROUP) {
      const isOfMembers = membersOf(data, at(N.group)).every(([member]) => member >>> 28 === KIND_NEXTHOP);
      // A group that leads to the mirrored kernel for now does not say what its members are.
      if (isOfMembers) found.groups.set(groupHandle(id), membersOf(data, at(N.group)));
      else if (!found.groups.has(groupHandle(id))) found.groups.set(groupHandle(id), []);
      return;
    }
    if (id >>> 28 !== KIND_NEXTHOP) return;
    const family = bytes[start] === AF_INET6 ? 1 : 0;
    const gateway = addressWords(data, at(N.gateway));
    const action = at(N.blackhole) >= 0 ? ACTION_DROP : ACTION_FORWARD;
    const oif = word(N.oif);
    const mac = macs.get(`${oif}/${gateway.join('.')}`) ?? [0, 0];
    found.ways.set(id, [id, action, family, 0, sourceOf(oif), ...gateway, ...mac]);
  });
  return found;
}

function membersOf(data: Datagram, at: number): (readonly [number, number])[] {
  const members: [number, number][] = [];
  if (at < 0) return members;
  const end = at + attributeLength(data.words, at);
  for (let member = at + NLA_HDRLEN; member + 8 <= end; member += 8) {
    const weight = data.bytes[member + 4]! + 256 * data.bytes[member + 5]! + 1;
    members.push([data.words[member >>> 2]! >>> 0, weight]);
  }
  return members;
}

/** MACs as two words, by link and address. */
function readNeighbours(netlink: SyncNetlink, protocol: number): Map<string, readonly [number, number]> {
  const macs = new Map<string, readonly [number, number]>();
  netlink.dump(
    RTM_GETNEIGH,
    new Uint8Array(12),
    () => macs.clear(),
    (_type, _flags, _sequence, data, start, end) => {
      const at = (type: number) => findAttribute(data.words, start + 12, end, type);
      const [owner, mac, dst] = [at(E.protocol), at(E.lladdr), at(E.dst)];
      if (owner < 0 || data.bytes[owner + NLA_HDRLEN] !== protocol || mac < 0 || dst < 0) return;
      const ifindex = data.words[(start + 4) >>> 2]!;
      const bytes = new DataView(data.bytes.buffer, data.bytes.byteOffset + mac + NLA_HDRLEN, 6);
      const words = [bytes.getUint16(0), bytes.getUint32(2)] as const;
      macs.set(`${ifindex}/${addressWords(data, dst).join('.')}`, words);
    },
  );
  return macs;
}

/** Routes by key. One that is not the same in all tables it belongs to is given as what it is to be in none. */
export function readRoutes(
  netlink: SyncNetlink,
  { protocol, metric }: RoutingConfig,
  domains: readonly Domain[],
): Map<string, Omit<OwnRoute, 'handle'>> {
  const seen = new Map<string, { route: Omit<OwnRoute, 'handle'>; tables: number; isSame: boolean }>();
  for (const family of [0, 1]) {
    const header = new Uint8Array(12);
    header[0] = addressFamily(family);
    header[5] = protocol;
    const mine = new Set<string>();
    const again = () => {
      for (const key of mine) seen.delete(key);
      mine.clear();
    };
    const payload = new MessageWriter().raw(header).bytes();
    netlink.dump(RTM_GETROUTE, payload, again, (_type, _flags, _sequence, data, start, end) => {
      const at = (type: number) => findAttribute(data.words, start + 12, end, type);
      const word = (type: number) => (at(type) < 0 ? 0 : data.words[(at(type) + NLA_HDRLEN) >>> 2]! >>> 0);
      const domain = domains.find(({ table }) => table === word(R.table));
      if (data.bytes[start + 5] !== protocol || domain === undefined || word(R.priority) !== metric) return;
      const length = data.bytes[start + 1]!;
      const prefix = addressWords(data, at(R.dst));
      const nexthop = word(R.nh_id);
      const isGroup = nexthop >>> 28 === KIND_GROUP;
      const isDrop = data.bytes[start + 7] === RTN_BLACKHOLE;
      const action = isGroup ? ACTION_FORWARD : isDrop ? ACTION_DROP : ACTION_TRAP;
      const group = isGroup ? groupHandle(nexthop) : 0;
      const key = routeKey(domain.vrf, family, length, prefix);
      const other = seen.get(key);
      mine.add(key);
      if (other === undefined) {
        const route = { vrf: domain.vrf, family, length, prefix, action, group };
        seen.set(key, { route, tables: 1, isSame: true });
      } else {
        other.tables++;
        other.isSame &&= other.route.action === action && other.route.group === group;
      }
    });
  }
  const routes = new Map<string, Omit<OwnRoute, 'handle'>>();
  for (const [key, { route, tables, isSame }] of seen) {
    const { vrf, family } = route;
    const wanted = domains.filter((one) => one.vrf === vrf && one.gateways[family] !== undefined).length;
    const odd = route.action === ACTION_DROP ? ACTION_TRAP : ACTION_DROP;
    routes.set(key, isSame && tables === wanted ? route : { ...route, action: odd, group: 0 });
  }
  return routes;
}

/** An address attribute as four words, the highest first; all 0 when it is absent. */
function addressWords(data: Datagram, at: number): number[] {
  if (at < 0) return [0, 0, 0, 0];
  const length = attributeLength(data.words, at) - NLA_HDRLEN;
  const bytes = new Uint8Array(16);
  bytes.set(
    data.bytes.subarray(at + NLA_HDRLEN, at + NLA_HDRLEN + Math.min(16, length)),
    16 - Math.min(16, length),
  );
  const view = new DataView(bytes.buffer);
  return [0, 4, 8, 12].map((offset) => view.getUint32(offset));
}
