/** The kernel module and ports of its link type, in a guest. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { afterAll, beforeAll, beforeEach, expect, type TestContext } from 'vitest';
import type { FirmwareCapabilities } from '../../host/kernel/firmware/firmware.ts';
import { type Module, moduleFile } from './module.ts';
import { PACE } from './pace.ts';
import { LabSpace } from './support.ts';

/** For what ends soon, on any machine; in milliseconds. */
export const SOON = { timeout: 120_000 * PACE, interval: 200 };

/** Skips a test where there is no module for the kernel. */
export function needsModule(context: TestContext, module?: Module): void {
  if (!existsSync(moduleFile(release(), module)))
    context.skip('the module is built for x86-64 kernels from 6.12 on');
}

export const isLoaded = () => existsSync('/sys/module/ekho');

export function load(): void {
  if (!isLoaded()) execFileSync('insmod', [moduleFile(release())]);
}

/** Programs and maps that were closed hold the module until the kernel has freed them, which it does later. */
export async function unload(): Promise<void> {
  let refusal = '';
  for (const end = Date.now() + SOON.timeout; Date.now() < end; ) {
    refusal = spawnSync('rmmod', ['ekho'], { encoding: 'utf8' }).stderr;
    if (refusal === '') return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(refusal);
}

/** What the kernel logged of its own faults, so far. */
export function faults(): string[] {
  const log = spawnSync('dmesg', { encoding: 'utf8' }).stdout.split('\n');
  return log.filter((line) =>
    /BUG|WARNING|Oops|Call Trace|refcount|suspicious|possible .*deadlock/.test(line),
  );
}

/**
 * For the tests of the file or describe() it is called in: loads the module before `prepare` makes what they need, and unloads it in the end, after the
 * afterAll() of who calls this. Where there is no module, nothing is prepared and the tests are skipped. A fault of the kernel in between fails
 * the file; what is returned gives those that there were so far.
 */
export function withModule(prepare: () => void | Promise<void>): () => string[] {
  let before: string[] = [];
  const newFaults = () => faults().filter((line) => !before.includes(line));
  beforeAll(async () => {
    before = faults();
    if (!existsSync(moduleFile(release()))) return; // beforeEach() says why.
    load();
    await prepare();
  });
  beforeEach((context) => needsModule(context));
  afterAll(async () => {
    if (isLoaded()) await unload();
    expect(newFaults()).toEqual([]);
  });
  return newFaults;
}

/** Everything but what is wanted in tests of refusals. */
export const CAPABILITIES: FirmwareCapabilities = {
  match: ['protocol', 'ethernet', 'vlan', 'ipv4', 'ipv6', 'ports', 'port'],
  actions: ['accept', 'drop', 'trap', 'goto', 'redirect', 'mirror'],
  directions: ['ingress', 'egress'],
  kinds: ['flower', 'matchall'],
  chainMax: 1,
};

/** A filter as tc shows it: how far it is in hardware, and what its first action counted there. */
export interface Shown {
  readonly chain: number;
  readonly pref: number;
  readonly kind: string;
  readonly isInHardware: boolean;
  readonly packets: number;
  readonly bytes: number;
}

/** Two ports of a switch in a namespace, sw0 and sw1, each wired to eth0 of a namespace of its own. */
export class Switch extends LabSpace {
  readonly hosts = [new LabSpace(), new LabSpace()] as const;

  constructor() {
    super();
    for (const [number, { name }] of this.hosts.entries()) {
      this.script(`
        ip link add sw${number} type ekho
        ip link add eth0 netns ${name} link sw${number} type ekho
        ip link set sw${number} up
        ip -n ${name} link set eth0 up
        tc qdisc add dev sw${number} clsact
      `);
    }
  }

  get netns(): number {
    return statSync(`/run/netns/${this.name}`).ino;
  }

  ifindex(link: string): number {
    return Number(this.run('cat', [`/sys/class/net/${link}/ifindex`]));
  }

  /** The filters of a port, with what hardware counted. */
  filters(where: string): Shown[] {
    return this.json(`tc -s -j filter show ${where}`)
      .filter(({ options }) => options !== undefined)
      .map(({ chain, pref, kind, options }) => {
        const { in_hw, actions } = options as {
          in_hw?: boolean;
          actions?: { stats?: { hw_packets?: number; hw_bytes?: number } }[];
        };
        return {
          chain: chain as number,
          pref: pref as number,
          kind: kind as string,
          isInHardware: in_hw === true,
          packets: actions?.[0]?.stats?.hw_packets ?? 0,
          bytes: actions?.[0]?.stats?.hw_bytes ?? 0,
        };
      });
  }

  /** What a command that is refused says. */
  refusal(command: string): string {
    const { status, stderr } = spawnSync('ip', ['netns', 'exec', this.name, 'bash', '-c', command], {
      encoding: 'utf8',
    });
    expect(status, command).not.toBe(0);
    return stderr;
  }

  /** Rules the kernel has on a port, and how many of them firmware has. */
  counts(link: string): { rules: number; offloaded: number } {
    const text = this.run('ethtool', ['-S', link]);
    const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(text)?.[1]);
    return { rules: count('flows'), offloaded: count('flows_offloaded') };
  }

  override async end(): Promise<void> {
    await super.end();
    for (const host of this.hosts) await host.end();
  }
}

/** A bridge with both ports, and hosts behind them that say nothing by themselves. */
export function bridged(): Switch {
  const space = new Switch();
  for (const { name } of space.hosts)
    space.script(`ip netns exec ${name} sysctl -qw net.ipv6.conf.all.disable_ipv6=1`);
  space.script(`
    sysctl -qw net.ipv6.conf.all.disable_ipv6=1
    ip link add br0 type bridge vlan_filtering 1 mcast_snooping 1
    ip link set br0 up
    for port in sw0 sw1; do ip link set $port master br0; done
    ip -n ${space.hosts[0].name} addr add 192.0.2.1/24 dev eth0
    ip -n ${space.hosts[1].name} addr add 192.0.2.2/24 dev eth0
  `);
  return space;
}

/** Port, flags and state of an entry. */
export function entryOf(space: Switch, mac: string, vlan = 1): string[] | undefined {
  const row = space
    .json('bridge -j fdb show br br0')
    .find((one) => one.mac === mac && one.vlan === vlan && !(one.flags as string[]).includes('self'));
  return row && [row.ifname as string, ...(row.flags as string[]), row.state as string].filter(Boolean);
}
