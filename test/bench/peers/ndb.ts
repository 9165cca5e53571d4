/** pyroute2's NDB, a database of the kernel's state in a Python program (ndb.py). */
import { join } from 'node:path';
import { Child } from './child.ts';
import { type Kind, type Peer, versionBy } from './peer.ts';

/** Debian's, which has the package; another may be first in the path. */
const PYTHON = '/usr/bin/python3';
const VIEWS: Readonly<Record<Kind, string>> = {
  route4: 'routes',
  route6: 'routes',
  neighbour: 'neighbours',
  fdb: 'fdb',
  link: 'interfaces',
};

export const NDB: Peer = {
  name: 'pyroute2 NDB',
  asked: 'rows of the view by `ndb.routes.count()` and the like',
  kinds: ['route4', 'route6', 'neighbour', 'link'],
  follows: true,
  packages: ['python3-pyroute2'],
  prepare: async () =>
    versionBy('dpkg-query', ['-W', '-f', '$' + '{Version}', 'python3-pyroute2'], /^([\w.]+)/),
  async start({ netns, kind }) {
    const child = new Child(netns, PYTHON, [join(import.meta.dirname, 'ndb.py')]);
    await child.line('listed');
    return {
      pid: child.pid,
      get end() {
        return child.end;
      },
      count: () => child.ask(VIEWS[kind], 'rows'),
      by: (gateway) => child.ask(`${VIEWS.route4} ${gateway}`, 'rows'),
      stop: () => child.stop(),
    };
  },
};
