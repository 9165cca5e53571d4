/** What a device is to the host: granted to one plugin, answerable for what it would do with a packet. */

import type { RoutingConfig } from './rtnetlink/layout.ts';

/** A packet as the lookup sees it. Addresses as text, MACs as 48-bit numbers. */
export interface PacketQuery {
  readonly destination: string;
  /** Absent: checks of the source are not made, and it matches only rules that do not look at it. */
  readonly source?: string;
  /**
   * Interface index it arrives on: a port's, or that of a VLAN interface on one. Absent: as if already accepted for
   * routing in domain `vrf`.
   */
  readonly ingress?: number;
  /** Routing domain when `ingress` is absent: the VRF's table, 0 for the default domain. */
  readonly vrf?: number;
  /** VLAN tag the frame carries, 0 or absent: untagged. */
  readonly vlan?: number;
  readonly sourceMac?: number;
  /** Absent with `ingress`: addressed to the router. */
  readonly destinationMac?: number;
  /** IP protocol number, like all numbers below that have no other default 0. */
  readonly protocol?: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly tcpFlags?: number;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  /** TOS or traffic class byte. */
  readonly tos?: number;
  /** Default 64. */
  readonly ttl?: number;
  /** IP length in bytes, default 64. */
  readonly length?: number;
}

/** One way out. `nexthop` and `port` are cookies (plan handles). */
export interface PacketWay {
  /** 0 when the packet is bridged or redirected. */
  readonly nexthop: number;
  readonly port: number;
  /** Interface index of the link it leaves by: the layer-3 link when routed, else the port. */
  readonly ifindex: number;
  /** Next router, as text; absent when it is bridged, redirected or sent to its destination itself. */
  readonly gateway?: string;
  /** Tag it leaves with, 0 for none. */
  readonly vlan: number;
  readonly destinationMac: number;
}

export interface PacketVerdict {
  /** `forward` only if every way the hardware may choose, or takes, forwards; else `trap` if any may trap; else `drop`. */
  readonly action: 'forward' | 'trap' | 'drop';
  /** What decided, e.g. `lpm miss`, `ttl`, `nexthop trap`. */
  readonly by: string;
  /** Cookies (plan handles) of the rows on the way: acl, route, group, nexthop, fdb. */
  readonly handles: readonly number[];
  /** Every way out the hardware may choose (one, or the members of a group), also when others trap or drop; with `by` `group` it
   * takes all of them. */
  readonly ways: readonly PacketWay[];
  /** Some choice of the hardware hands the packet to the kernel. */
  readonly mayTrap: boolean;
  /** Some choice of the hardware drops the packet. */
  readonly mayDrop: boolean;
}

export interface LookupOptions {
  /** Count the packet in the rows it meets, as if it had passed. */
  readonly count?: boolean;
}

/** Faults a simulated device can be told to show. */
export interface DeviceFaults {
  /** Every n-th row written or removed meets an I/O error; 0 for none. */
  readonly failEvery: number;
  /** Writes are refused. */
  readonly refuse: boolean;
  /** Microseconds each burst takes, at most 60,000,000. */
  readonly delay: number;
  /** Without power: what it held is lost, and it takes nothing. */
  readonly poweredOff: boolean;
}

export interface DeviceTableStatus {
  readonly name: string;
  readonly capacity: number;
  readonly used: number;
  /** Rows written, removed, and not taken because they were not valid, since the device was made. */
  readonly writes: number;
  readonly removes: number;
  readonly rejects: number;
}

/** How a port of the device is attached. */
export interface PortStatus {
  readonly ifindex: number;
  /** `native`, `tcx`, `generic`, or `none` where every frame goes to the kernel. */
  readonly mode: string;
  /** Why it is not native, where it is not. */
  readonly why?: string;
  /** How often somebody else took the data path off it, since the device was opened; it is put back, unless another program is there. */
  readonly detached?: number;
}

export interface ReasonCount {
  readonly reason: string;
  readonly packets: number;
  readonly bytes: number;
}

