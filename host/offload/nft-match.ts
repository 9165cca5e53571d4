/**
 * What an nftables rule does with packets of one family, as far as an ACL rule can say it.
 *
 * A rule is a list of expressions that work on registers (net/netfilter/nf_tables_core.c nft_do_chain): loads from the packet and from
 * what is known of it, comparisons that end the rule, and at last a verdict. Loads of header bits that are compared for equality become
 * fields; with anything else the match is not exact: it then covers more packets than the rule does.
 */

import type { Decoded, Value } from '../netlink/decode.ts';
import { ACL_FIELDS, FAMILY } from '../plugin/records.ts';
import { type AclWant, type Words, ZERO_WORDS } from './codecs.ts';
import { nested, number32, text } from './kernel-view.ts';
import { AF_INET } from './route-reader.ts';

/** NFT_PAYLOAD_* */
const NETWORK = 1;
const TRANSPORT = 2;
/** NFT_META_* */
const META_PROTOCOL = 1;
const META_IIF = 4;
const META_IIFNAME = 6;
const META_NFPROTO = 15;
const META_L4PROTO = 16;
/** NFT_CMP_* */
const EQ = 0;
const LTE = 3;
const GTE = 5;
/** NFT_REG_1 to NFT_REG_4 are 16 bytes each, from NFT_REG32_00 on they are 4: the same memory. */
const REG32_00 = 8;
const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_SCTP = 132;
const IPPROTO_ICMPV6 = 58;
/** Verdicts (linux/netfilter.h, enum nft_verdicts). */
const NF_DROP = 0;
const NF_ACCEPT = 1;

const NETWORK_BYTES = 40;
const TRANSPORT_BYTES = 20;

export type NftMatch = Omit<AclWant, 'stage' | 'action' | 'port' | 'priority' | 'redirectPort'>;

export interface NftEffect {
  /** No packet of the family that hardware would route matches. */
  readonly isNever: boolean;
  /** The match is the rule's, not one that covers more. */
  readonly isExact: boolean;
  /** Has an address in its fields, if only to be of the family. */
  readonly match: NftMatch;
  /** The match covers every packet of the family, by whatever link it came in. */
  readonly coversAll: boolean;
  /** Name of the link packets come in by, or its index: one of them or neither. */
  readonly iifname: string;
  readonly iif: number;
  /** `other`: whatever it is, the kernel must do it. */
  readonly verdict: 'accept' | 'drop' | 'other';
}

type Loaded =
  | {
      readonly from: 'network' | 'transport';
      readonly offset: number;
      readonly length: number;
      mask: Uint8Array;
    }
  | { readonly from: 'meta'; readonly key: number; readonly length: number };

/** Known bits of a header. */
class Header {
  readonly value: Uint8Array;
  readonly mask: Uint8Array;

  constructor(size: number) {
    this.value = new Uint8Array(size);
    this.mask = new Uint8Array(size);
  }

  /** False if a packet cannot be like this and like what was asked before. */
  require(offset: number, value: Uint8Array, mask: Uint8Array): boolean {
    for (const [index, bits] of mask.entries()) {
      const at = offset + index;
      if ((value[index]! & ~bits) !== 0) return false;
      if (((this.value[at]! ^ value[index]!) & this.mask[at]! & bits) !== 0) return false;
      this.value[at] = this.value[at]! | (value[index]! & bits);
      this.mask[at] = this.mask[at]! | bits;
    }
    return true;
  }

  /** The byte if all of it is asked for; asked bits are then accounted for. */
  take(offset: number, bits = 0xff): number | undefined {
    if (this.mask[offset] !== bits) return undefined;
    this.mask[offset] = 0;
    return this.value[offset];
  }

