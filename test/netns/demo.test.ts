/** The demo as somebody runs it: packets move to hardware, back to the kernel and to hardware again, and nothing is left behind. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SeriesAnswer } from '../../host/api/schemas.ts';
import { finish } from './cli-support.ts';

const EKHO = join(import.meta.dirname, '../../host/cli/ekho.mjs');

/** Packets a second, summed: who forwarded so far, as the dashboard draws it. */
async function forwarded(base: string): Promise<{ kernel: number; hardware: number }> {
  const answer = await fetch(`${base}/api/v1/series`, { signal: AbortSignal.timeout(5_000) });
  const { columns } = (await answer.json()) as SeriesAnswer;
  const sum = (values: readonly (number | null)[]) =>
    values.reduce<number>((all, one) => all + (one ?? 0), 0);
  return { kernel: sum(columns.kernel_packets_per_s), hardware: sum(columns.hardware_packets_per_s) };
}

test('the demo', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-demo-test-'));
  try {
    const picture = join(folder, 'demo.svg');
    const words = [EKHO, 'demo', '--seconds', '5', '--picture', picture];
    const child = spawn(process.execPath, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TMPDIR: folder },
    });
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
    });
    let isRunning = true;
    const ended = finish(child, 240_000).finally(() => {
      isRunning = false;
    });
    // What the dashboard shows while it runs, by what was said before.
    const drawn: { isRefused: boolean; kernel: number; hardware: number }[] = [];
    while (isRunning) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      const base = /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
      const isRefused = said.includes('a filter that the hardware cannot express');
      // The last time it may be gone.
      const now = base && (await forwarded(base).catch(() => undefined));
      if (now) drawn.push({ isRefused, ...now });
    }
    const { code, out, err } = await ended;
    expect(code, out + err).toBe(0);
    const last = drawn.at(-1)!;
    const before = drawn.findLast(({ isRefused }) => !isRefused)!;
    expect(last.hardware, out).toBeGreaterThan(0);
    expect(last.kernel, out).toBeGreaterThan(before.kernel);
    const acts = new Map<string, { kernel: number; hardware: number }>();
    let act = '';
    for (const line of out.split('\n')) {
      const rates = /^ {2}kernel +(\d+)\/s .* hardware +(\d+)\/s/.exec(line);
      if (rates === null) {
        if (line !== '' && !line.startsWith(' ')) act = line;
        continue;
      }
      const sum = acts.get(act) ?? { kernel: 0, hardware: 0 };
      acts.set(act, { kernel: sum.kernel + Number(rates[1]), hardware: sum.hardware + Number(rates[2]) });
    }
    const [alone, offloaded, refused, again] = [...acts.values()];
    expect(acts.size, out).toBe(4);
    expect(alone!.kernel, out).toBeGreaterThan(0);
    expect(alone!.hardware, out).toBe(0);
    expect(offloaded!.hardware, out).toBeGreaterThan(0);
    expect(refused!.kernel, out).toBeGreaterThan(0);
    expect(again!.hardware, out).toBeGreaterThan(0);
    expect(out).toContain('trapped (unsupported-match)');
    expect(out).toContain('verify: equal');
    expect(readFileSync(picture, 'utf8')).toContain('</svg>');
    expect(readdirSync(folder)).toEqual(['demo.svg']);
    expect(execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })).not.toContain(
      `ekho-demo-${child.pid}-`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 300_000);
