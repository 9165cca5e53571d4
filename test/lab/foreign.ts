/**
 * Node and the native modules for guests of another architecture than this machine's, from the npm registry in the
 * versions that are installed here: a folder that lies over node_modules in the guest.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Arch, CACHE, CHECKOUT, LabError } from './machine.ts';

/** npm's names of the architectures. */
const CPU: Record<Arch, string> = { amd64: 'x64', arm64: 'arm64' };
/** Longest npm may take, in milliseconds. */
const INSTALL_LIMIT = 10 * 60_000;

export function foreignModules(arch: Arch, say: (line: string) => void): string {
  const cpu = CPU[arch];
  const node = `node-linux-${cpu}`;
  // netlink brings its own for all of them. The last two are vitest's.
  const modules = {
    [`@koromix/koffi-linux-${cpu}`]: 'koffi',
    [`@rolldown/binding-linux-${cpu}-gnu`]: 'rolldown',
    [`lightningcss-linux-${cpu}-gnu`]: 'lightningcss',
  };
  const wanted = Object.entries({ [node]: 'node', ...modules }).map(
    ([name, owner]) => `${name}@${versionOf(owner)}`,
  );
  const folder = join(CACHE, `modules-${wanted.join('-').replaceAll(/[^\w.-]/g, '_')}`);
  if (existsSync(folder)) return folder;
  say(`Installing npm packages for ${arch} guests: ${wanted.join(' ')}`);
  const making = `${folder}.tmp-${process.pid}`;
  try {
    mkdirSync(making, { recursive: true });
    // The packages refuse a machine of another architecture unless told whose they are for.
    const words = ['--no-save', '--no-audit', '--ignore-scripts', '--force', `--cpu=${cpu}`, '--os=linux'];
    execFileSync('npm', ['install', '--prefix', making, '--loglevel=error', ...words, ...wanted], {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: INSTALL_LIMIT,
    });
    const layer = join(making, 'layer');
    const move = (from: string, to: string) => {
      mkdirSync(dirname(join(layer, to)), { recursive: true });
      renameSync(join(making, 'node_modules', from), join(layer, to));
    };
    move(join(node, 'bin/node'), 'node/bin/node');
    for (const name of Object.keys(modules)) move(name, name);
    renameSync(layer, folder);
  } catch (error) {
    if (!existsSync(folder)) {
      throw new LabError(
        `npm could not install ${wanted.join(', ')}: ${(error as Error).message.split('\n')[0]}`,
      );
    }
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return folder;
}

function versionOf(name: string): string {
  return JSON.parse(readFileSync(join(CHECKOUT, 'node_modules', name, 'package.json'), 'utf8')).version;
}
