/** Codecs, prefixes, logs and refusals: what needs no kernel rights. */

import { describe, expect, test } from 'vitest';
import { decode, encode, intCodec, rawCodec } from '../../src/codec.ts';
import { BpfError, type ErrorCode } from '../../src/errors.ts';
import { prefixKey } from '../../src/lpm.ts';
import { explainRefusal, lockedHelper, missingCapabilities, parseLockdown } from '../../src/rights.ts';
import { parseVerifierLog, programLogs } from '../../src/verifier.ts';

function codeOf(action: () => unknown): ErrorCode | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof BpfError) return error.code;
    throw error;
  }
  return undefined;
}

describe('integers', () => {
  test.each([
    [1, false, 0, 255],
    [1, true, -128, 127],
    [2, false, 0, 65535],
    [2, true, -32768, 32767],
    [4, false, 0, 4294967295],
    [4, true, -2147483648, 2147483647],
  ])('%i bytes, signed %s, hold their whole range and no more', (size, signed, low, high) => {
    const codec = intCodec(size, signed, 'int');
    for (const value of [low, high]) expect(decode(codec, encode(codec, value))).toBe(value);
    for (const value of [low - 1, high + 1, 0.5, Number.NaN, '1' as never]) {
      expect(codeOf(() => encode(codec, value))).toBe('E_VALUE');
    }
  });

  test.each([
    [8, false, 0n, (1n << 64n) - 1n],
    [8, true, -(1n << 63n), (1n << 63n) - 1n],
    [16, false, 0n, (1n << 128n) - 1n],
    [16, true, -(1n << 127n), (1n << 127n) - 1n],
  ])('%i bytes, signed %s, are bigints', (size, signed, low, high) => {
    const codec = intCodec(size, signed, 'int');
    for (const value of [low, high, 5n]) expect(decode(codec, encode(codec, value))).toBe(value);
    for (const value of [low - 1n, high + 1n, 0.5, 2 ** 60]) {
      expect(codeOf(() => encode(codec, value))).toBe('E_VALUE');
    }
    expect(decode(codec, encode(codec, 77))).toBe(77n);
  });

  test('bytes have to be as many as the type has', () => {
    expect(codeOf(() => encode(rawCodec(4), new Uint8Array(3)))).toBe('E_VALUE');
    expect(codeOf(() => decode(intCodec(4, false, 'u32'), new Uint8Array(3)))).toBe('E_VALUE');
  });
});

describe('prefixes', () => {
  test.each([
    ['10.1.2.0/24', '180000000a010200'],
    ['192.0.2.1', '20000000c0000201'],
    ['0.0.0.0/0', '0000000000000000'],
    ['2001:db8::/32', '2000000020010db8000000000000000000000000'],
    ['::1', '8000000000000000000000000000000000000001'],
    ['::ffff:10.0.0.1/128', '8000000000000000000000000000ffff0a000001'],
    ['fe80::1:2:3/64', '40000000fe800000000000000000000100020003'],
  ])('%s', (text, hex) => {
    expect(Buffer.from(prefixKey(text)).toString('hex')).toBe(hex);
  });

  test.each([
    '',
    '10.0.0.0/33',
    '::/129',
    '10.0.0/8',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    'fe80::1%eth0/64',
    '1.2.3.4/',
  ])('%j is refused', (text) => {
    expect(codeOf(() => prefixKey(text))).toBe('E_VALUE');
  });
});

describe('refusals', () => {
  const ALL = '000001ffffffffff';
  test('names the capabilities that are missing; CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON only', () => {
    expect(missingCapabilities('0', ['CAP_BPF', 'CAP_NET_ADMIN'])).toEqual(['CAP_BPF', 'CAP_NET_ADMIN']);
    expect(missingCapabilities((1n << 39n).toString(16), ['CAP_BPF', 'CAP_PERFMON'])).toEqual([
      'CAP_PERFMON',
    ]);
    const sysAdmin = (1n << 21n).toString(16);
    expect(missingCapabilities(sysAdmin, ['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN'])).toEqual([
      'CAP_NET_ADMIN',
    ]);
    expect(missingCapabilities(ALL, ['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN', 'CAP_SYS_ADMIN'])).toEqual(
      [],
    );
  });

  test('tells rights, lockdown and other refusals apart', () => {
    expect(explainRefusal('0', 'confidentiality', ['CAP_BPF']).code).toBe('E_RIGHTS');
    expect(explainRefusal(ALL, 'confidentiality', ['CAP_BPF']).code).toBe('E_LOCKDOWN');
    expect(explainRefusal(ALL, 'integrity', ['CAP_BPF']).code).toBe('E_REFUSED');
    expect(explainRefusal(ALL, 'unknown', ['CAP_BPF']).why).toContain('lockdown cannot be read');
  });

  test('a helper that lockdown takes away', () => {
    const read = 'program of this type cannot use helper bpf_probe_read_kernel#113';
    expect(lockedHelper(read, 'confidentiality')).toBe(true);
    expect(lockedHelper(read, 'integrity')).toBe(false);
    expect(lockedHelper('unknown func bpf_probe_read#4', 'confidentiality')).toBe(true);
    expect(lockedHelper('unknown func bpf_probe_read_user#112', 'confidentiality')).toBe(false);
    expect(lockedHelper('unknown func bpf_probe_write_user#36', 'integrity')).toBe(true);
    expect(lockedHelper('unknown func bpf_probe_write_user#36', 'unknown')).toBe(false);
  });

  test('reads the lockdown mode', () => {
    expect(parseLockdown('none [integrity] confidentiality\n')).toBe('integrity');
    expect(parseLockdown('[none] integrity confidentiality\n')).toBe('none');
    expect(parseLockdown('')).toBe('unknown');
  });
});

describe('verifier logs', () => {
  test('finds reason, instruction, line and file', () => {
    const log = `0: R1=ctx() R10=fp0
; __u64 *value = bpf_map_lookup_elem(&slots, &key); @ a.bpf.c:31
5: (85) call bpf_map_lookup_elem#1    ; R0_w=map_value_or_null(id=1,map=slots,ks=4,vs=8)
; *value = 1; @ a.bpf.c:33
7: (7b) *(u64 *)(r0 +0) = r1
R0 invalid mem access 'map_value_or_null'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
`;
    expect(parseVerifierLog('p', log)).toEqual({
      program: 'p',
      kind: 'null-check',
      reason: "R0 invalid mem access 'map_value_or_null'",
      instruction: 7,
      source: '*value = 1;',
      location: 'a.bpf.c:33',
      log,
    });
  });

  test('splits what libbpf printed by program', () => {
    const text =
      "libbpf: prog 'a': -- BEGIN PROG LOAD LOG --\nx\n-- END PROG LOAD LOG --\n" +
      "libbpf: prog 'b': -- BEGIN PROG LOAD LOG --\ny\nz\n-- END PROG LOAD LOG --\n";
    expect(programLogs(text)).toEqual([
      { program: 'a', log: 'x\n' },
      { program: 'b', log: 'y\nz\n' },
    ]);
  });
});
