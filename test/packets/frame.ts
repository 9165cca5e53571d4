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
  /** Bytes behind all that, which only fill up the frame. */
  readonly padding?: number;
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
  /** Bytes behind the header, as far as the header tells; what is there beyond them only fills up the frame. Default all. */
  readonly says?: number;
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
  readonly says?: number;
}

export interface L4 {
  readonly is: 'udp' | 'tcp' | 'icmp' | 'other';
  readonly sport?: number;
  readonly dport?: number;
  /** Of ICMP; default an echo request. Of neighbour discovery the payload begins with the address asked for. */
  readonly type?: number;
  /** Of TCP: FIN 1, SYN 2, RST 4, ACK 16. */
  readonly flags?: number;
  readonly badChecksum?: boolean;
  /** Of UDP: the checksum is 0. */
  readonly noChecksum?: boolean;
  /** Of UDP: added to the length in the header. */
  readonly lengthError?: number;
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
  /** Default 4789. */
  readonly dport?: number;
  readonly vni: number;
  /** First byte of the VXLAN header, default 8; and its last one, default 0. */
  readonly flags?: number;
  readonly reserved?: number;
  /** Of the outer UDP header; default a right one. */
  readonly checksum?: 'none' | 'bad';
  readonly udpLengthError?: number;
  /** More of the outer IPv4 header. */
  readonly outer?: Partial<Omit<Ip4, 'is' | 'source' | 'destination' | 'ttl' | 'l4'>>;
  /** Absent: bytes that are no frame. */
  readonly inner?: {
    readonly from: string;
    readonly to: string;
    readonly vlans?: NonNullable<Packet['vlans']>;
    readonly body: Exclude<Body, Vxlan>;
  };
}

export interface Raw {
  readonly is: 'raw';
  readonly type: number;
}

/** A tunnel that a router ends: its packets have source ports from `low` up to, not including, `high`. */
export interface Outer {
  readonly local: string;
  readonly port: number;
  readonly vni: number;
  readonly low: number;
  readonly high: number;
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
  const bytes = [...ethernet(packet, type), ...body];
  return Uint8Array.from([...bytes, ...Array.from({ length: packet.padding ?? 0 }, () => 0)]);
}

function ethernet({ from, to, vlans = [] }: Pick<Packet, 'from' | 'to' | 'vlans'>, type: number): number[] {
  const tags = vlans.flatMap(({ id, priority = 0, type: tpid = 0x8100 }) => [
    ...be16(tpid),
    ...be16((priority << 13) | id),
  ]);
  return [...macBytes(to), ...macBytes(from), ...tags, ...be16(type)];
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
 * and fragments of its own, also within a tunnel. Of a packet that a tunnel in `outers` made, the UDP source port, too, if it is in the
 * range; in the place of checksums stands whether they are right.
 */
export function comparable(frame: Uint8Array, outers: readonly Outer[] = []): string {
  return Buffer.from(withoutIds(frame.slice(), outers)).toString('hex');
}

/** In place. */
function withoutIds(frame: Uint8Array, outers: readonly Outer[]): Uint8Array {
  const at = networkHeader(frame);
  if (at === undefined) return frame;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame[at]! >> 4 !== 4) {
    if (frame[at + 6] === EXTENSIONS.fragment && view.getUint32(at + 44) !== FRAGMENT_ID)
      frame.fill(0, at + 44, at + 48);
    return frame;
  }
  const outer = outers.find((one) => isOuter(frame, at, one));
  if (outer !== undefined) withoutChoices(frame, at, outer);
  else if (view.getUint16(at + 4) !== PACKET_ID) {
    frame.fill(0, at + 4, at + 6);
    frame.fill(0, at + 10, at + 12);
  }
  const udp = at + (frame[at]! & 15) * 4;
  const isTunnelled =
    outer !== undefined ||
    (frame[at + 9] === 17 && udp + 30 < frame.length && view.getUint16(udp + 2) === VXLAN_PORT);
  if (isTunnelled) withoutIds(frame.subarray(udp + 16), outers);
  return frame;
}

/** A VXLAN packet, or the first fragment of one, of this router's own. */
function isOuter(frame: Uint8Array, at: number, { local, port, vni }: Outer): boolean {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const isOwn = ip4Bytes(local).every((byte, index) => frame[at + 12 + index] === byte);
  if (!isOwn || frame[at] !== 0x45 || frame[at + 9] !== 17 || frame.length < at + 36) return false;
  const isFirst = (view.getUint16(at + 6) & 0x1fff) === 0;
  return isFirst && view.getUint16(at + 22) === port && view.getUint32(at + 32) >>> 8 === vni;
}

