/**
 * The tables of the XDP data path: what each is, and how large. Rows are in plugins/include/datapath.h. Sizes are configured by the
 * names that the tables of the simulated ASIC have.
 */

import { EkhoError } from '../../errors.ts';
import { TABLES as ASIC_TABLES } from '../asic/layout.ts';
import { CHUNK, ROOTS } from './multibit.ts';
import { REASONS } from './reasons.ts';

/** In the order of `tables.organisation` of wit/host.wit. */
export const ORGANISATIONS = ['slots', 'exact', 'prefix', 'counters'] as const;
export type Organisation = (typeof ORGANISATIONS)[number];

export interface TableLayout {
  /** As plugins ask for it; the name of the BPF map. */
  readonly name: string;
  readonly organisation: Organisation;
}

export type Sizes = { readonly [table: string]: number };

/** Masks of one generation of rules: DP_MASKS. */
const MASKS = 64;
/** Keys that a rule may become when its port ranges are split into prefixes, on average; for both generations. */
const KEYS_PER_RULE = 2 * 8;

/** Of one generation: the data path names their rows by 24 bits. */
const RULES_THAT_EDIT = 4096;

interface Sized extends TableLayout {
  readonly rows: (sizes: Sizes) => number;
}

function sized(name: string, organisation: Organisation, rows: (sizes: Sizes) => number): Sized {
  return { name, organisation, rows };
}

const of = (name: string) => (sizes: Sizes) => sizes[name]!;

/** Arrays are by index of the handle, and handles are dense but for what was just removed: room for twice as many. */
const twice = (name: string) => (sizes: Sizes) => 2 * sizes[name]!;

/** Indexes of the handles of meters and samples: twice what the tables `meters` and `samples` hold. */
const customs = (sizes: Sizes) => 2 * (sizes.custom! + 2 * sizes.port!);
/** Of bpf/datapath_maps.h. */
export const NEAR_PORTS = 1024;
/** Bytes of the ring that samples pass. */
const SAMPLE_RING = 256 * 1024;

/**
 * Chunks of the multibit trie of IPv4 routes, 2 KiB each: one for 16 routes (tables of the Internet take one for some 20, others fewer), and 256 for the
 * first stride of each VRF, of which two have room in any case. What finds none left is looked up in `routes4`.
 */
const chunks = (sizes: Sizes) => 1 + 2 * 256 + Math.min(65_536, Math.ceil(sizes.lpm4! / 16));

/** Tables a plugin sees; their index is their number. */
const SIZED: readonly Sized[] = [
  sized('ports', 'slots', twice('port')),
  sized('interfaces', 'slots', twice('router-interface')),
  sized('interfaces_at', 'exact', of('router-interface')),
  sized('nexthops', 'slots', twice('nexthop')),
  sized('groups', 'slots', twice('group')),
  sized('routes4', 'prefix', of('lpm4')),
  sized('routes6', 'prefix', of('lpm6')),
  sized('vlans', 'exact', of('vlan')),
  sized('fdb_entries', 'exact', of('fdb')),
  sized('flows', 'exact', of('flow')),
  sized('meters', 'prefix', of('custom')),
  sized('samples', 'slots', twice('port')),
  sized('tunnels', 'slots', twice('tunnel')),
  sized('remotes', 'exact', of('remote')),
  sized('multicast_groups', 'exact', of('mdb')),
  sized('acl_rules', 'slots', twice('acl')),
  sized('acl_masks', 'slots', () => 2 * MASKS),
  sized('acl_keys', 'exact', (sizes) => KEYS_PER_RULE * sizes.acl!),
  sized('acl_edits', 'slots', (sizes) => 2 * Math.min(sizes.acl!, RULES_THAT_EDIT)),
  sized('acl_buckets', 'slots', (sizes) => 2 * Math.min(sizes.acl!, RULES_THAT_EDIT)),
  sized('acl_state', 'slots', () => 1),
  sized('custom_state', 'slots', () => 1),
  sized('meter_states', 'slots', customs),
  sized('tunnels_at', 'exact', of('tunnel')),
  sized('port_counts', 'counters', twice('port')),
  sized('nexthop_counts', 'counters', twice('nexthop')),
  sized('route_counts', 'counters', (sizes) => 2 * (sizes.lpm4! + sizes.lpm6!)),
  sized('fdb_counts', 'counters', twice('fdb')),
  sized('acl_counts', 'counters', twice('acl')),
  sized('flow_counts', 'counters', twice('flow')),
  sized('custom_counts', 'counters', customs),
  sized('tunnel_counts', 'counters', twice('tunnel')),
  sized('remote_counts', 'counters', twice('remote')),
  sized('multicast_counts', 'counters', twice('mdb')),
  sized('acl_drops', 'counters', twice('acl')),
];

