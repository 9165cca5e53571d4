/** What users type to choose objects, in iproute2's words: `10.0.0.0/8 table 100`, `dev eth0 vlan 10`, `id 5` … */

import { EkhoError } from '../errors.ts';
import type { Kind } from '../mirror/types.ts';
import { parseIp, parseIp4, parseMac } from '../netlink/address.ts';
import type { DecodedObject } from '../netlink/decode.ts';
import { KIND_NAME } from '../plugin/offload-kinds.ts';
import { nearest } from '../suggest.ts';
import { mdbEntries, mdbGroup, mdbRouterPorts, vlanEntries, vlanRange } from './bridge.ts';
import {
  type FormatContext,
  headerNumber,
  linkName,
  listOf,
  namesOf,
  numberOf,
  recordOf,
  textOf,
} from './context.ts';
import { formatFlow } from './flow.ts';
import { Place } from './hook-selector.ts';
import { ethertypeName, familyName, netfilterFamily, routeTypeName, routeTypeNumber } from './names.ts';
import { NEIGHBOUR_STATES } from './neighbour.ts';
import { groupMembers, tableOf } from './route.ts';
import { filterOrder, u32Handle } from './tc.ts';
import { classId, TC_H_ROOT } from './tc-values.ts';
import { formatPolicy } from './xfrm.ts';

export type Predicate = (object: DecodedObject) => boolean;

const WORDS_MAX = 64;

interface Prefix {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** The words still to be read. */
class Words {
  readonly kind: Kind;
  /** Where filters and chains hang: words of it mean something together. */
  readonly place: Place;
  readonly #words: readonly string[];
  #at = 0;

  constructor(kind: Kind, words: readonly string[], context: FormatContext) {
    this.kind = kind;
    this.place = new Place(context);
    this.#words = words;
  }

  next(): string | undefined {
    return this.#words[this.#at++];
  }

  /** The word after `after`; E_USAGE if there is none. */
  value(after: string): string {
    const word = this.next();
    if (word === undefined) {
      throw new EkhoError('E_USAGE', `something must follow "${after}"`, {
        remedy: `Type a value after "${after}", or leave it out.`,
      });
    }
    return word;
  }

  number(after: string, max = 0xffffffff): number {
    const word = this.value(after);
    const number = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(word) ? Number(word) : Number.NaN;
    if (!(number <= max)) {
      throw new EkhoError('E_USAGE', `"${word}" after "${after}" is not a number from 0 to ${max}`, {
        remedy: `Type a number after "${after}".`,
      });
    }
    return number;
  }

  /** A number, or a name of a database. */
  named(after: string, what: string, find: (name: string) => number | undefined): number {
    const word = this.value(after);
    const number = find(word) ?? (/^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(word) ? Number(word) : undefined);
    if (number === undefined) {
      throw new EkhoError('E_USAGE', `there is no ${what} "${word}"`, {
        remedy: `Type a name that iproute2 knows (/etc/iproute2), or a number.`,
      });
    }
    return number;
  }

  address(after: string): string {
    let word = this.value(after);
    if (word === 'inet' || word === 'inet6') word = this.value(word);
    const bytes = parseIp(word);
    if (bytes === undefined) throw badAddress(word, 'an IP address such as 10.0.0.1 or 2001:db8::1');
    return canonical(bytes);
  }

  prefix(after: string): Prefix {
    return parsePrefix(this.value(after));
  }

