/** Frames to send, from a description that prints as a line of JSON; and what a frame says of itself. */

export interface Packet {
  /** Number of the port it enters by. */
  readonly port: number;
  readonly from: string;
  readonly to: string;
  /** Outer tag first. */
  readonly vlans?: readonly { readonly id: number; readonly priority?: number; readonly type?: number }[];
  readonly body: Body;
  /** Bytes of payload behind its number, 0 to 9000. */
  readonly payload?: number;
}

export type Body = Ip4 | Ip6 | Arp | Vxlan | Raw;

export interface Ip4 {
  readonly is: 'ip4';
  readonly source: string;
  readonly destination: string;
  readonly ttl: number;
  readonly tos?: number;
  readonly l4: L4;
  /** Bytes of options, a multiple of 4. */
  readonly options?: readonly number[];
  readonly dontFragment?: boolean;
  readonly moreFragments?: boolean;
  /** In units of 8 bytes; then there is no header of layer 4. */
  readonly offset?: number;
  readonly badChecksum?: boolean;
  /** Added to the length in the header. */
  readonly lengthError?: number;
  readonly version?: number;
}

export interface Ip6 {
  readonly is: 'ip6';
  readonly source: string;
  readonly destination: string;
  readonly hops: number;
  readonly trafficClass?: number;
  readonly l4: L4;
  /** Extension header between: hop-by-hop options, routing or fragment. */
  readonly extension?: 'hop-by-hop' | 'routing' | 'fragment' | 'destination';
  readonly lengthError?: number;
}

export interface L4 {
  readonly is: 'udp' | 'tcp' | 'icmp' | 'other';
  readonly sport?: number;
  readonly dport?: number;
  /** Of TCP: FIN 1, SYN 2, RST 4, ACK 16. */
  readonly flags?: number;
  readonly badChecksum?: boolean;
}

export interface Arp {
  readonly is: 'arp';
  readonly operation: 1 | 2;
  readonly sender: string;
  readonly target: string;
}

/** A frame in a tunnel, over IPv4. */
export interface Vxlan {
  readonly is: 'vxlan';
  readonly source: string;
  readonly destination: string;
  readonly ttl: number;
  readonly sport: number;
  readonly vni: number;
  readonly inner: { readonly from: string; readonly to: string; readonly body: Ip4 | Ip6 };
}

export interface Raw {
  readonly is: 'raw';
  readonly type: number;
}

/** Marks the payload of every frame; its number follows. */
const MAGIC = 0x454b_484f;
const VXLAN_PORT = 4789;
/** Identification of the packets and of the fragments that are sent. */
const PACKET_ID = 0x1234;
const FRAGMENT_ID = 7;

/** The bytes of a packet, its number in the payload. */
export function frameOf(packet: Packet, number: number): Uint8Array {
  const payload = new Uint8Array(8 + (packet.payload ?? 0));
  for (let at = 8; at < payload.length; at++) payload[at] = at;
  new DataView(payload.buffer).setUint32(0, MAGIC);
  new DataView(payload.buffer).setUint32(4, number);
  const [type, body] = bodyOf(packet.body, payload, macBytes(packet.from));
  const tags = (packet.vlans ?? []).flatMap(({ id, priority = 0, type: tpid = 0x8100 }) => [
    ...be16(tpid),
    ...be16((priority << 13) | id),
  ]);
  return Uint8Array.from([...macBytes(packet.to), ...macBytes(packet.from), ...tags, ...be16(type), ...body]);
}

/** Number of the packet that a frame carries or, in an error message, quotes; undefined: none of the test's. */
export function numberOf(frame: Uint8Array): number | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  for (let at = 14; at + 8 <= frame.length; at++) {
    if (frame[at] === 0x45 && view.getUint32(at) === MAGIC) return view.getUint32(at + 4);
  }
  return undefined;
}

/**
 * The frame without what no two kernels need to agree on: the identification (and with it the checksum) that the kernel gives packets
 * and fragments of its own, also within a tunnel.
 */
