/**
 * Canonical ABI: where each field of a WIT type stands in a plugin's linear memory, and how functions flatten to core
 * WebAssembly signatures. Follows `alignment`, `elem_size` and `flatten_functype` of the component model's
 * CanonicalABI.md, for the types that `wit.ts` reads.
 */

import type { WitDefinition, WitFunction, WitInterface, WitPackage, WitType } from './wit.ts';

export type CoreType = 'i32' | 'i64' | 'f32' | 'f64';

export interface FieldLayout {
  readonly name: string;
  readonly docs: string;
  readonly offset: number;
  readonly layout: Layout;
}

/** `size` and `align` in bytes. A list of it has stride `size`. */
export interface Layout {
  readonly size: number;
  readonly align: number;
  /** As which core values it is passed when there is room for them. */
  readonly flat: readonly CoreType[];
  /** The type with aliases and uses resolved. */
  readonly resolved:
    | { readonly is: 'primitive'; readonly primitive: string; readonly alias: string | undefined }
    | { readonly is: 'enum' | 'flags'; readonly name: string; readonly cases: readonly string[] }
    | { readonly is: 'record'; readonly name: string; readonly fields: readonly FieldLayout[] }
    | { readonly is: 'list'; readonly element: Layout }
    | {
        readonly is: 'result' | 'option';
        readonly ok: Layout | undefined;
        readonly error: Layout | undefined;
        /** Where the payload stands; the discriminant is the byte at 0. */
        readonly payload: number;
      };
}

export interface FunctionLayout {
  readonly function: WitFunction;
  /** Parameters as one record: what they point to when `spilled`. */
  readonly parameters: readonly FieldLayout[];
  readonly parametersSize: number;
  /** More than 16 flat parameters: one pointer to them is passed. */
  readonly spilled: boolean;
  readonly result: Layout | undefined;
  /** More than one flat result: exports return a pointer, imports take one as their last parameter. */
  readonly indirect: boolean;
}

const MAX_FLAT_PARAMETERS = 16;
const MAX_FLAT_RESULTS = 1;

const PRIMITIVE_SIZES: Record<string, readonly [number, CoreType]> = {
  bool: [1, 'i32'],
  u8: [1, 'i32'],
  s8: [1, 'i32'],
  u16: [2, 'i32'],
  s16: [2, 'i32'],
  u32: [4, 'i32'],
  s32: [4, 'i32'],
  u64: [8, 'i64'],
  s64: [8, 'i64'],
  f32: [4, 'f32'],
  f64: [8, 'f64'],
  char: [4, 'i32'],
};

export function alignTo(offset: number, align: number): number {
  return Math.ceil(offset / align) * align;
}

/** Layouts of a package's types, each worked out once. */
export class Layouts {
  readonly package: WitPackage;
  private readonly known = new Map<string, Layout>();

  constructor(wit: WitPackage) {
    this.package = wit;
  }

  interface(name: string): WitInterface {
    const found = this.package.interfaces.get(name);
    if (found === undefined) throw new TypeError(`no interface ${name} in ${this.package.name}`);
    return found;
  }

  /** Layout of the type `name` of interface `inside`. */
  named(inside: string, name: string): Layout {
    const key = `${inside}.${name}`;
    let layout = this.known.get(key);
    if (layout === undefined) {
      const definition = this.interface(inside).definitions.get(name);
      if (definition === undefined) throw new TypeError(`no type ${name} in interface ${inside}`);
      layout = this.define(inside, definition);
      this.known.set(key, layout);
    }
    return layout;
  }

