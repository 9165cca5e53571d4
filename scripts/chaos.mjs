/** `npm run chaos`: installs and builds what is missing, then tries faults (test/chaos/run.ts). */
import { join } from 'node:path';
import { chaosOptions, USAGE } from '../test/chaos/options.mjs';
import { ensurePackages, missingPackages } from './packages.mjs';
import { become, build, ensureModules, fail, has, NODE, ROOT, SetupError, say } from './setup.mjs';

/** What its faults call. */
const COMMANDS = [
  'ip',
  'bridge',
  'tc',
  'nft',
  'clang',
  'bpftool',
  'ping',
  'sysctl',
  'ethtool',
  'openssl',
  'nats-server',
];

try {
  const words = process.argv.slice(2);
  const options = optionsOf(words);
  if (options.help) say(USAGE);
  else {
    if (!options.list && process.getuid() !== 0)
      throw new SetupError(
        'The chaos makes network namespaces and loads BPF programs. Run it as root: sudo npm run chaos',
      );
    ensureModules();
    if (!options.list) prepare();
    become(NODE, [join(ROOT, 'test/chaos/run.ts'), ...words]);
  }
} catch (error) {
  fail(error);
}

function optionsOf(words) {
  try {
    return chaosOptions(words);
  } catch (error) {
    console.error(`chaos: ${error.message}\n\n${USAGE}`);
    process.exit(2);
  }
}

function prepare() {
  const packages = missingPackages(COMMANDS);
  if (!has('bird')) packages.push('bird2');
  if (!ensurePackages(packages))
    throw new SetupError(
      `Not installed here, and there is no apt-get: what Debian has in ${packages.join(' ')}.`,
    );
  build();
}
