/** Of the XDP data path, while packets pass: its programs and pins are removed, its plugin and its host end. */
import { readdirSync, rmSync } from 'node:fs';
import { type Fault, fault, grows, restarts, said, shown, status } from '../fault.ts';
import type { WiredSite } from '../wired.ts';
import { hostKilled, hostStopped } from './host.ts';

export const DATAPATH_FAULTS: readonly Fault<WiredSite>[] = [
  fault('program-removed', 'somebody takes the BPF program off a port', 30, async (site) => {
    const metrics = await grows(site, 'ekho_device_detached_total');
    const log = said(site, 'somebody took the data path off a port');
    const port = `p${site.random.below(2)}`;
    const times = ({ devices }: Awaited<ReturnType<typeof site.host.status>>) =>
      devices[0]!.ports!.find(({ link }) => link === port)?.detached ?? 0;
    const before = times(await site.host.status());
    if (site.programOf(port) === undefined) throw new Error(`there is no program on ${port}`);
    const link = site.linkOf(port);
    site.detach(port);
    site.churn();
    const seen = status(site, (now) => times(now) > before);
    await shown(site, 'a program is on the port again', async () => site.programOf(port) !== undefined);
    return { happened: async () => site.linkOf(port) !== link, status: seen, metrics, log };
  }),
  fault('pins-removed', 'the folder with all that is pinned is removed', 30, async (site) => {
    const pins = () => {
      try {
        return readdirSync(site.state, { recursive: true }).length;
      } catch {
        return 0;
      }
    };
    const before = pins();
    if (before === 0) throw new Error('nothing is pinned');
    rmSync(site.state, { recursive: true });
    const removed = pins() === 0;
    site.churn();
    const why = { not: 'what runs is not what is pinned: it is pinned again within seconds' };
    return { happened: async () => removed && pins() >= before, status: why, metrics: why, log: why };
  }),
  hostKilled<WiredSite>('path-host-killed', 30),
  hostStopped<WiredSite>('path-host-stopped', 30),
  fault('path-plugin-restarted', 'the plugin starts anew under the packets', 30, async (site) => {
    const signs = await restarts(site);
    const log = said(site, 'active (');
    await site.host.restartPlugin();
    site.churn();
    return { ...signs, happened: log, log };
  }),
  fault('path-worker-killed', 'the thread of the plugin ends wherever it is', 30, async (site) => {
    const signs = await restarts(site);
    const log = said(site, 'down: ');
    const { pluginThread } = await site.spoil({});
    site.churn();
    await site.spoil({ pluginThread: 1 });
    site.churn();
    return {
      ...signs,
      happened: async () => (await site.spoil({})).pluginThread > pluginThread,
      log,
    };
  }),
];
