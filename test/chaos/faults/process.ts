/** The host’s own process: signals, the clock, limits, and its configuration. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { pause } from '../../support/host.ts';
import { stormRoutes } from '../../support/router.ts';
import { all, type Fault, fault, grows, said } from '../fault.ts';
import { PORTS, type Site } from '../site.ts';

const DAY_S = 86_400;
const STORM = 8000;
/** Address space that the host may have beyond what it has. */
const SPARE = 48 * 2 ** 20;

/** Soft limit of a resource, in bytes or pieces; resolves to what puts the old one back. */
function limit(site: Site, option: string, name: RegExp, soft: number): () => void {
  const { pid } = site.host;
  const before = name.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))![1]!;
  execFileSync('prlimit', ['--pid', `${pid}`, `--${option}=${soft}:`]);
  return () => {
    if (site.host.isRunning) execFileSync('prlimit', ['--pid', `${pid}`, `--${option}=${before}:`]);
  };
}

export const PROCESS_FAULTS: readonly Fault[] = [
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
  fault('descriptors', 'no file descriptor is left, and clients connect', 40, async (site) => {
    const { descriptors } = site.usage();
    const lift = limit(site, 'nofile', /^Max open files\s+(\S+)/m, descriptors + 2);
    const sockets = Array.from({ length: 20 }, () => connect(site.host.socket).on('error', () => {}));
    site.churn();
    await pause(500);
    for (const socket of sockets) socket.destroy();
    lift();
    return undefined;
  }),
  fault(
    'memory',
    'address space is limited to what the host has and a little, and a storm comes',
    60,
    async (site) => {
      const { host } = site;
      const since = host.output.length;
      const size =
        Number(/^VmSize:\s+(\d+)/m.exec(readFileSync(`/proc/${host.pid}/status`, 'utf8'))![1]) * 1024;
      const lift = limit(site, 'as', /^Max address space\s+(\S+)/m, size + SPARE);
      site.router.batch([...stormRoutes(STORM, PORTS)]);
      site.churn();
      await pause(1000);
      site.router.batch([...stormRoutes(STORM, PORTS, 'del')]);
      lift();
      // A process that the system gives no memory ends, and what runs it starts it again.
      if (host.isRunning) return undefined;
      await host.launch();
      return said('the process ended', since);
    },
  ),
  fault('clock-jumps', 'the clock goes a day ahead, then two back, then right', 20, async (site) => {
    for (const clock of [DAY_S, -DAY_S, 0]) {
      await site.spoil({ clock });
      site.churn();
      await site.right(20);
    }
    return undefined;
  }),
  fault('config-torn', 'half of the configuration file, SIGHUP, then all of it', 20, async (site) => {
    const { host } = site;
    const since = host.output.length;
    const whole = readFileSync(host.config, 'utf8');
    const counted = await grows(site, 'ekho_log_lines_total');
    writeFileSync(host.config, whole.slice(0, whole.lastIndexOf('"')));
    process.kill(host.pid, 'SIGHUP');
    site.churn();
    await host.until('the host says that the file is wrong', async () =>
      host.output.slice(since).includes(host.config),
    );
    writeFileSync(host.config, whole);
    process.kill(host.pid, 'SIGHUP');
    return all(counted, said('configuration read again', since));
  }),
];
