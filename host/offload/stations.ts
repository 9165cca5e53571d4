/**
 * Stations that hardware saw by itself, or has not seen for the bridge's ageing time. What hardware did not learn first is left where
 * the bridge has it (station-book.ts): a device must not take an address from where the bridge, or somebody, put it.
 */
import { ENTRY_KIND, EVENT_TYPE, type EventRecord, PORT_FLAGS } from '../plugin/records.ts';
import { type Desired, fdbKey, vlanKey } from './desired.ts';
import { indexOfHandle, kindOfHandle } from './entry-table.ts';
import { type KernelView, number32 } from './kernel-view.ts';

/** An address of a bridge, as hardware has it. */
export interface Station {
  /** Interface index of the bridge. */
  readonly bridge: number;
  /** 0 where the bridge does not filter VLANs. */
  readonly vlan: number;
  readonly mac: number;
  /** Of the port that it is behind; 0: it has aged. */
  readonly ifindex: number;
  /** The bridge has an entry of it that says otherwise. */
  readonly isElsewhere: boolean;
}

/** A port that blocks, is locked (802.1X) or whose frames are the kernel's in any other way learns nothing by hardware. */
const LEARNS = PORT_FLAGS.learning | PORT_FLAGS.bridgeForwarding;
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
  if (entry === undefined) return undefined;
  const { bridge, vlan, mac } = entry;
  return { bridge, vlan, mac, ifindex: 0, isElsewhere: false };
}

function learnedStation(
  { port: handle, vlan: tag, mac }: EventRecord,
  desired: Desired,
  view: KernelView,
): Station | undefined {
  const port = portOf(handle, desired);
  if (port === undefined || port.bridge === 0) return undefined;
  if ((port.flags & (LEARNS | PORT_FLAGS.trapAll)) !== LEARNS) return undefined;
  const { bridge, ifindex } = port;
  const { fdb, remotes, vlans } = desired.tables;
  const filters = number32(view.link(bridge)?.data.vlan_filtering) !== 0;
  const vlan = filters ? tag : 0;
  if (mac === 0 || isGroup(mac)) return undefined;
  // Frames of other VLANs the bridge drops before it learns.
  if (filters && vlans.get(vlanKey({ ifindex, vid: vlan }))?.want === undefined) return undefined;
  const key = fdbKey({ bridge, vlan, mac });
  const known = fdb.get(key)?.want;
  if (known?.port === handle || remotes.get(key)?.want !== undefined) return undefined;
  return { bridge, vlan, mac, ifindex, isElsewhere: known !== undefined };
}
