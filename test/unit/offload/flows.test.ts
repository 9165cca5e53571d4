/** Connections in flowtables: the entries they become, and which router interfaces look for them. */

import { afterEach, expect, test } from 'vitest';
import { KIND } from '../../../host/mirror/types.ts';
import type { Decoded, DecodedObject } from '../../../host/netlink/decode.ts';
import { IPS_HW_OFFLOAD, IPS_OFFLOAD } from '../../../host/netlink/schema/conntrack.ts';
import { type FlowWant, flowKey, flowWantOf } from '../../../host/offload/flows.ts';
import { Planner } from '../../../host/offload/planner.ts';
import { memoryViews } from '../../../host/plugin/record-cursor.ts';
import {
  ENTRY_KIND,
  FLOW_FLAGS,
  FlowRecord,
  ROUTER_INTERFACE_FLAGS,
  RouterInterfaceRecord,
} from '../../../host/plugin/records.ts';
import { FakeDevice, FakeRunner } from './fake-device.ts';
import { KernelModel, PORT } from './kernel-model.ts';

const { ipv4, ipv6, flowsIpv4, flowsIpv6 } = ROUTER_INTERFACE_FLAGS;
const INET = 1;
const INGRESS = 0;

let planner: Planner | undefined;
afterEach(() => {
  planner?.close();
  planner = undefined;
});

const RULE: DecodedObject = { header: { family: INET }, table: 'edge', chain: 'forward', handle: 5n };
const CHAIN: DecodedObject = {
  header: { family: INET },
  table: 'edge',
  name: 'forward',
  hook: { hooknum: 2, priority: 0 },
  policy: 1,
};

function flowtable(name: string, ...devices: string[]): DecodedObject {
  return {
    header: { family: INET },
    table: 'edge',
    name,
    hook: { num: INGRESS, priority: 0, devs: { name: devices } },
  };
}

function tuple(num: number, source: string, sport: number, destination: string, dport: number): Decoded {
  const six = source.includes(':');
  return {
    ip: six ? { v6_src: source, v6_dst: destination } : { v4_src: source, v4_dst: destination },
    proto: { num, src_port: sport, dst_port: dport },
  };
}

/** A connection that is masqueraded as 198.51.100.1:50000. */
function masqueraded(more: Decoded = {}): DecodedObject {
  return {
    header: { family: 2 },
    tuple_orig: tuple(6, '10.0.0.2', 40_000, '192.0.2.1', 443),
    tuple_reply: tuple(6, '192.0.2.1', 443, '198.51.100.1', 50_000),
    status: IPS_OFFLOAD | 0x1e,
    ...more,
  };
}

async function start(setup: (kernel: KernelModel) => void) {
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  kernel.put('nft-chain', CHAIN);
  kernel.put('nft-rule', RULE);
  setup(kernel);
  kernel.commit();
  const device = new FakeDevice({ routes: 100 });
  planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'fake', isPort: undefined });
  await planner.pluginUp('fake', new FakeRunner(device), { fault: () => {}, down: () => {} });
  const settled = async () => {
    kernel.commit();
    await planner!.settled();
  };
  await settled();
  const held = (kind: number) => [...device.others.values()].filter((one) => one.kind === kind);
  return {
    kernel,
    settled,
    flags: () =>
      held(ENTRY_KIND.routerInterface).map(
        ({ words }) => new RouterInterfaceRecord(memoryViews(words.buffer), 0).flags,
      ),
    flows: (): FlowWant[] =>
      held(ENTRY_KIND.flow).map(({ words }) => flowWantOf(new FlowRecord(memoryViews(words.buffer), 0))),
  };
}

const changed = ({ newSource, newSourcePort, newDestination, newDestinationPort }: FlowWant) =>
  [newSource[3], newSourcePort, newDestination[3], newDestinationPort] as const;

test('both directions of a connection, each with what is translated in it; they go with it', async () => {
  const { kernel, flows, flags, settled } = await start((kernel) => {
    kernel.put('nft-flowtable', flowtable('fast', 'p1'));
    kernel.put('flow', masqueraded());
  });
  expect(flags()).toEqual([flowsIpv4 | flowsIpv6]);
  const byKey = new Map(flows().map((flow) => [flowKey(flow), changed(flow)]));
  expect(byKey).toEqual(
    new Map([
      ['tcp 10.0.0.2:40000 > 192.0.2.1:443', [0xc633_6401, 50_000, 0xc000_0201, 443]],
      ['tcp 192.0.2.1:443 > 198.51.100.1:50000', [0xc000_0201, 443, 0x0a00_0002, 40_000]],
    ]),
  );
  expect(planner!.offloadOf(KIND.flow, 1)).toEqual([{ plugin: 'fake', state: 'offloaded' }]);
  expect(await planner!.verify()).toEqual([]);

  // Another connection takes over the reply's addresses and ports before the first one is seen to be gone.
  const later = masqueraded({ tuple_orig: tuple(6, '10.0.0.3', 40_000, '192.0.2.1', 443) });
  kernel.put('flow', later);
  kernel.remove('flow', masqueraded());
  await settled();
  expect(flows().map(flowKey).sort()).toEqual([
    'tcp 10.0.0.3:40000 > 192.0.2.1:443',
    'tcp 192.0.2.1:443 > 198.51.100.1:50000',
  ]);
  kernel.remove('flow', later);
  await settled();
  expect(flows()).toEqual([]);
});

