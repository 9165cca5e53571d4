/** The Debian packages: the same bytes each time, and a host that runs from what is in them alone. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageHost, packageModule } from '../../packaging/packages.ts';
import { OWN_ARCH } from '../lab/machine.ts';

const EPOCH = 1_700_000_000;
const hasDpkg = spawnSync('dpkg-deb', ['--version']).status === 0;

describe.skipIf(!hasDpkg)(`packages${hasDpkg ? '' : ': there is no dpkg-deb here'}`, () => {
  let folder: string;
  let files: string[];
  let root: string;
  const again = () => join(folder, 'again');

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ekho-packages-'));
    mkdirSync(again());
    root = join(folder, 'root');
    const mask = process.umask();
    const made: string[][] = [];
    for (const [output, umask] of [
      [folder, 0o022],
      // Whoever builds may keep files to themselves.
      [again(), 0o077],
    ] as const) {
      process.umask(umask);
      const options = { version: '1.2.3', epoch: EPOCH, output };
      try {
        made.push([await packageHost(OWN_ARCH, options), await packageModule(options)]);
      } finally {
        process.umask(mask);
      }
    }
    files = made[0]!;
    execFileSync('dpkg-deb', ['--extract', files[0]!, root]);
  }, 1_200_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('are the same bytes when they are made again', () => {
    for (const file of files) {
      const other = join(again(), file.slice(folder.length));
      expect(Buffer.compare(readFileSync(file), readFileSync(other)), file).toBe(0);
    }
  });

  it('have what dpkg needs, and nothing that only builders do', () => {
    const [host, module] = files as [string, string];
    const field = (file: string, name: string) =>
      execFileSync('dpkg-deb', ['--field', file, name], { encoding: 'utf8' }).trim();
    expect(field(host, 'Package')).toBe('ekho');
    expect(field(host, 'Version')).toBe('1.2.3');
    expect(field(host, 'Architecture')).toBe(OWN_ARCH);
    expect(field(module, 'Architecture')).toBe('all');
    expect(field(module, 'Depends')).toMatch(/^dkms/);
    const paths = readdirSync(root, { recursive: true, encoding: 'utf8' });
    for (const path of [
      'etc/ekho/ekho.toml',
      'usr/bin/ekho',
      'usr/lib/systemd/system/ekho.service',
      'usr/lib/ekho/build/bpf/datapath.bpf.o',
      'usr/lib/ekho/build/plugins/softnic.wasm',
      'usr/lib/ekho/build/web/index.html',
      'usr/share/man/man1/ekho.1.gz',
      'usr/share/doc/ekho/copyright',
    ])
      expect(paths).toContain(path);
    expect(
      paths.filter((path) =>
        /\/host\/.*\.ts$|\.d\.ts$|node_modules\/(typescript|vitest|binaryen)\//.test(path),
      ),
    ).toEqual([]);
  });

  it('have a host that runs from them', () => {
    const run = (...words: string[]) =>
      spawnSync(
        join(root, 'usr/lib/ekho/node_modules/node/bin/node'),
        [join(root, 'usr/lib/ekho/host/cli/ekho.mjs'), ...words],
        { encoding: 'utf8', cwd: '/', env: { PATH: '/usr/bin:/bin' } },
      );
    expect(run('--version')).toMatchObject({ stdout: '1.2.3\n', stderr: '', status: 0 });
    // It loads what is native, BPF and the plugins' sections of the configuration.
    const diagnosis = run('doctor', '--json');
    expect(diagnosis.stderr).toBe('');
    expect(Object.keys(JSON.parse(diagnosis.stdout))).toContain('findings');
  });
});
