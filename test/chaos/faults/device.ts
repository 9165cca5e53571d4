/** The device: it refuses, fails, is slow, is full, or without power. */
import { pause } from '../../support/host.ts';
import { stormRoutes } from '../../support/router.ts';
import { type Fault, fault } from '../fault.ts';
import { PORTS, ROUTES } from '../site.ts';

/** More routes than there is room for; they need no port, which may be down. */
function many(verb: 'add' | 'del'): string[] {
  return [...stormRoutes(ROUTES + 1000, PORTS, verb)].map((line) =>
    line.replace(/ (\S+) via .*/, ' blackhole $1'),
  );
}

export const DEVICE_FAULTS: readonly Fault[] = [
  fault('device-refuses', 'the device refuses all writes for a while', 40, async (site) => {
    await site.host.inject({ refuse: true });
    site.churn();
    await pause(500);
    await site.host.inject({ refuse: false });
    return undefined;
  }),
  fault('device-fails', 'every third write meets an I/O error', 60, async (site) => {
    await site.host.inject({ failEvery: 3 });
    site.churn();
    await pause(500);
    await site.host.inject({ failEvery: 0 });
    return undefined;
  }),
  fault('device-slow', 'each burst takes 20 ms', 40, async (site) => {
    await site.host.inject({ delay: 20_000 });
    site.churn(120);
    await pause(500);
    await site.host.inject({ delay: 0 });
    return undefined;
  }),
  fault(
    'device-off',
    'the device is without power for a second and has lost its tables',
    60,
    async (site) => {
      const { epoch } = await site.host.device();
      await site.host.inject({ poweredOff: true });
      site.churn();
      await pause(1000);
      await site.host.inject({ poweredOff: false });
      await site.host.powerCycle();
      return async ({ host }) => (await host.device()).epoch > epoch;
    },
  ),
  fault('table-full', 'more routes than the device has room for, and fewer again', 60, async (site) => {
    const { host, router } = site;
    const refused = async () => {
      const { offload } = await host.status();
      return offload.find(({ kind }) => kind === 'route')?.refused ?? 0;
    };
    const before = await refused();
    router.batch(many('add'));
    site.churn();
    await host.until('the device refuses', async () => (await refused()) > before);
    await site.right(60);
    router.batch(many('del'));
    return undefined;
  }),
];
