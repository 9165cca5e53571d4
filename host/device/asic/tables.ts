/**
 * Rows of the ASIC's tables: put, remove, find. Works on the shared memory alone, so both threads can hold one; only the
 * worker side changes rows.
 *
 * A row stays in its slot for as long as it is held, so paging by slot shows each row once, and counters stay beside it.
 * Tables matched by content have a hash index of {hash, slot plus one} with linear probing, at most half full; removal
 * shifts later pairs back, so there are no tombstones and probing never degrades.
 *
 * What is true are the rows and their state words. Index, order, length and reference counts and free lists are derived,
 * and rebuilt when the memory is opened: a process may die between any two stores. A new row's state word is its last
 * store, a removed row's its first; a replacement is copied to the journal before it is carried out.
 */

import {
  ACL,
  COUNTER_WORDS,
  FDB,
  GROUP,
  GROUP_FIRST_MEMBER,
  GROUP_MEMBERS,
  HEAD,
  HEADER,
  LPM4,
  LPM6,
  MDB,
  MDB_PORTS,
  type MemoryLayout,
  NEXTHOP,
  NONE,
  PORT,
  ROUTER_INTERFACE,
  ROW_VALID,
  type TableLayout,
  VLAN,
  wordOf,
} from './layout.ts';

/** Numbers of `asic.status` in wit/host.wit. */
export const OK: number = 0;
export const TABLE_FULL: number = 1;
export const INVALID: number = 2;
export const MISSING: number = 3;
export const REFUSED: number = 4;
export const IO_ERROR: number = 5;
export const POWERED_OFF: number = 6;

export const ACTION_FORWARD = 0;
export const ACTION_TRAP = 1;
export const ACTION_DROP = 2;

export const ACL_ACCEPT = 0;
export const ACL_DROP = 1;
export const ACL_TRAP = 2;
export const ACL_REDIRECT = 3;
export const MDB_MAC = 0;
export const MDB_IPV4 = 1;
export const MDB_IPV6 = 2;

export const STAGE_INGRESS = 0;
export const STAGE_ROUTING = 1;

/** Word numbers of the fields that are looked at. */
export const W = {
  portIfindex: wordOf(PORT, 'ifindex'),
  portMtu: wordOf(PORT, 'mtu'),
  portMac: wordOf(PORT, 'mac'),
  portBridge: wordOf(PORT, 'bridge'),
  portFlags: wordOf(PORT, 'flags'),
  rifPort: wordOf(ROUTER_INTERFACE, 'port'),
  rifIfindex: wordOf(ROUTER_INTERFACE, 'ifindex'),
  rifVrf: wordOf(ROUTER_INTERFACE, 'vrf'),
  rifMac: wordOf(ROUTER_INTERFACE, 'mac'),
  rifMtu: wordOf(ROUTER_INTERFACE, 'mtu'),
  rifVlan: wordOf(ROUTER_INTERFACE, 'vlan'),
  rifFlags: wordOf(ROUTER_INTERFACE, 'flags'),
  nexthopAction: wordOf(NEXTHOP, 'action'),
  nexthopRif: wordOf(NEXTHOP, 'router-interface'),
  nexthopFamily: wordOf(NEXTHOP, 'family'),
  nexthopIfindex: wordOf(NEXTHOP, 'ifindex'),
  nexthopGateway: wordOf(NEXTHOP, 'gateway'),
  nexthopMac: wordOf(NEXTHOP, 'destination-mac'),
  groupCount: wordOf(GROUP, 'count'),
  lpm4Vrf: wordOf(LPM4, 'vrf'),
  lpm4Prefix: wordOf(LPM4, 'prefix'),
  lpm4Length: wordOf(LPM4, 'length'),
  lpm4Action: wordOf(LPM4, 'action'),
  lpm4Group: wordOf(LPM4, 'group'),
  lpm6Prefix: wordOf(LPM6, 'prefix'),
  lpm6Length: wordOf(LPM6, 'length'),
  lpm6Action: wordOf(LPM6, 'action'),
  lpm6Group: wordOf(LPM6, 'group'),
  vlanBridge: wordOf(VLAN, 'bridge'),
  vlanVlan: wordOf(VLAN, 'vlan'),
  vlanPort: wordOf(VLAN, 'port'),
  vlanFlags: wordOf(VLAN, 'flags'),
  fdbBridge: wordOf(FDB, 'bridge'),
  fdbVlan: wordOf(FDB, 'vlan'),
  fdbMac: wordOf(FDB, 'mac'),
  fdbAction: wordOf(FDB, 'action'),
  fdbPort: wordOf(FDB, 'port'),
  mdbBridge: wordOf(MDB, 'bridge'),
  mdbVlan: wordOf(MDB, 'vlan'),
  mdbFamily: wordOf(MDB, 'family'),
  mdbAddress: wordOf(MDB, 'address'),
  mdbCount: wordOf(MDB, 'count'),
  mdbPorts: wordOf(MDB, 'ports'),
  aclStage: wordOf(ACL, 'stage'),
  aclAction: wordOf(ACL, 'action'),
  aclPriority: wordOf(ACL, 'priority'),
  aclFamily: wordOf(ACL, 'family'),
  aclPort: wordOf(ACL, 'port'),
  aclRedirect: wordOf(ACL, 'redirect-port'),
  aclFields: wordOf(ACL, 'fields'),
  aclEthertype: wordOf(ACL, 'ethertype'),
  aclVlan: wordOf(ACL, 'vlan'),
  aclProtocol: wordOf(ACL, 'protocol'),
  aclDscp: wordOf(ACL, 'dscp'),
  aclIcmpType: wordOf(ACL, 'icmp-type'),
  aclIcmpCode: wordOf(ACL, 'icmp-code'),
  aclSourcePort: wordOf(ACL, 'source-port-low'),
  aclDestinationPort: wordOf(ACL, 'destination-port-low'),
  aclTcpFlags: wordOf(ACL, 'tcp-flags'),
  aclSourceMac: wordOf(ACL, 'source-mac'),
  aclDestinationMac: wordOf(ACL, 'destination-mac'),
  aclSourceAddress: wordOf(ACL, 'source-address'),
  aclDestinationAddress: wordOf(ACL, 'destination-address'),
} as const;

