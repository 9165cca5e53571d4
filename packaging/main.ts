/**
 * `npm run package [-- amd64|arm64 … --version VERSION]`: Debian packages and container images into build/packages, the same bytes
 * from the same commit.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../host/config/config.ts';
import { VERSION } from '../host/version.ts';
import { packageImage, whyNoImage } from './image.ts';
import { ARCHES, type Arch } from './modules.ts';
import { packageHost, packageModule } from './packages.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { version: { type: 'string', default: VERSION } },
});
const { version } = values;
// As dpkg and DKMS both take it.
if (!/^\d[\w.+~]{0,63}$/.test(version)) {
  console.error(`npm run package: a version is like ${VERSION}, not ${version}`);
  process.exit(2);
}
for (const word of positionals) {
  if (!ARCHES.includes(word as Arch)) {
    console.error(`npm run package: architectures are ${ARCHES.join(' and ')}, not ${word}`);
    process.exit(2);
  }
}
const arches = positionals.length > 0 ? (positionals as Arch[]) : ARCHES;
const output = join(ROOT, 'build/packages');
mkdirSync(output, { recursive: true });
const options = { version, epoch: epochOfSources(), output };
const files = [];
const why = whyNoImage();
if (why !== undefined) console.error(`npm run package: no container images: ${why}`);
for (const arch of arches) {
  files.push(await packageHost(arch, options));
  if (why === undefined) files.push(await packageImage(arch, options));
}
files.push(await packageModule(options));
for (const file of files) {
  const size = statSync(file).size / 1e6;
  console.log(`${relative(ROOT, file)} (${size < 1 ? size.toFixed(2) : size.toFixed(0)} MB)`);
}

/** SOURCE_DATE_EPOCH, else the time of the commit. */
function epochOfSources(): number {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && /^\d{1,11}$/.test(given)) return Number(given);
  const text = execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' });
  return Number(text.trim());
}
