/**
 * How long a route takes from its change in the mirror to the ASIC: routes are added at a steady pace to a mirror that a planner
 * follows, with softnic and its device behind it. They are the kernel's bytes, made before the clock starts, as the socket would
 * give them. A route counts as written when the planner has the answer to its batch, which is later than the device has it.
 */

import { join } from 'node:path';
import { ROOT } from '../../host/config/config.ts';
import { openDevice } from '../../host/device/registry.ts';
import { KIND } from '../../host/mirror/types.ts';
import { encodeObject } from '../../host/netlink/encode.ts';
import { type Datagram, datagram } from '../../host/netlink/message.ts';
import { Planner } from '../../host/offload/planner.ts';
import { loadPlugin } from '../../host/plugin/load.ts';
import { type Isolation, startRunner } from '../../host/plugin/pool-runner.ts';
import { ENTRY_KIND } from '../../host/plugin/records.ts';
import { KernelModel, routeObject } from '../unit/offload/kernel-model.ts';

export interface Latency {
  readonly changes: number;
  /** Changes a second, as they were made. */
  readonly pace: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Not counted: the first, while everything warms up. */
const WARM_SHARE = 0.2;

/** As a host does. */
const COUNTERS_INTERVAL_MS = 1000;

/** Announcements of as many routes, as the kernel sends them. */
function announcements(count: number): Datagram[] {
  return Array.from({ length: count }, (_, number) => {
    const prefix = 0x10000000 + number * 256;
    const route = { prefix, length: 24, table: 254, priority: 0, tos: 0, gateways: [1] };
    return datagram(encodeObject('route', routeObject({ ...route, type: 'unicast' })));
  });
}

/** Adds `changes` routes at `pace` a second, as many at a time as are due when the event loop comes round. */
export async function measureLatency(
  softnic: string,
  isolation: Isolation,
  pace: number,
  changes: number,
): Promise<Latency> {
  const plugin = await loadPlugin(softnic, { grants: ['asic'], cache: join(ROOT, 'build/fixtures/cache') });
  const device = openDevice({ kind: 'asic', name: 'bench', tables: { lpm4: 262_144 } });
  const runner = await startRunner({ plugin, devices: [device.share], isolation });
  const kernel = new KernelModel();
  kernel.setRules([255, 254]);
  kernel.setNeighbour(1, true);
  kernel.commit();
  const planner = new Planner({ mirror: kernel.mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'softnic', isPort: undefined });

  const routes = kernel.mirror.table(KIND.route);
  const messages = announcements(changes);
  const changedAt = new Float64Array(changes);
  const took = new Float64Array(changes);
  let written = 0;
  const heard = (handles: Uint32Array, count: number) => {
    const now = performance.now();
    // New routes go out in the order they came.
    for (let place = 0; place < count && written < changes; place++) {
      if (handles[place]! >>> 28 !== ENTRY_KIND.route + 1) continue;
      took[written] = now - changedAt[written]!;
      written++;
    }
  };
  let counting = false;
  // In the runner itself: an object made from it would take what the runner writes of itself.
  const listen = runner.listen.bind(runner);
  runner.listen = (listener) =>
    listen({
      result: (result) => {
        if (counting) heard(result.batch.handles, result.batch.count);
        listener.result(result);
      },
      ready: () => listener.ready(),
      events: (events) => listener.events(events),
      fault: (error) => listener.fault(error),
      down: (error) => listener.down(error),
    });
  await planner.pluginUp('softnic', runner, {
    fault: (error) => {
      throw error;
    },
    down: () => {},
  });
  await planner.settled();

  const reading = setInterval(() => void planner.readCounters(true), COUNTERS_INTERVAL_MS);
  counting = true;
  const began = performance.now();
  for (let made = 0; made < changes; ) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    const due = Math.min(changes, Math.floor(((performance.now() - began) / 1000) * pace));
    for (; made < due; made++) {
      const message = messages[made]!;
      const { hash } = routes.match(message, 0, message.bytes.length)!;
      routes.insert(hash, message, 0, message.bytes.length);
      changedAt[made] = performance.now();
    }
    kernel.commit();
  }
  const seconds = (performance.now() - began) / 1000;
  clearInterval(reading);
  await planner.settled();
  planner.close();
  await runner.stop();
  device.close();
  if (written !== changes) throw new Error(`${written} of ${changes} routes were answered`);
  const sorted = took.subarray(Math.floor(changes * WARM_SHARE)).toSorted();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return { changes, pace: changes / seconds, p50: at(0.5), p99: at(0.99), max: sorted.at(-1)! };
}
