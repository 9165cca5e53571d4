/** Checks what `plugin.describe` returned: nothing of it is believed before. */

import { EkhoError } from '../errors.ts';
import { checkOffloadKinds } from './offload-kinds.ts';
import { ACL_EDITS, ACL_FIELDS, ENTRY_KIND_NAMES, NOTICE_SET } from './records.ts';
import type { Ability, Description } from './runner.ts';

/** Characters of vendor, name and version. */
const TEXT_MAX = 128;
/** Handles have 28 bits of index. */
const CAPACITY_MAX = 2 ** 28 - 1;
/** A group and its members must fit in one batch. */
export const GROUP_MEMBERS_MAX = 4095;
const POLL_INTERVAL_MIN = 10;
const POLL_INTERVAL_MAX = 60_000;

type Fields = Record<string, unknown>;

/** @throws EkhoError E_PLUGIN_PROTOCOL naming the field */
export function checkDescription(name: string, value: unknown): Description {
  const fail = (what: string): never => {
    throw new EkhoError('E_PLUGIN_PROTOCOL', `plugin ${name} describes itself with ${what}`, {
      operation: 'describe',
    });
  };
  const text = (field: string): string => {
    const found = (value as Fields)[field];
    if (typeof found !== 'string' || found.length > TEXT_MAX || /\p{Cc}/u.test(found))
      return fail(`a ${field} that is longer than ${TEXT_MAX} characters or not printable`);
    return found;
  };
  const number = (fields: Fields, field: string, min: number, max: number): number => {
    const found = fields[field];
    if (typeof found !== 'number' || !(found >= min && found <= max))
      return fail(`${field} ${String(found)}, which is not ${min} to ${max}`);
    return found;
  };

  const fields = value as Fields;
  const abilities: Ability[] = [];
  for (const one of fields.abilities as Fields[]) {
    const kind = (ENTRY_KIND_NAMES as readonly string[]).indexOf(one.kind as string);
    if (kind < 0 || abilities.some((ability) => ability.kind === kind))
      fail(`the kind ${String(one.kind)} twice`);
    abilities.push({
      kind,
      capacity: number(one, 'capacity', 0, CAPACITY_MAX),
      updateInPlace: one.updateInPlace === true,
      counts: one.counts === true,
      readsBack: one.readsBack === true,
    });
  }
  const pollInterval = number(fields, 'pollInterval', 0, POLL_INTERVAL_MAX);
  if (pollInterval !== 0 && pollInterval < POLL_INTERVAL_MIN)
    fail(`pollInterval ${pollInterval}, which is not 0 or at least ${POLL_INTERVAL_MIN}`);
  const flags = (field: string, bits: Readonly<Record<string, number>>): number => {
    const set = fields[field] as Record<string, boolean>;
    return Object.entries(bits).reduce((sum, [name, bit]) => (set[name] === true ? sum | bit : sum), 0);
  };
  return {
    vendor: text('vendor'),
    name: text('name'),
    version: text('version'),
    abilities,
    aclFields: flags('aclFields', ACL_FIELDS),
    aclEdits: flags('aclEdits', ACL_EDITS),
    groupMembers: number(fields, 'groupMembers', 1, GROUP_MEMBERS_MAX),
    reversePath: fields.reversePath === true,
    vlanInterfaces: fields.vlanInterfaces === true,
    pollInterval,
    notices: flags('notices', NOTICE_SET),
    offloadKinds: checkOffloadKinds(name, fields.offloadKinds),
  };
}
