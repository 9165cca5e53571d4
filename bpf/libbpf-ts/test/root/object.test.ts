/** Opening, loading, running and attaching on the machine's kernel; every refusal with its code. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  BpfMap,
  BpfObject,
  decode,
  encode,
  Link,
  libbpfVersion,
  Program,
  probe,
  probeHelper,
  probeMapType,
  probeProgramType,
} from '../../src/index.ts';
import { compile } from '../compile.ts';
import { errorOf, mountBpfFs, Wire } from '../support.ts';

interface Arguments {
  count: number;
  length: number;
  emitted: number;
}

const BASICS = compile('basics');
const REJECTED = compile('rejected');
const folder = mkdtempSync(join(tmpdir(), 'libbpf-ts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function loaded(): BpfObject {
  return BpfObject.open(BASICS).load();
}

/** Runs with 10 tasks made, which the task_newtask tracepoint sees. */
function makeTasks(): void {
  for (let count = 0; count < 10; count++) execFileSync('true');
}

describe('opening', () => {
  test('lists maps and programs; a file in memory is as good', () => {
    using object = BpfObject.open(BASICS);
    expect(object.mapNames).toContain('flows');
    expect(object.programNames).toContain('emit');
    expect(object.program('emit')).toMatchObject({ section: 'syscall', type: 'syscall' });
    using other = BpfObject.open(execFileSync('cat', [BASICS], { maxBuffer: 1 << 26 }), { name: 'memory' });
    expect(other.programNames).toEqual(object.programNames);
    expect(other.load().loaded).toBe(true);
  });

  test('a file that is not there, and one that is no object', () => {
    expect(errorOf(() => BpfObject.open('/no/such.o')).code).toBe('E_NOT_FOUND');
    const text = join(folder, 'text.o');
    writeFileSync(text, 'not an object');
    const error = errorOf(() => BpfObject.open(text));
    expect(error.code).toBe('E_OBJECT');
    expect(error.messages.join()).toContain('text.o');
  });

  test('names that are not there, and states', () => {
    using object = BpfObject.open(BASICS);
    expect(errorOf(() => object.map('none')).code).toBe('E_NOT_FOUND');
    expect(errorOf(() => object.program('none')).code).toBe('E_NOT_FOUND');
    expect(errorOf(() => object.variable('none')).code).toBe('E_NOT_FOUND');
    expect(errorOf(() => object.type('none')).code).toBe('E_NOT_FOUND');
    expect(errorOf(() => object.map('slots').get(0)).code).toBe('E_STATE');
    expect(errorOf(() => object.program('emit').run()).code).toBe('E_STATE');
    expect(errorOf(() => object.ringBuffer('events')).code).toBe('E_STATE');
    object.load();
    expect(errorOf(() => object.load()).code).toBe('E_STATE');
    expect(errorOf(() => object.map('slots').setMaxEntries(3)).code).toBe('E_STATE');
    expect(errorOf(() => object.ringBuffer('slots')).code).toBe('E_VALUE');
  });

  test('after close everything of it is an error with a code', () => {
    const object = loaded();
    const map = object.map('slots');
    const program = object.program('emit');
    const variable = object.variable('answer');
    const link = object.program('on_task').attach();
    object.close();
    object.close();
    for (const use of [
      () => object.load(),
      () => object.map('slots'),
      () => object.variable('answer'),
      () => map.get(0),
      () => map.set(0, 1n),
      () => map.setBatch([0], [1n]),
      () => [...map],
      () => map.fd,
      () => program.run(),
      () => program.attach(),
      () => variable.get(),
      () => variable.set(1),
    ]) {
      expect(errorOf(use).code).toBe('E_CLOSED');
    }
    expect(link.info().id).toBeGreaterThan(0); // a link is its own
    link.close();
    expect(errorOf(() => link.info()).code).toBe('E_CLOSED');
  });
});

