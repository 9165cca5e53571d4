/**
 * `npm run bench -- peers [load] [follow] [growth] [latency] [--quick] [--rounds N] [--limit SECONDS] [--peer NAME]… [--write]`: this host beside what else follows the
 * kernel by netlink, each as its own project recommends, on the same namespace in the same run. Needs root, and Debian's packages of the
 * peers, which it installs. `--write` puts tables and plots into docs/benchmarks.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { atExit } from '../support/at-exit.ts';
import { BIRD } from './peers/bird.ts';
import { C_FOLLOW, C_LOOP } from './peers/c-loop.ts';
import { EKHO_MIRROR, EKHO_PLUGIN } from './peers/ekho.ts';
import { reportFollowing } from './peers/follow-report.ts';
import { GO } from './peers/go.ts';
import { reportGrowth } from './peers/growth-report.ts';
import { install } from './peers/install.ts';
import { IP_MONITOR, IPROUTE2 } from './peers/iproute2.ts';
import { reportLatency } from './peers/latency-report.ts';
import { reportLoad } from './peers/load-report.ts';
import { NDB } from './peers/ndb.ts';
import type { Peer } from './peers/peer.ts';
import { prepareWriter } from './peers/world.ts';
import { ZEBRA_PEER } from './peers/zebra.ts';

const ALL: readonly Peer[] = [
  C_LOOP,
  C_FOLLOW,
  IPROUTE2,
  IP_MONITOR,
  ZEBRA_PEER,
  BIRD,
  NDB,
  GO,
  EKHO_MIRROR,
  EKHO_PLUGIN,
];
const PARTS = {
  load: reportLoad,
  follow: reportFollowing,
  growth: reportGrowth,
  latency: reportLatency,
} as const;
type Part = keyof typeof PARTS;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    limit: { type: 'string', default: '150' },
    peer: { type: 'string', multiple: true },
    write: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
const limit_ms = Number(values.limit) * 1000;
const wrong = positionals.find((part) => !(part in PARTS));
if (wrong !== undefined || !(rounds >= 1 && limit_ms > 0) || process.getuid!() !== 0) {
  console.error(
    `peers: as root, parts ${Object.keys(PARTS).join(', ')}; --rounds from 1, --limit above 0 seconds`,
  );
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'ekho-peers-'));
// However it ends.
atExit(() => rmSync(folder, { recursive: true, force: true }));
// Zebra gives up root.
chmodSync(folder, 0o711);
prepareWriter(folder);
const wanted = ALL.filter(({ name }) => values.peer?.includes(name) ?? true);
const { ready, missing } = await install(wanted, folder);
for (const [peer, why] of missing) console.log(`${peer.name} is left out: ${why}`);
const parts = (positionals.length === 0 ? Object.keys(PARTS) : positionals) as Part[];
for (const part of parts) {
  await PARTS[part]({
    peers: ready,
    missing,
    folder,
    rounds,
    limit_ms,
    isQuick: values.quick,
    isWritten: values.write,
    say: (line) => console.log(line),
  });
}
