/**
 * What the ASIC does with a packet: the stages in their order, each of which may decide. Steps and names of what decided
 * are listed in docs/asic.md. Whatever the tables do not clearly answer is trapped: the kernel then decides.
 */

import type { PacketQuery, PacketVerdict, PacketWay } from '../types.ts';
import { type Address, formatAddress, parseAddress } from './address.ts';
import {
  ACL,
  COUNTER_WORDS,
  FDB,
  GROUP,
  GROUP_FIRST_MEMBER,
  LPM4,
  LPM6,
  MDB,
  MDB_PORTS,
  NEXTHOP,
  NONE,
  PORT,
  ROUTER_INTERFACE,
  VLAN,
} from './layout.ts';
import {
  ACL_ACCEPT,
  ACL_DROP,
  ACL_REDIRECT,
  ACTION_DROP,
  ACTION_FORWARD,
  ACTION_TRAP,
  type AsicTables,
  hostBits,
  MDB_IPV4,
  MDB_IPV6,
  STAGE_INGRESS,
  STAGE_ROUTING,
  W,
} from './tables.ts';

const PORT_ADMIN_UP = 1;
const PORT_CARRIER = 2;
const PORT_BRIDGE_FORWARDING = 4;
const PORT_LEARNING = 8;
const PORT_TRAP_ALL = 16;
const RIF_IPV4 = 1;
const RIF_IPV6 = 2;
const RIF_LOOSE = 4;
const RIF_STRICT = 8;
const VLAN_PVID = 1;
const VLAN_UNTAGGED = 2;

const PROTOCOL_IGMP = 2;
const PROTOCOL_ICMP6 = 58;
const BROADCAST = 0xffff_ffff_ffff;
/** 01:80:c2:00:00:00 to 0f: what bridges say to each other. */
const LINK_LOCAL = 0x0180_c200_0000;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_VLAN = 0x8100;

const FIELD_SOURCE_MAC = 1 << 0;
const FIELD_DESTINATION_MAC = 1 << 1;
const FIELD_ETHERTYPE = 1 << 2;
const FIELD_VLAN = 1 << 3;
const FIELD_SOURCE_ADDRESS = 1 << 4;
const FIELD_DESTINATION_ADDRESS = 1 << 5;
const FIELD_PROTOCOL = 1 << 6;
const FIELD_DSCP = 1 << 7;
const FIELD_SOURCE_PORT = 1 << 8;
const FIELD_DESTINATION_PORT = 1 << 9;
const FIELD_TCP_FLAGS = 1 << 10;
const FIELD_ICMP_TYPE = 1 << 11;
const FIELD_ICMP_CODE = 1 << 12;
const FIELD_FRAGMENT = 1 << 13;

/** A packet with its defaults filled in. */
interface Packet {
  readonly query: PacketQuery;
  readonly destination: Address;
  readonly source: Address | undefined;
  readonly length: number;
  vlan: number;
  sourceMac: number | undefined;
  destinationMac: number | undefined;
}

/** Tables and slots of the rows a packet met, to be counted. */
export interface Passage {
  readonly verdict: PacketVerdict;
  readonly hits: readonly (readonly [table: number, slot: number])[];
  readonly length: number;
}

/**
 * Looks a packet up. Reads tables only; hostile contents may make the answer wrong, never the lookup endless.
 * @throws EkhoError E_BAD_ADDRESS
 */
export function passPacket(tables: AsicTables, query: PacketQuery): Passage {
  return new Lookup(tables, query).run();
}

/** Adds the packet to the counters of the rows it met. Only the main side adds; the worker reads and zeroes. */
export function countPassage(
  tables: AsicTables,
  counts: BigUint64Array,
  passage: Passage,
  now: bigint,
): void {
  for (const [number, slot] of passage.hits) {
    const at = (tables.tables[number]!.counters + slot * COUNTER_WORDS) / 2;
    Atomics.add(counts, at, 1n);
    Atomics.add(counts, at + 1, BigInt(passage.length));
    Atomics.store(counts, at + 2, now);
  }
}

class Lookup {
  private readonly tables: AsicTables;
  private readonly words: Uint32Array;
  private readonly packet: Packet;
  private readonly handles: number[] = [];
  private readonly hits: [number, number][] = [];
  private readonly ways: PacketWay[] = [];
  private readonly key = new Uint32Array(8);

