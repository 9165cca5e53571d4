/**
 * A bridge's VXLAN link in the XDP data path: frames to stations behind another VTEP, which is a kernel's, are encapsulated, and those
 * from there decapsulated.
 */
import { afterEach, expect, test } from 'vitest';
import { added, Datapath } from '../support/datapath.ts';
import { address4, gateway4, hostMac, Wires } from '../support/wires.ts';

const STATION = '10.201.0.1';
const BEHIND = '10.201.0.2';
const BEHIND_MAC = '02:00:00:00:0a:02';
const PINGS = 10;

let path: Datapath | undefined;

afterEach(async () => {
  await path?.close();
  path = undefined;
});

/** Host 0 is a station of the router's bridge, host 1 a VTEP with a station of its own. */
function build(options: string): Wires {
  const wires = new Wires();
  try {
    const { router } = wires;
    const [near, far] = wires.hosts as [(typeof wires.hosts)[0], (typeof wires.hosts)[0]];
    // Silence: IPv6 has hosts speak by themselves.
    for (const host of wires.hosts)
      host.sysctl('net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
    router.ip('addr flush dev p0');
    router.ip('link add br0 type bridge mcast_snooping 0');
    router.ip(`link add vx10 type vxlan id 10 local ${gateway4(1)} dstport 4789 ${options}`);
    for (const link of ['p0', 'vx10']) router.ip(`link set ${link} master br0`);
    for (const link of ['br0', 'vx10']) router.ip(`link set ${link} up`);
    router.run('bridge', ['fdb', 'replace', BEHIND_MAC, 'dev', 'vx10', 'dst', address4(1), 'self', 'static']);
    router.run('bridge', ['fdb', 'replace', BEHIND_MAC, 'dev', 'vx10', 'master', 'static']);
    near.ip('addr flush dev eth0');
    near.ip(`addr add ${STATION}/24 dev eth0`);
    near.ip(`neigh replace ${BEHIND} lladdr ${BEHIND_MAC} dev eth0 nud permanent`);
    far.ip(
      `link add vx10 address ${BEHIND_MAC} type vxlan id 10 local ${address4(1)} dstport 4789 nolearning ${options}`,
    );
    far.ip('link set vx10 up');
    far.run('ethtool', ['-K', 'vx10', 'tx', 'off']);
    far.ip(`addr add ${BEHIND}/24 dev vx10`);
    far.ip(`neigh replace ${STATION} lladdr ${hostMac(0)} dev vx10 nud permanent`);
    far.run('bridge', ['fdb', 'replace', hostMac(0), 'dev', 'vx10', 'dst', gateway4(1), 'self', 'static']);
    for (const host of wires.hosts) host.run('ethtool', ['-K', 'eth0', 'gro', 'on']);
  } catch (error) {
    wires.close();
    throw error;
  }
  return wires;
}

/** Resolves once the bridge's addresses are in hardware: a ping has the station learned. */
async function learned({ wires, host }: Datapath): Promise<void> {
  await host.until('the addresses are in hardware', async () => {
    wires.ping(0, BEHIND, 1);
    const { out } = await host.ekho('show', '--json', 'fdb');
    const rows = JSON.parse(out) as { mac: string }[];
    return [hostMac(0), BEHIND_MAC].every((mac) =>
      rows.some((row) => row.mac === mac && JSON.stringify(row).includes('"offloaded"')),
    );
  });
}

for (const [mode, checksum] of [
  ['native', 'udpcsum'],
  ['generic', 'noudpcsum'],
] as const)
  test(`frames pass the tunnel both ways, ${mode}, ${checksum}`, async () => {
    path = await Datapath.start(build(checksum), { mode });
    await learned(path);
    const before = await path.traps();
    const tunnel = await path.count('tunnel: link vx10');
    const sizes = [0, 1, 2, 3, 61, 62, 63, 64, 1300, 1400, 1421];
    for (const size of sizes)
      expect(path.wires.ping(0, BEHIND, PINGS, ['-s', `${size}`]), `${size} bytes`).toBe(PINGS);
    expect(added(before, await path.traps())).toEqual({});
    const after = await path.count('tunnel: link vx10');
    expect(after.packets - tunnel.packets).toBe(2 * PINGS * sizes.length);
    const inner = sizes.reduce((sum, size) => sum + 14 + 20 + 8 + size, 0);
    expect(after.bytes - tunnel.bytes).toBe(2 * PINGS * inner);
    await path.host.verified();
  });
