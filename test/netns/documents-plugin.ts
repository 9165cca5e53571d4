/**
 * Runs the ```console blocks of docs/plugins/first.md as a vendor would, in an empty folder and beside a host in a network
 * namespace. Run this file to write the real output into it (as root): `node test/netns/documents-plugin.ts`.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../host/config/config.ts';
import { Bench, finish } from './cli-support.ts';

export const DOCUMENT = 'docs/plugins/first.md';
/** The namespace's name in the document. */
const NAMESPACE = 'demo';
/** Building and checking take their time on a busy machine. */
const COMMAND_LIMIT_MS = 300_000;

/** The document's text with the output of each command as it is now. */
export async function runPluginDocument(): Promise<string> {
  const bench = new Bench();
  try {
    bench.router();
    writeFileSync(
      join(bench.folder, 'npx'),
      `#!/bin/sh\nshift\nexec ${process.execPath} ${join(ROOT, 'host/cli/ekho.mjs')} "$@"\n`,
      { mode: 0o755 },
    );
    const parts = readFileSync(join(ROOT, DOCUMENT), 'utf8').split(/(?<=^```console\n)([\s\S]*?)(?=^```$)/m);
    let folder = bench.folder;
    for (let index = 1; index < parts.length; index += 2) {
      let block = '';
      for (const line of parts[index]!.split('\n').filter((line) => line.startsWith('$ '))) {
        const command = line.slice(2);
        const text = restore(bench, await output(bench, folder, command));
        const moved = /^cd (\S+)$/.exec(command);
        if (moved !== null) folder = join(folder, moved[1]!);
        block += `${line}\n${text}${text === '' || text.endsWith('\n') ? '' : '\n'}`;
      }
      parts[index] = block;
    }
    return parts.join('');
  } finally {
    await bench.end();
  }
}

async function output(bench: Bench, folder: string, command: string): Promise<string> {
  const real = command.replaceAll(NAMESPACE, bench.name);
  if (real.startsWith('npx ekho run') && real.endsWith('&')) {
    await bench.start('--config', join(bench.folder, 'ekho.toml'));
    return said(bench, 0, 'mirror in sync ');
  }
  const before = bench.output.length;
  const child = spawn('bash', ['-c', `exec 2>&1\n${real}`], {
    cwd: folder,
    env: { ...process.env, EKHO_SOCKET: bench.socket, PATH: `${bench.folder}:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { out } = await finish(child, COMMAND_LIMIT_MS);
  if (!/\bcp \S+ \.\.\/plugins\/$/.test(real)) return out;
  return out + (await said(bench, before, 'plugin mynic: active '));
}

/** What the host in the background writes to the same terminal, from a place on until it has said something. */
async function said(bench: Bench, from: number, wanted: string): Promise<string> {
  const until = Date.now() + COMMAND_LIMIT_MS;
  for (;;) {
    const text = bench.output.slice(from);
    const at = text.indexOf(wanted);
    const end = text.indexOf('\n', at);
    if (at >= 0 && end >= 0) return text.slice(0, end + 1);
    if (Date.now() > until) throw new Error(`the host does not say ${JSON.stringify(wanted)}:\n${text}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What depends on where it runs, as a reader would see it. */
function restore(bench: Bench, text: string): string {
  return (
    text
      .replaceAll(bench.name, NAMESPACE)
      .replaceAll(bench.socket, '/run/ekho.sock')
      .replaceAll(bench.folder, '/home/vendor')
      // What the machine has is not the vendor's matter.
      .replace(/^(notifiers|not available): .*\n/gm, '')
  );
}

/** Without what differs from run to run: times, numbers, and the order in which the host says two things. */
export function comparablePlugin(text: string): string {
  return text
    .replace(/left out, in [\d.]+ s/g, 'left out, in T')
    .replace(/after [\d.]+ s:/g, 'after T:')
    .replace(/\b\d+ [a-z-]+(?=,|$)/gm, 'N')
    .replace(/(?<=^mirroring .*\n)[\s\S]*?(?=^\$ )/m, (lines) => lines.split('\n').sort().join('\n'))
    .replace(/ +/g, ' ');
}

if (import.meta.main) writeFileSync(join(ROOT, DOCUMENT), await runPluginDocument());
