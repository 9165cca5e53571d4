/** How ports, router interfaces, VLAN members, fdb entries and ACL rules are compared and written (see entry-table.ts). */

import { ACL_EDITS, ACL_FIELDS, type AclRuleRecord, ENTRY_KIND } from '../plugin/records.ts';
import type { EntryCodec } from './entry-table.ts';

/** Four words, most significant first, IPv4 in the last. */
export type Words = readonly [number, number, number, number];
export const ZERO_WORDS: Words = [0, 0, 0, 0];

export interface PortWant {
  readonly ifindex: number;
  readonly mtu: number;
  readonly mac: number;
  readonly bridge: number;
  /** PORT_FLAGS */
  readonly flags: number;
}

export interface RouterInterfaceWant {
  readonly port: number;
  readonly ifindex: number;
  readonly vrf: number;
  readonly mac: number;
  readonly mtu: number;
  readonly vlan: number;
  /** ROUTER_INTERFACE_FLAGS */
  readonly flags: number;
}

export interface VlanWant {
  /** VLAN_FLAGS */
  readonly flags: number;
  readonly vlan: number;
  readonly port: number;
  readonly bridge: number;
}

export interface FdbWant {
  readonly action: number;
  readonly vlan: number;
  readonly bridge: number;
  readonly port: number;
  readonly mac: number;
}

/** What a rule does besides its action: the members that its bits name, no others. */
export interface AclEdits {
  /** ACL_EDITS */
  readonly edits?: number;
  readonly newVlan?: number;
  readonly newVlanPriority?: number;
  readonly newTtl?: number;
  readonly newSourcePort?: number;
  readonly newDestinationPort?: number;
  readonly mirrorPort?: number;
  readonly police?: number;
  readonly policeMtu?: number;
  readonly policeMinimum?: number;
  readonly policeRate?: number;
  readonly policeBurst?: number;
  readonly newSourceMac?: number;
  readonly newDestinationMac?: number;
  readonly newSourceAddress?: Words;
  readonly newDestinationAddress?: Words;
}

export interface AclWant extends AclEdits {
  readonly stage: number;
  readonly action: number;
  readonly family: number;
  readonly port: number;
  readonly priority: number;
  readonly redirectPort: number;
  /** ACL_FIELDS that count; fields not named here are left zero. */
  readonly fields: number;
  readonly ethertype?: number;
  readonly vlan?: number;
  readonly vlanPriority?: number;
  readonly protocol?: number;
  readonly dscp?: number;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  readonly sourcePort?: readonly [number, number];
  readonly destinationPort?: readonly [number, number];
  readonly tcpFlags?: number;
  readonly tcpFlagsMask?: number;
  readonly sourceMac?: number;
  readonly sourceMacMask?: number;
  readonly destinationMac?: number;
  readonly destinationMacMask?: number;
  readonly sourceAddress?: Words;
  readonly sourceMask?: Words;
  readonly destinationAddress?: Words;
  readonly destinationMask?: Words;
}

/** Flat records: the same fields with the same numbers. */
function same<Want extends object>(a: Want, b: Want): boolean {
  const names = Object.keys(a) as (keyof Want)[];
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => {
    const left = a[name];
    const right = b[name];
    if (Array.isArray(left))
      return Array.isArray(right) && left.every((word, index) => word === right[index]);
    return left === right;
  });
}

const one = () => 1;

export const portCodec: EntryCodec<PortWant> = {
  kind: ENTRY_KIND.port,
  isLeaf: false,
  equal: same,
  size: one,
  encode(encoder, operation, handle, want) {
    const record = encoder.port(operation, handle);
    record.ifindex = want.ifindex;
    record.mtu = want.mtu;
    record.mac = want.mac;
    record.bridge = want.bridge;
    record.flags = want.flags;
  },
};

export const routerInterfaceCodec: EntryCodec<RouterInterfaceWant> = {
  kind: ENTRY_KIND.routerInterface,
  isLeaf: false,
  equal: same,
  size: one,
  encode(encoder, operation, handle, want) {
    const record = encoder.routerInterface(operation, handle);
    record.port = want.port;
    record.ifindex = want.ifindex;
    record.vrf = want.vrf;
    record.mac = want.mac;
    record.mtu = want.mtu;
    record.vlan = want.vlan;
    record.flags = want.flags;
  },
};

