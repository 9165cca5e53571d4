/**
 * IPsec policies in the words that `ip xfrm policy` prints; it has no JSON, so the names are those of its text. Follows
 * iproute2's ip/ipxfrm.c.
 */

import { formatIp4, formatIp6 } from '../netlink/address.ts';
import type { Decoded, DecodedObject } from '../netlink/decode.ts';
import {
  type FormatContext,
  hexText,
  type Json,
  linkName,
  listOf,
  namesOf,
  numberOf,
  recordOf,
  textOf,
} from './context.ts';

const AF_INET = 2;
const DIRECTIONS = ['in', 'out', 'fwd'];
const TYPES = ['main', 'sub'];
const MODES = ['transport', 'tunnel', 'ro', 'in_trigger', 'beet', 'iptfs'];
/** XFRM_USERPOLICY_*: kernels that were told nothing say 0, which accepts. */
const DEFAULTS = ['accept', 'block', 'accept'];
const TEMPLATE_PROTOCOLS: Readonly<Record<number, string>> = {
  50: 'esp',
  51: 'ah',
  108: 'comp',
  43: 'route2',
  60: 'hao',
};
const NO_LIMIT = 0xffff_ffff_ffff_ffffn;
const NO_PORTS = 0;
const ALL_PORTS = 0xffff;
/** XFRM_POLICY_LOCALOK, XFRM_POLICY_ICMP */
const FLAGS = ['localok', 'icmp'];

const number = (value: unknown): number => numberOf(value) ?? 0;

function address(hex: unknown, family: number): string {
  const bytes = Buffer.from(textOf(hex) ?? '', 'hex');
  return family === AF_INET ? formatIp4(bytes, 0) : formatIp6(bytes, 0);
}

function side(selector: Decoded, end: 's' | 'd'): string {
  return `${address(selector[`${end}addr`], number(selector.family))}/${number(selector[`prefixlen_${end}`])}`;
}

/** `80`, `80/0xff00`, or nothing where every port is meant. */
function port(selector: Decoded, name: 'sport' | 'dport'): string | number | undefined {
  const mask = number(selector[`${name}_mask`]);
  if (mask === NO_PORTS) return undefined;
  return mask === ALL_PORTS ? number(selector[name]) : `${number(selector[name])}/${hexText(mask)}`;
}

function limits(lifetime: Decoded): Json {
  const set = Object.entries(lifetime).filter(
    ([, value]) => value !== NO_LIMIT && value !== 0 && value !== 0n && value !== Number(NO_LIMIT),
  );
  return Object.fromEntries(set);
}

function template(value: unknown): Json {
  const tmpl = recordOf(value) ?? {};
  const family = number(tmpl.family);
  const protocol = number(tmpl.proto);
  return {
    src: address(tmpl.saddr, family),
    dst: address(tmpl.daddr, family),
    proto: TEMPLATE_PROTOCOLS[protocol] ?? String(protocol),
    ...(number(tmpl.spi) !== 0 && { spi: `0x${number(tmpl.spi).toString(16).padStart(8, '0')}` }),
    reqid: number(tmpl.reqid),
    mode: MODES[number(tmpl.mode)] ?? String(number(tmpl.mode)),
    ...(number(tmpl.optional) !== 0 && { level: 'use' }),
  };
}

export function formatPolicy(object: DecodedObject, context: FormatContext): Json {
  const { header } = object;
  const selector = recordOf(header.sel) ?? {};
  const mark = recordOf(object.mark);
  const protocol = number(selector.proto);
  const ifindex = number(selector.ifindex);
  const type = number(recordOf(object.policy_type)?.type);
  const flags = FLAGS.filter((_, bit) => (number(header.flags) & (1 << bit)) !== 0);
  const lifetime = limits(recordOf(header.lft) ?? {});
  const templates = listOf(object.tmpl).map(template);
  return {
    src: side(selector, 's'),
    dst: side(selector, 'd'),
    ...(protocol !== 0 && { proto: namesOf(context).ipProtocol(protocol) }),
    ...optional('sport', port(selector, 'sport')),
    ...optional('dport', port(selector, 'dport')),
    ...(ifindex !== 0 && { dev: linkName(context, ifindex) }),
    ...(number(selector.user) !== 0 && { uid: number(selector.user) }),
    dir: DIRECTIONS[number(header.dir)] ?? String(header.dir),
    action: number(header.action) === 0 ? 'allow' : 'block',
    index: number(header.index),
    priority: number(header.priority),
    ptype: TYPES[type] ?? String(type),
    ...(flags.length > 0 && { flags }),
    ...(Object.keys(lifetime).length > 0 && { limits: lifetime }),
    ...(mark !== undefined && { mark: hexText(number(mark.v)), mask: hexText(number(mark.m)) }),
    ...(templates.length > 0 && { tmpl: templates }),
    ...(object.if_id !== undefined && { if_id: hexText(number(object.if_id)) }),
  };
}

function optional(name: string, value: unknown): Json {
  return value === undefined ? {} : { [name]: value };
}

export function formatPolicyDefault({ header }: DecodedObject): Json {
  const name = (value: unknown): string => DEFAULTS[number(value)] ?? String(value);
  return { in: name(header.in), fwd: name(header.fwd), out: name(header.out) };
}

/** `src 10.0.0.0/8 dst 0.0.0.0/0 dir out`, as `ip xfrm policy get` takes it. */
export function describePolicy(object: DecodedObject, context: FormatContext): string {
  const { src, dst, proto, sport, dport, dev, dir, ptype, mark, mask, if_id } = formatPolicy(object, context);
  const pairs = { src, dst, proto, sport, dport, dev, dir, mark, mask, if_id };
  const words = Object.entries(pairs).filter(([, value]) => value !== undefined);
  return [...words.flat(), ...(ptype === 'main' ? [] : ['ptype', ptype])].join(' ');
}
