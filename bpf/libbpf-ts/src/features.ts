/**
 * What this kernel can do, found out by trying. There are three answers: a probe that could not be made is neither a yes nor
 * a no. Nothing stays loaded or attached.
 */

import { existsSync } from 'node:fs';
import { Btf } from './btf.ts';
import { ATTACH, MAP_TYPES, type MapType, PROGRAM_TYPES, type ProgramType } from './constants.ts';
import { EOPNOTSUPP, EPERM, errnoName } from './errno.ts';
import { addressOf, closeFd } from './memory.ts';
import { native } from './native.ts';
import {
  type Capability,
  effectiveCapabilities,
  explainRefusal,
  lockdownMode,
  missingCapabilities,
} from './rights.ts';

export type Answer =
  | { readonly status: 'available' }
  | { readonly status: 'unsupported'; readonly why: string }
  | { readonly status: 'inconclusive'; readonly why: string };

const AVAILABLE: Answer = { status: 'available' };
const unsupported = (why: string): Answer => ({ status: 'unsupported', why });
const inconclusive = (why: string): Answer => ({ status: 'inconclusive', why });

/** Every probe loads something: without rights a refusal says nothing about the kernel. */
function withoutRights(wanted: readonly Capability[]): Answer | undefined {
  const missing = missingCapabilities(effectiveCapabilities(), wanted);
  return missing.length === 0 ? undefined : inconclusive(`this process lacks ${missing.join(' and ')}`);
}

function fromTristate(result: number, what: string): Answer {
  if (result > 0) return AVAILABLE;
  if (result === 0) return unsupported(`the kernel does not take ${what}`);
  if (result === -EOPNOTSUPP) return inconclusive(`the installed libbpf cannot probe ${what}`);
  return inconclusive(`probing ${what}: ${errnoName(-result)}`);
}

/** Whether programs of that type can be loaded. */
export function probeProgramType(type: ProgramType): Answer {
  return (
    withoutRights(['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN']) ??
    fromTristate(
      native().libbpf_probe_bpf_prog_type(PROGRAM_TYPES.indexOf(type), 0) as number,
      `programs of type ${type}`,
    )
  );
}

/** Whether maps of that type can be made. */
export function probeMapType(type: MapType): Answer {
  return (
    withoutRights(['CAP_BPF', 'CAP_NET_ADMIN']) ??
    fromTristate(
      native().libbpf_probe_bpf_map_type(MAP_TYPES.indexOf(type), 0) as number,
      `maps of type ${type}`,
    )
  );
}

/** Whether programs of that type may call a helper, e.g. `ringbuf_reserve`; its number is looked up in the kernel's BTF. */
export function probeHelper(type: ProgramType, helper: string): Answer {
  const refused = withoutRights(['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN']);
  if (refused !== undefined) return refused;
  const btf = vmlinux();
  if (btf === undefined) return inconclusive('the kernel has no BTF to look the helper up in');
  const number = btf.enumerator('bpf_func_id', `BPF_FUNC_${helper}`);
  if (number === undefined) return unsupported(`the kernel has no helper ${helper}`);
  const target = type === 'tracing' ? btf.find(`btf_trace_${TEST_TRACEPOINT}`, 'typedef')?.id : 0;
  const log = new Uint8Array(new ArrayBuffer(LOG_SIZE));
  // `call helper; exit`: where the helper is known, the verifier gets to complain about its arguments.
  const call = new BigUint64Array([(number << 32n) | 0x85n, 0x95n]);
  const expected = type === 'tracing' ? ATTACH.raw_tp : (EXPECTED_ATTACH[type] ?? 0);
  const fd = loadTiny(type, expected, target ?? 0, call, log);
  if (fd >= 0) {
    closeFd(fd);
    return AVAILABLE;
  }
  const text = Buffer.from(log.buffer).toString('latin1', 0, log.indexOf(0));
  if (/unknown func|invalid func|program of this type cannot use helper/.test(text)) {
    return unsupported(`programs of type ${type} may not call ${helper}`);
  }
  // Without a log the program was refused before anyone looked at the call.
  if (!text.includes('call bpf_')) return inconclusive(`load: ${errnoName(-fd)}: ${text.split('\n', 1)[0]}`);
  return AVAILABLE;
}

