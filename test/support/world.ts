/**
 * Random changes of a router: routes of every type, nexthop objects, rules, neighbours, addresses, links and settings; and
 * addresses at which its answers are worth comparing. Commands that the kernel refuses are part of it.
 */
import type { Random } from './random.ts';
import { host4, host6, macOf } from './router.ts';

export type Family = 4 | 6;

/** A line of `ip -batch`; `family` where the line does not tell it. */
export interface Command {
  readonly family?: Family;
  readonly line: string;
}

export interface Probe {
  readonly family: Family;
  readonly destination: string;
  readonly source?: string;
  readonly in?: string;
  /** Said always: what the kernel takes where it is not said differs between families. */
  readonly ipproto: number;
  readonly sport: number;
  readonly dport: number;
}

const TABLES = [254, 254, 254, 254, 254, 254, 254, 254, 254, 100, 100, 100, 101, 255, 253];
/** The table that is looked at first. */
const LOCAL = 255;
const LENGTHS = {
  4: [8, 16, 20, 21, 22, 22, 23, 24, 24, 26, 30, 32],
  6: [32, 48, 60, 62, 62, 63, 64, 64, 80, 127, 128],
};
const NEXTHOP_IDS = 8;
const GROUP_IDS = 4;

/** An address as a number, and a prefix of it. */
interface Prefix {
  readonly family: Family;
  readonly value: bigint;
  readonly length: number;
}

export class World {
  readonly #random: Random;
  readonly #ports: number;
  readonly #first: number;
  readonly #hasRules: boolean;
  readonly #tables: readonly number[];
  /** Prefixes routes were made for: at their edges the answers differ. */
  readonly #prefixes: Prefix[] = [];
  readonly #rules: string[][] = [[], []];

  /** Of `ports` ports from p<first> on. Without rules, and routes that come before all others, what other ports forward stays as it is. */
  constructor(random: Random, ports: number, first = 0, hasRules = true) {
    this.#random = random;
    this.#ports = ports;
    this.#first = first;
    this.#hasRules = hasRules;
    this.#tables = hasRules ? TABLES : TABLES.filter((table) => table !== LOCAL);
  }

