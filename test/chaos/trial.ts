/** One fault on a site, and what must be so afterwards. */
import { pause } from '../support/host.ts';
import type { Fault, Place, Seen, Usage } from './fault.ts';

/** Beyond what the first faults left: heaps grow before they are collected. */
const MEMORY_MORE = 96 * 1024 * 1024;
const DESCRIPTORS_MORE = 6;
/** The fault must be visible, and memory and descriptors back, within this many seconds of all being right. */
const CALM_S = 30;

/** Seconds it took until all was right. */
export async function tryFault<P extends Place>(site: P, fault: Fault<P>, usual: Usage): Promise<number> {
  const seen = await fault.run(site);
  const began = performance.now();
  await site.right(fault.within);
  const seconds = (performance.now() - began) / 1000;
  await calm(site, seen, usual);
  return seconds;
}

async function calm(site: Place, seen: Seen | undefined, usual: Usage): Promise<void> {
  const limit = performance.now() + CALM_S * 1000;
  for (;;) {
    const { memory, descriptors } = site.usage();
    const wrong =
      seen !== undefined && !(await seen(site))
        ? 'neither status nor log nor metrics tell of it'
        : memory > usual.memory + MEMORY_MORE
          ? `the host has ${mebibytes(memory)} MiB, ${mebibytes(usual.memory)} before`
          : descriptors > usual.descriptors + DESCRIPTORS_MORE
            ? `the host has ${descriptors} descriptors, ${usual.descriptors} before`
            : undefined;
    if (wrong === undefined) return;
    if (performance.now() > limit) throw new Error(wrong);
    await pause(500);
  }
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
