/**
 * Addresses that hardware learned and the kernel's bridges have for it: where each of them is, what the kernel is still to be told,
 * and which of them a bridge has taken for its own or given up.
 */
import { fdbKey } from './desired.ts';
import type { Station } from './stations.ts';

/** Addresses that are remembered, until hardware or the bridge forgets them. What is learned beyond them the kernel is not told. */
const STATIONS_MAX = 65_536;

/** Which entry of a bridge. */
type Address = Pick<Station, 'bridge' | 'vlan' | 'mac'>;

/** What to tell the kernel of a port's entry. */
export interface StationNews {
  readonly key: string;
  /** Interface index of the port. */
  readonly place: number;
  readonly vlan: number;
  readonly mac: number;
  /** It is not there any more. */
  readonly isGone: boolean;
}

interface Held {
  readonly vlan: number;
  readonly mac: number;
  /** Whose hardware saw it last. */
  plugin: string;
  /** Port it is behind; 0: it has aged. */
  ifindex: number;
  /** Port the kernel was told, 0 before it was. */
  told: number;
  /** The bridge's entry is its own: it saw the address itself, or somebody set it. */
  isTaken: boolean;
}

export class StationBook {
  readonly #held = new Map<string, Held>();
  /** Keys of those that there is news of. */
  readonly #heard = new Set<string>();
  readonly #limit: number;

  constructor(limit = STATIONS_MAX) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#held.size;
  }

  get isFull(): boolean {
    return this.#held.size >= this.#limit;
  }

  has(address: Address): boolean {
    return this.#held.get(fdbKey(address))?.isTaken === false;
  }

  /**
   * Hardware learned an address, saw it at another port or has not seen it for long. What is elsewhere moves only if hardware
   * learned it: where others put an address it stays.
   * @param plugin whose hardware says so
   * @returns false where there is no room for it
   */
  hear(station: Station, plugin: string): boolean {
    const key = fdbKey(station);
    const held = this.#held.get(key);
    const { vlan, mac, ifindex } = station;
    const isOfKnown = ifindex === 0 || station.isElsewhere;
    if (held === undefined || held.isTaken) {
      if (isOfKnown) return true;
      if (held === undefined && this.isFull) return false;
      this.#held.set(key, { vlan, mac, plugin, ifindex, told: 0, isTaken: false });
    } else {
      held.ifindex = ifindex;
      held.plugin = plugin;
    }
    this.#heard.add(key);
    return true;
  }

  /** What the kernel is to be told, in order; it counts as told. */
  *news(): Generator<StationNews> {
    for (const key of this.#heard) {
      this.#heard.delete(key);
      const held = this.#held.get(key);
      if (held === undefined || held.isTaken) continue;
      const { vlan, mac, ifindex, told } = held;
      held.told = ifindex;
      if (ifindex === 0) this.#held.delete(key);
      if (told !== 0 && told !== ifindex) yield { key, place: told, vlan, mac, isGone: true };
      if (ifindex !== 0) yield { key, place: ifindex, vlan, mac, isGone: false };
    }
  }

  /** All of it is to go, or what a plugin's hardware saw: nobody will say when it has aged. */
  forgetAll(plugin?: string): void {
    for (const [key, held] of this.#held) {
      if (plugin !== undefined && held.plugin !== plugin) continue;
      held.ifindex = 0;
      this.#heard.add(key);
    }
  }

  /** The kernel would not have it: its port has left the bridge, say. */
  refused(key: string): void {
    const held = this.#held.get(key);
    if (held === undefined) return;
    held.told = 0;
    if (!this.#heard.has(key)) this.#held.delete(key);
  }

  /** The bridge's entry came or changed: `isOwn` says whether the bridge learned it, or somebody set it. */
  seen(address: Address, isOwn: boolean): void {
    const held = this.#held.get(fdbKey(address));
    if (held !== undefined) held.isTaken = isOwn;
  }

  /** The bridge has no entry of it at a port any more. */
  left(address: Address, ifindex: number): void {
    const key = fdbKey(address);
    const held = this.#held.get(key);
    if (held?.isTaken === true) this.#held.delete(key);
    else if (held?.told === ifindex) this.refused(key);
  }
}