/** In the place of each checksum: 0 for none, 1 for a right one, 2 for a wrong one, 3 where a fragment does not tell. */
function withoutChoices(frame: Uint8Array, at: number, { low, high }: Outer): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const total = view.getUint16(at + 2);
  const udp = [...frame.subarray(at + 20, at + total)];
  const pseudo = [...frame.subarray(at + 12, at + 20), 0, 17, ...be16(udp.length)];
  const isFragment = (view.getUint16(at + 6) & 0x2000) !== 0;
  const isRight = checksum([...pseudo, ...udp]) === 0;
  if (view.getUint16(at + 26) !== 0) view.setUint16(at + 26, isFragment ? 3 : isRight ? 1 : 2);
  const port = view.getUint16(at + 20);
  if (port >= low && port < high) view.setUint16(at + 20, 0);
  view.setUint16(at + 10, checksum([...frame.subarray(at, at + 20)]) === 0 ? 1 : 2);
  view.setUint16(at + 4, 0);
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
      const inner = body.inner === undefined ? [...payload] : innerOf(body.inner, payload, sender);
      const vni = [body.vni >> 16, (body.vni >> 8) & 0xff, body.vni & 0xff];
      const { source, destination, ttl, sport, dport = VXLAN_PORT, flags = 8, reserved = 0, outer } = body;
      const udp: L4 = {
        is: 'udp',
        sport,
        dport,
        ...(body.checksum !== undefined && {
          [body.checksum === 'bad' ? 'badChecksum' : 'noChecksum']: true,
        }),
        ...(body.udpLengthError !== undefined && { lengthError: body.udpLengthError }),
      };
      const ip: Ip4 = { ...outer, is: 'ip4', source, destination, ttl, l4: udp };
      return [0x0800, ip4(ip, Uint8Array.from([flags, 0, 0, 0, ...vni, reserved, ...inner]))];
    }
    case 'raw':
      return [body.type, [...payload]];
  }
}

function innerOf(
  inner: NonNullable<Vxlan['inner']>,
  payload: Uint8Array,
  sender: readonly number[],
): readonly number[] {
  const [type, bytes] = bodyOf(inner.body, payload, sender);
  return [...ethernet(inner, type), ...bytes];
}

function ip4(ip: Ip4, payload: Uint8Array): number[] {
  const options = ip.options ?? [];
  const pseudo = [...ip4Bytes(ip.source), ...ip4Bytes(ip.destination), 0, protocolOf(ip.l4, false)];
  const inner = ip.offset ? [...payload] : l4(ip.l4, payload, pseudo, false);
  const words = 5 + options.length / 4;
  const flags = (ip.dontFragment ? 0x4000 : 0) | (ip.moreFragments ? 0x2000 : 0) | (ip.offset ?? 0);
  const length = words * 4 + (ip.says ?? inner.length) + (ip.lengthError ?? 0);
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
    ...be16((extension.length + (ip.says ?? inner.length) + (ip.lengthError ?? 0)) & 0xffff),
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
      return udp(header, payload, sealed);
    case 'tcp': {
      // The number stands in the header, too, for packets that end there.
      const fixed = [...be16(sport), ...be16(dport), ...payload.subarray(0, 8), 0x50, header.flags ?? 16];
      return sealed([...fixed, ...be16(1000), 0, 0, 0, 0, ...payload], 16, true);
    }
    case 'icmp':
      return sealed(
        [header.type ?? (is6 ? 128 : 8), 0, 0, 0, ...be16(sport), ...be16(1), ...payload],
        2,
        is6,
      );
    case 'other':
      return [...payload];
  }
}

function udp(
  { sport = 4000, dport = 5000, noChecksum, lengthError = 0 }: L4,
  payload: Uint8Array,
  sealed: (bytes: number[], at: number, withPseudo: boolean) => number[],
): number[] {
  const ports = [...be16(sport), ...be16(dport)];
  const bytes = [...ports, ...be16(8 + payload.length + lengthError), 0, 0, ...payload];
  return noChecksum ? bytes : sealed(bytes, 6, true);
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
