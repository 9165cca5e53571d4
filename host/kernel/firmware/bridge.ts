/** What bridges say of ports to BPF firmware (bpf/firmware_bridge.h), by the names of bpf/module/ekho_abi.h. */
import { nameOf } from './abi.ts';

/** enum firmware_bridge_call */
export const BRIDGE_CALLS = {
  'fdb-replace': 1,
  'fdb-destroy': 2,
  'vlan-replace': 3,
  'vlan-destroy': 4,
  'mdb-replace': 5,
  'mdb-destroy': 6,
  'port-attr': 7,
} as const;
export type BridgeCallName = keyof typeof BRIDGE_CALLS;

/** What a device takes of bridges. */
export const BRIDGE_KINDS = {
  fdb: BRIDGE_CALLS['fdb-replace'],
  vlan: BRIDGE_CALLS['vlan-replace'],
  mdb: BRIDGE_CALLS['mdb-replace'],
  attributes: BRIDGE_CALLS['port-attr'],
} as const;
export type BridgeKind = keyof typeof BRIDGE_KINDS;

/** enum ekho_port_attr */
export const PORT_ATTRS = {
  bridge: 0,
  stp_state: 1,
  flags: 2,
  ageing_time: 3,
  vlan_filtering: 4,
  vlan_protocol: 5,
  no_snooping: 6,
  mrouter: 7,
} as const;
export type PortAttr = keyof typeof PORT_ATTRS;

/** Of enum ekho_flow_flags and enum ekho_bridge_call_flags, what calls about bridges have. */
export const BRIDGE_FLAGS = {
  replay: 1 << 0,
  detach: 1 << 1,
  known: 1 << 2,
  rtnl: 1 << 4,
  static: 1 << 8,
  host: 1 << 9,
  locked: 1 << 10,
} as const;
export type BridgeFlag = keyof typeof BRIDGE_FLAGS;

export interface BridgeCall {
  readonly call: BridgeCallName;
  readonly ifindex: number;
  /** Index of the bridge. */
  readonly bridge: number;
  readonly flags: ReadonlySet<BridgeFlag>;
  /** `02:00:00:00:00:01`, of entries and groups. */
  readonly mac?: string;
  /** 0 for none; not of attributes. */
  readonly vlan?: number;
  /** BRIDGE_VLAN_INFO_…, of VLANs. */
  readonly vlanFlags?: number;
  /** What an attribute is now; in milliseconds for `ageing_time`. */
  readonly attr?: PortAttr;
  readonly value?: number;
}

/** struct firmware_bridge_record */
export interface BridgeRecord {
  readonly call: number;
  readonly context: {
    readonly ifindex: number;
    readonly bridge: number;
    readonly flags: number;
    readonly mac: ArrayLike<number>;
    readonly vlan: number;
    readonly vlan_flags: number;
    readonly attr: number;
    readonly value: number;
  };
}

export function asBridgeCall({ call, context }: BridgeRecord): BridgeCall {
  const { ifindex, bridge, mac, vlan, vlan_flags, attr, value } = context;
  const name = nameOf(BRIDGE_CALLS, call)!;
  const names = Object.keys(BRIDGE_FLAGS) as BridgeFlag[];
  const flags = new Set(names.filter((flag) => (context.flags & BRIDGE_FLAGS[flag]) !== 0));
  const common = { call: name, ifindex, bridge, flags };
  if (name === 'port-attr') return { ...common, attr: nameOf(PORT_ATTRS, attr)!, value };
  if (name === 'vlan-replace' || name === 'vlan-destroy') return { ...common, vlan, vlanFlags: vlan_flags };
  const text = Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':');
  return { ...common, vlan, mac: text };
}
