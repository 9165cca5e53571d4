/** `ekho plugin dev`: builds a plugin on every change of its folder and shows it at work, in a running host or in none. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { buildProject } from '../../plugins/kit/build/index.ts';
import { checkPlugin } from '../../plugins/kit/check/index.ts';
import { resultText, summaryText } from '../../plugins/kit/check/report.ts';
import { type Project, readProject } from '../../plugins/kit/project.ts';
import type { LogLine, PluginDetails } from '../api/schemas.ts';
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
/** How often the host is asked for new log lines, and what became of a new file. */
const LOGS_MS = 500;
const TAKEN_MS = 200;
/** How long a host may take to load a file. */
const TAKEN_MAX_MS = 60_000;
/** What building writes itself, and what editors do. */
const MADE = /^((build|target|\.[^/]*)(\/.*)?|ekho\.ts|src\/ekho\.rs|Cargo\.lock|.*~)$/;

/** Runs until it is interrupted, and then ends the process: a build or a check that is under way is not waited for. */
export async function dev(folder: string, options: DevOptions, client: Client): Promise<void> {
  const { folder: watched, name } = readProject(folder);
  const cache = mkdtempSync(join(tmpdir(), 'ekho-dev-'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      rmSync(cache, { recursive: true, force: true });
      process.exit(0);
    });
  let changed = true;
  let wake = () => {};
  watch(watched, { recursive: true }, (_, path) => {
    if (path === null || !MADE.test(path)) {
      changed = true;
      wake();
    }
  });
  const logs = options.into === undefined ? undefined : new Logs(client, name);
  for (;;) {
    if (changed) {
      await pause(QUIET_MS);
      changed = false;
      await round(watched, options, client, cache);
      await logs?.show();
      await say('waiting for changes');
    }
    // A change that came meanwhile has set the flag.
    if (changed) continue;
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (logs !== undefined) setTimeout(resolve, LOGS_MS);
    });
    await logs?.show();
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Builds once and puts the result to work. What goes wrong is told, and the next change tried. */
async function round(folder: string, options: DevOptions, client: Client, cache: string): Promise<void> {
  try {
    const project = readProject(folder);
    await say('building');
    await say(`${basename(project.output)}: ${(await buildProject(project)) ? 'built' : 'unchanged'}`);
    if (options.into === undefined) await check(project, options.only, cache);
    else await install(project, options.into, client);
  } catch (error) {
    if (!(error instanceof EkhoError)) throw error;
    await say(error.message);
    if (error.remedy !== undefined) await say(error.remedy);
  }
}

async function check({ output }: Project, only: string, cache: string): Promise<void> {
  const report = await checkPlugin(output, {
    only,
    cache,
    onResult: (result) => {
      if (result.verdict === 'failed') void say(resultText(result).trimEnd());
    },
  });
  await say(summaryText(report).trim());
}

/** Puts it into a host's folder, whole or not at all, and says what the host makes of it. */
async function install({ name, output }: Project, into: string, client: Client): Promise<void> {
  const sha256 = createHash('sha256').update(readFileSync(output)).digest('hex');
  const since = new Date().toISOString();
  const target = join(into, `${name}.wasm`);
  try {
    copyFileSync(output, `${target}.new`);
    renameSync(`${target}.new`, target);
  } catch (error) {
    throw new EkhoError('E_USAGE', `${target} cannot be written: ${(error as Error).message}`, {
      remedy:
        'Name the plugin folder of the host with --into: `folder` under [plugins] in its configuration.',
      cause: error,
    });
  }
  await say(`${target}: ${await taken(client, name, sha256, since)}`);
}

/** What became of the file, as soon as the host says anything of it. */
async function taken(client: Client, name: string, sha256: string, since: string): Promise<string> {
  const path = `/api/v1/plugins/${encodeURIComponent(name)}`;
  for (const until = Date.now() + TAKEN_MAX_MS; Date.now() < until; await pause(TAKEN_MS)) {
    const { state, reason, remedy, errors, ...found } = await client.get<PluginDetails>(path);
    if (state === 'starting' || state === 'syncing') continue;
    // The version before is on its way back.
    if (state === 'restarting' && found.sha256 !== sha256) continue;
    const text = [state, reason, remedy].filter((one) => one !== undefined).join(': ');
    if (found.sha256 === sha256) return text;
    const fault = errors.findLast(({ time }) => time >= since);
    if (fault !== undefined) return `not running (${fault.code}), ${text}`;
    // Not named in the configuration: it never will be loaded.
    if (state === 'found' && reason !== undefined) return text;
  }
  return `the host has not taken it within ${TAKEN_MAX_MS / 1000} s: is this its plugin folder?`;
}

/** The log lines of a plugin in a running host, from now on. */
class Logs {
  private readonly client: Client;
  private readonly name: string;
  private last = new Date().toISOString();
  /** Lines of the time `last` that were shown. */
  private shown = 0;

  constructor(client: Client, name: string) {
    this.client = client;
    this.name = name;
  }

  async show(): Promise<void> {
    let lines: LogLine[];
    try {
      lines = await this.client.get<LogLine[]>(`/api/v1/plugins/${encodeURIComponent(this.name)}/logs`);
    } catch (error) {
      // A host that is just being restarted, or has no such plugin yet: it is asked again.
      if (error instanceof EkhoError) return;
      throw error;
    }
    const fresh = lines.filter(({ time }) => time >= this.last);
    const already = this.shown;
    for (const { time, level, message } of fresh.slice(already))
      await say(`${time} ${level.padEnd(5)} ${message}`);
    const last = fresh.at(-1)?.time ?? this.last;
    this.shown = fresh.filter(({ time }) => time === last).length;
    this.last = last;
  }
}

async function say(text: string): Promise<void> {
  for (const line of text.split('\n')) await print(`${plain(line)}\n`);
}