describe('global data', () => {
  test('constants are set before loading, variables at any time, and programs see and change them', () => {
    using object = BpfObject.open(BASICS);
    const limit = object.variable<number>('limit');
    const answer = object.variable<number>('answer');
    const last = object.variable<{ address: number; port: number; protocol: number }>('last');
    const label = object.variable<string>('label');
    expect([limit.get(), answer.get(), label.get()]).toEqual([7, 42, 'old']);
    limit.set(1234);
    last.set({ address: 1, port: 443, protocol: 6 });
    object.load();
    expect(last.get()).toEqual({ address: 1, port: 443, protocol: 6 });
    expect(errorOf(() => limit.set(5)).code).toBe('E_STATE');
    const context = encode(object.type<Arguments>('arguments'), { count: 0, length: 0, emitted: 0 });
    expect(object.program('emit').run({ context }).returnValue).toBe(1234);
    expect(object.variable('runs').get()).toBe(1n);
    object.program('change_globals').run();
    expect(answer.get()).toBe(-5);
    expect(last.get()).toEqual({ address: 0x0100007f, port: 444, protocol: 6 });
    expect(label.get()).toBe('nld');
    label.set('text');
    expect(label.get()).toBe('text');
    expect(errorOf(() => label.set('too long for it')).code).toBe('E_VALUE');
    expect(errorOf(() => answer.set(2 ** 31)).code).toBe('E_VALUE');
  });
});

describe('running', () => {
  test('a syscall program gets its context and writes to it; the caller keeps his own', () => {
    using object = loaded();
    const type = object.type<Arguments>('arguments');
    const context = encode(type, { count: 20, length: 3, emitted: 0 });
    const result = object.program('emit').run({ context });
    expect(decode(type, result.context)).toEqual({ count: 20, length: 3, emitted: 18 });
    expect(decode(type, context).emitted).toBe(0);
  });

  test('a program on a packet', () => {
    using object = loaded();
    const packet = new Uint8Array(64).fill(7);
    const result = object.program('count_packets').run({ data: packet, repeat: 100 });
    expect(result.returnValue).toBe(2); // XDP_PASS
    expect(result.data).toEqual(packet);
    expect(object.map<number, bigint>('slots').get(0)).toBe(100n);
    expect(object.program('drop_packets').run({ data: packet }).returnValue).toBe(1);
  });

  test('wrong arguments and types that cannot run', () => {
    using object = loaded();
    expect(errorOf(() => object.program('emit').run({ context: new Uint8Array(1 << 17) })).code).toBe(
      'E_KERNEL',
    );
    expect(errorOf(() => object.program('emit').run({ repeat: 5 })).code).toBe('E_KERNEL');
  });
});

describe('the verifier', () => {
  function rejection(program: string) {
    using object = BpfObject.open(REJECTED);
    object.program(program).setAutoload(true);
    const error = errorOf(() => object.load());
    expect(errorOf(() => object.load()).code).toBe('E_STATE');
    return error;
  }

  test.each([
    ['no_null_check', 'null-check', /map_value_or_null/, /\*value = 1/],
    ['past_the_packet', 'out-of-bounds', /packet/, /data\[100\]/],
    ['leaks_a_record', 'reference', /reference/i, undefined],
    ['never_ends', 'loop', /loop|back-edge/, /asm/],
  ] as const)('%s: %s', (program, kind, reason, source) => {
    const error = rejection(program);
    expect(error.code).toBe('E_VERIFIER');
    expect(error.verifier).toMatchObject({ program, kind });
    expect(error.verifier!.reason).toMatch(reason);
    expect(error.verifier!.log).toContain('processed');
    if (source !== undefined) expect(error.verifier!.source).toMatch(source);
    expect(error.message).toContain(program);
  });

  test('a member that this kernel does not have', () => {
    const error = rejection('no_such_member');
    expect(error.code).toBe('E_RELOCATION');
    expect(error.verifier?.program).toBe('no_such_member');
  });

  test('a tracepoint that this kernel does not have', () => {
    const error = rejection('no_such_target');
    expect(error.code).toBe('E_NO_TARGET');
    expect(error.message).toContain('no_such_tracepoint');
  });

  test('logs of programs that load, when asked', () => {
    using quiet = loaded();
    expect(quiet.log('emit')).toBeUndefined();
    using object = BpfObject.open(BASICS, { log: 'stats' });
    object.load();
    expect(object.log('emit')).toMatch(/processed \d+ insns/);
    using full = BpfObject.open(BASICS, { log: 'full' });
    full.load();
    expect(full.log('emit')!.length).toBeGreaterThan(object.log('emit')!.length);
  });
});

