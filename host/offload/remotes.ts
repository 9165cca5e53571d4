/**
 * Stations behind tunnels. The kernel knows them twice: the bridge that they are behind the VXLAN link, and the link at which
 * address. An entry needs both.
 */

import { ENTRY_KIND, type RemoteRecord } from '../plugin/records.ts';
import type { Words } from './codecs.ts';
import type { EntryCodec } from './entry-table.ts';
import type { NeighbourReader } from './neighbour-reader.ts';
import type { TunnelWant } from './tunnels.ts';

export interface RemoteWant {
  readonly tunnel: number;
  readonly bridge: number;
  readonly vlan: number;
  readonly mac: number;
  readonly address: Words;
}

export const remoteCodec: EntryCodec<RemoteWant> = {
  kind: ENTRY_KIND.remote,
  isLeaf: true,
  equal: (a, b) =>
    a.tunnel === b.tunnel &&
    a.bridge === b.bridge &&
    a.vlan === b.vlan &&
    a.mac === b.mac &&
    a.address.every((word, index) => word === b.address[index]),
  size: () => 1,
  encode(encoder, operation, handle, want) {
    const record = encoder.remote(operation, handle);
    record.tunnel = want.tunnel;
    record.bridge = want.bridge;
    record.vlan = want.vlan;
    record.mac = want.mac;
    record.setAddress(...want.address);
  },
};

/** What a remote read back says. */
export function remoteWantOf(record: RemoteRecord): RemoteWant {
  const { tunnel, bridge, vlan, mac } = record;
  const address = [record.address0, record.address1, record.address2, record.address3] as const;
  return { tunnel, bridge, vlan, mac, address };
}

/** An entry of a VXLAN link's own table. */
interface Own {
  readonly id: number;
  /** Of IPv4; 0 for what no entry can say: no address, several, IPv6, another port or VNI, a nexthop group. */
  readonly address: number;
  /** Interface index that its packets leave by, 0 for any. */
  readonly link: number;
}

export class Remotes {
  /** By link and MAC. */
  readonly #own = new Map<string, Own>();
  readonly #ownKeys = new Map<number, string>();
  /** Mirror ids of the bridge's entries, by link and MAC. */
  readonly #bridged = new Map<string, Set<number>>();
  readonly #bridgedKeys = new Map<number, string>();

  /** The entry with this mirror id is of a VXLAN link's own table now; undefined: it is not, or is gone. Returns the bridge's entries it concerns. */
  setOwn(id: number, reader: NeighbourReader | undefined): readonly number[] {
    const concerned = new Set<number>();
    const note = (key: string) => {
      for (const bridged of this.#bridged.get(key) ?? []) concerned.add(bridged);
    };
    const before = this.#ownKeys.get(id);
    if (before !== undefined) {
      this.#ownKeys.delete(id);
      if (this.#own.get(before)?.id === id) this.#own.delete(before);
      note(before);
    }
    if (reader !== undefined) {
      const key = keyOf(reader.ifindex, reader.mac);
      const isPlain = reader.addressBytes === 4 && !reader.isSpecialRemote;
      this.#ownKeys.set(id, key);
      this.#own.set(key, { id, address: isPlain ? reader.address[3]! : 0, link: reader.remoteLink });
      note(key);
    }
    return [...concerned];
  }

  /** The bridge's entry with this mirror id is of a MAC at that link; undefined: it is gone. */
  setBridged(id: number, place: { readonly ifindex: number; readonly mac: number } | undefined): void {
    const before = this.#bridgedKeys.get(id);
    const key = place === undefined ? undefined : keyOf(place.ifindex, place.mac);
    if (before === key) return;
    if (before !== undefined) {
      const ids = this.#bridged.get(before);
      ids?.delete(id);
      if (ids?.size === 0) this.#bridged.delete(before);
      this.#bridgedKeys.delete(id);
    }
    if (key === undefined) return;
    const ids = this.#bridged.get(key) ?? new Set();
    ids.add(id);
    this.#bridged.set(key, ids);
    this.#bridgedKeys.set(id, key);
  }

  /** Where a station's frames go; undefined where no entry can say. `handle` is the tunnel's. */
  want(tunnel: TunnelWant, handle: number, mac: number): RemoteWant | undefined {
    const own = this.#own.get(keyOf(tunnel.ifindex, mac));
    if (own === undefined || own.address === 0 || own.link !== tunnel.link) return undefined;
    // Groups, and what no packet is sent to.
    if (own.address >>> 28 >= 14 || own.address >>> 24 === 0 || own.address >>> 24 === 127) return undefined;
    return {
      tunnel: handle,
      bridge: tunnel.bridge,
      vlan: tunnel.vlan,
      mac,
      address: [0, 0, 0, own.address],
    };
  }

  /** Mirror id of the VXLAN link's own entry for what the bridge's entry names. */
  ownOf(bridged: number): number | undefined {
    return this.#own.get(this.#bridgedKeys.get(bridged) ?? '')?.id;
  }
}

function keyOf(ifindex: number, mac: number): string {
  return `${ifindex}/${mac}`;
}
