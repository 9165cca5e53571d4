/**
 * What the data path would do with a packet: the packet is made and the program itself judges it (BPF_PROG_TEST_RUN), without
 * sending. Only the members of a group are told from the tables, as the program chooses one.
 */

import type { BpfObject } from '../../../bpf/libbpf-ts/src/index.ts';
import { formatAddress, parseAddress } from '../asic/address.ts';
import type { LookupOptions, PacketQuery, PacketVerdict, PacketWay } from '../types.ts';
import { buildFrame } from './frame.ts';
import { REASONS } from './reasons.ts';
import { MODE, type SharedState } from './shared.ts';

const NONE = 0xffff_ffff;
/** MODE_NO_SOURCE and MODE_LOOKUP of bpf/datapath_maps.h. */
const NO_SOURCE = 1 << 8;
const LOOKUP = 1 << 9;
/** MODE_TCX */
const TCX = 1 << 3;
/** DP_PORT_BRIDGE_FORWARDING */
const FORWARDS = 4;
/** DP_VLAN_UNTAGGED */
const UNTAGGED = 2;
const ACTION = { kernel: 1, drop: 2, redirect: 3, bridge: 4, route: 5, edit: 11, copies: 13 } as const;
/** REASON_ACL_MIRROR */
const CANNOT_COPY = 'rule copies the packet';
/** Of bpf/datapath_verdict.h. */
const EXTRA_MIRROR = 1 << 24;
const FORWARD = 0;
const DROP = 2;
const PORT_RUNS = 3;
/** DP_INTERFACE_IPV4 | DP_INTERFACE_IPV6 */
const ROUTES = 3;

interface Port {
  readonly handle: number;
  readonly ifindex: number;
  readonly mtu: number;
  readonly bridge: number;
  readonly flags: number;
  readonly mac: bigint;
}

interface Interface {
  readonly handle: number;
  readonly port: number;
  readonly ifindex: number;
  readonly mtu: number;
  readonly mac: bigint;
  readonly vlan: number;
}

interface Nexthop {
  readonly handle: number;
  /** DP_WAY of plugins/include/datapath.h: interface (14 bits), action (2), destination MAC (48). */
  readonly way: bigint;
  readonly ifindex: number;
  readonly family: number;
  readonly gateway: readonly number[];
}

interface Group {
  readonly handle: number;
  readonly count: number;
  readonly total: number;
  readonly members: readonly { readonly nexthop: number; readonly end: number }[];
}

interface MulticastGroup {
  readonly handle: number;
  readonly count: number;
  readonly ports: readonly number[];
}

interface Verdict {
  readonly action: number;
  readonly reason: number;
  readonly rule: number;
  readonly routing_rule: number;
  readonly route: number;
  readonly group: number;
  readonly nexthop: number;
  readonly fdb: number;
  readonly out: number;
  readonly vlan: number;
  readonly ingress: number;
  readonly detail: number;
  readonly destination_mac: bigint;
  readonly extras: number;
}

/** Where a packet comes in. */
interface Ingress {
  readonly slot: number;
  readonly vlan: number;
  readonly mac: bigint;
}

export class Lookup {
  readonly #object: BpfObject;
  readonly #state: SharedState;

  constructor(object: BpfObject, state: SharedState) {
    this.#object = object;
    this.#state = state;
  }

  /** @throws EkhoError E_BAD_ADDRESS */
  run(packet: PacketQuery, { count = false }: LookupOptions): PacketVerdict {
    const destination = parseAddress(packet.destination);
    const source = packet.source === undefined ? undefined : parseAddress(packet.source);
    if (source !== undefined && source.six !== destination.six) return trapped('source of another family');
    const ingress = this.#ingress(packet);
    if (typeof ingress === 'string') return trapped(ingress);
    const frame = buildFrame(packet, destination, source, ingress.vlan, ingress.mac);
    this.#object.variable<number>('asked_port').set(ingress.slot);
    const mode = this.#modeOf(ingress.slot) === MODE.tcx ? TCX : 0;
    this.#object.variable<number>('asked_mode').set(LOOKUP | mode | (source === undefined ? NO_SOURCE : 0));
    this.#object.variable<number>('asked_count').set(count ? 1 : 0);
    this.#object.variable('asked_interface').set({ flags: ROUTES, vrf: packet.vrf ?? 0 });
    this.#object.program('datapath_lookup').run({ data: frame, repeat: 1 });
    const verdict = this.#object.variable<Verdict>('looked_up').get();
    return this.#answer(verdict, packet, ingress.slot);
  }

