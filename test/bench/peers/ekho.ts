/**
 * This host, as an operator runs it: with the mirror alone, and with softnic and its simulated ASIC, which has a process of its own, or, as one
 * that a trusted key signed, a thread.
 */

import { VERSION } from '../../../host/version.ts';
import { TestHost } from '../../support/host.ts';
import { ALL_KINDS, type Kind, type Peer, type StartOptions } from './peer.ts';

/** Rows of the ASIC's tables: what it has at most, and a site's worth of the rest. */
const TABLES = { lpm4: 2_097_152, lpm6: 262_144, nexthop: 262_144, group: 65_536, fdb: 262_144 };
const KINDS: Readonly<Record<Kind, string>> = {
  route4: 'route',
  route6: 'route',
  neighbour: 'neighbour',
  fdb: 'fdb',
  link: 'link',
};
/** What a plugin holds of the kinds that are offloaded one by one. */
const ENTRIES = { route4: 'route', route6: 'route', neighbour: 'nexthop', fdb: 'fdb-entry' } as const;

/** What the host runs beside the mirror. */
type Plugin = 'none' | 'process' | 'worker';

function hostOf({ netns, receiveBuffer }: StartOptions, plugin: Plugin): TestHost {
  return new TestHost({
    netns,
    isOnlyMirror: plugin === 'none',
    ...(plugin !== 'none' && { isolation: plugin }),
    tables: TABLES,
    ...(receiveBuffer !== undefined && { receiveBuffer }),
  });
}

async function start(options: StartOptions, plugin: Plugin, count: (host: TestHost) => Promise<number>) {
  const host = hostOf(options, plugin);
  try {
    await host.launch();
  } catch (error) {
    await host.close();
    throw error;
  }
  const { pid } = host;
  return {
    pid,
    get end() {
      return host.isRunning ? undefined : host.output.slice(-2000);
    },
    count: () => count(host),
    difference: async () => {
      await host.settled();
      const { equal, differences } = await host.verify();
      return equal ? undefined : `${differences.length} differences, ${differences[0]?.text}`;
    },
    get reading() {
      return Number(/mirror in sync after ([\d.]+) s/.exec(host.output)?.[1]);
    },
    stop: () => host.close(),
  };
}

export const EKHO_MIRROR: Peer = {
  name: 'EKHO, mirror',
  asked: 'objects of the kind by `GET /api/v1/status`, with the kind in sync',
  kinds: ALL_KINDS,
  follows: true,
  packages: [],
  prepare: async () => VERSION,
  start: (options) =>
    start(options, 'none', async (host) => {
      const { kinds } = await host.status();
      const { state, count } = kinds.find(({ kind }) => kind === KINDS[options.kind])!;
      return state === 'synced' ? count : -1;
    }),
};

function withPlugin(name: string, plugin: Plugin): Peer {
  return {
    name,
    asked: 'entries that the plugin has answered to be in its ASIC, by `GET /api/v1/status`',
    kinds: ['route4', 'route6', 'neighbour', 'fdb'],
    follows: true,
    packages: [],
    prepare: async () => VERSION,
    start: (options) =>
      start(options, plugin, async (host) => {
        const { offload, plugins } = await host.status();
        if (plugins[0]?.state !== 'active') return -1;
        const wanted = ENTRIES[options.kind as keyof typeof ENTRIES];
        return offload.find(({ kind }) => kind === wanted)?.offloaded ?? 0;
      }),
  };
}

export const EKHO_PLUGIN: Peer = withPlugin('EKHO, softnic', 'process');
export const EKHO_WORKER: Peer = { ...withPlugin('EKHO, softnic in a thread', 'worker'), isVariant: true };
