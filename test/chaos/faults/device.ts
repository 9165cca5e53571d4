/** The device: it refuses, fails, is slow, is full, or without power. */
import type { Faults, OffloadCounts } from '../../../host/api/schemas.ts';
import { stormRoutes } from '../../support/router.ts';
import {
  type Fault,
  fault,
  grows,
  metric,
  plugin,
  SHOWN,
  type Signs,
  said,
  shown,
  status,
} from '../fault.ts';
import { PORTS, type Site } from '../site.ts';

const REFUSES = 'the device refused';
const FAILS = 'the device failed';
const SLOW_US = 20_000;
/** Routes more than there is room for. */
const MORE = 1000;

/** Routes that need no port, which may be down. */
function many(verb: 'add' | 'del', count: number): string[] {
  return [...stormRoutes(count, PORTS, verb)].map((line) => line.replace(/ (\S+) via .*/, ' blackhole $1'));
}

/** Entries in this state, of all kinds. */
function entries(rows: readonly OffloadCounts[], state: 'refused' | 'failed'): number {
  return rows.reduce((sum, row) => sum + row[state], 0);
}

/** Changes go on until status, metrics and log tell of entries in this state. */
async function whileTrouble(
  site: Site,
  faults: Faults,
  state: 'refused' | 'failed',
  text: string,
): Promise<Signs> {
  const before = entries((await site.host.status()).offload, state);
  const log = said(site, text, true);
  site.plain();
  await site.host.settled();
  await site.host.inject(faults);
  const seen = await shown(site, `entries are ${state}`, async () => {
    site.churn(20);
    return entries((await site.host.status()).offload, state) > before;
  });
  const counted = await shown(site, `metrics tell of entries that are ${state}`, async () => {
    site.churn(20);
    return (await metric(site, 'ekho_offload_entries', `state="${state}"`)) > before;
  });
  await shown(site, 'the log tells of it', async () => {
    site.churn(20);
    return log();
  });
  return { happened: SHOWN, status: seen, metrics: counted, log: SHOWN };
}

export const DEVICE_FAULTS: readonly Fault[] = [
  fault('device-refuses', 'the device refuses all writes until somebody sees it', 30, async (site) => {
    const signs = await whileTrouble(site, { refuse: true }, 'refused', REFUSES);
    await site.host.inject({ refuse: false });
    return signs;
  }),
  fault('device-fails', 'every third write meets an I/O error until somebody sees it', 30, async (site) => {
    const signs = await whileTrouble(site, { failEvery: 3 }, 'failed', FAILS);
    await site.host.inject({ failEvery: 0 });
    return signs;
  }),
  fault('device-slow', 'each burst takes 20 ms', 30, async (site) => {
    const { batches, apply_us } = plugin(await site.host.status());
    const seconds = await metric(site, 'ekho_plugin_apply_seconds_total');
    await site.host.inject({ delay: SLOW_US });
    const seen = await shown(site, 'batches take long', async () => {
      site.churn(30);
      const now = plugin(await site.host.status());
      return now.batches > batches && (now.apply_us - apply_us) / (now.batches - batches) > SLOW_US / 2;
    });
    await site.host.inject({ delay: 0 });
    return {
      happened: SHOWN,
      status: seen,
      metrics: async () => (await metric(site, 'ekho_plugin_apply_seconds_total')) > seconds + SLOW_US / 1e6,
      log: { not: 'how long a device takes is measured, and what is long is for alerts to say' },
    };
  }),
  fault(
    'device-off',
    'the device is without power until somebody sees it, and has lost its tables',
    30,
    async (site) => {
      const { host } = site;
      const { epoch } = await host.device();
      const counted = await grows(site, 'ekho_device_resets_total');
      const lost = said(site, 'the device lost what it held');
      site.plain();
      await host.settled();
      await host.inject({ poweredOff: true });
      const seen = await shown(site, 'the device is told to be off, and fails', async () => {
        site.churn(20);
        const { offload, devices, plugins } = await host.status();
        return (
          devices[0]!.faults!.poweredOff && (entries(offload, 'failed') > 0 || plugins[0]!.state !== 'active')
        );
      });
      await host.inject({ poweredOff: false });
      await host.powerCycle();
      return {
        happened: status(site, ({ devices }) => devices[0]!.epoch > epoch),
        status: seen,
        metrics: counted,
        log: lost,
      };
    },
  ),
  fault('table-full', 'more routes than the device has room for, and fewer again', 30, async (site) => {
    const { host, router } = site;
    const refused = async () => {
      const { offload } = await host.status();
      return offload.find(({ kind }) => kind === 'route')?.refused ?? 0;
    };
    const log = said(site, REFUSES, true);
    // Where a rule hides a table, its routes need no room.
    site.plain();
    await host.settled();
    const before = await refused();
    const counted = await grows(site, 'ekho_offload_entries', 'kind="route"', 'state="refused"');
    const table = async () => (await host.device()).tables.find(({ name }) => name === 'lpm4')!;
    const { used: had, capacity } = await table();
    // Those of a link that fell are missing until the daemon announces them again.
    const count = capacity - had + MORE;
    router.batch(many('add', count));
    const seen = await shown(site, 'the device refuses', async () => (await refused()) > before);
    await shown(site, 'metrics tell of it', counted);
    const { used } = await table();
    // The last places are kept for what hides those that found none.
    if (used < capacity * 0.98) throw new Error(`the table has ${used} of ${capacity} rows, and is not full`);
    await shown(site, 'the log tells of it', log);
    site.churn();
    await site.right(60);
    router.batch(many('del', count));
    return { happened: SHOWN, status: seen, metrics: SHOWN, log: SHOWN };
  }),
];
