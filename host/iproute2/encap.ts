/** Encapsulations of routes and nexthops, as `ip route` and `ip nexthop` print them. Follows ip/iproute_lwtunnel.c. */

import { formatIp6, parseHex } from '../netlink/address.ts';
import type { Decoded } from '../netlink/decode.ts';
import {
  copy,
  type FormatContext,
  hexText,
  type Json,
  linkName,
  namesOf,
  numberOf,
  recordOf,
  textOf,
} from './context.ts';

const ENCAP_NAMES: readonly string[] = [
  'unknown',
  'mpls',
  'ip',
  'ila',
  'ip6',
  'seg6',
  'bpf',
  'seg6local',
  'rpl',
  'ioam6',
  'xfrm',
];

const SEG6_MODES = ['inline', 'encap', 'l2encap', 'encap.red', 'l2encap.red'];

const SEG6_ACTIONS: readonly (string | undefined)[] = [
  undefined,
  'End',
  'End.X',
  'End.T',
  'End.DX2',
  'End.DX6',
  'End.DX4',
  'End.DT6',
  'End.DT4',
  'End.B6',
  'End.B6.Encaps',
  'End.BM',
  'End.S',
  'End.AS',
  'End.AM',
  'End.BPF',
  'End.DT46',
];

const SEG6_FLAVORS = ['', 'psp', 'usp', 'usd', 'next-csid'];
const IOAM6_MODES = ['', 'inline', 'encap', 'auto'];
const ILA_CSUM_MODES = ['adj-transport', 'neutral-map', 'no-action', 'neutral-map-auto'];
const ILA_IDENTIFIER_TYPES = ['iid', 'luid', 'virt-v4', 'virt-uni-v6', 'virt-multi-v6', 'nonlocal'];
const ILA_HOOKS = ['output', 'input'];

export function encapName(type: number): string {
  return ENCAP_NAMES[type] ?? 'unknown';
}

/**
 * Adds the encapsulation's fields to the route's or nexthop's own, as iproute2 does. Where both have one of the same name
 * (`taken`), iproute2 prints that name twice; here the route keeps it and the encapsulation's is `encap_…`.
 */
export function formatEncap(
  json: Json,
  from: Decoded,
  context: FormatContext,
  taken: readonly string[] = [],
): void {
  const type = numberOf(from.encap_type);
  if (type === undefined || from.encap === undefined) return;
  json.encap = encapName(type);
  const encap = recordOf(from.encap);
  if (encap === undefined) return;
  for (const [name, value] of Object.entries(formatFields(type, encap, context))) {
    json[taken.includes(name) ? `encap_${name}` : name] = value;
  }
}

function formatFields(type: number, encap: Decoded, context: FormatContext): Json {
  const json: Json = {};
  switch (ENCAP_NAMES[type]) {
    case 'mpls':
      copy(json, encap, { dst: 'dst', ttl: 'ttl' });
      break;
    case 'ip':
      copy(json, encap, { id: 'id', src: 'src', dst: 'dst', ttl: 'ttl', tos: 'tos' });
      tunnelFlags(json, encap);
      break;
    case 'ip6':
      copy(json, encap, { id: 'id', src: 'src', dst: 'dst', hoplimit: 'hoplimit', tc: 'tc' });
      tunnelFlags(json, encap);
      break;
    case 'ila':
      formatIla(json, encap);
      break;
    case 'seg6':
      formatSeg6(json, encap);
      break;
    case 'seg6local':
      formatSeg6Local(json, encap, context);
      break;
    case 'bpf':
      for (const hook of ['in', 'out', 'xmit']) program(json, encap[hook], hook);
      copy(json, encap, { headroom: 'xmit_headroom' });
      break;
    case 'rpl':
      formatRpl(json, encap);
      break;
    case 'ioam6':
      formatIoam6(json, encap);
      break;
    case 'xfrm': {
      copy(json, encap, { if_id: 'if_id' });
      const link = numberOf(encap.link);
      if (link !== undefined) json.link_dev = linkName(context, link);
      break;
    }
  }
  return json;
}

/** net/ip_tunnels.h TUNNEL_*, which are big-endian on the wire as on the machine. */
function tunnelFlags(json: Json, encap: Decoded): void {
  const flags = numberOf(encap.flags) ?? 0;
  if ((flags & 0x0004) !== 0) json.key = true;
  if ((flags & 0x0001) !== 0) json.csum = true;
  if ((flags & 0x0008) !== 0) json.seq = true;
  const options = recordOf(encap.opts);
  if (options === undefined) return;
  for (const name of ['geneve', 'vxlan', 'erspan']) {
    const option = recordOf(options[name]);
    if (option === undefined) continue;
    json[`${name}_opts`] = [name === 'erspan' ? { ver: 0, index: 0, dir: 0, hwid: 0, ...option } : option];
    return;
  }
}

function program(json: Json, value: unknown, name: string): void {
  const program = recordOf(value);
  if (program !== undefined) json[name] = program.name ?? program.prog_name ?? '<unknown>';
}

