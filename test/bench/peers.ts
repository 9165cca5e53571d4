/**
 * `npm run bench -- peers [PART]… [options]`, `--help` tells which: this host beside what else follows the kernel by netlink, each as its
 * own project recommends, on the same namespace in the same run.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensurePackages, missingPackages } from '../../scripts/packages.mjs';
import { atExit } from '../support/at-exit.ts';
import { BIRD } from './peers/bird.ts';
import { C_FOLLOW, C_LOOP } from './peers/c-loop.ts';
import { EKHO_MIRROR, EKHO_PLUGIN, EKHO_WORKER } from './peers/ekho.ts';
import { reportFollowing } from './peers/follow-report.ts';
import { GO } from './peers/go.ts';
import { reportGrowth } from './peers/growth-report.ts';
import { install } from './peers/install.ts';
import { IP_MONITOR, IPROUTE2 } from './peers/iproute2.ts';
import { ROUNDS_MAX, reportLatency } from './peers/latency-report.ts';
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
  EKHO_WORKER,
];
const PARTS = {
  load: reportLoad,
  follow: reportFollowing,
  growth: reportGrowth,
  latency: reportLatency,
} as const;
type Part = keyof typeof PARTS;

const USAGE = `Usage: npm run bench -- peers [PART]… [options]   (as root; an hour or so for all parts)

Parts: ${Object.keys(PARTS).join(', ')}; all of them unless told otherwise.

  --quick            small tables, one round
  --rounds N         each peer N times, in turn; 3 unless told otherwise, for latency ${ROUNDS_MAX} at most
  --limit SECONDS    longest that one start may take; 150 unless told otherwise
  --peer NAME        only this one, and others named so: ${[...new Set(ALL.map(({ name }) => `'${name}'`))].join(', ')}
  --write            puts tables and plots into docs/benchmarks; not with --quick or --peer`;

const { values, positionals } = parse();
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
const limit_ms = Number(values.limit) * 1000;
const parts = (positionals.length === 0 ? Object.keys(PARTS) : positionals) as Part[];
const why = refusal();
if (why !== undefined) {
  console.error(`peers: ${why}\n\n${USAGE}`);
  process.exit(2);
}

function parse() {
  try {
    const parsed = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        limit: { type: 'string', default: '150' },
        peer: { type: 'string', multiple: true },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (!parsed.values.help) return parsed;
    console.log(USAGE);
    process.exit(0);
  } catch (error) {
    console.error(`peers: ${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

/** Why it is not to begin. */
function refusal(): string | undefined {
  const part = positionals.find((name) => !(name in PARTS));
  if (part !== undefined) return `there is no part "${part}"`;
  const peer = values.peer?.find((wanted) => !ALL.some(({ name }) => name === wanted));
  if (peer !== undefined) return `there is no peer "${peer}"`;
  if (!Number.isSafeInteger(rounds) || rounds < 1) return '--rounds takes a whole number from 1';
  if (!(limit_ms > 0)) return '--limit takes seconds above 0';
  if (parts.includes('latency') && !values.quick && rounds > ROUNDS_MAX)
    return `the routes of ${rounds} rounds of latency do not fit the ASIC: --rounds up to ${ROUNDS_MAX}`;
  if (values.write && (values.quick || values.peer !== undefined))
    return '--write is for whole tables: without --quick and --peer';
  if (process.getuid!() !== 0) return 'it makes network namespaces: run it as root';
  return undefined;
}

if (!ensurePackages(missingPackages(['ip', 'cc']))) {
  console.error('peers: it needs ip and cc (Debian: iproute2, gcc, libc6-dev)');
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
