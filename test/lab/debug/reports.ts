/** What a kernel says on its console of faults of its own: the first thing of the kind ends a guest of the debug kernel. */

/**
 * Heads of reports: KASAN, DEBUG_ATOMIC_SLEEP and oopses (`BUG:`), lockdep and WARN() (`WARNING:`, of which refcount_t and ODEBUG are two),
 * and what says less loudly that something is stuck or that a checker has given up. `INFO: ` alone is no fault.
 */
const HEAD =
  /\bBUG: |\bWARNING: |\bODEBUG: |\brefcount_t: |\bINFO: (?:trying to register non-static key|lockdep is turned off|task \S+ blocked for more than)|\bUBSAN: |Kernel panic|general protection fault|unregister_netdevice: waiting for|kmemleak: (?:Kernel memory leak detector disabled|Memory pool empty)/;

/** Lines shown of a report. */
const LINES_MAX = 120;

/** The first report on a console, from its head on; undefined where there is none. */
export function firstReport(console: string): string[] | undefined {
  const lines = console.split('\n');
  const head = lines.findIndex((line) => HEAD.test(line));
  return head < 0 ? undefined : lines.slice(head, head + LINES_MAX);
}

/** A kernel's own leaks, which are none of this project's: a function that is in the backtrace, and why that is so. */
export interface KnownLeak {
  readonly function: string;
  readonly why: string;
}

/** None was seen. */
export const KNOWN_LEAKS: readonly KnownLeak[] = [];

/** What kmemleak found, an entry for each object, less those of `known`. */
export function leaks(text: string, known: readonly KnownLeak[] = KNOWN_LEAKS): string[] {
  return text
    .split(/^(?=unreferenced object )/m)
    .filter((entry) => entry.startsWith('unreferenced object '))
    .filter((entry) => !known.some(({ function: name }) => new RegExp(`\\b${name}\\+0x`).test(entry)))
    .map((entry) => entry.trimEnd());
}
