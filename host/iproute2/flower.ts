/** Options of the flower filter, as `tc -j filter` prints them. Follows iproute2's tc/f_flower.c. */

import { parseHex, parseIp, parseMac } from '../netlink/address.ts';
import type { Decoded } from '../netlink/decode.ts';
import { type Json, listOf, numberOf, recordOf, textOf } from './context.ts';
import { ethertypeName } from './names.ts';
import { classId, maskedNumber, offloadFlags } from './tc-values.ts';

/** Prefix length of a mask; -1 when it has holes or is empty. */
function maskBits(mask: Uint8Array): number {
  let bits = 0;
  let hole = false;
  for (const byte of mask) {
    for (let bit = 7; bit >= 0; bit--) {
      if (((byte >> bit) & 1) === 0) {
        if (bits === 0) return -1;
        hole = true;
      } else if (hole) return -1;
      else bits++;
    }
  }
  return bits;
}

/** `address`, `address/bits` or `address/mask`. */
function maskedAddress(address: string, mask: string | undefined, bytes: Uint8Array | undefined): string {
  if (mask === undefined || bytes === undefined) return address;
  const bits = maskBits(bytes);
  if (bits < 0) return `${address}/${mask}`;
  return bits < 8 * bytes.length ? `${address}/${bits}` : address;
}

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const IP_PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  58: 'icmpv6',
  132: 'sctp',
};
const ETHERTYPES: Readonly<Record<number, string>> = {
  [ETH_P_IP]: 'ipv4',
  [ETH_P_IPV6]: 'ipv6',
  2054: 'arp',
  32821: 'rarp',
};
const CT_STATES: readonly (readonly [number, string])[] = [
  [8, 'trk'],
  [1, 'new'],
  [2, 'est'],
  [4, 'rel'],
  [16, 'inv'],
  [32, 'rpl'],
];
const TC_H_MIN_PRIORITY = 0xffe0;
const QUEUES_MAX = 16;

export function formatFlower(json: Json, options: Decoded, handle: number): void {
  if (handle !== 0) json.handle = handle;
  const id = numberOf(options.classid);
  if (id !== undefined) {
    const queue = (id & 0xffff) - TC_H_MIN_PRIORITY;
    if (queue >= 0 && queue < QUEUES_MAX) json.hw_tc = queue;
    else json.classid = classId(id);
  }
  if (options.indev !== undefined) json.indev = options.indev;
  json.keys = flowerKeys(options);
  const flags = numberOf(options.flags);
  offloadFlags(json, flags);
  if (flags !== undefined && (flags & 4) !== 0 && options.in_hw_count !== undefined) {
    json.in_hw_count = options.in_hw_count;
  }
}

