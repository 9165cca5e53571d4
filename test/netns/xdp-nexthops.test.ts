/**
 * A next hop that changes in place while packets meet it: each of them leaves by the old way or by the new one, never by half of each.
 * The kernel copies a row of an array word by word, of 64 bits (bpf_long_memcpy()), so a packet may meet any mixture of old and new words.
 */
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { BpfMap } from '../../bpf/libbpf-ts/src/index.ts';
import { ROOT } from '../../host/config/config.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import type { Value } from '../../host/plugin/values.ts';
import { frameOf } from '../packets/frame.ts';
import { WireEnd } from '../packets/wire.ts';
import { Wires } from '../support/wires.ts';
import { address4, type Entry, entry, handle, Softnic } from '../unit/softnic/softnic.ts';

/** Port 0 is where packets come in; they leave by port 1 or 2. */
const PORTS = 3;
const MAC = 0x020000000000;
const LIMIT_MS = 60_000;

let wires: Wires | undefined;
let xdp: Softnic | undefined;
let ends: WireEnd[] = [];

afterEach(async () => {
  await xdp?.[Symbol.asyncDispose]();
  for (const end of ends) end[Symbol.dispose]();
  wires?.close();
});

const mac = (number: number): string => (MAC + number).toString(16).padStart(12, '0').match(/../g)!.join(':');
const at = (...bytes: number[]): Value => address4(bytes.reduce((sum, byte) => sum * 256 + byte, 0));

/** With a MAC that says which port it belongs to. */
const nexthop = (port: number, ifindex: number): Entry =>
  entry('nexthop', 0, {
    action: 'forward',
    routerInterface: handle('router-interface', port),
    ifindex,
    gateway: at(10, 200, 0, 2),
    destinationMac: BigInt(MAC + 0x100 + port),
  });

const base = (ifindexes: readonly number[]): Entry[] => [
  ...ifindexes.map((ifindex, port) =>
    entry('port', port, {
      ifindex,
      mtu: 1500,
      mac: BigInt(MAC + port),
      bridge: 0,
      flags: ['adminUp', 'carrier'],
    }),
  ),
  ...ifindexes.map((ifindex, port) =>
    entry('router-interface', port, {
      port: handle('port', port),
      ifindex,
      mac: BigInt(MAC + port),
      mtu: 1500,
      flags: ['ipv4'],
    }),
  ),
  nexthop(1, ifindexes[1]!),
  entry('group', 0, { id: 1 }, [{ nexthop: handle('nexthop', 0), weight: 1 }]),
  entry('route', 0, {
    prefix: at(10, 1, 0, 0),
    prefixLength: 16,
    action: 'forward',
    group: handle('group', 0),
  }),
];

/** Port that a packet leaves by; its address must be that of what is behind it. */
async function wayOf(send: () => void): Promise<number> {
  send();
  for (const limit = performance.now() + LIMIT_MS; performance.now() < limit; ) {
    for (const port of [1, 2]) {
      for (const frame of ends[port]!.received()) {
        const to = Buffer.from(frame.subarray(0, 6)).readUIntBE(0, 6) - MAC - 0x100;
        if (to !== 1 && to !== 2) continue;
        expect(to, 'the station it is sent to is behind the port').toBe(port);
        return port;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return expect.fail('the packet did not leave');
}

test('whatever words of a row are new, no packet leaves by one port with the address of what is behind the other', async () => {
  wires = new Wires({ hosts: PORTS, routed: false });
  const indexOf = (netns: Wires['router'], link: string) =>
    Number(netns.run('cat', [`/sys/class/net/${link}/ifindex`]));
  const ifindexes = wires.hosts.map((_, port) => indexOf(wires!.router, `p${port}`));
  ends = wires.hosts.map((host) => new WireEnd(host.name, indexOf(host, 'eth0')));
  const plugin = await loadPlugin(join(ROOT, 'build/plugins/xdp.wasm'), {
    grants: ['tables'],
    cache: join(ROOT, 'build/fixtures/cache'),
  });
  xdp = await Softnic.start(plugin, { kind: 'tables', netns: wires.router.name, mode: 'auto' });
  const body = {
    is: 'ip4',
    source: '10.2.0.1',
    destination: '10.1.0.1',
    ttl: 64,
    l4: { is: 'udp' },
  } as const;
  const frame = frameOf({ port: 0, from: mac(0x300), to: mac(0), body }, 1);
  const send = () => expect(ends[0]!.send(frame)).toBe(true);

  using map = BpfMap.fromFd(xdp.device.share.maps!.nexthops!);
  const read = (): BigUint64Array => {
    const row = new BigUint64Array(map.valueSize / 8);
    map.readSlots(0, new Uint8Array(row.buffer));
    return row;
  };
  expect(await xdp.apply(base(ifindexes))).toEqual([]);
  const before = read();
  expect(await wayOf(send)).toBe(1);
  expect(await xdp.apply([nexthop(2, ifindexes[2]!)])).toEqual([]);
  const after = read();
  expect(await wayOf(send)).toBe(2);

  const found = new Set<number>();
  for (let mixture = 0; mixture < 2 ** before.length; mixture++) {
    const row = before.map((word, index) => ((mixture >> index) & 1 ? after[index]! : word));
    map.setBatch(Uint32Array.of(0), row);
    found.add(await wayOf(send));
  }
  expect(found).toEqual(new Set([1, 2]));
});