  type(inside: string, type: WitType): Layout {
    switch (type.is) {
      case 'named':
        return this.named(inside, type.name);
      case 'list':
        return {
          size: 8,
          align: 4,
          flat: ['i32', 'i32'],
          resolved: { is: 'list', element: this.type(inside, type.element) },
        };
      case 'primitive': {
        if (type.primitive === 'string') {
          const element = this.type(inside, { is: 'primitive', primitive: 'u8' });
          return { size: 8, align: 4, flat: ['i32', 'i32'], resolved: { is: 'list', element } };
        }
        const [size, core] = PRIMITIVE_SIZES[type.primitive]!;
        return {
          size,
          align: size,
          flat: [core],
          resolved: { is: 'primitive', primitive: type.primitive, alias: undefined },
        };
      }
      case 'option':
        return this.variant('option', this.type(inside, type.element), undefined);
      case 'result':
        return this.variant(
          'result',
          type.ok && this.type(inside, type.ok),
          type.error && this.type(inside, type.error),
        );
      case 'tuple':
        return this.record(
          '',
          type.elements.map((element, index) => ({
            name: `f${index}`,
            docs: '',
            layout: this.type(inside, element),
          })),
        );
    }
  }

  function(inside: string, name: string): FunctionLayout {
    const found = this.interface(inside).functions.find((one) => one.name === name);
    if (found === undefined) throw new TypeError(`no function ${name} in interface ${inside}`);
    const parameters = this.record(
      '',
      found.parameters.map(({ name, docs, type }) => ({ name, docs, layout: this.type(inside, type) })),
    );
    const result = found.result && this.type(inside, found.result);
    return {
      function: found,
      parameters: parameters.resolved.is === 'record' ? parameters.resolved.fields : [],
      parametersSize: parameters.size,
      spilled: parameters.flat.length > MAX_FLAT_PARAMETERS,
      result,
      indirect: (result?.flat.length ?? 0) > MAX_FLAT_RESULTS,
    };
  }

  private define(inside: string, definition: WitDefinition): Layout {
    switch (definition.is) {
      case 'use':
        return this.named(definition.from, definition.original);
      case 'alias': {
        const layout = this.type(inside, definition.type);
        if (layout.resolved.is !== 'primitive') return layout;
        return { ...layout, resolved: { ...layout.resolved, alias: definition.name } };
      }
      case 'enum': {
        const size = definition.cases.length <= 256 ? 1 : 2;
        const cases = definition.cases.map((one) => one.name);
        return { size, align: size, flat: ['i32'], resolved: { is: 'enum', name: definition.name, cases } };
      }
      case 'flags': {
        const count = definition.cases.length;
        if (count > 32) throw new TypeError(`flags ${definition.name} has more than 32 members`);
        const size = count <= 8 ? 1 : count <= 16 ? 2 : 4;
        const cases = definition.cases.map((one) => one.name);
        return { size, align: size, flat: ['i32'], resolved: { is: 'flags', name: definition.name, cases } };
      }
      case 'record':
        return this.record(
          definition.name,
          definition.fields.map(({ name, docs, type }) => ({ name, docs, layout: this.type(inside, type) })),
        );
    }
  }

  private record(name: string, members: { name: string; docs: string; layout: Layout }[]): Layout {
    let offset = 0;
    let align = 1;
    const flat: CoreType[] = [];
    const fields: FieldLayout[] = [];
    for (const { name, docs, layout } of members) {
      offset = alignTo(offset, layout.align);
      fields.push({ name, docs, offset, layout });
      offset += layout.size;
      align = Math.max(align, layout.align);
      flat.push(...layout.flat);
    }
    return { size: alignTo(offset, align), align, flat, resolved: { is: 'record', name, fields } };
  }

  private variant(is: 'result' | 'option', ok: Layout | undefined, error: Layout | undefined): Layout {
    const align = Math.max(1, ok?.align ?? 1, error?.align ?? 1);
    const payload = alignTo(1, align);
    const size = alignTo(payload + Math.max(ok?.size ?? 0, error?.size ?? 0), align);
    const flat: CoreType[] = ['i32'];
    const longest = Math.max(ok?.flat.length ?? 0, error?.flat.length ?? 0);
    for (let index = 0; index < longest; index++) flat.push(join(ok?.flat[index], error?.flat[index]));
    return { size, align, flat, resolved: { is, ok, error, payload } };
  }
}

/** One core type that both can be passed as. */
function join(a: CoreType | undefined, b: CoreType | undefined): CoreType {
  if (a === undefined || a === b) return b!;
  if (b === undefined) return a;
  return (a === 'i32' && b === 'f32') || (a === 'f32' && b === 'i32') ? 'i32' : 'i64';
}
