/** What vendors bring: component files, their manifest, and answers lifted from a plugin's memory. */
import { readFileSync } from 'node:fs';
import { BinaryError, capCoreModule, readComponent } from '../../../host/plugin/binary.ts';
import { DIRECT_FUNCTIONS, DirectCalls } from '../../../host/plugin/direct-calls.ts';
import { parseManifest } from '../../../host/plugin/manifest.ts';
import { memoryViews } from '../../../host/plugin/record-cursor.ts';
import { batchOffset, HEADER, headerOffset, RING_SIZE } from '../../../host/plugin/ring.ts';
import type { Target } from '../engine.ts';
import { allow } from '../promise.ts';

const MEMORY_MAX = 1 << 20;
const file = (path: string) =>
  new Uint8Array(readFileSync(new URL(`../../../build/${path}`, import.meta.url)));

export const COMPONENT: Target = {
  name: 'component',
  what: 'a component, or a core module in it, is read, or refused with a BinaryError',
  seeds: () => {
    const whole = file('plugins/l3-mirror.wasm');
    // The first core module in it.
    const at = Buffer.from(whole).indexOf(Buffer.from('\0asm\x01\0\0\0', 'latin1'));
    return [
      whole,
      whole.slice(0, 2048),
      whole.slice(at, at + 8192),
      Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0]),
      Uint8Array.from([0, 97, 115, 109, 13, 0, 1, 0]),
    ];
  },
  words: ['ekho:manifest', 'memory', 'cabi_realloc', 'ekho:plugin/offload', '\0asm\x0d\0\x01\0'],
  try(input) {
    allow('BinaryError', () => readComponent(input, ['ekho:manifest']));
    allow('BinaryError', () => {
      const { bytes } = capCoreModule(input, MEMORY_MAX);
      // What it made can be read again.
      try {
        capCoreModule(bytes, MEMORY_MAX);
      } catch (error) {
        throw error instanceof BinaryError ? new Error(`made what it refuses: ${error.message}`) : error;
      }
    });
  },
};

export const MANIFEST: Target = {
  name: 'manifest',
  what: 'a manifest is read, or refused with a BinaryError',
  seeds: () =>
    [
      '{"name":"x","version":"1.0.0","licence":"MIT","devices":["asic"]}',
      '{}',
      '[]',
      '{"__proto__":{"name":1}}',
    ].map((text) => new Uint8Array(Buffer.from(text))),
  words: ['name', 'devices', '[', ']', '{', '}', '"', 'null', '\\u0000', '__proto__', '1e999'],
  try: (input) =>
    allow('BinaryError', () => {
      const { devices = [], ...texts } = parseManifest(input);
      if ([...devices, ...Object.values(texts)].some((value) => typeof value !== 'string'))
        throw new TypeError('something that is not a text got through');
    }),
};

const PAGE = 65_536;
const CALLS = ['apply', 'readback', 'collect', 'tables', 'poll'] as const;
const SLOT = 3;
/** Bytes looked at on either side of the slot. */
const GUARD = 4096;
const memory = new WebAssembly.Memory({ initial: 1 });
const ring = memoryViews(new SharedArrayBuffer(RING_SIZE));
let answer = 0;
const functions = Object.fromEntries(DIRECT_FUNCTIONS.map((name) => [name, () => answer]));
const calls = new DirectCalls({ memory, cabi_realloc: () => 0, ...functions } as never, ring);

/** Which call, a limit, where the answer is, and from there on what the plugin's memory holds. */
export const LIFTING: Target = {
  name: 'lifting',
  what: 'what a plugin answers is taken from its memory, or traps; of the ring only its own slot is written',
  seeds: () =>
    CALLS.flatMap((_, call) =>
      [0, 8, 64].map((at) => {
        const bytes = new Uint8Array(512);
        const view = new DataView(bytes.buffer);
        bytes[0] = call;
        view.setUint16(2, 100, true);
        view.setUint32(4, at, true);
        // Lists of two records each.
        for (let word = 0; word < 32; word++) view.setUint32(8 + word * 4, word % 2 === 0 ? 256 : 2, true);
        return bytes;
      }),
    ),
  try(input) {
    if (input.length < 8) return;
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    answer = view.getInt32(4, true);
    const held = new Uint8Array(memory.buffer);
    held.fill(0);
    const at = (answer >>> 0) % PAGE;
    held.set(input.subarray(8, 8 + PAGE - at), at);
    const [from, to] = [headerOffset(SLOT), headerOffset(SLOT + 1)];
    ring.u8.fill(0, from, batchOffset(SLOT));
    ring.u32[(from >>> 2) + HEADER.limit] = view.getUint16(2, true);
    allow('GuestTrap', () => calls[CALLS[input[0]! % CALLS.length]!](SLOT));
    for (const beside of [ring.u8.subarray(from - GUARD, from), ring.u8.subarray(to, to + GUARD)])
      if (beside.some((byte) => byte !== 0)) throw new RangeError('wrote beside its slot');
  },
};
