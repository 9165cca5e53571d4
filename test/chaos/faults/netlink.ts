/** What the kernel sends is lost, damaged, interrupted, or of a kernel to come. */
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from '../../support/host.ts';
import { host4, macOf, repairLines, stormRoutes } from '../../support/router.ts';
import { type Fault, fault, grows, metric, SHOWN, said, shown, status, whileStopped } from '../fault.ts';
import type { SPOILS } from '../inside.ts';
import { PORTS, type Site } from '../site.ts';

/** More than the receive buffer that hosts have by default has room for. */
const STORM = 40_000;
/** Longest that datagrams are spoilt for. */
const SPOILT_MS = 60_000;
/** More than can come meanwhile. */
const ALL = 2 ** 30;

/** Every kernel tells of neighbours. */
function* neighbours(verb: 'replace' | 'del'): Generator<string> {
  for (let port = 0; port < PORTS; port++)
    for (let number = 10; number < 250; number++) {
      const word = verb === 'del' ? '' : ` lladdr ${macOf(port, number)} nud permanent`;
      yield `neigh ${verb} ${host4(port, number)} dev p${port}${word}`;
    }
}

/** Changes go on until what was to be spoilt was. */
async function whileSpoilt(site: Site, name: (typeof SPOILS)[number]): Promise<void> {
  const end = performance.now() + SPOILT_MS;
  for (;;) {
    site.churn();
    await pause(100);
    const left = (await site.spoil({}))[name];
    if (left <= 0) return;
    if (performance.now() > end) throw new Error(`${left} datagrams (${name}) were not spoilt: none came`);
  }
}

/** Datagrams that the kernel dropped at the host's netlink sockets. */
function dropped({ router, host }: Site): number {
  const fds = `/proc/${host.pid}/fd`;
  const sockets = new Set(readdirSync(fds).map((fd) => readlinkSync(join(fds, fd))));
  const lines = router.run('cat', ['/proc/net/netlink']).split('\n').slice(1);
  const fields = lines.map((line) => line.trim().split(/\s+/));
  // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (net/netlink/af_netlink.c netlink_native_seq_show)
  return fields.reduce((sum, of) => (sockets.has(`socket:[${of[9]}]`) ? sum + Number(of[8]) : sum), 0);
}

export const NETLINK_FAULTS: readonly Fault[] = [
  fault(
    'netlink-overrun',
    'the host sleeps while thousands of routes come and go: the kernel drops notifications',
    30,
    async (site) => {
      const counted = await grows(site, 'ekho_sync_overruns_total');
      const log = said(site, 'read again: overrun', true);
      const seen = resynced(site);
      const before = dropped(site);
      await whileStopped(site, () => {
        // Ports that are down take no routes.
        site.router.batch(Array.from({ length: PORTS }, (_, port) => repairLines(port)).flat());
        site.router.batch([...stormRoutes(STORM, PORTS)]);
        site.churn();
        site.router.batch([...stormRoutes(STORM, PORTS, 'del')]);
        if (dropped(site) === before) throw new Error('the kernel dropped no notification');
      });
      return { happened: SHOWN, status: seen, metrics: counted, log };
    },
  ),
  fault(
    'netlink-malformed',
    'ten notifications arrive cut short or with lengths that lie',
    30,
    async (site) => {
      const counted = await grows(site, 'ekho_sync_malformed_messages_total');
      const log = said(site, 'read again: malformed', true);
      const seen = resynced(site);
      await site.spoil({ notifications: 10 });
      await whileSpoilt(site, 'notifications');
      return { happened: 'shown', status: seen, metrics: counted, log };
    },
  ),
  fault('dump-malformed', 'all datagrams of dumps do, until somebody sees it', 120, async (site) => {
    const counted = await grows(site, 'ekho_sync_resyncs_total');
    const log = said(site, 'tried again');
    await site.spoil({ notifications: 1, dumps: ALL });
    await whileSpoilt(site, 'notifications');
    const seen = await shown(site, 'a kind is not in sync, and why', async () =>
      (await site.host.status()).kinds.some(
        ({ state, reason }) => state === 'syncing' && reason !== undefined,
      ),
    );
    const { dumps } = await site.spoil({ dumps: 0 });
    if (dumps >= ALL) throw new Error('no dump was spoilt');
    return { happened: 'shown', status: seen, metrics: counted, log };
  }),
  fault(
    'dump-interrupted',
    'the kernel says of all dumps that their parts do not fit together, until somebody sees it',
    30,
    async (site) => {
      const counted = await grows(site, 'ekho_sync_interrupted_dumps_total');
      const log = said(site, 'changed during each of');
      await site.spoil({ notifications: 1, interrupted: ALL });
      await whileSpoilt(site, 'notifications');
      const seen = await shown(
        site,
        'the mirror is not in sync',
        async () => !(await site.host.status()).synced && (await log()),
      );
      await site.spoil({ interrupted: 0 });
      return { happened: counted, status: seen, metrics: counted, log };
    },
  ),
  fault('dump-thread-killed', 'the thread that receives dumps ends while it does', 30, async (site) => {
    const counted = await grows(site, 'ekho_sync_resyncs_total');
    const log = said(site, 'the thread that receives dumps ended');
    const seen = resynced(site);
    const { dumpThread } = await site.spoil({});
    const end = performance.now() + SPOILT_MS;
    // Nobody but the log tells whether something was asked of it just then.
    for (let round = 0; !(await log()); round++) {
      if (performance.now() > end) throw new Error('no thread ended while it was in use');
      if (round % 10 === 0) await site.spoil({ notifications: 1 });
      site.churn(20);
      await site.spoil({ dumpThread: 1 });
    }
    return {
      happened: async () => (await site.spoil({})).dumpThread > dumpThread,
      status: seen,
      metrics: counted,
      log,
    };
  }),
  fault('newer-kernel', 'every message has an attribute that nobody knows', 30, async (site) => {
    const { grown } = await site.spoil({});
    // A notification that cannot be read has everything read again.
    await site.spoil({ unknown: 1, notifications: 1 });
    await whileSpoilt(site, 'notifications');
    site.churn();
    await site.right(60);
    const before = await metric(site, 'ekho_sync_malformed_messages_total');
    site.churn();
    await site.right(60);
    if ((await metric(site, 'ekho_sync_malformed_messages_total')) > before)
      throw new Error('a message with an attribute that nobody knows counts as malformed');
    const { grown: grownNow } = await site.spoil({ unknown: 0, notifications: 1 });
    await whileSpoilt(site, 'notifications');
    const why = { not: 'nothing is wrong: what is not known is passed over' };
    return { happened: async () => grownNow > grown + 10, status: why, metrics: why, log: why };
  }),
  fault('ring-lost', 'the host sleeps until the ring of the kernel’s notifiers is full', 30, async (site) => {
    const { notifier } = await site.host.status();
    const counted = await grows(site, 'ekho_notifier_lost_events_total');
    const log = said(site, 'found the ring full', true);
    await whileStopped(site, () => {
      site.router.batch([...neighbours('replace')]);
      site.churn();
      site.router.batch([...neighbours('del')]);
    });
    if (notifier?.state !== 'on') {
      const why = { not: 'this kernel gives no notifiers' };
      return { happened: 'shown', status: why, metrics: why, log: why };
    }
    const lost = status(site, ({ notifier: now }) => now!.lost > notifier.lost);
    return { happened: lost, status: lost, metrics: counted, log };
  }),
];

/** What was read again began after now. */
function resynced(site: Site) {
  const began = Date.now();
  return status(site, ({ resync }) => resync !== undefined && Date.parse(resync.started) >= began - 1);
}
