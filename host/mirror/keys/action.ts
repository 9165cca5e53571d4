/** A tc action object holds one action (host/kernel/split.ts): its type and index. */

import { attributeLength, findAttribute, NLA_HDRLEN } from '../../netlink/message.ts';
import { actionAttributes, actionDumpAttributes, actionHeader } from '../../netlink/schema/tc.ts';
import type { SelectType } from '../../netlink/schema.ts';
import { type KeyOf, putAttribute } from '../key.ts';

const { tab: TAB } = actionDumpAttributes.number;
const { kind: KIND, options: OPTIONS } = actionAttributes.number;
const BODY = actionHeader.size;
const decoder = new TextDecoder('latin1');

/** Number of the attribute whose struct starts with the index, by type of action. */
const PARAMETERS = new Map<string, number>();
const optionsOf = actionAttributes.byName.get('options')!.type as SelectType;
for (const [name, type] of Object.entries(optionsOf.of)) {
  if (typeof type === 'string' || type.kind !== 'nest') continue;
  const names = type.attributes().byName;
  PARAMETERS.set(name, (names.get('parms') ?? names.get('tbf'))?.number ?? 2);
}

export const actionKey: KeyOf = (data, start, end, out) => {
  const { words } = data;
  if (end - start < BODY) return 0;
  const tab = findAttribute(words, start + BODY, end, TAB);
  // The only element of the table, whatever its number.
  const action = tab + NLA_HDRLEN;
  if (tab < 0 || action + NLA_HDRLEN > end) return 0;
  const kind = findAttribute(words, action + NLA_HDRLEN, end, KIND);
  if (kind < 0) return 0;
  const text = decoder.decode(data.bytes.subarray(kind + NLA_HDRLEN, kind + attributeLength(words, kind)));
  const parameters = PARAMETERS.get(text.slice(0, text.indexOf('\0'))) ?? 2;
  const options = findAttribute(words, action + NLA_HDRLEN, end, OPTIONS);
  const found = options < 0 ? -1 : findAttribute(words, options + NLA_HDRLEN, end, parameters);
  if (found < 0 || found + NLA_HDRLEN + 4 > end) return 0;
  out[0] = words[(found + NLA_HDRLEN) >>> 2]!;
  return putAttribute(data, kind, out, 1);
};