export class AsicTables {
  readonly words: Uint32Array;
  private readonly doubles: Float64Array;
  readonly tables: readonly TableLayout[];

  /** `buffer` is at least as large as `layout` says. */
  constructor(buffer: ArrayBufferLike, layout: MemoryLayout) {
    this.words = new Uint32Array(buffer, 0, layout.words);
    this.doubles = new Float64Array(buffer, 0, layout.words >>> 1);
    this.tables = layout.tables;
  }

  used(table: TableLayout): number {
    return this.words[table.head + HEAD.used]!;
  }

  /** Slots from this one on have never been used since the table was emptied. */
  end(table: TableLayout): number {
    return Math.min(this.words[table.head + HEAD.end]!, table.capacity);
  }

  /** One of the counts of a table since the memory was made: `HEAD.writes`, `removes` or `rejects`. */
  count(table: TableLayout, which: number): number {
    return this.doubles[(table.head + which) >>> 1]!;
  }

  addCount(table: TableLayout, which: number, more: number): void {
    this.doubles[(table.head + which) >>> 1]! += more;
  }

  /** Whether `slot` is a slot of the table and holds a row. */
  holds(table: TableLayout, slot: number): boolean {
    return slot < table.capacity && this.words[table.rows + slot * table.stride + table.words] === ROW_VALID;
  }

  /** Word number where the row in `slot` starts. */
  row(table: TableLayout, slot: number): number {
    return table.rows + slot * table.stride;
  }

  /** Adds the row at `from[at]`, or replaces the one that has its key. The row is complete and `from` is not changed. */
  put(table: TableLayout, from: Uint32Array, at: number): number {
    const words = this.words;
    if (!this.acceptable(table, from, at)) return INVALID;
    let slot: number;
    if (table.slots) {
      slot = from[at + 1]!;
      const base = table.rows + slot * table.stride;
      if (words[base + table.words] === ROW_VALID) {
        this.replace(table, slot, from, at);
        return OK;
      }
      if (slot >= words[table.head + HEAD.end]!) words[table.head + HEAD.end] = slot + 1;
      words[base + table.words + 1] = 0;
      this.copyRow(table, base, from, at);
      words[base + table.words] = ROW_VALID;
      this.reference(table, base, 1);
      if (table.number === ACL) this.orderInsert(table, slot);
    } else {
      const hash = hashKey(table, from, at + 1);
      const pair = this.probe(table, from, at + 1, hash);
      const held = words[pair + 1]!;
      if (held !== 0) {
        this.replace(table, held - 1, from, at);
        return OK;
      }
      slot = this.takeSlot(table);
      if (slot < 0) return TABLE_FULL;
      const base = table.rows + slot * table.stride;
      this.copyRow(table, base, from, at);
      words[base + table.words] = ROW_VALID;
      this.reference(table, base, 1);
      words[pair] = hash;
      words[pair + 1] = slot + 1;
      if (table.maxLength !== 0) words[table.lengths + words[base + table.keyWords]!]! += 1;
    }
    words[table.head + HEAD.used]! += 1;
    return OK;
  }