export const vlanCodec: EntryCodec<VlanWant> = {
  kind: ENTRY_KIND.vlanMember,
  isLeaf: true,
  equal: same,
  size: one,
  encode(encoder, operation, handle, want) {
    const record = encoder.vlanMember(operation, handle);
    record.flags = want.flags;
    record.vlan = want.vlan;
    record.port = want.port;
    record.bridge = want.bridge;
  },
};

export const fdbCodec: EntryCodec<FdbWant> = {
  kind: ENTRY_KIND.fdbEntry,
  isLeaf: true,
  equal: same,
  size: one,
  encode(encoder, operation, handle, want) {
    const record = encoder.fdbEntry(operation, handle);
    record.action = want.action;
    record.vlan = want.vlan;
    record.bridge = want.bridge;
    record.port = want.port;
    record.mac = want.mac;
  },
};

export const aclCodec: EntryCodec<AclWant> = {
  kind: ENTRY_KIND.aclRule,
  isLeaf: true,
  equal: same,
  size: one,
  encode(encoder, operation, handle, want) {
    const record = encoder.aclRule(operation, handle);
    record.stage = want.stage;
    record.action = want.action;
    record.family = want.family;
    record.port = want.port;
    record.priority = want.priority;
    record.redirectPort = want.redirectPort;
    record.fields = want.fields;
    record.ethertype = want.ethertype ?? 0;
    record.vlan = want.vlan ?? 0;
    record.vlanPriority = want.vlanPriority ?? 0;
    record.protocol = want.protocol ?? 0;
    record.dscp = want.dscp ?? 0;
    record.icmpType = want.icmpType ?? 0;
    record.icmpCode = want.icmpCode ?? 0;
    record.sourcePortLow = want.sourcePort?.[0] ?? 0;
    record.sourcePortHigh = want.sourcePort?.[1] ?? 0;
    record.destinationPortLow = want.destinationPort?.[0] ?? 0;
    record.destinationPortHigh = want.destinationPort?.[1] ?? 0;
    record.tcpFlags = want.tcpFlags ?? 0;
    record.tcpFlagsMask = want.tcpFlagsMask ?? 0;
    record.sourceMac = want.sourceMac ?? 0;
    record.sourceMacMask = want.sourceMacMask ?? 0;
    record.destinationMac = want.destinationMac ?? 0;
    record.destinationMacMask = want.destinationMacMask ?? 0;
    record.setSourceAddress(...(want.sourceAddress ?? ZERO_WORDS));
    record.setSourceMask(...(want.sourceMask ?? ZERO_WORDS));
    record.setDestinationAddress(...(want.destinationAddress ?? ZERO_WORDS));
    record.setDestinationMask(...(want.destinationMask ?? ZERO_WORDS));
    record.edits = want.edits ?? 0;
    record.newVlan = want.newVlan ?? 0;
    record.newVlanPriority = want.newVlanPriority ?? 0;
    record.newTtl = want.newTtl ?? 0;
    record.newSourcePort = want.newSourcePort ?? 0;
    record.newDestinationPort = want.newDestinationPort ?? 0;
    record.mirrorPort = want.mirrorPort ?? 0;
    record.police = want.police ?? 0;
    record.policeMtu = want.policeMtu ?? 0;
    record.policeMinimum = want.policeMinimum ?? 0;
    record.policeRate = want.policeRate ?? 0;
    record.policeBurst = want.policeBurst ?? 0;
    record.newSourceMac = want.newSourceMac ?? 0;
    record.newDestinationMac = want.newDestinationMac ?? 0;
    record.setNewSourceAddress(...(want.newSourceAddress ?? ZERO_WORDS));
    record.setNewDestinationAddress(...(want.newDestinationAddress ?? ZERO_WORDS));
  },
};