export interface DeviceStatus {
  readonly tables: readonly DeviceTableStatus[];
  /** Sums over all tables. */
  readonly writes: number;
  readonly removes: number;
  readonly rejects: number;
  /** Rows thrown away when the state was opened, because they were not valid. */
  readonly discarded: number;
  /** How often its tables were lost. */
  readonly epoch: number;
  /** Absent on devices that are not faulty on demand. */
  readonly faults?: DeviceFaults;
  readonly ports?: readonly PortStatus[];
  /** Packets it handed to the kernel. */
  readonly traps?: readonly ReasonCount[];
  /** Of frames that were sampled: sent to collectors; not sent, as there was no room to; lost before, as the ring was full. */
  readonly samples?: { readonly exported: number; readonly unsent: number; readonly lost: number };
}

export interface Device {
  readonly name: string;
  /** Interface name of the import it answers, e.g. `asic`. */
  readonly kind: string;
  /** @throws EkhoError E_BAD_ADDRESS for an address that is none, E_DEVICE when the device cannot be looked at */
  lookup(packet: PacketQuery, options?: LookupOptions): PacketVerdict;
  /** Fill per table and writes since the device was made. */
  status(): DeviceStatus;
  inject(faults: Partial<DeviceFaults>): void;
  /** Lose all tables, as a power cut would. */
  powerCycle(): void;
  /** Whether it put this XDP program on its ports. */
  hasProgram?(id: number): boolean;
  /** Whether rules can copy packets that arrive by this port, an interface index; absent: it makes no difference which port it is. */
  canMirror?(ifindex: number): boolean;
  /** Told when links of the mirrored kernel came, went or were renamed; `ifindexOf` knows them by name. */
  linksChanged?(ifindexOf: (link: string) => number | undefined): void;
  /** What a worker needs to open the same device: cloned into the plugin's worker. */
  readonly share: DeviceShare;
  /** After the worker that has the share ended. */
  close(): void;
}

/** Structured-clonable description of an open device. */
export interface DeviceShare {
  readonly kind: string;
  readonly name: string;
  readonly memory?: SharedArrayBuffer;
  /** File both sides map, for a device that outlives the host. */
  readonly file?: string;
  /** Where `file` stands in the memory of the process with this id. */
  readonly mapping?: { readonly process: number; readonly address: bigint };
  /** Rows per table, by name. */
  readonly tables: { readonly [table: string]: number };
  /** Descriptors of its BPF maps, by name, and of the programs that ports get: of this process, for all of its threads. */
  readonly maps?: { readonly [map: string]: number };
  readonly programs?: { readonly xdp: number; readonly tcx: number };
  /** Addresses in this process of those maps that are written as memory, by name. */
  readonly memories?: { readonly [map: string]: number | bigint };
  /** Folder in a BPF file system where attachments are pinned; absent: they end with the host. */
  readonly folder?: string;
  /** Faults that a data path is told to show; absent: none. */
  readonly faults?: SharedArrayBuffer;
  /** Network namespace of its ports, as `ip netns` knows it or a path; absent: the host's own. */
  readonly netns?: string;
  /** Which namespace that was when the device was opened; absent: the kernel does not tell. */
  readonly netnsCookie?: bigint | undefined;
  readonly mode?: AttachMode;
  /** Of `rtnetlink` devices; `netns` is the namespace they write into. */
  readonly routing?: RoutingConfig;
}

/**
 * How a program is attached to ports: XDP `native` in the driver or `generic` on any device, or `tcx` behind it; `auto`: as well as each
 * port can.
 */
export type AttachMode = 'auto' | 'native' | 'tcx' | 'generic';

/** A device as the configuration describes it. */
export interface DeviceConfig {
  readonly name: string;
  readonly kind: string;
  /** File that keeps its state; absent: it is lost when the host ends. */
  readonly state?: string;
  /** Rows per table, by name. */
  readonly tables?: { readonly [table: string]: number };
  /** Of `tables` devices only. */
  readonly mode?: AttachMode;
  readonly netns?: string;
  /** Of `rtnetlink` devices only: the namespace they write into, and what they write for which link. */
  readonly target?: string;
  readonly routing?: RoutingConfig;
}
