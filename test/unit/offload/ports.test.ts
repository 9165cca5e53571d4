/** Which links are ports, and what in the kernel keeps packets of ports and VLAN links out of hardware. */

import { describe, expect, test } from 'vitest';
import { type HookState, NO_HOOKS } from '../../../host/kernel/hooks.ts';
import { KINDS } from '../../../host/mirror/types.ts';
import type { DecodedObject } from '../../../host/netlink/decode.ts';
import { KernelView } from '../../../host/offload/kernel-view.ts';
import { CLSACT_INGRESS } from '../../../host/offload/link-filters.ts';
import { type PortsOptions, planPorts } from '../../../host/offload/ports.ts';
import { REASON_NAMES } from '../../../host/offload/reasons.ts';
import { PORT_FLAGS, ROUTER_INTERFACE_FLAGS } from '../../../host/plugin/records.ts';
import { KernelModel, PORT } from './kernel-model.ts';

const VLAN = 20;
const BRIDGE = 30;
const CLSACT_EGRESS = 0xfffffff3;
const ROUTES = ROUTER_INTERFACE_FLAGS.ipv4 | ROUTER_INTERFACE_FLAGS.ipv6;

function link(index: number, ifname: string, more: Partial<DecodedObject> = {}): DecodedObject {
  return { header: { family: 0, type: 1, index, flags: 0x10041, change: 0 }, ifname, mtu: 1500, ...more };
}

function kindOfLink(index: number, kind: string, more: Partial<DecodedObject> = {}): DecodedObject {
  return link(index, `${kind}${index}`, { linkinfo: { kind }, ...more });
}

function putVlan(kernel: KernelModel): void {
  kernel.put('link', link(VLAN, 'p1.10', { link: PORT, linkinfo: { kind: 'vlan', data: { id: 10 } } }));
  kernel.put('netconf', { header: { family: 2 }, ifindex: VLAN, forwarding: 1, rp_filter: 0 });
  kernel.put('netconf', { header: { family: 10 }, ifindex: VLAN, forwarding: 1 });
}

function putQdisc(kernel: KernelModel, ifindex: number, blocks: Partial<DecodedObject> = {}): void {
  kernel.put('qdisc', {
    header: { family: 0, ifindex, handle: 0xffff0000, parent: 0xfffffff1, info: 1 },
    kind: 'clsact',
    ...blocks,
  });
}

function putFilter(kernel: KernelModel, ifindex: number, parent: number): void {
  kernel.put('filter', {
    header: { family: 0, ifindex, handle: 1, parent, info: (1 << 16) | 0x0300 },
    kind: 'matchall',
    chain: 0,
    options: {},
  });
}

/** Bridges that ask for it, and no others, have netfilter see their frames. */
const HOOKS = { ...NO_HOOKS, bridgeCalls: { ipv4: false, ipv6: false } };

function plan(setup: (kernel: KernelModel) => void, options: Partial<PortsOptions> = {}) {
  const kernel = new KernelModel();
  setup(kernel);
  kernel.commit();
  const view = new KernelView(kernel.mirror);
  for (const kind of KINDS.keys()) kernel.mirror.forEach(kind, (id) => view.change(kind, id, false));
  const plans = planPorts(view, {
    isPort: undefined,
    netfilter: 'trap',
    hooks: HOOKS,
    netfilterUnreadable: false,
    reversePath: true,
    vlanInterfaces: true,
    ...options,
  });
  const routing = (ifindex: number) => {
    const { flags, reason4, reason6 } = plans.interfaces.get(ifindex)!;
    return { routes: flags & ROUTES, why: [REASON_NAMES[reason4], REASON_NAMES[reason6]] };
  };
  return {
    ports: [...plans.ports.keys()],
    interfaces: plans.interfaces,
    port: (ifindex: number) => {
      const { want, trapReason } = plans.ports.get(ifindex)!;
      return { traps: (want.flags & PORT_FLAGS.trapAll) !== 0, why: REASON_NAMES[trapReason] };
    },
    routing,
    egress: (ifindex: number) => REASON_NAMES[plans.egressReasons.get(ifindex)!],
    bridge: (ifindex: number) => REASON_NAMES[plans.bridgeReasons.get(ifindex) ?? 0],
  };
}

