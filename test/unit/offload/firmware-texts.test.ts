/** What firmware answers the kernel is said in the words that people look up. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { REASONS } from '../../../host/offload/reasons.ts';
import { ACL_EDITS, ACL_FIELDS } from '../../../host/plugin/records.ts';

const sourceOf = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../../bpf/${name}`, import.meta.url)), 'utf8');
const SOURCE = sourceOf('firmware_acl.h');
/** NETLINK_MAX_FMTMSG_LEN, less its end. */
const TEXT_MAX = 79;

test('refusals are reasons, and the kernel has room for them', () => {
  const texts = [...SOURCE.matchAll(/(?:REFUSE|ekho_flow_explain)\(flow, "([^"]+)"\)/g)].map(
    ([, text]) => text!,
  );
  expect(texts.length).toBeGreaterThan(5);
  const known = Object.entries(REASONS).map(([name, { why }]) => `${name}: ${why}`);
  for (const text of texts) {
    expect(text.length, text).toBeLessThanOrEqual(TEXT_MAX);
    if (text.includes(': ')) expect(known).toContain(text);
  }
});

test.each([
  ['fields', 'ACL', ACL_FIELDS, SOURCE],
  ['edits', 'EDIT', ACL_EDITS, sourceOf('firmware_edits.h')],
] as const)('%s are those of the plugins', (_, prefix, bits, source) => {
  for (const [name, bit] of Object.entries(bits)) {
    const constant = `${prefix}_${name.replaceAll(/[A-Z]/g, '_$&').toUpperCase()}`;
    expect(source).toContain(`\t${constant} = 1 << ${Math.log2(bit)},`);
  }
});
