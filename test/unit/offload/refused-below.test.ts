/** A refused entry below a prefix that changes gets another wish in the middle of the walk: the covers still hear of what changed. */
import { expect, test } from 'vitest';
import { Planner } from '../../../host/offload/planner.ts';
import { ACTION, FAMILY } from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel } from './kernel-model.ts';

const MAIN = 254;
const ADDRESS_BYTES = '00'.repeat(16);

const ip = (text: string) => text.split('.').reduce((number, byte) => number * 256 + Number(byte), 0);

function putPolicy(kernel: KernelModel, network: string, length: number): void {
  kernel.put('xfrm-policy', {
    header: {
      sel: {
        daddr: ip(network).toString(16).padStart(8, '0').padEnd(32, '0'),
        saddr: ADDRESS_BYTES,
        dport: 0,
        dport_mask: 0,
        sport: 0,
        sport_mask: 0,
        family: 2,
        prefixlen_d: length,
        prefixlen_s: 0,
        proto: 0,
        ifindex: 0,
        user: 0,
      },
      lft: Object.fromEntries(
        ['byte', 'packet'].flatMap((of) => [
          [`soft_${of}_limit`, 0],
          [`hard_${of}_limit`, 0],
        ]),
      ),
      curlft: { bytes: 0, packets: 0, add_time: 0, use_time: 0 },
      priority: 0,
      index: 9,
      dir: 2,
      action: 0,
      flags: 0,
      share: 0,
    },
  } as never);
}

test('a policy over a refused route, in a full table, traps what covers it', async () => {
  const kernel = new KernelModel();
  kernel.setRules([MAIN]);
  kernel.setNeighbour(1, true);
  const add = (network: string, length: number) =>
    kernel.addRoute({
      table: MAIN,
      prefix: ip(network),
      length,
      priority: 0,
      type: 'unicast',
      gateways: [1],
      tos: 0,
    });
  add('10.0.0.0', 8);
  add('10.1.0.0', 18);
  add('10.1.0.0', 20);
  add('10.1.1.0', 24);
  kernel.commit();
  const refused = BigInt(ip('10.1.1.0'));
  const device = new FakeDevice({
    routes: 4,
    refuses: ({ length, prefix, action }) => length === 24 && prefix === refused && action === ACTION.forward,
  });
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  try {
    planner.addPlugin({ name: 'fake', isPort: undefined });
    await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
    await planner.settled();
    // They wait for room, and leave none for the policy.
    for (let third = 0; third < 6; third++) add(`9.${third}.0.0`, 16);
    kernel.commit();
    await planner.settled();
    putPolicy(kernel, '10.1.0.0', 16);
    kernel.commit();
    await planner.settled();
    expect(device.lookup(0, FAMILY.ipv4, BigInt(ip('10.1.200.1'))).action).toBe('trap');
    expect(await planner.verify()).toEqual([]);
  } finally {
    planner.close();
  }
});