  /** Removes the row whose key stands at `from[at]`; INVALID while other rows refer to it. */
  remove(table: TableLayout, from: Uint32Array, at: number): number {
    const words = this.words;
    let slot: number;
    if (table.slots) {
      slot = from[at]!;
      if (!this.holds(table, slot)) return MISSING;
      if (words[table.rows + slot * table.stride + table.words + 1] !== 0) return INVALID;
    } else {
      const pair = this.probe(table, from, at, hashKey(table, from, at));
      slot = words[pair + 1]! - 1;
      if (slot < 0) return MISSING;
      this.unprobe(table, pair);
    }
    const base = table.rows + slot * table.stride;
    if (table.slots) {
      words[base + table.words] = 0;
      if (table.number === ACL) this.orderRemove(table, slot);
    } else {
      words[base + table.words] = words[table.head + HEAD.free]! * 2;
      words[table.head + HEAD.free] = slot + 1;
      if (table.maxLength !== 0) words[table.lengths + words[base + table.keyWords]!]! -= 1;
    }
    this.reference(table, base, -1);
    const counters = table.counters + slot * COUNTER_WORDS;
    for (let word = 0; word < COUNTER_WORDS; word++) words[counters + word] = 0;
    words[table.head + HEAD.used]! -= 1;
    return OK;
  }

  /** Slot of the row whose key stands at `key[at]`, -1 for none. Not for slot tables. */
  find(table: TableLayout, key: Uint32Array, at: number): number {
    return this.words[this.probe(table, key, at, hashKey(table, key, at)) + 1]! - 1;
  }

  /** Empties every table. Counts of writes stay. */
  clear(): void {
    for (const table of this.tables) {
      const end = this.end(table);
      this.words.fill(0, table.rows, table.rows + end * table.stride);
      this.words.fill(0, table.counters, table.counters + end * COUNTER_WORDS);
      this.resetDerived(table);
      this.words[table.head + HEAD.end] = 0;
    }
    this.words[HEADER.journalTable] = 0;
  }

  /**
   * Makes everything derived from the rows anew, trusting nothing: rows that `put` would not take are thrown away.
   * Returns how many were.
   */
  rebuild(): number {
    const words = this.words;
    this.redoJournal();
    let discarded = 0;
    for (const table of this.tables) {
      let end = table.slots ? table.capacity : this.end(table);
      if (table.slots) while (end > 0 && !this.holds(table, end - 1)) end--;
      this.resetDerived(table);
      words[table.head + HEAD.end] = end;
      for (const which of [HEAD.writes, HEAD.removes, HEAD.rejects]) {
        const count = this.count(table, which);
        if (!(Number.isSafeInteger(count) && count >= 0)) this.doubles[(table.head + which) >>> 1] = 0;
      }
      // From the last to the first, so that the free list hands out low slots first.
      for (let slot = end - 1; slot >= 0; slot--) {
        const base = table.rows + slot * table.stride;
        const wanted = words[base + table.words] === ROW_VALID;
        words[base + table.words] = 0;
        if (table.slots) words[base + table.words + 1] = 0;
        if (wanted && this.restore(table, slot, base)) continue;
        if (wanted) discarded++;
        const counters = table.counters + slot * COUNTER_WORDS;
        words.fill(0, counters, counters + COUNTER_WORDS);
        if (!table.slots) {
          words[base + table.words] = words[table.head + HEAD.free]! * 2;
          words[table.head + HEAD.free] = slot + 1;
        }
      }
    }
    return discarded;
  }

