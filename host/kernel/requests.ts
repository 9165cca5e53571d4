/** Which dumps show all objects of a kind, or those of a part of it. */

import { constants } from 'node:os';
import { type KernelKind, KINDS, type Kind, type KindNumber } from '../mirror/types.ts';
import { MessageWriter, NETLINK_NETFILTER, NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/message.ts';
import type { NetlinkRequest } from '../netlink/request.ts';
import { flowAttributes, IPS_OFFLOAD } from '../netlink/schema/conntrack.ts';
import { linkAttributes } from '../netlink/schema/link.ts';
import { neighbourAttributes } from '../netlink/schema/neighbour.ts';
import { routeAttributes } from '../netlink/schema/route.ts';
import { actionAttributes, actionDumpAttributes } from '../netlink/schema/tc.ts';
import {
  AF_BRIDGE,
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  BRIDGE_VLANDB_DUMP_FLAGS,
  BRIDGE_VLANDB_DUMPF_GLOBAL,
  IPCTNL_MSG_CT_NEW,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWFLOWTABLE,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWTABLE,
  RTEXT_FILTER_SKIP_STATS,
  RTEXT_FILTER_VF,
  RTM_NEWACTION,
  RTM_NEWADDR,
  RTM_NEWCHAIN,
  RTM_NEWLINK,
  RTM_NEWMDB,
  RTM_NEWNEIGH,
  RTM_NEWNETCONF,
  RTM_NEWNEXTHOP,
  RTM_NEWQDISC,
  RTM_NEWROUTE,
  RTM_NEWRULE,
  RTM_NEWTCLASS,
  RTM_NEWTFILTER,
  RTM_NEWVLAN,
  XFRM_MSG_GETDEFAULT,
  XFRM_MSG_GETPOLICY,
} from './rtnetlink.ts';

/** A part of a kind; what is absent is not restricted. */
export interface Scope {
  readonly kind: KindNumber;
  /** Objects of this link: for routes by their outgoing link. */
  readonly ifindex?: number;
  /** Routes: AF_INET or AF_INET6. */
  readonly family?: number;
  /** Routes: of this table. */
  readonly table?: number;
  /** Routes and nexthops that notifiers say may be gone (hints.ts). */
  readonly isHinted?: true;
}

/** Routes by what a dump can be restricted to; 0: not restricted by it. */
export interface RoutePart {
  /** AF_INET or AF_INET6. */
  readonly family: number;
  readonly table: number;
  /** RTPROT_* */
  readonly protocol: number;
  /** RTN_* */
  readonly type: number;
  /** The link that they go out of by themselves, not by a nexthop object. */
  readonly ifindex: number;
}

export function scopeName(scope: Scope): string {
  let name: string = KINDS[scope.kind]!;
  if (scope.family !== undefined) name += scope.family === AF_INET ? ' IPv4' : ' IPv6';
  if (scope.table !== undefined) name += ` table ${scope.table}`;
  if (scope.ifindex !== undefined) name += ` link ${scope.ifindex}`;
  if (scope.isHinted) name += ' hinted';
  return name;
}

const { EACCES, EAFNOSUPPORT, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT } = constants.errno;

/** The link or routing table asked for is not there. */
const GONE: ReadonlySet<number> = new Set([ENODEV, ENOENT]);
/** The kernel was built without IPv6, or it is off (net/core/fib_rules.c, rtnetlink.c). */
const NO_FAMILY: ReadonlySet<number> = new Set([EAFNOSUPPORT, EOPNOTSUPP]);
const NO_FAMILY_OR_GONE: ReadonlySet<number> = new Set([...NO_FAMILY, ...GONE]);
/** The link is gone, or the kernel was built without that part of traffic control. */
const NO_CONTROL: ReadonlySet<number> = new Set([...GONE, EOPNOTSUPP]);
/** Kernels before 5.15 do not know the flag. */
const NO_FLAG: ReadonlySet<number> = new Set([EINVAL, EOPNOTSUPP]);

export interface DumpRequest extends NetlinkRequest {
  /** Errnos by which the kernel only says that there is nothing. Any other leaves open what there is. */
  readonly none?: ReadonlySet<number> | undefined;
  /** Asks for one object, not for a dump. */
  readonly isSingle?: true;
}

/**
 * What a refusal says about a whole kind: the kernel has none (`absent`), this process may not see it (`denied`), or
 * undefined: nothing, the kernel could not answer just now (ENOMEM, ENOBUFS, EBUSY, EINTR, …).
 */
export function unavailability(kind: Kind, errno: number): 'absent' | 'denied' | undefined {
  if (errno === EPERM || errno === EACCES) return 'denied';
  if (errno === EOPNOTSUPP || errno === EAFNOSUPPORT || errno === EPROTONOSUPPORT) return 'absent';
  // net/netfilter/nfnetlink.c nfnetlink_rcv_msg: no such subsystem, and its module does not load; net/xfrm/xfrm_user.c
  // xfrm_user_rcv_msg: no such message, kernels before 5.15 accept what no policy matches.
  if (errno === EINVAL && protocolOf(kind) !== NETLINK_ROUTE) return 'absent';
  return undefined;
}

/** What dumps need to know: where traffic control hangs, for classes, chains and filters; whether there can be flows. */
export interface TrafficControl {
  readonly hasFlowtables: boolean;
  /** Links that have qdiscs other than the plain default ones. */
  links(): Iterable<number>;
  /** Parents of a link that may have filters: qdisc handles, classes, clsact hooks. */
  parents(ifindex: number): Iterable<number>;
}

/** RTM_NEW* to RTM_GET* */
export const GET = 2;
/** NFT_MSG_NEW* to NFT_MSG_GET*, and of ctnetlink. */
const NFT_GET = 1;

export function protocolOf(kind: Kind): number {
  if (kind.startsWith('xfrm-')) return NETLINK_XFRM;
  return kind.startsWith('nft-') || kind === 'flow' ? NETLINK_NETFILTER : NETLINK_ROUTE;
}

function header(...words: readonly number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(words).buffer);
}