/** Maps that the device keeps itself. */
const OWN: readonly Sized[] = [
  sized('reason_counts', 'counters', () => REASONS.length),
  sized('ports_at', 'exact', of('port')),
  sized('ports_near', 'slots', () => NEAR_PORTS),
  sized('interfaces_untagged', 'slots', twice('port')),
  sized('devices', 'slots', twice('port')),
  sized('port_modes', 'slots', twice('port')),
  sized('route_strides', 'slots', (sizes) => CHUNK * chunks(sizes)),
  sized('route_covers', 'slots', chunks),
  sized('route_roots', 'slots', () => ROOTS),
  sized('sample_ring', 'slots', () => SAMPLE_RING),
  sized('sample_lost', 'counters', () => 1),
];

export const TABLES: readonly TableLayout[] = SIZED;

/** Number of the table whose rows attach ports. */
export const PORTS = TABLES.findIndex(({ name }) => name === 'ports');

/** Number of the table whose rows of frames without a tag stand in `interfaces_untagged` as well. */
export const INTERFACES_AT = TABLES.findIndex(({ name }) => name === 'interfaces_at');

/** Number of the table whose rows stand in the multibit trie as well. */
export const ROUTES4 = TABLES.findIndex(({ name }) => name === 'routes4');

/** Number of the table whose row says which generation counts. */
export const GENERATION = TABLES.findIndex(({ name }) => name === 'acl_state');

/** Names of the maps, those of the tables first. */
export const MAPS: readonly string[] = [...SIZED, ...OWN].map(({ name }) => name);

/** Those of them that are written as memory. */
export const MEMORIES = ['route_strides', 'route_covers', 'route_roots'] as const;

/** Sizes that can be configured: the simulated ASIC's, and those of tables that it has not. */
export const SIZES: readonly {
  readonly name: string;
  readonly capacity: number;
  readonly maxCapacity: number;
}[] = [
  ...ASIC_TABLES,
  { name: 'flow', capacity: 65_536, maxCapacity: 4_194_304 },
  { name: 'custom', capacity: 4096, maxCapacity: 65_536 },
  { name: 'tunnel', capacity: 256, maxCapacity: 65_536 },
  { name: 'remote', capacity: 8192, maxCapacity: 4_194_304 },
];

/** Rows of every map for the configured sizes. @throws EkhoError E_DEVICE */
export function rowsOf(configured: Sizes): ReadonlyMap<string, number> {
  const sizes: Record<string, number> = {};
  for (const { name, capacity } of SIZES) sizes[name] = capacity;
  for (const [name, rows] of Object.entries(configured)) {
    const limit = SIZES.find((table) => table.name === name);
    if (limit === undefined) {
      throw new EkhoError('E_DEVICE', `a tables device has no table ${name}`, {
        remedy: `Its tables are ${SIZES.map((table) => table.name).join(', ')}.`,
      });
    }
    if (!Number.isInteger(rows) || rows < 1 || rows > limit.maxCapacity) {
      throw new EkhoError('E_DEVICE', `table ${name}: ${rows} rows; 1-${limit.maxCapacity} are possible`);
    }
    sizes[name] = rows;
  }
  return new Map([...SIZED, ...OWN].map(({ name, rows }) => [name, rows(sizes)]));
}
