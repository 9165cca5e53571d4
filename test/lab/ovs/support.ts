/** Debian's Open vSwitch with hw-offload, on the ports of a switch. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { SOON, type Switch } from '../firmware-support.ts';

/** Milliseconds after which Open vSwitch takes out flows that nothing uses. */
export const IDLE = 10_000;

export class OpenVswitch {
  readonly #space: Switch;
  readonly #folder = mkdtempSync(join(tmpdir(), 'ekho-ovs-'));
  readonly #daemons: ChildProcess[] = [];

  /** The hosts behind the ports know each other: nothing but what a test sends passes, and what the kernel sends by itself. */
  constructor(space: Switch) {
    this.#space = space;
    const [one, other] = space.hosts;
    space.script(`
      modprobe openvswitch
      for n in 0 1; do tc qdisc del dev sw$n clsact; done
      ip -n ${one.name} addr add 192.0.2.1/24 dev eth0
      ip -n ${other.name} addr add 192.0.2.2/24 dev eth0
      ip -n ${one.name} link set eth0 address 02:00:00:00:00:01
      ip -n ${other.name} link set eth0 address 02:00:00:00:00:02
      ip -n ${one.name} neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent
      ip -n ${other.name} neigh replace 192.0.2.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent
    `);
  }

  /** Starts it with a bridge of ports. `policy`: none or skip_sw, where tc is to put its rules. */
  async start(policy: 'none' | 'skip_sw', ports: readonly string[] = ['sw0', 'sw1']): Promise<void> {
    const folder = this.#folder;
    this.run(`ovsdb-tool create ${folder}/conf.db /usr/share/openvswitch/vswitch.ovsschema`);
    this.#daemon(`ovsdb-server --remote=punix:${folder}/db.sock --pidfile ${folder}/conf.db`);
    await vi.waitFor(() => this.run('ovs-vsctl --no-wait --timeout=5 init'), SOON);
    const config = ['hw-offload=true', `tc-policy=${policy}`, `max-idle=${IDLE}`];
    this.run(
      `ovs-vsctl --no-wait set Open_vSwitch . ${config.map((each) => `other_config:${each}`).join(' ')}`,
    );
    this.#daemon('/usr/lib/openvswitch-switch/ovs-vswitchd --pidfile --log-file');
    const adds = ports.map((port) => `-- add-port br0 ${port}`).join(' ');
    this.run(`ovs-vsctl --timeout=120 add-br br0 ${adds}`);
  }

  /** What one of its tools prints. */
  run(command: string): string {
    return this.#space.run('env', this.#words(command));
  }

  /**
   * IPv4 flows of its data path: `offloaded` ones, those of its kernel module (`ovs`), … Ports have their names: which numbers they get is
   * not the same every time.
   */
  flows(type: 'offloaded' | 'ovs'): string[] {
    return this.run(`ovs-appctl --timeout=60 dpctl/dump-flows --names type=${type}`)
      .split('\n')
      .filter((line) => line.includes('eth_type(0x0800)'));
  }

  end(): void {
    for (const process of this.#daemons.reverse()) process.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #daemon(command: string): void {
    const words = ['netns', 'exec', this.#space.name, 'env', ...this.#words(command)];
    this.#daemons.push(spawn('ip', words, { stdio: 'ignore' }));
  }

  #words(command: string): string[] {
    const folder = this.#folder;
    return [
      ...['OVS_RUNDIR', 'OVS_LOGDIR', 'OVS_DBDIR'].map((name) => `${name}=${folder}`),
      ...command.split(' '),
    ];
  }
}

/** Packets that a flow says it had. */
export function packetsOf(flow: string | undefined): number {
  return Number(/packets:(\d+)/.exec(flow ?? '')?.[1] ?? 0);
}
