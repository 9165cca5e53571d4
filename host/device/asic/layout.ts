/**
 * Tables of the simulated switch ASIC: which words a row has and where everything stands in its memory. Docs
 * (docs/asic.md) and checks come from the one declaration here.
 */

import { EkhoError } from '../../errors.ts';

/** "No row" wherever a word holds a slot. */
export const NONE = 0xffff_ffff;

/** Members a group row has room for. */
export const GROUP_MEMBERS = 64;

/** Words of a row before the first member of a group. */
export const GROUP_FIRST_MEMBER = 4;

/** Ports a row of the table mdb has room for. */
export const MDB_PORTS = 32;

/** Table numbers: the order of `asic.table` in wit/host.wit. */
export const PORT = 0;
export const ROUTER_INTERFACE = 1;
export const NEXTHOP = 2;
export const GROUP = 3;
export const LPM4 = 4;
export const LPM6 = 5;
export const VLAN = 6;
export const FDB = 7;
export const ACL = 8;
export const MDB = 9;

export type TableName =
  | 'port'
  | 'router-interface'
  | 'nexthop'
  | 'group'
  | 'lpm4'
  | 'lpm6'
  | 'vlan'
  | 'fdb'
  | 'acl'
  | 'mdb';

export interface Field {
  readonly name: string;
  readonly words: number;
  readonly docs: string;
}

export interface TableDeclaration {
  readonly name: TableName;
  /** Slot tables are arrays whose key is word 1; the others are found by their key words, which follow the cookie. */
  readonly slots: boolean;
  readonly keyWords: number;
  /** Default rows, and the most that may be configured. */
  readonly capacity: number;
  readonly maxCapacity: number;
  /** Prefix lengths 0 to this are counted, 0 for a table without prefixes. */
  readonly maxLength: number;
  readonly docs: string;
  readonly fields: readonly Field[];
}

const cookie: Field = { name: 'cookie', words: 1, docs: 'Kept, never looked at.' };
const slot: Field = { name: 'slot', words: 1, docs: 'Where the row stands, below the capacity. The key.' };

function field(name: string, docs: string, words = 1): Field {
  return { name, words, docs };
}

function mac(name: string, docs: string): Field {
  return { name, words: 2, docs: `${docs} Upper 16 bits, then lower 32.` };
}

function address(name: string, docs: string): Field {
  return { name, words: 4, docs: `${docs} Most significant word first; IPv4 in the last word.` };
}

const bridge = field('bridge', 'Number of the bridge, not 0. Key.');
const action = field('action', '0 forward, 1 trap, 2 drop.');
const groupSlot = field('group', 'Slot of the group with action forward, else 0xffffffff.');

