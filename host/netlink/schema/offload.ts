/**
 * What users ask of plugins and the kernel knows nothing of: objects of kinds that plugins declare (wit/plugin.wit). They are no
 * netlink messages; they have the form of one so that the mirror keeps them like all others.
 */

import { attributes, type Family, many, nest, struct } from '../schema.ts';

const SOURCE = 'host/custom';

/** `version` of the kind that the object was made for, 0 for any. */
export const offloadHeader = struct('offload', { version: 'u32' });

export const offloadFieldAttributes = attributes('offload field', SOURCE, {
  name: [1, 'string', 'Name'],
  value: [2, 'string', 'Value, as a user would write it'],
  key: [3, 'flag', 'Part of the identity'],
});

export const offloadAttributes = attributes('offload', SOURCE, {
  kind: [1, 'string', 'VENDOR:KIND'],
  name: [2, 'string', 'Values of the keys'],
  source: [3, 'string', 'Who asked for it'],
  problem: [4, 'string', 'Why it is not possible as it is'],
  field: [5, many(nest(() => offloadFieldAttributes)), 'Fields'],
});

export const offloadFamily: Family = {
  name: 'offload',
  header: offloadHeader,
  attributes: offloadAttributes,
};
