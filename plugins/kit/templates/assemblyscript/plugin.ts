/**
 * @NAME@, a plugin that routes: ports, router interfaces, nexthops, groups and routes, on the simulated switch ASIC
 * (docs/asic.md). To make it one for your hardware, replace the rows and the device functions it calls: asic….
 *
 * It remembers nothing. An entry's slot comes from its handle (the host counts indexes from 0 to below the capacity), and the
 * cookie of its row is the handle, so after a restart `offloadReadback` tells the host all that the hardware still holds.
 */
import {
  AsicCompletion, AsicStatus, AsicTable, Batch, EventList, EventType, Kind, LogLevel, NoticeList, OffloadPage, Operation,
  OutcomeList, PluginDescription, PluginSettingList, Reason, StatsPage, Status, TableUsageList, U32List,
  asicCounters, asicEpoch, asicInfo, asicRead, asicRemove, asicWrite, logWrite,
} from "./ekho";

const NO_SLOT: u32 = 0xffffffff;
const MEMBERS_MAX: u32 = 64;
const TABLES: u32 = 6, GROUPS: u32 = 3;

/** The tables it uses, in the order of their kinds: routes have two. */
const tableOf: StaticArray<u8> = [
  AsicTable.port, AsicTable.routerInterface, AsicTable.nexthop, AsicTable.group, AsicTable.lpm4, AsicTable.lpm6,
];
const kindOf: StaticArray<u8> = [Kind.port, Kind.routerInterface, Kind.nexthop, Kind.group, Kind.route, Kind.route];
const words = new StaticArray<u32>(TABLES), keyWords = new StaticArray<u32>(TABLES), capacity = new StaticArray<u32>(TABLES);
const row = new StaticArray<u32>(4 + 2 * 64);
let epoch: u32 = 0;
function slotOf(kind: u32, handle: u32): u32 {
  return handle >> 28 == kind + 1 ? handle & 0x0fffffff : NO_SLOT;
}
function handleOf(kind: u32, slot: u32): u32 {
  return slot == NO_SLOT ? 0 : ((kind + 1) << 28) | slot;
}

/** Who it is and what it can do: the host never asks for more. */
export function pluginDescribe(result: PluginDescription): void {
  result.vendor = "@NAME@"; result.name = "@NAME@"; result.version = "0.1.0";
  result.groupMembers = MEMBERS_MAX; result.reversePath = true; result.vlanInterfaces = true; result.pollInterval = 200;
  for (let i: u32 = 0; i < TABLES; i++) {
    const info = asicInfo(tableOf[i]);
    words[i] = info.words; keyWords[i] = info.keyWords; capacity[i] = info.capacity;
    const ability = i < 5 ? result.abilities.add() : result.abilities[4];
    ability.kind = kindOf[i]; ability.capacity += info.capacity;
    ability.updateInPlace = ability.counts = ability.readsBack = true;
  }
}

/** It has no settings of its own. */
export function pluginConfigure(settings: PluginSettingList): string | null {
  return settings.length == 0 ? null : "there is no setting " + settings[0].name;
}

export function pluginStart(): string | null {
  epoch = asicEpoch();
  logWrite(LogLevel.info, "started");
  return null;
}
export function pluginStop(): void {}

/** One change: `row` as the ASIC wants it, its key behind the cookie. Adds an outcome when it was not plainly carried out. */
function carryOut(table: u32, operation: u8, outcomes: OutcomeList): void {
  const done: AsicCompletion = operation == Operation.put
    ? asicWrite(tableOf[table], row, 0, words[table])
    : asicRemove(tableOf[table], row, 1, keyWords[table]);
  // Removing what is not there leaves nothing to do.
  if (done.status == AsicStatus.ok || done.status == AsicStatus.missing) return;
  const outcome = outcomes.add();
  outcome.handle = row[0]; outcome.detail = done.status; outcome.status = Status.refused; outcome.reason = Reason.invalid;
  if (done.status == AsicStatus.tableFull || (table <= GROUPS && row[1] >= capacity[table])) outcome.reason = Reason.tableFull;
  // What may go well the next time has failed; the host asks again.
  if (done.status == AsicStatus.ioError) { outcome.status = Status.failed; outcome.reason = Reason.deviceError; }
  if (done.status == AsicStatus.poweredOff) { outcome.status = Status.failed; outcome.reason = Reason.deviceOff; }
}

