/** The Debian packages: `ekho`, the service with all it runs on, for one architecture, and `ekho-dkms`, the kernel module's sources. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ekhoCommand } from '../host/cli/main.ts';
import { ROOT } from '../host/config/config.ts';
import { bashCompletion, fishCompletion, zshCompletion } from './completions.ts';
import { writeDeb } from './deb.ts';
import { commandManual, configManual } from './manual.ts';
import type { Arch, Module } from './modules.ts';
import { writeRuntime } from './runtime.ts';

export interface PackageOptions {
  readonly version: string;
  /** Seconds since 1970: the time of all files. */
  readonly epoch: number;
  /** Folder of the results. */
  readonly output: string;
}

const FIELDS = { Maintainer: 'EKHO maintainers <ekho@localhost>', Section: 'net', Priority: 'optional' };

/**
 * What Node (built for glibc 2.28 and later), koffi and the host load by name. Names are those of Debian 12 and later; dpkg-deb
 * compresses with zstd, which those read.
 */
const DEPENDS = [
  'libc6 (>= 2.34)',
  'libstdc++6 (>= 10)',
  'libgcc-s1',
  'libatomic1',
  'libbpf1',
  'init-system-helpers',
  'passwd',
  // kill, by which the unit reloads.
  'procps',
];

/** Writes the package of one architecture; gives its path. */
export async function packageHost(arch: Arch, { version, epoch, output }: PackageOptions): Promise<string> {
  return await inFolder(async (folder) => {
    const modules = await writeSystem(folder, { arch, version, epoch });
    const file = join(output, `ekho_${version}_${arch}.deb`);
    writeText(folder, 'usr/share/doc/ekho/copyright', copyright(modules));
    writeDeb({
      folder,
      epoch,
      output: file,
      fields: {
        Package: 'ekho',
        Version: version,
        Architecture: arch,
        ...FIELDS,
        Depends: DEPENDS.join(', '),
        Recommends: 'iproute2',
        Suggests: 'ekho-dkms, nats-server',
        Description: [
          'kernel networking state in hardware, through vendor plugins',
          ' A host service that mirrors the routes, neighbours, bridges and filters of the',
          ' Linux kernel into NICs, DPUs and switches, and says what is in hardware and why',
          ' the rest is not. Plugins are WebAssembly components.',
        ].join('\n'),
      },
      control: {
        conffiles: '/etc/ekho/ekho.toml\n',
        postinst: debian('postinst'),
        prerm: debian('prerm'),
        postrm: debian('postrm'),
      },
    });
    return file;
  });
}

/** The whole tree below /, but for what only Debian wants. */
export async function writeSystem(
  folder: string,
  { arch, version, epoch }: { arch: Arch; version: string; epoch: number },
): Promise<Module[]> {
  const runtime = join(folder, 'usr/lib/ekho');
  mkdirSync(runtime, { recursive: true });
  const modules = await writeRuntime({ arch, version, folder: runtime });
  const program = ekhoCommand();
  const manual = { version, epoch };
  writeText(folder, 'usr/bin/ekho', debian('ekho.command'), 0o755);
  writeText(folder, 'etc/ekho/ekho.toml', debian('ekho.toml'));
  const unit = readFileSync(join(ROOT, 'packaging/ekho.service'), 'utf8');
  writeText(folder, 'usr/lib/systemd/system/ekho.service', unit);
  writeText(folder, 'usr/lib/tmpfiles.d/ekho.conf', debian('ekho.tmpfiles'));
  writeText(folder, 'usr/share/bash-completion/completions/ekho', bashCompletion(program));
  writeText(folder, 'usr/share/zsh/vendor-completions/_ekho', zshCompletion(program));
  writeText(folder, 'usr/share/fish/vendor_completions.d/ekho.fish', fishCompletion(program));
  writePage(folder, 'usr/share/man/man1/ekho.1.gz', commandManual(program, manual));
  writePage(folder, 'usr/share/man/man5/ekho.toml.5.gz', configManual(manual));
  return modules;
}

/** Writes the package of the kernel module, one for all architectures; gives its path. */
export async function packageModule({ version, epoch, output }: PackageOptions): Promise<string> {
  return await inFolder(async (folder) => {
    const sources = join(folder, `usr/src/ekho-${version}`);
    const from = join(ROOT, 'bpf/module');
    mkdirSync(sources, { recursive: true });
    for (const name of readdirSync(from)) {
      if (!/^(Kbuild|Makefile)$|\.[ch]$/.test(name)) continue;
      cpSync(join(from, name), join(sources, name));
    }
    const settings = readFileSync(join(from, 'dkms.conf'), 'utf8');
    writeText(
      sources,
      'dkms.conf',
      settings.replace(/^PACKAGE_VERSION=.*$/m, `PACKAGE_VERSION="${version}"`),
    );
    writeText(folder, 'usr/share/doc/ekho-dkms/copyright', MODULE_COPYRIGHT);
    const file = join(output, `ekho-dkms_${version}_all.deb`);
    const script = (name: string) => debian(name).replaceAll('@VERSION@', version);
    writeDeb({
      folder,
      epoch,
      output: file,
      fields: {
        Package: 'ekho-dkms',
        Version: version,
        Architecture: 'all',
        ...FIELDS,
        Section: 'kernel',
        Depends: 'dkms (>= 3)',
        Recommends: 'ekho',
        Description: [
          'kernel module through which BPF programs answer offload requests',
          ' Sources of ekho.ko, built by DKMS for the kernels that are installed: Linux 6.12',
          ' and later, with BTF of modules.',
        ].join('\n'),
      },
      control: { postinst: script('dkms.postinst'), prerm: script('dkms.prerm') },
    });
    return file;
  });
}

const MODULE_COPYRIGHT = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ekho

Files: *
Copyright: the EKHO contributors
License: GPL-2
 On Debian systems, the text of this licence is in /usr/share/common-licenses/GPL-2.
`;

/** Every part with its licence; the texts of those of npm are beside their files. */
function copyright(modules: readonly Module[]): string {
  const parts = modules.map(
    ({ path, version, license }) =>
      `Files: /usr/lib/ekho/${path}/*\nComment: version ${version}\nLicense: ${license}\n`,
  );
  return [
    `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ekho

Files: *
Copyright: the EKHO contributors
License: Apache-2.0
 On Debian systems, the text of this licence is in /usr/share/common-licenses/Apache-2.0.

Files: /usr/lib/ekho/build/bpf/*
Copyright: the EKHO contributors
License: GPL-2 or BSD-2-clause
`,
    ...parts,
  ].join('\n');
}

async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-package-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function debian(name: string): string {
  return readFileSync(join(ROOT, 'packaging/debian', name), 'utf8');
}

/** Without a name or time in it, as gzip(1) -n. */
function writePage(folder: string, path: string, page: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), gzipSync(page, { level: 9 }));
}

function writeText(folder: string, path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text, { mode });
}
