/** BTF: type descriptions of BPF objects and of the kernel. */
import { readFileSync } from 'node:fs';
import { Btf } from '../../../bpf/libbpf-ts/src/btf.ts';
import { codecOf, decode } from '../../../bpf/libbpf-ts/src/codec.ts';
import type { Target } from '../engine.ts';
import { allow } from '../promise.ts';

const IDS_MAX = 2000;
const VALUE_MAX = 4096;
const MAGIC = Buffer.of(0x9f, 0xeb, 1, 0);

/** The section of an object file that begins like BTF and goes on for as long as its header says. */
function section(path: string): Uint8Array {
  const file = readFileSync(new URL(`../../../build/bpf/${path}`, import.meta.url));
  for (let at = file.indexOf(MAGIC); at >= 0; at = file.indexOf(MAGIC, at + 1)) {
    const size = file.readUInt32LE(at + 4) + file.readUInt32LE(at + 16) + file.readUInt32LE(at + 20);
    const bytes = new Uint8Array(file.subarray(at, at + size));
    try {
      new Btf(bytes);
      return bytes;
    } catch {
      // .BTF.ext begins the same way.
    }
  }
  throw new Error(`${path} has no BTF`);
}

export const BTF: Target = {
  name: 'btf',
  what: 'BTF is indexed, its types read and values decoded by them, or refused with a BpfError',
  seeds: () => [section('marks.bpf.o'), section('firmware.bpf.o')],
  words: ['int', 'sk_buff', '\0'],
  try(input) {
    let btf: Btf | undefined;
    allow('BpfError', () => {
      btf = new Btf(input);
    });
    if (btf === undefined) return;
    const known = btf;
    for (let id = 0; id <= Math.min(known.lastId, IDS_MAX); id++) {
      allow('BpfError', () => {
        const { name, kind } = known.type(id);
        known.resolve(id);
        known.typeName(id);
        known.findAll(name, kind);
        known.field(id, 'a.b');
      });
      allow('BpfError', () => {
        if (known.sizeOf(id) > VALUE_MAX) return;
        const codec = codecOf(known, id);
        decode(codec, new Uint8Array(codec.size));
      });
    }
  },
};
