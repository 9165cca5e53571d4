/** Connections in a flowtable, in the words of conntrack(8). */

import type { Decoded, DecodedObject } from '../netlink/decode.ts';
import type { FormatContext } from './context.ts';
import { type Json, namesOf, numberOf, recordOf } from './context.ts';

/** TCP_CONNTRACK_* of linux/netfilter/nf_conntrack_tcp.h. */
const TCP_STATES = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
];

function tuple(value: unknown): Json {
  const { ip, proto } = (recordOf(value) ?? {}) as Decoded;
  const addresses = recordOf(ip) ?? {};
  const protocol = recordOf(proto) ?? {};
  return {
    src: addresses.v4_src ?? addresses.v6_src,
    dst: addresses.v4_dst ?? addresses.v6_dst,
    sport: protocol.src_port,
    dport: protocol.dst_port,
  };
}

function protocolOf(object: DecodedObject): number {
  return numberOf(recordOf(recordOf(object.tuple_orig)?.proto)?.num) ?? 0;
}

export function formatFlow(object: DecodedObject, context: FormatContext): Json {
  const state = numberOf(recordOf(recordOf(object.protoinfo)?.tcp)?.state);
  const mark = numberOf(object.mark) ?? 0;
  return {
    proto: namesOf(context).ipProtocol(protocolOf(object)),
    ...tuple(object.tuple_orig),
    reply: tuple(object.tuple_reply),
    ...(state !== undefined && { state: TCP_STATES[state] ?? String(state) }),
    ...(mark !== 0 && { mark }),
    ...(object.zone !== undefined && { zone: object.zone }),
  };
}

/** `tcp src 10.0.0.1 dst 192.0.2.1 sport 40000 dport 443`, as `show flow` takes it. */
export function describeFlow(object: DecodedObject, context: FormatContext): string {
  const { proto, src, dst, sport, dport, zone } = formatFlow(object, context);
  const pairs = Object.entries({ src, dst, sport, dport, zone }).filter(([, value]) => value !== undefined);
  return [proto, ...pairs.flat()].join(' ');
}