  private resetDerived(table: TableLayout): void {
    const words = this.words;
    words[table.head + HEAD.used] = 0;
    words[table.head + HEAD.free] = 0;
    if (table.number === ACL) words[table.order] = 0;
    if (!table.slots) words.fill(0, table.index, table.index + (table.indexMask + 1) * 2);
    if (table.maxLength !== 0) words.fill(0, table.lengths, table.lengths + table.maxLength + 1);
  }

  /** Takes the row that already stands in its slot into the derived structures; false if it may not be held. */
  private restore(table: TableLayout, slot: number, base: number): boolean {
    const words = this.words;
    if (!this.acceptable(table, words, base)) return false;
    if (table.slots) {
      if (words[base + 1] !== slot) return false;
      if (table.number === ACL) this.orderInsert(table, slot);
    } else {
      const hash = hashKey(table, words, base + 1);
      const pair = this.probe(table, words, base + 1, hash);
      if (words[pair + 1] !== 0) return false;
      words[pair] = hash;
      words[pair + 1] = slot + 1;
      if (table.maxLength !== 0) words[table.lengths + words[base + table.keyWords]!]! += 1;
    }
    this.clearUnused(table, base);
    words[base + table.words] = ROW_VALID;
    this.reference(table, base, 1);
    words[table.head + HEAD.used]! += 1;
    return true;
  }

  private replace(table: TableLayout, slot: number, from: Uint32Array, at: number): void {
    const words = this.words;
    const base = table.rows + slot * table.stride;
    let same = 0;
    while (same < table.words && words[base + same] === from[at + same]) same++;
    if (same === table.words) return;
    words[HEADER.journalSlot] = slot;
    for (let word = 0; word < table.words; word++) words[HEADER.journalRow + word] = from[at + word]!;
    words[HEADER.journalTable] = table.number + 1;
    const reorder = table.number === ACL;
    if (reorder) this.orderRemove(table, slot);
    this.reference(table, base, -1);
    this.copyRow(table, base, from, at);
    this.reference(table, base, 1);
    if (reorder) this.orderInsert(table, slot);
    words[HEADER.journalTable] = 0;
  }

  private redoJournal(): void {
    const words = this.words;
    const table = this.tables[words[HEADER.journalTable]! - 1];
    const slot = words[HEADER.journalSlot]!;
    if (table !== undefined && this.holds(table, slot)) {
      this.copyRow(table, this.row(table, slot), words, HEADER.journalRow);
    }
    words[HEADER.journalTable] = 0;
  }

  private copyRow(table: TableLayout, base: number, from: Uint32Array, at: number): void {
    const words = this.words;
    for (let word = 0; word < table.words; word++) words[base + word] = from[at + word]!;
    this.clearUnused(table, base);
  }

  /** Words behind the members of a group, or the ports of a multicast group. */
  private clearUnused(table: TableLayout, base: number): void {
    const { words } = this;
    const end = base + table.words;
    if (table.number === GROUP)
      words.fill(
        0,
        base + GROUP_FIRST_MEMBER + 2 * Math.min(words[base + W.groupCount]!, GROUP_MEMBERS),
        end,
      );
    if (table.number === MDB)
      words.fill(0, base + W.mdbPorts + Math.min(words[base + W.mdbCount]!, MDB_PORTS), end);
  }

  /** -1 when the table is full. */
  private takeSlot(table: TableLayout): number {
    const words = this.words;
    const free = words[table.head + HEAD.free]!;
    if (free !== 0) {
      words[table.head + HEAD.free] = words[table.rows + (free - 1) * table.stride + table.words]! >>> 1;
      return free - 1;
    }
    const end = words[table.head + HEAD.end]!;
    if (end >= table.capacity) return -1;
    words[table.head + HEAD.end] = end + 1;
    return end;
  }

  /** Word number of the index pair that holds the key, or of the free pair where it would go. */
  private probe(table: TableLayout, key: Uint32Array, at: number, hash: number): number {
    const words = this.words;
    const mask = table.indexMask;
    let position = hash & mask;
    // A pair is always free; the bound is for readers that look while rows change.
    for (let step = 0; step <= mask; step++) {
      const pair = table.index + position * 2;
      const held = words[pair + 1]!;
      if (held === 0) return pair;
      if (words[pair] === hash) {
        const base = table.rows + (held - 1) * table.stride + 1;
        let word = 0;
        while (word < table.keyWords && words[base + word] === key[at + word]) word++;
        if (word === table.keyWords) return pair;
      }
      position = (position + 1) & mask;
    }
    return table.index;
  }

