/**
 * Connections that the kernel forwards past netfilter, as entries: one for each direction. Whether their packets are met at
 * all, the router interfaces say (ports.ts). Where connections come from does not matter here.
 */

import { type Decoded, type DecodedObject, DecodeError, decodeObject } from '../netlink/decode.ts';
import { IPS_HW_OFFLOAD } from '../netlink/schema/conntrack.ts';
import { ENTRY_KIND, FAMILY, FLOW_FLAGS, type FlowRecord } from '../plugin/records.ts';
import { formatAddress, parseAddress } from './addresses.ts';
import type { Words } from './codecs.ts';
import type { EntryCodec, EntryTable } from './entry-table.ts';
import { nested, number32 } from './kernel-view.ts';
import { REASON } from './reasons.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';

const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

/** One direction of a connection: packets with these addresses and ports get the new ones. */
export interface FlowWant {
  /** FAMILY */
  readonly family: number;
  readonly protocol: number;
  readonly vrf: number;
  readonly source: Words;
  readonly destination: Words;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly newSource: Words;
  readonly newDestination: Words;
  readonly newSourcePort: number;
  readonly newDestinationPort: number;
  /** FLOW_FLAGS */
  readonly flags: number;
}

function sameWords(a: Words, b: Words): boolean {
  return a[3] === b[3] && a[2] === b[2] && a[1] === b[1] && a[0] === b[0];
}

export const flowCodec: EntryCodec<FlowWant> = {
  kind: ENTRY_KIND.flow,
  isLeaf: true,
  equal: (a, b) =>
    a.family === b.family &&
    a.protocol === b.protocol &&
    a.vrf === b.vrf &&
    a.sourcePort === b.sourcePort &&
    a.destinationPort === b.destinationPort &&
    a.newSourcePort === b.newSourcePort &&
    a.newDestinationPort === b.newDestinationPort &&
    a.flags === b.flags &&
    sameWords(a.source, b.source) &&
    sameWords(a.destination, b.destination) &&
    sameWords(a.newSource, b.newSource) &&
    sameWords(a.newDestination, b.newDestination),
  size: () => 1,
  encode(encoder, operation, handle, want) {
    const record = encoder.flow(operation, handle);
    record.family = want.family;
    record.protocol = want.protocol;
    record.vrf = want.vrf;
    record.sourcePort = want.sourcePort;
    record.destinationPort = want.destinationPort;
    record.newSourcePort = want.newSourcePort;
    record.newDestinationPort = want.newDestinationPort;
    record.flags = want.flags;
    record.setSource(...want.source);
    record.setDestination(...want.destination);
    record.setNewSource(...want.newSource);
    record.setNewDestination(...want.newDestination);
  },
};

/** What a flow read back says. */
export function flowWantOf(record: FlowRecord): FlowWant {
  const { family, protocol, vrf, sourcePort, destinationPort, newSourcePort, newDestinationPort, flags } =
    record;
  return {
    family,
    protocol,
    vrf,
    source: [record.source0, record.source1, record.source2, record.source3],
    destination: [record.destination0, record.destination1, record.destination2, record.destination3],
    sourcePort,
    destinationPort,
    newSource: [record.newSource0, record.newSource1, record.newSource2, record.newSource3],
    newDestination: [
      record.newDestination0,
      record.newDestination1,
      record.newDestination2,
      record.newDestination3,
    ],
    newSourcePort,
    newDestinationPort,
    flags,
  };
}

/** The part of a direction that its packets are recognised by. */
export type FlowTuple = Pick<
  FlowWant,
  'family' | 'protocol' | 'vrf' | 'source' | 'destination' | 'sourcePort' | 'destinationPort'
>;

/** What packets of a direction are recognised by, for people too: `tcp 10.0.0.1:40000 > 192.0.2.1:443`. */
export function flowKey(want: FlowTuple): string {
  const { family, protocol, vrf, source, destination, sourcePort, destinationPort } = want;
  const name = protocol === IPPROTO_TCP ? 'tcp' : protocol === IPPROTO_UDP ? 'udp' : `protocol ${protocol}`;
  const end = (words: Words, port: number) => {
    const text = formatAddress(family === FAMILY.ipv4 ? AF_INET : AF_INET6, words);
    return family === FAMILY.ipv4 ? `${text}:${port}` : `[${text}]:${port}`;
  };
  const domain = vrf === 0 ? '' : ` vrf ${vrf}`;
  return `${name} ${end(source, sourcePort)} > ${end(destination, destinationPort)}${domain}`;
}