/** A fixed header that starts with the address family and is otherwise zero. */
function familyHeader(family: number, bytes: number): Uint8Array {
  const payload = new Uint8Array(bytes);
  payload[0] = family;
  return payload;
}

function routes(scope: Scope, tables: readonly number[] | undefined): DumpRequest[] {
  const families = scope.family === undefined ? [AF_INET, AF_INET6] : [scope.family];
  const wanted = scope.table === undefined ? (tables ?? [undefined]) : [scope.table];
  return families.flatMap((family) =>
    wanted.map((table) => {
      const writer = new MessageWriter().raw(familyHeader(family, 12));
      if (table !== undefined) writer.u32(routeAttributes.number.table, table);
      if (scope.ifindex !== undefined) writer.u32(routeAttributes.number.oif, scope.ifindex);
      // A table that does not exist is an error for IPv4 and IPv6, and empty.
      return {
        type: RTM_NEWROUTE + GET,
        payload: writer.bytes(),
        operation: `dump ${scopeName(scope)}`,
        none: family === AF_INET6 ? NO_FAMILY_OR_GONE : GONE,
      };
    }),
  );
}

/** A dump of the routes in a part; what is 0 does not restrict it. */
export function partRequest({ family, table, protocol, type, ifindex }: RoutePart): DumpRequest {
  const header = familyHeader(family, 12);
  header[5] = protocol;
  header[7] = type;
  const writer = new MessageWriter().raw(header);
  if (table !== 0) writer.u32(routeAttributes.number.table, table);
  if (ifindex !== 0) writer.u32(routeAttributes.number.oif, ifindex);
  return {
    type: RTM_NEWROUTE + GET,
    payload: writer.bytes(),
    operation: 'dump route hinted',
    none: family === AF_INET6 ? NO_FAMILY_OR_GONE : GONE,
  };
}

/** Types of actions that exist in the kernel's source; those not built in answer with an error. */
const ACTION_KINDS = [
  'gact',
  'mirred',
  'vlan',
  'tunnel_key',
  'pedit',
  'police',
  'skbedit',
  'skbmod',
  'csum',
  'ct',
  'ctinfo',
  'mpls',
  'sample',
  'bpf',
  'nat',
  'connmark',
  'gate',
  'ife',
  'simple',
];

function actions(): DumpRequest[] {
  const encoder = new TextEncoder();
  return ACTION_KINDS.map((kind) => {
    const name = new MessageWriter()
      .attribute(actionAttributes.number.kind, encoder.encode(`${kind}\0`))
      .bytes();
    const first = new MessageWriter().attribute(1, name).bytes();
    const payload = new MessageWriter()
      .raw(familyHeader(AF_UNSPEC, 4))
      .attribute(actionDumpAttributes.number.tab, first)
      // TCA_ACT_FLAG_LARGE_DUMP_ON: as many as fit, not 32.
      .attribute(actionDumpAttributes.number.flags, header(1, 1))
      .bytes();
    return { type: RTM_NEWACTION + GET, payload, operation: `dump action ${kind}`, none: NO_CONTROL };
  });
}

function perParent(type: number, name: string, scope: Scope, control: TrafficControl): DumpRequest[] {
  const requests: DumpRequest[] = [];
  for (const ifindex of scope.ifindex === undefined ? control.links() : [scope.ifindex]) {
    for (const parent of control.parents(ifindex)) {
      requests.push({
        type: type + GET,
        payload: header(0, ifindex, 0, parent, 0),
        operation: `dump ${name} of link ${ifindex}`,
        none: NO_CONTROL,
      });
    }
  }
  return requests;
}

