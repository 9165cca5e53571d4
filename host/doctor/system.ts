/** What the host stands on: Node, the kernel, its lockdown mode, the module that adds firmware offload. */

import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { type Lockdown, lockdownMode } from '../../bpf/libbpf-ts/src/index.ts';
import type { Finding } from '../api/schemas.ts';
import { available, inconclusive, required, unsupported } from './findings.ts';

/** The oldest kernel that tests run on, and the first that does not count BPF memory against RLIMIT_MEMLOCK. */
const OLDEST_TESTED = [6, 1] as const;

/** Whether `release` (as uname gives it) is `major.minor` or newer; undefined when it is not understood. */
export function isSince(release: string, [major, minor]: readonly [number, number]): boolean | undefined {
  const match = /^(\d+)\.(\d+)/.exec(release);
  if (match === null) return undefined;
  const [ours, oursMinor] = [Number(match[1]), Number(match[2])];
  return ours > major || (ours === major && oursMinor >= minor);
}

/** `needsModule`: the configuration asks for firmware. */
export function systemFindings(needsModule: boolean): Finding[] {
  const module = moduleFinding();
  return [
    available('system', 'node', process.versions.node),
    kernelFinding(release()),
    lockdownFinding(lockdownMode()),
    needsModule ? required(module) : module,
  ];
}

export function kernelFinding(release: string): Finding {
  if (isSince(release, OLDEST_TESTED)) return available('system', 'kernel', release);
  return inconclusive(
    'system',
    'kernel',
    `${release} is older than what EKHO is tested on`,
    `Use Linux ${OLDEST_TESTED.join('.')} or later.`,
  );
}

export function lockdownFinding(mode: Lockdown): Finding {
  switch (mode) {
    case 'none':
      return available('system', 'lockdown', 'none');
    case 'integrity':
      return available('system', 'lockdown', 'integrity: BPF may read the kernel');
    case 'confidentiality':
      return unsupported(
        'system',
        'lockdown',
        'confidentiality: BPF may not read the kernel',
        'Boot with lockdown=integrity or none; Secure Boot may set it.',
      );
    case 'unknown':
      return inconclusive(
        'system',
        'lockdown',
        existsSync('/sys/kernel/security')
          ? '/sys/kernel/security/lockdown is not there: no lockdown, or securityfs is not mounted'
          : 'securityfs is not mounted',
        'Look for /sys/kernel/security/lockdown after `mount -t securityfs none /sys/kernel/security`.',
      );
  }
}

function moduleFinding(): Finding {
  if (!existsSync('/sys/module/ekho')) {
    return unsupported(
      'system',
      'module ekho',
      'not loaded',
      'None needed, unless the kernel is to ask plugins to offload rules (`[firmware]`).',
    );
  }
  if (!existsSync('/sys/kernel/btf/ekho')) {
    return unsupported(
      'system',
      'module ekho',
      'loaded without BTF: no firmware can be attached',
      'Build it where pahole and the kernel’s BTF are installed.',
    );
  }
  return available('system', 'module ekho', 'loaded');
}
