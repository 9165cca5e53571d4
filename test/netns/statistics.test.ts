/** Counters of the hardware as an operator reads them: they only go up, whatever ends and starts; rates; the kernel's own beside them. */
import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import type { PluginDetails } from '../../host/api/schemas.ts';
import { ACL } from '../../host/device/asic/layout.ts';
import { setCount, setRouteCount } from '../support/asic-file.ts';
import { Datapath } from '../support/datapath.ts';
import { type HostOptions, TestHost } from '../support/host.ts';
import { host4, Router } from '../support/router.ts';
import { address4, Wires } from '../support/wires.ts';

let router: Router | undefined;
let host: TestHost | undefined;

afterEach(async () => {
  await host?.close();
  router?.close();
  host = router = undefined;
});

async function start(options: Partial<HostOptions> = {}): Promise<string> {
  router = new Router(2);
  router.ip(`route add 16.0.0.0/24 via ${host4(1, 2)}`);
  host = await TestHost.start({ netns: router.name, keepsState: true, ...options });
  return join(host.folder, 'asic0');
}

async function entry(text: string) {
  return (await host!.stats()).entries.find(({ entry }) => entry.includes(text));
}

/** What Prometheus is told. */
async function scrape({ socket }: TestHost, query = ''): Promise<string> {
  const words = ['-sf', '--unix-socket', socket, `http://localhost/metrics${query}`];
  return (await promisify(execFile)('curl', words)).stdout;
}

test('counters go on when the host starts again, with the device as it was or empty', async () => {
  const asic = await start();
  setRouteCount(asic, {}, 0x10000000, 24, 1000);
  expect(await entry('route 16.0.0.0/24')).toMatchObject({ packets: 1000, bytes: 100_000 });

  await host!.stop();
  await host!.start();
  expect(await entry('route 16.0.0.0/24')).toMatchObject({ packets: 1000 });
  setRouteCount(asic, {}, 0x10000000, 24, 1500);
  expect(await entry('route 16.0.0.0/24')).toMatchObject({ packets: 1500 });

  await host!.stop();
  rmSync(asic);
  await host!.start();
  expect(await entry('route 16.0.0.0/24')).toMatchObject({ packets: 1500, bytes: 150_000 });
  setRouteCount(asic, {}, 0x10000000, 24, 7);
  expect(await entry('route 16.0.0.0/24')).toMatchObject({ packets: 1507, bytes: 150_700 });
});

test('counters that run backwards are told, unless the device was reset or the entry was another', async () => {
  const asic = await start();
  const faults = async () => {
    const { state, reason, counters } = await host!.client.get<PluginDetails>('/api/v1/plugins/softnic');
    return { state, reason, faults: counters.faults };
  };
  setRouteCount(asic, {}, 0x10000000, 24, 1000);
  expect(await entry('route 16.0.0.0/24')).toMatchObject({ packets: 1000 });
  // The entry is another: what it counts begins anew.
  router!.ip('route del 16.0.0.0/24');
  await host!.settled();
  router!.ip(`route add 16.0.0.0/24 via ${host4(1, 2)}`);
  await host!.settled();
  setRouteCount(asic, {}, 0x10000000, 24, 600);
  expect(await entry('route 16.0.0.0/24')).toMatchObject({ packets: 600 });
  const routes = await host!.used('lpm4');
  await host!.powerCycle();
  await host!.until('all is programmed again', async () => (await host!.used('lpm4')) === routes, 120_000);
  await host!.settled();
  setRouteCount(asic, {}, 0x10000000, 24, 500);
  expect(await entry('route 16.0.0.0/24')).toMatchObject({ packets: 1100 });
  expect(await faults()).toMatchObject({ state: 'active', faults: 0 });

  setRouteCount(asic, {}, 0x10000000, 24, 20);
  expect(await entry('route 16.0.0.0/24')).toMatchObject({ packets: 1120 });
  expect(await faults()).toMatchObject({
    state: 'degraded',
    reason: expect.stringContaining('returned 1 counters that ran backwards'),
    faults: 1,
  });
});

test('a file of counters that is damaged is told, and what is sound in it is used', async () => {
  const asic = await start();
  setRouteCount(asic, {}, 0x10000000, 24, 1000);
  await host!.stats();
  await host!.stop();
  rmSync(asic);
  const line = { plugin: 'softnic', entry: '', packets: 5, bytes: 5, devicePackets: 0, deviceBytes: 0 };
  const bad = [
    'not JSON',
    '{}',
    JSON.stringify({ ...line, packets: -5 }),
    JSON.stringify({ ...line, bytes: '5' }),
  ];
  writeFileSync(join(host!.folder, 'counters'), `${bad.join('\n')}\n`, { flag: 'a' });
  await host!.start();
  expect(host!.output).toContain('4 lines are no counters');
  expect(await entry('route 16.0.0.0/24')).toMatchObject({ packets: 1000 });
});