function flowerKeys(options: Decoded): Json {
  const keys: Json = {};
  const value = (name: string): unknown => options[`key_${name}`];
  const number = (name: string): number | undefined => numberOf(value(name));
  const plain = (printed: string, name: string): void => {
    if (value(name) !== undefined) keys[printed] = value(name);
  };
  const ethertype = (printed: string, name: string): void => {
    const type = number(name);
    if (type !== undefined) keys[printed] = ethertypeName(type);
  };
  const mac = (printed: string, name: string): void => {
    const address = textOf(value(name));
    if (address === undefined) return;
    const mask = textOf(value(`${name}_mask`));
    keys[printed] = maskedAddress(address, mask, parseMac(mask ?? 'x'));
  };
  const ip = (printed: string, name: string): void => {
    const address = textOf(value(name));
    const mask = textOf(value(`${name}_mask`));
    if (address === undefined || mask === undefined) return;
    keys[printed] = maskedAddress(address, mask, parseIp(mask));
  };
  const masked = (printed: string, name: string, all: number): void =>
    maskedNumber(keys, printed, value(name), value(`${name}_mask`), all);
  /** `value` or `value/mask`, as text. */
  const maskedText = (printed: string, name: string): void => {
    const key = number(name);
    if (key === undefined) return;
    const mask = number(`${name}_mask`) ?? 255;
    keys[printed] = mask === 255 ? String(key) : `${key}/${mask}`;
  };

  plain('num_of_vlans', 'num_of_vlans');
  plain('vlan_id', 'vlan_id');
  plain('vlan_prio', 'vlan_prio');
  ethertype('vlan_ethtype', 'vlan_eth_type');
  plain('cvlan_id', 'cvlan_id');
  plain('cvlan_prio', 'cvlan_prio');
  ethertype('cvlan_ethtype', 'cvlan_eth_type');
  mac('dst_mac', 'eth_dst');
  mac('src_mac', 'eth_src');
  const type = number('eth_type');
  if (type !== undefined) keys.eth_type = ETHERTYPES[type] ?? type.toString(16).padStart(4, '0');
  const protocol = number('ip_proto');
  if (protocol !== undefined) {
    keys.ip_proto = IP_PROTOCOLS[protocol] ?? protocol.toString(16).padStart(2, '0');
  }
  masked('ip_tos', 'ip_tos', 0xff);
  masked('ip_ttl', 'ip_ttl', 0xff);
  const stack = recordOf(value('mpls_opts'));
  if (stack !== undefined) keys.mpls = listOf(stack.lse).map(labelEntry);
  plain('mpls_label', 'mpls_label');
  for (const name of ['mpls_tc', 'mpls_bos', 'mpls_ttl']) maskedText(name, name);
  const version = type === ETH_P_IP ? 'ipv4' : type === ETH_P_IPV6 ? 'ipv6' : undefined;
  if (version !== undefined) {
    ip('dst_ip', `${version}_dst`);
    ip('src_ip', `${version}_src`);
  }
  const transport = protocol === 6 ? 'tcp' : protocol === 17 ? 'udp' : protocol === 132 ? 'sctp' : undefined;
  if (transport !== undefined) {
    for (const side of ['dst', 'src']) {
      masked(`${side}_port`, `${transport}_${side}`, 0xffff);
    }
    for (const side of ['dst', 'src']) {
      const start = value(`port_${side}_min`);
      const end = value(`port_${side}_max`);
      if (start !== undefined && end !== undefined) keys[`${side}_port`] = { start, end };
    }
  }
  const flags = number('tcp_flags');
  if (flags !== undefined) {
    const mask = number('tcp_flags_mask');
    keys.tcp_flags = `0x${flags.toString(16)}${mask === undefined ? '' : `/${mask.toString(16)}`}`;
  }
  const icmp =
    type === ETH_P_IP && protocol === 1
      ? 'icmpv4'
      : type === ETH_P_IPV6 && protocol === 58
        ? 'icmpv6'
        : undefined;
  if (icmp !== undefined) {
    maskedText('icmp_type', `${icmp}_type`);
    maskedText('icmp_code', `${icmp}_code`);
  }
  ip('arp_sip', 'arp_sip');
  ip('arp_tip', 'arp_tip');
  arpOperation(keys, number('arp_op'), number('arp_op_mask') ?? 255);
  mac('arp_sha', 'arp_sha');
  mac('arp_tha', 'arp_tha');
  plain('pppoe_sid', 'pppoe_sid');
  ethertype('ppp_proto', 'ppp_proto');
  for (const side of ['dst', 'src']) {
    ip(
      `enc_${side}_ip`,
      value(`enc_ipv4_${side}_mask`) === undefined ? `enc_ipv6_${side}` : `enc_ipv4_${side}`,
    );
  }
  plain('enc_key_id', 'enc_key_id');
  masked('enc_dst_port', 'enc_udp_dst_port', 0xffff);
  masked('enc_tos', 'enc_ip_tos', 0xff);
  masked('enc_ttl', 'enc_ip_ttl', 0xff);
  tunnelOptions(keys, recordOf(value('enc_opts')), recordOf(value('enc_opts_mask')));
  fragmentFlags(keys, number('flags'), number('flags_mask'));
  connectionState(keys, number('ct_state'), number('ct_state_mask') ?? 0xffff);
  masked('ct_zone', 'ct_zone', 0xffff);
  masked('ct_mark', 'ct_mark', 0xffffffff);
  const labels = textOf(value('ct_labels'));
  if (labels !== undefined) {
    const mask = textOf(value('ct_labels_mask'));
    keys.ct_label = mask === undefined || /^f{32}$/.test(mask) ? labels : `${labels}/${mask}`;
  }
  plain('l2tpv3_sid', 'l2tpv3_sid');
  if (options.l2_miss !== undefined) keys.l2_miss = options.l2_miss !== 0;
  return keys;
}

function labelEntry(value: unknown): Json {
  const entry = recordOf(value) ?? {};
  const json: Json = {};
  for (const name of ['depth', 'label', 'tc', 'bos', 'ttl']) {
    if (entry[name] !== undefined) json[name] = entry[name];
  }
  return json;
}

function arpOperation(keys: Json, operation: number | undefined, mask: number): void {
  if (operation === undefined) return;
  const name = mask === 255 ? { 1: 'request', 2: 'reply' }[operation] : undefined;
  keys.arp_op = name ?? (mask === 255 ? String(operation) : `${operation}/${mask}`);
}

function tunnelOptions(keys: Json, options: Decoded | undefined, masks: Decoded | undefined): void {
  if (options === undefined) return;
  for (const name of ['geneve', 'vxlan', 'erspan', 'gtp', 'pfcp']) {
    if (options[name] === undefined) continue;
    keys[`${name}_opt_key`] = tunnelOption(options[name]);
    if (masks?.[name] !== undefined) keys[`${name}_opt_mask`] = tunnelOption(masks[name]);
    return;
  }
}

function tunnelOption(value: unknown): Json[] {
  const list = Array.isArray(value) ? value : [value];
  return list.map((entry) => {
    const option = recordOf(entry) ?? {};
    const data = textOf(option.data);
    return data === undefined ? { ...option } : { ...option, data: [...(parseHex(data) ?? [])] };
  });
}

function fragmentFlags(keys: Json, flags: number | undefined, mask: number | undefined): void {
  if (mask === undefined) return;
  const json: Json = {};
  for (const [bit, name] of [
    [1, 'frag'],
    [2, 'firstfrag'],
  ] as const) {
    if ((mask & bit) !== 0) json[name] = ((flags ?? 0) & bit) !== 0;
  }
  if (Object.keys(json).length > 0) keys.ip_flags = json;
}

function connectionState(keys: Json, state: number | undefined, mask: number): void {
  if (state === undefined) return;
  keys.ct_state = CT_STATES.filter(([bit]) => (mask & bit) !== 0)
    .map(([bit, name]) => `${(state & bit) === 0 ? '-' : '+'}${name}`)
    .join('');
}
