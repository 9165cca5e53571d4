/** A naive ASIC, to hold the real one against: rows in maps, everything found by looking at all of them. */

import {
  ACL,
  FDB,
  GROUP,
  GROUP_FIRST_MEMBER,
  LPM4,
  LPM6,
  MDB,
  NEXTHOP,
  NONE,
  PORT,
  ROUTER_INTERFACE,
  TABLES,
  VLAN,
} from '../../../host/device/asic/layout.ts';
import { INVALID, MISSING, OK, TABLE_FULL, W } from '../../../host/device/asic/tables.ts';

export class Model {
  readonly tables: readonly Map<string, Uint32Array>[] = TABLES.map(() => new Map());
  readonly capacities: readonly number[];

  constructor(capacities: readonly number[]) {
    this.capacities = capacities;
  }

  key(table: number, row: Uint32Array): string {
    return row.slice(1, 1 + TABLES[table]!.keyWords).join();
  }

  /** Every reference of a row: table and slot. */
  references(table: number, row: Uint32Array): [number, number][] {
    const found: [number, number][] = [];
    if (table === ROUTER_INTERFACE) found.push([PORT, row[W.rifPort]!]);
    if (table === NEXTHOP) found.push([ROUTER_INTERFACE, row[W.nexthopRif]!]);
    if (table === GROUP) {
      for (let member = 0; member < row[W.groupCount]!; member++) {
        found.push([NEXTHOP, row[GROUP_FIRST_MEMBER + 2 * member]!]);
      }
    }
    if (table === LPM4) found.push([GROUP, row[W.lpm4Group]!]);
    if (table === LPM6) found.push([GROUP, row[W.lpm6Group]!]);
    if (table === VLAN) found.push([PORT, row[W.vlanPort]!]);
    if (table === FDB) found.push([PORT, row[W.fdbPort]!]);
    if (table === MDB)
      for (let place = 0; place < row[W.mdbCount]!; place++) found.push([PORT, row[W.mdbPorts + place]!]);
    if (table === ACL) found.push([PORT, row[W.aclPort]!], [PORT, row[W.aclRedirect]!]);
    return found.filter(([, slot]) => slot !== NONE);
  }

  /** Fields of `row` are in range: only slots, references and duplicates are checked. */
  put(table: number, row: Uint32Array): number {
    const rows = this.tables[table]!;
    const capacity = this.capacities[table]!;
    const key = this.key(table, row);
    if (TABLES[table]!.slots && row[1]! >= capacity) return INVALID;
    for (const [target, slot] of this.references(table, row)) {
      if (!this.tables[target]!.has(String(slot))) return INVALID;
    }
    for (const [other, held] of rows) {
      if (other === key) continue;
      if (table === PORT && held[W.portIfindex] === row[W.portIfindex]) return INVALID;
      if (
        table === ROUTER_INTERFACE &&
        held[W.rifPort] === row[W.rifPort] &&
        held[W.rifVlan] === row[W.rifVlan]
      )
        return INVALID;
    }
    if (!rows.has(key) && rows.size >= capacity) return TABLE_FULL;
    rows.set(key, row);
    return OK;
  }

  remove(table: number, row: Uint32Array): number {
    const key = this.key(table, row);
    if (!this.tables[table]!.has(key)) return MISSING;
    if (TABLES[table]!.slots) {
      for (const [from, rows] of this.tables.entries()) {
        for (const held of rows.values()) {
          if (this.references(from, held).some(([target, slot]) => target === table && slot === row[1]))
            return INVALID;
        }
      }
    }
    this.tables[table]!.delete(key);
    return OK;
  }

  /** The row of the longest prefix that has the address (as one number). */
  longestMatch(table: number, vrf: number, address: bigint): Uint32Array | undefined {
    const bits = table === LPM4 ? 32 : 128;
    let best: Uint32Array | undefined;
    let bestLength = -1;
    for (const row of this.tables[table]!.values()) {
      const length = row[table === LPM4 ? W.lpm4Length : W.lpm6Length]!;
      const prefix = table === LPM4 ? BigInt(row[W.lpm4Prefix]!) : wide(row, W.lpm6Prefix);
      const shift = BigInt(bits - length);
      if (row[W.lpm4Vrf] === vrf && length > bestLength && prefix >> shift === address >> shift) {
        best = row;
        bestLength = length;
      }
    }
    return best;
  }
}

export function wide(words: Uint32Array, at: number): bigint {
  let value = 0n;
  for (let word = 0; word < 4; word++) value = (value << 32n) | BigInt(words[at + word]!);
  return value;
}
