/**
 * Kernel lockdown, which cannot be taken back: after all other tests of the guest. What it takes from BPF is a typed error,
 * all else goes on.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { BpfObject, lockdownMode, probe } from '../../../bpf/libbpf-ts/src/index.ts';
import { compile } from '../../../bpf/libbpf-ts/test/compile.ts';
import { errorOf } from '../../../bpf/libbpf-ts/test/support.ts';

const LOCKDOWN = '/sys/kernel/security/lockdown';

/** An object with one program of a file. */
function only(file: string, program: string): BpfObject {
  const object = BpfObject.open(compile(file));
  for (const name of object.programNames) object.program(name).setAutoload(name === program);
  return object;
}

beforeEach((context) => {
  if (!existsSync(LOCKDOWN)) context.skip('the kernel has no lockdown');
});

let probed: BpfObject;
beforeAll(() => {
  probed = BpfObject.open(compile('functions')).load();
});
afterAll(() => probed?.close());

test('without lockdown a program reads kernel memory, and kprobes attach', () => {
  expect(readFileSync(LOCKDOWN, 'utf8')).toContain('[none]');
  expect(lockdownMode()).toBe('none');
  only('rejected', 'reads_memory').load().close();
  probed.program('on_probe').attach().close();
  expect(probe('kprobe')).toEqual({ status: 'available' });
});

test('integrity takes neither', () => {
  writeFileSync(LOCKDOWN, 'integrity');
  expect(lockdownMode()).toBe('integrity');
  only('rejected', 'reads_memory').load().close();
  probed.program('on_probe').attach().close();
});

test('confidentiality takes both, and says so', () => {
  writeFileSync(LOCKDOWN, 'confidentiality');
  expect(lockdownMode()).toBe('confidentiality');
  using reader = only('rejected', 'reads_memory');
  const unread = errorOf(() => reader.load());
  expect(unread.code, unread.message).toBe('E_LOCKDOWN');
  expect(unread.message).toMatch(
    /kernel lockdown \(confidentiality\) forbids what program "reads_memory" calls/,
  );
  const unprobed = errorOf(() => probed.program('on_probe').attach());
  expect(unprobed.code, unprobed.message).toBe('E_LOCKDOWN');
  expect(unprobed.remedy).toBe('Boot with lockdown=integrity or none; Secure Boot may set it.');
  expect(probe('kprobe')).toMatchObject({ status: 'unsupported', why: expect.stringContaining('lockdown') });
});

test('fentry, tracepoints and maps go on under confidentiality', () => {
  for (const program of ['on_entry', 'on_exit']) probed.program(program).attach().close();
  for (const feature of ['fentry', 'tp_btf', 'raw_tracepoint', 'xdp', 'ringbuf'] as const) {
    expect(probe(feature), feature).toEqual({ status: 'available' });
  }
  using object = BpfObject.open(compile('small')).load();
  object.map<number, bigint>('slots').set(0, 1n);
});
