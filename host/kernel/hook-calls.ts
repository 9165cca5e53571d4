/**
 * Asks the kernel for what netlink does not tell of the way of packets: tables of iptables-legacy and its kin, BPF programs
 * attached to netfilter and to tcx. All of it is about the network namespace of the calling thread, but links of netfilter programs
 * do not say which namespace they are in.
 */

import { closeSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import koffi from 'koffi';
import { EkhoError, isShortage } from '../errors.ts';
import { errorText } from '../netlink/syscall.ts';

const libc = koffi.load(null);
const openSocket = libc.func('int socket(int domain, int type, int protocol)');
const getsockopt = libc.func(
  'int getsockopt(int fd, int level, int name, _Inout_ uint8_t *value, _Inout_ uint32_t *length)',
);
const bpfCall = libc.func(
  'long syscall(long number, int command, _Inout_ uint8_t *attributes, uint32_t size)',
);

/** __NR_bpf by process.arch; others are not asked. */
const BPF_NUMBERS: Readonly<Partial<Record<string, number>>> = { x64: 321, arm64: 280, riscv64: 280 };
/** linux/bpf.h enum bpf_cmd */
const BPF_OBJ_GET_INFO_BY_FD = 15;
const BPF_PROG_QUERY = 16;
const BPF_LINK_GET_FD_BY_ID = 30;
const BPF_LINK_GET_NEXT_ID = 31;
/** linux/bpf.h enum bpf_attach_type */
export const TCX_INGRESS = 46;
export const TCX_EGRESS = 47;
/** linux/bpf.h enum bpf_link_type */
const BPF_LINK_TYPE_NETFILTER = 10;
/** Links of BPF programs looked at; a machine with more is not known. */
const LINKS_MAX = 65_536;

/** BPF_MPROG_MAX: as many as a link can have. */
const TCX_PROGRAMS = 64;

const { EACCES, EINVAL, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC, EPERM } = constants.errno;

/** Undefined: the kernel does not let us see. */
export type Seen<T> = T | undefined;

/** Returns the call's result, negative errno on failure; undefined on machines whose number of it is not known. */
function bpf(command: number, attributes: Uint8Array): number | undefined {
  const number = BPF_NUMBERS[process.arch];
  if (number === undefined) return undefined;
  const result = bpfCall(number, command, attributes, attributes.length) as number;
  if (result >= 0) return result;
  const errno = koffi.errno();
  if (errno === EMFILE || errno === ENFILE || errno === ENOMEM)
    throw new EkhoError('E_UNAVAILABLE', `bpf(2): ${errorText(errno)}`);
  return -errno;
}

function words(bytes: number): { bytes: Uint8Array; words: Uint32Array } {
  const buffer = new Uint8Array(bytes);
  return { bytes: buffer, words: new Uint32Array(buffer.buffer) };
}

/** Ids of the programs that tcx runs on a link, in order; where there are more than fit, the first of them. */
export function tcxPrograms(
  ifindex: number,
  point: typeof TCX_INGRESS | typeof TCX_EGRESS,
): Seen<readonly number[]> {
  // union bpf_attr, query: target_ifindex, attach_type, query_flags, attach_flags, prog_ids, count, …
  const query = words(64);
  const ids = new Uint32Array(new ArrayBuffer(4 * TCX_PROGRAMS));
  query.words[0] = ifindex;
  query.words[1] = point;
  query.words.set(new Uint32Array(new BigUint64Array([koffi.address(ids.buffer) as bigint]).buffer), 4);
  query.words[6] = TCX_PROGRAMS;
  const result = bpf(BPF_PROG_QUERY, query.bytes);
  if (result === undefined || result === -EPERM || result === -EACCES) return undefined;
  // EINVAL: kernels before 6.6 have no tcx. ENOENT: none was ever attached; or the link is gone. ENOSPC: there are more.
  if (result < 0 && result !== -ENOSPC) return [];
  return [...ids.subarray(0, Math.min(query.words[6]!, TCX_PROGRAMS))];
}

export interface NetfilterProgram {
  /** NFPROTO_*, NF_INET_* */
  readonly family: number;
  readonly hook: number;
}

/** What links are that were looked at, by their ids, which the kernel gives out one after the other: a link stays what it is. */
let knownLinks = new Map<number, NetfilterProgram | 'other'>();

/** BPF programs attached to netfilter, in every network namespace. */
export function netfilterPrograms(): Seen<NetfilterProgram[]> {
  const found: NetfilterProgram[] = [];
  const seen = new Map<number, NetfilterProgram | 'other'>();
  let id = 0;
  for (let count = 0; count < LINKS_MAX; count++) {
    const next = words(16);
    next.words[0] = id;
    const result = bpf(BPF_LINK_GET_NEXT_ID, next.bytes);
    // EINVAL: kernels before 5.8 have no such links.
    if (result === -ENOENT || result === -EINVAL) {
      knownLinks = seen;
      return found;
    }
    if (result !== 0) return undefined;
    id = next.words[1]!;
    const program = knownLinks.get(id) ?? netfilterLink(id);
    if (program === undefined) return undefined;
    seen.set(id, program);
    if (program !== 'other') found.push(program);
  }
  return undefined;
}

function netfilterLink(id: number): Seen<NetfilterProgram | 'other'> {
  const open = words(16);
  open.words[0] = id;
  const fd = bpf(BPF_LINK_GET_FD_BY_ID, open.bytes);
  if (fd === -ENOENT) return 'other';
  if (fd === undefined || fd < 0) return undefined;
  try {
    const info = new Uint8Array(128);
    const ask = new Uint8Array(16);
    const view = new DataView(ask.buffer);
    const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
    view.setUint32(0, fd, little);
    view.setUint32(4, info.length, little);
    view.setBigUint64(8, koffi.address(info) as bigint, little);
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, ask) !== 0) return undefined;
    // struct bpf_link_info: type, id, prog_id, 4 bytes for alignment, then netfilter.pf, netfilter.hooknum.
    const fields = new Uint32Array(info.buffer);
    if (fields[0] !== BPF_LINK_TYPE_NETFILTER) return 'other';
    return { family: fields[4]!, hook: fields[5]! };
  } finally {
    closeSync(fd);
  }
}

