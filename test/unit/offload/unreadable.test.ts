/** Kinds the kernel does not show: what they could say must be assumed, unless the kernel has none of them. */

import { expect, test } from 'vitest';
import { KIND, type Kind, type KindState } from '../../../host/mirror/types.ts';
import { Planner } from '../../../host/offload/planner.ts';
import { memoryViews } from '../../../host/plugin/record-cursor.ts';
import { ENTRY_KIND, RouterInterfaceRecord } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel } from './kernel-model.ts';

const IPV4 = 1;
const IPV6 = 2;
const DENIED: KindState = { state: 'unavailable', reason: 'EPERM', isAbsent: false };
const ABSENT: KindState = { state: 'unavailable', reason: 'EOPNOTSUPP', isAbsent: true };
const NOT_MIRRORED: KindState = { state: 'unavailable', reason: 'not mirrored' };
const SYNCED: KindState = { state: 'synced', reason: undefined };

async function start(kind: Kind, state: KindState) {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  kernel.commit();
  kernel.mirror.setKindState(KIND[kind], state);
  const device = new FakeDevice({ routes: 100 });
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
  await planner.settled();
  const routes = () =>
    [...device.others.values()]
      .filter(({ kind }) => kind === ENTRY_KIND.routerInterface)
      .map(({ words }) => new RouterInterfaceRecord(memoryViews(words.buffer), 0).flags & (IPV4 | IPV6));
  return { kernel, planner, routes };
}

const KINDS_THAT_DECIDE: readonly Kind[] = [
  'netconf',
  'rule',
  'qdisc',
  'chain',
  'filter',
  'xfrm-default',
  'xfrm-policy',
  'nft-chain',
  'nft-rule',
];

test.each(KINDS_THAT_DECIDE)('%s: not shown, nothing is routed until it is', async (kind) => {
  for (const state of [DENIED, NOT_MIRRORED]) {
    const { kernel, planner, routes } = await start(kind, state);
    expect(routes()).toEqual([0]);
    kernel.mirror.setKindState(KIND[kind], SYNCED);
    await planner.settled();
    expect(routes()).toEqual([IPV4 | IPV6]);
    planner.close();
  }
});

test.each(['qdisc', 'chain', 'filter', 'xfrm-default', 'xfrm-policy', 'nft-chain', 'nft-rule'] as const)(
  '%s: the kernel has none, so none matter',
  async (kind) => {
    const { planner, routes } = await start(kind, ABSENT);
    expect(routes()).toEqual([IPV4 | IPV6]);
    planner.close();
  },
);
