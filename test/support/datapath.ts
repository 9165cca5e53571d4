/** A router on wires whose packets the XDP data path forwards, and what it counted. */

import { type HostOptions, TestHost } from './host.ts';
import type { Wires } from './wires.ts';

export interface Traps {
  readonly [reason: string]: number;
}

export class Datapath {
  readonly wires: Wires;
  readonly host: TestHost;

  private constructor(wires: Wires, host: TestHost) {
    this.wires = wires;
    this.host = host;
  }

  /** The wires are its own from here on, also when the host does not start. */
  static async start(wires: Wires, options: Partial<HostOptions> = {}): Promise<Datapath> {
    try {
      return new Datapath(
        wires,
        await TestHost.start({ netns: wires.router.name, plugin: 'xdp', ...options }),
      );
    } catch (error) {
      wires.close();
      throw error;
    }
  }

  /** Frames handed to the kernel, by reason. */
  async traps(): Promise<Traps> {
    const { traps = [] } = await this.host.device();
    return Object.fromEntries(traps.map(({ reason, packets }) => [reason, packets]));
  }

  /** Packets of the entry whose text contains `part`, 0 when none counted. */
  async packets(part: string): Promise<number> {
    return (await this.count(part)).packets;
  }

  async count(part: string): Promise<{ packets: number; bytes: number }> {
    const { entries } = await this.host.stats();
    const { packets = 0, bytes = 0 } = entries.find(({ entry }) => entry.includes(part)) ?? {};
    return { packets, bytes };
  }

  /** Packets the router's kernel itself forwarded: IPv4, IPv6. */
  forwarded(): { v4: number; v6: number } {
    const { router } = this.wires;
    const [names, values] = router
      .run('cat', ['/proc/net/snmp'])
      .split('\n')
      .filter((line) => line.startsWith('Ip:'))
      .map((line) => line.split(' '));
    const six = /^Ip6OutForwDatagrams\s+(\d+)/m.exec(router.run('cat', ['/proc/net/snmp6']));
    return { v4: Number(values![names!.indexOf('ForwDatagrams')]), v6: Number(six![1]) };
  }

  async close(): Promise<void> {
    await this.host.close();
    this.wires.close();
  }
}

/**
 * What was added between two counts; reasons without any are left out, and what hosts send by themselves: multicast listener
 * reports and the like.
 */
export function added(before: Traps, after: Traps): Traps {
  const more = Object.entries(after).map(
    ([reason, count]) => [reason, count - (before[reason] ?? 0)] as const,
  );
  return Object.fromEntries(
    more.filter(([reason, count]) => count !== 0 && reason !== 'destination mac is not the router'),
  );
}
