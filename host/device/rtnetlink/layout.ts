/** Tables of the device `rtnetlink`, as wit/host.wit names them, and what a share says of the other kernel. */

/** Index in `rtnetlink.table`. */
export const INTERFACE = 0;
export const NEXTHOP = 1;
export const GROUP = 2;
export const ROUTE = 3;
export const FDB = 4;

export interface TableLayout {
  readonly name: string;
  /** Rows it holds. */
  readonly capacity: number;
  readonly words: number;
  readonly keyWords: number;
}

export const TABLES: readonly TableLayout[] = [
  { name: 'interface', capacity: 1024, words: 4, keyWords: 1 },
  { name: 'nexthop', capacity: 65_536, words: 11, keyWords: 1 },
  { name: 'group', capacity: 65_536, words: 4, keyWords: 1 },
  { name: 'route', capacity: 4_000_000, words: 10, keyWords: 1 },
  { name: 'fdb', capacity: 65_536, words: 8, keyWords: 1 },
];

/** Index in `rtnetlink.status`. */
export const STATUS = { ok: 0, missingLink: 1, invalid: 2, foreign: 3, refused: 4, ioError: 5 } as const;

/** A link of the mirrored kernel, and what stands for it in the other. */
export interface LinkMap {
  /** In the mirrored kernel. */
  readonly name: string;
  /**
   * In the other: what leaves by it leaves there by this. A VRF: what leaves by it is decided by the VRF's table. A bridge: it gets the
   * entries of the mirrored kernel's bridge.
   */
  readonly link: string;
  /** Table of the other kernel that decides what would arrive on it; absent: none does. */
  readonly table?: number;
  /** Routing domain of the mirrored kernel it belongs to: table of its VRF, 0 for the default domain. */
  readonly vrf: number;
  /** Link and addresses by which that table hands packets to the mirrored kernel; of a bridge, its port that leads there. */
  readonly via?: string;
  readonly gateway?: string;
  readonly gateway6?: string;
}

export interface RoutingConfig {
  readonly protocol: number;
  readonly metric: number;
  readonly links: readonly LinkMap[];
}
export const LINKS_MAX = 16;

/** Nobody else's: neither in linux/rtnetlink.h nor of FRR (186-198), which takes routes of its numbers for its own and sweeps them when it starts. */
export const PROTOCOL_DEFAULT = 210;
export const METRIC_DEFAULT = 100;
