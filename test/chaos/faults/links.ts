/** Links and namespaces: other names, other indices, other masters, or gone. */
import {
  type Fault,
  fault,
  grows,
  metric,
  plugin,
  SHOWN,
  type Signs,
  said,
  shown,
  startsAnew,
  status,
} from '../fault.ts';
import { PORTS, type Site } from '../site.ts';

/** What iproute2's JSON has of a link. */
interface Link {
  readonly ifname: string;
  readonly ifindex: number;
  readonly address: string;
  readonly master?: string;
}

const CHANGE = { not: 'a change that the kernel may make at any time: it is in `ekho changes`' };

/** As the host has it. */
async function linkOf({ host }: Site, name: string): Promise<Link | undefined> {
  const links = await host.client.get<Link[]>('/api/v1/objects/link');
  return links.find(({ ifname }) => ifname === name);
}

function change(status: Signs['status']): Signs {
  return { happened: SHOWN, status, metrics: CHANGE, log: CHANGE };
}

export const LINK_FAULTS: readonly Fault[] = [
  fault('link-renamed', 'a port gets another name and its own again', 30, async (site) => {
    const port = site.random.below(PORTS);
    const signs = change(SHOWN);
    site.router.batch([`link set p${port} down`, `link set p${port} name q${port}`, `link set q${port} up`]);
    site.churn();
    await shown(
      site,
      'the port is none any more',
      status(site, (now) => !plugin(now).ports.includes(`p${port}`)),
    );
    if ((await linkOf(site, `q${port}`)) === undefined) throw new Error('the kernel did not rename the link');
    site.router.batch([`link set q${port} down`, `link set q${port} name p${port}`, `link set p${port} up`]);
    return {
      ...signs,
      happened: status(site, (now) => plugin(now).ports.includes(`p${port}`)),
    };
  }),
  fault('ifindex-reused', 'a port is deleted and another link has its index and name', 30, async (site) => {
    const port = site.random.below(PORTS);
    const signs = change({ not: 'the port is one as before, with the same name' });
    const [link] = JSON.parse(site.router.ip(`-j link show p${port}`)) as [Link];
    site.router.batch([`link del p${port}`]);
    site.churn();
    site.router.batch([
      `link add p${port} index ${link.ifindex} type veth peer name v${port}`,
      `link set p${port} up`,
      `link set v${port} up`,
      `addr add 10.255.${port}.1/24 dev p${port}`,
      `addr add 2001:db8:f${port}::1/64 dev p${port} nodad`,
    ]);
    const [now] = JSON.parse(site.router.ip(`-j link show p${port}`)) as [Link];
    if (now.ifindex !== link.ifindex || now.address === link.address)
      throw new Error(
        `p${port} is link ${now.ifindex} ${now.address}, it was ${link.ifindex} ${link.address}`,
      );
    return {
      ...signs,
      happened: async () => (await linkOf(site, `p${port}`))?.address === now.address,
    };
  }),
  fault(
    'masters-change',
    'a port goes through a bridge and a VRF (or another bridge, where the kernel has no VRFs)',
    30,
    async (site) => {
      const port = site.random.below(PORTS);
      const signs = change({ not: 'the port is one as before' });
      const links = () => metric(site, 'ekho_mirror_objects', 'kind="link"');
      const before = await links();
      const isBelow = (master: string | undefined) => async () =>
        (await linkOf(site, `p${port}`))?.master === master;
      site.router.batch(['link add cbr type bridge', 'link set cbr up', `link set p${port} master cbr`]);
      site.churn();
      await shown(site, 'the port is the bridge’s', isBelow('cbr'));
      // Not every kernel has VRFs.
      if (site.router.batch(['link add cm type vrf table 77']).size > 0)
        site.router.batch(['link add cm type bridge']);
      site.router.batch(['link set cm up', `link set p${port} master cm`]);
      site.churn();
      await shown(site, 'the port is the other’s', isBelow('cm'));
      await shown(site, 'metrics count two links more', async () => (await links()) === before + 2);
      site.router.batch([`link set p${port} nomaster`, 'link del cm', 'link del cbr']);
      site.router.batch([`addr add 2001:db8:f${port}::1/64 dev p${port} nodad`]);
      return { ...signs, happened: isBelow(undefined), metrics: SHOWN };
    },
  ),
  fault(
    'namespace-recreated',
    'the namespace is deleted, another has its name, and the host is started again',
    30,
    async (site) => {
      const { host } = site;
      const log = said(site, 'was deleted');
      const gone = await grows(site, 'ekho_mirror_namespace_deleted');
      site.removeRouter();
      await shown(site, 'the log says that the namespace is gone', log);
      await shown(
        site,
        'so does status',
        status(site, ({ netns_deleted }) => netns_deleted === true),
      );
      await shown(site, 'so do metrics', gone);
      site.remakeRouter();
      site.churn(120);
      const anew = await startsAnew(site);
      await host.stop();
      await host.launch();
      site.churn();
      return { happened: anew.status, status: SHOWN, metrics: SHOWN, log };
    },
  ),
];
