/**
 * The names iproute2 prints for numbers: its databases in /etc/iproute2 and /usr/share/iproute2 (a file in /etc hides
 * the one in /usr/share; *.conf in the directories next to it add), ethertypes, link types, IP protocols.
 */

import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes read of one file, names kept of one database, files read of one directory; the rest is ignored. */
const FILE_MAX = 1 << 20;
const NAMES_MAX = 65_536;
const FILES_MAX = 256;

const DIRECTORIES = ['/etc/iproute2', '/usr/share/iproute2'];

function readBounded(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    const bytes = Buffer.allocUnsafe(FILE_MAX);
    let length = 0;
    while (length < FILE_MAX) {
      const read = readSync(file, bytes, length, FILE_MAX - length, null);
      if (read === 0) break;
      length += read;
    }
    return bytes.toString('utf8', 0, length);
  } catch {
    return undefined;
  } finally {
    closeSync(file);
  }
}

/** Numbers and names of one database; later lines win. */
class Database {
  readonly byNumber = new Map<number, string>();
  readonly byName = new Map<string, number>();

  add(number: number, name: string): void {
    if (this.byNumber.size >= NAMES_MAX && !this.byNumber.has(number)) return;
    this.byNumber.set(number, name);
    this.byName.set(name, number);
  }

