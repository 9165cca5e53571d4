/** The host and its command as an operator runs them, each in its own process. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Output, TestHost } from '../support/host.ts';
import { LabSpace } from './support.ts';

describe('the ekho command', () => {
  let space: LabSpace;
  let host: TestHost;

  beforeAll(async () => {
    space = new LabSpace();
    space.sysctl(
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
    );
    space.script(`
      ip link add red type vrf table 100
      ip link set red up
      ip link add p0 type dummy
      ip link add p1 type dummy
      ip link set p0 up
      ip link set p1 up
      ip link add link p1 name p1.10 type vlan id 10
      ip link set p1.10 master red
      ip link set p0 master red
      ip link set p1.10 up
      ip addr add 10.0.0.1/24 dev p0
      ip addr add 10.0.1.1/24 dev p1.10
      ip neigh add 10.0.1.2 lladdr 02:00:00:00:01:02 dev p1.10 nud permanent
      ip route add 192.0.2.0/24 vrf red via 10.0.1.2
      tc qdisc add dev p0 clsact
      tc filter add dev p0 ingress pref 10 protocol ip flower ip_proto tcp dst_port 443 action drop
    `);
    host = new TestHost({ netns: space.name, ports: ['p?'] });
    await host.launch();
    await host.settled(120);
  });

  afterAll(async () => {
    await host?.close();
    await space?.end();
  });

  const ekho = async (...words: string[]): Promise<Output> => {
    const output = await host.ekho(...words);
    expect(output.err).toBe('');
    return output;
  };

  test('verify', async () => {
    const { code, out } = await ekho('verify');
    expect(out).toMatch(/^equal: /);
    expect(code).toBe(0);
  });

  test('lookup by protocol and port', async () => {
    const to = (...more: string[]) =>
      ekho('lookup', '192.0.2.9', '--in', 'p0', '--from', '10.0.0.2', ...more);
    expect((await to()).out).toMatch(
      /^forward dev p1\.10 via 10\.0\.1\.2 lladdr 02:00:00:00:01:02 vlan 10\n/,
    );
    expect((await to('--ipproto', 'tcp', '--dport', '443')).out).toMatch(/^drop\n.*\n {2}.*flower/);
  });
});