interface Tuple {
  readonly family: number;
  readonly protocol: number;
  readonly source: Words;
  readonly destination: Words;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

function tupleOf(value: unknown): Tuple | undefined {
  const { ip, proto, zone } = nested(value) as Decoded;
  const addresses = nested(ip);
  const { num, src_port, dst_port } = nested(proto);
  const source = parseAddress(String(addresses.v4_src ?? addresses.v6_src));
  const destination = parseAddress(String(addresses.v4_dst ?? addresses.v6_dst));
  if (source === undefined || destination === undefined || source.family !== destination.family)
    return undefined;
  if (number32(zone) !== 0) return undefined;
  return {
    family: source.family === AF_INET ? FAMILY.ipv4 : FAMILY.ipv6,
    protocol: number32(num),
    source: source.words,
    destination: destination.words,
    sourcePort: number32(src_port),
    destinationPort: number32(dst_port),
  };
}

/** Packets of direction `tuple` leave as the other direction's packets come, the other way round. */
function direction(tuple: Tuple, other: Tuple, flags: number): FlowWant {
  return {
    ...tuple,
    vrf: 0,
    newSource: other.destination,
    newDestination: other.source,
    newSourcePort: other.destinationPort,
    newDestinationPort: other.sourcePort,
    flags,
  };
}

/** Both directions of a connection of the kernel, or why it has no entries. */
export function flowsOf(object: DecodedObject): readonly FlowWant[] | number {
  if (number32(object.zone) !== 0) return REASON['flow-zone'];
  const original = tupleOf(object.tuple_orig);
  const reply = tupleOf(object.tuple_reply);
  if (original === undefined || reply === undefined) return REASON['flow-zone'];
  const isKnown = original.protocol === IPPROTO_TCP || original.protocol === IPPROTO_UDP;
  if (!isKnown || original.family !== reply.family) return REASON['unsupported-match'];
  // Both directions, even if drivers have one alone: by its counters the connection lives.
  const flags = (number32(object.status) & IPS_HW_OFFLOAD) === 0 ? 0 : FLOW_FLAGS.polled;
  return [direction(original, reply, flags), direction(reply, original, flags)];
}

export class Flows {
  readonly #table: EntryTable<FlowWant>;
  /** Keys of a connection's entries, or why there are none, by mirror id. */
  readonly #known = new Map<number, readonly string[] | number>();
  /** Mirror id of the connection whose entry it is. */
  readonly #owners = new Map<string, number>();

  constructor(table: EntryTable<FlowWant>) {
    this.#table = table;
  }

  /** The connection's bytes in the mirror; undefined: it is over, or left the flowtable. */
  change(id: number, cursor: { bytes: Uint8Array; start: number; end: number } | undefined): void {
    const before = this.#known.get(id);
    const wants = cursor === undefined ? REASON.none : decode(cursor);
    const keys = typeof wants === 'number' ? [] : wants.map(flowKey);
    if (typeof before === 'object') {
      for (const key of before) if (!keys.includes(key)) this.#drop(key, id);
    }
    if (cursor === undefined) {
      this.#known.delete(id);
      return;
    }
    this.#known.set(id, typeof wants === 'number' ? wants : keys);
    if (typeof wants === 'number') return;
    for (const [index, want] of wants.entries()) {
      this.#owners.set(keys[index]!, id);
      this.#table.want(keys[index]!, want);
    }
  }

  /** Keys of its entries, the original direction's first; or the reason why it has none. */
  keysOf(id: number): readonly string[] | number | undefined {
    return this.#known.get(id);
  }

  ownerOf(key: string): number | undefined {
    return this.#owners.get(key);
  }

  /** Another connection may have taken the direction over in the same breath. */
  #drop(key: string, id: number): void {
    if (this.#owners.get(key) !== id) return;
    this.#owners.delete(key);
    this.#table.drop(key);
  }
}

function decode({ bytes, start, end }: { bytes: Uint8Array; start: number; end: number }) {
  try {
    return flowsOf(decodeObject('flow', bytes, start, end));
  } catch (error) {
    // The mirror counted it and reads the kind again.
    if (error instanceof DecodeError) return REASON['unsupported-match'];
    throw error;
  }
}
