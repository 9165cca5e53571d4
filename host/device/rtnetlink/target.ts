/** The other kernel's links that stand for links of the mirrored one: found by name, and again when they change. */

import { isIP } from 'node:net';
import { parseIp } from '../../netlink/address.ts';
import { decodeObject } from '../../netlink/decode.ts';
import { attributeLength, type Datagram, findAttribute, NLA_HDRLEN } from '../../netlink/message.ts';
import { linkAttributes } from '../../netlink/schema/link.ts';
import type { SyncNetlink } from '../../netlink/sync-socket.ts';
import type { LinkMap, RoutingConfig } from './layout.ts';
import type { Family } from './messages.ts';
import { RTM_GETLINK } from './messages.ts';

/** linux/if.h: IFF_UP | IFF_RUNNING | IFF_LOWER_UP. */
const LINK_STATE = 0x1 | 0x40 | 0x10000;

interface TargetLink {
  readonly ifindex: number;
  /** Whether it is up and has carrier, as flags: without, the kernel drops its nexthops. */
  readonly state: number;
  /** Table of a VRF, 0 for other links. */
  readonly vrfTable: number;
}

/** A table of the other kernel that decides for a link of the mirrored one. */
export interface Domain {
  readonly number: number;
  readonly map: LinkMap;
  readonly table: number;
  readonly vrf: number;
  /** By family, as four words; undefined: packets of the family are not decided there. */
  readonly gateways: readonly (readonly number[] | undefined)[];
}

export class Targets {
  readonly maps: readonly LinkMap[];
  readonly domains: readonly Domain[];
  #links = new Map<string, TargetLink>();
  readonly #sources: Int32Array;

  /** `sources`: interface index in the mirrored kernel of each link of the configuration, 0 for none; the host keeps it. */
  constructor({ links }: RoutingConfig, sources: Int32Array) {
    this.maps = links;
    this.#sources = sources;
    this.domains = links
      .filter(({ table }) => table !== undefined)
      .map((map, number) => ({
        number,
        map,
        table: map.table!,
        vrf: map.vrf,
        gateways: [wordsOf(map.gateway), wordsOf(map.gateway6)],
      }));
  }

  load(netlink: SyncNetlink): void {
    const payload = new Uint8Array(16);
    const links = new Map<string, TargetLink>();
    netlink.dump(
      RTM_GETLINK,
      payload,
      () => links.clear(),
      (_type, _flags, _sequence, data, start, end) => {
        const ifindex = data.words[(start + 4) >>> 2]!;
        const state = data.words[(start + 8) >>> 2]! & LINK_STATE;
        links.set(nameOf(data, start, end), { ifindex, state, vrfTable: vrfTable(data, start, end) });
      },
    );
    this.#links = links;
  }

  /** Takes what the kernel announced of a link; whether that concerns one the configuration names. */
  heard(isGone: boolean, data: Datagram, start: number, end: number): boolean {
    const name = nameOf(data, start, end);
    const ifindex = data.words[(start + 4) >>> 2]!;
    const state = data.words[(start + 8) >>> 2]! & LINK_STATE;
    const concerned = this.maps
      .flatMap(({ link, via }) => (via === undefined ? [link] : [link, via]))
      .some((mine) => {
        const known = this.#links.get(mine);
        if (mine !== name || isGone) return known?.ifindex === ifindex;
        return known?.ifindex !== ifindex || known.state !== state;
      });
    for (const [other, known] of this.#links) if (known.ifindex === ifindex) this.#links.delete(other);
    if (!isGone) this.#links.set(name, { ifindex, state, vrfTable: vrfTable(data, start, end) });
    return concerned;
  }

  link(name: string): TargetLink | undefined {
    return this.#links.get(name);
  }

  /** What stands for the link with this index in the mirrored kernel. */
  map(ifindex: number): LinkMap | undefined {
    if (ifindex === 0) return undefined;
    const slot = this.maps.findIndex((_, slot) => Atomics.load(this.#sources, slot) === ifindex);
    return this.maps[slot];
  }

  /** Index in the mirrored kernel of what the link with this index stands for; 0: nothing. */
  sourceOf(ifindex: number): number {
    const slot = this.maps.findIndex(({ link }) => this.#links.get(link)?.ifindex === ifindex);
    return slot < 0 ? 0 : Atomics.load(this.#sources, slot);
  }

  /** Whether the table can hand packets of the family to the mirrored kernel, and by which link. */
  via({ map, gateways }: Domain, family: Family): { oif: number; gateway: readonly number[] } | undefined {
    const oif = map.via === undefined ? undefined : this.#links.get(map.via)?.ifindex;
    const gateway = gateways[family];
    return oif === undefined || gateway === undefined ? undefined : { oif, gateway };
  }
}

function nameOf(data: Datagram, start: number, end: number): string {
  const at = findAttribute(data.words, start + 16, end, linkAttributes.number.ifname);
  if (at < 0) return '';
  const bytes = data.bytes.subarray(at + NLA_HDRLEN, at + attributeLength(data.words, at));
  return Buffer.from(bytes).toString('utf8').split('\0')[0]!;
}

function vrfTable(data: Datagram, start: number, end: number): number {
  const info = decodeObject('link', data.bytes, start, end).linkinfo as
    | { kind?: string; data?: { table?: number } }
    | undefined;
  return info?.kind === 'vrf' ? (info.data?.table ?? 0) : 0;
}

function wordsOf(address: string | undefined): number[] | undefined {
  if (address === undefined || isIP(address) === 0) return undefined;
  const bytes = new Uint8Array(16);
  const parsed = parseIp(address)!;
  bytes.set(parsed, 16 - parsed.length);
  const view = new DataView(bytes.buffer);
  return [0, 4, 8, 12].map((at) => view.getUint32(at));
}
