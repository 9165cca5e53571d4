/** The host’s own process on a router: its clock, its limits, and its configuration. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { pause, type TestHost } from '../../support/host.ts';
import { stormRoutes } from '../../support/router.ts';
import { type Fault, fault, grows, SHOWN, said, shown, startsAnew, status } from '../fault.ts';
import { MemoryGroup } from '../memory-group.ts';
import { PORTS, type Site } from '../site.ts';
import { hostKilled, hostRestarted, hostStopped } from './host.ts';

const DAY_S = 86_400;
const CLIENTS = 64;
const STORM = 8000;
const STORMS = 25;
/** Address space that the host may have beyond what it has, and by how much less after each storm that it had room for. */
const SPARE = 24 * 2 ** 20;
const SPARE_STEP = 2 ** 20;
/** What its control group lets it have. */
const GROUP_SPARE = 8 * 2 ** 20;
/** How near to its limit it must have come. */
const NEAR = 12 * 2 ** 20;

const ADDRESS_SPACE = /^Max address space\s+(\S+)/m;

/** Soft limit of a resource, in bytes or pieces; resolves to what puts the old one back. */
function limit(site: Site, option: string, name: RegExp, soft: number): () => void {
  const { pid } = site.host;
  const before = name.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))![1]!;
  execFileSync('prlimit', ['--pid', `${pid}`, `--${option}=${soft}:`]);
  return () => {
    if (site.host.isRunning) execFileSync('prlimit', ['--pid', `${pid}`, `--${option}=${before}:`]);
  };
}

