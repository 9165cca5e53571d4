/** Lowering of host functions to core WebAssembly by hand: what jco uses instead of its own conversions when it is attached. */

import { Guest, GuestTrap } from './guest.ts';
import type { Layouts } from './layout.ts';

export type HostFunction = (...args: never[]) => unknown;
export type HostImports = Record<string, Record<string, HostFunction>>;

/** Key and argument of jco's hook for lowered imports. */
export const CABI_LOWER: unique symbol = Symbol.for('cabiLower') as never;

export interface LowerContext {
  readonly memory?: WebAssembly.Memory;
  readonly realloc?: (...args: number[]) => number;
}

export function lowered<F extends HostFunction>(typed: F, lower: (context: LowerContext) => HostFunction): F {
  return Object.assign(typed, { [CABI_LOWER]: lower });
}

/** The memory that a lowered function works on. */
export function guestOf({ memory, realloc }: LowerContext): Guest {
  if (memory === undefined) throw new TypeError('jco gives a lowered import no memory');
  return new Guest({ memory, cabi_realloc: realloc! });
}

export function cases(layouts: Layouts, inside: string, name: string): readonly string[] {
  const { resolved } = layouts.named(inside, name);
  return resolved.is === 'enum' ? resolved.cases : [];
}

export function checkEnum(value: number, count: number, name: string): number {
  if (value >>> 0 >= count) throw new GuestTrap(`${value} is not a value of ${name}`);
  return value;
}
