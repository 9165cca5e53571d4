/** `ip -j -d neigh` and `bridge -j fdb`. Follows iproute2's ip/ipneigh.c and bridge/fdb.c. */

import type { Decoded, DecodedObject } from '../netlink/decode.ts';
import {
  copy,
  type FormatContext,
  headerNumber,
  hexText,
  type Json,
  linkName,
  namesOf,
  numberOf,
  textOf,
} from './context.ts';
import { linkLayerAddress } from './link.ts';

/** linux/neighbour.h NUD_* */
export const NEIGHBOUR_STATES: readonly (readonly [number, string])[] = [
  [0x01, 'INCOMPLETE'],
  [0x02, 'REACHABLE'],
  [0x04, 'STALE'],
  [0x08, 'DELAY'],
  [0x10, 'PROBE'],
  [0x20, 'FAILED'],
  [0x40, 'NOARP'],
  [0x80, 'PERMANENT'],
];

const NUD_REACHABLE = 0x02;
const NUD_STALE = 0x04;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;

const NTF_SELF = 0x02;
const NTF_MASTER = 0x04;
const NTF_PROXY = 0x08;
const NTF_EXT_LEARNED = 0x10;
const NTF_OFFLOADED = 0x20;
const NTF_STICKY = 0x40;
const NTF_ROUTER = 0x80;
const NTF_EXT_MANAGED = 0x01;

/** Whether `ip neigh` lists it when not asked for all: not those that need no resolution, nor those without a state. */
export function isListedNeighbour(object: DecodedObject): boolean {
  const state = headerNumber(object, 'state');
  const flags = headerNumber(object, 'flags');
  return (state & ~NUD_NOARP) !== 0 || (flags & (NTF_PROXY | NTF_EXT_LEARNED)) !== 0;
}

function linkLayer(object: DecodedObject, context: FormatContext): string | undefined {
  const address = textOf(object.lladdr);
  if (address === undefined) return undefined;
  const link = context.link?.(headerNumber(object, 'ifindex'));
  return linkLayerAddress(address, link === undefined ? undefined : headerNumber(link, 'type'));
}

export function formatNeighbour(object: DecodedObject, context: FormatContext): Json {
  const json: Json = {};
  if (object.dst !== undefined) json.dst = object.dst;
  const ifindex = headerNumber(object, 'ifindex');
  if (ifindex !== 0) json.dev = linkName(context, ifindex);
  const address = linkLayer(object, context);
  if (address !== undefined) json.lladdr = address;
  const flags = headerNumber(object, 'flags');
  const extended = numberOf(object.flags_ext) ?? 0;
  if ((flags & NTF_ROUTER) !== 0) json.router = null;
  if ((flags & NTF_PROXY) !== 0) json.proxy = null;
  if ((extended & NTF_EXT_MANAGED) !== 0) json.managed = null;
  if ((flags & NTF_EXT_LEARNED) !== 0) json.extern_learn = null;
  if ((flags & NTF_OFFLOADED) !== 0) json.offload = null;
  const state = headerNumber(object, 'state');
  if (state !== 0) {
    json.state = NEIGHBOUR_STATES.filter(([bit]) => (state & bit) !== 0).map(([, name]) => name);
  }
  const protocol = numberOf(object.protocol);
  if (protocol) json.protocol = namesOf(context).protocol(protocol);
  return json;
}

export function fdbState(state: number): string {
  if ((state & NUD_PERMANENT) !== 0) return 'permanent';
  if ((state & NUD_NOARP) !== 0) return 'static';
  if ((state & NUD_STALE) !== 0) return 'stale';
  if ((state & NUD_REACHABLE) !== 0) return '';
  return hexText(state);
}

const FDB_FLAGS: readonly (readonly [number, string])[] = [
  [NTF_SELF, 'self'],
  [NTF_ROUTER, 'router'],
  [NTF_EXT_LEARNED, 'extern_learn'],
  [NTF_OFFLOADED, 'offload'],
  [NTF_MASTER, 'master'],
  [NTF_STICKY, 'sticky'],
];

export function formatFdb(object: DecodedObject, context: FormatContext): Json {
  const json: Json = {};
  const address = linkLayer(object, context);
  if (address !== undefined) json.mac = address;
  const ifindex = headerNumber(object, 'ifindex');
  if (ifindex !== 0) json.ifname = linkName(context, ifindex);
  if (object.dst !== undefined) json.dst = object.dst;
  if (object.vlan) json.vlan = object.vlan;
  copy(json, object as Decoded, { port: 'port', vni: 'vni', src_vni: 'src_vni' });
  const via = numberOf(object.ifindex);
  const netnsid = object.link_netnsid;
  if (via !== undefined) {
    if (netnsid === undefined) json.viaIf = linkName(context, via);
    else json.viaIfIndex = via;
  }
  copy(json, object as Decoded, { nhid: 'nh_id', linkNetNsId: 'link_netnsid' });
  const flags = headerNumber(object, 'flags');
  json.flags = FDB_FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  const master = numberOf(object.master);
  if (master !== undefined) json.master = linkName(context, master);
  json.state = fdbState(headerNumber(object, 'state'));
  return json;
}
