/** A mirror filled by hand, and the kernel's own lookup over what is in it, written as plainly as can be. */

import { Mirror } from '../../../host/mirror/mirror.ts';
import { KIND, KINDS, type Kind } from '../../../host/mirror/types.ts';
import type { DecodedObject } from '../../../host/netlink/decode.ts';
import { encodeObject } from '../../../host/netlink/encode.ts';
import { datagram } from '../../../host/netlink/message.ts';

export type RouteType = 'unicast' | 'connected' | 'blackhole' | 'unreachable' | 'throw' | 'local';
export const RTN = { unicast: 1, connected: 1, local: 2, blackhole: 6, unreachable: 7, throw: 9 } as const;

export interface ModelRoute {
  readonly table: number;
  readonly prefix: number;
  readonly length: number;
  readonly priority: number;
  readonly type: RouteType;
  /** Last bytes of gateways 10.255.0.x. */
  readonly gateways: readonly number[];
  readonly tos: number;
}

export const GATEWAY_BASE = 0x0aff0000;
export const PORT = 2;

export function ip4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

export class KernelModel {
  readonly mirror = new Mirror();
  readonly routes = new Map<string, ModelRoute>();
  readonly resolved = new Set<number>();
  /** Tables in the order the rules consult them. */
  tables: number[] = [];

  constructor() {
    for (const kind of KINDS.keys()) this.mirror.setKindState(kind, { state: 'synced', reason: undefined });
    this.put('link', {
      header: { family: 0, type: 1, index: PORT, flags: 0x10001 | 0x40, change: 0 },
      ifname: 'p1',
      mtu: 1500,
      address: '02:00:00:00:00:01',
    });
    for (const ifindex of [-1, PORT]) {
      this.put('netconf', { header: { family: 2 }, ifindex, forwarding: 1, rp_filter: 0 });
      this.put('netconf', { header: { family: 10 }, ifindex, forwarding: 1 });
    }
    this.mirror.setSynced(true);
    this.mirror.commit();
  }

  commit(): void {
    this.mirror.commit();
  }

  put(kind: Kind, object: DecodedObject): void {
    const data = datagram(encodeObject(kind, object));
    const table = this.mirror.table(KIND[kind]);
    const matches = table.match(data, 0, data.bytes.length)!;
    if (matches.length > 0) table.replace(matches.ids[0]!, data, 0, data.bytes.length);
    else table.insert(matches.hash, data, 0, data.bytes.length);
  }

  remove(kind: Kind, object: DecodedObject): void {
    const data = datagram(encodeObject(kind, object));
    const table = this.mirror.table(KIND[kind]);
    const matches = table.match(data, 0, data.bytes.length)!;
    if (matches.length > 0) table.remove(matches.ids[0]!);
  }

  setRules(tables: readonly number[]): void {
    for (const [index, table] of this.tables.entries()) this.remove('rule', ruleObject(index, table));
    this.tables = [...tables];
    for (const [index, table] of tables.entries()) this.put('rule', ruleObject(index, table));
  }

  addRoute(route: ModelRoute): void {
    this.routes.set(keyOf(route), route);
    this.put('route', routeObject(route));
  }

  deleteRoute(route: ModelRoute): void {
    const known = this.routes.get(keyOf(route));
    if (known === undefined) return;
    this.routes.delete(keyOf(route));
    this.remove('route', routeObject(known));
  }

  setNeighbour(gateway: number, isResolved: boolean): void {
    this.put('neighbour', {
      header: { family: 2, ifindex: PORT, state: isResolved ? 2 : 0x20, flags: 0, type: 1 },
      dst: ip4(GATEWAY_BASE + gateway),
      ...(isResolved && { lladdr: `02:00:00:00:01:${gateway.toString(16).padStart(2, '0')}` }),
    });
    if (isResolved) this.resolved.add(gateway);
    else this.resolved.delete(gateway);
  }

  /** fib_lookup: table by table, longest prefix first, lowest metric, TOS 0. */
  lookup(address: number): { verdict: 'forward' | 'drop' | 'kernel'; ways: string[]; unresolved: boolean } {
    for (const table of this.tables) {
      const matching = [...this.routes.values()]
        .filter((route) => route.table === table && route.tos === 0 && covers(route, address))
        .sort((a, b) => b.length - a.length || a.priority - b.priority);
      const best = matching[0];
      if (best === undefined || best.type === 'throw') continue;
      if (best.type === 'blackhole') return { verdict: 'drop', ways: [], unresolved: false };
      if (best.type !== 'unicast') return { verdict: 'kernel', ways: [], unresolved: false };
      return {
        verdict: 'forward',
        ways: best.gateways.map((gateway) => `${PORT}/${GATEWAY_BASE + gateway}`),
        unresolved: best.gateways.some((gateway) => !this.resolved.has(gateway)),
      };
    }
    return { verdict: 'kernel', ways: [], unresolved: false };
  }
}

export function covers(route: { prefix: number; length: number }, address: number): boolean {
  return route.length === 0 || (route.prefix ^ address) >>> (32 - route.length) === 0;
}

function keyOf({ table, prefix, length, priority, tos }: ModelRoute): string {
  return `${table} ${prefix}/${length} ${priority} ${tos}`;
}

function ruleObject(index: number, table: number): DecodedObject {
  return {
    header: { family: 2, dst_len: 0, src_len: 0, tos: 0, table: table & 0xff, action: 1, flags: 0 },
    priority: index * 100,
    table,
  };
}

export function routeObject(route: ModelRoute): DecodedObject {
  const gateways = route.type === 'unicast' ? route.gateways : [];
  return {
    header: {
      family: 2,
      dst_len: route.length,
      src_len: 0,
      tos: route.tos,
      table: route.table,
      protocol: 3,
      scope: 0,
      type: RTN[route.type],
      flags: 0,
    },
    table: route.table,
    ...(route.length > 0 && { dst: ip4(route.prefix) }),
    ...(route.priority > 0 && { priority: route.priority }),
    ...(gateways.length === 1 && { gateway: ip4(GATEWAY_BASE + gateways[0]!), oif: PORT }),
    ...(route.type === 'connected' && { oif: PORT }),
    ...(gateways.length > 1 && {
      multipath: gateways.map((gateway) => ({
        flags: 0,
        hops: 0,
        ifindex: PORT,
        gateway: ip4(GATEWAY_BASE + gateway),
      })),
    }),
  } as DecodedObject;
}

/** A /24 of the main table through gateways of `PORT`. */
export function route24(prefix: number, gateways: number[] = [1]): ModelRoute {
  return { table: 254, prefix, length: 24, priority: 0, tos: 0, type: 'unicast', gateways };
}
