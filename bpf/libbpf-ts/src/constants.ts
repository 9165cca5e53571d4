/** Numbers of include/uapi/linux/bpf.h, by name; the index is the number. */

export const MAP_TYPES = [
  'unspec',
  'hash',
  'array',
  'prog_array',
  'perf_event_array',
  'percpu_hash',
  'percpu_array',
  'stack_trace',
  'cgroup_array',
  'lru_hash',
  'lru_percpu_hash',
  'lpm_trie',
  'array_of_maps',
  'hash_of_maps',
  'devmap',
  'sockmap',
  'cpumap',
  'xskmap',
  'sockhash',
  'cgroup_storage',
  'reuseport_sockarray',
  'percpu_cgroup_storage',
  'queue',
  'stack',
  'sk_storage',
  'devmap_hash',
  'struct_ops',
  'ringbuf',
  'inode_storage',
  'task_storage',
  'bloom_filter',
  'user_ringbuf',
  'cgrp_storage',
  'arena',
] as const;
export type MapType = (typeof MAP_TYPES)[number];

export const PROGRAM_TYPES = [
  'unspec',
  'socket_filter',
  'kprobe',
  'sched_cls',
  'sched_act',
  'tracepoint',
  'xdp',
  'perf_event',
  'cgroup_skb',
  'cgroup_sock',
  'lwt_in',
  'lwt_out',
  'lwt_xmit',
  'sock_ops',
  'sk_skb',
  'cgroup_device',
  'sk_msg',
  'raw_tracepoint',
  'cgroup_sock_addr',
  'lwt_seg6local',
  'lirc_mode2',
  'sk_reuseport',
  'flow_dissector',
  'cgroup_sysctl',
  'raw_tracepoint_writable',
  'cgroup_sockopt',
  'tracing',
  'struct_ops',
  'ext',
  'lsm',
  'sk_lookup',
  'syscall',
  'netfilter',
] as const;
export type ProgramType = (typeof PROGRAM_TYPES)[number];

/** enum bpf_attach_type: those this package names. */
export const ATTACH = {
  raw_tp: 23,
  fentry: 24,
  fexit: 25,
  xdp: 37,
  kprobe_multi: 42,
  tcx_ingress: 46,
  tcx_egress: 47,
} as const;

/** What loading a program of a type needs (kernel/bpf/syscall.c: bpf_prog_load). */
export function rightsFor(types: Iterable<ProgramType>): ('CAP_BPF' | 'CAP_PERFMON' | 'CAP_NET_ADMIN')[] {
  const rights = new Set<'CAP_BPF' | 'CAP_PERFMON' | 'CAP_NET_ADMIN'>(['CAP_BPF']);
  for (const type of types) {
    switch (type) {
      case 'kprobe':
      case 'tracepoint':
      case 'perf_event':
      case 'raw_tracepoint':
      case 'raw_tracepoint_writable':
      case 'tracing':
      case 'lsm':
      case 'ext':
        rights.add('CAP_PERFMON');
        break;
      case 'socket_filter':
      case 'syscall':
      case 'unspec':
        break;
      default:
        rights.add('CAP_NET_ADMIN');
    }
  }
  return [...rights];
}
