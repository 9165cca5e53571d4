/** What firmware answers the kernel is said in the words that people look up. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { REASONS } from '../../../host/offload/reasons.ts';
import { ACL_FIELDS } from '../../../host/plugin/records.ts';

const SOURCE = readFileSync(fileURLToPath(new URL('../../../bpf/firmware_acl.h', import.meta.url)), 'utf8');
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

test('fields are those of the plugins', () => {
  for (const [name, bit] of Object.entries(ACL_FIELDS)) {
    const constant = `ACL_${name.replaceAll(/[A-Z]/g, '_$&').toUpperCase()}`;
    expect(SOURCE).toContain(`\t${constant} = 1 << ${Math.log2(bit)},`);
  }
});
