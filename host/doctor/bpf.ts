/** What libbpf and the kernel's BPF give this process. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import {
  type Answer,
  BpfError,
  FEATURES,
  type Feature,
  libbpfVersion,
  probe,
} from '../../bpf/libbpf-ts/src/index.ts';
import type { Finding } from '../api/schemas.ts';
import { ROOT } from '../config/config.ts';
import { available, inconclusive, unsupported } from './findings.ts';
import { isSince } from './system.ts';

/** Since then BPF memory is counted against the control group's. */
const COUNTED_IN_CGROUP = [5, 11] as const;

/** What is lost without a feature. */
const WITHOUT: Readonly<Record<Feature, string>> = {
  btf: 'Use a kernel built with CONFIG_DEBUG_INFO_BTF; without it the mirror has netlink alone.',
  fentry: 'None needed: notifiers use kprobes, else tracepoints.',
  fexit: 'None needed.',
  kprobe: 'None needed: notifiers use fentry or tracepoints.',
  kprobe_multi: 'None needed: notifiers use fentry, kprobes or tracepoints.',
  tracepoint: 'None needed.',
  raw_tracepoint: 'None needed where fentry or kprobes are available.',
  tp_btf: 'None needed: notifiers use raw tracepoints.',
  xdp: 'Use a kernel with CONFIG_BPF_SYSCALL and XDP to program links with it.',
  tc: 'Use a kernel with CONFIG_NET_CLS_BPF to program links with it.',
  tcx: 'None needed: programs are attached with tc filters instead.',
  struct_ops: 'Use a kernel with CONFIG_BPF_JIT for firmware on stock kernels.',
  syscall: 'Use Linux 5.14 or later for firmware on stock kernels.',
  ringbuf: 'Use Linux 5.8 or later for notifiers.',
};

export function bpfFindings(): Finding[] {
  const library = libbpfFinding();
  const findings = [library, objectsFinding(), ...memlockFindings()];
  // Without the library nothing can be tried.
  if (library.status === 'available') {
    findings.push(...FEATURES.map((feature) => featureFinding(feature, probe(feature))));
  }
  return findings;
}

function libbpfFinding(): Finding {
  try {
    const { major, minor } = libbpfVersion();
    return available('bpf', 'libbpf', `${major}.${minor}`);
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    return unsupported('bpf', 'libbpf', error.message, error.remedy);
  }
}

function objectsFinding(): Finding {
  const wanted = readdirSync(join(ROOT, 'bpf'))
    .filter((name) => name.endsWith('.bpf.c'))
    .map((name) => name.replace(/\.c$/, '.o'));
  const missing = wanted.filter((name) => !existsSync(join(ROOT, 'build/bpf', name)));
  if (missing.length === 0) return available('bpf', 'objects', wanted.join(' '));
  return unsupported(
    'bpf',
    'objects',
    `not built: ${missing.join(' ')}`,
    'Install clang and libbpf-dev, then run `npm run build`.',
  );
}

export function featureFinding(feature: Feature, answer: Answer): Finding {
  switch (answer.status) {
    case 'available':
      return available('bpf', feature);
    case 'unsupported':
      return unsupported('bpf', feature, answer.why, WITHOUT[feature]);
    case 'inconclusive':
      return inconclusive(
        'bpf',
        feature,
        answer.why,
        /lacks/.test(answer.why) ? 'Run the host as root to find out.' : undefined,
      );
  }
}

/** Old kernels refuse maps and programs beyond RLIMIT_MEMLOCK; on later ones there is nothing to say. */
export function memlockFindings(
  kernel = release(),
  limits = readFileSync('/proc/self/limits', 'utf8'),
): Finding[] {
  if (isSince(kernel, COUNTED_IN_CGROUP) !== false) return [];
  const soft = /^Max locked memory\s+(\S+)/m.exec(limits)?.[1] ?? '0';
  if (soft === 'unlimited') return [available('bpf', 'locked memory', soft)];
  return [
    unsupported(
      'bpf',
      'locked memory',
      `${soft} bytes, against which this kernel counts BPF maps`,
      'Set LimitMEMLOCK=infinity in the host’s unit, or `ulimit -l unlimited` before it.',
    ),
  ];
}