const LOG_SIZE = 65536;
/** Types that cannot be loaded without one: BPF_CGROUP_INET4_BIND, BPF_CGROUP_GETSOCKOPT, BPF_SK_LOOKUP, … */
const EXPECTED_ATTACH: Partial<Record<ProgramType, number>> = {
  cgroup_sock_addr: 8,
  cgroup_sockopt: 21,
  sk_lookup: 36,
  netfilter: 45,
};

function vmlinux(): Btf | undefined {
  try {
    return Btf.vmlinux();
  } catch {
    return undefined;
  }
}

/** `r0 = 0; exit` */
const RETURN_ZERO = new BigUint64Array([0x00000000_000000b7n, 0x00000000_00000095n]);

/** Loads the smallest program; returns its descriptor or -errno. */
function loadTiny(
  type: ProgramType,
  expectedAttach: number,
  attachBtfId: number,
  instructions: BigUint64Array = RETURN_ZERO,
  log?: Uint8Array<ArrayBuffer>,
): number {
  // struct bpf_prog_load_opts
  const opts = new DataView(new ArrayBuffer(104));
  opts.setBigUint64(0, 104n, true);
  opts.setInt32(12, expectedAttach, true);
  opts.setUint32(32, attachBtfId, true);
  if (log !== undefined) {
    opts.setUint32(88, 1, true);
    opts.setUint32(92, log.length, true);
    opts.setBigUint64(96, BigInt(addressOf(log.buffer)), true);
  }
  const number = PROGRAM_TYPES.indexOf(type);
  return native().bpf_prog_load(number, 'probe', 'GPL', instructions, instructions.length, opts) as number;
}

/** Loads, attaches, and takes both back; the first refusal is the answer. */
function tryAttach(
  type: ProgramType,
  expectedAttach: number,
  id: number,
  attach: (fd: number) => number,
): Answer {
  const program = loadTiny(type, expectedAttach, id);
  if (program < 0) return refusal(-program, 'load');
  const link = attach(program);
  closeFd(program);
  if (link < 0) return refusal(-link, 'attach');
  closeFd(link);
  return AVAILABLE;
}

function refusal(errno: number, step: string): Answer {
  if (errno === EPERM) {
    const { code, why } = explainRefusal(effectiveCapabilities(), lockdownMode(), TRACING);
    const text = `${step}: EPERM: ${why}`;
    return code === 'E_REFUSED' ? unsupported(text) : inconclusive(text);
  }
  return unsupported(`${step}: ${errnoName(errno)}`);
}

const TRACING: readonly Capability[] = ['CAP_BPF', 'CAP_PERFMON'];
/** Kernel function that exists for tests and runs in nothing else; net/bpf/test_run.c. */
const TEST_FUNCTION = 'bpf_fentry_test1';
/** A tracepoint of every kernel that is not busy. */
const TEST_TRACEPOINT = 'task_newtask';

function probeTrampoline(attachType: number): Answer {
  const refused = withoutRights(TRACING);
  if (refused !== undefined) return refused;
  const btf = vmlinux();
  if (btf === undefined) return unsupported('the kernel has no BTF');
  const target = btf.find(TEST_FUNCTION, 'function');
  if (target === undefined) return inconclusive(`the kernel has no ${TEST_FUNCTION} to try it on`);
  return tryAttach('tracing', attachType, target.id, (fd) => native().bpf_raw_tracepoint_open(null, fd));
}

function probeTpBtf(): Answer {
  const refused = withoutRights(TRACING);
  if (refused !== undefined) return refused;
  const btf = vmlinux();
  if (btf === undefined) return unsupported('the kernel has no BTF');
  const target = btf.find(`btf_trace_${TEST_TRACEPOINT}`, 'typedef');
  if (target === undefined) return inconclusive(`the kernel has no ${TEST_TRACEPOINT} to try it on`);
  return tryAttach('tracing', ATTACH.raw_tp, target.id, (fd) => native().bpf_raw_tracepoint_open(null, fd));
}

