/** Values that qdiscs, filters and actions share: handles, sizes from scheduler ticks, offload flags, BPF programs. */

import { readFileSync } from 'node:fs';
import type { Decoded } from '../netlink/decode.ts';
import { type Json, numberOf, textOf } from './context.ts';

export const TC_H_ROOT = 0xffffffff;
/** A handle or class id as `tc` prints it. */
export function classId(id: number): string {
  if (id === TC_H_ROOT) return 'root';
  if (id === 0) return 'none';
  const major = id >>> 16;
  const minor = id & 0xffff;
  if (major === 0) return `:${minor.toString(16)}`;
  return minor === 0 ? `${major.toString(16)}:` : `${major.toString(16)}:${minor.toString(16)}`;
}

let ticks: number | undefined;

/** Scheduler ticks in a microsecond, from /proc/net/psched; on every kernel since 2.6.31 it is 15.625. */
function ticksPerMicrosecond(): number {
  if (ticks === undefined) {
    ticks = 15.625;
    try {
      const words = readFileSync('/proc/net/psched', 'latin1').trim().split(/\s+/);
      const [perTick, perMicrosecond, resolution] = words.map((word) => Number.parseInt(word, 16));
      if (perTick && perMicrosecond && resolution) {
        const numerator = resolution === 1_000_000_000 ? perMicrosecond : perTick;
        ticks = (numerator / perMicrosecond) * (resolution / 1_000_000);
      }
    } catch {
      // Not readable: the usual value stands.
    }
  }
  return ticks;
}

/** Whole microseconds. */
export function tickTime(value: number): number {
  return Math.trunc(value / ticksPerMicrosecond());
}

/** Bytes that take `value` ticks at `rate` bytes a second. */
export function transmitSize(rate: number, value: number): number {
  return Math.trunc((rate * tickTime(value)) / 1_000_000) >>> 0;
}

const LINK_LAYERS = ['unspec', 'ethernet', 'atm'];

export function linkLayerName(rate: Decoded | undefined): string | undefined {
  const layer = (numberOf(rate?.linklayer) ?? 0) & 0x0f;
  return layer > 1 ? (LINK_LAYERS[layer] ?? 'unknown') : undefined;
}

/** linux/pkt_cls.h TCA_CLS_FLAGS_* */
export function offloadFlags(json: Json, value: unknown): void {
  const flags = numberOf(value);
  if (flags === undefined) return;
  if ((flags & 1) !== 0) json.skip_hw = true;
  if ((flags & 2) !== 0) json.skip_sw = true;
  if ((flags & 4) !== 0) json.in_hw = true;
  else if ((flags & 8) !== 0) json.not_in_hw = true;
}

export function bytesOf(value: unknown): number[] {
  const text = textOf(value) ?? '';
  return Array.from({ length: text.length / 2 }, (_, at) =>
    Number.parseInt(text.slice(2 * at, 2 * at + 2), 16),
  );
}

/** A loaded program by id and tag, a classic one by its instructions. */
export function formatProgram(json: Json, from: Decoded): void {
  if (from.id !== undefined) json.prog = { id: from.id, ...(from.tag ? { tag: from.tag } : {}) };
  else if (from.tag !== undefined) json.tag = from.tag;
  const length = numberOf(from.ops_len);
  const instructions = textOf(from.ops);
  if (length === undefined || instructions === undefined) return;
  const bytes = bytesOf(instructions);
  json.bytecode = {
    length,
    insns: Array.from({ length: Math.min(length, bytes.length >>> 3) }, (_, index) => {
      const at = 8 * index;
      const code = bytes[at]! | (bytes[at + 1]! << 8);
      const k =
        (bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24)) >>> 0;
      return { code, jt: bytes[at + 2]!, jf: bytes[at + 3]!, k };
    }),
  };
}

/** Sets `name` and, unless all bits count, `name_mask` as hex. */
export function maskedNumber(json: Json, name: string, value: unknown, mask: unknown, all: number): void {
  if (value === undefined) return;
  json[name] = value;
  const bits = numberOf(mask) ?? all;
  if (bits !== all) json[`${name}_mask`] = bits.toString(16);
}
