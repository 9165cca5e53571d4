/** The container image: what the Debian package installs, on the few libraries of Debian that it needs. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { debootstrap } from './apt.ts';
import type { Arch } from './modules.ts';
import { writeImage } from './oci.ts';
import { type PackageOptions, writeSystem } from './packages.ts';

const SUITE = 'trixie';
/** Of Node, koffi and libbpf; and a shell, for the command. */
const LIBRARIES = ['base-files', 'dash', 'libatomic1', 'libbpf1', 'libc6', 'libstdc++6'];
/** What nothing in the image reads. */
const NOT_READ = [
  'boot',
  'dev',
  'etc/apt',
  'usr/lib/systemd',
  'usr/share/bash-completion',
  'usr/share/bug',
  'usr/share/doc-base',
  'usr/share/fish',
  'usr/share/info',
  'usr/share/lintian',
  'usr/share/locale',
  'usr/share/man',
  'usr/share/menu',
  'usr/share/zsh',
  'var/cache',
  'var/lib/apt',
  'var/lib/dpkg',
];

/** Why no image can be made here; undefined: it can. */
export function whyNoImage(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can unpack the libraries of Debian';
  if (spawnSync('mmdebstrap', ['--version']).status !== 0) return 'mmdebstrap is not installed';
  return undefined;
}

/** Writes the image of one architecture, as an archive of an OCI image layout; gives its path. Needs mmdebstrap and root. */
export async function packageImage(arch: Arch, { version, epoch, output }: PackageOptions): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-image-'));
  try {
    const system = join(folder, 'system');
    const host = join(folder, 'host');
    debootstrap('extract', SUITE, arch, LIBRARIES, system);
    mkdirSync(host);
    await writeSystem(host, { arch, version, epoch });
    for (const layer of [system, host])
      for (const path of NOT_READ) rmSync(join(layer, path), { recursive: true, force: true });
    writeFileSync(
      join(host, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\nekho:x:100:100::/nonexistent:/bin/sh\n',
    );
    writeFileSync(join(host, 'etc/group'), 'root:x:0:\nekho:x:100:\nekho-read:x:101:\n');
    for (const path of ['dev', 'run/ekho', 'var/lib/ekho', 'var/cache/ekho', 'tmp'])
      mkdirSync(join(host, path), { recursive: true });
    const file = join(output, `ekho_${version}_${arch}.oci.tar`);
    writeImage({
      layers: [
        { folder: system, by: `Debian ${SUITE}: ${LIBRARIES.join(' ')}` },
        { folder: host, by: `ekho ${version}` },
      ],
      architecture: arch,
      tag: version,
      config: configOf(version),
      epoch,
      output: file,
    });
    return file;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The service as the unit starts it, less systemd. */
function configOf(version: string) {
  return {
    Env: [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'EKHO_SOCKET=/run/ekho/ekho.sock',
      'XDG_CACHE_HOME=/var/cache/ekho',
      'NODE_COMPILE_CACHE=/var/cache/ekho/compiled',
    ],
    Entrypoint: ['/usr/bin/ekho'],
    Cmd: ['run', '--config', '/etc/ekho/ekho.toml'],
    StopSignal: 'SIGTERM',
    Labels: {
      'org.opencontainers.image.title': 'ekho',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
  };
}
