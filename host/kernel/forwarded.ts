/** What the kernel itself forwarded: RFC 4293's ipForwDatagrams and ipv6IfStatsOutForwDatagrams of a network namespace. */
import { readFileSync } from 'node:fs';
import { inNetns } from '../netlink/syscall.ts';

/** Packets of both families since the namespace was made; undefined where /proc does not tell. */
export function forwardedPackets(netns: string | undefined): number | undefined {
  try {
    return netns === undefined ? readCounters() : inNetns(netns, readCounters);
  } catch {
    // The namespace was deleted, or may not be entered: the status says so.
    return undefined;
  }
}

function readCounters(): number | undefined {
  const [names = '', values = ''] = readFileSync('/proc/thread-self/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Ip:'));
  const place = names.split(' ').indexOf('ForwDatagrams');
  const ip4 = Number(values.split(' ')[place]);
  return Number.isNaN(ip4) ? undefined : ip4 + readIp6();
}

/** 0 on a kernel without IPv6. */
function readIp6(): number {
  try {
    const text = readFileSync('/proc/thread-self/net/snmp6', 'utf8');
    return Number(/^Ip6OutForwDatagrams\s+(\d+)/m.exec(text)?.[1] ?? 0);
  } catch {
    return 0;
  }
}