  constructor(tables: AsicTables, query: PacketQuery) {
    this.tables = tables;
    this.words = tables.words;
    const destination = parseAddress(query.destination);
    this.packet = {
      query,
      destination,
      source: query.source === undefined ? undefined : parseAddress(query.source),
      length: query.length ?? 64,
      vlan: query.vlan ?? 0,
      sourceMac: query.sourceMac,
      destinationMac: query.destinationMac,
    };
  }

  run(): Passage {
    return { verdict: this.ingress(), hits: this.hits, length: this.packet.length };
  }

  private trap(by: string): PacketVerdict {
    return this.verdict('trap', by, true, false);
  }

  private drop(by: string): PacketVerdict {
    return this.verdict('drop', by, false, true);
  }

  private verdict(
    action: PacketVerdict['action'],
    by: string,
    mayTrap: boolean,
    mayDrop: boolean,
  ): PacketVerdict {
    return { action, by, handles: this.handles, ways: this.ways, mayTrap, mayDrop };
  }

  private row(number: number, slot: number): number {
    return this.tables.row(this.tables.tables[number]!, slot);
  }

  /** Notes that the packet met the row, and whether it is one worth naming. */
  private meet(number: number, slot: number, named: boolean): number {
    const row = this.row(number, slot);
    this.hits.push([number, slot]);
    if (named) this.handles.push(this.words[row]!);
    return row;
  }

  private ingress(): PacketVerdict {
    const { query } = this.packet;
    if (query.ingress === undefined) return this.route(query.vrf ?? 0, -1, -1);
    let port = this.slotWith(PORT, W.portIfindex, query.ingress);
    if (port < 0) {
      const rif = this.slotWith(ROUTER_INTERFACE, W.rifIfindex, query.ingress);
      if (rif < 0) return this.trap('unknown port');
      port = this.words[this.row(ROUTER_INTERFACE, rif) + W.rifPort]!;
      if (!this.tables.holds(this.tables.tables[PORT]!, port)) return this.trap('unknown port');
      this.packet.vlan = this.words[this.row(ROUTER_INTERFACE, rif) + W.rifVlan]!;
    }
    const row = this.meet(PORT, port, false);
    const flags = this.words[row + W.portFlags]!;
    if ((flags & PORT_ADMIN_UP) === 0 || (flags & PORT_CARRIER) === 0) return this.trap('ingress port down');
    if ((flags & PORT_TRAP_ALL) !== 0) return this.trap('port traps all');
    const decided = this.acl(STAGE_INGRESS, port);
    if (decided !== undefined) return decided;
    const bridge = this.words[row + W.portBridge]!;
    // Linux hands a tagged frame to the VLAN's own link before the bridge sees it (vlan_do_receive).
    const rif = this.interfaceOf(port, this.packet.vlan);
    if (bridge !== 0 && (rif < 0 || this.packet.vlan === 0)) return this.bridge(bridge, port, flags);
    if (rif < 0) return this.trap('no router interface');
    const rifRow = this.meet(ROUTER_INTERFACE, rif, false);
    const destinationMac = this.packet.destinationMac;
    if (destinationMac !== undefined && destinationMac !== this.mac(rifRow + W.rifMac)) {
      return this.trap('destination mac is not the router');
    }
    const rifFlags = this.words[rifRow + W.rifFlags]!;
    if ((rifFlags & (this.packet.destination.six ? RIF_IPV6 : RIF_IPV4)) === 0) {
      return this.trap('family not routed');
    }
    return this.route(this.words[rifRow + W.rifVrf]!, rif, port);
  }

  /** Slot of a router interface by port and vlan, -1 for none. */
  private interfaceOf(port: number, vlan: number): number {
    const table = this.tables.tables[ROUTER_INTERFACE]!;
    const end = this.tables.end(table);
    for (let slot = 0; slot < end; slot++) {
      const row = this.tables.row(table, slot);
      if (
        this.tables.holds(table, slot) &&
        this.words[row + W.rifPort] === port &&
        this.words[row + W.rifVlan] === vlan
      ) {
        return slot;
      }
    }
    return -1;
  }

