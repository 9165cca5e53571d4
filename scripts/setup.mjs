/** What the scripts share: installing what is missing. Runs on any Node from 18 on. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, statSync, utimesSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const NODE = join(ROOT, 'node_modules/node/bin/node');

/** The oldest Node that all optional packages are for. */
const OPTIONAL_NODE = 22;
/** A library that the bundled Node is linked with, and its Debian package; a bare Debian is without. */
const LIBRARY = 'libatomic.so.1';
const LIBRARY_PACKAGE = 'libatomic1';

/** A fault a person can mend: printed without a stack. */
export class SetupError extends Error {}

export function say(line) {
  console.log(line);
}

/** Installs the npm packages unless they are there and as new as the lock file, then makes sure of the bundled Node. */
export function ensureModules() {
  // First: install scripts of packages run on the bundled Node.
  ensureLibrary();
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
    // npm leaves out optional packages that are not for the Node it runs on, rolldown's binary on Node 18 for one.
    if (Number(process.versions.node.split('.')[0]) < OPTIONAL_NODE && runs(NODE)) {
      const PATH = `${dirname(NODE)}${delimiter}${process.env.PATH}`;
      const env = { ...process.env, PATH, NODE_OPTIONS: '--no-deprecation' };
      runNow('npm', args, 'npm install failed on the bundled Node; its message is above.', env);
    }
    // The stamp is what tells the next run that all is in place.
    utimesSync(stamp, new Date(), new Date());
  }
  if (!runs(NODE)) {
    // Its binary comes in by an install script, which some npm configurations turn off.
    say('Installing Node (its install script was not run): npm rebuild node');
    runNow('npm', ['rebuild', 'node', '--ignore-scripts=false', '--loglevel=error'], '');
  }
  if (!runs(NODE)) {
    const { stderr } = spawnSync(NODE, ['--version'], { encoding: 'utf8' });
    // The loader's message, of another library or another libc.
    if (stderr) throw new SetupError(`The bundled Node does not run here: ${stderr.trim()}`);
    throw new SetupError(
      `The npm package "node" did not bring a Node that runs here (${NODE}). Allow its install script and run ` +
        '`npm rebuild node`.',
    );
  }
}

function ensureLibrary() {
  if (runs(NODE) || hasLibrary()) return;
  if (isInstaller()) return installDebian([LIBRARY_PACKAGE]);
  throw new SetupError(
    `The Node that EKHO runs on needs ${LIBRARY}, which is not installed. As root: apt install ${LIBRARY_PACKAGE} ` +
      '(Debian, Ubuntu); elsewhere the package is mostly called libatomic.',
  );
}

/** Whether the loader knows of it; where nobody can be asked, what comes next will tell. */
function hasLibrary() {
  const ldconfig = ['/sbin/ldconfig', '/usr/sbin/ldconfig'].find((file) => existsSync(file));
  if (ldconfig === undefined) return true;
  const { status, stdout } = spawnSync(ldconfig, ['-p'], { encoding: 'utf8' });
  return status !== 0 || stdout.includes(LIBRARY);
}

/** Whether `installDebian` can do anything here. */
export function isInstaller() {
  return process.getuid() === 0 && has('apt-get');
}

/** Installs packages by apt, with new lists; services among them are not started. @throws SetupError */
export function installDebian(packages) {
  const names = packages.join(' ');
  say(`Installing Debian packages: ${names}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  runNow('apt-get', ['-qq', 'update'], 'apt-get update failed; its message is above.', env);
  const install = ['-qq', '-y', '-o', 'Dpkg::Use-Pty=0', '--no-install-recommends', 'install', ...packages];
  runNow('apt-get', install, `apt-get could not install ${names}; its message is above.`, env);
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
  // Ctrl-C on a terminal reaches the child twice, by the terminal and from here: children expect that.
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