const UNTOUCHED = { routes: ROUTES, why: ['none', 'none'] };
const FILTERED = { routes: 0, why: ['ingress-filter', 'ingress-filter'] };

describe('filters', () => {
  test('a VLAN link without filters routes', () => {
    const { routing, egress } = plan(putVlan);
    expect(routing(VLAN)).toEqual(UNTOUCHED);
    expect(egress(VLAN)).toBe('none');
  });

  test('an ingress filter on a VLAN link takes it out of routing, and nothing else', () => {
    const { routing, port } = plan((kernel) => {
      putVlan(kernel);
      putQdisc(kernel, VLAN);
      putFilter(kernel, VLAN, CLSACT_INGRESS);
    });
    expect(routing(VLAN)).toEqual(FILTERED);
    expect(routing(PORT)).toEqual(UNTOUCHED);
    expect(port(PORT)).toEqual({ traps: false, why: 'none' });
  });

  test('so does an ingress block, once it has filters', () => {
    const of = (block: number) =>
      plan((kernel) => {
        putVlan(kernel);
        putQdisc(kernel, VLAN, { ingress_block: 7 });
        putFilter(kernel, -1, block);
      }).routing(VLAN);
    expect(of(7)).toEqual(FILTERED);
    expect(of(8)).toEqual(UNTOUCHED);
  });

  test('an ingress filter on the port is left to ACL rules', () => {
    const { routing } = plan((kernel) => {
      putQdisc(kernel, PORT);
      putFilter(kernel, PORT, CLSACT_INGRESS);
    });
    expect(routing(PORT)).toEqual(UNTOUCHED);
  });

  test('an egress filter, of the link itself or of a shared block, keeps packets from leaving by it', () => {
    const own = plan((kernel) => {
      putVlan(kernel);
      putFilter(kernel, VLAN, CLSACT_EGRESS);
    });
    expect([own.egress(PORT), own.egress(VLAN)]).toEqual(['none', 'egress-filter']);
    const shared = plan((kernel) => {
      putVlan(kernel);
      putQdisc(kernel, PORT, { egress_block: 7 });
      putFilter(kernel, -1, 7);
    });
    expect([shared.egress(PORT), shared.egress(VLAN)]).toEqual(['egress-filter', 'egress-filter']);
    const empty = plan((kernel) => putQdisc(kernel, PORT, { egress_block: 7 }));
    expect(empty.egress(PORT)).toBe('none');
  });

  test('a netdev chain or an XDP program on a VLAN link sees packets first', () => {
    const chained = plan((kernel) => {
      putVlan(kernel);
      putChain(kernel, 5, 0, { dev: 'p1.10' });
    });
    expect(chained.routing(VLAN)).toEqual({ routes: 0, why: ['netfilter-hook', 'netfilter-hook'] });
    const programmed = plan((kernel) => {
      putVlan(kernel);
      kernel.put(
        'link',
        link(VLAN, 'p1.10', {
          link: PORT,
          linkinfo: { kind: 'vlan', data: { id: 10 } },
          xdp: { attached: 2 },
        }),
      );
    });
    expect(programmed.routing(VLAN)).toEqual({ routes: 0, why: ['xdp-attached', 'xdp-attached'] });
  });
});

