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
  readonly isBridge: boolean;
  /** Interface index of the bridge or VRF it is a port of, 0 for none. */
  readonly master: number;
}

/** A bridge of the other kernel that stands for one of the mirrored kernel. */
export interface Bridge {
  readonly name: string;
  readonly ifindex: number;
  readonly map: LinkMap;
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
        links.set(nameOf(data, start, end), linkIn(data, start, end));
      },
    );
    this.#links = links;
  }

  /** Takes what the kernel announced of a link; whether that concerns one the configuration names. */
  heard(isGone: boolean, data: Datagram, start: number, end: number): boolean {
    const name = nameOf(data, start, end);
    const now = linkIn(data, start, end);
    const { ifindex, state, master } = now;
    const concerned = this.maps
      .flatMap(({ link, via }) => (via === undefined ? [link] : [link, via]))
      .some((mine) => {
        const known = this.#links.get(mine);
        if (mine !== name || isGone) return known?.ifindex === ifindex;
        return known?.ifindex !== ifindex || known.state !== state || known.master !== master;
      });
    for (const [other, known] of this.#links) if (known.ifindex === ifindex) this.#links.delete(other);
    if (!isGone) this.#links.set(name, now);
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

  /** Those that are there in both kernels. */
  bridges(): Bridge[] {
    return this.maps.flatMap((map, slot) => {
      const link = this.#links.get(map.link);
      const isThere = link?.isBridge && Atomics.load(this.#sources, slot) !== 0;
      return isThere ? [{ name: map.link, ifindex: link.ifindex, map }] : [];
    });
  }

  /** What stands for the bridge with this index in the mirrored kernel. */
  bridgeOf(source: number): Bridge | undefined {
    const map = this.map(source);
    return map && this.bridges().find((bridge) => bridge.map === map);
  }

  /** Whether it is the port by which a bridge hands frames to the mirrored kernel. */
  isWayToHost(ifindex: number): boolean {
    return this.bridges().some(
      ({ map }) => map.via !== undefined && this.#links.get(map.via)?.ifindex === ifindex,
    );
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

function linkIn(data: Datagram, start: number, end: number): TargetLink {
  const { linkinfo, master } = decodeObject('link', data.bytes, start, end) as {
    linkinfo?: { kind?: string; data?: { table?: number } };
    master?: number;
  };
  return {
    ifindex: data.words[(start + 4) >>> 2]!,
    state: data.words[(start + 8) >>> 2]! & LINK_STATE,
    vrfTable: linkinfo?.kind === 'vrf' ? (linkinfo.data?.table ?? 0) : 0,
    isBridge: linkinfo?.kind === 'bridge',
    master: master ?? 0,
  };
}

function wordsOf(address: string | undefined): number[] | undefined {
  if (address === undefined || isIP(address) === 0) return undefined;
  const bytes = new Uint8Array(16);
  const parsed = parseIp(address)!;
  bytes.set(parsed, 16 - parsed.length);
  const view = new DataView(bytes.buffer);
  return [0, 4, 8, 12].map((at) => view.getUint32(at));
}
