/** The disk: full, or read-only. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from '../../support/host.ts';
import { type Fault, fault } from '../fault.ts';

export const DISK_FAULTS: readonly Fault[] = [
  fault('disk-full', 'no room on the disk while the host ends and starts', 60, async (site) => {
    const { host } = site;
    const full = join(site.disk, 'full');
    try {
      execFileSync('dd', ['if=/dev/zero', `of=${full}`, 'bs=64k'], { stdio: 'ignore' });
    } catch {
      // Until there is no room: that is what it is for.
    }
    site.churn();
    await host.stop();
    await host.launch();
    site.churn();
    await pause(500);
    rmSync(full);
    await host.restartPlugin().catch(() => {});
    return undefined;
  }),
  fault('disk-read-only', 'the disk is read-only for a while', 60, async (site) => {
    const remount = (mode: string) => execFileSync('mount', ['-o', `remount,${mode}`, site.disk]);
    remount('ro');
    site.churn();
    await site.host.restartPlugin().catch(() => {});
    await pause(1500);
    remount('rw');
    return undefined;
  }),
];
