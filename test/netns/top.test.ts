/** `ekho top` on a real terminal (tmux): a picture that follows the host, other sizes, a host that ends and comes back, and the end. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { Bench } from './cli-support.ts';

const LIMIT = { timeout: 90_000, interval: 100 };
const ESCAPE = '\x1b[';

let bench: Bench;
beforeAll(async () => {
  bench = new Bench();
  bench.router();
  await bench.start();
});
afterAll(() => bench.end());

/** A terminal of its own. */
class Terminal {
  readonly #server = join(bench.folder, `tmux-${Math.random().toString(36).slice(2)}`);

  constructor(width: number, height: number, env = '') {
    const command = `${env} ${process.execPath} ${join(ROOT, 'host/cli/ekho.mjs')} top --socket ${bench.socket}; echo ended: $?; exec cat`;
    this.#tmux('new-session', '-d', '-x', `${width}`, '-y', `${height}`, 'sh', '-c', command);
  }

  #tmux(...words: string[]): string {
    const { stdout, stderr, status } = spawnSync('tmux', ['-f', '/dev/null', '-S', this.#server, ...words], {
      encoding: 'utf8',
      env: { ...process.env, TMUX: '', TERM: 'screen-256color', LC_ALL: 'C.UTF-8' },
    });
    if (status !== 0) throw new Error(`tmux ${words[0]}: ${stderr}`);
    return stdout;
  }

  /** What is on the screen; `raw`: with its colours. */
  screen(raw = false): string {
    return this.#tmux('capture-pane', '-p', ...(raw ? ['-e'] : []));
  }

  resize(width: number, height: number): void {
    this.#tmux('resize-window', '-x', `${width}`, '-y', `${height}`);
  }

  press(key: string): void {
    this.#tmux('send-keys', key);
  }

  close(): void {
    spawnSync('tmux', ['-S', this.#server, 'kill-server']);
    rmSync(this.#server, { force: true });
  }
}

const onTerminal = async (
  width: number,
  height: number,
  use: (terminal: Terminal) => Promise<void>,
  env = '',
) => {
  const terminal = new Terminal(width, height, env);
  try {
    await use(terminal);
  } finally {
    terminal.close();
  }
};

const routes = (screen: string) => Number(/^softnic +route +(\d+)/m.exec(screen)?.[1]);

describe('on a terminal', () => {
  it('follows the host, fits, and leaves the screen as it was', async () => {
    await onTerminal(120, 40, async (terminal) => {
      await expect
        .poll(() => terminal.screen(), LIMIT)
        // Rates are there from the host's second sample on.
        .toMatch(/^ekho [\d.]+, ekho-.*: in sync at revision .*\nchanges\/s \d+ +until [\s\S]*^q: quit$/m);
      const first = terminal.screen();
      for (const heading of [
        /^changes\/s \d+ +until in hardware p50 .* packets\/s hardware /m,
        /^PLUGIN +KIND +OFFLOADED +TRAPPED +REFUSED +FAILED +PENDING$/m,
        /^softnic +active +/m,
        /^asic0 +port +#+\.+ +\d+% +2 +64$/m,
        /^q: quit$/m,
      ])
        expect(first).toMatch(heading);
      const before = routes(first);
      bench.ip('route add 198.18.0.0/15 via 198.51.100.2');
      await expect.poll(() => routes(terminal.screen()), LIMIT).toBe(before + 1);
      bench.ip('route del 198.18.0.0/15');

      terminal.resize(80, 12);
      // A whole picture: one that is being drawn has lines of both.
      await expect
        .poll(() => terminal.screen().trimEnd(), LIMIT)
        .toMatch(/^ekho .{0,75}(\n.{0,80}){10}\nq: quit$/);

      terminal.press('q');
      await expect.poll(() => terminal.screen(), LIMIT).toContain('ended: 0');
      expect(terminal.screen()).not.toContain('PLUGIN');
    });
  });

  it('uses colour, and none with NO_COLOR', async () => {
    await onTerminal(100, 30, async (terminal) => {
      await expect.poll(() => terminal.screen(), LIMIT).toContain('q: quit');
      expect(terminal.screen(true)).toContain(`${ESCAPE}32m`);
    });
    await onTerminal(
      100,
      30,
      async (terminal) => {
        await expect.poll(() => terminal.screen(), LIMIT).toContain('q: quit');
        expect(terminal.screen(true)).not.toContain(ESCAPE);
      },
      'NO_COLOR=1',
    );
  });

  it('says when the host is gone, and goes on with the next', async () => {
    await onTerminal(110, 30, async (terminal) => {
      await expect.poll(() => terminal.screen(), LIMIT).toContain('q: quit');
      await bench.stop();
      await expect
        .poll(() => terminal.screen(), LIMIT)
        .toMatch(/no host answers on .*; this is how it was \d+ s ago/);
      expect(terminal.screen()).toMatch(/^softnic +route/m);
      await bench.start();
      await expect
        .poll(() => terminal.screen(), LIMIT)
        .toMatch(/^ekho [\d.]+, ekho-.*: in sync(?![\s\S]*this is how it was)/);
      terminal.press('C-c');
      await expect.poll(() => terminal.screen(), LIMIT).toContain('ended: 0');
    });
  });
});

describe('without a terminal', () => {
  it('prints one picture', async () => {
    const { code, out } = await bench.ekho('top', '--once');
    expect(code).toBe(0);
    expect(out).toMatch(/^ekho [\d.]+, ekho-.*: in sync at revision /);
    expect(out).toMatch(/^softnic +active +- +- +[\d.]+ ms +0 +asic0$/m);
    expect(out).not.toContain(ESCAPE);
  });

  it('says what to do instead, and that there is no host', async () => {
    expect(await bench.ekho('top')).toMatchObject({
      code: 2,
      err: expect.stringContaining('`ekho top --once`'),
    });
    const { code } = await bench.ekho('top', '--once', '--socket', join(bench.folder, 'none.sock'));
    expect(code).toBe(3);
  });
});
