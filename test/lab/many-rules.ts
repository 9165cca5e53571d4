/** Many rules of tc on a port, each for packets to one address, and a packet for each of them. */
import type { Netns } from '../support/netns.ts';

/** Addresses of rules: 10.64.0.1 and those that follow. */
const FIRST = 0x0a40_0001;
/** Between two packets, in nanoseconds: none is to be lost in the queue of a port, also under emulation. */
const PAUSE_NS = 200_000;

const addressOf = (rule: number) =>
  [24, 16, 8, 0].map((shift) => ((FIRST + rule) >>> shift) & 0xff).join('.');
const handleOf = (rule: number) => `0x${(rule + 1).toString(16)}`;

/** A filter as tc shows it with `-s -j`. */
interface ShownRule {
  readonly options?: {
    readonly handle: number;
    readonly in_hw?: boolean;
    readonly actions?: readonly { readonly stats?: { readonly hw_packets?: number } }[];
  };
}

/** What tc tells of rules: how many there are, how many of them are in hardware, and by packets counted there how many. */
export interface Told {
  readonly rules: number;
  readonly inHardware: number;
  readonly packets: Readonly<Record<number, number>>;
}

/** Lines of `tc -batch` that make rules of one preference on a port with clsact. */
export function addLines(port: string, count: number, flag: 'skip_sw' | 'skip_hw'): string[] {
  return Array.from(
    { length: count },
    (_, rule) =>
      `filter add dev ${port} ingress pref 1 handle ${handleOf(rule)} protocol ip flower ${flag} dst_ip ${addressOf(rule)} action drop`,
  );
}

/** Lines of `tc -batch` that take them away, one by one. */
export function deleteLines(port: string, count: number): string[] {
  return Array.from(
    { length: count },
    (_, rule) => `filter del dev ${port} ingress pref 1 handle ${handleOf(rule)} protocol ip flower`,
  );
}

/** @param text of `tc -s -j filter show` */
export function toldOf(text: string): Told {
  const shown = (JSON.parse(text) as ShownRule[]).flatMap(({ options }) => (options ? [options] : []));
  const packets: Record<number, number> = {};
  for (const { actions } of shown) {
    const count = actions?.[0]?.stats?.hw_packets ?? 0;
    packets[count] = (packets[count] ?? 0) + 1;
  }
  return { rules: shown.length, inHardware: shown.filter(({ in_hw }) => in_hw === true).length, packets };
}

/**
 * Sends a packet to each rule's address from eth0 of a namespace, by the kernel's pktgen.
 * @param mac of the port at the other end
 */
export function sendToEach(from: Netns, mac: string, count: number): void {
  const words = [
    `count ${count}`,
    'pkt_size 60',
    `delay ${PAUSE_NS}`,
    `dst_min ${addressOf(0)}`,
    `dst_max ${addressOf(count - 1)}`,
    `dst_mac ${mac}`,
  ];
  const settings = words.map((word) => `echo '${word}' > /proc/net/pktgen/eth0`);
  from.run('bash', [
    '-euc',
    `modprobe pktgen
    echo rem_device_all > /proc/net/pktgen/kpktgend_0
    echo add_device eth0 > /proc/net/pktgen/kpktgend_0
    ${settings.join('\n')}
    echo start > /proc/net/pktgen/pgctrl
    echo rem_device_all > /proc/net/pktgen/kpktgend_0`,
  ]);
}
