/**
 * What sees packets besides what the mirror holds, and is announced by nobody: read now and then, when links change, and when somebody
 * waits for the plan.
 */

import { EkhoError, isShortage } from '../errors.ts';
import { inNetns } from '../netlink/syscall.ts';
import {
  bridgeCalls,
  bridgeTables,
  legacyTables,
  type NetfilterProgram,
  netfilterPrograms,
  numbersOf,
  passesEverything,
  type Seen,
  TCX_EGRESS,
  TCX_INGRESS,
  tcxPrograms,
} from './hook-calls.ts';
import { Ipv6Links } from './ipv6-links.ts';
import { SLICE_MS, turn } from './slices.ts';

/** Between two looks, in milliseconds. */
const PERIOD_MS = 2000;
/** After links changed. */
const SOON_MS = 50;
/** A look rests at least this many times as long as it took; after links changed, this many times. */
const REST = 20;
const REST_SOON = 4;
const AF_INET = 2;
const AF_INET6 = 10;

export interface TcxLink {
  readonly ifindex: number;
  /** Ids of the programs. */
  readonly programs: readonly number[];
}

/** What outer packets of tunnels are made with where the tunnel does not say: settings that nobody announces. */
export interface OuterDefaults {
  /** net.ipv4.ip_default_ttl */
  readonly ttl: number;
  /** net.ipv4.ip_local_port_range */
  readonly portLow: number;
  readonly portHigh: number;
}

/** Of a kernel where nothing was set. */
const OUTER_DEFAULTS: OuterDefaults = { ttl: 64, portLow: 32_768, portHigh: 60_999 };

/** Unmirrored hooks of a namespace. Undefined: this process may not see them. */
export interface HookState {
  /** Tables of iptables-legacy and ip6tables-legacy that do more than accept every packet, e.g. `filter`. */
  readonly legacy4: Seen<readonly string[]>;
  readonly legacy6: Seen<readonly string[]>;
  /** Registered tables of arptables-legacy. */
  readonly legacyArp: Seen<readonly string[]>;
  /** Tables of ebtables-legacy with rules. */
  readonly legacyBridge: Seen<readonly string[]>;
  /** BPF programs attached to netfilter, on the whole machine. */
  readonly programs: Seen<readonly NetfilterProgram[]>;
  /** Links with tcx programs, by where they run. */
  readonly tcx: Seen<{ readonly ingress: readonly TcxLink[]; readonly egress: readonly TcxLink[] }>;
  /** Frames of every bridge pass the IP hooks of netfilter (net/bridge/br_netfilter_hooks.c), whatever the bridge says. */
  readonly bridgeCalls: { readonly ipv4: boolean; readonly ipv6: boolean };
  readonly outer: OuterDefaults;
  /** Forwarded IPv4 packets keep to path MTUs that the kernel learned (net/ipv4/ip_forward.c, `ip_forward_use_pmtu`). */
  readonly usesPathMtus: boolean;
  /**
   * Largest IPv6 packet by interface index, 0 where the kernel drops those that arrive; a link that is not there was not read yet.
   * Undefined: nobody can say, all are as usual.
   */
  readonly ipv6Mtus: Readonly<Record<number, number>> | undefined;
}

/** Nothing is known to be there: what a mirror of another machine starts from. */
export const NO_HOOKS: HookState = {
  legacy4: [],
  legacy6: [],
  legacyArp: [],
  legacyBridge: [],
  programs: [],
  tcx: { ingress: [], egress: [] },
  // Nobody can say.
  bridgeCalls: { ipv4: true, ipv6: true },
  outer: OUTER_DEFAULTS,
  usesPathMtus: false,
  ipv6Mtus: undefined,
};

export interface HookWatchOptions {
  readonly netns: string | undefined;
  /** Interface indexes of all links. */
  readonly links: () => Iterable<number>;
  readonly onChange: () => void;
  /** Something cannot be read, or another thing than before; empty: all can again. */
  readonly onTrouble: (why: string) => void;
}

