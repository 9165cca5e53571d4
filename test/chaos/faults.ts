/**
 * Faults, each with what it does while the router goes on changing, and how an operator sees that it happened. Most of it is what a
 * machine does to a process: signals, limits, files, links.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Status } from '../../host/api/schemas.ts';
import { pause } from '../support/host.ts';
import { stormRoutes } from '../support/router.ts';
import { PLUGIN, PORTS, type Site } from './site.ts';

export interface Fault {
  readonly name: string;
  readonly what: string;
  /** Seconds from the fault's end until all is right again. */
  readonly within: number;
  /** Does it, and takes it back. What it returns is to hold afterwards: the fault can be seen. */
  run(site: Site): Promise<Seen | undefined>;
}

/** Whether status, log or metrics tell of the fault. */
export type Seen = (site: Site) => Promise<boolean>;

const STORM = 8000;

function plugin({ plugins }: Status) {
  return plugins.find(({ name }) => name === PLUGIN)!;
}

/** The plugin was started again since `before`. */
function restarted(before: Status): Seen {
  return async ({ host }) => plugin(await host.status()).restarts > plugin(before).restarts;
}

function said(text: string, since: number): Seen {
  return async ({ host }) => host.output.slice(since).includes(text);
}

function fault(name: string, what: string, within: number, run: Fault['run']): Fault {
  return { name, what, within, run };
}

async function whileStopped(site: Site, during: () => void): Promise<void> {
  process.kill(site.host.pid, 'SIGSTOP');
  try {
    during();
  } finally {
    process.kill(site.host.pid, 'SIGCONT');
  }
  await pause(50);
}

const overruns = async (site: Site): Promise<number> => {
  let metrics = '';
  for await (const part of await site.host.client.open('/metrics', 'text/plain')) metrics += part;
  return Number(/^ekho_sync_overruns_total (\d+)/m.exec(metrics)?.[1] ?? 0);
};

export const FAULTS: readonly Fault[] = [
  fault('none', 'changes of the router alone', 20, async (site) => {
    site.churn(120);
    return undefined;
  }),
  fault(
    'netlink-overrun',
    'the host sleeps while thousands of routes come and go: the kernel drops notifications',
    40,
    async (site) => {
      const before = await overruns(site);
      await whileStopped(site, () => {
        site.router.batch([...stormRoutes(STORM, PORTS)]);
        site.churn();
        site.router.batch([...stormRoutes(STORM, PORTS, 'del')]);
      });
      return async (after) => (await overruns(after)) > before;
    },
  ),
  fault('host-stopped', 'SIGSTOP for two seconds', 20, async (site) => {
    process.kill(site.host.pid, 'SIGSTOP');
    site.churn();
    await pause(2000);
    process.kill(site.host.pid, 'SIGCONT');
    return undefined;
  }),
  fault('host-killed', 'SIGKILL, changes, a new host', 40, async (site) => {
    const { host } = site;
    const before = (await host.status()).pid;
    await host.stop('SIGKILL');
    site.churn();
    await host.launch();
    return async () => (await host.status()).pid !== before;
  }),
  fault('host-restarted', 'SIGTERM, changes, a new host', 40, async (site) => {
    const { host } = site;
    const before = (await host.status()).pid;
    const code = await host.stop();
    if (code !== 0) throw new Error(`the host ended with exit code ${code}:\n${host.output.slice(-4000)}`);
    site.churn();
    await host.launch();
    return async () => (await host.status()).pid !== before;
  }),
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
  fault('link-renamed', 'a port gets another name and its own again', 20, async (site) => {
    const port = site.random.below(PORTS);
    site.router.batch([`link set p${port} down`, `link set p${port} name q${port}`, `link set q${port} up`]);
    site.churn();
    site.router.batch([`link set q${port} down`, `link set q${port} name p${port}`, `link set p${port} up`]);
    return undefined;
  }),
  fault('ifindex-reused', 'a port is deleted and another link has its index and name', 20, async (site) => {
    const port = site.random.below(PORTS);
    const [link] = JSON.parse(site.router.ip(`-j link show p${port}`)) as [{ ifindex: number }];
    site.router.batch([`link del p${port}`]);
    site.churn();
    site.router.batch([
      `link add p${port} index ${link.ifindex} type veth peer name v${port}`,
      `link set p${port} up`,
      `link set v${port} up`,
      `addr add 10.255.${port}.1/24 dev p${port}`,
      `addr add 2001:db8:f${port}::1/64 dev p${port} nodad`,
    ]);
    return undefined;
  }),
  fault('masters-change', 'a port goes through a bridge and a VRF', 20, async (site) => {
    const port = site.random.below(PORTS);
    site.router.batch(['link add cbr type bridge', 'link set cbr up', `link set p${port} master cbr`]);
    site.churn();
    site.router.batch([
      'link add cvrf type vrf table 77',
      'link set cvrf up',
      `link set p${port} master cvrf`,
    ]);
    site.churn();
    site.router.batch([`link set p${port} nomaster`, 'link del cvrf', 'link del cbr']);
    site.router.batch([`addr add 2001:db8:f${port}::1/64 dev p${port} nodad`]);
    return undefined;
  }),
  fault('descriptors', 'no file descriptor is left, and clients connect', 40, async (site) => {
    const { descriptors } = site.usage();
    const before = Number(
      /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${site.host.pid}/limits`, 'utf8'))![1],
    );
    const limit = (soft: number) =>
      execFileSync('prlimit', ['--pid', `${site.host.pid}`, `--nofile=${soft}:`]);
    limit(descriptors + 2);
    const sockets = Array.from({ length: 20 }, () => connect(site.host.socket).on('error', () => {}));
    site.churn();
    await pause(500);
    for (const socket of sockets) socket.destroy();
    limit(before);
    return undefined;
  }),
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
