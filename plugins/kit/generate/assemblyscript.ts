/**
 * Writes bindings for AssemblyScript: `ekho.ts`, which a plugin imports, and the module of core exports around a plugin. A
 * record is a view of the memory in which the host put it, with a getter and a setter per field.
 */

import type { FieldLayout, FunctionLayout, Layout, Layouts } from '../../../host/plugin/layout.ts';
import type { WitInterface } from '../../../host/plugin/wit.ts';
import {
  camelCase,
  coreName,
  docBlock,
  interfacesOf,
  isCompound,
  isText,
  isTextResult,
  typeName,
} from './names.ts';

const PRELUDE = `/**
 * Writing a plugin in AssemblyScript: import this file. \`ekho plugin build\` writes it from wit/; do not edit.
 *
 * Records and lists are views of memory that lasts until the call into the plugin returns: copy what you keep, into a record
 * made by \`lasting()\`. Lists are walked by \`for (let i = 0; i < list.length; i++) list[i]\` and filled by \`list.add()\`,
 * which gives a zeroed record.
 */

let blockStart: usize = 0;
let top: usize = 0;
let blockEnd: usize = 0;

/** Zeroed, aligned to 8 bytes, valid until the call into the plugin returns. */
export function alloc(size: usize): usize {
  size = (size + 7) & ~7;
  if (size > blockEnd - top) {
    // At least doubled, so that this is rare. The block before is freed when the call returns.
    let more = (blockEnd - blockStart) * 2;
    if (more < 65536) more = 65536;
    if (more < size + 16) more = size + 16;
    const block = heap.alloc(more);
    store<usize>(block, blockStart);
    blockStart = block;
    top = block + 16;
    blockEnd = block + more;
  }
  const found = top;
  top += size;
  memory.fill(found, 0, size);
  return found;
}

/** Gives back all of it: for the exports around a plugin. */
export function empty(): void {
  if (blockStart == 0) return;
  for (let block = load<usize>(blockStart); block != 0; ) {
    const before = load<usize>(block);
    heap.free(block);
    block = before;
  }
  store<usize>(blockStart, 0);
  top = blockStart + 16;
}

export function reallocate(old: usize, oldSize: usize, size: usize): usize {
  const found = alloc(size);
  if (oldSize != 0) memory.copy(found, old, oldSize < size ? oldSize : size);
  return found;
}

/** One more record at the end of the list at \`list\`. Room doubles from 16 on. */
function extend(list: usize, size: usize): usize {
  const count: u32 = load<u32>(list, 4);
  if (count == 0) store<usize>(list, alloc(16 * size));
  else if (count >= 16 && (count & (count - 1)) == 0) {
    const larger = alloc(2 * <usize>count * size);
    memory.copy(larger, load<usize>(list), <usize>count * size);
    store<usize>(list, larger);
  }
  store<u32>(list, count + 1, 4);
  const at = load<usize>(list) + <usize>count * size;
  memory.fill(at, 0, size);
  return at;
}

/** The text at \`at\`: a pointer and a length in bytes. */
export function getText(at: usize): string {
  return String.UTF8.decodeUnsafe(load<usize>(at), load<u32>(at, 4));
}

export function putText(at: usize, text: string): void {
  const size = <usize>String.UTF8.byteLength(text);
  const bytes = alloc(size);
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, bytes);
  store<usize>(at, bytes);
  store<u32>(at, <u32>size, 4);
}
`;

const NUMBERS: Readonly<Record<string, string>> = {
  u8: 'u8',
  s8: 'i8',
  u16: 'u16',
  s16: 'i16',
  u32: 'u32',
  s32: 'i32',
  u64: 'u64',
  s64: 'i64',
  f32: 'f32',
  f64: 'f64',
  bool: 'bool',
  char: 'u32',
};

export interface AssemblyScriptBindings {
  /** What a plugin imports as `./ekho`. */
  readonly bindings: string;
  /** The core exports, calling `./plugin`. */
  readonly entry: string;
  /** Core names of the exports, by the identifier they have in `entry`. */
  readonly renames: ReadonlyMap<string, string>;
}

class Writer {
  private readonly layouts: Layouts;
  private readonly names = new Map<object, string>();
  private readonly lists = new Set<string>();
  private text = PRELUDE;

  constructor(layouts: Layouts) {
    this.layouts = layouts;
  }

  write(world: string): AssemblyScriptBindings {
    const { exports, imports, all } = interfacesOf(this.layouts, world);
    for (const one of all) this.definitions(one);
    for (const one of imports)
      for (const { name } of one.functions) this.import(one, this.layouts.function(one.name, name));
    const renames = new Map<string, string>([['cabi_realloc', 'cabi_realloc']]);
    let entry = `/** The exports that the host calls, around the functions of plugin.ts. */
import * as ekho from "./ekho";
import * as plugin from "./plugin";

export function cabi_realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  return ekho.reallocate(old, oldSize, size);
}
`;
    for (const one of exports)
      for (const { name } of one.functions) {
        const identifier = camelCase(`${one.name}-${name}`);
        const core = `${coreName(this.layouts, one.name)}#${name}`;
        renames.set(identifier, core);
        renames.set(`${identifier}Post`, `cabi_post_${core}`);
        entry += this.export(identifier, this.layouts.function(one.name, name));
      }
    return { bindings: this.text, entry, renames };
  }

