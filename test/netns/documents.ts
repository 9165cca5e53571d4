/**
 * Runs the ```console blocks of documents, so that what they show is what happens. Run this file to write the real output
 * into them (as root): `node test/netns/documents.ts`.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../host/config/config.ts';
import { Bench, finish } from './cli-support.ts';

/** In the order in which they are run: the second goes on where the first ended. */
export const DOCUMENTS = ['README.md', 'docs/cli.md', 'docs/api.md'];
/** The namespace's name in the documents. */
const NAMESPACE = 'demo';

/** The documents' texts with the output of each command as it is now. */
export async function runDocuments(): Promise<Map<string, string>> {
  const bench = new Bench();
  try {
    writeFileSync(
      join(bench.folder, 'npx'),
      `#!/bin/sh\nshift\nexec ${process.execPath} ${join(ROOT, 'host/cli/ekho.mjs')} "$@"\n`,
      { mode: 0o755 },
    );
    writeFileSync(join(bench.folder, 'sleep'), '#!/bin/sh\nexec /bin/sleep $(($1 + PATIENCE))\n', {
      mode: 0o755,
    });
    // The documents make it themselves.
    bench.close();
    const texts = new Map<string, string>();
    for (const name of DOCUMENTS) {
      const parts = readFileSync(join(ROOT, name), 'utf8').split(/(?<=^```console\n)([\s\S]*?)(?=^```$)/m);
      for (let index = 1; index < parts.length; index += 2) {
        const commands = parts[index]!.split('\n').filter((line) => line.startsWith('$ '));
        let block = '';
        for (const command of commands) {
          const text = await output(bench, command.slice(2));
          block += `${command}\n${text}${text === '' || text.endsWith('\n') ? '' : '\n'}`;
        }
        parts[index] = block;
      }
      texts.set(name, parts.join(''));
    }
    return texts;
  } finally {
    await bench.end();
  }
}

async function output(bench: Bench, command: string): Promise<string> {
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(bench.output)?.[0] ?? '';
  const real = command
    .replaceAll(NAMESPACE, bench.name)
    .replaceAll('/run/ekho.sock', bench.socket)
    .replaceAll('http://127.0.0.1:8642', url);
  if (real.startsWith('npx ekho run') && real.endsWith('&')) {
    await bench.start('--listen', '127.0.0.1:0', '--no-config');
    while (!bench.output.includes(' left to the kernel '))
      await new Promise((resolve) => setTimeout(resolve, 20));
    return restore(bench, bench.output);
  }
  const child = spawn('bash', ['-c', `exec 2>&1\n${real}`], {
    cwd: ROOT,
    env: {
      ...process.env,
      EKHO_SOCKET: bench.socket,
      PATH: `${bench.folder}:${process.env.PATH}`,
      PATIENCE: String(real.includes('sleep ') ? await patience(bench) : 0),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return restore(bench, (await finish(child)).out);
}

/** Seconds that a reader on this machine would wait longer than on an idle one, for a command to begin. */
async function patience(bench: Bench): Promise<number> {
  const began = performance.now();
  await bench.ekho('status');
  return Math.ceil((4 * (performance.now() - began)) / 1000);
}

/** What depends on where it runs, as a reader would see it. */
function restore(bench: Bench, text: string): string {
  return text
    .replaceAll(bench.name, NAMESPACE)
    .replaceAll(bench.socket, '/run/ekho.sock')
    .replace(/http:\/\/127\.0\.0\.1:\d+/g, 'http://127.0.0.1:8642');
}

/** Without what differs from run to run: times, sizes, ids, and the blanks that align them. */
export function comparable(text: string): string {
  return (
    text
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replace(/process \d+, up [^,]+, [\d.]+ MiB/g, 'process N, up T, M')
      .replace(/^found out by the host, process \d+$/gm, 'found out by the host, process N')
      .replace(/after [\d.]+ s:/g, 'after T:')
      .replace(/revision [\d,]+/g, 'revision R')
      // Retries meet the fault, too.
      .replace(/; [\d,]+ entr(y|ies) failed/g, '; N entries failed')
      .replace(
        /^(mirror|sync|notifier|plugin softnic|plan softnic|device asic0) +(\w+) +[\d,]+$/gm,
        '$1 $2 N',
      )
      .replace(/^(asic0 +asic +softnic) +[\d,]+ +[\d,]+ /gm, '$1 N N ')
      .replace(/^not available: vlan: .*\n/gm, '')
      .replace(/^notifiers: .*\n/gm, '')
      // What a machine has.
      .replace(/^(system|rights|netlink|bpf|notifier|plugin) +(\S+(?: \S+)*?) {2}.*$/gm, '$1 $2')
      .replace(/\n\n(?:remedy for .*\n)+/g, '\n')
      // Mirror and plugin start side by side.
      .replace(/(?<=^mirroring .*\n)[\s\S]*?(?=^softnic holds )/gm, (lines) =>
        lines.split('\n').sort().join('\n'),
      )
      .replace(/^vlan +\d+ +.*$/gm, 'vlan')
      .replace(/ +/g, ' ')
  );
}

if (import.meta.main) {
  for (const [name, text] of await runDocuments()) writeFileSync(join(ROOT, name), text);
}
