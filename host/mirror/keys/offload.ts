/** Objects of kinds that plugins declare: the kind and the values of its keys. */

import { offloadAttributes, offloadHeader } from '../../netlink/schema/offload.ts';
import { type KeyOf, putFound } from '../key.ts';

const { kind: KIND, name: NAME } = offloadAttributes.number;

export const offloadKey: KeyOf = (data, start, end, out) => {
  const attributes = start + offloadHeader.size;
  if (end < attributes) return 0;
  return putFound(data, attributes, end, NAME, out, putFound(data, attributes, end, KIND, out, 0));
};