  private definitions(inside: WitInterface): void {
    for (const definition of inside.definitions.values()) {
      const name = typeName(inside.name, definition.name);
      const layout = this.layouts.named(inside.name, definition.name);
      if (definition.is === 'enum' || definition.is === 'flags') this.constants(name, definition, layout);
      else if (definition.is === 'record' && layout.resolved.is === 'record') {
        this.names.set(layout.resolved, name);
        const fields = [
          ...layout.resolved.fields.map((field) => this.field(field)),
          keeping(name, layout.size),
        ].join('\n');
        this.text += `\n${docBlock(definition.docs)}@unmanaged\nexport class ${name} {\n${fields}}\n`;
      }
    }
  }

  private constants(
    name: string,
    definition: { is: 'enum' | 'flags'; docs: string; cases: readonly { name: string; docs: string }[] },
    layout: Layout,
  ): void {
    this.names.set(layout.resolved, name);
    const type = this.number(layout);
    const cases = definition.cases.map(({ name, docs }, index) => {
      const value = definition.is === 'enum' ? `${index}` : `1 << ${index}`;
      return `${docBlock(docs, '  ')}  export const ${camelCase(name)}: ${type} = ${value};\n`;
    });
    this.text += `\n${docBlock(definition.docs)}export namespace ${name} {\n${cases.join('')}}\n`;
  }

  private number(layout: Layout): string {
    const { resolved } = layout;
    if (resolved.is === 'enum' || resolved.is === 'flags') return `u${layout.size * 8}`;
    if (resolved.is === 'primitive') return NUMBERS[resolved.primitive]!;
    throw new TypeError(`${resolved.is} is no number`);
  }

  /** Getter and, where it has one value, setter of a field. */
  private field({ name, docs, offset, layout }: FieldLayout): string {
    const field = camelCase(name);
    const at = `changetype<usize>(this)${offset === 0 ? '' : ` + ${offset}`}`;
    const head = docBlock(docs, '  ');
    if (isText(layout))
      return `${head}  get ${field}(): string { return getText(${at}); }\n  set ${field}(value: string) { putText(${at}, value); }\n`;
    if (isCompound(layout)) {
      const type = this.type(layout);
      return `${head}  @inline get ${field}(): ${type} { return changetype<${type}>(${at}); }\n`;
    }
    const type = this.number(layout);
    const offsetOf = offset === 0 ? '' : `, ${offset}`;
    return (
      `${head}  @inline get ${field}(): ${type} { return load<${type}>(changetype<usize>(this)${offsetOf}); }\n` +
      `  @inline set ${field}(value: ${type}) { store<${type}>(changetype<usize>(this), value${offsetOf}); }\n`
    );
  }

  /** Name of the class of a compound; lists are written when they are first met. */
  private type(layout: Layout): string {
    const { resolved } = layout;
    if (resolved.is === 'list') return this.list(resolved.element);
    return this.names.get(resolved) ?? fail(`${resolved.is} has no place in the AssemblyScript bindings`);
  }

  private list(element: Layout): string {
    const isRecord = element.resolved.is === 'record';
    const item = isRecord ? this.type(element) : this.number(element);
    const name = `${isRecord ? item : item.toUpperCase()}List`;
    if (this.lists.has(name)) return name;
    this.lists.add(name);
    const at = `load<usize>(changetype<usize>(this)) + <usize>index * ${element.size}`;
    const get = isRecord ? `changetype<${item}>(${at})` : `load<${item}>(${at})`;
    const add = isRecord
      ? `  add(): ${item} { return changetype<${item}>(extend(changetype<usize>(this), ${element.size})); }\n`
      : `  add(value: ${item}): void { store<${item}>(extend(changetype<usize>(this), ${element.size}), value); }\n`;
    this.text +=
      `\n@unmanaged\nexport class ${name} {\n` +
      '  @inline get length(): i32 { return load<i32>(changetype<usize>(this), 4); }\n' +
      `  @inline @operator("[]") private at(index: i32): ${item} { return ${get}; }\n${add}}\n`;
    return name;
  }

