/** Aligned tables for people, from the JSON elements that iproute2's output is made of: one line per kernel object. */

import type { Kind } from '../mirror/types.ts';
import type { Json } from './context.ts';
import { listOf, recordOf } from './context.ts';

/** One line: an element, the JSON of the group it stands in (the link of an address), and its cells. */
export interface TableRow {
  readonly element: Json;
  readonly cells: readonly string[];
}

type Cell = (element: Json, group: Json) => unknown;
type Columns = Readonly<Record<string, Cell>>;

const field =
  (...names: readonly string[]): Cell =>
  (element) => {
    for (const name of names) if (element[name] !== undefined) return element[name];
    return undefined;
  };

const words = (...parts: readonly unknown[]): string =>
  parts
    .filter((part) => part !== undefined && part !== null && part !== '')
    .map(String)
    .join(' ');

const flags: Cell = (element) => (Array.isArray(element.flags) ? element.flags.join(',') : undefined);

/** Names of the fields that are `true` or null: iproute2's way to say that a flag is set. */
const marks =
  (...names: readonly string[]): Cell =>
  (element) =>
    names.filter((name) => element[name] === true || element[name] === null).join(',');

function nexthop(hop: Json): string {
  const via = recordOf(hop.via);
  return words(
    hop.encap === undefined ? undefined : `encap ${String(hop.encap)}`,
    hop.gateway ?? (via === undefined ? undefined : `${String(via.family)} ${String(via.host)}`),
    hop.weight === undefined || hop.weight === 1 ? undefined : `weight ${String(hop.weight)}`,
  );
}

function routeVia(element: Json): string {
  const hops = listOf(element.nexthops);
  if (element.nhid !== undefined) return `nhid ${String(element.nhid)}`;
  if (hops.length === 0) return nexthop(element);
  return hops.map((hop) => words(nexthop(hop as Json), `dev ${String(recordOf(hop)?.dev)}`)).join(', ');
}

function ruleSelector(element: Json): string {
  const side = (name: 'src' | 'dst'): string | undefined => {
    if (element[name] === undefined) return undefined;
    return element[`${name}len`] === undefined
      ? String(element[name])
      : `${String(element[name])}/${String(element[`${name}len`])}`;
  };
  const also = (name: string, printed = name): string | undefined =>
    element[name] === undefined ? undefined : `${printed} ${String(element[name])}`;
  const ports = (name: string): string | undefined =>
    element[`${name}_start`] === undefined
      ? also(name)
      : `${name} ${String(element[`${name}_start`])}-${String(element[`${name}_end`])}`;
  return words(
    element.not === null ? 'not' : undefined,
    `from ${side('src') ?? 'all'}`,
    side('dst') === undefined ? undefined : `to ${side('dst')}`,
    also('tos'),
    element.fwmark === undefined
      ? undefined
      : `fwmark ${String(element.fwmark)}${element.fwmask === undefined ? '' : `/${String(element.fwmask)}`}`,
    also('dscp'),
    also('iif'),
    also('oif'),
    also('ipproto'),
    ports('sport'),
    ports('dport'),
    also('tun_id'),
    element.uid_start === undefined
      ? undefined
      : `uidrange ${String(element.uid_start)}-${String(element.uid_end)}`,
  );
}

function ruleAction(element: Json): string {
  if (element.l3mdev === null) return 'lookup l3mdev';
  if (element.goto !== undefined) return `goto ${String(element.goto)}`;
  if (element.nop === null) return 'nop';
  if (element.action !== undefined) return String(element.action);
  return element.table === undefined ? '' : `lookup ${String(element.table)}`;
}

/** Where a filter, chain, class or qdisc hangs. */
const parent: Cell = (element) => {
  for (const name of ['root', 'ingress', 'egress']) if (element[name] === true) return name;
  return element.block === undefined ? element.parent : `block ${String(element.block)}`;
};

/** A small object as `name value, …`. */
function brief(value: unknown): string {
  const record = recordOf(value);
  if (record === undefined) return value === null || value === undefined ? '' : String(value);
  return Object.entries(record)
    .filter(([name]) => name !== 'actions' && name !== 'keys' && name !== 'handle' && name !== 'fh')
    .map(([name, inner]) => {
      if (inner === true || inner === null) return name;
      if (Array.isArray(inner)) return `${name} ${inner.map(brief).join('/')}`;
      return typeof inner === 'object' ? `${name} (${brief(inner)})` : `${name} ${String(inner)}`;
    })
    .join(' ');
}