  private slotWith(number: number, word: number, value: number): number {
    const table = this.tables.tables[number]!;
    const end = this.tables.end(table);
    for (let slot = 0; slot < end; slot++) {
      if (this.tables.holds(table, slot) && this.words[this.tables.row(table, slot) + word] === value)
        return slot;
    }
    return -1;
  }

  private mac(word: number): number {
    return this.words[word]! * 2 ** 32 + this.words[word + 1]!;
  }

  private bridge(bridge: number, port: number, flags: number): PacketVerdict {
    const { destinationMac, sourceMac } = this.packet;
    if ((flags & PORT_BRIDGE_FORWARDING) === 0) return this.trap('bridge port not forwarding');
    if (destinationMac === undefined) return this.trap('addressed to the bridge');
    const vlan = this.bridgeVlan(bridge, port);
    if (typeof vlan === 'string') return this.trap(vlan);
    if ((flags & PORT_LEARNING) !== 0 && sourceMac !== undefined) {
      const known = this.fdb(bridge, vlan, sourceMac);
      const row = this.row(FDB, known);
      if (
        known < 0 ||
        this.words[row + W.fdbAction] !== ACTION_FORWARD ||
        this.words[row + W.fdbPort] !== port
      ) {
        return this.trap('source mac not learned');
      }
    }
    // The group bit is the lowest of the first byte on the wire.
    if ((Math.floor(destinationMac / 2 ** 40) & 1) !== 0)
      return this.group(bridge, vlan, port, destinationMac);
    const slot = this.fdb(bridge, vlan, destinationMac);
    if (slot < 0) return this.trap('fdb miss');
    const row = this.meet(FDB, slot, true);
    const action = this.words[row + W.fdbAction]!;
    if (action === ACTION_DROP) return this.drop('fdb drop');
    if (action === ACTION_TRAP) return this.trap('fdb trap');
    const out = this.words[row + W.fdbPort]!;
    if (out === port) return this.trap('fdb same port');
    const outRow = this.row(PORT, out);
    const outFlags = this.words[outRow + W.portFlags]!;
    if (this.words[outRow + W.portBridge] !== bridge) return this.trap('egress port in another bridge');
    if ((outFlags & PORT_BRIDGE_FORWARDING) === 0) return this.trap('egress bridge port not forwarding');
    let tag = this.packet.vlan;
    if (vlan !== 0) {
      const member = this.member(bridge, vlan, out);
      if (member < 0) return this.trap('egress port not in vlan');
      const untagged = (this.words[this.row(VLAN, member) + W.vlanFlags]! & VLAN_UNTAGGED) !== 0;
      tag = untagged ? 0 : vlan;
    }
    return this.leave(out, tag, destinationMac, 'fdb');
  }

  /** To the ports of a multicast group, but the one it came in by. Packets that are asked about are IP: found by address. */
  private group(bridge: number, vlan: number, port: number, mac: number): PacketVerdict {
    const { query, destination } = this.packet;
    const isReport = query.protocol === (destination.six ? PROTOCOL_ICMP6 : PROTOCOL_IGMP);
    const isReserved = mac === BROADCAST || (mac >= LINK_LOCAL && mac <= LINK_LOCAL + 15);
    const slot =
      isReport || isReserved || (vlan === 0 && this.packet.vlan !== 0)
        ? -1
        : this.mdb(bridge, vlan, destination);
    if (slot < 0) return this.trap('destination mac is a group');
    const row = this.meet(MDB, slot, true);
    const count = Math.min(this.words[row + W.mdbCount]!, MDB_PORTS);
    for (let place = 0; place < count; place++) {
      const out = this.words[row + W.mdbPorts + place]!;
      if (out === port) continue;
      const outRow = this.row(PORT, out);
      const fault =
        this.words[outRow + W.portBridge] !== bridge
          ? this.trap('egress port in another bridge')
          : this.copy(bridge, vlan, out, mac);
      if (fault === undefined) continue;
      this.ways.length = 0;
      return fault;
    }
    return this.ways.length === 0
      ? this.drop('group without another port')
      : this.verdict('forward', 'group', false, false);
  }