function putWide(at: u32, value: u64): void { row[at] = <u32>(value >> 32); row[at + 1] = <u32>value; }
function wide(rows: U32List, at: i32): u64 { return (<u64>rows[at] << 32) | rows[at + 1]; }
/** Counters have the lower word first. */
function wideLow(rows: U32List, at: i32): u64 { return (<u64>rows[at + 1] << 32) | rows[at]; }

export function offloadApply(changes: Batch, result: OutcomeList): void {
  for (let i = 0; i < changes.ports.length; i++) {
    const it = changes.ports[i];
    row[0] = it.handle; row[1] = slotOf(Kind.port, it.handle); row[2] = it.ifindex; row[3] = it.mtu;
    putWide(4, it.mac); row[6] = it.bridge; row[7] = it.flags;
    carryOut(0, it.operation, result);
  }
  for (let i = 0; i < changes.routerInterfaces.length; i++) {
    const it = changes.routerInterfaces[i];
    row[0] = it.handle; row[1] = slotOf(Kind.routerInterface, it.handle);
    row[2] = slotOf(Kind.port, it.port); row[3] = it.ifindex; row[4] = it.vrf;
    putWide(5, it.mac); row[7] = it.mtu; row[8] = it.vlan; row[9] = it.flags;
    carryOut(1, it.operation, result);
  }
  for (let i = 0; i < changes.nexthops.length; i++) {
    const it = changes.nexthops[i];
    row[0] = it.handle; row[1] = slotOf(Kind.nexthop, it.handle); row[2] = it.action;
    row[3] = slotOf(Kind.routerInterface, it.routerInterface); row[4] = it.family; row[5] = it.ifindex;
    putWide(6, it.gateway.high); putWide(8, it.gateway.low); putWide(10, it.destinationMac);
    carryOut(2, it.operation, result);
  }
  for (let i = 0; i < changes.groups.length; i++) {
    const it = changes.groups[i];
    row.fill(0);
    row[0] = it.handle; row[1] = slotOf(Kind.group, it.handle); row[2] = it.id; row[3] = it.count;
    for (let m: u32 = 0; m < it.count && m < MEMBERS_MAX; m++) {
      const member = changes.members[it.first + m];
      row[4 + 2 * m] = slotOf(Kind.nexthop, member.nexthop); row[5 + 2 * m] = member.weight;
    }
    carryOut(GROUPS, it.operation, result);
  }
  for (let i = 0; i < changes.routes.length; i++) {
    const it = changes.routes[i];
    const six: u32 = it.family;
    row[0] = it.handle; row[1] = it.vrf; row[2] = <u32>it.prefix.low;
    if (six) { putWide(2, it.prefix.high); putWide(4, it.prefix.low); }
    const at = six ? 6 : 3;
    row[at] = it.prefixLength; row[at + 1] = it.action; row[at + 2] = slotOf(Kind.group, it.group);
    carryOut(4 + six, it.operation, result);
  }
}

/** Of a page: its table, and where to go on. A cursor is the table in the upper 4 bits, the ASIC's own below. */
let pageTable: u32 = 0, pageNext: u32 = 0;

/** The rows from a cursor on, behind one word; null when there are none any more. */
function nextRows(counters: bool, cursor: u32, limit: u32): U32List | null {
  let position = cursor & 0x0fffffff;
  for (pageTable = cursor >> 28; pageTable < TABLES; pageTable++, position = 0) {
    // Members of a group count as entries too.
    const most: u32 = pageTable == GROUPS ? max<u32>(1, limit / (1 + MEMBERS_MAX)) : limit;
    const rows = counters ? asicCounters(tableOf[pageTable], position, most) : asicRead(tableOf[pageTable], position, most);
    pageNext = rows[0] != 0 ? (pageTable << 28) | rows[0] : pageTable + 1 < TABLES ? (pageTable + 1) << 28 : 0;
    if (rows.length > 1) return rows;
  }
  pageNext = 0;
  return null;
}