describe('attaching', () => {
  test('a raw tracepoint, by its section and by name, until closed', () => {
    using object = loaded();
    const slots = object.map<number, bigint>('slots');
    {
      using link = object.program('on_task').attach();
      expect(link.info().programId).toBe(object.program('on_task').info().id);
      makeTasks();
      expect(slots.get(2)).toBeGreaterThanOrEqual(10n);
    }
    const after = slots.get(2);
    makeTasks();
    expect(slots.get(2)).toBe(after);
    using _named = object.program('on_task').attachRawTracepoint('task_newtask');
    makeTasks();
    expect(slots.get(2)).toBeGreaterThan(after!);
    const error = errorOf(() => object.program('on_task').attachRawTracepoint('none'));
    expect(error.code).toBe('E_NO_TARGET');
  });

  test('a BTF tracepoint reads the kernel struct by CO-RE', () => {
    using object = loaded();
    using _link = object.program('on_task_btf').attachTrace();
    makeTasks();
    expect(object.map<number, bigint>('slots').get(3)).toBeGreaterThan(1n);
  });

  test('XDP, in each mode a veth has, replaced without a gap', () => {
    using wire = new Wire();
    using object = loaded();
    const { ifindex } = wire;
    const slots = object.map<number, bigint>('slots');
    for (const mode of ['auto', 'generic', 'native'] as const) {
      slots.set(0, 0n);
      using link = wire.inside(() => object.program('count_packets').attachXdp(ifindex, mode));
      expect(wire.ping(3)).toBe(true);
      expect(slots.get(0)).toBeGreaterThanOrEqual(3n);
      expect(
        errorOf(() => wire.inside(() => object.program('count_packets').attachXdp(ifindex, mode))).code,
      ).toBe('E_EXISTS');
      link.update(object.program('drop_packets'));
      expect(wire.ping(1)).toBe(false);
    }
    expect(wire.ping(1)).toBe(true);
    expect(errorOf(() => wire.inside(() => object.program('count_packets').attachXdp(99999))).code).toBe(
      'E_NO_TARGET',
    );
    expect(
      errorOf(() => wire.inside(() => object.program('count_packets').attachXdp(ifindex, 'offload'))).code,
    ).toBe('E_NOT_SUPPORTED');
  });

  test('tc: a filter beside others, and the qdisc goes only if asked', () => {
    using wire = new Wire();
    using object = loaded();
    const { ifindex } = wire;
    const slots = object.map<number, bigint>('slots');
    const program = object.program('count_frames');
    const tc = (...args: string[]) =>
      execFileSync('ip', ['netns', 'exec', wire.near, 'tc', ...args]).toString();
    wire.inside(() => {
      using first = program.attachTc(ifindex, 'ingress', { removeQdisc: true });
      using second = program.attachTc(ifindex, 'ingress', { priority: 7 });
      expect(second.priority).toBe(7);
      expect(first.priority).not.toBe(7);
      expect(tc('filter', 'show', 'dev', 'east', 'ingress')).toContain('count_frames');
      expect(wire.ping(3)).toBe(true);
      expect(slots.get(1)).toBeGreaterThanOrEqual(6n);
    });
    expect(tc('qdisc', 'show', 'dev', 'east')).not.toContain('clsact');
    wire.inside(() => program.attachTc(ifindex, 'egress').close());
    expect(tc('qdisc', 'show', 'dev', 'east')).toContain('clsact');
    expect(tc('filter', 'show', 'dev', 'east', 'egress')).toBe('');
    expect(errorOf(() => wire.inside(() => program.attachTc(99999, 'ingress'))).code).toBe('E_NO_TARGET');
  });

  test('tcx, in both directions', () => {
    using wire = new Wire();
    using object = loaded();
    const program = object.program('count_frames');
    const attach = (point: 'ingress' | 'egress') => wire.inside(() => program.attachTcx(wire.ifindex, point));
    if (probe('tcx').status !== 'available') {
      expect(errorOf(() => attach('ingress')).code).toBe('E_NOT_SUPPORTED');
      return;
    }
    const slots = object.map<number, bigint>('slots');
    for (const point of ['ingress', 'egress'] as const) {
      slots.set(1, 0n);
      using link = attach(point);
      expect(link.info().programId).toBe(program.info().id);
      expect(wire.ping(2)).toBe(true);
      expect(slots.get(1)).toBeGreaterThanOrEqual(2n);
    }
    const after = slots.get(1);
    expect(wire.ping(1)).toBe(true);
    expect(slots.get(1)).toBe(after);
    expect(errorOf(() => wire.inside(() => program.attachTcx(99999, 'ingress'))).code).toBe('E_NO_TARGET');
  });

  test('what this libbpf or kernel has not is an error that says so', () => {
    using object = loaded();
    const { minor } = libbpfVersion();
    expect(errorOf(() => object.attachStructOps('slots')).code).toBe(minor < 4 ? 'E_LIBBPF_OLD' : 'E_VALUE');

    using functions = BpfObject.open(REJECTED);
    functions.program('on_function').setAutoload(true);
    const answer = probe('fentry');
    if (answer.status === 'available') {
      functions.load();
      using link = functions.program('on_function').attach();
      expect(link.info().id).toBeGreaterThan(0);
    } else {
      expect(['E_REFUSED', 'E_NOT_SUPPORTED', 'E_LOCKDOWN']).toContain(errorOf(() => functions.load()).code);
    }
    if (probe('kprobe').status !== 'available') {
      expect(errorOf(() => object.program('on_task').attachKprobe('do_exit')).code).toMatch(/^E_N/);
    }
  });
});