  /** Adds the way out by a port, if the bridge forwards there; what traps the packet instead, or undefined. */
  private copy(bridge: number, vlan: number, out: number, mac: number): PacketVerdict | undefined {
    if ((this.words[this.row(PORT, out) + W.portFlags]! & PORT_BRIDGE_FORWARDING) === 0) return undefined;
    let tag = 0;
    if (vlan !== 0) {
      const member = this.member(bridge, vlan, out);
      if (member < 0) return undefined;
      if ((this.words[this.row(VLAN, member) + W.vlanFlags]! & VLAN_UNTAGGED) === 0) tag = vlan;
    }
    const verdict = this.leave(out, tag, mac, 'group');
    return verdict.action === 'forward' ? undefined : verdict;
  }

  private mdb(bridge: number, vlan: number, { six, words }: Address): number {
    this.key.set([bridge, vlan, six ? MDB_IPV6 : MDB_IPV4, ...words]);
    return this.tables.find(this.tables.tables[MDB]!, this.key, 0);
  }

  /** VLAN a frame belongs to, 0 on a port that is in none: the bridge then does not filter. */
  private bridgeVlan(bridge: number, port: number): number | string {
    const table = this.tables.tables[VLAN]!;
    const end = this.tables.end(table);
    let filters = false;
    let pvids = 0;
    let pvid = 0;
    for (let slot = 0; slot < end; slot++) {
      const row = this.tables.row(table, slot);
      if (
        !this.tables.holds(table, slot) ||
        this.words[row + W.vlanBridge] !== bridge ||
        this.words[row + W.vlanPort] !== port
      ) {
        continue;
      }
      filters = true;
      if ((this.words[row + W.vlanFlags]! & VLAN_PVID) !== 0) {
        pvid = this.words[row + W.vlanVlan]!;
        pvids++;
      }
    }
    if (!filters) return 0;
    if (this.packet.vlan !== 0) {
      return this.member(bridge, this.packet.vlan, port) < 0 ? 'port not in vlan' : this.packet.vlan;
    }
    return pvids === 1 ? pvid : 'no pvid';
  }

  private member(bridge: number, vlan: number, port: number): number {
    this.key.set([bridge, vlan, port]);
    return this.tables.find(this.tables.tables[VLAN]!, this.key, 0);
  }

  private fdb(bridge: number, vlan: number, mac: number): number {
    this.key.set([bridge, vlan, Math.floor(mac / 2 ** 32), mac % 2 ** 32]);
    return this.tables.find(this.tables.tables[FDB]!, this.key, 0);
  }

  /** Leaves by a port without being routed. */
  private leave(port: number, vlan: number, destinationMac: number, by: string): PacketVerdict {
    const row = this.row(PORT, port);
    const flags = this.words[row + W.portFlags]!;
    if ((flags & PORT_ADMIN_UP) === 0 || (flags & PORT_CARRIER) === 0) return this.trap('egress port down');
    if (this.packet.length > this.words[row + W.portMtu]!) return this.trap('egress mtu');
    const ifindex = this.words[row + W.portIfindex]!;
    this.ways.push({ nexthop: 0, port: this.words[row]!, ifindex, vlan, destinationMac });
    return this.verdict('forward', by, false, false);
  }

  /** First rule of the stage that matches; undefined when it accepts or there is none. */
  private acl(stage: number, port: number): PacketVerdict | undefined {
    const table = this.tables.tables[ACL]!;
    const count = Math.min(this.words[table.order]!, table.capacity);
    for (let position = 0; position < count; position++) {
      const slot = this.words[table.order + 1 + position]!;
      if (!this.tables.holds(table, slot)) continue;
      const row = this.tables.row(table, slot);
      if (this.words[row + W.aclStage] !== stage || !this.matches(row, port)) continue;
      this.meet(ACL, slot, true);
      const action = this.words[row + W.aclAction]!;
      if (action === ACL_ACCEPT) return undefined;
      const name = stage === STAGE_INGRESS ? 'acl' : 'routing acl';
      if (action === ACL_DROP) return this.drop(`${name} drop`);
      if (action !== ACL_REDIRECT) return this.trap(`${name} trap`);
      const out = this.words[row + W.aclRedirect]!;
      if (this.packet.destinationMac === undefined) {
        const rif = this.interfaceOf(port, this.packet.vlan);
        this.packet.destinationMac = rif < 0 ? 0 : this.mac(this.row(ROUTER_INTERFACE, rif) + W.rifMac);
      }
      return this.leave(out, this.packet.vlan, this.packet.destinationMac, `${name} redirect`);
    }
    return undefined;
  }

