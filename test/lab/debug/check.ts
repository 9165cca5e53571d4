/** Leaks, and whether the checkers of the debug kernel still check: asked at the end of a run, as a scan takes long. */
import type { Guest } from '../guest.ts';
import { LabError } from '../machine.ts';
import { leaks } from './reports.ts';

/** Longest two scans may take, in milliseconds. */
const LIMIT = 30 * 60_000;
/** Leaks shown. */
const SHOWN_MAX = 10;

/**
 * An object counts as leaked when two scans, some seconds apart, find it without a reference and unchanged; one that only the second finds
 * may be under way to somewhere, and is looked for once more.
 */
const SCRIPT = `
  set -e
  mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
  cd /sys/kernel/debug
  scan() { sleep 6; echo scan >kmemleak; }
  scan; scan
  if grep -q unreferenced kmemleak; then scan; fi
  cat kmemleak
  grep -E '^ *debug_locks: *1$' /proc/lockdep_stats >&2
`;

/** @throws LabError with what is leaked, or if kmemleak or lockdep has turned itself off */
export async function checkMemory(guest: Guest): Promise<void> {
  const { code, stdout, stderr } = await guest.run(SCRIPT, { limit: LIMIT });
  if (code !== 0)
    throw new LabError(`kmemleak or lockdep has turned itself off, exit code ${code}: ${stderr.trim()}`);
  const found = leaks(stdout);
  if (found.length === 0) return;
  const shown = found.slice(0, SHOWN_MAX).flatMap((entry) => entry.split('\n').map((line) => `  | ${line}`));
  throw new LabError(`The kernel leaks ${found.length} objects, as kmemleak says:\n${shown.join('\n')}`);
}