const options: Cell = (element) => brief(element.options);

const filterMatch: Cell = (element) => {
  const filter = recordOf(element.options);
  if (filter === undefined) return '';
  const keys = filter.keys;
  if (Array.isArray(keys)) {
    return keys
      .map((value) => {
        const key = (recordOf(value) ?? {}) as Json;
        return `${String(key.value)}/${String(key.mask)} at ${String(key.offmask)}${String(key.off)}`;
      })
      .join(', ');
  }
  if (recordOf(keys) !== undefined) return brief(keys);
  return words(filter.bpf_name, filter.bytecode === undefined ? undefined : 'bytecode');
};

const filterActions: Cell = (element) => {
  const filter = recordOf(element.options);
  const actions = listOf(filter?.actions ?? element.actions).map((value) => {
    const action = recordOf(value) ?? {};
    const control = recordOf(action.control_action)?.type;
    return words(
      action.kind,
      action.mirred_action,
      action.vlan_action,
      action.to_dev,
      action.kind === 'gact' ? control : undefined,
    );
  });
  const flow = filter?.flowid ?? filter?.classid;
  return [...(flow === undefined ? [] : [`flowid ${String(flow)}`]), ...actions].join(', ');
};

const handle: Cell = (element) => {
  const filter = recordOf(element.options);
  return filter?.fh ?? filter?.handle;
};

