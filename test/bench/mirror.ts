/**
 * `npm run bench -- mirror [--routes N]`: how long the mirror takes to sync N IPv4 routes (a million by default), against a C
 * program that only receives the same dump; the memory a route takes; the longest time the event loop was held up.
 * Needs root: it makes a network namespace, and removes it.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const ROUNDS = 5;
const folder = import.meta.dirname;
const { values } = parseArgs({ options: { routes: { type: 'string', default: '1000000' } } });
const count = Number(values.routes);
if (!Number.isInteger(count) || count < 1 || count > 5_000_000) {
  console.error('--routes takes a number from 1 to 5,000,000');
  process.exit(2);
}

const netns = `ekho-bench-${process.pid}`;
const work = mkdtempSync(join(tmpdir(), 'ekho-bench-'));
const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;
}

function spread(numbers: readonly number[]): string {
  return `${Math.min(...numbers).toFixed(0)}-${Math.max(...numbers).toFixed(0)}`;
}

try {
  ip('netns', 'add', netns);
  ip('-n', netns, 'link', 'add', 'east', 'type', 'veth', 'peer', 'name', 'west');
  for (const link of ['lo', 'east', 'west']) ip('-n', netns, 'link', 'set', link, 'up');
  ip('-n', netns, 'address', 'add', '10.0.0.1/24', 'dev', 'east');
  const lines: string[] = [];
  for (let at = 0; at < count; at++) {
    // /24 from 16.0.0.0 on: 5,000,000 of them end below the multicast range.
    const prefix = 16 * 65536 + at;
    const via = 2 + (at % 250);
    lines.push(`route add ${prefix >> 16}.${(prefix >> 8) & 255}.${prefix & 255}.0/24 via 10.0.0.${via}`);
  }
  writeFileSync(join(work, 'batch'), `${lines.join('\n')}\n`);
  console.log(`adding ${count} routes to namespace ${netns}`);
  ip('-n', netns, '-batch', join(work, 'batch'));
  execFileSync('cc', ['-O2', '-o', join(work, 'dump'), join(folder, 'dump.c')], { stdio: 'inherit' });

  const c: number[] = [];
  const node: number[] = [];
  const bytes: number[] = [];
  const stalls: number[] = [];
  const turns: number[] = [];
  const peaks: number[] = [];
  let tables = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const [ns, seen] = execFileSync(join(work, 'dump'), [`/run/netns/${netns}`])
      .toString()
      .split(' ')
      .map(Number);
    c.push(ns! / 1e6);
    const line = execFileSync(process.execPath, ['--expose-gc', join(folder, 'mirror-sync.ts'), netns], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const result = JSON.parse(line.toString());
    if (result.routes < seen!) throw new Error(`the mirror holds ${result.routes} of ${seen} routes`);
    node.push(result.ns / 1e6);
    bytes.push(result.bytes / result.routes);
    stalls.push(result.stall_ms);
    turns.push(result.turn_ms);
    peaks.push(result.peak / result.routes);
    tables = result.tables / result.routes;
  }
  console.log(`C loop       ${median(c).toFixed(0)} ms (${spread(c)})`);
  console.log(`mirror       ${median(node).toFixed(0)} ms (${spread(node)})`);
  console.log(`ratio        ${(median(node) / median(c)).toFixed(2)} (aim: 5 or less)`);
  console.log(`memory       ${median(bytes).toFixed(0)} bytes a route (${spread(bytes)}; aim: 120 or less)`);
  console.log(`  in tables  ${tables.toFixed(0)} bytes a route, reserved`);
  console.log(`  at most    ${median(peaks).toFixed(0)} bytes a route while it syncs`);
  console.log(`longest turn  ${median(turns).toFixed(1)} ms of CPU (${spread(turns)})`);
  console.log(`longest stall ${median(stalls).toFixed(1)} ms (${spread(stalls)}; aim: 20 or less)`);
} finally {
  execFileSync('ip', ['netns', 'del', netns], { stdio: 'ignore' });
  rmSync(work, { recursive: true, force: true });
}
