/**
 * l3-mirror: the plan's routes, groups, nexthops, neighbours and bridge entries into another kernel, by the device
 * `rtnetlink` (wit/host.wit). This file says who the plugin is and what it can do:
 *
 *     burst.ts       rows on their way to the device
 *     apply.ts       changes of the plan as rows
 *     readback.ts    what the other kernel has, as the plan's entries
 *     remembered.ts  what it has no place for
 *
 * In AssemblyScript; `ekho plugin build` writes the bindings, ekho.ts, from wit/.
 */

import { GROUP_MEMBERS } from './burst';
import {
  EventList,
  EventType,
  Kind,
  LogLevel,
  logWrite,
  NoticeList,
  PluginDescription,
  PluginSettingList,
  RtnetlinkTable,
  rtnetlinkCapacity,
  rtnetlinkEpoch,
  rtnetlinkUsed,
  StatsPage,
  TableUsageList,
} from './ekho';
import { INTERFACES_MAX, interfacesHeld, PORTS_MAX, portsHeld } from './remembered';

export { offloadApply } from './apply';
export { offloadReadback } from './readback';

/** Kinds of the plan that the other kernel holds, and the device's tables for them. */
const KINDS: StaticArray<u8> = [Kind.nexthop, Kind.group, Kind.route, Kind.fdbEntry];
const TABLES: StaticArray<u8> = [
  RtnetlinkTable.nexthop,
  RtnetlinkTable.group,
  RtnetlinkTable.route,
  RtnetlinkTable.fdb,
];
const POLL_INTERVAL_MS: u32 = 500;

/** Of the other kernel's links and nexthops: another number means that somebody changed them. */
let epoch: u32 = 0;

export function pluginDescribe(result: PluginDescription): void {
  result.vendor = 'EKHO';
  result.name = 'l3-mirror';
  result.version = '0.1.0';
  result.groupMembers = GROUP_MEMBERS;
  result.vlanInterfaces = true;
  result.pollInterval = POLL_INTERVAL_MS;
  // Without a place in the other kernel, these two are gone when the plugin ends.
  add(result, Kind.port, PORTS_MAX, false);
  add(result, Kind.routerInterface, INTERFACES_MAX, false);
  for (let i = 0; i < KINDS.length; i++) add(result, KINDS[i], rtnetlinkCapacity(TABLES[i]), true);
}

/** A kind of entry it holds. None of them counts: the other kernel counts neither routes nor nexthops by packets and bytes. */
function add(result: PluginDescription, kind: u8, capacity: u32, readsBack: bool): void {
  const ability = result.abilities.add();
  ability.kind = kind;
  ability.capacity = capacity;
  ability.updateInPlace = true;
  ability.readsBack = readsBack;
}

export function pluginConfigure(settings: PluginSettingList): string | null {
  return settings.length === 0
    ? null
    : `it has no setting ${settings[0].name}: the device has them, in its own section`;
}

export function pluginStart(): string | null {
  epoch = rtnetlinkEpoch();
  logWrite(LogLevel.info, 'started');
  return null;
}

/** What was written stays. */
export function pluginStop(): void {}

/** When somebody else changes the other kernel's links or nexthops, it may have lost routes: the host reads back and mends. */
export function offloadPoll(result: EventList): void {
  const now = rtnetlinkEpoch();
  if (now === epoch) return;
  epoch = now;
  logWrite(LogLevel.warn, 'links, nexthops or bridge entries changed in the other kernel');
  result.add().eventType = EventType.deviceReset;
}

export function offloadTables(result: TableUsageList): void {
  addUsage(result, Kind.port, PORTS_MAX, portsHeld());
  addUsage(result, Kind.routerInterface, INTERFACES_MAX, interfacesHeld());
  for (let i = 0; i < KINDS.length; i++)
    addUsage(result, KINDS[i], rtnetlinkCapacity(TABLES[i]), rtnetlinkUsed(TABLES[i]));
}

function addUsage(result: TableUsageList, kind: u8, capacity: u32, used: u32): void {
  const usage = result.add();
  usage.kind = kind;
  usage.capacity = capacity;
  usage.used = used;
}

export function statsCollect(_cursor: u32, _limit: u32, _result: StatsPage): void {}

/** It asks for none. */
export function notifierNotify(_notices: NoticeList): void {}