  private matches(row: number, port: number): boolean {
    const words = this.words;
    const { query, destination, source, vlan } = this.packet;
    const fields = words[row + W.aclFields]!;
    const rulePort = words[row + W.aclPort]!;
    // Of the outermost header, or behind the tag for a rule that looks at the tag.
    const tagged = vlan !== 0 && (fields & FIELD_VLAN) === 0;
    const ethertype = tagged ? ETHERTYPE_VLAN : destination.six ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
    if (rulePort !== NONE && rulePort !== port) return false;
    if ((fields & (FIELD_SOURCE_ADDRESS | FIELD_DESTINATION_ADDRESS)) !== 0) {
      if (words[row + W.aclFamily] !== (destination.six ? 1 : 0)) return false;
    }
    const same = (field: number, word: number, value: number): boolean =>
      (fields & field) === 0 || words[row + word] === value;
    const within = (field: number, word: number, value: number): boolean =>
      (fields & field) === 0 || (value >= words[row + word]! && value <= words[row + word + 1]!);
    const address = (field: number, word: number, value: Address | undefined): boolean => {
      if ((fields & field) === 0) return true;
      if (value === undefined) return false;
      for (let part = 0; part < 4; part++) {
        if ((value.words[part]! & words[row + word + 4 + part]!) >>> 0 !== words[row + word + part])
          return false;
      }
      return true;
    };
    const mac = (field: number, word: number, value: number | undefined): boolean => {
      if ((fields & field) === 0) return true;
      if (value === undefined) return false;
      const high = Math.floor(value / 2 ** 32);
      return (
        (high & words[row + word + 2]!) >>> 0 === words[row + word] &&
        (value & words[row + word + 3]!) >>> 0 === words[row + word + 1]
      );
    };
    return (
      mac(FIELD_SOURCE_MAC, W.aclSourceMac, this.packet.sourceMac) &&
      mac(FIELD_DESTINATION_MAC, W.aclDestinationMac, this.packet.destinationMac ?? this.routerMac(port)) &&
      same(FIELD_ETHERTYPE, W.aclEthertype, ethertype) &&
      same(FIELD_VLAN, W.aclVlan, vlan) &&
      address(FIELD_SOURCE_ADDRESS, W.aclSourceAddress, source) &&
      address(FIELD_DESTINATION_ADDRESS, W.aclDestinationAddress, destination) &&
      same(FIELD_PROTOCOL, W.aclProtocol, query.protocol ?? 0) &&
      same(FIELD_DSCP, W.aclDscp, (query.tos ?? 0) >>> 2) &&
      within(FIELD_SOURCE_PORT, W.aclSourcePort, query.sourcePort ?? 0) &&
      within(FIELD_DESTINATION_PORT, W.aclDestinationPort, query.destinationPort ?? 0) &&
      ((fields & FIELD_TCP_FLAGS) === 0 ||
        ((query.tcpFlags ?? 0) & words[row + W.aclTcpFlags + 1]!) === words[row + W.aclTcpFlags]) &&
      same(FIELD_ICMP_TYPE, W.aclIcmpType, query.icmpType ?? 0) &&
      same(FIELD_ICMP_CODE, W.aclIcmpCode, query.icmpCode ?? 0) &&
      // Packets that are asked about are whole.
      (fields & FIELD_FRAGMENT) === 0
    );
  }

  /** Destination of a packet that is said to be addressed to the router. */
  private routerMac(port: number): number | undefined {
    if (port < 0) return undefined;
    const rif = this.interfaceOf(port, this.packet.vlan);
    return rif < 0 ? undefined : this.mac(this.row(ROUTER_INTERFACE, rif) + W.rifMac);
  }