  /** Lines of `number name`, decimal or 0x hex; # starts a comment. */
  read(text: string): void {
    for (const line of text.split('\n')) {
      const match = /^\s*(0x[0-9a-fA-F]+|\d+)\s+([^\s#]\S*)/.exec(line);
      if (match !== null) this.add(Number(match[1]), match[2]!);
    }
  }
}

function load(
  file: string,
  builtin: Readonly<Record<number, string>>,
  directories: readonly string[],
): Database {
  const database = new Database();
  for (const [number, name] of Object.entries(builtin)) database.add(Number(number), name);
  const main = directories
    .map((directory) => readBounded(join(directory, file)))
    .find((text) => text !== undefined);
  if (main !== undefined) database.read(main);
  for (const directory of [...directories].reverse()) {
    const extra = join(directory, `${file}.d`);
    let names: string[];
    try {
      names = readdirSync(extra);
    } catch {
      continue;
    }
    const files = names.filter((name) => /^[^.].*\.conf$/.test(name)).sort();
    for (const name of files.slice(0, FILES_MAX)) database.read(readBounded(join(extra, name)) ?? '');
  }
  return database;
}

/** linux/rtnetlink.h RTPROT_* */
const PROTOCOLS = {
  0: 'unspec',
  1: 'redirect',
  2: 'kernel',
  3: 'boot',
  4: 'static',
  8: 'gated',
  9: 'ra',
  10: 'mrt',
  11: 'zebra',
  12: 'bird',
  13: 'dnrouted',
  14: 'xorp',
  15: 'ntk',
  16: 'dhcp',
  18: 'keepalived',
  42: 'babel',
  186: 'bgp',
  187: 'isis',
  188: 'ospf',
  189: 'rip',
  192: 'eigrp',
};
const SCOPES = { 0: 'global', 200: 'site', 253: 'link', 254: 'host', 255: 'nowhere' };
const TABLES = { 253: 'default', 254: 'main', 255: 'local' };

/** Reads its databases when first asked and then keeps them. */
export class Names {
  readonly #directories: readonly string[];
  readonly #databases = new Map<string, Database>();

  constructor(directories: readonly string[] = DIRECTORIES) {
    this.#directories = directories;
  }

  #database(file: string, builtin: Readonly<Record<number, string>>): Database {
    let database = this.#databases.get(file);
    if (database === undefined) {
      database = load(file, builtin, this.#directories);
      this.#databases.set(file, database);
    }
    return database;
  }

  #protocols = (): Database => this.#database('rt_protos', PROTOCOLS);
  #scopes = (): Database => this.#database('rt_scopes', SCOPES);
  #tables = (): Database => this.#database('rt_tables', TABLES);
  #groups = (): Database => this.#database('group', { 0: 'default' });

  /** Who installed a route, address, rule: RTPROT_*. */
  protocol(number: number): string {
    return this.#protocols().byNumber.get(number) ?? String(number);
  }

  protocolNumber(name: string): number | undefined {
    return this.#protocols().byName.get(name);
  }

  scope(number: number): string {
    return this.#scopes().byNumber.get(number) ?? String(number);
  }

  scopeNumber(name: string): number | undefined {
    return this.#scopes().byName.get(name);
  }

  table(number: number): string {
    return this.#tables().byNumber.get(number) ?? String(number);
  }

  tableNumber(name: string): number | undefined {
    return this.#tables().byName.get(name);
  }

  group(number: number): string {
    return this.#groups().byNumber.get(number) ?? String(number);
  }

  realm(number: number): string {
    return this.#database('rt_realms', { 0: 'unknown' }).byNumber.get(number) ?? String(number);
  }

  /** TOS or traffic class byte. */
  dsfield(number: number): string {
    const name = this.#database('rt_dsfield', { 0: '0' }).byNumber.get(number);
    return name ?? `0x${number.toString(16).padStart(2, '0')}`;
  }

  protodownReason(bit: number): string {
    return this.#database('protodown_reasons', {}).byNumber.get(bit) ?? String(bit);
  }

  /** As in /etc/protocols. */
  ipProtocol(number: number): string {
    let database = this.#databases.get('protocols');
    if (database === undefined) {
      database = new Database();
      for (const line of (readBounded('/etc/protocols') ?? '').split('\n')) {
        const match = /^([^\s#]+)\s+(\d+)/.exec(line);
        if (match !== null && !database.byNumber.has(Number(match[2])))
          database.add(Number(match[2]), match[1]!);
      }
      this.#databases.set('protocols', database);
    }
    return database.byNumber.get(number) ?? `ipproto-${number}`;
  }
}

/** linux/if_ether.h ETH_P_* */
const ETHERTYPES: ReadonlyMap<number, string> = new Map([
  [0x0060, 'loop'],
  [0x0200, 'pup'],
  [0x0201, 'pupat'],
  [0x0800, 'ip'],
  [0x0805, 'x25'],
  [0x0806, 'arp'],
  [0x08ff, 'bpq'],
  [0x0a00, 'ieeepup'],
  [0x0a01, 'ieeepupat'],
  [0x6000, 'dec'],
  [0x6001, 'dna_dl'],
  [0x6002, 'dna_rc'],
  [0x6003, 'dna_rt'],
  [0x6004, 'lat'],
  [0x6005, 'diag'],
  [0x6006, 'cust'],
  [0x6007, 'sca'],
  [0x8035, 'rarp'],
  [0x809b, 'atalk'],
  [0x80f3, 'aarp'],
  [0x8137, 'ipx'],
  [0x86dd, 'ipv6'],
  [0x8863, 'ppp_disc'],
  [0x8864, 'ppp_ses'],
  [0x884c, 'atmmpoa'],
  [0x8884, 'atmfate'],
  [0x0001, '802_3'],
  [0x0002, 'ax25'],
  [0x0003, 'all'],
  [0x0004, '802_2'],
  [0x0005, 'snap'],
  [0x0006, 'ddcmp'],
  [0x0007, 'wan_ppp'],
  [0x0008, 'ppp_mp'],
  [0x0009, 'localtalk'],
  [0x000c, 'can'],
  [0x0010, 'ppptalk'],
  [0x0011, 'tr_802_2'],
  [0x0015, 'mobitex'],
  [0x0016, 'control'],
  [0x0017, 'irda'],
  [0x0018, 'econet'],
  [0x88ca, 'tipc'],
  [0x8892, 'profinet'],
  [0x88a2, 'aoe'],
  [0x88a4, 'ethercat'],
  [0x8100, '802.1Q'],
  [0x88a8, '802.1ad'],
  [0x8847, 'mpls_uc'],
  [0x8848, 'mpls_mc'],
  [0x6558, 'teb'],
]);

/** Ethertype in host byte order. */
export function ethertypeName(number: number): string {
  return ETHERTYPES.get(number) ?? `[${number}]`;
}

/** linux/if_arp.h ARPHRD_* */
const LINK_TYPES: ReadonlyMap<number, string> = new Map([
  [0, 'netrom'],
  [1, 'ether'],
  [2, 'eether'],
  [3, 'ax25'],
  [4, 'pronet'],
  [5, 'chaos'],
  [6, 'ieee802'],
  [7, 'arcnet'],
  [8, 'atalk'],
  [15, 'dlci'],
  [19, 'atm'],
  [23, 'metricom'],
  [24, 'ieee1394'],
  [32, 'infiniband'],
  [256, 'slip'],
  [257, 'cslip'],
  [258, 'slip6'],
  [259, 'cslip6'],
  [260, 'rsrvd'],
  [264, 'adapt'],
  [270, 'rose'],
  [271, 'x25'],
  [272, 'hwx25'],
  [280, 'can'],
  [512, 'ppp'],
  [513, 'hdlc'],
  [516, 'lapb'],
  [517, 'ddcmp'],
  [518, 'rawhdlc'],
  [768, 'ipip'],
  [769, 'tunnel6'],
  [770, 'frad'],
  [771, 'skip'],
  [772, 'loopback'],
  [773, 'ltalk'],
  [774, 'fddi'],
  [775, 'bif'],
  [776, 'sit'],
  [777, 'ip/ddp'],
  [778, 'gre'],
  [779, 'pimreg'],
  [780, 'hippi'],
  [781, 'ash'],
  [782, 'econet'],
  [783, 'irda'],
  [784, 'fcpp'],
  [785, 'fcal'],
  [786, 'fcpl'],
  [787, 'fcfb0'],
  [788, 'fcfb1'],
  [789, 'fcfb2'],
  [790, 'fcfb3'],
  [791, 'fcfb4'],
  [792, 'fcfb5'],
  [793, 'fcfb6'],
  [794, 'fcfb7'],
  [795, 'fcfb8'],
  [796, 'fcfb9'],
  [797, 'fcfb10'],
  [798, 'fcfb11'],
  [799, 'fcfb12'],
  [800, 'tr'],
  [801, 'ieee802.11'],
  [802, 'ieee802.11/prism'],
  [803, 'ieee802.11/radiotap'],
  [804, 'ieee802.15.4'],
  [805, 'ieee802.15.4/monitor'],
  [820, 'phonet'],
  [821, 'phonet_pipe'],
  [822, 'caif'],
  [823, 'gre6'],
  [824, 'netlink'],
  [825, '6lowpan'],
  [65534, 'none'],
  [65535, 'void'],
]);

export function linkTypeName(number: number): string {
  return LINK_TYPES.get(number) ?? `[${number}]`;
}

/** linux/rtnetlink.h RTN_* */
const ROUTE_TYPES = [
  'none',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
  'nat',
  'xresolve',
];

export function routeTypeName(number: number): string {
  return ROUTE_TYPES[number] ?? String(number);
}

export function routeTypeNumber(name: string): number | undefined {
  const number = ROUTE_TYPES.indexOf(name);
  return number < 0 ? undefined : number;
}

/** AF_* as iproute2 prints it. */
export function familyName(family: number): string {
  switch (family) {
    case 2:
      return 'inet';
    case 7:
      return 'bridge';
    case 10:
      return 'inet6';
    case 17:
      return 'link';
    case 28:
      return 'mpls';
    default:
      return '???';
  }
}

/** linux/netfilter.h NFPROTO_*, as nft calls them. */
const NETFILTER_FAMILIES: Readonly<Record<number, string>> = {
  1: 'inet',
  2: 'ip',
  3: 'arp',
  5: 'netdev',
  7: 'bridge',
  10: 'ip6',
};

export function netfilterFamily(family: number): string {
  return NETFILTER_FAMILIES[family] ?? String(family);
}
