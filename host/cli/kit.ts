/** The commands of the vendor kit: they need no host. What they do is in plugins/kit. */
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { type Command, Option } from 'commander';
import { LANGUAGES, type Language } from '../../plugins/kit/project.ts';
import { socketPath } from '../config/socket.ts';
import { EkhoError } from '../errors.ts';
import { Client } from './client.ts';
import { plain, print } from './output.ts';

type AddCommand = (parent: Command, name: string, description: string) => Command;

/** Adds `new`, `build`, … to `ekho plugin`. */
export function addKitCommands(plugin: Command, command: AddCommand): void {
  command(plugin, 'new', 'start a plugin in a folder of its name')
    .argument('<name>')
    .addOption(new Option('--lang <language>', 'language to write it in').choices(LANGUAGES).default('c'))
    .action(async (name: string, options: { lang: Language }) => {
      const { newPlugin } = await import('../../plugins/kit/new.ts');
      const { folder, files } = newPlugin(name, options.lang);
      for (const file of files) await print(`${here(folder)}/${file}\n`);
    });

  command(plugin, 'build', 'build a plugin folder into a component')
    .argument('[folder]', 'the folder with plugin.toml', '.')
    .action(async (folder: string) => {
      const { readProject } = await import('../../plugins/kit/project.ts');
      const { buildProject } = await import('../../plugins/kit/build/index.ts');
      const project = readProject(folder);
      const built = await buildProject(project);
      await print(`${plain(here(project.output))}${built ? '' : ': unchanged'}\n`);
    });

  command(plugin, 'check', 'hold a plugin to the contract, case by case')
    .argument('<file>', 'the component, or a plugin folder that is built')
    .option('--only <text>', 'only cases with this in their name')
    .option('--cases <folder>', 'cases of your own, as well')
    .option('--junit <file>', 'write the result as JUnit’s XML')
    .option('--json', 'print JSON')
    .addOption(
      new Option('--isolation <how>', 'run it as the host does what it trusts, or what it does not')
        .choices(['worker', 'process'])
        .default('worker'),
    )
    .action(check);

  command(plugin, 'dev', 'build a plugin folder on every change and show it at work, until interrupted')
    .argument('[folder]', 'the folder with plugin.toml', '.')
    .option('--into <folder>', 'the plugin folder of a running host (default: check it on a simulated ASIC)')
    .option('--only <text>', 'without a host: only cases with this in their name', 'hold-')
    .option('--socket <path>', 'the host’s socket (or EKHO_SOCKET)')
    .action(async (folder: string, options: { into?: string; only: string; socket?: string }) => {
      const { dev } = await import('./dev.ts');
      await dev(folder, options, new Client(socketPath(options.socket)));
    });
}

interface CheckCommandOptions {
  readonly only?: string;
  readonly cases?: string;
  readonly junit?: string;
  readonly json?: boolean;
  readonly isolation: 'worker' | 'process';
}

async function check(path: string, { junit, json, ...options }: CheckCommandOptions): Promise<void> {
  const { checkPlugin } = await import('../../plugins/kit/check/index.ts');
  const { headText, reportJson, reportJunit, resultText, summaryText } = await import(
    '../../plugins/kit/check/report.ts'
  );
  // Before the cases run, which takes minutes.
  if (junit !== undefined) writeReport(junit, '');
  const report = await checkPlugin(await componentOf(path), {
    ...options,
    ...(!json && {
      onDescription: (description) => void print(plainLines(headText({ description }))),
      onResult: (result) => void print(plainLines(resultText(result))),
    }),
  });
  await print(json ? reportJson(report) : summaryText(report));
  if (junit !== undefined) writeReport(junit, reportJunit(report));
  if (report.results.some(({ verdict }) => verdict === 'failed')) process.exitCode = 1;
}

function writeReport(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new EkhoError('E_USAGE', `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      remedy: 'Name a file in a folder that is there and that you may write to.',
      cause: error,
    });
  }
}

/** The file itself, or what the folder builds into. */
async function componentOf(path: string): Promise<string> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined)
    throw new EkhoError('E_USAGE', `there is no ${path}`, {
      remedy: 'Name a component (build/NAME.wasm) or the folder of a plugin.',
    });
  if (!found.isDirectory()) return path;
  const { readProject } = await import('../../plugins/kit/project.ts');
  const { output } = readProject(path);
  if (existsSync(output)) return output;
  throw new EkhoError('E_PROJECT', `${here(output)} is not there`, {
    remedy: `Build it: ekho plugin build${path === '.' ? '' : ` ${path}`}`,
  });
}

/** What plugins and cases say of themselves is theirs. */
function plainLines(text: string): string {
  return text.split('\n').map(plain).join('\n');
}

/** A path as one would type it from here. */
function here(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith('..') ? path : near;
}
