/**
 * The actions `vlan`, `pedit` and `csum` of a filter, put together: what they make of a packet in all, as the edits of an ACL rule.
 * Whatever these cannot say exactly, or would leave with a wrong checksum, is not said at all.
 *
 * What each does in the kernel: net/sched/act_vlan.c tcf_vlan_act, act_pedit.c tcf_pedit_act, act_csum.c tcf_csum_act.
 */

import type { Decoded } from '../netlink/decode.ts';
import { ACL_EDITS, ACL_FIELDS } from '../plugin/records.ts';
import type { AclMatch } from './acl.ts';
import { type AclEdits, type Words, ZERO_WORDS } from './codecs.ts';
import { nested, number32 } from './kernel-view.ts';

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const ETH_P_8021Q = 0x8100;
/** TCA_VLAN_ACT_* */
const POP = 1;
const PUSH = 2;
const MODIFY = 3;
/** VLAN ids of their own: 0 only gives a priority, 4095 is none. */
const VLAN_MAX = 4094;
/** enum pedit_header_type */
const ETH = 1;
const IP4 = 2;
const IP6 = 3;
const TCP = 4;
const UDP = 5;
const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 } as const;
/** TCA_CSUM_UPDATE_FLAG_* */
const CSUM = { ip: 1, icmp: 2, tcp: 8, udp: 16 } as const;
/** enum pedit_cmd */
const SET = 0;
const ADD = 1;

/** A value that stands in a header: its edit and its bytes. */
interface Place {
  readonly edit: number;
  readonly from: number;
  readonly bytes: number;
}

const ADDRESSES = ACL_EDITS.sourceAddress | ACL_EDITS.destinationAddress;
const PORTS = ACL_EDITS.sourcePort | ACL_EDITS.destinationPort;
const TTL = ACL_EDITS.ttl | ACL_EDITS.ttlAdd;

const TRANSPORT: readonly Place[] = [
  { edit: ACL_EDITS.sourcePort, from: 0, bytes: 2 },
  { edit: ACL_EDITS.destinationPort, from: 2, bytes: 2 },
];

const PLACES: Readonly<Record<number, readonly Place[]>> = {
  [ETH]: [
    { edit: ACL_EDITS.destinationMac, from: 0, bytes: 6 },
    { edit: ACL_EDITS.sourceMac, from: 6, bytes: 6 },
  ],
  [IP4]: [
    { edit: ACL_EDITS.ttl, from: 8, bytes: 1 },
    { edit: ACL_EDITS.sourceAddress, from: 12, bytes: 4 },
    { edit: ACL_EDITS.destinationAddress, from: 16, bytes: 4 },
  ],
  [IP6]: [
    { edit: ACL_EDITS.ttl, from: 7, bytes: 1 },
    { edit: ACL_EDITS.sourceAddress, from: 8, bytes: 16 },
    { edit: ACL_EDITS.destinationAddress, from: 24, bytes: 16 },
  ],
  [TCP]: TRANSPORT,
  [UDP]: TRANSPORT,
};

/** What becomes of the tag: `push` in front of what there is, `replace` in the place of it. */
interface Tag {
  readonly is: 'kept' | 'none' | 'push' | 'replace' | 'modify';
  readonly vlan: number;
  readonly priority: number;
}

const KEPT: Tag = { is: 'kept', vlan: 0, priority: 0 };
const NONE: Tag = { is: 'none', vlan: 0, priority: 0 };

export class PacketEdits {
  #tag: Tag = KEPT;
  /** New bytes by header and offset. */
  readonly #bytes = new Map<number, Map<number, number>>();
  #ttlAdd = 0;
  /** Checksums made since something in the IP header, and something that transports sum up, was edited. */
  #ipSums = 0;
  #transportSums = 0;
  #isEmpty = true;

  /** No action was added. */
  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  /** The next action. False: it is none that edits, or one that cannot be said. */
  add(action: Decoded): boolean {
    this.#isEmpty = false;
    const options = nested(action.options);
    switch (action.kind) {
      case 'vlan':
        return this.#vlan(options);
      case 'pedit':
        return this.#pedit(options);
      case 'csum': {
        const flags = number32(nested(options.parms).update_flags);
        this.#ipSums |= flags;
        this.#transportSums |= flags;
        return true;
      }
    }
    return false;
  }