  /** Takes a pair out of the index and shifts back those that it had pushed on. */
  private unprobe(table: TableLayout, pair: number): void {
    const words = this.words;
    const mask = table.indexMask;
    let hole = (pair - table.index) >>> 1;
    let position = hole;
    for (let step = 0; step < mask; step++) {
      position = (position + 1) & mask;
      const next = table.index + position * 2;
      if (words[next + 1] === 0) break;
      const home = words[next]! & mask;
      // Moving to the hole is right unless the pair's home lies after the hole (cyclically).
      if (((position - home) & mask) >= ((position - hole) & mask)) {
        words[table.index + hole * 2] = words[next]!;
        words[table.index + hole * 2 + 1] = words[next + 1]!;
        hole = position;
      }
    }
    words[table.index + hole * 2] = 0;
    words[table.index + hole * 2 + 1] = 0;
  }

  /** Whether rule `a` is tried before rule `b`. */
  private before(table: TableLayout, a: number, b: number): boolean {
    const words = this.words;
    const left = table.rows + a * table.stride;
    const right = table.rows + b * table.stride;
    const stages = words[left + W.aclStage]! - words[right + W.aclStage]!;
    if (stages !== 0) return stages < 0;
    const priorities = words[left + W.aclPriority]! - words[right + W.aclPriority]!;
    return priorities === 0 ? a < b : priorities < 0;
  }