export function comparable(frame: Uint8Array): string {
  return Buffer.from(withoutIds(frame.slice())).toString('hex');
}

/** In place. */
function withoutIds(frame: Uint8Array): Uint8Array {
  const at = networkHeader(frame);
  if (at === undefined) return frame;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame[at]! >> 4 !== 4) {
    if (frame[at + 6] === EXTENSIONS.fragment && view.getUint32(at + 44) !== FRAGMENT_ID)
      frame.fill(0, at + 44, at + 48);
    return frame;
  }
  if (view.getUint16(at + 4) !== PACKET_ID) {
    frame.fill(0, at + 4, at + 6);
    frame.fill(0, at + 10, at + 12);
  }
  const udp = at + (frame[at]! & 15) * 4;
  const isTunnelled =
    frame[at + 9] === 17 && udp + 30 < frame.length && view.getUint16(udp + 2) === VXLAN_PORT;
  if (isTunnelled) withoutIds(frame.subarray(udp + 16));
  return frame;
}

/** Redirects: the kernel sends them as seldom as it likes. */
export function isRedirect(frame: Uint8Array): boolean {
  const at = networkHeader(frame);
  if (at === undefined) return false;
  if (frame[at]! >> 4 === 4) return frame[at + 9] === 1 && frame[at + (frame[at]! & 15) * 4] === 5;
  return frame[at + 6] === 58 && frame[at + 40] === 137;
}

function networkHeader(frame: Uint8Array): number | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  let at = 12;
  while (at + 4 < frame.length && (view.getUint16(at) === 0x8100 || view.getUint16(at) === 0x88a8)) at += 4;
  const type = view.getUint16(at);
  return (type === 0x0800 || type === 0x86dd) && frame.length > at + 2 + 20 ? at + 2 : undefined;
}

function bodyOf(body: Body, payload: Uint8Array, sender: readonly number[]): [number, readonly number[]] {
  switch (body.is) {
    case 'ip4':
      return [0x0800, ip4(body, payload)];
    case 'ip6':
      return [0x86dd, ip6(body, payload)];
    case 'arp': {
      const fixed = [...be16(1), ...be16(0x0800), 6, 4, ...be16(body.operation)];
      const target = [0, 0, 0, 0, 0, 0, ...ip4Bytes(body.target)];
      return [0x0806, [...fixed, ...sender, ...ip4Bytes(body.sender), ...target, ...payload]];
    }
    case 'vxlan': {
      const { from, to, body: carried } = body.inner;
      const [type, bytes] = bodyOf(carried, payload, sender);
      const inner = [...macBytes(to), ...macBytes(from), ...be16(type), ...bytes];
      const vni = [body.vni >> 16, (body.vni >> 8) & 0xff, body.vni & 0xff];
      const { source, destination, ttl, sport } = body;
      const outer: Ip4 = { is: 'ip4', source, destination, ttl, l4: { is: 'udp', sport, dport: VXLAN_PORT } };
      return [0x0800, ip4(outer, Uint8Array.from([8, 0, 0, 0, ...vni, 0, ...inner]))];
    }
    case 'raw':
      return [body.type, [...payload]];
  }
}

function ip4(ip: Ip4, payload: Uint8Array): number[] {
  const options = ip.options ?? [];
  const pseudo = [...ip4Bytes(ip.source), ...ip4Bytes(ip.destination), 0, protocolOf(ip.l4, false)];
  const inner = ip.offset ? [...payload] : l4(ip.l4, payload, pseudo, false);
  const words = 5 + options.length / 4;
  const flags = (ip.dontFragment ? 0x4000 : 0) | (ip.moreFragments ? 0x2000 : 0) | (ip.offset ?? 0);
  const length = words * 4 + inner.length + (ip.lengthError ?? 0);
  const header = [
    ((ip.version ?? 4) << 4) | words,
    ip.tos ?? 0,
    ...be16(length & 0xffff),
    ...be16(PACKET_ID),
    ...be16(flags),
    ip.ttl,
    protocolOf(ip.l4, false),
    0,
    0,
    ...ip4Bytes(ip.source),
    ...ip4Bytes(ip.destination),
    ...options,
  ];
  const sum = checksum(header) ^ (ip.badChecksum ? 0x0101 : 0);
  header[10] = sum >> 8;
  header[11] = sum & 0xff;
  return [...header, ...inner];
}

