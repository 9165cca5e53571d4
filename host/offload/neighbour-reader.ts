/** Reads neighbours and fdb entries from the kernel's bytes without allocating: struct ndmsg and NDA_* (linux/neighbour.h). */

import type { ObjectCursor } from '../mirror/types.ts';
import { neighbourAttributes } from '../netlink/schema/neighbour.ts';
import { bigEndian32, littleEndian32 } from './route-reader.ts';

const NDA = neighbourAttributes.number;
const NDMSG_BYTES = 12;

export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
/** NUD_VALID: the link-layer address may be used. */
const NUD_VALID = 0x80 | 0x40 | 0x02 | 0x10 | 0x04 | 0x08;
export const NTF_PROXY = 0x08;

export class NeighbourReader {
  family = 0;
  ifindex = 0;
  state = 0;
  flags = 0;
  hasMac = false;
  mac = 0;
  /** Four words, IPv4 in the last. */
  readonly address = new Uint32Array(4);
  addressBytes = 0;
  vlan = 0;
  /** NDA_MASTER, 0 for an entry of the device itself. */
  master = 0;
  /** NDA_IFINDEX: the link that packets to a remote leave by, 0 for any. */
  remoteLink = 0;
  /** A remote with a port, network id or group of its own (NDA_PORT, NDA_VNI, NDA_SRC_VNI, NDA_NH_ID). */
  isSpecialRemote = false;

  get isValid(): boolean {
    return (this.state & NUD_VALID) !== 0 && this.hasMac;
  }

  read({ bytes, start, end }: ObjectCursor): boolean {
    if (end - start < NDMSG_BYTES) return false;
    this.family = bytes[start]!;
    this.ifindex = littleEndian32(bytes, start + 4);
    this.state = bytes[start + 8]! | (bytes[start + 9]! << 8);
    this.flags = bytes[start + 10]!;
    this.hasMac = false;
    this.mac = 0;
    this.address.fill(0);
    this.addressBytes = 0;
    this.vlan = 0;
    this.master = 0;
    this.remoteLink = 0;
    this.isSpecialRemote = false;
    for (let at = start + NDMSG_BYTES; at + 4 <= end; ) {
      const size = bytes[at]! | (bytes[at + 1]! << 8);
      if (size < 4 || at + size > end) return false;
      const value = at + 4;
      const length = size - 4;
      switch ((bytes[at + 2]! | (bytes[at + 3]! << 8)) & 0x3fff) {
        case NDA.dst:
          this.addressBytes = length;
          if (length === 4) this.address[3] = bigEndian32(bytes, value);
          else if (length === 16)
            for (let word = 0; word < 4; word++) this.address[word] = bigEndian32(bytes, value + 4 * word);
          break;
        case NDA.lladdr:
          if (length === 6) {
            this.hasMac = true;
            this.mac =
              ((bytes[value]! << 8) | bytes[value + 1]!) * 0x1_0000_0000 + bigEndian32(bytes, value + 2);
          }
          break;
        case NDA.vlan:
          if (length === 2) this.vlan = bytes[value]! | (bytes[value + 1]! << 8);
          break;
        case NDA.ifindex:
          if (length === 4) this.remoteLink = littleEndian32(bytes, value);
          break;
        case NDA.port:
        case NDA.vni:
        case NDA.src_vni:
        case NDA.nh_id:
          this.isSpecialRemote = true;
          break;
        case NDA.master:
          if (length === 4) this.master = littleEndian32(bytes, value);
          break;
      }
      at += (size + 3) & ~3;
    }
    return true;
  }
}
