/** Objects of offload kinds as the mirror keeps them, and back. */

import type { Decoded, DecodedObject } from '../netlink/decode.ts';
import { encodeObject } from '../netlink/encode.ts';
import { type Datagram, datagram } from '../netlink/message.ts';
import type { Values } from './values.ts';

export interface CustomObject {
  /** `vendor:kind` */
  readonly kind: string;
  /** Values of its keys. */
  readonly name: string;
  /** Of the kind, when it was made; 0 for any. */
  readonly version: number;
  /** `config`, `api`, or `bpf NAME`. */
  readonly source: string;
  readonly values: Values;
  /** Fields that are keys. */
  readonly keys: ReadonlySet<string>;
  /** Why it is not possible as it is. */
  readonly problem: string | undefined;
}

export function encodeCustom({ kind, name, version, source, values, keys, problem }: CustomObject): Datagram {
  const object = {
    header: { version },
    kind,
    name,
    source,
    ...(problem !== undefined && { problem }),
    field: Object.entries(values).map(([name, value]) => ({
      name,
      value,
      ...(keys.has(name) && { key: true }),
    })),
  };
  return datagram(encodeObject('offload', object as unknown as DecodedObject));
}

export function customOf(object: DecodedObject): CustomObject {
  const fields = (object.field ?? []) as unknown as readonly Decoded[];
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return {
    kind: text(object.kind),
    name: text(object.name),
    version: Number(object.header.version),
    source: text(object.source),
    values: Object.fromEntries(fields.map(({ name, value }) => [text(name), text(value)])),
    keys: new Set(fields.filter(({ key }) => key === true).map(({ name }) => text(name))),
    problem: typeof object.problem === 'string' ? object.problem : undefined,
  };
}