describe('ports', () => {
  test.each(['veth', 'dummy', 'netdevsim', 'ekho'])('%s stands in for hardware', (kind) => {
    expect(plan((kernel) => kernel.put('link', kindOfLink(40, kind))).ports).toEqual([PORT, 40]);
  });

  test.each(['netkit', 'macsec', 'bond', 'wireguard', 'somenewkind'])('%s is no port by default', (kind) => {
    expect(plan((kernel) => kernel.put('link', kindOfLink(40, kind))).ports).toEqual([PORT]);
  });

  test('whoever names links is told which are ports by default', () => {
    const isPort = (name: string, isDefault: boolean) => isDefault || name === 'netkit40';
    const { ports } = plan(
      (kernel) => {
        kernel.put('link', kindOfLink(40, 'netkit'));
        kernel.put('link', kindOfLink(41, 'netkit'));
      },
      { isPort },
    );
    expect(ports).toEqual([PORT, 40]);
  });

  test.each([
    ['macsec', {}],
    ['ipvlan', {}],
    ['macvlan', { data: { mode: 8 } }],
  ])('%s on a port takes its frames', (kind, info) => {
    const { port } = plan((kernel) =>
      kernel.put('link', link(40, 'upper', { link: PORT, linkinfo: { kind, ...info } })),
    );
    expect(port(PORT)).toEqual({ traps: true, why: 'stacked-link' });
  });

  test('a macvlan beside the port leaves it alone', () => {
    const { port } = plan((kernel) =>
      kernel.put('link', link(40, 'upper', { link: PORT, linkinfo: { kind: 'macvlan', data: { mode: 4 } } })),
    );
    expect(port(PORT)).toEqual({ traps: false, why: 'none' });
  });

  describe('of a bridge', () => {
    const bridged = (
      data: Record<string, number>,
      vlan?: { readonly master?: number; readonly protocol?: number },
    ) =>
      plan((kernel) => {
        kernel.put('link', link(BRIDGE, 'br0', { linkinfo: { kind: 'bridge', data } }));
        kernel.put('link', link(BRIDGE + 1, 'br1', { linkinfo: { kind: 'bridge', data } }));
        kernel.put('link', link(PORT, 'p1', { master: BRIDGE, linkinfo: { slave_kind: 'bridge' } }));
        kernel.put('vlan', { header: { family: 7, ifindex: PORT }, entry: [{ info: { flags: 0, vid: 1 } }] });
        if (vlan !== undefined) {
          const { protocol = 0x8100, ...master } = vlan;
          const linkinfo = { kind: 'vlan', data: { id: 10, protocol } };
          kernel.put('link', link(VLAN, 'p1.10', { link: PORT, ...master, linkinfo }));
        }
      });

    test('a VLAN link with a bridge of its own takes frames before the port’s bridge', () => {
      expect(bridged({}, { master: BRIDGE + 1 }).port(PORT)).toEqual({ traps: true, why: 'stacked-link' });
      expect(bridged({}, { protocol: 0x88a8 }).port(PORT).why).toBe('stacked-link');
    });

    test('a VLAN link that routes is an interface, and the port goes on', () => {
      expect(bridged({}, {}).port(PORT)).toEqual({ traps: false, why: 'none' });
    });

    test('VLANs of 802.1ad are none that entries know', () => {
      const filtering = { vlan_filtering: 1 };
      expect(bridged({ ...filtering, vlan_protocol: 0x8100 }).port(PORT).why).toBe('none');
      expect(bridged({ ...filtering, vlan_protocol: 0x88a8 }).port(PORT)).toEqual({
        traps: true,
        why: 'bridge-option',
      });
      expect(bridged({ vlan_protocol: 0x88a8 }).port(PORT).why).toBe('none');
    });
  });

  test.each(['bond', 'team'])('a port of a %s is its own no more', (kind) => {
    const { port } = plan((kernel) => {
      kernel.put('link', kindOfLink(40, kind));
      kernel.put('link', link(PORT, 'p1', { master: 40 }));
    });
    expect(port(PORT)).toEqual({ traps: true, why: 'stacked-link' });
  });

  test('a port of Open vSwitch has its filters, and what they leave is the kernel’s: it is no router interface', () => {
    const { port, interfaces } = plan((kernel) => {
      kernel.put('link', kindOfLink(40, 'openvswitch'));
      kernel.put('link', link(PORT, 'p1', { master: 40 }));
    });
    expect(port(PORT)).toEqual({ traps: false, why: 'none' });
    expect(interfaces.has(PORT)).toBe(false);
  });
});

function putChain(
  kernel: KernelModel,
  family: number,
  hooknum: number,
  hook: DecodedObject[string] & object,
): void {
  kernel.put('nft-chain', {
    header: { family, version: 0, res_id: 0 },
    table: 't',
    name: `c${family}`,
    hook: { hooknum, priority: 0, ...hook },
    policy: 0,
  } as DecodedObject);
}

