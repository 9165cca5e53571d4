/** The XDP data path bridges known unicast frames; learning, moving and flooding stay with the kernel. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { added, Datapath } from '../support/datapath.ts';
import { hostMac, Wires } from '../support/wires.ts';

const address = (host: number) => `10.201.0.${host + 1}`;

let path: Datapath;

beforeAll(async () => {
  const wires = new Wires({ hosts: 3, routed: false });
  try {
    wires.router.ip('link add br0 type bridge mcast_snooping 0');
    wires.router.ip('link set br0 up');
    for (const port of ['p0', 'p1', 'p2']) wires.router.ip(`link set ${port} master br0`);
    wires.hosts.forEach((host, number) => {
      host.ip(`addr add ${address(number)}/24 dev eth0`);
      wires.hosts.forEach((_, other) => {
        if (other !== number)
          host.ip(`neigh replace ${address(other)} lladdr ${hostMac(other)} dev eth0 nud permanent`);
      });
    });
  } catch (error) {
    wires.close();
    throw error;
  }
  path = await Datapath.start(wires);
});

afterAll(async () => {
  await path?.close();
});

/** Resolves once the address of each of these hosts is an entry of the hardware. */
async function learned(...hosts: number[]): Promise<void> {
  await path.host.until('the addresses are learned', async () => {
    const { out } = await path.host.ekho('show', '--json', 'fdb');
    const rows = JSON.parse(out) as { mac: string; ekho?: { offload?: { state: string }[] } }[];
    return hosts.every((host) =>
      rows.some((row) => row.mac === hostMac(host) && JSON.stringify(row).includes('"offloaded"')),
    );
  });
}

test('frames between addresses that the kernel learned are the data path’s', async () => {
  const { wires } = path;
  const first = await path.traps();
  expect(wires.ping(0, address(1), 1)).toBe(1);
  expect(added(first, await path.traps())['source mac not learned']).toBeGreaterThan(0);
  await learned(0, 1);
  const before = await path.traps();
  const bytes = 10 * 98;
  expect(wires.ping(0, address(1), 10)).toBe(10);
  expect(added(before, await path.traps())).toEqual({});
  for (const host of [0, 1]) {
    expect(await path.count(hostMac(host))).toMatchObject({ packets: 10, bytes });
  }
  await path.host.verified();
});

test('a host that moves is learned anew by the kernel', async () => {
  const { wires, host } = path;
  expect(wires.ping(2, address(0), 1)).toBe(1);
  await learned(0, 1, 2);
  // Host 2 goes on under the address of host 1, which falls silent.
  wires.hosts[1]!.ip('link set eth0 down');
  wires.hosts[2]!.ip('link set eth0 down');
  wires.hosts[2]!.ip(`link set eth0 address ${hostMac(1)}`);
  wires.hosts[2]!.ip('link set eth0 up');
  wires.hosts[2]!.ip(`neigh replace ${address(0)} lladdr ${hostMac(0)} dev eth0 nud permanent`);
  wires.hosts[0]!.ip(`neigh replace ${address(2)} lladdr ${hostMac(1)} dev eth0 nud permanent`);
  await host.settled();
  const before = await path.traps();
  expect(wires.ping(2, address(0), 3)).toBe(3);
  expect(added(before, await path.traps())['source mac not learned']).toBeGreaterThan(0);
  await host.until('frames to the moved host leave by its new port', async () => {
    const counts = await path.count('port: link p2');
    wires.ping(0, address(2), 2);
    return (await path.count('port: link p2')).packets >= counts.packets + 2;
  });
  await host.verified();
});

test('broadcast and unknown destinations are flooded by the kernel', async () => {
  const before = await path.traps();
  path.wires.hosts[0]!.ip(`neigh replace 10.201.0.99 lladdr 02:00:00:00:09:99 dev eth0 nud permanent`);
  expect(path.wires.ping(0, '10.201.0.99', 2)).toBe(0);
  expect(path.wires.ping(0, '10.201.0.255', 2, ['-b'])).toBe(0);
  expect(added(before, await path.traps())).toMatchObject({ 'fdb miss': 2, 'destination mac is a group': 2 });
});
