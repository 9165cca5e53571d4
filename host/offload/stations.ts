/**
 * Stations that hardware saw by itself, or has not seen for the bridge's ageing time. What the kernel's bridge has an entry of is left
 * as it is: a device must not take an address from where the bridge, or somebody, put it.
 */
import { ENTRY_KIND, EVENT_TYPE, type EventRecord, PORT_FLAGS } from '../plugin/records.ts';
import { type Desired, fdbKey } from './desired.ts';
import { indexOfHandle, kindOfHandle } from './entry-table.ts';
import { type KernelView, number32 } from './kernel-view.ts';

/** An address behind a port of a bridge. */
export interface Station {
  readonly ifindex: number;
  /** 0 where the bridge does not filter VLANs. */
  readonly vlan: number;
  readonly mac: number;
  /** It has aged. */
  readonly isGone: boolean;
}

/** A port that blocks, is locked (802.1X) or whose frames are the kernel's in any other way learns nothing by hardware. */
const LEARNS = PORT_FLAGS.learning | PORT_FLAGS.bridgeForwarding;
const VLAN_MAX = 4094;
const GROUP_BIT = 2 ** 40;

const isGroup = (mac: number) => Math.floor(mac / GROUP_BIT) % 2 === 1;

/** The station of an event `mac-learned` or `mac-aged`; undefined where there is nothing to tell the kernel. */
export function stationOf(event: EventRecord, desired: Desired, view: KernelView): Station | undefined {
  return event.eventType === EVENT_TYPE.macAged
    ? agedStation(event.handle, desired)
    : learnedStation(event, desired, view);
}

function portOf(handle: number, desired: Desired) {
  if (kindOfHandle(handle) !== ENTRY_KIND.port) return undefined;
  return desired.tables.ports.byIndex(indexOfHandle(handle))?.want;
}

function agedStation(handle: number, desired: Desired): Station | undefined {
  if (kindOfHandle(handle) !== ENTRY_KIND.fdbEntry) return undefined;
  const entry = desired.tables.fdb.byIndex(indexOfHandle(handle))?.want;
  const port = entry && portOf(entry.port, desired);
  return port && { ifindex: port.ifindex, vlan: entry!.vlan, mac: entry!.mac, isGone: true };
}

function learnedStation(
  { port: handle, vlan: tag, mac }: EventRecord,
  desired: Desired,
  view: KernelView,
): Station | undefined {
  const port = portOf(handle, desired);
  if (port === undefined || port.bridge === 0) return undefined;
  if ((port.flags & (LEARNS | PORT_FLAGS.trapAll)) !== LEARNS) return undefined;
  const filters = number32(view.link(port.bridge)?.data.vlan_filtering) !== 0;
  const vlan = filters ? tag : 0;
  if (mac === 0 || isGroup(mac) || vlan > VLAN_MAX || (filters && vlan === 0)) return undefined;
  const key = fdbKey({ bridge: port.bridge, vlan, mac });
  const { fdb, remotes } = desired.tables;
  if (fdb.get(key)?.want !== undefined || remotes.get(key)?.want !== undefined) return undefined;
  return { ifindex: port.ifindex, vlan, mac, isGone: false };
}
