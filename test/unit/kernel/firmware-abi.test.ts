/** What TypeScript knows of the kernel module's numbers is what its header says. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { BpfObject } from '../../../bpf/libbpf-ts/src/index.ts';
import { ACTIONS, DIRECTIONS, FLOW_KINDS, MATCH_KEYS } from '../../../host/kernel/firmware/abi.ts';
import { PORT_ATTRS } from '../../../host/kernel/firmware/bridge.ts';
import { contextCodec, type FlowAction, type FlowContext } from '../../../host/kernel/firmware/context.ts';

const HEADER = readFileSync(new URL('../../../bpf/module/ekho_abi.h', import.meta.url), 'utf8');

/** Members of an enum by their names, less the prefix. */
function enumeration(name: string, prefix: string): Record<string, number> {
  const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(HEADER)![1]!.replaceAll(/\/\*[\s\S]*?\*\//g, '');
  let next = 0;
  return Object.fromEntries(
    body
      .split(',')
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .map((line) => {
        const [member, value] = line.split('=').map((part) => part.trim());
        const [one, shift] = (value ?? String(next)).split('<<').map(Number);
        const number = shift === undefined ? one! : one! << shift;
        next = number + 1;
        return [member!.slice(prefix.length).toLowerCase(), number];
      }),
  );
}

test.each([
  ['ekho_match_keys', 'EKHO_MATCH_', MATCH_KEYS],
  ['ekho_action_kind', 'EKHO_ACTION_', ACTIONS],
  ['ekho_direction', 'EKHO_', DIRECTIONS],
  ['ekho_flow_kind', 'EKHO_FLOW_', FLOW_KINDS],
  ['ekho_port_attr', 'EKHO_PORT_', PORT_ATTRS],
] as const)('%s', (name, prefix, table) => {
  expect(table).toEqual(enumeration(name, prefix));
});

test('of a rule all is read but the actions that it has not', () => {
  using object = BpfObject.open(fileURLToPath(new URL('../../../build/bpf/firmware.bpf.o', import.meta.url)));
  const whole = object.type<FlowContext>('ekho_flow_ctx');
  const part = contextCodec(whole, object.type<FlowAction>('ekho_flow_action'));
  const view = new DataView(
    Uint8Array.from({ length: whole.size }, (_, place) => (place * 31) & 0xff).buffer,
  );
  const most = whole.read(view, 0).actions.length;
  for (const count of [0, 1, 3, most, most + 1]) {
    view.setUint32(whole.members!.get('action_count')!.offset, count, true);
    const expected = whole.read(view, 0);
    expect(part.read(view, 0)).toEqual({ ...expected, actions: expected.actions.slice(0, count) });
  }
});