  /** Word number where `slot` stands, or would stand, in the order. */
  private orderPosition(table: TableLayout, slot: number): number {
    let low = table.order + 1;
    let high = low + this.words[table.order]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.before(table, this.words[middle]!, slot)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private orderInsert(table: TableLayout, slot: number): void {
    const words = this.words;
    const position = this.orderPosition(table, slot);
    words.copyWithin(position + 1, position, table.order + 1 + words[table.order]!);
    words[position] = slot;
    words[table.order]! += 1;
  }

  private orderRemove(table: TableLayout, slot: number): void {
    const words = this.words;
    const position = this.orderPosition(table, slot);
    words.copyWithin(position, position + 1, table.order + 1 + words[table.order]!);
    words[table.order]! -= 1;
  }

  /** Counts the references of the row at `base` up or down. */
  private reference(table: TableLayout, base: number, by: 1 | -1): void {
    const words = this.words;
    switch (table.number) {
      case ROUTER_INTERFACE:
        this.refer(PORT, words[base + W.rifPort]!, by);
        break;
      case NEXTHOP:
        this.refer(ROUTER_INTERFACE, words[base + W.nexthopRif]!, by);
        break;
      case GROUP: {
        const first = base + GROUP_FIRST_MEMBER;
        const end = first + 2 * words[base + W.groupCount]!;
        for (let word = first; word < end; word += 2) this.refer(NEXTHOP, words[word]!, by);
        break;
      }
      case LPM4:
        this.refer(GROUP, words[base + W.lpm4Group]!, by);
        break;
      case LPM6:
        this.refer(GROUP, words[base + W.lpm6Group]!, by);
        break;
      case VLAN:
        this.refer(PORT, words[base + W.vlanPort]!, by);
        break;
      case FDB:
        this.refer(PORT, words[base + W.fdbPort]!, by);
        break;
      case ACL:
        this.refer(PORT, words[base + W.aclPort]!, by);
        this.refer(PORT, words[base + W.aclRedirect]!, by);
        break;
      case MDB: {
        const first = base + W.mdbPorts;
        const end = first + words[base + W.mdbCount]!;
        for (let word = first; word < end; word++) this.refer(PORT, words[word]!, by);
        break;
      }
    }
  }

  private refer(number: number, slot: number, by: 1 | -1): void {
    if (slot === NONE) return;
    const table = this.tables[number]!;
    this.words[table.rows + slot * table.stride + table.words + 1]! += by;
  }

  /** Whether a row may be held: fields in range, references to rows that are there, nothing held twice. */
  private acceptable(table: TableLayout, row: Uint32Array, at: number): boolean {
    const tables = this.tables;
    switch (table.number) {
      case PORT:
        return (
          row[at + 1]! < table.capacity &&
          row[at + W.portIfindex] !== 0 &&
          row[at + W.portMac]! <= 0xffff &&
          row[at + W.portFlags]! < 1 << 5 &&
          this.unshared(table, row, at, W.portIfindex, W.portIfindex)
        );
      case ROUTER_INTERFACE:
        return (
          row[at + 1]! < table.capacity &&
          this.holds(tables[PORT]!, row[at + W.rifPort]!) &&
          row[at + W.rifIfindex] !== 0 &&
          row[at + W.rifMac]! <= 0xffff &&
          row[at + W.rifVlan]! < 4095 &&
          row[at + W.rifFlags]! < 1 << 4 &&
          this.unshared(table, row, at, W.rifPort, W.rifVlan)
        );
      case NEXTHOP: {
        const action = row[at + W.nexthopAction]!;
        const rif = row[at + W.nexthopRif]!;
        const high = row[at + W.nexthopMac]!;
        if (row[at + 1]! >= table.capacity || action > ACTION_DROP || high > 0xffff) return false;
        if (row[at + W.nexthopFamily]! > 1) return false;
        if (rif !== NONE && !this.holds(tables[ROUTER_INTERFACE]!, rif)) return false;
        if (action !== ACTION_FORWARD) return true;
        return rif !== NONE && (high & 0x100) === 0 && (high | row[at + W.nexthopMac + 1]!) !== 0;
      }
      case GROUP: {
        const count = row[at + W.groupCount]!;
        if (row[at + 1]! >= table.capacity || count > GROUP_MEMBERS) return false;
        for (let member = 0; member < count; member++) {
          const word = at + GROUP_FIRST_MEMBER + 2 * member;
          if (!this.holds(tables[NEXTHOP]!, row[word]!) || row[word + 1]! > 0xffff) return false;
        }
        return true;
      }
      case LPM4: {
        const length = row[at + W.lpm4Length]!;
        if (length > 32 || (row[at + W.lpm4Prefix]! & hostBits(length)) !== 0) return false;
        return this.decides(tables[GROUP]!, row[at + W.lpm4Action]!, row[at + W.lpm4Group]!);
      }
      case LPM6: {
        const length = row[at + W.lpm6Length]!;
        if (length > 128) return false;
        for (let word = 0; word < 4; word++) {
          const bits = Math.min(Math.max(length - 32 * word, 0), 32);
          if ((row[at + W.lpm6Prefix + word]! & hostBits(bits)) !== 0) return false;
        }
        return this.decides(tables[GROUP]!, row[at + W.lpm6Action]!, row[at + W.lpm6Group]!);
      }
      case VLAN: {
        const vlan = row[at + W.vlanVlan]!;
        return (
          row[at + W.vlanBridge] !== 0 &&
          vlan >= 1 &&
          vlan < 4095 &&
          this.holds(tables[PORT]!, row[at + W.vlanPort]!) &&
          row[at + W.vlanFlags]! < 1 << 2
        );
      }
      case FDB:
        return (
          row[at + W.fdbBridge] !== 0 &&
          row[at + W.fdbVlan]! < 4095 &&
          row[at + W.fdbMac]! <= 0xffff &&
          this.decides(tables[PORT]!, row[at + W.fdbAction]!, row[at + W.fdbPort]!)
        );
      case MDB:
        return this.acceptableGroup(row, at);
      default:
        return row[at + 1]! < table.capacity && this.acceptableRule(row, at);
    }
  }

  private acceptableGroup(row: Uint32Array, at: number): boolean {
    const count = row[at + W.mdbCount]!;
    const family = row[at + W.mdbFamily]!;
    const [high, second, third] = [0, 1, 2].map((word) => row[at + W.mdbAddress + word]!);
    if (row[at + W.mdbBridge] === 0 || row[at + W.mdbVlan]! >= 4095 || family > MDB_IPV6) return false;
    if (family !== MDB_IPV6 && (high !== 0 || second !== 0)) return false;
    if ((family === MDB_IPV4 && third !== 0) || (family === MDB_MAC && third! > 0xffff)) return false;
    if (count < 1 || count > MDB_PORTS) return false;
    const seen = new Set<number>();
    for (let word = at + W.mdbPorts; word < at + W.mdbPorts + count; word++) {
      if (seen.has(row[word]!) || !this.holds(this.tables[PORT]!, row[word]!)) return false;
      seen.add(row[word]!);
    }
    return true;
  }

  private acceptableRule(row: Uint32Array, at: number): boolean {
    const ports = this.tables[PORT]!;
    const action = row[at + W.aclAction]!;
    const stage = row[at + W.aclStage]!;
    const port = row[at + W.aclPort]!;
    const redirect = row[at + W.aclRedirect]!;
    if (stage > STAGE_ROUTING || action > ACL_REDIRECT || row[at + W.aclFamily]! > 1) return false;
    if (port !== NONE && !this.holds(ports, port)) return false;
    if (action === ACL_REDIRECT ? stage === STAGE_ROUTING || !this.holds(ports, redirect) : redirect !== NONE)
      return false;
    if (row[at + W.aclFields]! >= 1 << 15) return false;
    // Values of less than a word, up to the masked MACs.
    for (const [word, limit] of ACL_LIMITS) if (row[at + word]! > limit) return false;
    if (row[at + W.aclSourcePort]! > row[at + W.aclSourcePort + 1]!) return false;
    if (row[at + W.aclDestinationPort]! > row[at + W.aclDestinationPort + 1]!) return false;
    for (const [value, size] of ACL_MASKED) {
      for (let word = 0; word < size; word++) {
        if ((row[at + value + word]! & ~row[at + value + size + word]!) !== 0) return false;
      }
    }
    return true;
  }

  /** A valid action, and a held target exactly when it forwards. */
  private decides(targets: TableLayout, action: number, target: number): boolean {
    return action === ACTION_FORWARD ? this.holds(targets, target) : action <= ACTION_DROP && target === NONE;
  }

  /** No row in another slot has the same two words. */
  private unshared(table: TableLayout, row: Uint32Array, at: number, one: number, other: number): boolean {
    const words = this.words;
    const end = this.end(table);
    for (let slot = 0; slot < end; slot++) {
      const base = table.rows + slot * table.stride;
      if (
        words[base + table.words] === ROW_VALID &&
        slot !== row[at + 1] &&
        words[base + one] === row[at + one] &&
        words[base + other] === row[at + other]
      ) {
        return false;
      }
    }
    return true;
  }
}

/** Largest values of acl words. */
const ACL_LIMITS: readonly (readonly [word: number, limit: number])[] = [
  [W.aclEthertype, 0xffff],
  [W.aclVlan, 4095],
  [W.aclProtocol, 0xff],
  [W.aclDscp, 0x3f],
  [W.aclIcmpType, 0xff],
  [W.aclIcmpCode, 0xff],
  [W.aclSourcePort + 1, 0xffff],
  [W.aclDestinationPort + 1, 0xffff],
  [W.aclTcpFlags + 1, 0xffff],
  [W.aclSourceMac + 2, 0xffff],
  [W.aclDestinationMac + 2, 0xffff],
];

/** Acl values that are followed by a mask of the same size. */
const ACL_MASKED: readonly (readonly [word: number, size: number])[] = [
  [W.aclTcpFlags, 1],
  [W.aclSourceMac, 2],
  [W.aclDestinationMac, 2],
  [W.aclSourceAddress, 4],
  [W.aclDestinationAddress, 4],
];

/** Bits of a word beyond the first `bits` (0-32). */
export function hostBits(bits: number): number {
  return bits === 0 ? -1 : bits === 32 ? 0 : -1 >>> bits;
}

/**
 * Hash of the key at `from[at]`. Eight neighbouring prefixes of a length stand next to each other in the index, on one or
 * two cache lines: routes tend to come in order. The rest is mixed, with the finaliser of MurmurHash3.
 */
function hashKey(table: TableLayout, from: Uint32Array, at: number): number {
  const count = table.keyWords;
  let neighbour = 0;
  let neighbourWord = -1;
  let shift = 0;
  if (table.maxLength !== 0) {
    const last = from[at + count - 1]! - 1;
    if (last >= 0) {
      // The prefix follows the routing domain. A length beyond the longest is only ever looked for, and not found.
      neighbourWord = 1 + (last >>> 5);
      shift = 31 - (last & 31);
      neighbour = (from[at + neighbourWord]! >>> shift) & 7;
    }
  }
  let hash = 0;
  for (let word = 0; word < count; word++) {
    let value = from[at + word]!;
    if (word === neighbourWord) value ^= neighbour << shift;
    hash = Math.imul(hash ^ value, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16) ^ neighbour) >>> 0;
}