/** The dumps that together show all objects of `scope`; for routes without a table only those in `tables`. */
export function dumpRequests(
  scope: Scope,
  control: TrafficControl,
  tables: readonly number[] | undefined,
): DumpRequest[] {
  const kind = KINDS[scope.kind] as KernelKind;
  const operation = `dump ${scopeName(scope)}`;
  const link = scope.ifindex ?? 0;
  switch (kind) {
    case 'link': {
      const payload = new MessageWriter()
        .raw(familyHeader(AF_UNSPEC, 16))
        .u32(linkAttributes.number.ext_mask, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS)
        .bytes();
      return [{ type: RTM_NEWLINK + GET, payload, operation }];
    }
    case 'netconf':
      return [AF_INET, AF_INET6].map((family) => ({
        type: RTM_NEWNETCONF + GET,
        payload: familyHeader(family, 4),
        operation,
        none: family === AF_INET6 ? NO_FAMILY : undefined,
      }));
    case 'address':
      return [
        { type: RTM_NEWADDR + GET, payload: header(0, link), operation, none: link === 0 ? undefined : GONE },
      ];
    case 'neighbour': {
      // Not the proxy entries: the kernel never announces them.
      const writer = new MessageWriter().raw(familyHeader(AF_UNSPEC, 12));
      if (link !== 0) writer.u32(neighbourAttributes.number.ifindex, link);
      return [
        { type: RTM_NEWNEIGH + GET, payload: writer.bytes(), operation, none: link === 0 ? undefined : GONE },
      ];
    }
    case 'fdb': {
      const payload = new Uint8Array(header(0, link, 0));
      payload[0] = AF_BRIDGE;
      return [{ type: RTM_NEWNEIGH + GET, payload, operation, none: link === 0 ? undefined : GONE }];
    }
    case 'mdb':
      return [{ type: RTM_NEWMDB + GET, payload: familyHeader(AF_BRIDGE, 8), operation }];
    case 'vlan':
      return [0, BRIDGE_VLANDB_DUMPF_GLOBAL].map((flags) => ({
        type: RTM_NEWVLAN + GET,
        payload: new MessageWriter()
          .raw(familyHeader(AF_BRIDGE, 8))
          .u32(BRIDGE_VLANDB_DUMP_FLAGS, flags)
          .bytes(),
        operation,
        none: flags === 0 ? undefined : NO_FLAG,
      }));
    case 'nexthop':
      return [{ type: RTM_NEWNEXTHOP + GET, payload: new Uint8Array(8), operation }];
    case 'rule':
      return [AF_INET, AF_INET6].map((family) => ({
        type: RTM_NEWRULE + GET,
        payload: familyHeader(family, 12),
        operation,
        none: family === AF_INET6 ? NO_FAMILY : undefined,
      }));
    case 'route':
      return routes(scope, tables);
    case 'qdisc':
      return [{ type: RTM_NEWQDISC + GET, payload: new Uint8Array(20), operation }];
    case 'class':
      return [...(scope.ifindex === undefined ? control.links() : [link])].map((ifindex) => ({
        type: RTM_NEWTCLASS + GET,
        payload: header(0, ifindex, 0, 0, 0),
        operation: `dump class of link ${ifindex}`,
        none: NO_CONTROL,
      }));
    case 'chain':
      return perParent(RTM_NEWCHAIN, kind, scope, control);
    case 'filter':
      return perParent(RTM_NEWTFILTER, kind, scope, control);
    case 'action':
      return actions();
    case 'xfrm-default':
      return [{ type: XFRM_MSG_GETDEFAULT, payload: new Uint8Array(4), operation, isSingle: true }];
    case 'xfrm-policy':
      return [{ type: XFRM_MSG_GETPOLICY, payload: new Uint8Array(0), operation }];
    case 'nft-table':
      return [{ type: NFT_MSG_NEWTABLE + NFT_GET, payload: new Uint8Array(4), operation }];
    case 'nft-chain':
      return [{ type: NFT_MSG_NEWCHAIN + NFT_GET, payload: new Uint8Array(4), operation }];
    case 'nft-rule':
      return [{ type: NFT_MSG_NEWRULE + NFT_GET, payload: new Uint8Array(4), operation }];
    case 'nft-flowtable':
      return [{ type: NFT_MSG_NEWFLOWTABLE + NFT_GET, payload: new Uint8Array(4), operation }];
    case 'flow':
      return control.hasFlowtables ? [flowRequest(operation)] : [];
  }
}

/** Connections that are in a flowtable; kernels before 5.18 show all. */
function flowRequest(operation: string): DumpRequest {
  const offloaded = new Uint8Array(4);
  new DataView(offloaded.buffer).setUint32(0, IPS_OFFLOAD);
  const payload = new MessageWriter()
    .raw(new Uint8Array(4))
    .attribute(flowAttributes.number.status, offloaded)
    .attribute(flowAttributes.number.status_mask, offloaded)
    .bytes();
  return { type: IPCTNL_MSG_CT_NEW + NFT_GET, payload, operation };
}

/** Asks for one link: RTM_GETLINK with its index. */
export function linkRequest(ifindex: number): DumpRequest {
  const payload = new MessageWriter()
    .raw(header(0, ifindex, 0, 0))
    .u32(linkAttributes.number.ext_mask, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS)
    .bytes();
  return { type: RTM_NEWLINK + GET, payload, operation: `read link ${ifindex}`, none: GONE, isSingle: true };
}