  /** Routes in a domain. `rif` and `port` are where it came in, -1 when that is not known. */
  private route(vrf: number, rif: number, port: number): PacketVerdict {
    const { destination, source, query } = this.packet;
    const decided = this.acl(STAGE_ROUTING, port);
    if (decided !== undefined) return decided;
    if ((query.ttl ?? 64) <= 1) return this.trap('ttl');
    const never = neverRouted(destination);
    if (never !== undefined) return this.trap(`destination ${never}`);
    if (source !== undefined) {
      if (source.six !== destination.six) return this.trap('source of another family');
      const unusual = neverRouted(source);
      if (unusual !== undefined) return this.trap(`source ${unusual}`);
      if (rif >= 0 && !destination.six) {
        if (this.isOwnAddress(vrf, source)) return this.trap('source is an address of this machine');
        const refused = this.reversePath(vrf, rif, source);
        if (refused !== undefined) return this.trap(refused);
      }
    }
    const number = destination.six ? LPM6 : LPM4;
    const slot = this.longestMatch(vrf, destination);
    if (slot < 0) return this.trap('lpm miss');
    const row = this.meet(number, slot, true);
    const action = this.words[row + (destination.six ? W.lpm6Action : W.lpm4Action)]!;
    if (action === ACTION_DROP) return this.drop('route drop');
    if (action !== ACTION_FORWARD) return this.trap('route trap');
    return this.forward(this.words[row + (destination.six ? W.lpm6Group : W.lpm4Group)]!, rif);
  }

  /** Slot of the longest prefix that has the address, -1 for none. Tries only lengths that are in use. */
  private longestMatch(vrf: number, address: Address): number {
    const table = this.tables.tables[address.six ? LPM6 : LPM4]!;
    const key = this.key;
    key[0] = vrf;
    for (let length = table.maxLength; length >= 0; length--) {
      if (this.words[table.lengths + length] === 0) continue;
      if (address.six) {
        for (let word = 0; word < 4; word++) {
          const bits = Math.min(Math.max(length - 32 * word, 0), 32);
          key[1 + word] = address.words[word]! & ~hostBits(bits);
        }
        key[5] = length;
      } else {
        key[1] = address.words[3]! & ~hostBits(length);
        key[2] = length;
      }
      const slot = this.tables.find(table, key, 0);
      if (slot >= 0) return slot;
    }
    return -1;
  }

  /** The kernel drops packets that claim to come from itself (net/ipv4/fib_frontend.c fib_validate_source). */
  private isOwnAddress(vrf: number, source: Address): boolean {
    const slot = this.longestMatch(vrf, source);
    if (slot < 0) return false;
    const row = this.row(LPM4, slot);
    return this.words[row + W.lpm4Length] === 32 && this.words[row + W.lpm4Action] === ACTION_TRAP;
  }

  /** RFC 3704 checks of an IPv4 source; what failed, or undefined. */
  private reversePath(vrf: number, rif: number, source: Address): string | undefined {
    const rifRow = this.row(ROUTER_INTERFACE, rif);
    const flags = this.words[rifRow + W.rifFlags]!;
    if ((flags & (RIF_LOOSE | RIF_STRICT)) === 0) return undefined;
    const slot = this.longestMatch(vrf, source);
    if (slot < 0) return 'reverse path miss';
    const route = this.row(LPM4, slot);
    // Without a group it is not known whether, or by which link, the kernel would route to the source.
    if (this.words[route + W.lpm4Action] !== ACTION_FORWARD) return 'reverse path unknown';
    if ((flags & RIF_STRICT) === 0) return undefined;
    const group = this.row(GROUP, this.words[route + W.lpm4Group]!);
    const ifindex = this.words[rifRow + W.rifIfindex];
    const count = Math.min(
      this.words[group + W.groupCount]!,
      (this.tables.tables[GROUP]!.words - GROUP_FIRST_MEMBER) / 2,
    );
    for (let member = 0; member < count; member++) {
      const nexthop = this.row(NEXTHOP, this.words[group + GROUP_FIRST_MEMBER + 2 * member]!);
      if (this.words[nexthop + W.nexthopIfindex] === ifindex) return undefined;
    }
    return 'reverse path by another interface';
  }

