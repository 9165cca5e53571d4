/** Objects of kinds that plugins declare, in the words of `ekho offload add`. */

import { customOf } from '../custom/object.ts';
import type { DecodedObject } from '../netlink/decode.ts';
import type { Json } from './context.ts';

export function formatOffload(object: DecodedObject): Json {
  const { kind, name, version, source, values, problem } = customOf(object);
  return {
    kind,
    name,
    ...(version !== 0 && { version }),
    source,
    fields: { ...values },
    ...(problem !== undefined && { problem }),
  };
}

/** `xdp:meter 10.1.0.0/16 rate=100000000 burst=65536` */
export function describeOffload(object: DecodedObject): string {
  const { kind, name, values, keys } = customOf(object);
  const others = Object.entries(values).filter(([field]) => !keys.has(field));
  return [kind, name, ...others.map(([field, value]) => `${field}=${value}`)].join(' ');
}