  mac(after: string): string {
    const word = this.value(after);
    if (!isMac(word)) throw badAddress(word, 'a MAC address such as 00:11:22:33:44:55');
    return word.toLowerCase();
  }
}

function badAddress(word: string, wanted: string): EkhoError {
  return new EkhoError('E_BAD_ADDRESS', `"${word}" is not ${wanted}`, { remedy: `Type ${wanted}.` });
}

function isMac(word: string): boolean {
  return parseMac(word)?.length === 6;
}

function canonical(bytes: Uint8Array): string {
  return bytes.join('.');
}

/** `default`, an address, or a prefix; IPv4 may leave out trailing zero bytes (`10/8`). */
export function parsePrefix(word: string): Prefix {
  const wanted = 'an IP address or prefix such as 10.0.0.0/8 or 2001:db8::/32';
  const [address = '', length, ...more] = word.split('/');
  if (more.length > 0) throw badAddress(word, wanted);
  const missing = length === undefined ? 0 : 4 - address.split('.').length;
  const padded = !address.includes(':') && missing > 0 ? address + '.0'.repeat(missing) : address;
  const bytes = parseIp(padded);
  if (bytes === undefined) throw badAddress(word, wanted);
  const bits = 8 * bytes.length;
  if (length === undefined) return { bytes, length: bits };
  if (!/^\d{1,3}$/.test(length) || Number(length) > bits) {
    const mask = bytes.length === 4 ? parseIp4(length) : undefined;
    const fromMask = mask === undefined ? undefined : maskLength(mask);
    if (fromMask === undefined) throw badAddress(word, `a prefix with a length of 0 to ${bits}`);
    return { bytes, length: fromMask };
  }
  return { bytes, length: Number(length) };
}

function maskLength(mask: Uint8Array): number | undefined {
  const text = [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(text) ? text.replace(/0+$/, '').length : undefined;
}

/** Whether the first `length` bits are the same. */
function sameBits(a: Uint8Array, b: Uint8Array, length: number): boolean {
  if (a.length !== b.length) return false;
  const whole = length >>> 3;
  for (let at = 0; at < whole; at++) if (a[at] !== b[at]) return false;
  const rest = length & 7;
  return rest === 0 || ((a[whole]! ^ b[whole]!) & (0xff00 >> rest) & 0xff) === 0;
}

function bytesOfAddress(value: unknown): Uint8Array | undefined {
  const text = textOf(value);
  return text === undefined ? undefined : parseIp(text);
}

/** The address is inside the prefix. */
function inside(value: unknown, prefix: Prefix): boolean {
  const bytes = bytesOfAddress(value);
  return bytes !== undefined && sameBits(bytes, prefix.bytes, prefix.length);
}

function isAddress(value: unknown, wanted: string): boolean {
  const bytes = bytesOfAddress(value);
  return bytes !== undefined && canonical(bytes) === wanted;
}

/** The destination of a route or side of a rule as a prefix; 0/0 when it has none. */
function destination(object: DecodedObject, side: 'dst' | 'src'): Prefix {
  const family = headerNumber(object, 'family');
  const bytes = bytesOfAddress(object[side]) ?? new Uint8Array(family === 10 ? 16 : 4);
  return { bytes, length: headerNumber(object, `${side}_len`) };
}

type Relation = 'exact' | 'root' | 'match';

function related(route: Prefix, wanted: Prefix, relation: Relation): boolean {
  switch (relation) {
    case 'exact':
      return route.length === wanted.length && sameBits(route.bytes, wanted.bytes, wanted.length);
    case 'root':
      return route.length >= wanted.length && sameBits(route.bytes, wanted.bytes, wanted.length);
    case 'match':
      return route.length <= wanted.length && sameBits(route.bytes, wanted.bytes, route.length);
  }
}

type Reader = (words: Words, word: string, context: FormatContext) => Predicate;
type Readers = Readonly<Record<string, Reader>>;

/** The link whose index `index` gives has the name that follows. */
function onLink(index: (object: DecodedObject) => unknown): Reader {
  return (words, word, context) => {
    const name = words.value(word);
    return (object) => {
      const ifindex = numberOf(index(object));
      return ifindex !== undefined && ifindex !== 0 && linkName(context, ifindex) === name;
    };
  };
}

function numbered(value: (object: DecodedObject) => unknown): Reader {
  return (words, word) => {
    const number = words.number(word);
    return (object) => numberOf(value(object)) === number;
  };
}

function isText(value: (object: DecodedObject) => unknown): Reader {
  return (words, word) => {
    const text = words.value(word);
    return (object) => value(object) === text;
  };
}

function flag(test: Predicate): Reader {
  return () => test;
}

const byProtocol =
  (value: (object: DecodedObject) => unknown): Reader =>
  (words, word, context) => {
    const number = words.named(word, 'routing protocol', (name) => namesOf(context).protocolNumber(name));
    return (object) => numberOf(value(object)) === number;
  };

const byScope: Reader = (words, word, context) => {
  const number = words.named(word, 'scope', (name) => namesOf(context).scopeNumber(name));
  return (object) => headerNumber(object, 'scope') === number;
};

const byTable: Reader = (words, word, context) => {
  const names = namesOf(context);
  const number = words.named(word, 'routing table', (name) =>
    name === 'all' ? -1 : names.tableNumber(name),
  );
  return (object) => number === -1 || tableOf(object) === number;
};

function vrfTable(name: string, context: FormatContext): number {
  for (const link of context.links?.() ?? []) {
    const info = recordOf(link.linkinfo);
    if (link.ifname !== name || info?.kind !== 'vrf') continue;
    const table = numberOf(recordOf(info.data)?.table);
    if (table !== undefined) return table;
  }
  throw new EkhoError('E_USAGE', `there is no VRF "${name}"`, {
    remedy: 'ekho show link lists the links there are; type the name of one of type vrf.',
  });
}

const byVrfTable: Reader = (words, word, context) => {
  const table = vrfTable(words.value(word), context);
  return (object) => tableOf(object) === table;
};

/** Links, addresses and neighbours are in a VRF when their link's master is it. */
function byVrfMaster(ifindex: (object: DecodedObject) => number): Reader {
  return (words, word, context) => {
    const name = words.value(word);
    vrfTable(name, context);
    return (object) => {
      const master = numberOf(context.link?.(ifindex(object))?.master);
      return master !== undefined && linkName(context, master) === name;
    };
  };
}

const routePrefix =
  (relation: Relation, side: 'dst' | 'src'): Reader =>
  (words, word) => {
    const prefix = readDestination(words, word);
    return (object) =>
      prefix === 'default'
        ? headerNumber(object, `${side}_len`) === 0
        : related(destination(object, side), prefix, relation);
  };

function readDestination(words: Words, word: string): Prefix | 'default' {
  const text = words.value(word);
  return text === 'default' || text === 'all' || text === 'any' ? 'default' : parsePrefix(text);
}

function viaAddress(words: Words, word: string): Predicate {
  const wanted = words.address(word);
  const matches = (from: Readonly<Record<string, unknown>>): boolean =>
    isAddress(from.gateway, wanted) || isAddress(recordOf(from.via)?.address, wanted);
  return (object) => matches(object) || listOf(object.multipath).some((hop) => matches(recordOf(hop) ?? {}));
}

const byType: Reader = (words, word) => {
  const name = words.value(word);
  if (routeTypeNumber(name) === undefined) {
    throw new EkhoError('E_USAGE', `there is no route type "${name}"`, {
      remedy:
        'Types: unicast, local, broadcast, anycast, multicast, blackhole, unreachable, prohibit, throw.',
    });
  }
  return (object) => routeTypeName(headerNumber(object, 'type')) === name;
};

/** `blackhole 10.0.0.0/8`, as routes are added. */
const routeTypes: Readers = Object.fromEntries(
  [
    'unicast',
    'local',
    'broadcast',
    'anycast',
    'multicast',
    'blackhole',
    'unreachable',
    'prohibit',
    'throw',
  ].map((name): [string, Reader] => [
    name,
    flag((object) => routeTypeName(headerNumber(object, 'type')) === name),
  ]),
);

const oif = onLink((object) => object.oif);
const routeDevice: Reader = (words, word, context) => {
  const name = words.value(word);
  const is = (value: unknown): boolean => {
    const ifindex = numberOf(value);
    return ifindex !== undefined && ifindex !== 0 && linkName(context, ifindex) === name;
  };
  return (object) => is(object.oif) || listOf(object.multipath).some((hop) => is(recordOf(hop)?.ifindex));
};

const tcDevice = onLink((object) => headerNumber(object, 'ifindex'));
const tcParent = (parent: number): Reader => flag((object) => headerNumber(object, 'parent') === parent);
const tcReaders: Readers = {
  dev: tcDevice,
  root: tcParent(TC_H_ROOT),
  ingress: tcParent(0xfffffff1),
  parent: (words, word) => {
    const parent = words.value(word);
    return (object) => classId(headerNumber(object, 'parent')) === parent;
  },
  block: (words, word) => {
    const block = words.number(word);
    return (object) => headerNumber(object, 'ifindex') === -1 && headerNumber(object, 'parent') === block;
  },
  kind: isText((object) => object.kind),
};

const hookReaders: Readers = {
  ...tcReaders,
  dev: (words, word) => words.place.onDevice(words.value(word)),
  ingress: (words) => words.place.atHook('ingress'),
  egress: (words) => words.place.atHook('egress'),
};

const policyField =
  (name: string): Reader =>
  (words, word, context) => {
    const wanted = words.value(word);
    return (object) => formatPolicy(object, context)[name] === wanted;
  };

const flowField =
  (name: string): Reader =>
  (words, word, context) => {
    const wanted = words.value(word);
    return (object) => String(formatFlow(object, context)[name]) === wanted;
  };

const netfilterReaders: Readers = {
  family: isText((object) => netfilterFamily(headerNumber(object, 'family'))),
  table: isText((object) => object.table ?? object.name),
  chain: isText((object) => object.chain ?? object.name),
  name: isText((object) => object.name),
  handle: numbered((object) => object.handle),
};

const neighbourLink = (object: DecodedObject): number => headerNumber(object, 'ifindex');

const READERS: Readonly<Record<Kind, Readers>> = {
  link: {
    dev: isText((object) => object.ifname),
    type: (words, word) => {
      const type = words.value(word);
      return (object) => {
        const info = recordOf(object.linkinfo);
        return info?.kind === type || `${String(info?.slave_kind)}_slave` === type;
      };
    },
    master: onLink((object) => object.master),
    vrf: byVrfMaster((object) => headerNumber(object, 'index')),
    group: (words, word, context) => {
      const group = words.value(word);
      return (object) => {
        const number = numberOf(object.group) ?? 0;
        return namesOf(context).group(number) === group || String(number) === group;
      };
    },
    index: numbered((object) => object.header.index),
    address: (words, word) => hasMac(words.mac(word), 'address'),
    mac: (words, word) => hasMac(words.mac(word), 'address'),
    up: flag((object) => (headerNumber(object, 'flags') & 1) !== 0),
  },
  netconf: {
    dev: (words, word, context) => {
      const name = words.value(word);
      return (object) => {
        const ifindex = numberOf(object.ifindex) ?? 0;
        return name === (ifindex === -1 ? 'all' : ifindex === -2 ? 'default' : linkName(context, ifindex));
      };
    },
    family: isText((object) => familyName(headerNumber(object, 'family'))),
  },
  address: {
    to: (words, word) => {
      const prefix = words.prefix(word);
      return (object) => inside(object.local ?? object.address, prefix);
    },
    dev: onLink((object) => headerNumber(object, 'index')),
    vrf: byVrfMaster((object) => headerNumber(object, 'index')),
    scope: byScope,
    label: isText((object) => object.label),
    family: isText((object) => familyName(headerNumber(object, 'family'))),
  },
  neighbour: {
    to: (words, word) => {
      const prefix = words.prefix(word);
      return (object) => inside(object.dst, prefix);
    },
    dev: onLink(neighbourLink),
    vrf: byVrfMaster(neighbourLink),
    lladdr: (words, word) => hasMac(words.mac(word), 'lladdr'),
    mac: (words, word) => hasMac(words.mac(word), 'lladdr'),
    nud: (words, word) => {
      const name = words.value(word).toUpperCase();
      const state = NEIGHBOUR_STATES.find(([, known]) => known === name)?.[0];
      if (state === undefined && name !== 'ALL' && name !== 'NONE') {
        const known = NEIGHBOUR_STATES.map(([, state]) => state.toLowerCase()).join(', ');
        throw new EkhoError('E_USAGE', `there is no neighbour state "${name.toLowerCase()}"`, {
          remedy: `States: ${known}, none, all.`,
        });
      }
      return (object) =>
        name === 'ALL' ||
        (state === undefined
          ? headerNumber(object, 'state') === 0
          : (headerNumber(object, 'state') & state) !== 0);
    },
    proxy: flag((object) => (headerNumber(object, 'flags') & 0x08) !== 0),
    protocol: byProtocol((object) => object.protocol),
  },
  fdb: {
    mac: (words, word) => hasMac(words.mac(word), 'lladdr'),
    dev: onLink(neighbourLink),
    brport: onLink(neighbourLink),
    br: onLink((object) => object.master),
    master: onLink((object) => object.master),
    self: flag((object) => object.master === undefined),
    vlan: numbered((object) => object.vlan ?? 0),
    dst: (words, word) => {
      const wanted = words.address(word);
      return (object) => isAddress(object.dst, wanted);
    },
    vni: numbered((object) => object.vni),
    nhid: numbered((object) => object.nh_id),
  },
  mdb: {
    dev: onLink((object) => headerNumber(object, 'ifindex')),
    port: (words, word, context) => {
      const name = words.value(word);
      return (object) =>
        [...mdbEntries(object), ...mdbRouterPorts(object)].some(
          (entry) => linkName(context, numberOf(entry.ifindex) ?? 0) === name,
        );
    },
    grp: (words, word) => {
      const group = words.value(word);
      if (isMac(group))
        return (object) => mdbEntries(object).some((entry) => mdbGroup(entry) === group.toLowerCase());
      const bytes = parseIp(group);
      if (bytes === undefined) throw badAddress(group, 'a multicast address such as 239.1.1.1 or ff05::1');
      return (object) => mdbEntries(object).some((entry) => isAddress(mdbGroup(entry), canonical(bytes)));
    },
    src: (words, word) => {
      const wanted = words.address(word);
      return (object) => mdbEntries(object).some((entry) => isAddress(entry.source, wanted));
    },
    vid: (words, word) => {
      const vid = words.number(word, 4095);
      return (object) => mdbEntries(object).some((entry) => (numberOf(entry.vid) ?? 0) === vid);
    },
  },
  vlan: {
    dev: onLink((object) => headerNumber(object, 'ifindex')),
    vid: (words, word) => {
      const vid = words.number(word, 4095);
      return (object) =>
        vlanEntries(object).some((entry) => {
          const [first, last] = vlanRange(entry);
          return first <= vid && vid <= last;
        });
    },
  },
  nexthop: {
    id: numbered((object) => object.id),
    dev: oif,
    via: viaAddress,
    vrf: byVrfMaster((object) => numberOf(object.oif) ?? 0),
    groups: flag((object) => object.group !== undefined),
    member: (words, word) => {
      const id = words.number(word);
      return (object) => groupMembers(object).some((member) => member.id === id);
    },
    fdb: flag((object) => object.fdb !== undefined),
    protocol: byProtocol((object) => object.header.protocol),
  },
  rule: {
    pref: numbered((object) => object.priority ?? 0),
    from: routePrefix('exact', 'src'),
    to: routePrefix('exact', 'dst'),
    iif: isText((object) => object.iifname),
    oif: isText((object) => object.oifname),
    table: byTable,
    vrf: byVrfTable,
    fwmark: numbered((object) => object.fwmark),
    protocol: byProtocol((object) => object.protocol),
    family: isText((object) => familyName(headerNumber(object, 'family'))),
  },
  route: {
    ...routeTypes,
    to: routePrefix('exact', 'dst'),
    exact: routePrefix('exact', 'dst'),
    root: routePrefix('root', 'dst'),
    match: routePrefix('match', 'dst'),
    from: routePrefix('exact', 'src'),
    dev: routeDevice,
    via: viaAddress,
    table: byTable,
    vrf: byVrfTable,
    protocol: byProtocol((object) => object.header.protocol),
    type: byType,
    scope: byScope,
    metric: numbered((object) => object.priority ?? 0),
    tos: numbered((object) => object.header.tos),
    nhid: numbered((object) => object.nh_id),
    src: (words, word) => {
      const wanted = words.address(word);
      return (object) => isAddress(object.prefsrc, wanted);
    },
    family: isText((object) => familyName(headerNumber(object, 'family'))),
  },
  qdisc: {
    ...tcReaders,
    handle: (words, word) => {
      const handle = words.value(word);
      return (object) => classId(headerNumber(object, 'handle')) === handle;
    },
  },
  class: {
    ...tcReaders,
    classid: (words, word) => {
      const id = words.value(word);
      return (object) => classId(headerNumber(object, 'handle')) === id;
    },
  },
  chain: { ...hookReaders, chain: numbered((object) => object.chain ?? 0) },
  filter: {
    ...hookReaders,
    chain: numbered((object) => object.chain ?? 0),
    pref: (words, word) => {
      const preference = words.number(word, 0xffff);
      return (object) => filterOrder(object).preference === preference;
    },
    protocol: isText((object) => ethertypeName(filterOrder(object).protocol)),
    handle: (words, word) => {
      const handle = words.value(word);
      return (object) => {
        const number = headerNumber(object, 'handle');
        return (
          u32Handle(number) === handle || `0x${number.toString(16)}` === handle || String(number) === handle
        );
      };
    },
  },
  action: {
    kind: (words, word) => {
      const kind = words.value(word);
      return (object) => listOf(object.tab).some((action) => recordOf(action)?.kind === kind);
    },
    index: (words, word) => {
      const index = words.number(word);
      return (object) => listOf(object.tab).some((action) => numberOf(recordOf(action)?.index) === index);
    },
  },
  'xfrm-default': {},
  'xfrm-policy': {
    src: policyField('src'),
    dst: policyField('dst'),
    dir: policyField('dir'),
    action: policyField('action'),
    ptype: policyField('ptype'),
    index: numbered((object) => object.header.index),
    if_id: numbered((object) => object.if_id),
  },
  'nft-table': netfilterReaders,
  'nft-chain': netfilterReaders,
  'nft-rule': netfilterReaders,
  'nft-flowtable': netfilterReaders,
  flow: {
    proto: flowField('proto'),
    src: flowField('src'),
    dst: flowField('dst'),
    sport: flowField('sport'),
    dport: flowField('dport'),
    zone: flowField('zone'),
  },
  offload: {
    kind: isText((object) => object.kind),
    name: isText((object) => object.name),
    source: isText((object) => object.source),
  },
};

function hasMac(mac: string, attribute: string): Predicate {
  return (object) => object[attribute] === mac;
}

/** Other words iproute2 takes for the same. */
const SYNONYMS: Readonly<Record<string, string>> = {
  oif: 'dev',
  interface: 'dev',
  proto: 'protocol',
  preference: 'metric',
  priority: 'metric',
  lookup: 'table',
  prio: 'pref',
  id: 'nhid',
  vlan: 'vid',
  vid: 'vlan',
  brport: 'dev',
  bridge: 'br',
  order: 'pref',
};

/** Kinds whose synonyms differ from the above. */
const OWN_SYNONYMS: Readonly<Partial<Record<Kind, Readonly<Record<string, string>>>>> = {
  rule: { priority: 'pref', preference: 'pref', order: 'pref', dev: 'iif' },
  filter: { preference: 'pref', priority: 'pref' },
  nexthop: { nhid: 'id' },
  link: { name: 'dev' },
};

/** A word without a keyword before it: what it can only be. */
function bare(kind: Kind, word: string): string | undefined {
  switch (kind) {
    case 'link':
      return 'dev';
    case 'route':
    case 'address':
    case 'neighbour':
      return 'to';
    case 'fdb':
      return isMac(word) ? 'mac' : undefined;
    case 'mdb':
      return isMac(word) || parseIp(word) !== undefined ? 'grp' : undefined;
    case 'nexthop':
      return /^\d+$/.test(word) ? 'id' : undefined;
    case 'rule':
      return /^\d+$/.test(word) ? 'pref' : undefined;
    case 'vlan':
      return /^\d+$/.test(word) ? 'vid' : undefined;
    case 'nft-table':
    case 'nft-chain':
    case 'nft-flowtable':
      return 'name';
    case 'offload':
      return KIND_NAME.test(word) ? 'kind' : 'name';
    default:
      return undefined;
  }
}

function readerOf(kind: Kind, word: string): Reader | undefined {
  const readers = READERS[kind];
  for (const name of [word, OWN_SYNONYMS[kind]?.[word], SYNONYMS[word]]) {
    if (name !== undefined && Object.hasOwn(readers, name)) return readers[name];
  }
  return undefined;
}

/**
 * The objects of `kind` that fit all of `words`; no words fit every object. Throws E_BAD_ADDRESS or E_USAGE naming the word
 * that is not understood and what could stand there.
 */
export function parseSelector(kind: Kind, words: readonly string[], context: FormatContext): Predicate {
  if (words.length > WORDS_MAX) {
    throw new EkhoError('E_USAGE', `${words.length} words are too many`, {
      remedy: `Use at most ${WORDS_MAX} words.`,
    });
  }
  const predicates: Predicate[] = [];
  const reading = new Words(kind, words, context);
  let named = false;
  for (let word = reading.next(); word !== undefined; word = reading.next()) {
    const reader = readerOf(kind, word);
    if (reader !== undefined) {
      predicates.push(reader(reading, word, context));
      continue;
    }
    const implied: string | undefined = named ? undefined : bare(kind, word);
    if (implied === undefined) throw notUnderstood(kind, word);
    // Once: a second word of the kind is a slip.
    named = implied !== 'kind' || kind !== 'offload';
    predicates.push(bareReader(kind, implied, word, context));
  }
  return (object) => predicates.every((predicate) => predicate(object));
}

function bareReader(kind: Kind, implied: string, word: string, context: FormatContext): Predicate {
  if (implied === 'to' && !/^(default|all|any)$/.test(word) && !/[.:/\d]/.test(word)) {
    throw notUnderstood(kind, word);
  }
  return READERS[kind][implied]!(new Words(kind, [word], context), implied, context);
}

function notUnderstood(kind: Kind, word: string): EkhoError {
  const known = Object.keys(READERS[kind]);
  const near = nearest(word, known);
  return new EkhoError('E_USAGE', `"${word}" is not understood${near ? `; did you mean ${near}?` : ''}`, {
    remedy: `For ${kind} there are: ${known.join(', ')}.`,
  });
}