const COLUMNS: Readonly<Record<Kind, Columns>> = {
  link: {
    INDEX: field('ifindex'),
    NAME: field('ifname'),
    TYPE: (element) => recordOf(element.linkinfo)?.info_kind ?? element.link_type,
    STATE: field('operstate'),
    MTU: field('mtu'),
    MASTER: field('master'),
    ADDRESS: field('address'),
    FLAGS: flags,
  },
  netconf: {
    FAMILY: field('family'),
    INTERFACE: field('interface'),
    FORWARDING: (element) => (element.forwarding === undefined ? '' : element.forwarding ? 'on' : 'off'),
    RP_FILTER: field('rp_filter'),
    MC_FORWARDING: (element) =>
      element.mc_forwarding === undefined ? '' : element.mc_forwarding ? 'on' : 'off',
  },
  address: {
    DEV: (_element, group) => group.ifname,
    ADDRESS: (element) => `${String(element.local)}/${String(element.prefixlen)}`,
    PEER: field('address'),
    SCOPE: field('scope'),
    FLAGS: marks(
      'dynamic',
      'temporary',
      'secondary',
      'deprecated',
      'tentative',
      'dadfailed',
      'noprefixroute',
      'nodad',
    ),
    LABEL: field('label'),
  },
  neighbour: {
    ADDRESS: field('dst'),
    DEV: field('dev'),
    LLADDR: field('lladdr'),
    STATE: (element) => listOf(element.state).join(','),
    FLAGS: marks('router', 'proxy', 'managed', 'extern_learn', 'offload'),
  },
  fdb: {
    MAC: field('mac'),
    DEV: field('ifname'),
    VLAN: field('vlan'),
    MASTER: field('master'),
    DST: field('dst'),
    STATE: field('state'),
    FLAGS: flags,
  },
  mdb: {
    BRIDGE: field('dev'),
    PORT: field('port'),
    GROUP: field('grp'),
    SOURCE: field('src'),
    VLAN: field('vid'),
    STATE: field('state'),
    FLAGS: flags,
  },
  vlan: {
    PORT: (_element, group) => group.ifname,
    VLAN: field('vlan'),
    STATE: field('state'),
    FLAGS: flags,
  },
  nexthop: {
    ID: field('id'),
    VIA: (element) => {
      if (element.blackhole === null) return 'blackhole';
      const group = listOf(element.group).map((value) => {
        const member = recordOf(value) ?? {};
        return member.weight === undefined
          ? String(member.id)
          : `${String(member.id)},${String(member.weight)}`;
      });
      return group.length > 0 ? words('group', group.join('/'), element.type) : nexthop(element);
    },
    DEV: field('dev'),
    SCOPE: field('scope'),
    PROTOCOL: field('protocol'),
    FLAGS: flags,
  },
  rule: {
    PREF: field('priority'),
    SELECTOR: ruleSelector,
    ACTION: ruleAction,
    PROTOCOL: field('protocol'),
  },
  route: {
    TYPE: field('type'),
    DESTINATION: field('dst'),
    VIA: routeVia,
    DEV: field('dev'),
    TABLE: field('table'),
    PROTOCOL: field('protocol'),
    METRIC: field('metric'),
    FLAGS: flags,
  },
  qdisc: {
    KIND: field('kind'),
    HANDLE: field('handle'),
    DEV: field('dev'),
    PARENT: parent,
    OPTIONS: options,
  },
  class: {
    KIND: field('class'),
    HANDLE: field('handle'),
    DEV: field('dev'),
    PARENT: parent,
    RATE: field('rate'),
    CEIL: field('ceil'),
  },
  chain: { DEV: field('dev'), PARENT: parent, CHAIN: field('chain'), KIND: field('kind') },
  filter: {
    DEV: field('dev'),
    PARENT: parent,
    CHAIN: field('chain'),
    PREF: field('pref'),
    PROTOCOL: field('protocol'),
    KIND: field('kind'),
    HANDLE: handle,
    MATCH: filterMatch,
    ACTION: filterActions,
  },
  action: { ACTION: filterActions },
  'xfrm-default': { IN: field('in'), FWD: field('fwd'), OUT: field('out') },
  'xfrm-policy': {
    DIR: field('dir'),
    SOURCE: field('src'),
    DESTINATION: field('dst'),
    MATCH: (element) =>
      words(
        ...['proto', 'sport', 'dport', 'dev', 'uid', 'mark', 'mask', 'if_id'].map((name) =>
          element[name] === undefined ? undefined : `${name} ${String(element[name])}`,
        ),
      ),
    ACTION: field('action'),
    PRIORITY: field('priority'),
    TEMPLATES: (element) =>
      listOf(element.tmpl)
        .map((value) => {
          const { src, dst, proto, mode } = (recordOf(value) ?? {}) as Json;
          return words(proto, mode, src, '->', dst);
        })
        .join(', '),
  },
  'nft-table': {
    FAMILY: field('family'),
    NAME: field('name'),
    FLAGS: field('flags'),
    HANDLE: field('handle'),
  },
  'nft-chain': {
    FAMILY: field('family'),
    TABLE: field('table'),
    NAME: field('name'),
    TYPE: field('type'),
    HOOK: (element) => brief(element.hook),
    HANDLE: field('handle'),
  },
  'nft-rule': {
    FAMILY: field('family'),
    TABLE: field('table'),
    CHAIN: field('chain'),
    HANDLE: field('handle'),
    EXPRESSIONS: (element) =>
      listOf(recordOf(element.expressions)?.elem)
        .map((value) => recordOf(value)?.name)
        .join(' '),
  },
  'nft-flowtable': {
    FAMILY: field('family'),
    TABLE: field('table'),
    NAME: field('name'),
    HOOK: (element) => brief(element.hook),
    HANDLE: field('handle'),
  },
  flow: {
    PROTO: field('proto'),
    SOURCE: (element) => endpoint(element, 'src', 'sport'),
    DESTINATION: (element) => endpoint(element, 'dst', 'dport'),
    'REPLY SOURCE': (element) => endpoint((recordOf(element.reply) ?? {}) as Json, 'src', 'sport'),
    'REPLY DESTINATION': (element) => endpoint((recordOf(element.reply) ?? {}) as Json, 'dst', 'dport'),
    STATE: field('state'),
  },
  offload: {
    KIND: field('kind'),
    NAME: field('name'),
    FIELDS: ({ fields }) =>
      Object.entries(recordOf(fields) ?? {})
        .map(([name, value]) => `${name}=${String(value)}`)
        .join(' '),
    SOURCE: field('source'),
  },
};

/** `10.0.0.1:80` or `[2001:db8::1]:80`. */
function endpoint(element: Json, address: string, port: string): string {
  const text = String(element[address]);
  const number = element[port] === undefined ? '' : `:${String(element[port])}`;
  return number !== '' && text.includes(':') ? `[${text}]${number}` : text + number;
}

export function tableHead(kind: Kind): readonly string[] {
  return Object.keys(COLUMNS[kind]);
}

