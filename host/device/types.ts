/** What a device is to the host: granted to one plugin, answerable for what it would do with a packet. */

/** A packet as the lookup sees it. Addresses as text, MACs as 48-bit numbers. */
export interface PacketQuery {
  readonly destination: string;
  readonly source?: string;
  /** Interface index it arrives on; absent: as if already accepted for routing in domain `vrf`. */
  readonly ingress?: number;
  /** Routing domain when `ingress` is absent: the VRF's table, 0 for the default domain. */
  readonly vrf?: number;
  readonly vlan?: number;
  readonly sourceMac?: number;
  /** Absent with `ingress`: addressed to the router. */
  readonly destinationMac?: number;
  readonly protocol?: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** TOS or traffic class byte. */
  readonly tos?: number;
  /** Default 64. */
  readonly ttl?: number;
  /** IP length in bytes, default 64. */
  readonly length?: number;
}

export interface PacketVerdict {
  readonly action: 'forward' | 'trap' | 'drop';
  /** What decided, e.g. `lpm miss`, `ttl`, `nexthop trap`. */
  readonly by: string;
  /** Cookies (plan handles) of the rows on the way: acl, route, group, nexthop, fdb. */
  readonly handles: readonly number[];
  /** With `forward`: every way out the hardware may choose (one, or the members of a group). */
  readonly ways: readonly { readonly nexthop: number; readonly port: number; readonly vlan: number; readonly destinationMac: number }[];
}

/** Faults a simulated device can be told to show. */
export interface DeviceFaults {
  /** Every n-th write fails; 0 for none. */
  readonly failEvery: number;
  /** Writes are refused. */
  readonly refuse: boolean;
  /** Microseconds each burst takes. */
  readonly delay: number;
}

export interface Device {
  readonly name: string;
  /** Interface name of the import it answers, e.g. `asic`. */
  readonly kind: string;
  lookup(packet: PacketQuery): PacketVerdict;
  /** Fill per table and writes since the device was made. */
  status(): { readonly tables: readonly { name: string; capacity: number; used: number }[]; readonly writes: number; readonly removes: number; readonly epoch: number };
  inject(faults: Partial<DeviceFaults>): void;
  /** Lose all tables, as a power cut would. */
  powerCycle(): void;
  /** What a worker needs to open the same device: cloned into the plugin's worker. */
  readonly share: DeviceShare;
  close(): void;
}

/** Structured-clonable description of an open device. */
export interface DeviceShare {
  readonly kind: string;
  readonly name: string;
  readonly memory?: SharedArrayBuffer;
  /** File both sides map, for a device that outlives the host. */
  readonly file?: string;
}
