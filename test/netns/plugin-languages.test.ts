/** The template of every language beside a host: each takes over from the one before, holds what it held, and takes new routes. */
import { copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildProject } from '../../plugins/kit/build/index.ts';
import { newPlugin } from '../../plugins/kit/new.ts';
import { LANGUAGES, readProject } from '../../plugins/kit/project.ts';
import { hasRust } from '../unit/kit/plugins.ts';
import { Bench } from './cli-support.ts';

let bench: Bench;

beforeEach(() => {
  bench = new Bench();
  bench.router();
});

afterEach(() => bench.end());

async function json(...words: string[]): Promise<unknown> {
  const { code, out, err } = await bench.ekho(...words, '--json');
  expect(err).toBe('');
  expect(code).toBe(0);
  return JSON.parse(out);
}

/** Waits until the host runs this version of the plugin and all is in hardware. */
async function runs(vendor: string): Promise<void> {
  for (const until = Date.now() + 240_000; ; ) {
    const found = (await json('plugin', 'show', 'mynic')) as { state: string; vendor?: string };
    if (found.state === 'active' && found.vendor === vendor) break;
    if (Date.now() > until) throw new Error(`${vendor} does not run:\n${bench.output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const { code, err } = await bench.ekho('wait', '--timeout', '120');
  expect([code, err]).toEqual([0, '']);
}

test('C, AssemblyScript, TypeScript and Rust, one after the other', { timeout: 900_000 }, async () => {
  const plugins = join(bench.folder, 'plugins');
  mkdirSync(plugins);
  const config = join(bench.folder, 'ekho.toml');
  writeFileSync(config, '[plugins]\nfolder = "plugins"\n[plugin.mynic]\ndevice = "asic0"\nports = ["p?"]\n');
  await bench.start('--config', config);
  const rust = await hasRust();
  const routes: string[] = [];
  for (const [index, language] of LANGUAGES.filter((one) => one !== 'rust' || rust).entries()) {
    const { folder } = newPlugin(language, language, bench.folder);
    const project = readProject(folder);
    await buildProject(project);
    copyFileSync(project.output, join(plugins, 'new'));
    renameSync(join(plugins, 'new'), join(plugins, 'mynic.wasm'));
    await runs(language);
    routes.push(`203.0.113.${16 * index}/28`);
    bench.ip(`route add ${routes.at(-1)} via 198.51.100.2`);
    expect((await bench.ekho('wait', '--timeout', '120')).code).toBe(0);
    for (const route of routes) {
      const { out } = await bench.ekho('show', 'route', route);
      expect(out).toMatch(new RegExp(`${route.replaceAll('.', '\\.')} .* offloaded`));
    }
    expect((await bench.ekho('verify')).code).toBe(0);
  }
});