test('a connection that a driver has is polled for its counters: both directions say so, and no more once it is not', async () => {
  const { kernel, flows, settled } = await start((kernel) => {
    kernel.put('nft-flowtable', flowtable('fast', 'p1'));
    kernel.put('flow', masqueraded());
  });
  const flags = () => flows().map((flow) => flow.flags);
  expect(flags()).toEqual([0, 0]);
  kernel.put('flow', masqueraded({ status: IPS_OFFLOAD | IPS_HW_OFFLOAD | 0x1e }));
  await settled();
  expect(flags()).toEqual([FLOW_FLAGS.polled, FLOW_FLAGS.polled]);
  expect(await planner!.verify()).toEqual([]);
  kernel.put('flow', masqueraded());
  await settled();
  expect(flags()).toEqual([0, 0]);
});

test('IPv6, without translation', async () => {
  const { flows } = await start((kernel) => {
    kernel.put('nft-flowtable', flowtable('fast', 'p1'));
    kernel.put('flow', {
      header: { family: 10 },
      tuple_orig: tuple(17, '2001:db8::2', 40_000, '2001:db8:1::1', 53),
      tuple_reply: tuple(17, '2001:db8:1::1', 53, '2001:db8::2', 40_000),
      status: IPS_OFFLOAD,
    });
  });
  for (const flow of flows()) {
    expect(flow.newSource).toEqual(flow.source);
    expect(flow.newDestinationPort).toBe(flow.destinationPort);
  }
  expect(flows().map(flowKey).sort()).toEqual([
    'udp [2001:db8:1::1]:53 > [2001:db8::2]:40000',
    'udp [2001:db8::2]:40000 > [2001:db8:1::1]:53',
  ]);
});

test.each([
  ['in a zone', masqueraded({ zone: 7 }), 'flow-zone'],
  [
    'neither TCP nor UDP',
    masqueraded({ tuple_orig: tuple(47, '10.0.0.2', 0, '192.0.2.1', 0) }),
    'unsupported-match',
  ],
] as const)('a connection %s has no entries', async (_, flow, reason) => {
  const { flows } = await start((kernel) => {
    kernel.put('nft-flowtable', flowtable('fast', 'p1'));
    kernel.put('flow', flow);
  });
  expect(flows()).toEqual([]);
  expect(planner!.offloadOf(KIND.flow, 1)).toEqual([{ plugin: 'fake', state: 'refused', reason }]);
});

test('flows are looked for where the kernel has its flowtables, and only where it goes by them', async () => {
  const { kernel, flags, settled } = await start((kernel) => kernel.put('flow', masqueraded()));
  const now = async () => {
    await settled();
    return flags();
  };
  expect(flags()).toEqual([0]);
  expect(planner!.offloadOf(KIND.flow, 1)).toMatchObject([{ state: 'trapped', reason: 'flow-not-taken' }]);
  kernel.put('nft-flowtable', flowtable('fast', 'p1', 'p2'));
  expect(await now()).toEqual([flowsIpv4 | flowsIpv6]);
  // Which of two flowtables a connection is in is not told.
  kernel.put('nft-flowtable', flowtable('other', 'p2'));
  expect(await now()).toEqual([0]);
  kernel.remove('nft-flowtable', flowtable('other', 'p2'));
  // The kernel's flowtable does not ask whether forwarding is on: this host does.
  kernel.put('netconf', { header: { family: 2 }, ifindex: PORT, forwarding: 0, rp_filter: 0 });
  expect(await now()).toEqual([flowsIpv6]);
  kernel.put('netconf', { header: { family: 2 }, ifindex: PORT, forwarding: 1, rp_filter: 0 });
  // Some packets take routes of another table, before translation or after.
  const selective = {
    header: { family: 2, dst_len: 0, src_len: 8, tos: 0, table: 100, action: 1, flags: 0 },
    priority: 50,
    table: 100,
    src: '10.0.0.0',
  };
  kernel.put('rule', selective);
  expect(await now()).toEqual([flowsIpv6]);
  kernel.remove('rule', selective);
  // A chain of the link itself sees packets before the flowtable does.
  const early = {
    header: { family: 5 },
    table: 'link',
    name: 'early',
    hook: { hooknum: INGRESS, priority: -100, devs: { name: ['p1'] } },
    policy: 1,
  };
  kernel.put('nft-chain', early);
  kernel.put('nft-rule', { header: { family: 5 }, table: 'link', chain: 'early', handle: 9n });
  await settled();
  expect(planner!.offloadOf(KIND.link, 1)).toMatchObject([{ state: 'trapped', reason: 'netfilter-hook' }]);
  kernel.remove('nft-rule', { header: { family: 5 }, table: 'link', chain: 'early', handle: 9n });
  kernel.remove('nft-chain', early);
  // Without netfilter everything is routed; flows are still flows, as they may be translated.
  kernel.remove('nft-rule', RULE);
  expect(await now()).toEqual([ipv4 | ipv6 | flowsIpv4 | flowsIpv6]);
});