  private forward(group: number, rif: number): PacketVerdict {
    const words = this.words;
    const row = this.meet(GROUP, group, true);
    const count = Math.min(
      words[row + W.groupCount]!,
      (this.tables.tables[GROUP]!.words - GROUP_FIRST_MEMBER) / 2,
    );
    let shares = 0;
    for (let member = 0; member < count; member++)
      shares += words[row + GROUP_FIRST_MEMBER + 2 * member + 1]!;
    if (shares === 0) return this.trap('group without members');
    const chosen = this.flowHash() % shares;
    let trapped: string | undefined;
    let dropped: string | undefined;
    let before = 0;
    for (let member = 0; member < count; member++) {
      const word = row + GROUP_FIRST_MEMBER + 2 * member;
      const weight = words[word + 1]!;
      if (weight === 0) continue;
      const nexthop = words[word]!;
      const nexthopRow = this.row(NEXTHOP, nexthop);
      if (chosen >= before && chosen < before + weight) this.hits.push([NEXTHOP, nexthop]);
      before += weight;
      this.handles.push(words[nexthopRow]!);
      if (words[nexthopRow + W.nexthopAction] === ACTION_DROP) dropped ??= 'nexthop drop';
      else trapped = this.out(nexthopRow, rif) ?? trapped;
    }
    if (trapped !== undefined) return this.verdict('trap', trapped, true, dropped !== undefined);
    if (dropped !== undefined) return this.verdict('drop', dropped, false, true);
    return this.verdict('forward', 'route', false, false);
  }

  /** Adds the way out by a nexthop; what traps instead, or undefined. */
  private out(nexthop: number, rif: number): string | undefined {
    const words = this.words;
    if (words[nexthop + W.nexthopAction] !== ACTION_FORWARD) return 'nexthop trap';
    const out = words[nexthop + W.nexthopRif]!;
    const outRow = this.row(ROUTER_INTERFACE, out);
    const port = this.row(PORT, words[outRow + W.rifPort]!);
    const flags = words[port + W.portFlags]!;
    if ((flags & PORT_ADMIN_UP) === 0 || (flags & PORT_CARRIER) === 0) return 'egress port down';
    // The kernel sends a redirect.
    if (out === rif) return 'egress is ingress';
    if (this.packet.length > words[outRow + W.rifMtu]!) return 'egress mtu';
    const six = words[nexthop + W.nexthopFamily] === 1;
    const gateway = nexthop + W.nexthopGateway;
    const given = (words[gateway]! | words[gateway + 1]! | words[gateway + 2]! | words[gateway + 3]!) !== 0;
    this.ways.push({
      nexthop: words[nexthop]!,
      port: words[port]!,
      ifindex: words[nexthop + W.nexthopIfindex]!,
      ...(given ? { gateway: formatAddress(six, words, gateway) } : {}),
      vlan: words[outRow + W.rifVlan]!,
      destinationMac: this.mac(nexthop + W.nexthopMac),
    });
    return undefined;
  }

  /** Same for all packets of a flow. */
  private flowHash(): number {
    const { destination, source, query } = this.packet;
    let hash = 0x811c9dc5;
    const mix = (value: number): void => {
      hash = Math.imul(hash ^ value, 0x85ebca6b);
      hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
      hash ^= hash >>> 16;
    };
    for (const word of destination.words) mix(word);
    if (source !== undefined) for (const word of source.words) mix(word);
    mix(query.protocol ?? 0);
    mix(((query.sourcePort ?? 0) << 16) | (query.destinationPort ?? 0));
    return hash >>> 0;
  }
}

/** Kinds of address that are never routed in hardware, as destination or source. */
function neverRouted({ six, words }: Address): string | undefined {
  const [first, second, third, last] = words as unknown as [number, number, number, number];
  if (!six) {
    if (last === 0xffff_ffff) return 'broadcast';
    if (last >>> 28 === 0xe) return 'multicast';
    if (last >>> 24 === 0) return 'unspecified';
    if (last >>> 24 === 127) return 'loopback';
    if (last >>> 16 === 0xa9fe) return 'link-local';
    return undefined;
  }
  if (first >>> 24 === 0xff) return 'multicast';
  if (first >>> 22 === 0x3fa) return 'link-local';
  if (first === 0 && second === 0) {
    if (third === 0 && last === 0) return 'unspecified';
    if (third === 0 && last === 1) return 'loopback';
    if (third === 0xffff) return 'mapped';
  }
  return undefined;
}
