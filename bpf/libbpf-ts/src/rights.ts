/** Why the kernel says EPERM: missing capabilities, lockdown, or neither. */

import { readFileSync } from 'node:fs';

/** include/uapi/linux/capability.h */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21, CAP_PERFMON: 38, CAP_BPF: 39 } as const;
export type Capability = keyof typeof CAPABILITIES;
export type Lockdown = 'none' | 'integrity' | 'confidentiality' | 'unknown';

/**
 * Those of `wanted` that are not in `effective` (the CapEff line of /proc/PID/status, in hexadecimal). CAP_SYS_ADMIN stands
 * for CAP_BPF and CAP_PERFMON, as in the kernel (bpf_capable, perfmon_capable).
 */
export function missingCapabilities(effective: string, wanted: readonly Capability[]): Capability[] {
  const set = BigInt(`0x${effective}`);
  const holds = (name: Capability) => ((set >> BigInt(CAPABILITIES[name])) & 1n) === 1n;
  return wanted.filter((name) => {
    if (holds(name)) return false;
    return name === 'CAP_NET_ADMIN' || !holds('CAP_SYS_ADMIN');
  });
}

/** The mode in brackets of /sys/kernel/security/lockdown. */
export function parseLockdown(text: string): Lockdown {
  const mode = /\[(\w+)\]/.exec(text)?.[1];
  return mode === 'none' || mode === 'integrity' || mode === 'confidentiality' ? mode : 'unknown';
}

/** The running process's effective capabilities, in hexadecimal. */
export function effectiveCapabilities(): string {
  return /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/thread-self/status', 'utf8'))?.[1] ?? '0';
}

/** `unknown` where the kernel does not tell: it has no lockdown, or securityfs is not mounted. */
export function lockdownMode(): Lockdown {
  try {
    return parseLockdown(readFileSync('/sys/kernel/security/lockdown', 'utf8'));
  } catch {
    return 'unknown';
  }
}

export interface Refusal {
  readonly code: 'E_RIGHTS' | 'E_LOCKDOWN' | 'E_REFUSED';
  readonly why: string;
  readonly remedy: string;
}

/** Explains an EPERM of something that needs `wanted`. Under lockdown's confidentiality mode kprobes are refused so. */
export function explainRefusal(
  effective: string,
  lockdown: Lockdown,
  wanted: readonly Capability[],
): Refusal {
  const missing = missingCapabilities(effective, wanted);
  if (missing.length > 0) {
    return {
      code: 'E_RIGHTS',
      why: `this process lacks ${missing.join(' and ')}`,
      remedy: `Run it as root or grant ${missing.join(', ')}.`,
    };
  }
  if (lockdown === 'confidentiality') {
    return {
      code: 'E_LOCKDOWN',
      why: 'kernel lockdown is in confidentiality mode',
      remedy: 'Boot with lockdown=integrity or none; Secure Boot may set it.',
    };
  }
  return {
    code: 'E_REFUSED',
    why:
      lockdown === 'unknown'
        ? 'the kernel refused; rights are there, lockdown cannot be read'
        : 'the kernel refused although rights are there and lockdown does not forbid it',
    remedy:
      'Look for a kernel built without the feature, a seccomp filter, a security module or a user namespace.',
  };
}

/**
 * Whether lockdown is why the verifier does not know a helper: in confidentiality mode programs may not read kernel memory with
 * helpers, in both modes not write user memory (LOCKDOWN_BPF_READ_KERNEL, LOCKDOWN_BPF_WRITE_USER in kernel/trace/bpf_trace.c).
 * Everything else of BPF goes on under lockdown.
 */
export function lockedHelper(reason: string, lockdown: Lockdown): boolean {
  if (/probe_write_user/.test(reason)) return lockdown === 'integrity' || lockdown === 'confidentiality';
  return lockdown === 'confidentiality' && /probe_read(?:_kernel)?(?:_str)?#/.test(reason);
}
