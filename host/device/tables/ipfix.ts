/**
 * Sampled packets as IPFIX messages (RFC 7011): a flow record each, of one packet. How they were chosen is told by an options
 * record (RFC 5477, uniform probabilistic sampling) that the flow records name as their selector.
 */

/** One chosen frame, as bpf/datapath_custom.h struct sample tells it. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Names how it was chosen. */
  readonly selector: number;
  readonly ifindex: number;
  /** Of the frame, and of the IP packet in it. */
  readonly length: number;
  readonly packetLength: number;
  readonly ethertype: number;
  /** In network byte order, 4 or 16 bytes. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly protocol: number;
  readonly trafficClass: number;
  readonly tcpFlags: number;
  readonly vlan: number;
}

type Element = readonly [id: number, bytes: number];

const VERSION = 10;
const SET_TEMPLATES = 2;
const SET_OPTIONS = 3;
const DOMAIN = 1;
/** Of RFC 5477, selectorAlgorithm: uniform probabilistic sampling. */
const UNIFORM = 4;

/** flowStartMilliseconds, flowEndMilliseconds */
const TIMES: readonly Element[] = [
  [152, 8],
  [153, 8],
];
/** ingressInterface, packetDeltaCount, octetDeltaCount, vlanId, selectorId */
const COMMON: readonly Element[] = [
  [10, 4],
  [2, 8],
  [1, 8],
  [58, 2],
  [302, 8],
];
/** sourceTransportPort, destinationTransportPort, protocolIdentifier, ipClassOfService, tcpControlBits */
const TRANSPORT: readonly Element[] = [
  [7, 2],
  [11, 2],
  [4, 1],
  [5, 1],
  [6, 2],
];
const TEMPLATES: readonly (readonly [id: number, elements: readonly Element[]])[] = [
  [256, [...TIMES, [8, 4], [12, 4], ...TRANSPORT, ...COMMON]],
  [257, [...TIMES, [27, 16], [28, 16], ...TRANSPORT, ...COMMON]],
  [258, [...TIMES, [256, 2], ...COMMON]],
];
/** Scope selectorId; selectorAlgorithm, samplingProbability. */
const OPTIONS_ID = 259;
const OPTIONS: readonly Element[] = [
  [302, 8],
  [304, 2],
  [311, 8],
];

class Writer {
  readonly buffer = Buffer.alloc(2048);
  length = 0;

  u8(value: number): void {
    this.length = this.buffer.writeUInt8(value & 0xff, this.length);
  }
  u16(value: number): void {
    this.length = this.buffer.writeUInt16BE(value & 0xffff, this.length);
  }
  u32(value: number): void {
    this.length = this.buffer.writeUInt32BE(value >>> 0, this.length);
  }
  u64(value: number): void {
    this.length = this.buffer.writeBigUInt64BE(BigInt(value), this.length);
  }
  f64(value: number): void {
    this.length = this.buffer.writeDoubleBE(value, this.length);
  }
  bytes(bytes: Uint8Array): void {
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }
  /** A set: its header, and what `fill` writes. */
  set(id: number, fill: () => void): void {
    const start = this.length;
    this.u16(id);
    this.u16(0);
    fill();
    this.buffer.writeUInt16BE(this.length - start, start + 2);
  }
}

function message(seconds: number, sequence: number, fill: (writer: Writer) => void): Buffer {
  const writer = new Writer();
  writer.u16(VERSION);
  writer.u16(0);
  writer.u32(seconds);
  writer.u32(sequence);
  writer.u32(DOMAIN);
  fill(writer);
  writer.buffer.writeUInt16BE(writer.length, 2);
  return writer.buffer.subarray(0, writer.length);
}

/** Templates, and how packets are chosen: `selectors` are pairs of a selector and N of its 1 in N, at most 64. It has `selectors.length` records. */
export function templates(
  seconds: number,
  sequence: number,
  selectors: readonly (readonly [selector: number, every: number])[],
): Buffer {
  return message(seconds, sequence, (writer) => {
    const elements = (list: readonly Element[]) => {
      for (const [id, bytes] of list) {
        writer.u16(id);
        writer.u16(bytes);
      }
    };
    writer.set(SET_TEMPLATES, () => {
      for (const [id, list] of TEMPLATES) {
        writer.u16(id);
        writer.u16(list.length);
        elements(list);
      }
    });
    writer.set(SET_OPTIONS, () => {
      writer.u16(OPTIONS_ID);
      writer.u16(OPTIONS.length);
      writer.u16(1);
      elements(OPTIONS);
    });
    writer.set(OPTIONS_ID, () => {
      for (const [selector, every] of selectors) {
        writer.u64(selector);
        writer.u16(UNIFORM);
        writer.f64(1 / every);
      }
    });
  });
}

/** Samples in one message; at most 12 fit an Ethernet frame. */
export const SAMPLES_MAX = 12;

export function flows(seconds: number, sequence: number, samples: readonly Sample[]): Buffer {
  return message(seconds, sequence, (writer) => {
    for (const sample of samples) {
      const isIp = sample.ethertype === 0x0800 || sample.ethertype === 0x86dd;
      const id = !isIp ? 258 : sample.ethertype === 0x0800 ? 256 : 257;
      writer.set(id, () => {
        writer.u64(sample.time);
        writer.u64(sample.time);
        if (isIp) {
          writer.bytes(sample.source);
          writer.bytes(sample.destination);
          writer.u16(sample.sourcePort);
          writer.u16(sample.destinationPort);
          writer.u8(sample.protocol);
          writer.u8(sample.trafficClass);
          writer.u16(sample.tcpFlags);
        } else writer.u16(sample.ethertype);
        writer.u32(sample.ifindex);
        writer.u64(1);
        writer.u64(isIp ? sample.packetLength : sample.length);
        writer.u16(sample.vlan);
        writer.u64(sample.selector);
      });
    }
  });
}