const AF_INET = 2;
const AF_INET6 = 10;
/** SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW */
const RAW_SOCKET = 3 | 0x80000;
const IPPROTO_RAW = 255;
/** linux/netfilter_ipv4/ip_tables.h; the numbers of IPv6 are the same. */
const IPT_SO_GET_INFO = 64;
const IPT_SO_GET_ENTRIES = 65;
const NAME_BYTES = 32;
/** struct ipt_getinfo and the fixed part of struct ipt_get_entries. */
const INFO_BYTES = 84;
const ENTRIES_HEADER = 40;
/** struct xt_entry_target, before the verdict of a standard one; -NF_ACCEPT - 1. */
const TARGET_BYTES = 32;
const ACCEPT = -2;
/** Largest table read, in bytes; a larger one is not empty. */
const TABLE_MAX = 16_384;
/** Where struct ipt_entry and ip6t_entry have target_offset. */
const TARGET_OFFSET: Readonly<Record<number, number>> = { [AF_INET]: 88, [AF_INET6]: 140 };
const LEVEL: Readonly<Record<number, number>> = { [AF_INET]: 0, [AF_INET6]: 41 };

/** Names of the tables of iptables-legacy that are registered here: `ip`, `ip6` or `arp`. */
export function legacyTables(family: 'ip' | 'ip6' | 'arp'): Seen<string[]> {
  try {
    const text = readFileSync(`/proc/thread-self/net/${family}_tables_names`, 'latin1');
    return text.split('\n').filter((name) => name !== '');
  } catch (error) {
    if (isShortage(error)) throw error;
    // The file comes with the module.
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? [] : undefined;
  }
}

/**
 * Whether a registered table of iptables-legacy (AF_INET) or ip6tables-legacy (AF_INET6) lets every packet pass: no rules, and
 * chains whose policy is to accept. False also where the kernel does not say.
 */