/** What an ACL rule read back says, in the same shape it is planned in. */
export function aclWantOf(record: AclRuleRecord): AclWant {
  const { fields } = record;
  const has = (field: number) => (fields & field) !== 0;
  return {
    stage: record.stage,
    action: record.action,
    family: record.family,
    port: record.port,
    priority: record.priority,
    redirectPort: record.redirectPort,
    fields,
    ...(has(ACL_FIELDS.ethertype) && { ethertype: record.ethertype }),
    ...(has(ACL_FIELDS.vlan) && { vlan: record.vlan }),
    ...(has(ACL_FIELDS.vlanPriority) && { vlanPriority: record.vlanPriority }),
    ...(has(ACL_FIELDS.protocol) && { protocol: record.protocol }),
    ...(has(ACL_FIELDS.dscp) && { dscp: record.dscp }),
    ...(has(ACL_FIELDS.icmpType) && { icmpType: record.icmpType }),
    ...(has(ACL_FIELDS.icmpCode) && { icmpCode: record.icmpCode }),
    ...(has(ACL_FIELDS.sourcePort) && { sourcePort: [record.sourcePortLow, record.sourcePortHigh] as const }),
    ...(has(ACL_FIELDS.destinationPort) && {
      destinationPort: [record.destinationPortLow, record.destinationPortHigh] as const,
    }),
    ...(has(ACL_FIELDS.tcpFlags) && { tcpFlags: record.tcpFlags, tcpFlagsMask: record.tcpFlagsMask }),
    ...(has(ACL_FIELDS.sourceMac) && { sourceMac: record.sourceMac, sourceMacMask: record.sourceMacMask }),
    ...(has(ACL_FIELDS.destinationMac) && {
      destinationMac: record.destinationMac,
      destinationMacMask: record.destinationMacMask,
    }),
    ...(has(ACL_FIELDS.sourceAddress) && {
      sourceAddress: [
        record.sourceAddress0,
        record.sourceAddress1,
        record.sourceAddress2,
        record.sourceAddress3,
      ] as const,
      sourceMask: [record.sourceMask0, record.sourceMask1, record.sourceMask2, record.sourceMask3] as const,
    }),
    ...(has(ACL_FIELDS.destinationAddress) && {
      destinationAddress: [
        record.destinationAddress0,
        record.destinationAddress1,
        record.destinationAddress2,
        record.destinationAddress3,
      ] as const,
      destinationMask: [
        record.destinationMask0,
        record.destinationMask1,
        record.destinationMask2,
        record.destinationMask3,
      ] as const,
    }),
    ...aclEditsOf(record),
  };
}

function aclEditsOf(record: AclRuleRecord): AclEdits {
  const { edits } = record;
  if (edits === 0) return {};
  const has = (edit: number) => (edits & edit) !== 0;
  return {
    edits,
    ...(has(ACL_EDITS.vlanPush | ACL_EDITS.vlanModify) && {
      newVlan: record.newVlan,
      newVlanPriority: record.newVlanPriority,
    }),
    ...(has(ACL_EDITS.ttl | ACL_EDITS.ttlAdd) && { newTtl: record.newTtl }),
    ...(has(ACL_EDITS.sourcePort) && { newSourcePort: record.newSourcePort }),
    ...(has(ACL_EDITS.destinationPort) && { newDestinationPort: record.newDestinationPort }),
    ...(has(ACL_EDITS.mirror) && { mirrorPort: record.mirrorPort }),
    ...(has(ACL_EDITS.police) && {
      police: record.police,
      policeMtu: record.policeMtu,
      policeMinimum: record.policeMinimum,
      policeRate: record.policeRate,
      policeBurst: record.policeBurst,
    }),
    ...(has(ACL_EDITS.sourceMac) && { newSourceMac: record.newSourceMac }),
    ...(has(ACL_EDITS.destinationMac) && { newDestinationMac: record.newDestinationMac }),
    ...(has(ACL_EDITS.sourceAddress) && {
      newSourceAddress: [
        record.newSourceAddress0,
        record.newSourceAddress1,
        record.newSourceAddress2,
        record.newSourceAddress3,
      ] as const,
    }),
    ...(has(ACL_EDITS.destinationAddress) && {
      newDestinationAddress: [
        record.newDestinationAddress0,
        record.newDestinationAddress1,
        record.newDestinationAddress2,
        record.newDestinationAddress3,
      ] as const,
    }),
  };
}