function probeRawTracepoint(): Answer {
  return (
    withoutRights(TRACING) ??
    tryAttach('raw_tracepoint', 0, 0, (fd) => native().bpf_raw_tracepoint_open(TEST_TRACEPOINT, fd))
  );
}

function probeKprobe(): Answer {
  const refused = withoutRights(TRACING);
  if (refused !== undefined) return refused;
  if (!existsSync('/sys/bus/event_source/devices')) return inconclusive('sysfs does not show event sources');
  if (!existsSync('/sys/bus/event_source/devices/kprobe'))
    return unsupported('the kernel has no kprobe events');
  // LOCKDOWN_KPROBES; kprobe_multi is not held back.
  if (lockdownMode() === 'confidentiality') return unsupported('kernel lockdown is in confidentiality mode');
  return probeProgramType('kprobe');
}

function probeKprobeMulti(): Answer {
  const refused = withoutRights(TRACING);
  if (refused !== undefined) return refused;
  // One allocation: struct bpf_link_create_opts, the array of one name, the name.
  const bytes = new Uint8Array(new ArrayBuffer(128));
  const address = BigInt(addressOf(bytes.buffer));
  const opts = new DataView(bytes.buffer);
  opts.setBigUint64(0, 64n, true);
  opts.setUint32(36, 1, true);
  opts.setBigUint64(40, address + 64n, true);
  opts.setBigUint64(64, address + 72n, true);
  bytes.set(Buffer.from(`${TEST_FUNCTION}\0`), 72);
  return tryAttach('kprobe', ATTACH.kprobe_multi, 0, (fd) =>
    native().bpf_link_create(fd, 0, ATTACH.kprobe_multi, opts),
  );
}

function probeTracepoint(): Answer {
  const mounted = ['/sys/kernel/tracing/events', '/sys/kernel/debug/tracing/events'].some((path) =>
    existsSync(path),
  );
  if (!mounted) return inconclusive('tracefs is not mounted at /sys/kernel/tracing or cannot be read');
  return probeProgramType('tracepoint');
}

function probeTcx(): Answer {
  const btf = vmlinux();
  if (btf === undefined) return inconclusive('the kernel has no BTF to look it up in');
  return btf.hasFunction('tcx_prog_attach')
    ? AVAILABLE
    : unsupported('the kernel is older than 6.6, or has no tcx');
}

function probeBtf(): Answer {
  if (!existsSync('/sys/kernel/btf/vmlinux')) return unsupported('there is no /sys/kernel/btf/vmlinux');
  return vmlinux() === undefined ? inconclusive('/sys/kernel/btf/vmlinux cannot be read') : AVAILABLE;
}

const PROBES = {
  btf: probeBtf,
  fentry: () => probeTrampoline(ATTACH.fentry),
  fexit: () => probeTrampoline(ATTACH.fexit),
  kprobe: probeKprobe,
  kprobe_multi: probeKprobeMulti,
  tracepoint: probeTracepoint,
  raw_tracepoint: probeRawTracepoint,
  tp_btf: probeTpBtf,
  xdp: () => probeProgramType('xdp'),
  tc: () => probeProgramType('sched_cls'),
  tcx: probeTcx,
  struct_ops: () => probeProgramType('struct_ops'),
  syscall: () => probeProgramType('syscall'),
  ringbuf: () => probeMapType('ringbuf'),
} as const satisfies Record<string, () => Answer>;

export type Feature = keyof typeof PROBES;
export const FEATURES = Object.keys(PROBES) as readonly Feature[];

/** @throws E_LIBBPF_MISSING, E_LIBBPF_OLD */
export function probe(feature: Feature): Answer {
  return PROBES[feature]();
}

/** All features at once; takes some tens of milliseconds. */
export function probeAll(): Record<Feature, Answer> {
  return Object.fromEntries(FEATURES.map((feature) => [feature, probe(feature)])) as Record<Feature, Answer>;
}
