/** What the formatters need to know besides the object itself, and how they read decoded values. */

import type { Decoded, DecodedObject, Value } from '../netlink/decode.ts';
import { Names } from './names.ts';

/** An object with the id the mirror gave it. */
export interface KeyedObject {
  readonly id: number;
  readonly object: DecodedObject;
}

/** Look-ups in the mirror. Each may answer undefined: then names are printed as iproute2 prints unknown ones (`if7`). */
export interface FormatContext {
  linkName(ifindex: number): string | undefined;
  /** Links, for `address` (grouped under them), for tunnels' addresses and for M-DOWN. */
  link?(ifindex: number): DecodedObject | undefined;
  /** For `nh_info` of routes. */
  nexthop?(id: number): DecodedObject | undefined;
  /** For `address`: links to print even if they have no addresses, in this order. */
  links?(): Iterable<DecodedObject>;
  /** For the shared blocks that they use. */
  qdiscs?(): Iterable<DecodedObject>;
  /** Also the neighbours `ip neigh` hides unless told `nud all`: those without a state or in need of none. */
  readonly all?: boolean;
  readonly names?: Names;
}

export type Json = Record<string, unknown>;

const systemNames = new Names();

export function namesOf(context: FormatContext): Names {
  return context.names ?? systemNames;
}

/** As iproute2's ll_index_to_name. */
export function linkName(context: FormatContext, ifindex: number): string {
  if (ifindex === 0) return '*';
  return context.linkName(ifindex) ?? `if${ifindex}`;
}

export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'bigint' ? Number(value) : undefined;
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function recordOf(value: unknown): Decoded | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Decoded)
    : undefined;
}

export function listOf(value: unknown): readonly Value[] {
  return Array.isArray(value) ? value : [];
}

export function headerNumber(object: DecodedObject, field: string): number {
  return numberOf(object.header[field]) ?? 0;
}

/** C's %#x: 0 has no prefix. */
export function hexText(value: number | bigint): string {
  return value === 0 || value === 0n ? '0' : `0x${value.toString(16)}`;
}

/** C's %g with its six digits, as iproute2 prints fractions. */
export function fraction(value: number): number {
  return Number(value.toPrecision(6));
}

/** Copies attributes that iproute2 prints as they are: `names` maps its name to ours, in the order it prints them. */
export function copy(into: Json, from: Decoded, names: Readonly<Record<string, string>>): void {
  for (const [printed, attribute] of Object.entries(names)) {
    const value = from[attribute];
    if (value !== undefined) into[printed] = value;
  }
}