  /** A function that calls the host, and its declaration. */
  private import(inside: WitInterface, layout: FunctionLayout): void {
    if (layout.spilled) fail(`${layout.function.name} has more parameters than the bindings can pass`);
    const name = camelCase(`${inside.name}-${layout.function.name}`);
    const parameters: string[] = [];
    /** A part of the list; behind all others. */
    const optional: string[] = [];
    const core: string[] = [];
    const values: string[] = [];
    let before = '';
    for (const { name, layout: one } of layout.parameters) {
      const parameter = camelCase(name);
      if (isText(one)) {
        parameters.push(`${parameter}: string`);
        core.push(`${parameter}: usize`, `${parameter}Size: usize`);
        before += `  const ${parameter}Text = alloc(8);\n  putText(${parameter}Text, ${parameter});\n`;
        values.push(`load<usize>(${parameter}Text)`, `load<u32>(${parameter}Text, 4)`);
      } else if (one.resolved.is === 'list' && one.resolved.element.resolved.is !== 'record') {
        const type = this.number(one.resolved.element);
        parameters.push(`${parameter}: StaticArray<${type}>`);
        optional.push('start: i32 = 0', `count: i32 = ${parameter}.length - start`);
        core.push(`${parameter}: usize`, `count: i32`);
        values.push(`changetype<usize>(${parameter}) + <usize>start * ${one.resolved.element.size}`, 'count');
      } else if (isCompound(one)) {
        fail(`parameter ${name} of ${layout.function.name} has no place in the AssemblyScript bindings`);
      } else {
        parameters.push(`${parameter}: ${this.number(one)}`);
        core.push(`${parameter}: ${this.number(one)}`);
        values.push(parameter);
      }
    }
    const { result } = layout;
    let type = 'void';
    let coreType = 'void';
    let body = `${name}Import(${values.join(', ')});`;
    if (result !== undefined && isText(result)) {
      type = 'string';
      core.push('result: usize');
      before += '  const result = alloc(8);\n';
      body = `${name}Import(${[...values, 'result'].join(', ')});\n  return getText(result);`;
    } else if (result !== undefined && layout.indirect) {
      type = this.type(result);
      core.push('result: usize');
      before += `  const result = alloc(${result.size});\n`;
      body = `${name}Import(${[...values, 'result'].join(', ')});\n  return changetype<${type}>(result);`;
    } else if (result !== undefined) {
      type = coreType = this.number(result);
      body = `return ${body}`;
    }
    this.text +=
      `\n@external("${coreName(this.layouts, inside.name)}", "${layout.function.name}")\n` +
      `declare function ${name}Import(${core.join(', ')}): ${coreType};\n` +
      `${docBlock(layout.function.docs)}export function ${name}(${[...parameters, ...optional].join(', ')}): ${type} {\n${before}  ${body}\n}\n`;
  }

  /** A core export that calls the plugin’s function of the same name. */
  private export(name: string, layout: FunctionLayout): string {
    const parameters: string[] = [];
    const values: string[] = [];
    let before = '';
    if (layout.spilled) {
      parameters.push('p: usize');
      for (const { offset, layout: one } of layout.parameters)
        values.push(`changetype<ekho.${this.type(one)}>(p + ${offset})`);
    } else
      for (const { name, layout: one } of layout.parameters) {
        const parameter = camelCase(name);
        if (one.resolved.is === 'list') {
          parameters.push(`${parameter}: usize`, `${parameter}Count: u32`);
          before += `  const ${parameter}List = ekho.alloc(8);\n  store<usize>(${parameter}List, ${parameter});\n  store<u32>(${parameter}List, ${parameter}Count, 4);\n`;
          values.push(`changetype<ekho.${this.type(one)}>(${parameter}List)`);
        } else if (isCompound(one)) fail(`parameter ${name} has no place in the AssemblyScript bindings`);
        else {
          parameters.push(`${parameter}: ${this.number(one)}`);
          values.push(parameter);
        }
      }
    const { result } = layout;
    let type = 'void';
    let body = `  plugin.${name}(${values.join(', ')});\n`;
    if (result !== undefined && isTextResult(result)) {
      type = 'usize';
      const payload = result.resolved.is === 'result' ? result.resolved.payload : 0;
      body =
        `  const result = ekho.alloc(${result.size});\n  const error: string | null = plugin.${name}(${values.join(', ')});\n` +
        `  if (error !== null) {\n    store<u8>(result, 1);\n    ekho.putText(result + ${payload}, error);\n  }\n  return result;\n`;
    } else if (result !== undefined && isCompound(result)) {
      type = 'usize';
      values.push(`changetype<ekho.${this.type(result)}>(result)`);
      body = `  const result = ekho.alloc(${result.size});\n  plugin.${name}(${values.join(', ')});\n  return result;\n`;
    } else if (result !== undefined) {
      type = this.number(result);
      body = `  return plugin.${name}(${values.join(', ')});\n`;
    }
    const post = type === 'void' ? '' : `result: ${type}`;
    return (
      `\nexport function ${name}(${parameters.join(', ')}): ${type} {\n${before}${body}}\n` +
      `export function ${name}Post(${post}): void { ekho.empty(); }\n`
    );
  }
}

/** How a plugin keeps a record beyond the call it came with. */
function keeping(name: string, size: number): string {
  return (
    `  /** One that lasts, zeroed. */\n  static lasting(): ${name} {\n` +
    `    const at = heap.alloc(${size});\n    memory.fill(at, 0, ${size});\n    return changetype<${name}>(at);\n  }\n` +
    `  /** Takes all fields of another. */\n` +
    `  copy(from: ${name}): void { memory.copy(changetype<usize>(this), changetype<usize>(from), ${size}); }\n`
  );
}

function fail(what: string): never {
  throw new TypeError(what);
}

/** @throws TypeError when there is no such world, or a type in it cannot be bound */
export function generateAssemblyScript(layouts: Layouts, world: string): AssemblyScriptBindings {
  return new Writer(layouts).write(world);
}
