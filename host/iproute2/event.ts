/** One line that says what a notifier's event is about, in the words of `ip` and `bridge`, behind the event's own name. */

import type { EventName } from '../kernel/notifier/catalogue.ts';
import type { GatewayValue } from '../kernel/notifier/payloads.ts';
import type { NotifierEvent } from '../kernel/notifier/record.ts';
import type { Kind } from '../mirror/types.ts';
import { type FormatContext, linkName, namesOf } from './context.ts';

const RT_TABLE_MAIN = 254;

type Say = (event: NotifierEvent, context: FormatContext) => string;

/** Joins the parts that are there. */
function line(...parts: readonly (string | undefined | false)[]): string {
  return parts.filter((part) => part !== undefined && part !== false && part !== '').join(' ');
}

/** `word value`, or nothing where the value is none. */
function pair(word: string, value: unknown): string | undefined {
  return value === undefined || value === 0 || value === '' ? undefined : `${word} ${String(value)}`;
}

function device(context: FormatContext, ifindex: unknown, word = 'dev'): string | undefined {
  return typeof ifindex === 'number' && ifindex !== 0 ? `${word} ${linkName(context, ifindex)}` : undefined;
}

function words(value: unknown, separator = ' '): string {
  return Array.isArray(value) ? value.join(separator) : '';
}

function hop(gateway: GatewayValue, context: FormatContext): string {
  return line(pair('via', gateway.via), device(context, gateway.ifindex), pair('encap', gateway.encap));
}

/** One hop as it is, several each behind `nexthop`, as `ip route` has them. */
function hops(event: NotifierEvent, context: FormatContext): string {
  const gateways = (event.gateways ?? []) as readonly GatewayValue[];
  if (gateways.length === 1) return hop(gateways[0]!, context);
  const shown = gateways.map((gateway) =>
    line('nexthop', hop(gateway, context), gateway.weight > 1 && `weight ${gateway.weight}`),
  );
  const more = Number(event.gatewaysTotal ?? gateways.length) - gateways.length;
  return line(...shown, more > 0 && `(${more} more)`);
}

/** `default` for everything, a host without its length. */
function destination({ prefix, family }: NotifierEvent): string {
  const text = String(prefix);
  const [address, length] = text.split('/');
  if (length === '0') return 'default';
  return length === (family === 'inet6' ? '128' : '32') ? address! : text;
}

const route: Say = (event, context) => {
  const names = namesOf(context);
  const table = Number(event.table);
  return line(
    event.type !== 'unicast' && String(event.type),
    destination(event),
    pair('from', event.from),
    pair('tos', event.tos),
    pair('nhid', event.nexthopId),
    hops(event, context),
    table !== RT_TABLE_MAIN && `table ${names.table(table)}`,
    pair('src', event.preferredSource),
    pair('metric', event.priority),
  );
};

const rule: Say = (event, context) =>
  line(
    pair('pref', event.priority),
    `from ${String(event.from ?? 'all')}`,
    pair('to', event.to),
    pair('tos', event.tos),
    event.mark !== 0 && `fwmark 0x${Number(event.mark).toString(16)}`,
    pair('iif', event.iif),
    pair('oif', event.oif),
    event.l3mdev === true
      ? 'lookup [l3mdev-table]'
      : event.action === 'to_tbl'
        ? `lookup ${namesOf(context).table(Number(event.table))}`
        : line(String(event.action), event.target !== undefined && String(event.target)),
  );

const nexthop: Say = (event, context) =>
  line(
    `id ${String(event.id)}`,
    event.group === true
      ? `group ${((event.gateways ?? []) as readonly GatewayValue[]).map(({ nexthopId, weight }) => (weight > 1 ? `${nexthopId},${weight}` : nexthopId)).join('/')}`
      : event.blackhole === true
        ? 'blackhole'
        : hops(event, context),
    event.resilient === true && 'type resilient',
    event.fdb === true && 'fdb',
  );

const fdb: Say = (event, context) =>
  line(
    String(event.mac),
    device(context, event.ifindex),
    pair('vlan', event.vlan),
    device(context, event.bridge, 'master'),
    words(event.flags),
    words(event.neighbourFlags),
    words(event.state),
  );

const vxlanFdb: Say = (event, context) =>
  line(
    String(event.mac),
    device(context, event.ifindex),
    pair('dst', event.remote),
    pair('vni', event.vni),
    words(event.flags),
  );

const neighbour: Say = (event, context) =>
  line(
    String(event.dst),
    device(context, event.ifindex),
    pair('lladdr', event.lladdr),
    words(event.flags),
    event.dead === true ? 'gone' : words(event.state, ',').toUpperCase(),
  );

const link: Say = (event, context) =>
  line(
    String(event.name ?? linkName(context, event.ifindex)),
    pair('address', event.address),
    pair('mtu', event.mtu),
    `state ${String(event.operstate).toUpperCase()}`,
    event.upper !== undefined &&
      line(
        event.linking === true ? 'joined' : 'left',
        event.master === true ? 'master' : 'upper',
        String(event.upperName ?? linkName(context, Number(event.upper))),
      ),
  );

const portObject: Say = (event, context) =>
  line(
    String(event.object),
    device(context, event.ifindex),
    pair('vid', event.vlan),
    words(event.vlanFlags),
    event.mac !== '00:00:00:00:00:00' && pair('grp', event.mac),
  );

const portAttribute: Say = (event, context) =>
  line(
    String(event.attribute),
    device(context, event.ifindex),
    `value ${String(event.value)}`,
    pair('mask', event.mask),
  );

interface Entry {
  readonly say: Say;
  /** The mirror's kind it is about. */
  readonly kind: Kind;
}

const ENTRIES: readonly (readonly [prefix: string, entry: Entry])[] = [
  ['route-', { say: route, kind: 'route' }],
  ['rule-', { say: rule, kind: 'rule' }],
  ['nexthop-object-', { say: nexthop, kind: 'nexthop' }],
  [
    'nexthop-bucket-',
    {
      say: (event) =>
        `id ${String(event.id)} index ${String(event.bucket)} nhid ${String(event.oldNexthop)} to ${String(event.newNexthop)}`,
      kind: 'nexthop',
    },
  ],
  [
    'nexthop-',
    {
      say: (event, context) => {
        const gateway = event.gateway as GatewayValue;
        return line(hop(gateway, context), words(gateway.flags));
      },
      kind: 'route',
    },
  ],
  ['neighbour-', { say: neighbour, kind: 'neighbour' }],
  ['link-', { say: link, kind: 'link' }],
  ['fdb-', { say: fdb, kind: 'fdb' }],
  ['vxlan-', { say: vxlanFdb, kind: 'fdb' }],
  ['port-object-', { say: portObject, kind: 'vlan' }],
  ['port-attribute-', { say: portAttribute, kind: 'link' }],
  [
    'bridge-port-',
    {
      say: (event, context) => line(device(context, event.ifindex), device(context, event.device, 'by')),
      kind: 'link',
    },
  ],
];

function entryOf(event: EventName): Entry {
  return ENTRIES.find(([prefix]) => event.startsWith(prefix))![1];
}

/** What the event is about, e.g. `203.0.113.0/24 via 192.0.2.2 dev eth0`. */
export function describeEvent(event: NotifierEvent, context: FormatContext): string {
  return entryOf(event.event).say(event, context);
}

/** The kind of object it is about, as `--kind` chooses it. */
export function kindOfEvent(event: EventName): Kind {
  return entryOf(event).kind;
}
