/** BPF programs that let everything pass, loaded by bare system calls and attached where no tool of this machine can. */

import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { inNetns } from '../../host/netlink/syscall.ts';

const libc = koffi.load(null);
const syscall = libc.func(
  'long syscall(long number, int command, _Inout_ uint8_t *attributes, uint32_t size)',
);
const BPF = process.arch === 'x64' ? 321 : 280;
const BPF_PROG_LOAD = 5;
const BPF_LINK_CREATE = 28;
const PROG_TYPE_SCHED_CLS = 3;
const PROG_TYPE_NETFILTER = 32;
const ATTACH_NETFILTER = 45;
const ATTACH_TCX = { ingress: 46, egress: 47 } as const;
const TCX_NEXT = -1;
const NF_ACCEPT = 1;

function bpf(command: number, attributes: Uint8Array): number {
  const result = syscall(BPF, command, attributes, attributes.length) as number;
  if (result < 0) throw new Error(`bpf command ${command}: errno ${koffi.errno()}`);
  return result;
}

/** A program of two instructions: r0 = `verdict`; exit. */
function load(type: number, attachType: number, verdict: number): number {
  const code = new Uint8Array(16);
  code[0] = 0xb7;
  new DataView(code.buffer).setInt32(4, verdict, true);
  code[8] = 0x95;
  const license = Buffer.from('GPL\0');
  const attributes = new Uint8Array(128);
  const view = new DataView(attributes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, code.length / 8, true);
  view.setBigUint64(8, koffi.address(code) as bigint, true);
  view.setBigUint64(16, koffi.address(license) as bigint, true);
  view.setUint32(68, attachType, true);
  return bpf(BPF_PROG_LOAD, attributes);
}

function attach(netns: string, program: number, words: readonly number[]): () => void {
  try {
    const attributes = new Uint8Array(64);
    new Int32Array(attributes.buffer).set([program, ...words]);
    const link = inNetns(netns, () => bpf(BPF_LINK_CREATE, attributes));
    return () => closeSync(link);
  } finally {
    closeSync(program);
  }
}

/** Returns the function that detaches it. */
export function attachTcx(netns: string, ifindex: number, point: 'ingress' | 'egress'): () => void {
  const type = ATTACH_TCX[point];
  return attach(netns, load(PROG_TYPE_SCHED_CLS, type, TCX_NEXT), [ifindex, type]);
}

/** At hook `hook` (NF_INET_*) of family `family` (NFPROTO_*). Returns the function that detaches it. */
export function attachNetfilter(netns: string, family: number, hook: number): () => void {
  const program = load(PROG_TYPE_NETFILTER, ATTACH_NETFILTER, NF_ACCEPT);
  const priority = 10;
  return attach(netns, program, [0, ATTACH_NETFILTER, 0, family, hook, priority, 0]);
}