  words(offset: number, count: 1 | 4): { readonly value: Words; readonly mask: Words } | undefined {
    const end = offset + 4 * count;
    if (this.mask.subarray(offset, end).every((bits) => bits === 0)) return undefined;
    const read = (from: Uint8Array): Words => {
      const view = new DataView(from.buffer, from.byteOffset);
      const word = (index: number) => view.getUint32(offset + 4 * index);
      return count === 1 ? [0, 0, 0, word(0)] : [word(0), word(1), word(2), word(3)];
    };
    const found = { value: read(this.value), mask: read(this.mask) };
    this.mask.fill(0, offset, end);
    return found;
  }

  get isSpent(): boolean {
    return this.mask.every((bits) => bits === 0);
  }
}

interface Range {
  low: number;
  high: number;
}

/** The effect of a rule on packets of `family` (AF_INET or AF_INET6), for a device that can match `fields`. */
export function effectOf(expressions: readonly Decoded[], family: number, fields: number): NftEffect {
  return new Reading(family, fields).read(expressions);
}

class Reading {
  readonly #family: number;
  readonly #supported: number;
  readonly #registers = new Map<number, Loaded>();
  readonly #network = new Header(NETWORK_BYTES);
  readonly #transport = new Header(TRANSPORT_BYTES);
  readonly #ports: [Range, Range] = [
    { low: 0, high: 0xffff },
    { low: 0, high: 0xffff },
  ];
  #protocol: number | undefined;
  #isExact = true;
  #isNever = false;
  #verdict: NftEffect['verdict'] | undefined;
  #iifname = '';
  #iif = 0;
  #fields = 0;
  #want: Partial<AclWant> = {};

  constructor(family: number, supported: number) {
    this.#family = family;
    this.#supported = supported;
  }

  read(expressions: readonly Decoded[]): NftEffect {
    for (const expression of expressions) {
      if (this.#isNever || this.#verdict !== undefined) break;
      this.#step(text(expression.name), nested(expression.data));
    }
    if (!this.#isNever) this.#toFields();
    const coversAll = this.#fields === 0 && this.#iif === 0 && this.#iifname === '';
    // A rule of one family must not catch the other's packets: with no address to match, match every one.
    if ((this.#fields & (ACL_FIELDS.sourceAddress | ACL_FIELDS.destinationAddress)) === 0)
      this.#add(ACL_FIELDS.destinationAddress, {
        destinationAddress: ZERO_WORDS,
        destinationMask: ZERO_WORDS,
      });
    return {
      coversAll,
      isNever: this.#isNever,
      isExact: this.#isExact,
      match: {
        family: this.#family === AF_INET ? FAMILY.ipv4 : FAMILY.ipv6,
        ...this.#want,
        fields: this.#fields,
      } as NftMatch,
      iifname: this.#iifname,
      iif: this.#iif,
      // A rule without a verdict is there for what it does besides, counting for example.
      verdict: this.#verdict ?? 'other',
    };
  }

  #step(name: string, data: Decoded): void {
    switch (name) {
      case 'payload':
        if (data.sreg === undefined) this.#load(number32(data.dreg), payloadOf(data));
        else this.#verdict = 'other';
        return;
      case 'meta':
        if (data.sreg === undefined)
          this.#load(number32(data.dreg), { from: 'meta', key: number32(data.key), length: 16 });
        else this.#verdict = 'other';
        return;
      case 'bitwise':
        this.#bitwise(data);
        return;
      case 'cmp':
        this.#compare(number32(data.sreg), number32(data.op), bytesOf(nested(data.data).value));
        return;
      case 'counter':
        return;
      case 'immediate':
        if (number32(data.dreg) === 0) this.#verdict = verdictOf(nested(nested(data.data).verdict));
        else this.#load(number32(data.dreg), undefined);
        return;
      // These only narrow the match, or load what is then compared.
      case 'lookup':
      case 'range':
      case 'fib':
      case 'rt':
      case 'byteorder':
        this.#isExact = false;
        // A map of verdicts.
        if (name === 'lookup' && data.dreg === 0) this.#verdict = 'other';
        else this.#load(number32(data.dreg), undefined);
        return;
      default:
        this.#verdict = 'other';
    }
  }

  /** Unknown, or loaded by parts: whatever stood in the registers is gone. */
  #load(register: number, loaded: Loaded | undefined): void {
    if (register === 0) return;
    const first = firstWord(register);
    const words = Math.max(1, Math.ceil((loaded?.length ?? 16) / 4));
    for (const [at, before] of this.#registers)
      if (at < first + words && first < at + Math.max(1, Math.ceil(before.length / 4)))
        this.#registers.delete(at);
    if (loaded !== undefined) this.#registers.set(first, loaded);
  }

  #bitwise(data: Decoded): void {
    const source = this.#registers.get(firstWord(number32(data.sreg)));
    const mask = bytesOf(nested(data.mask).value);
    const flips = bytesOf(nested(data.xor).value);
    const isMask = number32(data.op) === 0 && data.sreg2 === undefined && flips.every((bits) => bits === 0);
    const isKnown = isMask && source !== undefined && source.from !== 'meta' && mask.length === source.length;
    this.#load(
      number32(data.dreg),
      isKnown ? { ...source, mask: source.mask.map((bits, at) => bits & mask[at]!) } : undefined,
    );
  }

  #compare(register: number, op: number, value: Uint8Array): void {
    const source = this.#registers.get(firstWord(register));
    if (source === undefined) this.#isExact = false;
    else if (source.from === 'meta') this.#compareMeta(source.key, op, value);
    else if (op === EQ && value.length <= source.length) {
      const header = source.from === 'network' ? this.#network : this.#transport;
      const mask = source.mask.subarray(0, value.length);
      if (!header.require(source.offset, value, mask)) this.#isNever = true;
    } else if (!this.#comparePort(source, op, value)) this.#isExact = false;
  }

  /** Ports between two bounds: two comparisons of one load. */
  #comparePort(source: Loaded, op: number, value: Uint8Array): boolean {
    if (source.from !== 'transport' || source.length !== 2 || value.length !== 2) return false;
    if ((source.offset !== 0 && source.offset !== 2) || source.mask.some((bits) => bits !== 0xff))
      return false;
    const port = value[0]! * 256 + value[1]!;
    const range = this.#ports[source.offset / 2]!;
    if (op === GTE) range.low = Math.max(range.low, port);
    else if (op === LTE) range.high = Math.min(range.high, port);
    else return false;
    if (range.low > range.high) this.#isNever = true;
    return true;
  }

  #compareMeta(key: number, op: number, value: Uint8Array): void {
    if (op !== EQ) {
      this.#isExact = false;
      return;
    }
    switch (key) {
      case META_NFPROTO:
        if (value[0] !== this.#family) this.#isNever = true;
        return;
      case META_PROTOCOL:
        if (value[0]! * 256 + value[1]! !== (this.#family === AF_INET ? 0x0800 : 0x86dd))
          this.#isNever = true;
        return;
      case META_L4PROTO:
        this.#requireProtocol(value[0]!);
        return;
      case META_IIF:
        if (this.#iif !== 0 || this.#iifname !== '') this.#isExact = false;
        else this.#iif = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
        return;
      case META_IIFNAME: {
        const end = value.indexOf(0);
        // Without its end it is the beginning of a name.
        if (end <= 0 || this.#iif !== 0 || this.#iifname !== '') this.#isExact = false;
        else this.#iifname = Buffer.from(value.subarray(0, end)).toString('latin1');
        return;
      }
      default:
        this.#isExact = false;
    }
  }

  #requireProtocol(protocol: number): void {
    if (this.#protocol !== undefined && this.#protocol !== protocol) this.#isNever = true;
    this.#protocol = protocol;
  }

  #add(field: number, part: Partial<AclWant>): void {
    if ((this.#supported & field) === 0) {
      this.#isExact = false;
      return;
    }
    this.#fields |= field;
    this.#want = { ...this.#want, ...part };
  }

  #toFields(): void {
    const isV4 = this.#family === AF_INET;
    const network = this.#network;
    if (isV4) {
      const protocol = network.take(9);
      if (protocol !== undefined) this.#requireProtocol(protocol);
      const dscp = network.take(1, 0xfc);
      if (dscp !== undefined) this.#add(ACL_FIELDS.dscp, { dscp: dscp >>> 2 });
    }
    const source = network.words(isV4 ? 12 : 8, isV4 ? 1 : 4);
    const destination = network.words(isV4 ? 16 : 24, isV4 ? 1 : 4);
    if (source !== undefined)
      this.#add(ACL_FIELDS.sourceAddress, { sourceAddress: source.value, sourceMask: source.mask });
    if (destination !== undefined)
      this.#add(ACL_FIELDS.destinationAddress, {
        destinationAddress: destination.value,
        destinationMask: destination.mask,
      });
    if (!network.isSpent) this.#isExact = false;
    if (this.#protocol !== undefined) this.#add(ACL_FIELDS.protocol, { protocol: this.#protocol });
    this.#transportToFields(isV4);
  }

  #transportToFields(isV4: boolean): void {
    const transport = this.#transport;
    const protocol = this.#protocol;
    if (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP || protocol === IPPROTO_SCTP) {
      for (const [side, range] of this.#ports.entries()) {
        const high = transport.take(2 * side);
        const low = transport.take(2 * side + 1);
        if (high !== undefined && low !== undefined) {
          const port = high * 256 + low;
          if (port < range.low || port > range.high) this.#isNever = true;
          range.low = port;
          range.high = port;
        } else if (high !== undefined || low !== undefined) this.#isExact = false;
        if (range.low === 0 && range.high === 0xffff) continue;
        const ends = [range.low, range.high] as const;
        if (side === 0) this.#add(ACL_FIELDS.sourcePort, { sourcePort: ends });
        else this.#add(ACL_FIELDS.destinationPort, { destinationPort: ends });
      }
    } else if (this.#ports.some(({ low, high }) => low !== 0 || high !== 0xffff)) this.#isExact = false;
    if (protocol === IPPROTO_TCP && transport.mask[13] !== 0) {
      const mask = transport.mask[13]!;
      const tcpFlags = transport.take(13, mask)!;
      this.#add(ACL_FIELDS.tcpFlags, { tcpFlags, tcpFlagsMask: mask });
    }
    if (protocol === (isV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
      const icmpType = transport.take(0);
      const icmpCode = transport.take(1);
      if (icmpType !== undefined) this.#add(ACL_FIELDS.icmpType, { icmpType });
      if (icmpCode !== undefined) this.#add(ACL_FIELDS.icmpCode, { icmpCode });
    }
    if (!transport.isSpent) this.#isExact = false;
  }
}

function payloadOf(data: Decoded): Loaded | undefined {
  const base = number32(data.base);
  const offset = number32(data.offset);
  const length = number32(data.len);
  const size = base === NETWORK ? NETWORK_BYTES : base === TRANSPORT ? TRANSPORT_BYTES : 0;
  if (length === 0 || offset + length > size) return undefined;
  return {
    from: base === NETWORK ? 'network' : 'transport',
    offset,
    length,
    mask: new Uint8Array(length).fill(0xff),
  };
}

function verdictOf({ code }: Decoded): NftEffect['verdict'] {
  if (code === NF_ACCEPT) return 'accept';
  return code === NF_DROP ? 'drop' : 'other';
}

function firstWord(register: number): number {
  return register < REG32_00 ? 4 * (register - 1) : register - REG32_00;
}

function bytesOf(hex: Value | undefined): Uint8Array {
  return Uint8Array.from(Buffer.from(text(hex), 'hex'));
}
