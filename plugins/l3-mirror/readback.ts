/** What the other kernel has, as entries of the plan, a page at a time. */

import { GROUP_MEMBERS, WORDS } from './burst';
import { Batch, OffloadPage, RtnetlinkTable, rtnetlinkRead, U32List } from './ekho';
import { readRemembered } from './remembered';

/** A cursor is the table, with the position in it below. In place of interfaces stands what is remembered. */
const TABLE_SHIFT: u32 = 28;
const POSITION: u32 = (1 << TABLE_SHIFT) - 1;

export function offloadReadback(cursor: u32, limit: u32, result: OffloadPage): void {
  let table = <u8>(cursor >> TABLE_SHIFT);
  let position = cursor & POSITION;
  if (table === RtnetlinkTable.routerInterface) {
    result.next = readRemembered(position, limit, result.entries);
    if (result.next === 0) result.next = cursorOf(RtnetlinkTable.nexthop, 0);
    return;
  }
  // Empty tables are passed over: a page without entries would do, but costs the host a call.
  for (; table <= RtnetlinkTable.fdb; table++, position = 0) {
    const rows = rtnetlinkRead(table, position, rowsOf(table, limit));
    const next = rows[0];
    if (next !== 0) result.next = cursorOf(table, next);
    else result.next = table < RtnetlinkTable.fdb ? cursorOf(table + 1, 0) : 0;
    if (rows.length === 1) continue;
    addEntries(table, rows, result.entries);
    return;
  }
}

function cursorOf(table: u8, position: u32): u32 {
  return ((<u32>table) << TABLE_SHIFT) | position;
}

/** A group is an entry beside its members, and is not split where a page ends. */
function rowsOf(table: u8, limit: u32): u32 {
  if (table !== RtnetlinkTable.group) return limit;
  return limit > 4 * GROUP_MEMBERS ? limit / 4 : 1;
}

function addEntries(table: u8, rows: U32List, page: Batch): void {
  for (let at = 1; at < rows.length; at += WORDS[table]) {
    if (table === RtnetlinkTable.nexthop) addNexthop(rows, at, page);
    else if (table === RtnetlinkTable.group) addMember(rows, at, page);
    else if (table === RtnetlinkTable.route) addRoute(rows, at, page);
    else addFdbEntry(rows, at, page);
  }
}

function wide(rows: U32List, at: i32): u64 {
  return ((<u64>rows[at]) << 32) | rows[at + 1];
}

function addNexthop(rows: U32List, at: i32, page: Batch): void {
  const it = page.nexthops.add();
  it.handle = rows[at];
  it.action = <u8>rows[at + 1];
  it.family = <u8>rows[at + 2];
  it.routerInterface = rows[at + 3];
  it.ifindex = rows[at + 4];
  it.gateway.high = wide(rows, at + 5);
  it.gateway.low = wide(rows, at + 7);
  it.destinationMac = wide(rows, at + 9);
}

/** The first row of a group begins it. */
function addMember(rows: U32List, at: i32, page: Batch): void {
  const groups = page.groups;
  const members = page.members;
  const last = groups.length - 1;
  if (last < 0 || groups[last].handle !== rows[at]) {
    const begun = groups.add();
    begun.handle = rows[at];
    begun.id = rows[at + 1];
    begun.first = members.length;
  }
  groups[groups.length - 1].count++;
  const member = members.add();
  member.group = rows[at];
  member.nexthop = rows[at + 2];
  member.weight = rows[at + 3];
}

function addRoute(rows: U32List, at: i32, page: Batch): void {
  const it = page.routes.add();
  it.handle = rows[at];
  it.vrf = rows[at + 1];
  it.family = <u8>rows[at + 2];
  it.prefixLength = <u8>rows[at + 3];
  it.action = <u8>rows[at + 4];
  it.group = rows[at + 5];
  it.prefix.high = wide(rows, at + 6);
  it.prefix.low = wide(rows, at + 8);
}

function addFdbEntry(rows: U32List, at: i32, page: Batch): void {
  const it = page.fdbEntries.add();
  it.handle = rows[at];
  it.bridge = rows[at + 1];
  it.vlan = <u16>rows[at + 2];
  it.action = <u8>rows[at + 3];
  it.port = rows[at + 4];
  it.mac = wide(rows, at + 6);
}