test('programs of tcx keep a port’s packets with the kernel, but for the device’s own', () => {
  const hooks = (...programs: number[]): HookState => ({
    ...HOOKS,
    tcx: { ingress: [{ ifindex: PORT, programs }], egress: [] },
  });
  const isOwnProgram = (id: number) => id === 7;
  expect(plan(() => {}, { hooks: hooks(7), isOwnProgram }).port(PORT).why).toBe('none');
  expect(plan(() => {}, { hooks: hooks(7, 8), isOwnProgram }).port(PORT).why).toBe('tcx-attached');
  expect(plan(() => {}, { hooks: hooks(7) }).port(PORT).why).toBe('tcx-attached');
});

test('path MTUs that count are the reason where IPv4 would be routed, and only there', () => {
  const hooks: HookState = { ...HOOKS, usesPathMtus: true };
  const stopped = (kernel: KernelModel) =>
    kernel.put('netconf', { header: { family: 2 }, ifindex: PORT, forwarding: 0, rp_filter: 0 });
  expect(plan(() => {}, { hooks }).routing(PORT).why).toEqual(['path-mtu', 'none']);
  expect(plan(stopped, { hooks }).routing(PORT).why).toEqual(['forwarding-disabled', 'none']);
});

describe('netfilter on bridges', () => {
  const NF_INET_FORWARD = 2;
  const putBridge = (kernel: KernelModel, index: number, data: Record<string, number>) =>
    kernel.put('link', link(index, `br${index}`, { linkinfo: { kind: 'bridge', data } }));

  test('chains of the IP families see the frames of the bridges that ask for it', () => {
    const { bridge } = plan((kernel) => {
      putBridge(kernel, BRIDGE, { nf_call_iptables: 1 });
      putBridge(kernel, BRIDGE + 1, { nf_call_ip6tables: 1 });
      putBridge(kernel, BRIDGE + 2, { nf_call_iptables: 0, nf_call_ip6tables: 0 });
      putChain(kernel, 2, NF_INET_FORWARD, {});
    });
    expect([bridge(BRIDGE), bridge(BRIDGE + 1), bridge(BRIDGE + 2)]).toEqual([
      'bridge-filter',
      'none',
      'none',
    ]);
  });

  test('chains of the IP families see those of every bridge where the namespace says so', () => {
    const bridges = (hooks: HookState) =>
      plan(
        (kernel) => {
          putBridge(kernel, BRIDGE, {});
          putChain(kernel, 2, NF_INET_FORWARD, {});
        },
        { hooks },
      ).bridge(BRIDGE);
    expect(bridges({ ...HOOKS, bridgeCalls: { ipv4: true, ipv6: false } })).toBe('bridge-filter');
    expect(bridges({ ...HOOKS, bridgeCalls: { ipv4: false, ipv6: true } })).toBe('none');
  });

  test('without chains there is nothing to ask for', () => {
    expect(plan((kernel) => putBridge(kernel, BRIDGE, { nf_call_iptables: 1 })).bridge(BRIDGE)).toBe('none');
  });

  test('chains of the bridge family see those of every bridge', () => {
    const { bridge } = plan((kernel) => {
      putBridge(kernel, BRIDGE, {});
      putChain(kernel, 7, NF_INET_FORWARD, {});
    });
    expect(bridge(BRIDGE)).toBe('bridge-filter');
  });
});

describe('IPv6 settings that nobody announces', () => {
  const LEFT = { routes: ROUTER_INTERFACE_FLAGS.ipv4, why: ['none', 'forwarding-disabled'] };

  test.each([
    ['nobody can say', undefined, UNTOUCHED],
    ['the link was not read yet', {}, LEFT],
    ['it is off there', { [PORT]: 0 }, LEFT],
    ['it is as usual', { [PORT]: 1500 }, UNTOUCHED],
  ])('%s', (_, ipv6Mtus, routing) => {
    expect(plan(() => {}, { hooks: { ...HOOKS, ipv6Mtus } }).routing(PORT)).toEqual(routing);
  });
});
