/** The disk: full, or read-only. */
import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Fault, fault, grows, said, shown } from '../fault.ts';
import type { Site } from '../site.ts';

const NO_STATUS = { not: 'only what a next host would begin with is on the disk' };

/** The host writes its counters once a second: it says that it cannot, and then it can. */
async function whileUnwritable(site: Site, restart: () => Promise<void>, free: () => void) {
  const metrics = await grows(site, 'ekho_log_lines_total', 'level="warn"');
  const log = said(site, 'counters are not kept');
  site.churn();
  await shown(site, 'the log says that counters are not kept', log);
  await shown(site, 'metrics count the line', metrics);
  await restart();
  site.churn();
  free();
  const freed = Date.now();
  const written = async () =>
    (statSync(join(site.disk, 'counters'), { throwIfNoEntry: false })?.mtimeMs ?? 0) > freed;
  return { happened: written, status: NO_STATUS, metrics: 'shown', log } as const;
}

export const DISK_FAULTS: readonly Fault[] = [
  fault('disk-full', 'no room on the disk while the host ends and starts', 60, async (site) => {
    const { host } = site;
    const full = join(site.disk, 'full');
    try {
      execFileSync('dd', ['if=/dev/zero', `of=${full}`, 'bs=4k'], { stdio: 'ignore' });
    } catch {
      // Until there is no room: that is what it is for.
    }
    if (statfsSync(site.disk).bavail > 0) throw new Error('the disk is not full');
    return whileUnwritable(
      site,
      async () => {
        await host.stop();
        await host.launch();
      },
      () => rmSync(full),
    );
  }),
  fault('disk-read-only', 'the disk is read-only for a while', 60, async (site) => {
    const remount = (mode: string) => execFileSync('mount', ['-o', `remount,${mode}`, site.disk]);
    remount('ro');
    return whileUnwritable(
      site,
      async () => {
        await site.host.restartPlugin().catch(() => {});
      },
      () => remount('rw'),
    );
  }),
];
