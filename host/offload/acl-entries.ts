/** ACL rules in the table of entries: those read back are known by what they say until planning claims them. */

import type { AclWant } from './codecs.ts';
import { type Entry, type EntryTable, STATUS_OK } from './entry-table.ts';

/** Key of an ACL rule read back: it does not tell which filter it stands for, planning claims it by content. */
export function heldAclKey(want: AclWant): string {
  return `held ${JSON.stringify(Object.entries(want).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
}

/** Plans a rule under `key`, in the place of an equal one that was read back and is nobody's. */
export function wantAcl(
  acl: EntryTable<AclWant>,
  key: string,
  want: AclWant,
  reason: number,
): Entry<AclWant> {
  if (acl.get(key) === undefined) acl.claim(heldAclKey(want), key);
  return acl.want(key, want, reason);
}

/** The device said yes to what is wanted, and to nothing else. */
export function isHeld(
  acl: EntryTable<AclWant>,
  { index, inFlight, status, sent, want }: Entry<AclWant>,
): boolean {
  return (
    index !== 0 &&
    inFlight === 0 &&
    status === STATUS_OK &&
    want !== undefined &&
    sent !== undefined &&
    acl.codec.equal(sent, want)
  );
}
