/** Several IPv4 routes of one prefix and metric: the kernel takes the first, but for default routes. */

import { expect, test } from 'vitest';
import { KIND } from '../../../host/mirror/types.ts';
import { encodeObject } from '../../../host/netlink/encode.ts';
import { datagram } from '../../../host/netlink/message.ts';
import { Planner } from '../../../host/offload/planner.ts';
import { FAMILY } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { GATEWAY_BASE, ip4, KernelModel, PORT } from './kernel-model.ts';

async function play(prefix: string, length: number) {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  for (const gateway of [1, 2]) {
    kernel.setNeighbour(gateway, true);
    const route = encodeObject('route', {
      header: {
        family: 2,
        dst_len: length,
        src_len: 0,
        tos: 0,
        table: 254,
        protocol: 3,
        scope: 0,
        type: 1,
        flags: 0,
      },
      table: 254,
      ...(length > 0 && { dst: prefix }),
      gateway: ip4(GATEWAY_BASE + gateway),
      oif: PORT,
    });
    const data = datagram(route);
    const table = kernel.mirror.table(KIND.route);
    table.insert(table.match(data, 0, route.length)!.hash, data, 0, route.length, gateway);
  }
  kernel.commit();
  const device = new FakeDevice({ routes: 100 });
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
  await planner.settled();
  const answer = device.lookup(0, FAMILY.ipv4, 0x0a000001n);
  planner.close();
  return answer;
}

test('the first one forwards', async () => {
  expect(await play('10.0.0.0', 8)).toEqual({ action: 'forward', ways: [`${PORT}/${GATEWAY_BASE + 1}`] });
});

test('default routes trap: the kernel looks which gateway answers', async () => {
  expect((await play('0.0.0.0', 0)).action).toBe('trap');
});
