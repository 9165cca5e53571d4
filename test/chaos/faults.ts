/**
 * Faults, each with what it does while the router goes on changing, and how an operator sees that it happened. Most of it is what a
 * machine does to a process: signals, limits, files, links.
 */
import { type Fault, fault, grows } from './fault.ts';
import { DEVICE_FAULTS } from './faults/device.ts';
import { DISK_FAULTS } from './faults/disk.ts';
import { LINK_FAULTS } from './faults/links.ts';
import { NETLINK_FAULTS } from './faults/netlink.ts';
import { PLUGIN_FAULTS } from './faults/plugin.ts';
import { PROCESS_FAULTS } from './faults/process.ts';

export const FAULTS: readonly Fault[] = [
  fault('none', 'changes of the router alone', 60, async (site) => {
    const happened = await grows(site, 'ekho_mirror_changes_total');
    site.churn(120);
    const why = { not: 'nothing is wrong' };
    return { happened, status: why, metrics: why, log: why };
  }),
  ...NETLINK_FAULTS,
  ...PROCESS_FAULTS,
  ...PLUGIN_FAULTS,
  ...DEVICE_FAULTS,
  ...LINK_FAULTS,
  ...DISK_FAULTS,
];
