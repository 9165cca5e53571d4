/** The host's way from the kernel to the device in this process, so that what the plugin answers can be timed. */
import { join } from 'node:path';
import { ROOT } from '../../../host/config/config.ts';
import { openDevice } from '../../../host/device/registry.ts';
import { KernelSync } from '../../../host/kernel/sync.ts';
import { Mirror } from '../../../host/mirror/mirror.ts';
import { Planner } from '../../../host/offload/planner.ts';
import { loadPlugin } from '../../../host/plugin/load.ts';
import { startRunner } from '../../../host/plugin/pool-runner.ts';

export interface Answered {
  /** Handles of the entries, each of which begins with its kind. */
  readonly handles: Uint32Array;
  readonly count: number;
  /** When the answer was there: CLOCK_MONOTONIC, ns. */
  readonly time: number;
}

export interface Pipeline {
  readonly mirror: Mirror;
  /** Is told of every batch that the plugin has answered, which is later than its device has it. */
  onAnswer: ((answered: Answered) => void) | undefined;
  /** Resolves once all that the kernel has said, and what is read again because of it, is in the mirror and in the device. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

function fail(error: Error): never {
  throw error;
}

/** Reads the kernel, with softnic in a worker behind; resolves once all is in its ASIC. */
export async function openPipeline(netns: string, routes: number): Promise<Pipeline> {
  const softnic = join(ROOT, 'build/plugins/softnic.wasm');
  const plugin = await loadPlugin(softnic, { grants: ['asic'], cache: join(ROOT, 'build/fixtures/cache') });
  const device = openDevice({ kind: 'asic', name: 'bench', tables: { lpm4: routes } });
  const runner = await startRunner({ plugin, devices: [device.share], isolation: 'worker' });
  const mirror = new Mirror();
  const sync = new KernelSync(mirror, { netns });
  const planner = new Planner({ mirror, netfilter: 'trap', xfrm: 'trap', log: () => {} });
  planner.addPlugin({ name: 'softnic', isPort: (name) => /^p\d$/.test(name) });
  const pipeline = {
    mirror,
    onAnswer: undefined as Pipeline['onAnswer'],
    settled: async () => {
      await sync.barrier();
      await planner.settled();
    },
    close: async () => {
      planner.close();
      sync.close();
      await runner.stop();
      device.close();
    },
  };
  // In the runner itself: an object made from it would take what the runner writes of itself.
  const listen = runner.listen.bind(runner);
  runner.listen = (listener) =>
    listen({
      result: (result) => {
        const { handles, count } = result.batch;
        pipeline.onAnswer?.({ handles, count, time: Number(process.hrtime.bigint()) });
        listener.result(result);
      },
      ready: () => listener.ready(),
      events: (events) => listener.events(events),
      fault: (error) => listener.fault(error),
      down: (error) => listener.down(error),
    });
  await sync.start();
  await planner.pluginUp('softnic', runner, { fault: fail, down: (error) => error && fail(error) });
  await planner.settled();
  return pipeline;
}