  /** Some commands of `ip` (with the family they need) and settings of sysctl. */
  changes(count: number): { commands: Command[]; settings: string[] } {
    const commands: Command[] = [];
    const settings: string[] = [];
    for (let number = 0; number < count; number++) {
      const make = this.#random.weighted<() => void>([
        [14, () => commands.push(this.#route('add'))],
        [3, () => commands.push(this.#route('replace'))],
        [2, () => commands.push(this.#route('append'))],
        [6, () => commands.push(this.#routeDelete())],
        [4, () => commands.push(this.#nexthop())],
        [this.#hasRules ? 1.2 : 0, () => commands.push(this.#rule())],
        [this.#hasRules ? 1.5 : 0, () => commands.push(this.#ruleDelete())],
        [2, () => commands.push(this.#neighbour())],
        [0.7, () => commands.push(this.#address())],
        [0.4, () => commands.push(this.#link())],
        [0.3, () => settings.push(this.#setting())],
      ]);
      make();
    }
    return { commands, settings };
  }

  /** Packets to compare: within, at the edges of and around the prefixes there are, with and without an ingress. */
  probes(count: number): Probe[] {
    const probes: Probe[] = [];
    for (let number = 0; number < count; number++) {
      const family = this.#family();
      const destination = text(this.#address_(family));
      const flow = {
        ipproto: 17,
        sport: this.#random.pick([53, 1000, 4000, 4000]),
        dport: this.#random.pick([53, 80, 5000, 5000]),
      };
      if (this.#random.chance(0.5)) probes.push({ family, destination, ...flow });
      else {
        const port = this.#port();
        const source = this.#random.weighted<() => string>([
          [4, () => (family === 4 ? host4(port, 77) : host6(port, 77))],
          [3, () => text(this.#address_(family))],
          [2, () => (family === 4 ? '192.168.7.7' : '2001:db8:9::7')],
          [1, () => (family === 4 ? host4(this.#port(), 3) : host6(this.#port(), 3))],
          [0.3, () => (family === 4 ? host4(this.#port(), 1) : host6(this.#port(), 1))],
        ])();
        probes.push({ family, destination, source, in: `p${port}`, ...flow });
      }
    }
    return probes;
  }

  #family(): Family {
    return this.#random.chance(0.6) ? 4 : 6;
  }

  #port(): number {
    return this.#first + this.#random.below(this.#ports);
  }

  /** A few networks that cover each other often, and parts of the connected ones. */
  #prefix(family: Family): Prefix {
    const random = this.#random;
    // Short ones hide all others too often.
    const length = random.chance(0.03) ? 0 : random.pick(LENGTHS[family]);
    let value: bigint;
    if (family === 4) {
      const low = BigInt(random.below(4096));
      value = random.chance(0.12)
        ? 0x0aff0000n | BigInt(this.#port() << 8) | (low & 0xffn)
        : 0x0a000000n | low;
    } else {
      const low = (BigInt(random.below(16)) << 64n) | BigInt(random.below(16));
      value = random.chance(0.12)
        ? (0x20010db800f0n << 80n) | (BigInt(this.#port()) << 80n) | (low & 0xfn)
        : (0x20010db8000an << 80n) | low;
    }
    return masked({ family, value, length });
  }

  #address_(family: Family): Prefix {
    const random = this.#random;
    const known = this.#prefixes.filter((prefix) => prefix.family === family);
    const bits = family === 4 ? 32 : 128;
    const prefix = known.length > 0 && random.chance(0.8) ? random.pick(known) : this.#prefix(family);
    const size = 1n << BigInt(bits - prefix.length);
    const value = random.pick([
      prefix.value,
      prefix.value + size - 1n,
      prefix.value - 1n,
      prefix.value + size,
      prefix.value + (BigInt(random.below(65_536)) % size),
      prefix.value + (BigInt(random.below(65_536)) % size),
    ]);
    const most = (1n << BigInt(bits)) - 1n;
    return { family, value: value < 0n ? 0n : value > most ? most : value, length: bits };
  }

  #gateway(family: Family, port: number): string {
    const number = this.#random.pick([2, 2, 3, 3, 4, 5, 9]);
    return family === 4 ? host4(port, number) : host6(port, number);
  }

  #hop(family: Family): string {
    const port = this.#port();
    if (family === 4 && this.#random.chance(0.08)) return `via inet6 ${this.#gateway(6, port)} dev p${port}`;
    return `via ${this.#gateway(family, port)} dev p${port}`;
  }

  #target(family: Family): string {
    const random = this.#random;
    return random.weighted<() => string>([
      [10, () => this.#hop(family)],
      [3, () => this.#multipath(family)],
      [3, () => `nhid ${1 + random.below(NEXTHOP_IDS)}`],
      [2, () => `nhid ${101 + random.below(GROUP_IDS)}`],
      [1, () => `dev p${this.#port()}`],
    ])();
  }

  #multipath(family: Family): string {
    const count = 2 + this.#random.below(3);
    return Array.from({ length: count }, () => {
      const weight = this.#random.chance(0.3) ? ` weight ${1 + this.#random.below(5)}` : '';
      return `nexthop ${this.#hop(family)}${weight}`;
    }).join(' ');
  }

  #route(verb: 'add' | 'replace' | 'append'): Command {
    const random = this.#random;
    const family = this.#family();
    const prefix = this.#prefix(family);
    this.#prefixes.push(prefix);
    if (this.#prefixes.length > 300) this.#prefixes.shift();
    const type = random.weighted([
      [16, ''],
      [2, 'blackhole'],
      [1, 'unreachable'],
      [1, 'prohibit'],
      [2, 'throw'],
      [1, 'local'],
    ] as const);
    const target = type === '' ? this.#target(family) : type === 'local' ? 'dev lo' : '';
    const metric = random.chance(0.25) ? `metric ${random.pick([5, 10, 2000])}` : '';
    const tos = family === 4 && random.chance(0.04) ? `tos ${random.pick(['0x10', '0x08'])}` : '';
    const mtu = type === '' && random.chance(0.03) ? 'mtu 1400' : '';
    const from = family === 6 && random.chance(0.03) ? `from ${text(this.#prefix(6))}/48` : '';
    const line = `route ${verb} ${type} ${textOf(prefix)} ${from} ${tos} table ${random.pick(this.#tables)} ${metric} ${target} ${mtu}`;
    return { line: line.replace(/ +/g, ' ').trim() };
  }

  #routeDelete(): Command {
    const family = this.#family();
    const known = this.#prefixes.filter((prefix) => prefix.family === family);
    if (known.length === 0) return this.#route('add');
    return {
      family,
      line: `route del ${textOf(this.#random.pick(known))} table ${this.#random.pick(this.#tables)}`,
    };
  }

  #nexthop(): Command {
    const random = this.#random;
    if (random.chance(0.35)) {
      const id = 101 + random.below(GROUP_IDS);
      if (random.chance(0.2)) return { line: `nexthop del id ${id}` };
      const count = 1 + random.below(3);
      const members = Array.from({ length: count }, () => 1 + random.below(NEXTHOP_IDS));
      const group = [...new Set(members)].map((member) =>
        random.chance(0.3) ? `${member},${1 + random.below(9)}` : `${member}`,
      );
      return { line: `nexthop replace id ${id} group ${group.join('/')}` };
    }
    const id = 1 + random.below(NEXTHOP_IDS);
    if (random.chance(0.15)) return { line: `nexthop del id ${id}` };
    // The last two are IPv6's: members of a group are of one family.
    const family = id > NEXTHOP_IDS - 2 ? 6 : 4;
    if (random.chance(0.1)) return { family, line: `nexthop replace id ${id} blackhole` };
    const port = this.#port();
    return {
      line: `nexthop replace id ${id} via ${this.#gateway(family, port)} dev p${port}`,
    };
  }

  #rule(): Command {
    const random = this.#random;
    const family = this.#family();
    const preference = 100 + random.below(100);
    const words = [`rule add pref ${preference}`];
    if (random.chance(0.05)) words.push('not');
    if (random.chance(0.3)) words.push(`from ${textOf(this.#prefix(family))}`);
    if (random.chance(0.3)) words.push(`to ${textOf(this.#prefix(family))}`);
    if (random.chance(0.25)) words.push(`iif ${random.pick(['p0', 'p1', 'v0', 'none'])}`);
    if (random.chance(0.1)) words.push('fwmark 7');
    if (random.chance(0.05)) words.push('tos 0x10');
    if (random.chance(0.15))
      words.push(
        random.pick(['ipproto udp', 'ipproto udp dport 53', 'ipproto tcp', 'dport 80-500', 'sport 1000']),
      );
    if (random.chance(0.05)) words.push(`uidrange ${random.pick(['0-99', '1000-2000'])}`);
    if (random.chance(0.05)) words.push(`uidrange ${random.pick(['0-99', '1000-2000'])}`);
    words.push(
      random.weighted<() => string>([
        [8, () => `lookup ${random.pick([100, 101, 254])}`],
        [1, () => random.pick(['blackhole', 'unreachable', 'prohibit'])],
        [0.5, () => 'nop'],
        [0.5, () => `lookup 254 suppress_prefixlength ${random.pick([0, 16])}`],
        [0.5, () => 'goto 32766'],
      ])(),
    );
    this.#rules[family === 4 ? 0 : 1]!.push(`${preference}`);
    return { family, line: words.join(' ') };
  }

  #ruleDelete(): Command {
    const family = this.#family();
    const rules = this.#rules[family === 4 ? 0 : 1]!;
    // Now and then the rule of the main table goes and comes back, at its place or before others.
    if (this.#random.chance(0.1)) return { family, line: 'rule del pref 32766' };
    if (rules.length === 0 || this.#random.chance(0.15))
      return { family, line: `rule add pref ${this.#random.pick([32_766, 150])} lookup 254` };
    return { family, line: `rule del pref ${rules.splice(this.#random.below(rules.length), 1)[0]}` };
  }

  #neighbour(): Command {
    const random = this.#random;
    const family = this.#family();
    const port = this.#port();
    const number = random.pick([3, 4, 5, 9, 77]);
    const address = family === 4 ? host4(port, number) : host6(port, number);
    const line = random.weighted<string>([
      [5, `neigh replace ${address} lladdr ${macOf(port, number)} dev p${port} nud permanent`],
      [
        1,
        `neigh replace ${address} lladdr ${macOf(port, 0xf0 + random.below(4))} dev p${port} nud permanent`,
      ],
      [2, `neigh del ${address} dev p${port}`],
      [1, `neigh replace ${address} dev p${port} nud failed`],
      [1, `neigh replace ${address} lladdr ${macOf(port, number)} dev p${port} nud stale`],
    ]);
    return { line };
  }

  #address(): Command {
    const family = this.#family();
    const prefix = this.#prefix(family);
    const length = family === 4 ? 24 : 64;
    this.#prefixes.push(masked({ ...prefix, length }));
    const options = family === 6 ? 'nodad' : '';
    const verb = this.#random.chance(0.6) ? 'add' : 'del';
    return {
      line: `addr ${verb} ${text({ ...prefix, value: prefix.value + 1n })}/${length} dev p${this.#port()} ${verb === 'add' ? options : ''}`,
    };
  }

  #link(): Command {
    // The far end takes the carrier away.
    const name = `${this.#random.pick(['p', 'v'])}${this.#port()}`;
    return { line: `link set ${name} ${this.#random.chance(0.3) ? 'down' : 'up'}` };
  }

  #setting(): string {
    const random = this.#random;
    const port = `p${this.#port()}`;
    return random.weighted([
      [2, `net.ipv4.conf.${port}.rp_filter=${random.below(3)}`],
      [1, `net.ipv4.conf.${port}.forwarding=${random.below(2)}`],
      [1, `net.ipv6.conf.${port}.forwarding=${random.below(2)}`],
      [2, 'net.ipv4.conf.all.forwarding=1'],
      [2, 'net.ipv6.conf.all.forwarding=1'],
      [0.5, `net.ipv4.conf.${port}.ignore_routes_with_linkdown=${random.below(2)}`],
      [0.3, `net.ipv6.conf.all.ignore_routes_with_linkdown=${random.below(2)}`],
    ]);
  }
}

function masked({ family, value, length }: Prefix): Prefix {
  const host = BigInt((family === 4 ? 32 : 128) - length);
  return { family, value: (value >> host) << host, length };
}

function text({ family, value }: Prefix): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
  const words = Array.from({ length: 8 }, (_, word) => (value >> BigInt(112 - 16 * word)) & 0xffffn);
  return words.map((word) => word.toString(16)).join(':');
}

function textOf(prefix: Prefix): string {
  return `${text(prefix)}/${prefix.length}`;
}
