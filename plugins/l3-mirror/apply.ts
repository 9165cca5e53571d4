/** Changes of the plan as rows of the device, in the order of the batch: every reference is then valid. */

import { addRow, beginBatch, beginEntry, put, putWide, send } from './burst';
import {
  Batch,
  FdbEntry,
  Group,
  MemberList,
  Nexthop,
  Operation,
  OutcomeList,
  Reason,
  Route,
  RouterInterface,
  RtnetlinkTable,
  Status,
} from './ekho';
import { ifindexOf, keepInterface, keepPort } from './remembered';

export function offloadApply(changes: Batch, outcomes: OutcomeList): void {
  beginBatch();
  for (let i = 0; i < changes.ports.length; i++) {
    if (!keepPort(changes.ports[i])) refuse(changes.ports[i].handle, outcomes);
  }
  for (let i = 0; i < changes.routerInterfaces.length; i++) {
    const it = changes.routerInterfaces[i];
    if (keepInterface(it)) applyInterface(it, outcomes);
    else refuse(it.handle, outcomes);
  }
  for (let i = 0; i < changes.nexthops.length; i++) applyNexthop(changes.nexthops[i], outcomes);
  for (let i = 0; i < changes.groups.length; i++) applyGroup(changes.groups[i], changes.members, outcomes);
  for (let i = 0; i < changes.routes.length; i++) applyRoute(changes.routes[i], outcomes);
  for (let i = 0; i < changes.fdbEntries.length; i++) applyFdbEntry(changes.fdbEntries[i], outcomes);
  send(outcomes);
}

function refuse(handle: u32, outcomes: OutcomeList): void {
  const outcome = outcomes.add();
  outcome.handle = handle;
  outcome.status = Status.refused;
  outcome.reason = Reason.tableFull;
}

function applyInterface(it: RouterInterface, outcomes: OutcomeList): void {
  beginEntry(RtnetlinkTable.routerInterface, it.operation, outcomes);
  const at = addRow(it.handle);
  if (it.operation === Operation.remove) return;
  put(at, it.ifindex);
  put(at + 1, it.vrf);
  put(at + 2, it.flags);
}

function applyNexthop(it: Nexthop, outcomes: OutcomeList): void {
  beginEntry(RtnetlinkTable.nexthop, it.operation, outcomes);
  const at = addRow(it.handle);
  if (it.operation === Operation.remove) return;
  put(at, it.action);
  put(at + 1, it.family);
  put(at + 2, it.routerInterface);
  put(at + 3, it.ifindex);
  putWide(at + 4, it.gateway.high);
  putWide(at + 6, it.gateway.low);
  putWide(at + 8, it.destinationMac);
}

/** One row for each member. */
function applyGroup(it: Group, members: MemberList, outcomes: OutcomeList): void {
  beginEntry(RtnetlinkTable.group, it.operation, outcomes);
  if (it.operation === Operation.remove) {
    addRow(it.handle);
    return;
  }
  for (let i: u32 = 0; i < it.count; i++) {
    const member = members[it.first + i];
    const at = addRow(it.handle);
    put(at, it.id);
    put(at + 1, member.nexthop);
    put(at + 2, member.weight);
  }
}

function applyRoute(it: Route, outcomes: OutcomeList): void {
  beginEntry(RtnetlinkTable.route, it.operation, outcomes);
  const at = addRow(it.handle);
  if (it.operation === Operation.remove) return;
  put(at, it.vrf);
  put(at + 1, it.family);
  put(at + 2, it.prefixLength);
  put(at + 3, it.action);
  put(at + 4, it.group);
  putWide(at + 5, it.prefix.high);
  putWide(at + 7, it.prefix.low);
}

function applyFdbEntry(it: FdbEntry, outcomes: OutcomeList): void {
  beginEntry(RtnetlinkTable.fdb, it.operation, outcomes);
  const at = addRow(it.handle);
  if (it.operation === Operation.remove) return;
  put(at, it.bridge);
  put(at + 1, it.vlan);
  put(at + 2, it.action);
  put(at + 3, it.port);
  put(at + 4, ifindexOf(it.port));
  putWide(at + 5, it.mac);
}