  #ingress(packet: PacketQuery): Ingress | string {
    if (packet.ingress === undefined) return { slot: NONE, vlan: 0, mac: 0n };
    let vlan = packet.vlan ?? 0;
    let slot = this.#slotOf(packet.ingress);
    if (slot < 0) {
      const found = [...this.#object.map<number, Interface>('interfaces').values()].find(
        ({ handle, ifindex }) => handle !== 0 && ifindex === packet.ingress,
      );
      if (found === undefined) return 'unknown port';
      slot = found.port;
      vlan = found.vlan;
    }
    const at = this.#object.map<object, { interface: number }>('interfaces_at').get({ port: slot, vlan });
    const port = this.#port(slot);
    if (at === undefined && port !== undefined && port.bridge !== 0 && packet.destinationMac === undefined)
      return 'addressed to the bridge';
    const mac = at === undefined ? port?.mac : this.#interface(at.interface)?.mac;
    return {
      slot,
      vlan,
      mac: packet.destinationMac === undefined ? (mac ?? 0n) : BigInt(packet.destinationMac),
    };
  }

  #slotOf(ifindex: number): number {
    for (let slot = 0; slot < this.#state.ports; slot++)
      if (this.#state.ifindex(slot) === ifindex) return slot;
    return -1;
  }

  #answer(verdict: Verdict, packet: PacketQuery, slot: number): PacketVerdict {
    const { rule, routing_rule, route, group, nexthop, fdb } = verdict;
    const handles = [rule, routing_rule, route, group, ...(group === 0 ? [nexthop] : []), fdb].filter(
      Boolean,
    );
    // The program that is asked is not the one of XDP, which makes no copies.
    const mode = this.#modeOf(slot);
    const isXdp = mode === MODE.native || mode === MODE.generic;
    if ((verdict.extras & EXTRA_MIRROR) !== 0 && verdict.action !== ACTION.kernel && isXdp)
      return { ...trapped(CANNOT_COPY), handles };
    // Whatever decided before the group decided for all its members; a group's members decide each for itself.
    if (group !== 0) {
      const members = this.#group(group & 0x0fff_ffff);
      if (members !== undefined && members.count > 0) return this.#ways(members, verdict, packet, handles);
    }
    if (verdict.action === ACTION.drop) {
      const bridged = isGroup(fdb) ? 'group without another port' : 'fdb drop';
      const by = routing_rule ? 'routing acl drop' : route ? 'route drop' : fdb ? bridged : 'acl drop';
      return { action: 'drop', by, handles, ways: [], mayTrap: false, mayDrop: true };
    }
    if (verdict.action === ACTION.kernel) {
      return { ...trapped(REASONS[verdict.reason]?.name ?? 'unknown'), handles };
    }
    if (verdict.action === ACTION.copies) {
      const ways = this.#copies(verdict, packet, slot);
      return { action: 'forward', by: 'group', handles, ways, mayTrap: false, mayDrop: false };
    }
    const { action } = verdict;
    const out = this.#port(verdict.out);
    const vlan = action === ACTION.redirect ? (packet.vlan ?? 0) : verdict.vlan;
    const way: PacketWay = {
      nexthop: 0,
      port: out?.handle ?? 0,
      ifindex: out?.ifindex ?? 0,
      vlan,
      destinationMac: action === ACTION.edit ? Number(verdict.destination_mac) : (packet.destinationMac ?? 0),
    };
    const bridged = isGroup(fdb) ? 'group' : 'fdb';
    const by = action === ACTION.redirect || action === ACTION.edit ? 'acl redirect' : bridged;
    return { action: 'forward', by, handles, ways: [way], mayTrap: false, mayDrop: false };
  }

  #modeOf(slot: number) {
    return slot === NONE ? MODE.none : this.#state.mode(slot);
  }

  /** What skb_leave_copies() of bpf/datapath_skb_multicast.h does. */
  #copies({ fdb, out: bridge, detail: vlan }: Verdict, packet: PacketQuery, slot: number): PacketWay[] {
    const groups = this.#object.map<object, MulticastGroup>('multicast_groups').values();
    const { count = 0, ports = [] } = [...groups].find(({ handle }) => handle === fdb) ?? {};
    const ways: PacketWay[] = [];
    for (const place of ports.slice(0, count)) {
      const port = this.#port(place);
      if (place === slot || port === undefined || (port.flags & FORWARDS) === 0) continue;
      const member = this.#object.map<object, { flags: number }>('vlans').get({ bridge, vlan, port: place });
      if (vlan !== 0 && member === undefined) continue;
      const isUntagged = vlan === 0 || (member!.flags & UNTAGGED) !== 0;
      ways.push({
        nexthop: 0,
        port: port.handle,
        ifindex: port.ifindex,
        vlan: isUntagged ? 0 : vlan,
        destinationMac: packet.destinationMac ?? 0,
      });
    }
    return ways;
  }

  #ways(group: Group, verdict: Verdict, packet: PacketQuery, handles: number[]): PacketVerdict {
    const ways: PacketWay[] = [];
    let trap: string | undefined;
    let drop = false;
    let before = 0;
    for (const { nexthop: slot, end } of group.members.slice(0, group.count)) {
      const share = end - before;
      before = end;
      const nexthop = this.#object.map<number, Nexthop>('nexthops').get(slot);
      if (share === 0 || nexthop === undefined) continue;
      handles.push(nexthop.handle);
      const action = Number((nexthop.way >> 48n) & 3n);
      if (action === DROP) {
        drop = true;
        continue;
      }
      const way = this.#way(nexthop, action, verdict, packet);
      if (typeof way === 'string') trap = way;
      else ways.push(way);
    }
    const by = trap ?? (drop ? 'nexthop drop' : 'route');
    const action = trap !== undefined ? 'trap' : drop ? 'drop' : 'forward';
    return { action, by, handles, ways, mayTrap: trap !== undefined, mayDrop: drop };
  }

  /** What leave_by() of bpf/datapath_route.h does. */
  #way(nexthop: Nexthop, action: number, verdict: Verdict, packet: PacketQuery): PacketWay | string {
    if (action !== FORWARD) return 'nexthop trap';
    const slot = Number(nexthop.way >> 50n);
    if (slot === verdict.ingress) return 'egress is ingress';
    const out = this.#interface(slot);
    const port = out && this.#port(out.port);
    if (out === undefined || port === undefined) return 'nexthop trap';
    if ((packet.length ?? 64) > Math.min(out.mtu, port.mtu)) return 'egress mtu';
    if ((port.flags & PORT_RUNS) !== PORT_RUNS) return 'egress port down';
    const gateway = Uint32Array.from(nexthop.gateway);
    return {
      nexthop: nexthop.handle,
      port: port.handle,
      ifindex: nexthop.ifindex,
      ...(gateway.some((word) => word !== 0) && {
        gateway: formatAddress(nexthop.family === 1, gateway, 0),
      }),
      vlan: out.vlan,
      destinationMac: Number(nexthop.way & 0xffff_ffff_ffffn),
    };
  }

  #port(slot: number): Port | undefined {
    const port = this.#object.map<number, Port>('ports').get(slot);
    return port?.ifindex === 0 ? undefined : port;
  }

  #interface(slot: number): Interface | undefined {
    const found = this.#object.map<number, Interface>('interfaces').get(slot);
    return found?.handle === 0 ? undefined : found;
  }

  #group(slot: number): Group | undefined {
    return this.#object.map<number, Group>('groups').get(slot);
  }
}

/** A handle of kind multicast-group. */
function isGroup(handle: number): boolean {
  return handle >>> 28 === 13;
}

function trapped(by: string): PacketVerdict {
  return { action: 'trap', by, handles: [], ways: [], mayTrap: true, mayDrop: false };
}