const EXTENSIONS = { 'hop-by-hop': 0, routing: 43, fragment: 44, destination: 60 } as const;

function ip6(ip: Ip6, payload: Uint8Array): number[] {
  const protocol = protocolOf(ip.l4, true);
  const pseudo = [...ip6Bytes(ip.source), ...ip6Bytes(ip.destination), 0, protocol];
  const inner = l4(ip.l4, payload, pseudo, true);
  // PadN of four bytes; a routing header of no use (type 0, nothing left); a first and last fragment.
  const extension =
    ip.extension === undefined
      ? []
      : ip.extension === 'fragment'
        ? [protocol, 0, 0, 0, 0, 0, 0, FRAGMENT_ID]
        : ip.extension === 'routing'
          ? [protocol, 0, 0, 0, 0, 0, 0, 0]
          : [protocol, 0, 1, 4, 0, 0, 0, 0];
  const first = ((6 << 28) | ((ip.trafficClass ?? 0) << 20)) >>> 0;
  return [
    ...be16(first >>> 16),
    ...be16(first & 0xffff),
    ...be16((extension.length + inner.length + (ip.lengthError ?? 0)) & 0xffff),
    ip.extension === undefined ? protocol : EXTENSIONS[ip.extension],
    ip.hops,
    ...ip6Bytes(ip.source),
    ...ip6Bytes(ip.destination),
    ...extension,
    ...inner,
  ];
}

function protocolOf({ is }: L4, is6: boolean): number {
  return { udp: 17, tcp: 6, icmp: is6 ? 58 : 1, other: 253 }[is];
}

function l4(header: L4, payload: Uint8Array, pseudo: readonly number[], is6: boolean): number[] {
  const { sport = 4000, dport = 5000 } = header;
  const wrong = header.badChecksum ? 0x0101 : 0;
  const sealed = (bytes: number[], at: number, withPseudo: boolean): number[] => {
    const sum = checksum(withPseudo ? [...pseudo, ...be16(bytes.length), ...bytes] : bytes) ^ wrong;
    bytes[at] = sum >> 8;
    bytes[at + 1] = sum & 0xff;
    return bytes;
  };
  switch (header.is) {
    case 'udp':
      return sealed([...be16(sport), ...be16(dport), ...be16(8 + payload.length), 0, 0, ...payload], 6, true);
    case 'tcp': {
      const fixed = [...be16(sport), ...be16(dport), 0, 0, 0, 1, 0, 0, 0, 2, 0x50, header.flags ?? 16];
      return sealed([...fixed, ...be16(1000), 0, 0, 0, 0, ...payload], 16, true);
    }
    case 'icmp':
      return sealed([is6 ? 128 : 8, 0, 0, 0, ...be16(sport), ...be16(1), ...payload], 2, is6);
    case 'other':
      return [...payload];
  }
}

/** RFC 1071 */
function checksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const be16 = (value: number): [number, number] => [(value >> 8) & 0xff, value & 0xff];

const macBytes = (text: string): number[] => text.split(':').map((byte) => Number.parseInt(byte, 16));

const ip4Bytes = (text: string): number[] => text.split('.').map(Number);

export function ip6Bytes(text: string): number[] {
  const [head = '', tail] = text.split('::');
  const words = (part: string) =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16));
  const [front, back] = [words(head), tail === undefined ? [] : words(tail)];
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => 0);
  return [...front, ...zeros, ...back].flatMap((word) => be16(word));
}
