/** What the kernel sends is lost, damaged, interrupted, or of a kernel to come. */
import { pause } from '../../support/host.ts';
import { host4, macOf, stormRoutes } from '../../support/router.ts';
import { all, type Fault, fault, grows, said, whileStopped } from '../fault.ts';
import { PORTS, type Site } from '../site.ts';

const STORM = 8000;
/** Longest that datagrams are spoilt for. */
const SPOILT_MS = 20_000;

/** Every kernel tells of neighbours. */
function* neighbours(verb: 'replace' | 'del'): Generator<string> {
  for (let port = 0; port < PORTS; port++)
    for (let number = 10; number < 250; number++) {
      const word = verb === 'del' ? '' : ` lladdr ${macOf(port, number)} nud permanent`;
      yield `neigh ${verb} ${host4(port, number)} dev p${port}${word}`;
    }
}

/** Changes go on until the host received so much that what was to be spoilt was. */
async function whileSpoilt(site: Site, name: 'notifications' | 'dumps' | 'interrupted'): Promise<void> {
  const end = performance.now() + SPOILT_MS;
  do {
    site.churn();
    await pause(200);
  } while ((await site.spoil({}))[name] > 0 && performance.now() < end);
  await site.spoil({ notifications: 0, dumps: 0, interrupted: 0 });
}

export const NETLINK_FAULTS: readonly Fault[] = [
  fault(
    'netlink-overrun',
    'the host sleeps while thousands of routes come and go: the kernel drops notifications',
    40,
    async (site) => {
      const counted = await grows(site, 'ekho_sync_overruns_total');
      await whileStopped(site, () => {
        site.router.batch([...stormRoutes(STORM, PORTS)]);
        site.churn();
        site.router.batch([...stormRoutes(STORM, PORTS, 'del')]);
      });
      return all(counted, said('read again: overrun'));
    },
  ),
  fault(
    'netlink-malformed',
    'ten notifications arrive cut short or with lengths that lie',
    40,
    async (site) => {
      const counted = await grows(site, 'ekho_sync_malformed_messages_total');
      await site.spoil({ notifications: 10 });
      await whileSpoilt(site, 'notifications');
      return all(counted, said('read again: malformed'));
    },
  ),
  fault('dump-malformed', 'so do ten datagrams of dumps', 60, async (site) => {
    const since = site.host.output.length;
    await site.spoil({ notifications: 1, dumps: 10 });
    await whileSpoilt(site, 'dumps');
    return said('tried again', since);
  }),
  fault(
    'dump-interrupted',
    'the kernel says of forty datagrams of dumps that they do not fit together',
    60,
    async (site) => {
      const counted = await grows(site, 'ekho_sync_interrupted_dumps_total');
      await site.spoil({ notifications: 1, interrupted: 40 });
      await whileSpoilt(site, 'interrupted');
      return counted;
    },
  ),
  fault('newer-kernel', 'every message has an attribute that nobody knows', 60, async (site) => {
    // A notification that cannot be read has everything read again.
    await site.spoil({ unknown: 1, notifications: 1 });
    await whileSpoilt(site, 'notifications');
    site.churn();
    await site.right(40);
    await site.spoil({ unknown: 0, notifications: 1 });
    await whileSpoilt(site, 'notifications');
    return undefined;
  }),
  fault('ring-lost', 'the host sleeps until the ring of the kernel’s notifiers is full', 40, async (site) => {
    const { notifier } = await site.host.status();
    const counted = await grows(site, 'ekho_notifier_lost_events_total');
    await whileStopped(site, () => {
      site.router.batch([...neighbours('replace')]);
      site.churn();
      site.router.batch([...neighbours('del')]);
    });
    return notifier?.state === 'on' ? counted : undefined;
  }),
];
