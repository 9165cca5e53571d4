/** What this process may do, capability by capability (capabilities(7)). */

import {
  type Capability,
  effectiveCapabilities,
  missingCapabilities,
} from '../../bpf/libbpf-ts/src/index.ts';
import type { Finding } from '../api/schemas.ts';
import { available, required, unsupported } from './findings.ts';

const USES: readonly { readonly capability: Capability; readonly use: string }[] = [
  { capability: 'CAP_NET_ADMIN', use: 'reading nftables, large receive buffers, BPF on links' },
  { capability: 'CAP_SYS_ADMIN', use: 'entering another network namespace' },
  { capability: 'CAP_BPF', use: 'loading BPF programs' },
  { capability: 'CAP_PERFMON', use: 'BPF programs on kernel functions and tracepoints' },
];

/** `entersNetns`: the configuration names another namespace. `effective`: CapEff of /proc/PID/status. */
export function rightsFindings(entersNetns: boolean, effective = effectiveCapabilities()): Finding[] {
  return USES.map(({ capability, use }) => {
    const isMissing = missingCapabilities(effective, [capability]).length > 0;
    const finding = isMissing
      ? unsupported('rights', capability, `missing: ${use}`, `Run the host as root or grant ${capability}.`)
      : available('rights', capability, use);
    return capability === 'CAP_SYS_ADMIN' && entersNetns ? required(finding) : finding;
  });
}