export const TABLES: readonly TableDeclaration[] = [
  {
    name: 'port',
    slots: true,
    keyWords: 1,
    capacity: 64,
    maxCapacity: 1024,
    maxLength: 0,
    docs: 'Front ports. Two rows may not share an ifindex.',
    fields: [
      cookie,
      slot,
      field('ifindex', 'Number packets name the port by, not 0.'),
      field('mtu', 'Bytes without the link-layer header.'),
      mac('mac', 'The port’s own address.'),
      field('bridge', 'Number of the bridge it is a port of, 0 for none.'),
      field('flags', 'Bits: 0 admin-up, 1 carrier, 2 bridge-forwarding, 3 learning, 4 trap-all.'),
    ],
  },
  {
    name: 'router-interface',
    slots: true,
    keyWords: 1,
    capacity: 128,
    maxCapacity: 4096,
    maxLength: 0,
    docs: 'Where a port, or a VLAN on it, meets routing. Two rows may not share port and vlan.',
    fields: [
      cookie,
      slot,
      field('port', 'Slot of the port.'),
      field('ifindex', 'Number of the layer-3 link, not 0.'),
      field('vrf', 'Routing domain.'),
      mac('mac', 'Destination of packets to be routed, source of routed ones.'),
      field('mtu', 'Largest IP packet in bytes that leaves here.'),
      field('vlan', '1-4094, or 0 for untagged.'),
      field('flags', 'Bits: 0 ipv4, 1 ipv6, 2 reverse-path-loose, 3 reverse-path-strict.'),
    ],
  },
  {
    name: 'nexthop',
    slots: true,
    keyWords: 1,
    capacity: 16_384,
    maxCapacity: 2_097_152,
    maxLength: 0,
    docs: 'How a routed packet leaves.',
    fields: [
      cookie,
      slot,
      action,
      field('router-interface', 'Slot of the way out; 0xffffffff is allowed unless the action is forward.'),
      field('family', '0 IPv4, 1 IPv6: of the gateway. Kept, never looked at.'),
      field('ifindex', 'Number of the outgoing layer-3 link. Reverse-path checks compare it.'),
      address('gateway', 'Kept and shown, never looked at.'),
      mac('destination-mac', 'With action forward not 0 and not a group address.'),
    ],
  },
  {
    name: 'group',
    slots: true,
    keyWords: 1,
    capacity: 4096,
    maxCapacity: 1_048_576,
    maxLength: 0,
    docs: 'Nexthops that share load by flow.',
    fields: [
      cookie,
      slot,
      field('id', 'Kept, never looked at.'),
      field('count', `Members in use, at most ${GROUP_MEMBERS}. Words beyond them are stored as 0.`),
      field(
        'members',
        'Per member: slot of the nexthop, then its weight 0-65535; weight 0 is never chosen.',
        2 * GROUP_MEMBERS,
      ),
    ],
  },
  {
    name: 'lpm4',
    slots: false,
    keyWords: 3,
    capacity: 131_072,
    maxCapacity: 2_097_152,
    maxLength: 32,
    docs: 'IPv4 longest-prefix match.',
    fields: [
      cookie,
      field('vrf', 'Routing domain. Key.'),
      field('prefix', 'Bits beyond the length are 0. Key.'),
      field('length', '0-32. Key.'),
      action,
      groupSlot,
    ],
  },
  {
    name: 'lpm6',
    slots: false,
    keyWords: 6,
    capacity: 65_536,
    maxCapacity: 2_097_152,
    maxLength: 128,
    docs: 'IPv6 longest-prefix match.',
    fields: [
      cookie,
      field('vrf', 'Routing domain. Key.'),
      address('prefix', 'Bits beyond the length are 0. Key.'),
      field('length', '0-128. Key.'),
      action,
      groupSlot,
    ],
  },
  {
    name: 'vlan',
    slots: false,
    keyWords: 3,
    capacity: 4096,
    maxCapacity: 1_048_576,
    maxLength: 0,
    docs: 'Which ports of a bridge are in which VLAN.',
    fields: [
      cookie,
      bridge,
      field('vlan', '1-4094. Key.'),
      field('port', 'Slot of the port. Key.'),
      field('flags', 'Bits: 0 pvid, 1 untagged.'),
    ],
  },
  {
    name: 'fdb',
    slots: false,
    keyWords: 4,
    capacity: 32_768,
    maxCapacity: 2_097_152,
    maxLength: 0,
    docs: 'Layer-2 destinations.',
    fields: [
      cookie,
      bridge,
      field('vlan', '1-4094, or 0 on a bridge that does not filter VLANs. Key.'),
      mac('mac', 'Key.'),
      action,
      field('port', 'Slot of the port with action forward, else 0xffffffff.'),
    ],
  },
  {
    name: 'acl',
    slots: true,
    keyWords: 1,
    capacity: 1024,
    maxCapacity: 16_384,
    maxLength: 0,
    docs: 'Ternary rules of both stages, tried by ascending priority, then slot.',
    fields: [
      cookie,
      slot,
      field('stage', '0 ingress, 1 routing.'),
      field('action', '0 accept, 1 drop, 2 trap, 3 redirect.'),
      field('priority', 'Lower is tried first.'),
      field('family', '0 IPv4, 1 IPv6: looked at when an address is in fields.'),
      field('port', 'Slot of the ingress port, 0xffffffff for every port.'),
      field('redirect-port', 'Slot of the port to leave by with action redirect, else 0xffffffff.'),
      field(
        'fields',
        'What counts. Bits: 0 source-mac, 1 destination-mac, 2 ethertype, 3 vlan, 4 source-address, 5 destination-address, 6 protocol, 7 dscp, 8 source-port, 9 destination-port, 10 tcp-flags, 11 icmp-type, 12 icmp-code, 13 fragment, 14 unfragmented.',
      ),
      field(
        'ethertype',
        'Of the outermost header, 0x8100 for a tagged frame; behind the tag when vlan is in fields.',
      ),
      field('vlan', '0 matches untagged frames.'),
      field('protocol', 'IP protocol number.'),
      field('dscp', 'Upper 6 bits of the TOS or traffic class byte.'),
      field('icmp-type', ''),
      field('icmp-code', ''),
      field('source-port-low', ''),
      field('source-port-high', 'Included.'),
      field('destination-port-low', ''),
      field('destination-port-high', 'Included.'),
      field('tcp-flags', 'Bits outside the mask are 0.'),
      field('tcp-flags-mask', ''),
      mac('source-mac', 'Bits outside the mask are 0.'),
      mac('source-mac-mask', ''),
      mac('destination-mac', 'Bits outside the mask are 0.'),
      mac('destination-mac-mask', ''),
      address('source-address', 'Bits outside the mask are 0.'),
      address('source-mask', ''),
      address('destination-address', 'Bits outside the mask are 0.'),
      address('destination-mask', ''),
    ],
  },
  {
    name: 'mdb',
    slots: false,
    keyWords: 7,
    capacity: 4096,
    maxCapacity: 1_048_576,
    maxLength: 0,
    docs: 'Layer-2 destinations of several ports: multicast groups.',
    fields: [
      cookie,
      bridge,
      field('vlan', '1-4094, or 0 on a bridge that does not filter VLANs. Key.'),
      field('family', '0 MAC, 1 IPv4, 2 IPv6: of the address. Key.'),
      address('address', 'Key. A MAC in the last two words, upper 16 bits, then lower 32.'),
      field('count', `Ports in use, 1-${MDB_PORTS}. Words beyond them are stored as 0.`),
      field('ports', 'Slots, none of them twice.', MDB_PORTS),
    ],
  },
];

