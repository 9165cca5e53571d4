/** Settings of IPv6 that nobody announces, asked for in one dump, against the files that show each of them. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Ipv6Links } from '../../host/kernel/ipv6-links.ts';
import { Netns } from '../support/netns.ts';

/** More than one datagram has. */
const PAIRS = 60;

let netns: Netns;
let links: Ipv6Links;

beforeAll(() => {
  netns = new Netns();
  const lines = Array.from(
    { length: PAIRS },
    (_, at) => `link add d${at} mtu ${1300 + at} type veth peer name e${at}`,
  );
  expect(netns.batch(lines)).toEqual(new Set());
  netns.sysctl('net.ipv6.conf.d3.disable_ipv6=1', 'net.ipv6.conf.d5.mtu=1281');
  links = new Ipv6Links(netns.name);
});

afterAll(() => {
  links?.close();
  netns?.close();
});

function files(): Record<string, number> {
  const script = `cd /proc/sys/net/ipv6/conf && for link in *; do
    [ -e /proc/sys/net/ipv4/conf/$link ] && echo $link $(cat $link/disable_ipv6 $link/mtu); done`;
  const text = execFileSync('ip', ['netns', 'exec', netns.name, 'sh', '-c', script], { encoding: 'utf8' });
  const mtus: Record<string, number> = {};
  for (const line of text.trim().split('\n')) {
    const [name = '', isDisabled, mtu] = line.split(' ');
    if (name !== 'all' && name !== 'default') mtus[name] = isDisabled === '1' ? 0 : Number(mtu);
  }
  return mtus;
}

it('has the MTU of each link, and 0 where IPv6 is off', async () => {
  const shown = JSON.parse(netns.ip('-json link show')) as { ifindex: number; ifname: string }[];
  const mtus = await links.mtus();
  const byName = Object.fromEntries(
    shown.filter(({ ifindex }) => ifindex in mtus).map(({ ifindex, ifname }) => [ifname, mtus[ifindex]]),
  );
  expect(byName).toEqual(files());
  expect(byName).toMatchObject({ d3: 0, d4: 1304, d5: 1281 });
});