  #vlan(options: Decoded): boolean {
    const operation = number32(nested(options.parms).v_action);
    if (operation === POP) {
      // What was put in front of what there is goes, and the frame is as it was.
      this.#tag = this.#tag.is === 'push' ? KEPT : NONE;
      return true;
    }
    const vlan = number32(options.push_vlan_id);
    const priority = number32(options.push_vlan_priority);
    const protocol = options.push_vlan_protocol;
    if (operation !== PUSH && operation !== MODIFY) return false;
    if (protocol !== undefined && number32(protocol) !== ETH_P_8021Q) return false;
    if (vlan < 1 || vlan > VLAN_MAX || priority > 7) return false;
    return operation === PUSH ? this.#push(vlan, priority) : this.#modify(vlan, priority);
  }

  #push(vlan: number, priority: number): boolean {
    const { is } = this.#tag;
    if (is !== 'kept' && is !== 'none') return false;
    this.#tag = { is: is === 'kept' ? 'push' : 'replace', vlan, priority };
    return true;
  }

  /** The kernel does not tell a priority of 0 from none, which leaves the old one (tcf_vlan_dump). */
  #modify(vlan: number, priority: number): boolean {
    const before = this.#tag;
    if (before.is === 'none') return true;
    if (before.is !== 'kept' && priority === 0 && before.priority !== 0) return false;
    this.#tag = { is: before.is === 'kept' ? 'modify' : before.is, vlan, priority };
    return true;
  }

  #pedit(options: Decoded): boolean {
    // Without `ex` the offsets do not say which header they mean.
    const { parms_ex, keys_ex } = options;
    const keys = nested(parms_ex).keys;
    const headers = nested(keys_ex).key_ex;
    if (!Array.isArray(keys) || !Array.isArray(headers) || keys.length !== headers.length) return false;
    return keys.every((key, index) => this.#key(nested(key), nested(headers[index])));
  }

  #key(key: Decoded, { htype, cmd }: Decoded): boolean {
    const header = number32(htype);
    const command = number32(cmd);
    const offset = number32(key.off);
    if (number32(key.offmask) !== 0 || offset % 4 !== 0 || PLACES[header] === undefined) return false;
    if (command !== SET && command !== ADD) return false;
    for (let at = 0; at < 4; at++) {
      const shift = 24 - 8 * at;
      const mask = (number32(key.mask) >>> shift) & 0xff;
      const value = (number32(key.val) >>> shift) & 0xff;
      // Whole bytes alone; bits of a value that the mask keeps would be inverted.
      if (mask === 0xff ? value !== 0 : mask !== 0) return false;
      if (mask === 0 && !this.#byte(header, offset + at, value, command)) return false;
    }
    return true;
  }

  #byte(header: number, at: number, value: number, command: number): boolean {
    const place = PLACES[header]!.find(({ from, bytes }) => at >= from && at < from + bytes);
    if (place === undefined) return false;
    const isTtl = place.edit === ACL_EDITS.ttl;
    const bytes = this.#bytes.get(header) ?? new Map<number, number>();
    if (command === ADD) {
      if (!isTtl) return false;
      const before = bytes.get(at);
      if (before === undefined) this.#ttlAdd = (this.#ttlAdd + value) & 0xff;
      else bytes.set(at, (before + value) & 0xff);
    } else {
      bytes.set(at, value);
      if (isTtl) this.#ttlAdd = 0;
    }
    this.#bytes.set(header, bytes);
    if (header === IP4) this.#ipSums = 0;
    if (header !== ETH && !isTtl) this.#transportSums = 0;
    return true;
  }

  /** What all of them do to packets that match; undefined if that cannot be said. */
  result(match: AclMatch): AclEdits | undefined {
    const tag = this.#tagEdits();
    let edits = tag.edits ?? 0;
    let values: AclEdits = tag;
    for (const [header, bytes] of this.#bytes) {
      if (!isOf(header, match)) return undefined;
      for (const { edit, from, bytes: length } of PLACES[header]!) {
        const places = Array.from({ length }, (_, index) => bytes.get(from + index));
        const known = places.filter((byte) => byte !== undefined);
        if (known.length === 0) continue;
        if (known.length !== length) return undefined;
        edits |= edit;
        values = { ...values, ...valueAt(edit, known) };
      }
    }
    if (this.#ttlAdd !== 0) {
      edits |= ACL_EDITS.ttlAdd;
      values = { ...values, newTtl: this.#ttlAdd };
    }
    if (edits === 0) return {};
    return this.#areSumsRight(edits, match) ? { ...values, edits } : undefined;
  }

  #tagEdits(): AclEdits {
    const { is, vlan, priority } = this.#tag;
    if (is === 'kept') return {};
    if (is === 'none') return { edits: ACL_EDITS.vlanPop };
    const edits = {
      push: ACL_EDITS.vlanPush,
      replace: ACL_EDITS.vlanPop | ACL_EDITS.vlanPush,
      modify: ACL_EDITS.vlanModify,
    }[is];
    return { edits, newVlan: vlan, newVlanPriority: priority };
  }

  /** Hardware's checksums are right; so must the kernel's be, of every packet in which the edits are made. */
  #areSumsRight(edits: number, match: AclMatch): boolean {
    const isV6 = match.ethertype === ETH_P_IPV6;
    if (!isV6 && (edits & (TTL | ADDRESSES)) !== 0 && (this.#ipSums & CSUM.ip) === 0) return false;
    if ((edits & (ADDRESSES | PORTS)) === 0) return true;
    const protocol = (match.fields & ACL_FIELDS.protocol) !== 0 ? match.protocol : undefined;
    const needed = neededSums(protocol, isV6);
    return (this.#transportSums & needed) === needed;
  }
}

/** Of a protocol, or of all that addresses can be edited under. */
function neededSums(protocol: number | undefined, isV6: boolean): number {
  switch (protocol) {
    case PROTOCOL.tcp:
      return CSUM.tcp;
    case PROTOCOL.udp:
      return CSUM.udp;
    case PROTOCOL.icmp:
      // It covers no addresses.
      return 0;
    case PROTOCOL.icmp6:
      return CSUM.icmp;
    default:
      return CSUM.tcp | CSUM.udp | (isV6 ? CSUM.icmp : 0);
  }
}

/** Whether all packets of the match have the header: pedit edits whatever stands there. */
function isOf(header: number, { fields, ethertype, protocol }: AclMatch): boolean {
  const hasEthertype = (fields & ACL_FIELDS.ethertype) !== 0;
  const isV4 = hasEthertype && ethertype === ETH_P_IP;
  const isV6 = hasEthertype && ethertype === ETH_P_IPV6;
  const has = (number: number) => (fields & ACL_FIELDS.protocol) !== 0 && protocol === number;
  switch (header) {
    case ETH:
      return true;
    case IP4:
      return isV4;
    case IP6:
      return isV6;
    case TCP:
      return (isV4 || isV6) && has(PROTOCOL.tcp);
    default:
      return (isV4 || isV6) && has(PROTOCOL.udp);
  }
}

function valueAt(edit: number, bytes: readonly number[]): AclEdits {
  const number = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  switch (edit) {
    case ACL_EDITS.sourceMac:
      return { newSourceMac: number };
    case ACL_EDITS.destinationMac:
      return { newDestinationMac: number };
    case ACL_EDITS.ttl:
      return { newTtl: number };
    case ACL_EDITS.sourceAddress:
      return { newSourceAddress: wordsOf(bytes) };
    case ACL_EDITS.destinationAddress:
      return { newDestinationAddress: wordsOf(bytes) };
    case ACL_EDITS.sourcePort:
      return { newSourcePort: number };
    default:
      return { newDestinationPort: number };
  }
}

/** IPv4 in the last word. */
function wordsOf(bytes: readonly number[]): Words {
  const words = [...ZERO_WORDS];
  for (const [index, byte] of bytes.entries()) {
    const place = 4 - bytes.length / 4 + Math.floor(index / 4);
    words[place] = words[place]! * 256 + byte;
  }
  return words as unknown as Words;
}