/** Word number of a field within its row. */
export function wordOf(table: number, name: string): number {
  let word = 0;
  for (const one of TABLES[table]!.fields) {
    if (one.name === name) return word;
    word += one.words;
  }
  throw new TypeError(`no field ${name} in table ${TABLES[table]!.name}`);
}

export function rowWords(table: number): number {
  return TABLES[table]!.fields.reduce((sum, one) => sum + one.words, 0);
}

/** Rows per table; tables left out have their default. */
export type Capacities = { readonly [table in TableName]?: number };

/** Words of the header, by name. Those marked (derived) are rebuilt when the memory is opened. */
export const HEADER = {
  magic0: 0,
  magic1: 1,
  version: 2,
  totalWords: 3,
  groupMembers: 4,
  /** Ten words. */
  capacities: 8,
  /** Odd while rows are being changed. */
  sequence: 32,
  /** Readers that found the sequence odd too often: writers pause for them. */
  readersWaiting: 33,
  /** Power losses. */
  epoch: 34,
  /** The epoch for which the tables were last emptied; they count as empty while it differs. */
  emptied: 35,
  poweredOff: 36,
  failEvery: 37,
  refuse: 38,
  /** Microseconds per burst. */
  delay: 39,
  /** Writes since the last one that `failEvery` failed. */
  sinceFailure: 40,
  /** Rows thrown away because they were not valid when the memory was opened. */
  discarded: 41,
  /** Table number plus one of an unfinished replacement, 0 for none; its slot; then the row. */
  journalTable: 64,
  journalSlot: 65,
  journalRow: 66,
} as const;