function formatIla(json: Json, encap: Decoded): void {
  const locator = encap.locator;
  if (typeof locator === 'number' || typeof locator === 'bigint') {
    const bytes = new DataView(new ArrayBuffer(8));
    bytes.setBigUint64(0, BigInt(locator), true);
    json.locator = [0, 2, 4, 6].map((at) => bytes.getUint16(at).toString(16)).join(':');
  }
  const names = (attribute: string, printed: string, table: readonly string[]): void => {
    const value = numberOf(encap[attribute]);
    if (value !== undefined) json[printed] = table[value] ?? `unknown(${value})`;
  };
  names('csum_mode', 'csum_mode', ILA_CSUM_MODES);
  names('ident_type', 'ident_type', ILA_IDENTIFIER_TYPES);
  names('hook_type', 'hook_type', ILA_HOOKS);
}

/** Segments of a struct ipv6_sr_hdr at `at`, last first. */
function segments(bytes: Uint8Array, at: number): string[] {
  const list: string[] = [];
  const first = bytes[at + 4] ?? 0;
  for (let index = first; index >= 0; index--) {
    const start = at + 8 + 16 * index;
    if (start + 16 <= bytes.length) list.push(formatIp6(bytes, start));
  }
  return list;
}

function segmentRouting(json: Json, bytes: Uint8Array, at: number): void {
  json.segs = segments(bytes, at);
  // SR6_FLAG1_HMAC: the key id is in the TLV at the end.
  if (((bytes[at + 5] ?? 0) & 0x08) === 0) return;
  const tlv = at + ((bytes[at + 1] ?? 0) + 1) * 8 - 40;
  if (tlv < at || tlv + 8 > bytes.length) return;
  json.hmac = hexText(new DataView(bytes.buffer, bytes.byteOffset).getUint32(tlv + 4));
}

function formatSeg6(json: Json, encap: Decoded): void {
  const bytes = parseHex(textOf(encap.srh) ?? '');
  if (bytes === undefined || bytes.length < 12) return;
  json.mode = SEG6_MODES[bytes[0]!] ?? '<unknown>';
  segmentRouting(json, bytes, 4);
}

function formatSeg6Local(json: Json, encap: Decoded, context: FormatContext): void {
  const action = numberOf(encap.action);
  if (action === undefined) return;
  json.action = SEG6_ACTIONS[action] ?? '<unknown>';
  const header = parseHex(textOf(encap.srh) ?? '');
  if (header !== undefined && header.length >= 8) {
    const printed: Json = {};
    segmentRouting(printed, header, 0);
    json.srh = printed;
  }
  for (const attribute of ['table', 'vrftable']) {
    const table = numberOf(encap[attribute]);
    if (table !== undefined) json[attribute] = namesOf(context).table(table);
  }
  copy(json, encap, { nh4: 'nh4', nh6: 'nh6' });
  for (const attribute of ['iif', 'oif']) {
    const ifindex = numberOf(encap[attribute]);
    if (ifindex !== undefined) json[attribute] = linkName(context, ifindex);
  }
  program(json, encap.bpf, 'endpoint');
  const flavors = recordOf(encap.flavors);
  if (flavors === undefined) return;
  const operations = numberOf(flavors.operation);
  if (operations !== undefined) {
    json.flavors = SEG6_FLAVORS.filter((name, bit) => name !== '' && (operations & (1 << bit)) !== 0);
  }
  copy(json, flavors, { lblen: 'lcblock_bits', nflen: 'lcnode_fn_bits' });
}

function formatRpl(json: Json, encap: Decoded): void {
  const bytes = parseHex(textOf(encap.srh) ?? '');
  if (bytes === undefined || bytes.length < 8) return;
  const left = bytes[3]!;
  const list: string[] = [];
  for (let index = left - 1; index >= 0; index--) {
    const start = 8 + 16 * index;
    if (start + 16 <= bytes.length) list.push(formatIp6(bytes, start));
  }
  json.segs = list;
}

function formatIoam6(json: Json, encap: Decoded): void {
  const mode = numberOf(encap.mode);
  const trace = parseHex(textOf(encap.trace) ?? '');
  if (mode === undefined || trace === undefined || trace.length < 8) return;
  json.freqk = encap.freq_k;
  json.freqn = encap.freq_n;
  json.mode = IOAM6_MODES[mode] ?? '<unknown>';
  if (mode !== 1) copy(json, encap, { tunsrc: 'src', tundst: 'dst' });
  const view = new DataView(trace.buffer, trace.byteOffset);
  json.trace = null;
  json.prealloc = null;
  // struct ioam6_trace_hdr: namespace, node length and flags, remaining length (7 bits), then the 24-bit type.
  json.type = (view.getUint32(4) >>> 8).toString(16);
  json.ns = view.getUint16(0);
  json.size = (view.getUint8(3) & 0x7f) * 4;
}
