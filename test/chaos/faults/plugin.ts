/** The plugin: its process, its file, its transpiled code, and plugins that do wrong. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PluginDetails } from '../../../host/api/schemas.ts';
import { type Breakdown, buildBreakdown } from '../../support/breakdown.ts';
import { pause } from '../../support/host.ts';
import {
  type Fault,
  fault,
  grows,
  metric,
  plugin,
  restarts,
  type Seen,
  SHOWN,
  type Signs,
  said,
  shown,
  status,
  stopped,
} from '../fault.ts';
import { PLUGIN, type Site } from '../site.ts';

const REPLACED_MS = 120_000;

/** Built when first wanted. */
const folders = new Map<Breakdown, Promise<string>>();

function brokenDown(how: Breakdown): Promise<string> {
  if (!folders.has(how)) folders.set(how, buildBreakdown(how, 0));
  return folders.get(how)!;
}

/** Builds the versions of the plugin that break down, which takes longer than the faults do. */
export async function buildBreakdowns(): Promise<void> {
  for (const how of ['traps', 'hangs', 'grows', 'lies'] as const) await brokenDown(how);
}

/** The plugin's errors of this code are more than now. */
async function erred({ host }: Site, code: string): Promise<Seen> {
  const times = async () => {
    const { errors } = await host.client.get<PluginDetails>(`/api/v1/plugins/${PLUGIN}`);
    return errors.filter((error) => error.code === code).at(-1)?.time ?? '';
  };
  const before = await times();
  return async () => (await times()) > before;
}

/** A version of the plugin that breaks down with every batch takes its place while things change, until it was started again. */
async function whileReplaced(site: Site, how: Breakdown, code: string): Promise<Signs> {
  const folder = await brokenDown(how);
  const signs = await restarts(site);
  const happened = await erred(site, code);
  const log = said(site, 'down: ');
  site.copyPlugin(folder);
  await site.host.until(
    `a plugin that ${how} was started again`,
    async () => {
      site.churn(10);
      await pause(200);
      return happened();
    },
    REPLACED_MS,
  );
  site.copyPlugin();
  return { ...signs, happened, log };
}

/** The one of the host, and it must be there. */
function processes(site: Site): number[] {
  const children = site.children();
  if (children.length === 0) throw new Error('the host has no process of a plugin');
  return children;
}

/** Every file of the cache, with what is in it. */
function cached(site: Site): Map<string, string> {
  const files = readdirSync(site.cache, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return new Map(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path, createHash('sha256').update(readFileSync(path)).digest('hex')];
    }),
  );
}

