/** Multicast groups of bridges where a plugin has no entries of them: the kernel gets their frames. */
import { expect, test } from 'vitest';
import { KIND } from '../../../host/mirror/types.ts';
import { Planner } from '../../../host/offload/planner.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel, PORT } from './kernel-model.ts';

const BRIDGE = 30;
const OTHER = 31;

test('a group is the kernel’s, for plugins with ports of its bridge', async () => {
  const kernel = new KernelModel();
  const header = { family: 0, type: 1, flags: 0x10041, change: 0 };
  for (const [index, ifname] of [
    [BRIDGE, 'br0'],
    [OTHER, 'br1'],
  ] as const)
    kernel.put('link', { header: { ...header, index }, ifname, mtu: 1500, linkinfo: { kind: 'bridge' } });
  kernel.put('link', {
    header: { ...header, index: PORT },
    ifname: 'p1',
    mtu: 1500,
    address: '02:00:00:00:00:01',
    master: BRIDGE,
    linkinfo: { slave_kind: 'bridge', slave_data: { state: 3, learning: 1 } },
  });
  for (const bridge of [BRIDGE, OTHER])
    kernel.put('mdb', {
      header: { family: 7, ifindex: bridge },
      mdb: {
        entry: [
          { info: [{ ifindex: PORT, state: 1, flags: 0, vid: 0, address: 'ef01:203::', proto: 0x0800 }] },
        ],
      },
    });
  kernel.commit();
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  const listener = { fault: () => {}, down: () => {} };
  await planner.pluginUp(
    'fake',
    new FakeRunner(new FakeDevice({ routes: 1000, multicastGroups: 0 })),
    listener,
  );
  await planner.settled();
  const ids: number[] = [];
  kernel.mirror.forEach(KIND.mdb, (id) => ids.push(id));
  expect(ids.map((id) => planner.offloadOf(KIND.mdb, id))).toEqual([
    [{ plugin: 'fake', state: 'trapped', reason: 'multicast-group' }],
    [],
  ]);
  expect(planner.explain(KIND.mdb, ids[0]!)).toEqual([
    'fake: trapped (multicast-group)',
    '  because the plugin has no entries of groups of bridges: the kernel sends their frames to the ports that want them',
  ]);
  planner.close();
});