/** In bytes. */
function addressSpace(pid: number): number {
  return Number(/^VmSize:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** Milliseconds by which the host's clock is ahead of this process', by what it writes down. */
async function clockOf({ host }: Site): Promise<number> {
  const { times } = await host.client.get<{ times: number[] }>('/api/v1/series');
  return (times.at(-1) ?? Number.NaN) - Date.now();
}

/** Storms of routes, one on top of the other, until it is so; they are gone afterwards. False when it never was. */
async function stormUntil(site: Site, isSo: () => boolean): Promise<boolean> {
  let routes = 0;
  while (!isSo() && routes < STORM * STORMS) {
    site.router.batch([...stormRoutes(routes + STORM, PORTS)].slice(routes));
    routes += STORM;
    site.churn();
    await pause(500);
  }
  const was = isSo();
  site.router.batch([...stormRoutes(routes, PORTS, 'del')]);
  return was;
}

/** A host that the system ended is started again, as what runs it would; false when it was not ended. */
async function startedAgain(host: TestHost): Promise<boolean> {
  // One that is being killed is there for a while, and does not answer.
  const isDecided = async () => !host.isRunning || (await host.status().catch(() => undefined)) !== undefined;
  await host.until('the host answers or has ended', isDecided);
  if (host.isRunning) return false;
  await host.launch();
  return true;
}

export const PROCESS_FAULTS: readonly Fault[] = [
  hostStopped<Site>('host-stopped', 30),
  hostKilled<Site>('host-killed', 30),
  hostRestarted<Site>('host-restarted', 30),
  fault('descriptors', 'no file descriptor is left, and clients connect', 30, async (site) => {
    const { descriptors } = site.usage();
    const counted = await grows(site, 'ekho_descriptors_short_seconds_total');
    const before = (await site.host.status()).descriptors_short_s;
    const log = said(site, 'no file descriptor is left', true);
    const lift = limit(site, 'nofile', /^Max open files\s+(\S+)/m, descriptors + 2);
    const sockets = new Set<Socket>();
    let turnedAway = 0;
    // Whoever is turned away comes again: what the host closes meanwhile is taken at once.
    const crowd = () => {
      while (sockets.size < CLIENTS) {
        const socket = connect(site.host.socket).on('error', () => {});
        sockets.add(socket);
        socket.on('close', () => {
          sockets.delete(socket);
          turnedAway++;
        });
      }
    };
    try {
      site.churn();
      const end = performance.now() + 60_000;
      while (!(turnedAway > 0 && (await log())) && performance.now() < end) {
        crowd();
        site.churn(5);
        await pause(100);
      }
    } finally {
      for (const socket of sockets) socket.destroy();
      lift();
    }
    return {
      happened: log,
      status: status(site, ({ descriptors_short_s }) => descriptors_short_s > before),
      metrics: counted,
      log,
    };
  }),
  fault(
    'memory',
    'address space is limited to what the host has and a little, and a storm comes',
    30,
    async (site) => {
      const { host } = site;
      const anew = await startsAnew(site);
      const ended = said(site, 'the process ended');
      let [most, spare] = [addressSpace(host.pid) + SPARE, SPARE];
      const lift = limit(site, 'as', ADDRESS_SPACE, most);
      const isNear = () => {
        const now = addressSpace(host.pid);
        // Not a number: it has ended by now.
        if (!(now <= most - NEAR)) return true;
        // It gave some back since: that is not to be its room.
        spare -= SPARE_STEP;
        most = Math.min(most, now + spare);
        limit(site, 'as', ADDRESS_SPACE, most);
        return false;
      };
      const isShort = await stormUntil(site, () => !host.isRunning || isNear());
      lift();
      // A process that the system gives no memory ends, and what runs it starts it again.
      if (await startedAgain(host)) return { ...anew, happened: ended };
      const why = { not: 'the host needed no more than there was' };
      return { happened: async () => isShort, status: why, metrics: why, log: why };
    },
  ),
  fault(
    'memory-group',
    'the host’s control group has room for 8 MiB more, and a storm comes',
    30,
    async (site) => {
      const { host } = site;
      const anew = await startsAnew(site);
      const ended = said(site, 'the process ended: SIGKILL');
      const group = MemoryGroup.make(`ekho-chaos-${process.pid}`);
      if (group === undefined) {
        const why = { not: 'this system gives no control groups for memory' };
        return { happened: SHOWN, status: why, metrics: why, log: why };
      }
      try {
        group.limit(host.pid, GROUP_SPARE);
        if (!(await stormUntil(site, () => group.times > 0))) throw new Error('the host wanted no more');
        await pause(1000);
      } finally {
        await group.remove();
      }
      if (await startedAgain(host)) return { ...anew, happened: ended };
      const why = { not: 'what the kernel took back was enough for the host' };
      return { happened: SHOWN, status: why, metrics: why, log: why };
    },
  ),
  fault('clock-jumps', 'the clock goes a day ahead, then two back, then right', 30, async (site) => {
    for (const clock of [DAY_S, -DAY_S, 0]) {
      await site.spoil({ clock });
      site.churn();
      await shown(
        site,
        'the host has the new time',
        async () => Math.abs((await clockOf(site)) - clock * 1000) < DAY_S * 100,
      );
      await site.right(60);
    }
    const why = { not: 'the time of day is the system’s, and nothing the host does goes by it' };
    return { happened: 'shown', status: why, metrics: why, log: why };
  }),
  fault('config-torn', 'half of the configuration file, SIGHUP, then all of it', 30, async (site) => {
    const { host } = site;
    const whole = readFileSync(host.config, 'utf8');
    const metrics = await grows(site, 'ekho_log_lines_total', 'level="error"');
    const log = said(site, 'configuration not read again, all stays as it was');
    const again = said(site, 'configuration read again');
    writeFileSync(host.config, whole.slice(0, whole.lastIndexOf('"')));
    process.kill(host.pid, 'SIGHUP');
    site.churn();
    await shown(site, 'the host says that the file is wrong', log);
    writeFileSync(host.config, whole);
    process.kill(host.pid, 'SIGHUP');
    return {
      happened: again,
      status: { not: 'what the host runs with is right: the file is not' },
      metrics,
      log,
    };
  }),
];