describe('pins', () => {
  test('maps, programs and links live on in a BPF file system', () => {
    using fs = mountBpfFs();
    const at = (name: string) => join(fs.path, name);
    {
      using object = loaded();
      object
        .map<unknown, unknown>('flows')
        .set({ address: 1, port: 2, protocol: 3 }, { packets: 9n, name: 'eth0' });
      object.map('flows').pin(at('flows'));
      object.map('slots').pin(at('slots'));
      object.program('emit').pin(at('emit'));
      using link = object.program('on_task').attach();
      link.pin(at('link'));
      expect(errorOf(() => object.map('flows').pin(at('flows'))).code).toBe('E_EXISTS');
      expect(errorOf(() => object.map('flows').pin(join(folder, 'flows'))).code).toBe('E_PIN');
      expect(errorOf(() => object.map('flows').pin(at('none/flows'))).code).toBe('E_NOT_FOUND');
    }
    using flows = BpfMap.fromPin<unknown, { packets: bigint; name: string }>(at('flows'));
    // The types came back from the kernel's BTF.
    expect(flows.get({ address: 1, port: 2, protocol: 3 })).toMatchObject({ packets: 9n, name: 'eth0' });
    using program = Program.fromPin(at('emit'));
    expect(program.run({ context: new Uint8Array(12) }).returnValue).toBe(7);
    using slots = BpfMap.fromPin<number, bigint>(at('slots'));
    const before = slots.get(2)!;
    makeTasks();
    expect(slots.get(2)).toBeGreaterThan(before); // still attached
    {
      using link = Link.fromPin(at('link'));
      expect(link.info().id).toBeGreaterThan(0);
      Link.unpin(at('link'));
    }
    const after = slots.get(2);
    makeTasks();
    expect(slots.get(2)).toBe(after);
    expect(errorOf(() => BpfMap.fromPin(at('emit'))).code).toBe('E_PIN');
    expect(errorOf(() => Program.fromPin(at('flows'))).code).toBe('E_PIN');
    expect(errorOf(() => BpfMap.fromPin(at('none'))).code).toBe('E_NOT_FOUND');
    expect(errorOf(() => BpfMap.fromPin(REJECTED)).code).toBe('E_PIN');
    expect(errorOf(() => BpfMap.unpin(at('none'))).code).toBe('E_NOT_FOUND');
  });

  test('a map that is pinned already is used again by the next load', () => {
    using fs = mountBpfFs();
    const path = join(fs.path, 'shared');
    {
      using object = BpfObject.open(BASICS);
      object.map('slots').setPinPath(path);
      object.load();
      object.map<number, bigint>('slots').set(5, 55n);
    }
    using object = BpfObject.open(BASICS);
    object.map('slots').setPinPath(path);
    object.load();
    expect(object.map<number, bigint>('slots').get(5)).toBe(55n);
  });
});

