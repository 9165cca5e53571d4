/** The archive that this machine's own apt uses, in the suites of any release of Debian. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Longest mmdebstrap may take, in milliseconds. */
const LIMIT = 15 * 60_000;

/**
 * This machine's archive entries for another release, as lines of sources.list.
 *
 * @param suite codename, e.g. `trixie`
 * @param hasBackports with the release's backports, from the archive of the release itself
 */
export function aptSources(suite: string, hasBackports = false): string {
  const own = ownSuite();
  const format = '$(REPO_URI)|$(RELEASE)|$(COMPONENT)';
  const targets = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  });
  const lines = new Set<string>();
  for (const target of targets.split('\n')) {
    const [uri, release, component] = target.split('|');
    if (!uri || !release || !component) continue;
    // bookworm, bookworm-updates, bookworm-security; other entries are of no use here.
    if (release !== own && release !== `${own}-updates` && release !== `${own}-security`) continue;
    lines.add(`deb ${uri} ${suite}${release.slice(own.length)} ${component}`);
    if (hasBackports && release === own) lines.add(`deb ${uri} ${suite}-backports ${component}`);
  }
  if (lines.size === 0) {
    throw new Error(
      `apt on this machine has no entry for Debian ${own}; ` +
        'see /etc/apt/sources.list and /etc/apt/sources.list.d',
    );
  }
  return `${[...lines].join('\n')}\n`;
}

function ownSuite(): string {
  const release = readFileSync('/etc/os-release', 'utf8');
  const id = /^ID=(.*)$/m.exec(release)?.[1];
  const suite = /^VERSION_CODENAME=(.*)$/m.exec(release)?.[1];
  if (id !== 'debian' || suite === undefined) {
    throw new Error(`The archive of a Debian machine is needed; this one is ${id}`);
  }
  return suite;
}

/** How this machine reaches its archive: proxies, and whether old indexes are all right. */
export function aptOptions(): string[] {
  return execFileSync('apt-config', ['dump'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => /^Acquire::(https?|Check-Valid-Until|Check-Date|Retries)\b/.test(line))
    .map((line) => line.replace(/;$/, ''));
}

/** Makes a folder of a release's packages: `extract` only unpacks them, `minbase` installs them beside what every Debian has. */
export function debootstrap(
  variant: 'extract' | 'minbase',
  suite: string,
  arch: string,
  packages: readonly string[],
  folder: string,
  options: readonly string[] = [],
): void {
  execFileSync(
    'mmdebstrap',
    [
      '--quiet',
      `--variant=${variant}`,
      ...options,
      `--architectures=${arch}`,
      `--include=${packages.join(',')}`,
      ...aptOptions().map((option) => `--aptopt=${option}`),
      suite,
      folder,
      '-',
    ],
    { input: aptSources(suite), stdio: ['pipe', 'ignore', 'inherit'], timeout: LIMIT },
  );
}
