/** The demo as somebody runs it: packets move to hardware, back to the kernel and to hardware again, and nothing is left behind. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const EKHO = join(import.meta.dirname, '../../host/cli/ekho.mjs');

test('the demo', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-demo-test-'));
  try {
    const picture = join(folder, 'demo.svg');
    const words = [EKHO, 'demo', '--seconds', '1.5', '--picture', picture];
    const out = execFileSync(process.execPath, words, {
      encoding: 'utf8',
      timeout: 120_000,
      env: { ...process.env, TMPDIR: folder },
    });
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
    expect(execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })).not.toContain(`ekho-demo-`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 150_000);