export const MAGIC0 = 0x4f484b45; // "EKHO"
export const MAGIC1 = 0x43495341; // "ASIC"
export const LAYOUT_VERSION = 2;

/** Largest memory in bytes. */
const MAX_BYTES = 4 * 1024 ** 3;

/** Words of one entry's counters: packets, bytes and last use, each low then high. */
export const COUNTER_WORDS = 6;

/** Offsets of a table's head, in words from the head's start. Writes, removes and rejects are doubles. */
export const HEAD = { used: 0, end: 1, free: 2, writes: 4, removes: 6, rejects: 8, words: 16 } as const;

/** Where one table stands, in words from the start of the memory. */
export interface TableLayout {
  readonly number: number;
  readonly name: TableName;
  readonly slots: boolean;
  readonly capacity: number;
  readonly keyWords: number;
  /** Words of a row as seen from outside. */
  readonly words: number;
  /** Words from one row to the next: `words`, then the state word, then with slot tables the reference count. */
  readonly stride: number;
  readonly head: number;
  readonly rows: number;
  readonly counters: number;
  /** Number of rows per prefix length (derived). */
  readonly lengths: number;
  readonly maxLength: number;
  /** Hash index of pairs {hash, slot plus one} (derived), for tables that are not slot tables. */
  readonly index: number;
  /** Pairs in the index less one: a power of two less one. */
  readonly indexMask: number;
  /** For the acl: number of rules, then their slots by stage and priority (derived). */
  readonly order: number;
}

export interface MemoryLayout {
  readonly tables: readonly TableLayout[];
  readonly words: number;
}

/** State word of a row in use; else the free list's next slot plus one, doubled. */
export const ROW_VALID = 1;

/**
 * Works out where everything stands.
 * @throws EkhoError E_DEVICE for a capacity out of range or a memory beyond 4 GiB
 */
export function layOut(capacities: Capacities): MemoryLayout {
  const longest = Math.max(...TABLES.map((_, number) => rowWords(number)));
  let next = align(HEADER.journalRow + longest);
  const take = (words: number): number => {
    const start = next;
    next = align(next + words);
    return start;
  };
  const tables = TABLES.map((declaration, number): TableLayout => {
    const capacity = capacities[declaration.name] ?? declaration.capacity;
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > declaration.maxCapacity) {
      throw new EkhoError('E_DEVICE', `table ${declaration.name} cannot have ${capacity} rows`, {
        remedy: `Set tables.${declaration.name} to 1-${declaration.maxCapacity}.`,
      });
    }
    const words = rowWords(number);
    const stride = words + (declaration.slots ? 2 : 1);
    // At most half full, so that probe sequences stay short.
    const pairs = declaration.slots ? 0 : 2 ** Math.ceil(Math.log2(capacity * 2));
    return {
      number,
      name: declaration.name,
      slots: declaration.slots,
      capacity,
      keyWords: declaration.keyWords,
      words,
      stride,
      head: take(HEAD.words),
      rows: take(capacity * stride),
      counters: take(capacity * COUNTER_WORDS),
      lengths: take(declaration.maxLength === 0 ? 0 : declaration.maxLength + 1),
      maxLength: declaration.maxLength,
      index: take(pairs * 2),
      indexMask: pairs - 1,
      order: take(number === ACL ? capacity + 1 : 0),
    };
  });
  if (next * 4 > MAX_BYTES) {
    throw new EkhoError('E_DEVICE', `the tables need ${next * 4} bytes, more than ${MAX_BYTES}`, {
      remedy: 'Lower the capacities under tables.',
    });
  }
  return { tables, words: next };
}

/** Every part starts on a 64-byte line. */
function align(words: number): number {
  return Math.ceil(words / 16) * 16;
}
