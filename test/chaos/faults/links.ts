/** Links and namespaces: other names, other indices, other masters, or gone. */
import { type Fault, fault, said } from '../fault.ts';
import { PORTS } from '../site.ts';

export const LINK_FAULTS: readonly Fault[] = [
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
  fault(
    'namespace-recreated',
    'the namespace is deleted, another has its name, and the host is started again',
    60,
    async (site) => {
      const { host } = site;
      const since = host.output.length;
      site.removeRouter();
      const gone = said('was deleted', since);
      await host.until('the host says that its namespace is gone', () => gone(site));
      site.remakeRouter();
      site.churn(120);
      await host.stop();
      await host.launch();
      site.churn();
      return gone;
    },
  ),
];
