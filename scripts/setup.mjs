/** What `npm start` and `npm test` share: installing what is missing. Runs on any Node from 18 on. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, statSync, utimesSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const NODE = join(ROOT, 'node_modules/node/bin/node');

/** A fault a person can mend: printed without a stack. */
export class SetupError extends Error {}

export function say(line) {
  console.log(line);
}

/** Installs the npm packages unless they are there and as new as the lock file, then makes sure of the bundled Node. */
export function ensureModules() {
  const stamp = join(ROOT, 'node_modules/.package-lock.json');
  const lock = join(ROOT, 'package-lock.json');
  const why = !existsSync(stamp)
    ? 'they are not there yet'
    : statSync(stamp).mtimeMs < statSync(lock).mtimeMs
      ? 'package-lock.json is newer'
      : undefined;
  if (why !== undefined) {
    // Not `npm ci`: it wants the lock file to list the optional packages of every platform, and a registry may not
    // carry them all. `--no-save` takes the locked versions and leaves the lock file alone.
    const args = ['install', '--no-save', '--no-progress', '--loglevel=error'];
    say(`Installing npm packages (${why}): npm ${args.slice(0, 2).join(' ')}`);
    runNow('npm', args, 'npm install failed; its message is above.');
    // The stamp is what tells the next run that all is in place.
    utimesSync(stamp, new Date(), new Date());
  }
  if (!runs(NODE)) {
    // Its binary comes in by an install script, which some npm configurations turn off.
    say('Installing Node (its install script was not run): npm rebuild node');
    runNow('npm', ['rebuild', 'node', '--ignore-scripts=false', '--loglevel=error'], '');
  }
  if (!runs(NODE)) {
    throw new SetupError(
      `The npm package "node" did not bring a Node that runs here (${NODE}). Allow its install script and run ` +
        '`npm rebuild node`.',
    );
  }
}

function runs(command) {
  return existsSync(command) && spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

export function has(command) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .some((folder) => folder && existsSync(join(folder, command)));
}

/** Runs to the end with its output on the terminal; throws if it fails. */
export function runNow(command, args, message, env = process.env) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', env });
  if (status !== 0)
    throw new SetupError(
      message || `${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}.`,
    );
}

export function build() {
  runNow(NODE, [join(ROOT, 'scripts/build.mjs')], 'The plugins could not be built; the message is above.');
}

/** Hands the terminal and signals to a child and ends as it ended. */
export function become(command, args) {
  const child = spawn(command, args, { stdio: 'inherit' });
  child.on('error', (error) => fail(error));
  // Ctrl-C on a terminal reaches the child twice, by the terminal and from here: it takes the two for one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else {
      process.exitCode = code ?? 1;
    }
  });
}

export function fail(error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exit(1);
}
