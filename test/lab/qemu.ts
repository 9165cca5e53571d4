/**
 * The hardware QEMU makes, and what it runs on: KVM only where a kernel really boots with it. /dev/kvm alone proves
 * nothing: inside of some virtual machines it is there and every guest dies in its first instructions.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Image } from './image.ts';
import { type Arch, CACHE, OWN_ARCH, QEMU } from './machine.ts';

/** A kernel is through with booting long before, in milliseconds. */
const PROBE_LIMIT = 15_000;
const PROBE_MEMORY_MIB = 512;

export type Accelerator = 'kvm' | 'tcg';

/** Tries once per boot of this machine; the answer is kept in the cache. */
export async function accelerator(arch: Arch, image: Image): Promise<Accelerator> {
  if (arch !== OWN_ARCH) return 'tcg';
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return 'tcg';
  }
  const file = join(CACHE, 'accelerator');
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  try {
    const [known, answer] = readFileSync(file, 'utf8').trim().split(' ');
    if (known === boot && (answer === 'kvm' || answer === 'tcg')) return answer;
  } catch {
    // Not tried yet.
  }
  const answer = (await boots(arch, image)) ? 'kvm' : 'tcg';
  writeFileSync(file, `${boot} ${answer}\n`);
  return answer;
}

/** Whether a kernel that is given no root file system gets as far as to miss it. */
async function boots(arch: Arch, image: Image): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-lab-'));
  try {
    const console = join(folder, 'console.log');
    const append = `console=${arch === 'arm64' ? 'ttyAMA0' : 'ttyS0'} panic=-1`;
    const words = [...qemuWords(arch, 'kvm', PROBE_MEMORY_MIB), '-serial', `file:${console}`];
    const child = spawn(QEMU[arch].command, [...words, '-kernel', image.kernel, '-append', append], {
      stdio: 'ignore',
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), PROBE_LIMIT);
    await new Promise((resolve) => child.on('close', resolve).on('error', resolve));
    clearTimeout(timer);
    return readFileSync(console, 'latin1').includes('Unable to mount root fs');
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What every machine is made of, less its folders and kernel. */
export function qemuWords(arch: Arch, accel: string, memory: number): string[] {
  return [
    ...(arch === 'arm64' ? ['-M', 'virt', '-cpu', 'max,pauth-impdef=on'] : ['-cpu', 'max']),
    ...['-accel', accel, '-smp', '1', '-m', String(memory), '-nic', 'none'],
    ...['-display', 'none', '-monitor', 'none', '-no-reboot', '-device', 'virtio-serial-pci'],
    // virtiofsd reads and writes the guest's memory.
    ...['-object', `memory-backend-memfd,id=memory,size=${memory}M,share=on`, '-numa', 'node,memdev=memory'],
  ];
}
