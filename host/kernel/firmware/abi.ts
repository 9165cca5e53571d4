/** Numbers of bpf/module/ekho_abi.h, by the names they are configured by; a test holds both to be equal. */

/** Bits of `match.keys`: enum ekho_match_keys. */
export const MATCH_KEYS = {
  port: 1 << 0,
  fragment: 1 << 1,
  protocol: 1 << 2,
  ethernet: 1 << 3,
  vlan: 1 << 4,
  cvlan: 1 << 5,
  ipv4: 1 << 6,
  ipv6: 1 << 7,
  ports: 1 << 8,
  port_range: 1 << 9,
  tcp: 1 << 10,
  ip: 1 << 11,
  icmp: 1 << 12,
  arp: 1 << 13,
  ct: 1 << 14,
  tunnel: 1 << 15,
} as const;
export type MatchKey = keyof typeof MATCH_KEYS;

/** enum ekho_action_kind */
export const ACTIONS = {
  accept: 1,
  drop: 2,
  trap: 3,
  goto: 4,
  redirect: 5,
  mirror: 6,
  redirect_ingress: 7,
  mirror_ingress: 8,
  vlan_push: 9,
  vlan_pop: 10,
  vlan_modify: 11,
  tunnel_set: 12,
  tunnel_unset: 13,
  set: 14,
  add: 15,
  checksum: 16,
  mark: 17,
  packet_type: 18,
  priority: 19,
  sample: 20,
  police: 21,
} as const;
export type Action = keyof typeof ACTIONS;

/** enum ekho_direction */
export const DIRECTIONS = { ingress: 1, egress: 2 } as const;
export type Direction = keyof typeof DIRECTIONS;

/** enum ekho_flow_kind */
export const FLOW_KINDS = { flower: 1, matchall: 2, flowtable: 3, action: 4 } as const;
export type FlowKind = keyof typeof FLOW_KINDS;

/** The name of a number in one of the tables above. */
export function nameOf<T extends string>(table: Readonly<Record<T, number>>, value: number): T | undefined {
  return (Object.keys(table) as T[]).find((name) => table[name] === value);
}
