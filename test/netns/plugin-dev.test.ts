/** `ekho plugin dev`: each change of the source is built and at work in a running host, or checked without one. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { newPlugin } from '../../plugins/kit/new.ts';
import { Bench } from './cli-support.ts';

let bench: Bench;
let child: ChildProcess | undefined;

beforeEach(() => {
  bench = new Bench();
});

afterEach(async () => {
  child?.kill('SIGKILL');
  await bench.end();
});

/** The command as it runs: what it says, as far as it was not waited for, and its end. */
function dev(...words: string[]) {
  let text = '';
  const started = bench.spawn('plugin', 'dev', ...words);
  child = started;
  for (const stream of [started.stdout!, started.stderr!])
    stream.setEncoding('utf8').on('data', (more) => {
      text += more;
    });
  const ended = new Promise<number | null>((resolve) => started.on('exit', resolve));
  return {
    /** Waits for the next place that matches and gives what came until then. */
    async says(wanted: RegExp): Promise<string> {
      const until = Date.now() + 240_000;
      for (;;) {
        const found = wanted.exec(text);
        if (found !== null) {
          const before = text.slice(0, found.index + found[0].length);
          text = text.slice(before.length);
          return before;
        }
        if (Date.now() > until || started.exitCode !== null) throw new Error(`no ${wanted} in:\n${text}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    interrupt(): Promise<number | null> {
      started.kill('SIGINT');
      return ended;
    },
  };
}

function edit(file: string, from: string, to: string): void {
  const text = readFileSync(file, 'utf8');
  expect(text).toContain(from);
  writeFileSync(file, text.replace(from, to));
}

test('builds, reloads and shows the log on every change', { timeout: 600_000 }, async () => {
  const { folder } = newPlugin('mynic', 'c', bench.folder);
  const source = join(folder, 'plugin.c');

  const alone = dev(folder, '--only', 'life-empty');
  await alone.says(
    /^building\nmynic\.wasm: built\n1 passed, 0 failed, 0 left out, in .* s\nwaiting for changes\n/m,
  );
  expect(await alone.interrupt()).toBe(0);

  bench.router();
  const plugins = join(bench.folder, 'plugins');
  mkdirSync(plugins);
  const config = join(bench.folder, 'ekho.toml');
  writeFileSync(config, '[plugins]\nfolder = "plugins"\n[plugin.mynic]\ndevice = "asic0"\nports = ["p?"]\n');
  await bench.start('--config', config);

  const hosted = dev(folder, '--into', plugins);
  await hosted.says(/mynic\.wasm: unchanged\n.*\/plugins\/mynic\.wasm: active\n/);
  await hosted.says(/ info {2}started\n/);

  edit(source, '"started"', '"up and running"');
  await hosted.says(/mynic\.wasm: built\n.*\/plugins\/mynic\.wasm: active\n/);
  await hosted.says(/ info {2}up and running\n/);

  edit(source, 'epoch = ekho_asic_epoch();', 'epoch = nothing;');
  await hosted.says(/error: use of undeclared identifier 'nothing'[\s\S]*waiting for changes\n/);

  edit(source, 'epoch = nothing;', '__builtin_trap();');
  await hosted.says(/mynic\.wasm: not running \(E_PLUGIN_TRAP\), /);
  await hosted.says(/ error E_PLUGIN_TRAP: another version of plugin mynic does not run/);
  const { out } = await bench.ekho('plugin', 'show', 'mynic');
  expect(out).toContain('another version of plugin mynic does not run');
  expect(await hosted.interrupt()).toBe(0);
});
