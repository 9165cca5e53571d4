/** libbpf-ts on stock kernels: functions, tracepoints, tcx, struct_ops. What one of them lacks is a typed error there. */

import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { BpfObject, type Feature, type Link, libbpfVersion, probe } from '../../bpf/libbpf-ts/src/index.ts';
import { compile } from '../../bpf/libbpf-ts/test/compile.ts';
import { errorOf, Wire } from '../../bpf/libbpf-ts/test/support.ts';

const FILE = join(tmpdir(), `libbpf-ts-${process.pid}`);
const UNLINKS = 5;

function unlink(): void {
  for (let count = 0; count < UNLINKS; count++) {
    writeFileSync(FILE, '');
    unlinkSync(FILE);
  }
}

/** Skips the test where the kernel lacks a feature; there, using it is an error with that code. */
function needs(context: TestContext, feature: Feature, use: () => unknown): void {
  const answer = probe(feature);
  expect(answer.status).not.toBe('inconclusive');
  if (answer.status !== 'unsupported') return;
  expect(errorOf(use).code).toBe('E_NOT_SUPPORTED');
  context.skip(`the kernel has no ${feature}: ${answer.why}`);
}

describe('functions and tracepoints', () => {
  let object: BpfObject;
  beforeAll(() => {
    object = BpfObject.open(compile('functions')).load();
  });
  afterAll(() => object?.close());

  /** What a slot counts while attached, and that it stops when the link is closed. */
  function counted(slot: number, attach: () => Link): bigint {
    const slots = object.map<number, bigint>('slots');
    slots.set(slot, 0n);
    {
      using _link = attach();
      unlink();
    }
    const count = slots.get(slot)!;
    unlink();
    expect(slots.get(slot)).toBe(count);
    return count;
  }

  test('fentry and fexit', () => {
    expect(counted(0, () => object.program('on_entry').attach())).toBe(BigInt(UNLINKS));
    expect(counted(1, () => object.program('on_exit').attachTrace())).toBe(BigInt(UNLINKS));
  });

  test('kprobe, with a cookie, and kretprobe', () => {
    const probed = () => object.program('on_probe').attachKprobe('do_unlinkat', { cookie: 7n });
    expect(counted(2, probed)).toBe(BigInt(7 * UNLINKS));
    expect(counted(2, () => object.program('on_probe').attach())).toBe(BigInt(UNLINKS));
    const returned = () => object.program('on_return').attachKprobe('do_unlinkat', { onReturn: true });
    expect(counted(3, returned)).toBe(BigInt(UNLINKS));
    const none = errorOf(() => object.program('on_probe').attachKprobe('no_such_function'));
    expect(none.code).toBe('E_NO_TARGET');
  });

  test('kprobe.multi, by names and by pattern', (context) => {
    const many = object.program('on_many');
    needs(context, 'kprobe_multi', () => many.attachKprobeMulti(['do_unlinkat']));
    expect(counted(4, () => many.attachKprobeMulti(['do_unlinkat', 'vfs_unlink']))).toBe(BigInt(2 * UNLINKS));
    expect(counted(4, () => many.attachKprobeMulti('do_unlinka*'))).toBe(BigInt(UNLINKS));
    expect(counted(4, () => many.attachKprobeMulti(['do_unlinkat'], { onReturn: true }))).toBe(
      BigInt(UNLINKS),
    );
    expect(errorOf(() => many.attachKprobeMulti('no_such_function_*')).code).toBe('E_NO_TARGET');
  });

  test('tracepoints', () => {
    const slots = object.map<number, bigint>('slots');
    using _link = object.program('on_switch').attachTracepoint('sched', 'sched_switch');
    unlink();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    expect(slots.get(5)).toBeGreaterThan(0n);
    expect(errorOf(() => object.program('on_switch').attachTracepoint('sched', 'none')).code).toBe(
      'E_NO_TARGET',
    );
  });

  test('tcx', (context) => {
    using wire = new Wire();
    const attach = () => wire.inside(() => object.program('on_frame').attachTcx(wire.ifindex, 'ingress'));
    needs(context, 'tcx', attach);
    const slots = object.map<number, bigint>('slots');
    {
      using link = attach();
      expect(link.info().programId).toBe(object.program('on_frame').info().id);
      expect(wire.ping(3)).toBe(true);
    }
    const count = slots.get(6)!;
    expect(count).toBeGreaterThanOrEqual(3n);
    expect(wire.ping(1)).toBe(true);
    expect(slots.get(6)).toBe(count);
  });
});

test('struct_ops: a congestion control is there while its link is', (context) => {
  const available = () => readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'utf8');
  using object = BpfObject.open(compile('congestion'));
  const { major, minor } = libbpfVersion();
  if (major === 1 && minor < 4) {
    const old = errorOf(() => object.load());
    expect(old.code).toBe('E_LIBBPF_OLD');
    expect(old.message).toBe(`struct_ops needs libbpf 1.4 or later; installed is ${major}.${minor}`);
    context.skip(`libbpf ${major}.${minor} has no struct_ops links, which came with 1.4`);
  }
  object.load();
  {
    using link = object.attachStructOps('plain');
    expect(link.info().id).toBeGreaterThan(0);
    expect(available()).toContain('ekho_plain');
  }
  expect(available()).not.toContain('ekho_plain');
  expect(errorOf(() => object.setStructOps('plain', { name: 'ekho_other' })).code).toBe('E_STATE');
  using named = BpfObject.open(compile('congestion'));
  named.setStructOps('plain', { name: 'ekho_other' });
  named.load();
  using _link = named.attachStructOps('plain');
  expect(available()).toContain('ekho_other');
});
