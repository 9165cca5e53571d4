/** The plugin: its process, its file, its transpiled code, and plugins that do wrong. */
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Breakdown, buildBreakdown } from '../../support/breakdown.ts';
import { pause } from '../../support/host.ts';
import { type Fault, fault, plugin, restarted, type Seen, said } from '../fault.ts';
import type { Site } from '../site.ts';

const REPLACED_MS = 120_000;

/** Built when first wanted. */
const folders = new Map<Breakdown, Promise<string>>();

/** A version of the plugin that breaks down with every batch takes its place while things change, until it was started again. */
async function whileReplaced(site: Site, how: Breakdown): Promise<Seen> {
  if (!folders.has(how)) folders.set(how, buildBreakdown(how, 0));
  const folder = await folders.get(how)!;
  const before = await site.host.status();
  site.copyPlugin(folder);
  const seen = restarted(before);
  await site.host.until(
    `a plugin that ${how} was started again`,
    async () => {
      site.churn(10);
      await pause(200);
      return seen(site);
    },
    REPLACED_MS,
  );
  site.copyPlugin();
  return seen;
}

export const PLUGIN_FAULTS: readonly Fault[] = [
  fault('plugin-killed', 'SIGKILL for the process of the plugin', 40, async (site) => {
    const before = await site.host.status();
    const children = site.children();
    if (children.length === 0) throw new Error('the host has no process of a plugin');
    for (const pid of children) process.kill(pid, 'SIGKILL');
    site.churn();
    return restarted(before);
  }),
  fault('plugin-stopped', 'the process of the plugin hangs (SIGSTOP)', 90, async (site) => {
    const before = await site.host.status();
    for (const pid of site.children()) process.kill(pid, 'SIGSTOP');
    site.churn();
    return restarted(before);
  }),
  fault('plugin-restarted', 'an operator restarts the plugin', 40, async (site) => {
    await site.host.restartPlugin();
    site.churn();
    return undefined;
  }),
  fault('plugin-file-torn', 'half of the plugin’s file, then all of it', 60, async (site) => {
    const since = site.host.output.length;
    truncateSync(site.plugin, 5000);
    site.churn();
    await pause(1500);
    site.copyPlugin();
    return said('not replaced', since);
  }),
  fault('plugin-file-gone', 'the plugin’s file is removed and comes back', 60, async (site) => {
    rmSync(site.plugin);
    site.churn();
    await pause(1500);
    site.copyPlugin();
    return undefined;
  }),
  fault('cache-corrupted', 'every file of the cache is garbage, then the plugin starts', 90, async (site) => {
    const files = readdirSync(site.cache, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    for (const { parentPath, name } of files) {
      const file = join(parentPath, name);
      const bytes = readFileSync(file);
      for (let count = 0; count < 64; count++)
        bytes[site.random.below(bytes.length)] = site.random.below(256);
      writeFileSync(file, bytes);
    }
    await site.host.restartPlugin();
    site.churn();
    return undefined;
  }),
  fault('plugin-traps', 'a new version of the plugin traps with every batch, and is replaced', 90, (site) =>
    whileReplaced(site, 'traps'),
  ),
  fault('plugin-hangs', 'one that does not come back', 90, (site) => whileReplaced(site, 'hangs')),
  fault('plugin-grows', 'one that takes all memory it is given, and then traps', 90, (site) =>
    whileReplaced(site, 'grows'),
  ),
  fault(
    'plugin-lies',
    'one that does nothing, says that it was done, and answers what it was not asked',
    90,
    async (site) => {
      const { host } = site;
      const since = host.output.length;
      if (!folders.has('lies')) folders.set('lies', buildBreakdown('lies', 0));
      const folder = await folders.get('lies')!;
      const { sha256 } = plugin(await host.status());
      site.copyPlugin(folder);
      await host.until('the plugin was replaced', async () => {
        const { sha256: now, state } = plugin(await host.status());
        return now !== sha256 && state === 'active';
      });
      // Its own readback tells.
      await host.until('device and plan differ', async () => {
        site.churn(20);
        return !(await host.verify()).equal;
      });
      site.copyPlugin();
      return said('answered what it may not answer', since);
    },
  ),
];
