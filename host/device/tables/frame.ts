/** Makes the frame of a packet that is asked about: headers as they would stand on the wire, zeros behind them. */

import type { Address } from '../asic/address.ts';
import type { PacketQuery } from '../types.ts';

const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ICMP6 = 58;

/** `vlan` 0: untagged. `destination` is the MAC. */
export function buildFrame(
  packet: PacketQuery,
  to: Address,
  from: Address | undefined,
  vlan: number,
  destination: bigint,
): Uint8Array {
  const six = to.six;
  const link = vlan === 0 ? 14 : 18;
  const header = six ? 40 : 20;
  const length = Math.max(packet.length ?? 64, header + transportLength(packet.protocol ?? 0));
  const bytes = new Uint8Array(link + length);
  const view = new DataView(bytes.buffer);
  putMac(view, 0, destination);
  putMac(view, 6, BigInt(packet.sourceMac ?? 0));
  if (vlan !== 0) {
    view.setUint16(12, 0x8100);
    view.setUint16(14, vlan);
  }
  view.setUint16(link - 2, six ? 0x86dd : 0x0800);
  const words = from?.words ?? new Uint32Array(4);
  if (six) putIpv6(view, link, packet, length, words, to.words);
  else putIpv4(view, link, packet, length, words[3]!, to.words[3]!);
  putTransport(view, link + header, packet);
  return bytes;
}

function transportLength(protocol: number): number {
  return protocol === TCP ? 20 : protocol === UDP || protocol === ICMP || protocol === ICMP6 ? 8 : 4;
}

function putMac(view: DataView, at: number, mac: bigint): void {
  view.setUint16(at, Number(mac >> 32n));
  view.setUint32(at + 2, Number(mac & 0xffff_ffffn));
}

function putIpv4(view: DataView, at: number, packet: PacketQuery, length: number, from: number, to: number) {
  view.setUint8(at, 0x45);
  view.setUint8(at + 1, packet.tos ?? 0);
  view.setUint16(at + 2, length);
  view.setUint8(at + 8, packet.ttl ?? 64);
  view.setUint8(at + 9, packet.protocol ?? 0);
  view.setUint32(at + 12, from);
  view.setUint32(at + 16, to);
  let sum = 0;
  for (let word = 0; word < 20; word += 2) sum += view.getUint16(at + word);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(at + 10, ~sum & 0xffff);
}

function putIpv6(
  view: DataView,
  at: number,
  packet: PacketQuery,
  length: number,
  from: Uint32Array,
  to: Uint32Array,
): void {
  const tos = packet.tos ?? 0;
  view.setUint8(at, 0x60 | (tos >>> 4));
  view.setUint8(at + 1, (tos & 15) << 4);
  view.setUint16(at + 4, length - 40);
  // 59: no next header. 0 would be hop-by-hop options, which no one asks about.
  view.setUint8(at + 6, packet.protocol || 59);
  view.setUint8(at + 7, packet.ttl ?? 64);
  for (let word = 0; word < 4; word++) {
    view.setUint32(at + 8 + 4 * word, from[word]!);
    view.setUint32(at + 24 + 4 * word, to[word]!);
  }
}

function putTransport(view: DataView, at: number, packet: PacketQuery): void {
  const protocol = packet.protocol ?? 0;
  if (protocol === ICMP || protocol === ICMP6) {
    view.setUint8(at, packet.icmpType ?? 0);
    view.setUint8(at + 1, packet.icmpCode ?? 0);
  } else if (protocol === TCP || protocol === UDP || packet.sourcePort || packet.destinationPort) {
    view.setUint16(at, packet.sourcePort ?? 0);
    view.setUint16(at + 2, packet.destinationPort ?? 0);
    if (protocol === TCP) view.setUint16(at + 12, 0x5000 | ((packet.tcpFlags ?? 0) & 0xfff));
  }
}
