/** The disk: full, or read-only. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Fault, fault, grows, said, shown } from '../fault.ts';
import type { Site } from '../site.ts';

const NO_STATUS = { not: 'only what a next host would begin with is on the disk' };

/** The host writes its counters at least once a minute: it says that it cannot, and then it can. */
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

/** Until there is room for neither another file nor another block. */
function fill(folder: string): void {
  mkdirSync(folder);
  try {
    execFileSync('dd', ['if=/dev/zero', `of=${join(folder, 'blocks')}`, 'bs=4k'], { stdio: 'ignore' });
  } catch {
    // Without room for the next block: that is what it is for.
  }
  try {
    for (let number = 0; ; number++) writeFileSync(join(folder, `${number}`), '');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}

export const DISK_FAULTS: readonly Fault[] = [
  fault('disk-full', 'no room on the disk while the host ends and starts', 30, async (site) => {
    const { host } = site;
    const full = join(site.disk, 'full');
    fill(full);
    const { bavail, ffree } = statfsSync(site.disk);
    if (bavail > 0 || ffree > 0) throw new Error('the disk is not full');
    return whileUnwritable(
      site,
      async () => {
        await host.stop();
        await host.launch();
      },
      () => rmSync(full, { recursive: true }),
    );
  }),
  fault('disk-read-only', 'the disk is read-only for a while', 30, async (site) => {
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
