/**
 * The little first root of kernels that have virtiofs as a module: it loads that and goes on in the real one, as the
 * kernel would have by itself. Format: Documentation/driver-api/early-userspace/buffer-format.rst ("newc").
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { LabError } from './machine.ts';

/** In what order they are loaded follows from modules.dep. */
const MODULES = ['virtio_pci', 'virtiofs', 'virtio_console', 'overlay'];

const INIT = `#!/bin/busybox sh
for module in /modules/*; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t virtiofs -o ro root /root
exec /bin/busybox switch_root /root /bin/sh "$@"
`;

const FILE = 0o100755;
const FOLDER = 0o040755;
const DEVICE = 0o020600;

/** Writes `initramfs` below the root's boot folder if its kernel needs one; whether it does. */
export function makeInitramfs(root: string, release: string): boolean {
  const config = readFileSync(join(root, 'boot', `config-${release}`), 'utf8');
  if (/^CONFIG_VIRTIO_FS=y$/m.test(config) && /^CONFIG_VIRTIO_PCI=y$/m.test(config)) return false;
  const folder = join(root, 'usr/lib/modules', release);
  const archive = new Archive();
  for (const name of ['bin', 'dev', 'root', 'modules']) archive.add(name, FOLDER);
  archive.add('dev/console', DEVICE, Buffer.alloc(0), [5, 1]);
  archive.add('bin/busybox', FILE, readFileSync(join(root, 'usr/bin/busybox')));
  archive.add('init', FILE, Buffer.from(INIT));
  for (const [number, file] of inOrder(folder).entries()) {
    const place = `modules/${String(number).padStart(2, '0')}-${basename(file)}`;
    archive.add(place, FILE, readFileSync(join(folder, file)));
  }
  writeFileSync(join(root, 'boot/initramfs'), archive.end());
  return true;
}

/** Files of the modules, each after those it needs. */
function inOrder(folder: string): string[] {
  const needs = new Map<string, string[]>();
  for (const line of readFileSync(join(folder, 'modules.dep'), 'utf8').split('\n')) {
    const [file, others] = line.split(':');
    if (file && others !== undefined) needs.set(file, others.trim().split(' ').filter(Boolean));
  }
  const files = new Set<string>();
  for (const name of MODULES) {
    const file = [...needs.keys()].find((path) => basename(path) === `${name}.ko`);
    if (file === undefined) throw new LabError(`the kernel has no module ${name}`);
    // modules.dep lists what is needed with the most basic last.
    for (const other of needs.get(file)!.toReversed()) files.add(other);
    files.add(file);
  }
  return [...files];
}

class Archive {
  readonly #parts: Buffer[] = [];
  #number = 0;

  add(
    name: string,
    mode: number,
    data = Buffer.alloc(0),
    [major, minor]: readonly [number, number] = [0, 0],
  ): void {
    const numbers = [++this.#number, mode, 0, 0, 1, 0, data.length, 0, 0, major, minor, name.length + 1, 0];
    const header = `070701${numbers.map((value) => value.toString(16).padStart(8, '0')).join('')}${name}\0`;
    this.#parts.push(padded(Buffer.from(header)), padded(data));
  }

  end(): Buffer {
    this.add('TRAILER!!!', 0);
    return Buffer.concat(this.#parts);
  }
}

/** To a multiple of four bytes. */
function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
}