test('rates are those between two readings', async () => {
  const asic = await start({ statisticsInterval: 0.2 });
  let packets = 0;
  await host!.until('a rate is seen', async () => {
    packets += 1000;
    setRouteCount(asic, {}, 0x10000000, 24, packets);
    const counted = await entry('route 16.0.0.0/24');
    if (counted === undefined || counted.packets_per_s === 0) return false;
    expect(counted.bytes_per_s).toBeCloseTo(counted.packets_per_s * 100, 0);
    return true;
  });
  await host!.until(
    'nothing more comes',
    async () => (await entry('route 16.0.0.0/24'))?.packets_per_s === 0,
  );
  const { out } = await host!.ekho('stats');
  expect(out).toMatch(/route 16\.0\.0\.0\/24.* 0 +0$/m);
});

test('the kernel’s counters stand beside the hardware’s', async () => {
  const asic = await start();
  router!.run('tc', ['qdisc', 'add', 'dev', 'p0', 'clsact']);
  const filter = 'filter add dev p0 ingress pref 10 protocol ip u32 match ip dst 16.9.9.9/32';
  router!.run('tc', [...filter.split(' '), ...'action mirred egress redirect dev p1'.split(' ')]);
  await host!.settled();
  setCount(asic, {}, ACL, 40, () => true);
  // From the far end of the port, in the same namespace.
  router!.ip('addr add 10.255.0.2/24 dev v0');
  router!.ip('route add 16.9.9.9/32 dev v0');
  router!.ip(`neigh add 16.9.9.9 lladdr 02:00:00:00:77:77 dev v0 nud permanent`);
  expect(() => router!.run('ping', ['-c', '3', '-i', '0.01', '-W', '1', '-I', 'v0', '16.9.9.9'])).toThrow();
  expect(await entry('filter dev p0')).toMatchObject({
    packets: 40,
    bytes: 4000,
    // As `tc -s` prints: without the Ethernet header, which is off by then.
    kernel: { packets: 3, bytes: 3 * 84 },
    total: { packets: 43, bytes: 4000 + 3 * 98 },
  });
});

test('what went to the kernel, and the ports’ counters, go on when the host starts again, whatever becomes of the tables', async () => {
  const wires = new Wires();
  const path = await Datapath.start(wires, { mode: 'generic', statisticsInterval: 0.5 });
  try {
    const { host: own } = path;
    const trap = async () => (await own.device()).traps?.find(({ reason }) => reason === 'lpm miss');
    expect(wires.ping(0, '192.0.2.1', 3)).toBe(0);
    expect(await trap()).toMatchObject({ packets: 3, bytes: 3 * 98 });
    expect(wires.ping(0, address4(1), 5)).toBe(5);
    const counted = await path.count('port: link p0');
    expect(counted.packets).toBeGreaterThanOrEqual(5);
    await own.stop();
    await own.start();
    expect(await trap()).toMatchObject({ packets: 3, bytes: 3 * 98 });
    // Neighbours may have been asked for meanwhile.
    expect((await path.count('port: link p0')).packets).toBeGreaterThanOrEqual(counted.packets);
    expect(wires.ping(0, '192.0.2.1', 2)).toBe(0);
    expect(await trap()).toMatchObject({ packets: 5, bytes: 5 * 98 });
    const { out } = await own.ekho('stats');
    expect(out).toMatch(/to the kernel by asic0 +lpm miss +5$/m);
    const port = await path.count('port: link p0');
    const scraped = await scrape(own, '?entries=port,route');
    expect(scraped).toContain('ekho_device_trapped_packets_total{device="asic0",reason="lpm miss"} 5\n');
    expect(scraped).toContain(
      `ekho_device_trapped_bytes_total{device="asic0",reason="lpm miss"} ${5 * 98}\n`,
    );
    const counted0 = /^ekho_entry_packets_total\{plugin="xdp",kind="port",entry="p0"\} (\d+)$/m.exec(scraped);
    expect(Number(counted0?.[1])).toBeGreaterThanOrEqual(port.packets);
    expect(scraped).toMatch(
      new RegExp(
        `^ekho_entry_bytes_total\\{plugin="xdp",kind="route",entry="${address4(1)}/32"\\} \\d+$`,
        'm',
      ),
    );
    expect(await scrape(own)).not.toContain('kind="route",entry=');
    const pings = wires.pingMeanwhile(0, '192.0.2.1');
    try {
      await own.until('there is a rate', async () => ((await trap())?.packets_per_s ?? 0) > 0);
    } finally {
      await pings.stop();
    }
  } finally {
    await path.close();
  }
});
