/**
 * Frames that the data path chose, from its ring to collectors by UDP. What does not fit the ring is lost and counted there; what the
 * socket cannot take just now is lost and counted here.
 */

import { createSocket, type Socket } from 'node:dgram';
import type { BpfMap, RingBuffer } from '../../../bpf/libbpf-ts/src/index.ts';
import { formatIp4, formatIp6 } from '../../netlink/address.ts';
import { flows, SAMPLES_MAX, type Sample, templates } from './ipfix.ts';

/** How often it is looked which collectors there are, while samples come. */
const LOOK_MS = 1000;
/** How often each is told the templates (RFC 7011, 8.4). */
const TEMPLATES_MS = 10_000;
/** Messages on their way, to all. */
const IN_FLIGHT_MAX = 256;
/** Selectors told in one message. */
const SELECTORS_MAX = 64;
/** struct dp_sample of plugins/include/datapath.h, in words. */
const ROW_WORDS = 8;

interface Collector {
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
  selectors: [number, number][];
  pending: Sample[];
  /** Data records sent. */
  sequence: number;
  toldAt: number;
}

export interface SampleCounts {
  readonly exported: number;
  readonly unsent: number;
}

export class Samples {
  readonly #rows: BpfMap;
  readonly #ring: RingBuffer;
  readonly #sockets = new Map<number, Socket>();
  #collectors = new Map<string, Collector>();
  #bySelector = new Map<number, Collector>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #inFlight = 0;
  #exported = 0;
  #unsent = 0;

  /** `rows`: the map `samples`. */
  constructor(ring: RingBuffer, rows: BpfMap) {
    this.#ring = ring;
    this.#rows = rows;
    ring.start((data, offset) => this.#take(data, offset), {
      keepAlive: false,
      onTurnEnd: () => this.#flush(),
    });
  }

  counts(): SampleCounts {
    return { exported: this.#exported, unsent: this.#unsent };
  }

  close(): void {
    this.#ring.close();
    for (const socket of this.#sockets.values()) socket.close();
  }

  #take(data: DataView, offset: number): void {
    this.#look();
    const u32 = (at: number) => data.getUint32(offset + at, true);
    const u16 = (at: number) => data.getUint16(offset + at, true);
    const selector = u32(8);
    const collector = this.#bySelector.get(selector);
    if (collector === undefined || collector.pending.length >= SAMPLES_MAX * IN_FLIGHT_MAX) {
      this.#unsent++;
      return;
    }
    const ethertype = u16(60);
    const four = ethertype === 0x0800;
    // The ring is given back to the kernel: what is kept is copied.
    const address = (at: number) =>
      Uint8Array.from({ length: four ? 4 : 16 }, (_, byte) =>
        data.getUint8(offset + at + (four ? 12 : 0) + byte),
      );
    const ports = u32(56);
    const age_ms = (Number(process.hrtime.bigint()) - Number(data.getBigUint64(offset, true))) / 1e6;
    collector.pending.push({
      time: Math.max(0, Math.round(Date.now() - age_ms)),
      selector,
      ifindex: u32(12),
      length: u32(16),
      packetLength: u32(20),
      source: address(24),
      destination: address(40),
      sourcePort: ports >>> 16,
      destinationPort: ports & 0xffff,
      ethertype,
      tcpFlags: u16(62),
      vlan: u16(64),
      protocol: data.getUint8(offset + 66),
      trafficClass: data.getUint8(offset + 68),
    });
  }

  /** Which collectors there are. Those that stay go on with their sequence. */
  #look(): void {
    if (performance.now() - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = performance.now();
    const before = this.#collectors;
    this.#collectors = new Map();
    this.#bySelector = new Map();
    for (const { count, values } of this.#rows.chunks()) {
      const words = new Uint32Array(values.buffer, values.byteOffset, count * ROW_WORDS);
      for (let row = 0; row < count; row++) {
        const at = row * ROW_WORDS;
        const [selector, every, port, family] = words.subarray(at, at + 4) as unknown as [
          number,
          number,
          number,
          number,
        ];
        if (selector === 0) continue;
        const bytes = new Uint8Array(words.buffer, words.byteOffset + 4 * (at + 4), 16);
        const address = family === 0 ? formatIp4(bytes, 12) : formatIp6(bytes, 0);
        const key = `${address} ${port}`;
        const collector: Collector = this.#collectors.get(key) ??
          before.get(key) ?? {
            ...{ address, port, family: family === 0 ? 4 : 6, selectors: [], pending: [] },
            ...{ sequence: 0, toldAt: Number.NEGATIVE_INFINITY },
          };
        if (!this.#collectors.has(key)) collector.selectors = [];
        if (collector.selectors.length < SELECTORS_MAX) collector.selectors.push([selector, every]);
        this.#collectors.set(key, collector);
        this.#bySelector.set(selector, collector);
      }
    }
  }

  #flush(): void {
    const seconds = Math.floor(Date.now() / 1000);
    for (const collector of this.#collectors.values()) {
      if (collector.pending.length === 0) continue;
      if (performance.now() - collector.toldAt > TEMPLATES_MS) {
        collector.toldAt = performance.now();
        this.#send(collector, templates(seconds, collector.sequence, collector.selectors), 0);
        collector.sequence += collector.selectors.length;
      }
      for (let from = 0; from < collector.pending.length; from += SAMPLES_MAX) {
        const some = collector.pending.slice(from, from + SAMPLES_MAX);
        this.#send(collector, flows(seconds, collector.sequence, some), some.length);
        collector.sequence += some.length;
      }
      collector.pending = [];
    }
  }

  #send({ address, port, family }: Collector, bytes: Buffer, samples: number): void {
    if (this.#inFlight >= IN_FLIGHT_MAX) {
      this.#unsent += samples;
      return;
    }
    this.#inFlight++;
    this.#socket(family).send(bytes, port, address, (error) => {
      this.#inFlight--;
      if (error === null) this.#exported += samples;
      else this.#unsent += samples;
    });
  }

  #socket(family: 4 | 6): Socket {
    let socket = this.#sockets.get(family);
    if (socket === undefined) {
      socket = createSocket(family === 4 ? 'udp4' : 'udp6');
      // Nobody listens there: the kernel says so of an earlier message.
      socket.on('error', () => {});
      socket.unref();
      this.#sockets.set(family, socket);
    }
    return socket;
  }
}
