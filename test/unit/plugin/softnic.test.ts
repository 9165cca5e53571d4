/** The reference plugin through both call paths and in both isolations: the same outcomes, the same readback, the same ASIC. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadPlugin } from '../../../host/plugin/load.ts';
import type { Value } from '../../../host/plugin/values.ts';
import { buildPlugin } from '../../../plugins/toolchain/build-plugin.mjs';
import { RunningProbe } from './probe.ts';
import { entries, type RandomEntry, write } from './random-batch.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

const KINDS = [
  'port',
  'router-interface',
  'nexthop',
  'group',
  'route',
  'vlan-member',
  'fdb-entry',
  'acl-rule',
];
const FEW = 24;

function handleOf(kind: number, value: Value | undefined): number {
  return (((kind + 1) << 28) | (Number(value ?? 0) % FEW)) >>> 0;
}

/** Random entries brought near to what a planner sends: few handles, references to them, short prefixes. */
function plausible(found: readonly RandomEntry[]): RandomEntry[] {
  const near = found.map((one) => {
    const { type, members } = one;
    const value = { ...one.value };
    value.handle = handleOf(KINDS.indexOf(type), value.handle);
    if ('port' in value) value.port = handleOf(0, value.port);
    if ('routerInterface' in value) value.routerInterface = handleOf(1, value.routerInterface);
    if ('group' in value) value.group = value.action === 'forward' ? handleOf(3, value.group) : 0;
    if ('vlan' in value) value.vlan = (value.vlan as number) % 4095;
    if ('priority' in value) value.priority = (value.priority as number) % 100;
    if ('vrf' in value) value.vrf = (value.vrf as number) % 2;
    if (type === 'route') {
      value.prefixLength = (value.prefixLength as number) % 12;
      if (value.family === 'ipv4') {
        const { low } = value.prefix as { low: bigint };
        const mask = (0xffffffffn << BigInt(32 - (value.prefixLength as number))) & 0xffffffffn;
        value.prefix = { high: 0n, low: low & mask };
      }
    }
    const named = members.map(([nexthop, weight]) => [handleOf(2, nexthop), weight] as const);
    return { type, value, members: value.operation === 'remove' ? [] : named };
  });
  return [...new Map(near.map((one) => [one.value.handle, one])).values()];
}

async function state(probe: RunningProbe): Promise<unknown> {
  const held: string[] = [];
  await probe.runner.readback((page) => {
    for (const [list, records] of page.lists.entries())
      while (records.next())
        held.push(
          `${list} ${Buffer.from(records.u8.slice(records.offset, records.offset + records.stride)).toString('hex')}`,
        );
  });
  const { tables, writes, removes } = probe.device.status();
  return { held, tables, writes, removes };
}

test('random batches', async () => {
  const file = join(ROOT, 'build/plugins/softnic.wasm');
  await buildPlugin({ folder: join(ROOT, 'plugins/softnic'), output: file });
  const plugin = await loadPlugin(file, { grants: ['asic'], cache: join(ROOT, 'build/fixtures/cache') });
  await using direct = await RunningProbe.start(plugin);
  await using glue = await RunningProbe.start(plugin, { path: 'glue' });
  await using apart = await RunningProbe.start(plugin, { isolation: 'process' });
  const all = [direct, glue, apart];
  expect(all.map(({ runner }) => runner.direct)).toEqual([true, false, true]);
  const told = await fc.check(
    fc.asyncProperty(entries, async (found) => {
      const batch = plausible(found);
      const [answer, ...others] = await Promise.all(all.map((one) => one.apply((to) => write(to, batch))));
      for (const other of others) expect(other).toEqual(answer);
      expect(answer!.invalid).toBe(0);
    }),
    { numRuns: 40, endOnFailure: true },
  );
  expect(told.failed, `seed ${told.seed}: ${told.errorInstance}`).toBe(false);
  const [one, ...others] = [await state(direct), await state(glue), await state(apart)];
  for (const other of others) expect(other).toEqual(one);
  // It did hold something, of several kinds.
  expect(direct.device.status().tables.filter(({ used }) => used > 0).length).toBeGreaterThan(0);
});
