/** `ip -j -d addr`: links, each with its addresses in `addr_info`. Follows iproute2's ip/ipaddress.c. */

import type { Decoded, DecodedObject } from '../netlink/decode.ts';
import { type FormatContext, headerNumber, type Json, namesOf, numberOf, recordOf } from './context.ts';
import { familyName } from './names.ts';

const IFA_F_SECONDARY = 0x01;
const IFA_F_PERMANENT = 0x80;
const AF_INET6 = 10;

/** linux/if_addr.h IFA_F_*, in the order they are printed. */
const ADDRESS_FLAGS: readonly (readonly [number, string])[] = [
  [IFA_F_SECONDARY, 'secondary'],
  [0x02, 'nodad'],
  [0x04, 'optimistic'],
  [0x08, 'dadfailed'],
  [0x10, 'home'],
  [0x20, 'deprecated'],
  [0x40, 'tentative'],
  [IFA_F_PERMANENT, 'permanent'],
  [0x100, 'mngtmpaddr'],
  [0x200, 'noprefixroute'],
  [0x400, 'autojoin'],
  [0x800, 'stable-privacy'],
];

/** linux/if_addr.h IFAPROT_* */
const ADDRESS_PROTOCOLS = ['unspec', 'kernel_lo', 'kernel_ra', 'kernel_ll'];

/** One entry of `addr_info`. */
export function formatAddress(object: DecodedObject, context: FormatContext): Json {
  const json: Json = {};
  const family = headerNumber(object, 'family');
  const name = familyName(family);
  if (name === '???') json.family_index = family;
  else json.family = name;
  const local = object.local ?? object.address;
  if (local !== undefined) {
    json.local = local;
    if (object.address !== undefined && object.address !== local) json.address = object.address;
    json.prefixlen = headerNumber(object, 'prefixlen');
    if (object.rt_priority !== undefined) json.metric = object.rt_priority;
  }
  for (const attribute of ['broadcast', 'anycast']) {
    if (object[attribute] !== undefined) json[attribute] = object[attribute];
  }
  json.scope = namesOf(context).scope(headerNumber(object, 'scope'));
  formatFlags(json, object, family);
  const protocol = numberOf(object.proto);
  if (protocol !== undefined && protocol !== 0)
    json.protocol = ADDRESS_PROTOCOLS[protocol] ?? String(protocol);
  if (object.label !== undefined) json.label = object.label;
  const cacheinfo = recordOf(object.cacheinfo);
  if (cacheinfo !== undefined) formatLifetimes(json, cacheinfo);
  return json;
}

function formatFlags(json: Json, object: DecodedObject, family: number): void {
  let flags = numberOf(object.flags) ?? headerNumber(object, 'flags');
  for (const [bit, name] of ADDRESS_FLAGS) {
    const set = (flags & bit) !== 0;
    if (bit === IFA_F_PERMANENT) {
      if (!set) json.dynamic = true;
    } else if (set) {
      json[bit === IFA_F_SECONDARY && family === AF_INET6 ? 'temporary' : name] = true;
    }
    flags &= ~bit;
  }
  if (flags !== 0) json.ifa_flags = (flags >>> 0).toString(16).padStart(2, '0');
}

function formatLifetimes(json: Json, cacheinfo: Decoded): void {
  json.valid_life_time = cacheinfo.valid;
  json.preferred_life_time = cacheinfo.preferred;
}