export const PLUGIN_FAULTS: readonly Fault[] = [
  fault('plugin-killed', 'SIGKILL for the process of the plugin', 30, async (site) => {
    const signs = await restarts(site);
    const log = said(site, 'down: ');
    const children = processes(site);
    for (const pid of children) process.kill(pid, 'SIGKILL');
    site.churn();
    const happened = async () => !site.children().some((pid) => children.includes(pid));
    return { ...signs, happened, log };
  }),
  fault('plugin-stopped', 'the process of the plugin hangs (SIGSTOP)', 90, async (site) => {
    const signs = await restarts(site);
    const log = said(site, 'down: ');
    for (const pid of processes(site)) {
      process.kill(pid, 'SIGSTOP');
      await stopped(pid);
    }
    await shown(site, 'the plugin that hangs is down', async () => {
      site.churn(20);
      return log();
    });
    return { ...signs, happened: SHOWN, log };
  }),
  fault('plugin-restarted', 'an operator restarts the plugin', 30, async (site) => {
    const signs = await restarts(site);
    const log = said(site, 'active (');
    const children = processes(site);
    await site.host.restartPlugin();
    site.churn();
    const happened = async () => {
      const now = site.children();
      return now.length > 0 && !now.some((pid) => children.includes(pid));
    };
    return { ...signs, happened, log };
  }),
  fault('plugin-file-torn', 'half of the plugin’s file, then all of it', 30, async (site) => {
    const log = said(site, 'not replaced');
    truncateSync(site.plugin, 5000);
    site.churn();
    const seen = await shown(
      site,
      'the plugin is degraded',
      status(site, (now) => plugin(now).state === 'degraded'),
    );
    await shown(site, 'metrics tell of it', async () => (await metric(site, 'ekho_plugin_degraded')) > 0);
    site.copyPlugin();
    return { happened: log, status: seen, metrics: SHOWN, log };
  }),
  fault('plugin-file-gone', 'the plugin’s file is removed and comes back', 30, async (site) => {
    const stops = said(site, 'stops; ');
    const comes = said(site, 'active (');
    rmSync(site.plugin);
    site.churn();
    const seen = await shown(
      site,
      'the plugin has no file',
      status(site, (now) => plugin(now).state !== 'active'),
    );
    const active = async () => (await metric(site, 'ekho_plugin_active')) === 0;
    await shown(site, 'metrics tell of it', active);
    await shown(site, 'the log tells of it', stops);
    site.copyPlugin();
    return { happened: comes, status: seen, metrics: SHOWN, log: stops };
  }),
  fault('cache-corrupted', 'every file of the cache is garbage, then the plugin starts', 90, async (site) => {
    const log = said(site, 'is damaged: it is made again');
    const metrics = await grows(site, 'ekho_log_lines_total', 'level="warn"');
    const whole = cached(site);
    if (whole.size === 0) throw new Error('the cache is empty');
    for (const file of whole.keys()) {
      const bytes = readFileSync(file);
      for (let count = 0; count < 64; count++)
        bytes[site.random.below(bytes.length)]! ^= 1 + site.random.below(255);
      writeFileSync(file, bytes);
    }
    const { mtimeMs } = statSync([...whole.keys()][0]!);
    await site.host.restartPlugin();
    site.churn();
    return {
      // What was written is there again as it was.
      happened: async () => {
        const now = cached(site);
        return [...now].some(([file, hash]) => whole.get(file) === hash && statSync(file).mtimeMs > mtimeMs);
      },
      status: { not: 'it is over before the plugin runs' },
      metrics,
      log,
    };
  }),
  fault('plugin-traps', 'a new version of the plugin traps with every batch, and is replaced', 90, (site) =>
    whileReplaced(site, 'traps', 'E_PLUGIN_TRAP'),
  ),
  fault('plugin-hangs', 'one that does not come back', 90, (site) =>
    whileReplaced(site, 'hangs', 'E_PLUGIN_TIMEOUT'),
  ),
  fault('plugin-grows', 'one that takes all memory it is given, and then traps', 90, (site) =>
    whileReplaced(site, 'grows', 'E_PLUGIN_TRAP'),
  ),
  fault(
    'plugin-lies',
    'one that does nothing, says that it was done, and answers what it was not asked',
    90,
    async (site) => {
      const { host } = site;
      const log = said(site, 'answered what it may not answer');
      const folder = await brokenDown('lies');
      const { sha256 } = plugin(await host.status());
      site.copyPlugin(folder);
      await shown(site, 'the plugin was replaced', async () => {
        const { sha256: now, state } = plugin(await host.status());
        return now !== sha256 && (state === 'active' || state === 'degraded');
      });
      // Its own readback tells.
      await shown(site, 'device and plan differ', async () => {
        site.churn(20);
        return !(await host.verify()).equal;
      });
      const seen = await shown(site, 'the plugin is degraded', async () => {
        site.churn(20);
        return plugin(await host.status()).state === 'degraded';
      });
      const degraded = async () => (await metric(site, 'ekho_plugin_degraded')) > 0;
      await shown(site, 'metrics tell of it', degraded);
      site.copyPlugin();
      return { happened: SHOWN, status: seen, metrics: SHOWN, log };
    },
  ),
];
