/** One measurement for the mirror's bench, in a process of its own: syncs a namespace, prints one line of JSON. */

import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { KernelSync } from '../../host/kernel/sync.ts';
import { Mirror } from '../../host/mirror/mirror.ts';
import { KIND } from '../../host/mirror/types.ts';

/** Kernel pages are 4 KiB wherever this runs. */
const PAGE = 4096;

function residentBytes(): number {
  return Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * PAGE;
}

function settle(): void {
  for (let round = 0; round < 3; round++) globalThis.gc?.();
}

const mirror = new Mirror();
const sync = new KernelSync(mirror, { netns: process.argv[2] });
settle();
const before = residentBytes();
/** Longest turn of the event loop by this thread's own CPU time: what is left of a stall on an idle machine. */
let turn = 0;
let watching = true;
let used = cpu();
function cpu(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
function watch(): void {
  const now = cpu();
  turn = Math.max(turn, now - used);
  used = now;
  if (watching) setImmediate(watch);
}
setImmediate(watch);
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const began = performance.now();
await sync.start();
const took = performance.now() - began;
delay.disable();
watching = false;
// The thread that received the dump ends after a second of rest.
await new Promise((resolve) => setTimeout(resolve, 1500));
settle();
const routes = mirror.count(KIND.route);
console.log(
  JSON.stringify({
    ns: Math.round(took * 1e6),
    routes,
    bytes: residentBytes() - before,
    tables: mirror.memory,
    peak: Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024 - before,
    turn_ms: turn / 1e3,
    stall_ms: delay.max / 1e6,
  }),
);
sync.close();