describe('probes', () => {
  test('answers that any kernel of these tests gives', () => {
    for (const feature of ['btf', 'raw_tracepoint', 'tp_btf', 'xdp', 'tc', 'syscall', 'ringbuf'] as const) {
      expect([feature, probe(feature)]).toEqual([feature, { status: 'available' }]);
    }
    expect(probeMapType('hash').status).toBe('available');
    expect(probeProgramType('xdp').status).toBe('available');
    expect(probeHelper('xdp', 'redirect_map').status).toBe('available');
    expect(probeHelper('socket_filter', 'redirect_map').status).toBe('unsupported');
    expect(probeHelper('xdp', 'no_such_helper')).toMatchObject({ status: 'unsupported' });
  });

  test('what is not available says why', () => {
    for (const feature of ['fentry', 'fexit', 'kprobe', 'kprobe_multi', 'tracepoint'] as const) {
      const answer = probe(feature);
      if (answer.status !== 'available') expect(answer.why.length).toBeGreaterThan(5);
    }
  });
});

test('without rights: loading says which are missing, probes are inconclusive', () => {
  const script = `
    const bpf = await import(${JSON.stringify(join(import.meta.dirname, '../../src/index.ts'))});
    const codes = {};
    const run = (name, action) => {
      try { action(); codes[name] = 'done'; } catch (error) { codes[name] = [error.code, error.message]; }
    };
    run('load', () => bpf.BpfObject.open(${JSON.stringify(BASICS)}).load());
    run('create', () => bpf.BpfMap.create({ type: 'lpm_trie', keySize: 8, valueSize: 4, maxEntries: 1, flags: 1 }));
    codes.probe = bpf.probe('xdp');
    codes.helper = bpf.probeHelper('xdp', 'redirect_map');
    console.log(JSON.stringify(codes));`;
  const output = execFileSync('setpriv', [
    // Still the user who may read the checkout.
    ...['--bounding-set=-all', '--inh-caps=-all'],
    ...[process.execPath, '--input-type=module', '-e', script],
  ]);
  const codes = JSON.parse(output.toString());
  expect(codes.load[0]).toBe('E_RIGHTS');
  expect(codes.load[1]).toMatch(
    /CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN|CAP_BPF and CAP_NET_ADMIN and CAP_PERFMON/,
  );
  expect(codes.create[0]).toBe('E_RIGHTS');
  expect(codes.probe).toMatchObject({ status: 'inconclusive', why: expect.stringContaining('CAP_BPF') });
  expect(codes.helper.status).toBe('inconclusive');
});
