/** `ekho plugin dev`: builds a plugin on every change of its folder and shows it at work, in a running host or in none. */
import { copyFileSync, renameSync, watch } from 'node:fs';
import { basename, join } from 'node:path';
import { buildProject } from '../../plugins/kit/build/index.ts';
import { checkPlugin } from '../../plugins/kit/check/index.ts';
import { resultText, summaryText } from '../../plugins/kit/check/report.ts';
import { type Project, readProject } from '../../plugins/kit/project.ts';
import type { LogLine } from '../api/schemas.ts';
import { EkhoError } from '../errors.ts';
import type { Client } from './client.ts';
import { plain, print } from './output.ts';

export interface DevOptions {
  /** Plugin folder of a running host: the component is copied there. Without, it is checked on a simulated ASIC. */
  readonly into?: string;
  /** Cases to run without a host. */
  readonly only: string;
}

/** Changes of a file come in twos and threes: they are one. */
const QUIET_MS = 100;
/** How often the host is asked for new log lines. */
const LOGS_MS = 500;
/** What building writes itself. */
const MADE = /^((build|target|\.[^/]*)(\/.*)?|ekho\.ts|src\/ekho\.rs|Cargo\.lock)$/;

/** Runs until it is interrupted. */
export async function dev(folder: string, options: DevOptions, client: Client): Promise<void> {
  const project = readProject(folder);
  let wake: (() => void) | undefined;
  let changed = true;
  const watcher = watch(project.folder, { recursive: true }, (_, name) => {
    if (name !== null && MADE.test(name)) return;
    changed = true;
    wake?.();
  });
  let ended = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      ended = true;
      wake?.();
    });
  const logs = new Logs(client, project.name);
  try {
    while (!ended) {
      if (changed) {
        await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
        changed = false;
        await round(project, options, client);
        await say('waiting for changes');
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (options.into !== undefined) setTimeout(resolve, LOGS_MS);
        });
        if (options.into !== undefined) await logs.show();
      }
    }
  } finally {
    watcher.close();
  }
}

/** Builds once and puts the result to work. What goes wrong is told, and the next change tried. */
async function round(project: Project, options: DevOptions, client: Client): Promise<void> {
  try {
    // The file may have changed too.
    const now = readProject(project.folder);
    await say(`${basename(now.output)}: ${(await buildProject(now)) ? 'built' : 'unchanged'}`);
    if (options.into === undefined) await check(now, options.only);
    else await install(now, options.into, client);
  } catch (error) {
    if (!(error instanceof EkhoError)) throw error;
    await say(error.message);
    if (error.remedy !== undefined) await say(error.remedy);
  }
}

async function check({ output }: Project, only: string): Promise<void> {
  const report = await checkPlugin(output, {
    only,
    onResult: (result) => {
      if (result.verdict === 'failed') void say(resultText(result));
    },
  });
  await say(summaryText(report).trim());
}

/** Copies it into a host's folder, whole or not at all, and starts it afresh. */
async function install({ name, output }: Project, into: string, client: Client): Promise<void> {
  const target = join(into, `${name}.wasm`);
  copyFileSync(output, `${target}.new`);
  renameSync(`${target}.new`, target);
  await client.post(`/api/v1/plugins/${encodeURIComponent(name)}/restart`);
  await say(`${target}: running`);
}

/** The log lines of a plugin in a running host that were not shown yet. */
class Logs {
  private readonly client: Client;
  private readonly name: string;
  private last = '';

  constructor(client: Client, name: string) {
    this.client = client;
    this.name = name;
  }

  async show(): Promise<void> {
    let lines: LogLine[];
    try {
      lines = await this.client.get<LogLine[]>(`/api/v1/plugins/${encodeURIComponent(this.name)}/logs`);
    } catch (error) {
      // A host that is just being restarted: it is asked again.
      if (error instanceof EkhoError) return;
      throw error;
    }
    for (const { time, level, message } of lines) {
      if (time <= this.last) continue;
      await say(`${time} ${level.padEnd(5)} ${message}`);
    }
    this.last = lines.at(-1)?.time ?? this.last;
  }
}

async function say(text: string): Promise<void> {
  for (const line of text.split('\n')) await print(`${plain(line)}\n`);
}
