/** BTF queries: against bpftool's reading of the running kernel, and on data that is broken. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Btf } from '../../src/btf.ts';
import { codecOf } from '../../src/codec.ts';
import { BpfError } from '../../src/errors.ts';

/** Minimal BTF: `types` after the header, then strings. */
function btfOf(types: Uint8Array, strings: string): Uint8Array {
  const text = Buffer.from(strings, 'latin1');
  const bytes = new Uint8Array(24 + types.length + text.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, true);
  view.setUint8(2, 1);
  view.setUint32(4, 24, true);
  view.setUint32(12, types.length, true);
  view.setUint32(16, types.length, true);
  view.setUint32(20, text.length, true);
  bytes.set(types, 24);
  bytes.set(text, 24 + types.length);
  return bytes;
}

describe('the running kernel', () => {
  const path = '/sys/kernel/btf/vmlinux';
  test.runIf(existsSync(path))('has the structs that C programs need, with their members', () => {
    const btf = Btf.vmlinux();
    const buff = btf.find('sk_buff', 'struct')!;
    expect(buff.size).toBe(btf.sizeOf(buff.id));
    expect(btf.field('sk_buff', 'len')).toMatchObject({ bitSize: 0 });
    expect(btf.field('sk_buff', 'no_such_member')).toBeUndefined();
    // sk_buff's cb is deep inside nothing, its dev in an anonymous union and struct.
    expect(btf.field('sk_buff', 'dev')!.bitOffset % 64).toBe(0);
    expect(btf.typeName(btf.field('sk_buff', 'dev')!.type)).toBe('struct net_device *');
    expect(btf.enumerator('bpf_prog_type', 'BPF_PROG_TYPE_XDP')).toBe(6n);
    expect(btf.hasFunction('bpf_prog_load')).toBe(true);
    expect(btf.hasFunction('no_such_function')).toBe(false);
  });

  test.runIf(existsSync(path))('reads every type, and strings that are tails of others', () => {
    const btf = Btf.vmlinux();
    const kinds = new Map<string, number>();
    for (let id = 1; id <= btf.lastId; id++) {
      const { kind } = btf.type(id);
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    expect(kinds.get('struct')).toBeGreaterThan(1000);
    expect(kinds.get('function')).toBeGreaterThan(1000);
    const raw = new Btf(readFileSync(path));
    expect(raw.findAll('u32')).toEqual(btf.findAll('u32'));
  });

  test.runIf(existsSync(path))('agrees with bpftool on sizes and offsets', () => {
    const btf = Btf.vmlinux();
    const dump = execFileSync('bpftool', ['-j', 'btf', 'dump', 'file', path, 'format', 'raw'], {
      maxBuffer: 1 << 30,
    });
    const { types } = JSON.parse(dump.toString()) as {
      types: { id: number; kind: string; name: string; size?: number; members?: { bits_offset: number }[] }[];
    };
    expect(types.length).toBe(btf.lastId);
    for (const type of types) {
      const mine = btf.type(type.id);
      if (type.kind !== 'STRUCT' && type.kind !== 'UNION') continue;
      expect(mine.size).toBe(type.size);
      expect(mine.members.map((member) => member.bitOffset)).toEqual(
        type.members!.map((member) => member.bits_offset),
      );
    }
  });
});

describe('made-up data', () => {
  test('split BTF continues the ids and strings of its base', () => {
    // struct a (8 bytes) in the base; typedef b = struct a (id 1) in the split.
    const base = new Btf(btfOf(new Uint8Array(new Uint32Array([1, 0x04000000, 8]).buffer), '\0a\0'));
    const split = new Btf(btfOf(new Uint8Array(new Uint32Array([4, 0x08000000, 1]).buffer), '\0b\0'), base);
    expect(split.lastId).toBe(2);
    expect(split.type(2)).toMatchObject({ kind: 'typedef', name: 'b', target: 1 });
    expect(split.sizeOf(2)).toBe(8);
    expect(split.find('a')).toMatchObject({ id: 1, name: 'a' });
    expect(split.find('b')).toMatchObject({ id: 2 });
  });

  test('a typedef of itself ends', () => {
    const btf = new Btf(btfOf(new Uint8Array(new Uint32Array([1, 0x08000000, 1]).buffer), '\0a\0'));
    expect(() => btf.resolve(1)).toThrow(BpfError);
  });

  test('whatever the bytes are, the answer is a value or E_BTF', () => {
    const good = btfOf(
      new Uint8Array(new Uint32Array([1, 0x04000001, 8, 1, 2, 0, 0, 0x01000000, 4, 0x01000020]).buffer),
      '\0a\0',
    );
    const seed = Date.now() & 0x7fffffff;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 }),
        fc.nat(good.length),
        (changes, cut) => {
          const bytes = good.slice(0, cut < good.length / 2 ? good.length : cut);
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
          try {
            const btf = new Btf(bytes);
            for (let id = 0; id <= btf.lastId; id++) {
              btf.type(id);
              btf.sizeOf(id);
            }
          } catch (error) {
            if (!(error instanceof BpfError)) throw error;
            expect(error.code).toBe('E_BTF');
          }
        },
      ),
      { seed, numRuns: 2000 },
    );
  });

  describe('types that never end', () => {
    const INT = [1, 0x0100_0000, 4, 32];
    const types = (...words: number[]) =>
      new Btf(btfOf(new Uint8Array(Uint32Array.from(words).buffer), '\0a\0'));
    const refused = expect.objectContaining({ code: 'E_BTF' });

    test('a pointer to itself has no name', () => {
      expect(() => types(0, 0x0200_0000, 1).typeName(1)).toThrow(refused);
    });

    test('an array of itself has no size', () => {
      expect(() => types(0, 0x0300_0000, 0, 1, 1, 2).sizeOf(1)).toThrow(refused);
    });

    test('a struct in itself has no members', () => {
      const btf = types(1, 0x0400_0001, 8, 0, 1, 0);
      expect(() => btf.field(1, 'b')).toThrow(refused);
      expect(() => codecOf(btf, 1)).toThrow(refused);
    });

    test('forty unions, each twice in the one before', () => {
      const words: number[] = [...INT];
      for (let id = 2; id < 42; id++) words.push(1, 0x0500_0002, 4, 1, id - 1, 0, 1, id - 1, 0);
      expect(() => codecOf(types(...words), 30)).toThrow(refused);
    });

    test('an integer of 256 MiB', () => {
      expect(() => codecOf(types(1, 0x0100_0000, 0x1000_0008, 64), 1)).toThrow(refused);
    });

    test('a member beyond its struct, and elements without a size', () => {
      expect(() => codecOf(types(...INT, 1, 0x0400_0001, 4, 1, 1, 8), 2)).toThrow(refused);
      expect(() => codecOf(types(1, 0x0400_0000, 0, 0, 0x0300_0000, 0, 1, 1, 0xffff_ffff), 2)).toThrow(
        refused,
      );
    });
  });
});
