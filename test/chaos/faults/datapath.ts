/** Of the XDP data path, while packets pass: its programs and pins are removed, its plugin and its host end. */
import { rmSync } from 'node:fs';
import { type Fault, fault, grows, plugin, whileStopped } from '../fault.ts';
import type { WiredSite } from '../wired.ts';

export const DATAPATH_FAULTS: readonly Fault<WiredSite>[] = [
  fault('program-removed', 'somebody takes the BPF program off a port', 40, async (site) => {
    const counted = await grows(site, 'ekho_device_detached_total');
    site.detach(`p${site.random.below(2)}`);
    site.churn();
    return counted;
  }),
  fault('pins-removed', 'the folder with all that is pinned is removed', 40, async (site) => {
    rmSync(site.state, { recursive: true });
    site.churn();
    return undefined;
  }),
  fault('path-host-killed', 'SIGKILL for the host, changes, a new host: packets go on', 60, async (site) => {
    const { host } = site;
    const before = (await host.status()).pid;
    await host.stop('SIGKILL');
    site.churn();
    await host.launch();
    return async () => (await host.status()).pid !== before;
  }),
  fault('path-host-stopped', 'SIGSTOP while routes change', 40, async (site) => {
    await whileStopped(site, () => {
      for (let round = 0; round < 10; round++) site.churn(200);
    });
    return undefined;
  }),
  fault('path-plugin-restarted', 'the plugin starts anew under the packets', 40, async (site) => {
    const before = plugin(await site.host.status()).restarts;
    await site.host.restartPlugin();
    site.churn();
    return async ({ host }) => plugin(await host.status()).restarts > before;
  }),
];
