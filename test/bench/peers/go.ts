/** A mirror that a Go program keeps by vishvananda/netlink (go/main.go), built against Debian's package. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Child } from './child.ts';
import { ALL_KINDS, type Peer, versionBy } from './peer.ts';

/** Where Debian keeps the sources of Go packages. */
const GOPATH = '/usr/share/gocode';
const PACKAGE = 'golang-github-vishvananda-netlink-dev';

let program = '';

export const GO: Peer = {
  name: 'Go netlink',
  asked: 'the size of its map',
  kinds: ALL_KINDS,
  follows: true,
  packages: [PACKAGE, 'golang-go'],
  async prepare(folder) {
    program = join(folder, 'go-follow');
    execFileSync('go', ['build', '-o', program, join(import.meta.dirname, 'go/main.go')], {
      env: { ...process.env, GOPATH, GO111MODULE: 'off', GOCACHE: join(folder, 'go-cache') },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const version = versionBy('dpkg-query', ['-W', '-f', '$' + '{Version}', PACKAGE], /^(\S+)/);
    return `${version}, ${versionBy('go', ['version'], /(go\d\S+)/)}`;
  },
  async start({ netns, kind }) {
    const child = new Child(netns, program, [kind]);
    await child.line('listed');
    return {
      pid: child.pid,
      get end() {
        return child.end;
      },
      count: () => child.ask('count', 'rows'),
      by: (gateway) => child.ask(gateway, 'rows'),
      stop: () => child.stop(),
    };
  },
};