export function passesEverything(family: typeof AF_INET | typeof AF_INET6, name: string): boolean {
  const fd = openSocket(family, RAW_SOCKET, IPPROTO_RAW) as number;
  if (fd < 0) return false;
  try {
    const info = new Uint8Array(INFO_BYTES);
    Buffer.from(info.buffer).write(name, 'latin1');
    if (getsockopt(fd, LEVEL[family]!, IPT_SO_GET_INFO, info, [info.length]) !== 0) return false;
    const fields = new Uint32Array(info.buffer);
    const at = NAME_BYTES / 4;
    const [valid, count, size] = [fields[at]!, fields[at + 11]!, fields[at + 12]!];
    const hooks = [0, 1, 2, 3, 4].filter((hook) => (valid & (1 << hook)) !== 0);
    // One entry per chain for its policy, and one that ends the table.
    if (count !== hooks.length + 1 || size > TABLE_MAX) return false;
    const entries = new Uint8Array(ENTRIES_HEADER + size);
    entries.set(info.subarray(0, NAME_BYTES));
    new Uint32Array(entries.buffer)[at] = size;
    if (getsockopt(fd, LEVEL[family]!, IPT_SO_GET_ENTRIES, entries, [entries.length]) !== 0) return false;
    const table = Buffer.from(entries.buffer, ENTRIES_HEADER);
    return hooks.every((hook) => policyOf(family, table, fields[at + 1 + hook]!) === ACCEPT);
  } finally {
    closeSync(fd);
  }
}

/** The verdict of the entry at `start`, which has a standard target. */
function policyOf(family: number, table: Buffer, start: number): number {
  const view = new DataView(table.buffer, table.byteOffset, table.length);
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  const at = start + TARGET_OFFSET[family]!;
  if (at + 2 > table.length) return 0;
  const verdict = start + view.getUint16(at, little) + TARGET_BYTES;
  return verdict + 4 > table.length ? 0 : view.getInt32(verdict, little);
}

/** linux/netfilter_bridge/ebtables.h */
const EBT_SO_GET_INFO = 128;
/** struct ebt_replace on 64-bit machines; nentries stands behind the name and the valid hooks. */
const EBT_REPLACE_BYTES = 120;
const EBT_TABLES = ['filter', 'nat', 'broute'];

/**
 * Tables of ebtables-legacy with rules. One whose module is not loaded is not asked for, which would load it; a chain without rules whose
 * policy is to drop is not told from one that accepts.
 */
export function bridgeTables(): Seen<string[]> {
  const modules = loadedModules();
  const candidates = EBT_TABLES.filter((name) => modules === undefined || modules.has(`ebtable_${name}`));
  if (candidates.length === 0) return [];
  const fd = openSocket(AF_INET, RAW_SOCKET, IPPROTO_RAW) as number;
  if (fd < 0) return undefined;
  try {
    return candidates.filter((name) => {
      const info = new Uint8Array(EBT_REPLACE_BYTES);
      Buffer.from(info.buffer).write(name, 'latin1');
      if (getsockopt(fd, 0, EBT_SO_GET_INFO, info, [info.length]) !== 0) return false;
      return new Uint32Array(info.buffer)[NAME_BYTES / 4 + 1]! > 0;
    });
  } finally {
    closeSync(fd);
  }
}

/** Undefined on kernels without modules. */
function loadedModules(): Set<string> | undefined {
  try {
    const lines = readFileSync('/proc/modules', 'latin1').split('\n');
    return new Set(lines.map((line) => line.split(' ', 1)[0]!));
  } catch (error) {
    if (isShortage(error)) throw error;
    return undefined;
  }
}

/** Whether netfilter's IP hooks see what bridges forward; off where the kernel has no such setting: then nothing does it. */
export function bridgeCalls(tables: 'iptables' | 'ip6tables'): boolean {
  try {
    return readFileSync(`/proc/sys/net/bridge/bridge-nf-call-${tables}`, 'utf8').trim() !== '0';
  } catch (error) {
    if (isShortage(error)) throw error;
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

/** Numbers of a setting under net; none where the kernel does not have it or does not show it. */
export function numbersOf(setting: string): readonly number[] {
  try {
    return readFileSync(`/proc/sys/net/${setting}`, 'utf8').trim().split(/\s+/).map(Number);
  } catch (error) {
    if (isShortage(error)) throw error;
    return [];
  }
}