/** Elements of iproute2's JSON that stand for one kernel object each, with the group they are in. */
function* elements(kind: Kind, row: Json): Generator<readonly [element: Json, group: Json]> {
  const list = (name: string): Json[] => listOf(row[name]).map((value) => (recordOf(value) ?? {}) as Json);
  switch (kind) {
    case 'address':
      for (const element of list('addr_info')) yield [element, row];
      return;
    case 'vlan':
      for (const element of list('vlans')) yield [element, row];
      return;
    case 'mdb': {
      for (const element of list('mdb')) yield [element, row];
      for (const [dev, ports] of Object.entries(recordOf(row.router) ?? {})) {
        for (const port of listOf(ports)) {
          const element = recordOf(port) as Json | undefined;
          if (element !== undefined) yield [{ ...element, dev, grp: 'router port' }, row];
        }
      }
      return;
    }
    default:
      yield [row, row];
  }
}

function cellText(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? brief(value) : String(value);
}

/** The lines of a table, cells not yet padded; `rows` are rows of iproute2's JSON as formatRows makes them. */
export function* tableRows(kind: Kind, rows: Iterable<Json>): Generator<TableRow> {
  const cells = Object.values(COLUMNS[kind]);
  for (const row of rows) {
    for (const [element, group] of elements(kind, row)) {
      yield { element, cells: cells.map((cell) => cellText(cell(element, group))) };
    }
  }
}

/** Rows that are looked at to find out how wide the columns are; later rows that are wider stand out. */
const MEASURED_ROWS = 1000;
/** Wider cells do not widen their column. */
const WIDTH_MAX = 60;

/** A column that the caller adds, e.g. the offload state. */
export interface ExtraColumn {
  readonly title: string;
  cell(element: Json): string;
}

/**
 * Makes lines (without line ends, the head first, two blanks between columns) of rows as they come. Holds back the first
 * 1,000 to find out how wide the columns are; columns that are empty in all of these are left out.
 */
export class TableWriter {
  readonly #kind: Kind;
  readonly #extra: readonly ExtraColumn[];
  readonly #head: readonly string[];
  #measured: string[][] | undefined = [];
  #widths: readonly number[] = [];
  #shown: readonly number[] = [];

  constructor(kind: Kind, extra: readonly ExtraColumn[] = []) {
    this.#kind = kind;
    this.#extra = extra;
    this.#head = [...tableHead(kind), ...extra.map(({ title }) => title)];
  }

  /** Takes one row of iproute2's JSON; returns the lines that are ready. */
  add(row: Json): string[] {
    const lines: string[] = [];
    for (const { element, cells } of tableRows(this.#kind, [row])) {
      const all = [...cells, ...this.#extra.map(({ cell }) => cell(element))];
      if (this.#measured === undefined) lines.push(this.#line(all));
      else {
        this.#measured.push(all);
        if (this.#measured.length === MEASURED_ROWS) lines.push(...this.#release(this.#measured));
      }
    }
    return lines;
  }

  /** The lines held back, if there were fewer rows than are measured. */
  end(): string[] {
    return this.#measured === undefined ? [] : this.#release(this.#measured);
  }

  #release(measured: readonly string[][]): string[] {
    this.#measured = undefined;
    this.#widths = this.#head.map((title, column) => {
      const longest = measured.reduce(
        (width, cells) => Math.max(width, Math.min(cells[column]!.length, WIDTH_MAX)),
        0,
      );
      return measured.length > 0 && longest === 0 ? -1 : Math.max(longest, title.length);
    });
    this.#shown = this.#widths.flatMap((width, column) => (width < 0 ? [] : [column]));
    return [this.#line(this.#head), ...measured.map((cells) => this.#line(cells))];
  }

  #line(cells: readonly string[]): string {
    return this.#shown
      .map((column) => cells[column]!.padEnd(this.#widths[column]!))
      .join('  ')
      .trimEnd();
  }
}

/** All lines of a table; see TableWriter. */
export function* formatTable(
  kind: Kind,
  rows: Iterable<Json>,
  extra: readonly ExtraColumn[] = [],
): Generator<string> {
  const writer = new TableWriter(kind, extra);
  for (const row of rows) yield* writer.add(row);
  yield* writer.end();
}