export class HookWatch {
  readonly #options: HookWatchOptions;
  #state: HookState = NO_HOOKS;
  #text = '';
  #timer: NodeJS.Timeout | undefined;
  #isSoon = false;
  #isClosed = false;
  #ipv6: Ipv6Links | undefined;
  /** How long the last look took, without waiting for others' turns, in milliseconds. */
  #took = 0;
  #trouble = '';
  #looking: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(options: HookWatchOptions) {
    this.#options = options;
  }

  get state(): HookState {
    return this.#state;
  }

  /** Reads everything soon: links changed. */
  lookSoon(): void {
    if (this.#isClosed || this.#isSoon) return;
    this.#isSoon = true;
    // One that is under way sees to the next at its end.
    if (this.#looking === undefined) this.#schedule();
  }

  /** Reads everything. Resolves once the state has all that was so at the time of the call, as far as the kernel told. */
  look(): Promise<void> {
    if (this.#looking === undefined) {
      this.#looking = this.#lookOnce().finally(() => {
        this.#looking = undefined;
        this.#schedule();
      });
      return this.#looking;
    }
    // The one under way may have read before what the caller means.
    const next = (): Promise<void> => {
      this.#next = undefined;
      return this.look();
    };
    this.#next ??= this.#looking.then(next, next);
    return this.#next;
  }

  async #lookOnce(): Promise<void> {
    if (this.#isClosed) return;
    this.#isSoon = false;
    clearTimeout(this.#timer);
    this.#took = 0;
    let trouble = '';
    // The namespace was deleted, as the sync says, or it cannot be read just now. What was known stays.
    const bear = (error: unknown): void => {
      if (!(error instanceof EkhoError) && !isShortage(error)) throw error;
      trouble = (error as Error).message;
    };
    try {
      const { forwardsIpv6, ...state } = this.#readSettings();
      let { ipv6Mtus } = this.#state;
      const tcx = await this.#tcx();
      // Links that nobody could read yet are left to the kernel.
      if (!forwardsIpv6) ipv6Mtus = {};
      else if (!this.#isClosed) ipv6Mtus = (await this.#ipv6Mtus().catch(bear)) ?? ipv6Mtus ?? {};
      if (this.#isClosed) return;
      this.#take({ ...state, tcx, ipv6Mtus });
    } catch (error) {
      bear(error);
    }
    if (this.#isClosed || trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#options.onTrouble(trouble);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    const rest = this.#isSoon
      ? Math.max(SOON_MS, REST_SOON * this.#took)
      : Math.max(PERIOD_MS, REST * this.#took);
    this.#timer = setTimeout(() => void this.look(), rest);
    this.#timer.unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#ipv6?.close();
  }

  #take(state: HookState): void {
    const text = JSON.stringify(state);
    if (text === this.#text) return;
    this.#text = text;
    this.#state = state;
    this.#options.onChange();
  }

  #readSettings() {
    return this.#inNetns(() => ({
      legacy4: legacyTables('ip')?.filter((name) => !passesEverything(AF_INET, name)),
      legacy6: legacyTables('ip6')?.filter((name) => !passesEverything(AF_INET6, name)),
      legacyArp: legacyTables('arp'),
      legacyBridge: bridgeTables(),
      programs: netfilterPrograms(),
      bridgeCalls: { ipv4: bridgeCalls('iptables'), ipv6: bridgeCalls('ip6tables') },
      outer: outerDefaults(),
      usesPathMtus: (numbersOf('ipv4/ip_forward_use_pmtu')[0] ?? 0) !== 0,
      forwardsIpv6: (numbersOf('ipv6/conf/all/forwarding')[0] ?? 0) !== 0,
    }));
  }

  /** As one piece of work that is timed, with this thread in the mirrored namespace. */
  #inNetns<T>(action: () => T): T {
    const { netns } = this.#options;
    const began = performance.now();
    try {
      return netns === undefined ? action() : inNetns(netns, action);
    } finally {
      this.#took += performance.now() - began;
    }
  }

  /** In slices: there may be thousands of links. */
  async #tcx(): Promise<HookState['tcx']> {
    const ingress: TcxLink[] = [];
    const egress: TcxLink[] = [];
    const links = [...this.#options.links()];
    const ask = (ifindex: number): boolean => {
      for (const [point, list] of [
        [TCX_INGRESS, ingress],
        [TCX_EGRESS, egress],
      ] as const) {
        const programs = tcxPrograms(ifindex, point);
        if (programs === undefined) return false;
        if (programs.length > 0) list.push({ ifindex, programs });
      }
      return true;
    };
    let at = 0;
    const slice = (): boolean => {
      const until = performance.now() + SLICE_MS;
      while (at < links.length && performance.now() < until) if (!ask(links[at++]!)) return false;
      return true;
    };
    for (;;) {
      if (!this.#inNetns(slice)) return undefined;
      if (at === links.length || this.#isClosed) return { ingress, egress };
      await turn();
    }
  }

  async #ipv6Mtus(): Promise<Readonly<Record<number, number>>> {
    this.#ipv6 ??= new Ipv6Links(this.#options.netns);
    const began = performance.now();
    try {
      return await this.#ipv6.mtus();
    } finally {
      this.#took += performance.now() - began;
    }
  }
}

function outerDefaults(): OuterDefaults {
  const [ttl = OUTER_DEFAULTS.ttl] = numbersOf('ipv4/ip_default_ttl');
  const [portLow = OUTER_DEFAULTS.portLow, portHigh = OUTER_DEFAULTS.portHigh] =
    numbersOf('ipv4/ip_local_port_range');
  return { ttl, portLow, portHigh };
}

/** The state in words; links where all programs are of the host's own data paths are no part of it. */
export function hooksStatus(
  { legacy4, legacy6, legacyArp, legacyBridge, programs, tcx }: HookState,
  linkName: (ifindex: number) => string | undefined,
  isOwnProgram: (id: number) => boolean,
): { present: string[]; hidden: string[] } {
  const names = (links: readonly TcxLink[] | undefined) =>
    links
      ?.filter((link) => !link.programs.every(isOwnProgram))
      .map(({ ifindex }) => linkName(ifindex) ?? `if${ifindex}`);
  const all: readonly (readonly [string, readonly string[] | undefined])[] = [
    ['iptables-legacy', legacy4],
    ['ip6tables-legacy', legacy6],
    ['arptables-legacy', legacyArp],
    ['ebtables-legacy', legacyBridge],
    [
      'BPF programs of netfilter',
      programs?.map(({ family, hook }) => `${family === AF_INET ? 'IPv4' : 'IPv6'} hook ${hook}`),
    ],
    ['tcx ingress', names(tcx?.ingress)],
    ['tcx egress', names(tcx?.egress)],
  ];
  return {
    present: all.flatMap(([name, list]) => (list?.length ? [`${name}: ${list.join(', ')}`] : [])),
    hidden: all.flatMap(([name, list]) => (list === undefined ? [name] : [])),
  };
}