export function offloadReadback(cursor: u32, limit: u32, result: OffloadPage): void {
  const rows = nextRows(false, cursor, limit);
  result.next = pageNext;
  if (rows === null) return;
  const page = result.entries;
  for (let at: i32 = 1; at < rows.length; at += words[pageTable]) {
    if (pageTable == 0) {
      const it = page.ports.add();
      it.handle = rows[at]; it.ifindex = rows[at + 2]; it.mtu = rows[at + 3]; it.mac = wide(rows, at + 4);
      it.bridge = rows[at + 6]; it.flags = <u8>rows[at + 7];
    } else if (pageTable == 1) {
      const it = page.routerInterfaces.add();
      it.handle = rows[at]; it.port = handleOf(Kind.port, rows[at + 2]); it.ifindex = rows[at + 3]; it.vrf = rows[at + 4];
      it.mac = wide(rows, at + 5); it.mtu = rows[at + 7]; it.vlan = <u16>rows[at + 8]; it.flags = <u8>rows[at + 9];
    } else if (pageTable == 2) {
      const it = page.nexthops.add();
      it.handle = rows[at]; it.action = <u8>rows[at + 2]; it.routerInterface = handleOf(Kind.routerInterface, rows[at + 3]);
      it.family = <u8>rows[at + 4]; it.ifindex = rows[at + 5]; it.gateway.high = wide(rows, at + 6);
      it.gateway.low = wide(rows, at + 8); it.destinationMac = wide(rows, at + 10);
    } else if (pageTable == GROUPS) {
      const it = page.groups.add();
      it.handle = rows[at]; it.id = rows[at + 2]; it.count = rows[at + 3]; it.first = page.members.length;
      for (let m: u32 = 0; m < it.count; m++) {
        const member = page.members.add();
        member.group = it.handle; member.weight = rows[at + 5 + 2 * m];
        member.nexthop = handleOf(Kind.nexthop, rows[at + 4 + 2 * m]);
      }
    } else {
      const it = page.routes.add(), six = pageTable == 5, rest = at + (six ? 6 : 3);
      it.handle = rows[at]; it.vrf = rows[at + 1]; it.family = six ? 1 : 0;
      it.prefix.high = six ? wide(rows, at + 2) : 0; it.prefix.low = six ? wide(rows, at + 4) : rows[at + 2];
      it.prefixLength = <u8>rows[rest]; it.action = <u8>rows[rest + 1]; it.group = handleOf(Kind.group, rows[rest + 2]);
    }
  }
}

export function statsCollect(cursor: u32, limit: u32, result: StatsPage): void {
  const rows = nextRows(true, cursor, limit);
  result.next = pageNext;
  if (rows === null) return;
  for (let at = 1; at < rows.length; at += 7) {
    const counter = result.counters.add();
    counter.handle = rows[at]; counter.packets = wideLow(rows, at + 1);
    counter.bytes = wideLow(rows, at + 3); counter.lastUsed = wideLow(rows, at + 5);
  }
}

/** The ASIC has one thing to say: that it lost its tables. The host then reads back and programs it again. */
export function offloadPoll(result: EventList): void {
  if (asicEpoch() == epoch) return;
  epoch = asicEpoch();
  result.add().eventType = EventType.deviceReset;
}

export function offloadTables(result: TableUsageList): void {
  for (let i: u32 = 0; i < TABLES; i++) {
    const usage = result.add();
    usage.kind = kindOf[i]; usage.capacity = capacity[i]; usage.used = asicInfo(tableOf[i]).used;
  }
}

/** What happens in the kernel reaches the hardware as changes. */
export function notifierNotify(notices: NoticeList): void {}
