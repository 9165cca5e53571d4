/**
 * Writes plugins/include/ekho.h from the WIT package: C types with the canonical layout, prototypes of what a plugin
 * implements, wrappers of what it may call, and the glue between both and core WebAssembly.
 */

import type { CoreType, FieldLayout, FunctionLayout, Layout, Layouts } from './layout.ts';
import type { WitInterface } from './wit.ts';

/** Types of this interface have no interface name in theirs. */
const SHARED = 'types';

const C_CORE: Record<CoreType, string> = { i32: 'uint32_t', i64: 'uint64_t', f32: 'float', f64: 'double' };

const C_PRIMITIVES: Record<string, string> = {
  bool: 'bool',
  u8: 'uint8_t',
  s8: 'int8_t',
  u16: 'uint16_t',
  s16: 'int16_t',
  u32: 'uint32_t',
  s32: 'int32_t',
  u64: 'uint64_t',
  s64: 'int64_t',
  f32: 'float',
  f64: 'double',
  char: 'uint32_t',
  string: 'ekho_string',
};

const C_WORDS = new Set(['register', 'default', 'switch', 'case', 'int', 'short', 'long', 'union', 'static']);

const PRELUDE = `/*
 * Writing a plugin in C: include this file; in one source file define EKHO_IMPLEMENT before. Implement every function
 * under "What a plugin implements". Generated from wit/ by host/plugin/generate.ts; do not edit.
 *
 * Memory. What the host passes lies in an arena that is emptied when the call returns: copy what you keep. Results may lie
 * in the arena (ekho_alloc), in memory that stays (ekho_keep) or in your own static memory. Lists that a device
 * function returns lie in the arena too; ekho_mark and ekho_release give them back earlier. There is no libc.
 */
#ifndef EKHO_H
#define EKHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Not terminated by a zero byte. */
typedef struct { const char *bytes; uint32_t length; } ekho_string;

#define EKHO_STRING(literal) ((ekho_string){(literal), sizeof(literal) - 1})

/* Uninitialised, aligned to 8 bytes, valid until the call into the plugin returns. Traps when memory runs out. */
void *ekho_alloc(size_t size);
/* Zeroed, aligned to 8 bytes, never given back. Whole pages of 64 KiB: for tables, not for single entries. */
void *ekho_keep(size_t size);
/* The arena as it is now, and back to that. */
size_t ekho_mark(void);
void ekho_release(size_t mark);

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
`;

const RUNTIME = `
extern unsigned char __heap_base;

static struct { size_t start, top, end; } ekho_arena_;

static size_t ekho_grow_(size_t size) {
  size_t before = __builtin_wasm_memory_grow(0, (size + 0xffff) >> 16);
  if (before == (size_t)-1) __builtin_trap();
  return before << 16;
}

static void ekho_open_(void) {
  if (ekho_arena_.end != 0) return;
  ekho_arena_.start = ekho_arena_.top = ((size_t)&__heap_base + 7) & ~(size_t)7;
  ekho_arena_.end = __builtin_wasm_memory_size(0) << 16;
}

void *ekho_alloc(size_t size) {
  ekho_open_();
  if (size > 0x7fffffff) __builtin_trap();
  size = (size + 7) & ~(size_t)7;
  if (size > ekho_arena_.end - ekho_arena_.top) {
    /* At least doubled, so growing is rare. Not adjacent when ekho_keep grew memory in between: then start afresh. */
    size_t more = ekho_arena_.end - ekho_arena_.start;
    if (more < size) more = size;
    more = (more + 0xffff) & ~(size_t)0xffff;
    size_t at = ekho_grow_(more);
    if (at != ekho_arena_.end) ekho_arena_.start = ekho_arena_.top = at;
    ekho_arena_.end = at + more;
  }
  void *found = (void *)ekho_arena_.top;
  ekho_arena_.top += size;
  return found;
}

void *ekho_keep(size_t size) {
  if (size > 0x7fffffff) __builtin_trap();
  return (void *)ekho_grow_(size);
}

size_t ekho_mark(void) {
  ekho_open_();
  return ekho_arena_.top;
}

void ekho_release(size_t mark) {
  if (mark >= ekho_arena_.start && mark <= ekho_arena_.top) ekho_arena_.top = mark;
}

static void ekho_empty_(void) { ekho_arena_.top = ekho_arena_.start; }

__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)align;
  void *found = ekho_alloc(size);
  if (old_size != 0) memcpy(found, old, old_size < size ? old_size : size);
  return found;
}

void *memcpy(void *to, const void *from, size_t size) { return __builtin_memcpy(to, from, size); }
void *memmove(void *to, const void *from, size_t size) { return __builtin_memmove(to, from, size); }
void *memset(void *to, int byte, size_t size) { return __builtin_memset(to, byte, size); }

int memcmp(const void *a, const void *b, size_t size) {
  const unsigned char *x = a, *y = b;
  for (; size != 0; size--, x++, y++)
    if (*x != *y) return *x < *y ? -1 : 1;
  return 0;
}
`;

function snake(name: string): string {
  const text = name.replaceAll('-', '_');
  return C_WORDS.has(text) ? `${text}_` : text;
}

function comment(docs: string, indent: string): string {
  if (docs === '') return '';
  return `${indent}/* ${docs.split('\n').join(`\n${indent} * `)} */\n`;
}

interface Named {
  readonly name: string;
  readonly docs: string;
}

class HeaderWriter {
  private readonly layouts: Layouts;
  private readonly written = new Set<string>();
  private types = '';

  constructor(layouts: Layouts) {
    this.layouts = layouts;
  }

  write(): string {
    const { package: wit } = this.layouts;
    const worlds = [...wit.worlds.values()];
    const exported = [...new Set(worlds.flatMap((world) => world.exports))];
    const imported = [...new Set(worlds.flatMap((world) => world.imports))];
    for (const name of [SHARED, ...imported, ...exported]) this.definitions(this.layouts.interface(name));

    let prototypes = '\n/* What a plugin implements. `result` arrives zeroed. */\n';
    let glue = '';
    for (const name of exported) {
      const found = this.layouts.interface(name);
      prototypes += `\n${comment(found.docs, '')}`;
      for (const one of found.functions) {
        const layout = this.layouts.function(name, one.name);
        prototypes += `${comment(one.docs, '')}${this.prototype(name, layout)};\n`;
        glue += this.exportGlue(name, layout);
      }
    }
    let calls = '\n/* What a plugin may call. */\n';
    for (const name of imported) {
      const found = this.layouts.interface(name);
      calls += `\n${comment(found.docs, '')}`;
      for (const one of found.functions)
        calls += `${comment(one.docs, '')}${this.importGlue(name, this.layouts.function(name, one.name))}`;
    }
    return `${PRELUDE}${this.types}${prototypes}${calls}\n#ifdef EKHO_IMPLEMENT\n${RUNTIME}${glue}\n#endif\n#endif\n`;
  }

  private cName(inside: string, name: string): string {
    return inside === SHARED ? `ekho_${snake(name)}` : `ekho_${snake(inside)}_${snake(name)}`;
  }

  /** C type of a layout; list and result types are written when they are first met. */
  private cType(layout: Layout): string {
    const { resolved } = layout;
    switch (resolved.is) {
      case 'primitive':
        return resolved.alias === undefined
          ? C_PRIMITIVES[resolved.primitive]!
          : `ekho_${snake(resolved.alias)}`;
      case 'list': {
        const { element } = resolved;
        if (element.resolved.is === 'primitive' && element.resolved.primitive === 'u8') return 'ekho_string';
        const item = this.cType(element);
        const name = `ekho_${plain(item)}_list`;
        this.once(name, `\ntypedef struct { ${item} *items; uint32_t count; } ${name};\n`);
        return name;
      }
      case 'result': {
        const ok = resolved.ok && this.cType(resolved.ok);
        const error = resolved.error && this.cType(resolved.error);
        const name = `ekho_result_${plain(ok)}_${plain(error)}`;
        const members = `${ok === undefined ? '' : ` ${ok} ok;`}${error === undefined ? '' : ` ${error} error;`}`;
        const union = members === '' ? '' : ` union {${members} };`;
        this.once(name, `\ntypedef struct { bool is_error;${union} } ${name};\n${asserts(name, layout, [])}`);
        return name;
      }
      case 'option':
        throw new TypeError('option types are not written to the C header');
      default:
        return this.names.get(resolved) ?? fail(`type ${resolved.name} used before its definition`);
    }
  }

  /** C names of enums, flags and records, by what they resolve to. */
  private readonly names = new Map<object, string>();

  private once(name: string, text: string): void {
    if (this.written.has(name)) return;
    this.written.add(name);
    this.types += text;
  }

  private definitions(inside: WitInterface): void {
    for (const definition of inside.definitions.values()) {
      if (definition.is === 'use') continue;
      const name = this.cName(inside.name, definition.name);
      const layout = this.layouts.named(inside.name, definition.name);
      switch (definition.is) {
        case 'alias':
          this.once(
            name,
            `\n${comment(definition.docs, '')}typedef ${C_PRIMITIVES[aliased(layout)]} ${name};\n`,
          );
          break;
        case 'enum':
        case 'flags': {
          this.names.set(layout.resolved, name);
          const value = (index: number) => (definition.is === 'enum' ? `${index}` : `1u << ${index}`);
          const cases = definition.cases.map(
            (one: Named, index) =>
              `${comment(one.docs, '  ')}  ${name.toUpperCase()}_${one.name.replaceAll('-', '_').toUpperCase()} = ${value(index)},\n`,
          );
          this.once(
            name,
            `\n${comment(definition.docs, '')}typedef uint${layout.size * 8}_t ${name};\nenum {\n${cases.join('')}};\n`,
          );
          break;
        }
        case 'record': {
          if (layout.resolved.is !== 'record') break;
          this.names.set(layout.resolved, name);
          const { fields } = layout.resolved;
          const members = fields.map(
            (field) => `${comment(field.docs, '  ')}  ${this.cType(field.layout)} ${snake(field.name)};\n`,
          );
          this.once(
            name,
            `\n${comment(definition.docs, '')}typedef struct {\n${members.join('')}} ${name};\n${asserts(name, layout, fields)}`,
          );
          break;
        }
      }
    }
  }

  private parameterList(layout: FunctionLayout, byPointer: boolean): string[] {
    return layout.parameters.map(({ name, layout: one }) => {
      const type = this.cType(one);
      return byPointer && isCompound(one) ? `const ${type} *${snake(name)}` : `${type} ${snake(name)}`;
    });
  }

  private prototype(inside: string, layout: FunctionLayout): string {
    const name = this.cName(inside, layout.function.name);
    const parameters = this.parameterList(layout, true);
    const { result } = layout;
    if (result !== undefined && isCompound(result)) parameters.push(`${this.cType(result)} *result`);
    const type = result === undefined || isCompound(result) ? 'void' : this.cType(result);
    return `${type} ${name}(${parameters.join(', ') || 'void'})`;
  }

  private coreName(inside: string): string {
    const { name, version } = this.layouts.package;
    return `${name}/${inside}@${version}`;
  }

  private exportGlue(inside: string, layout: FunctionLayout): string {
    const name = this.cName(inside, layout.function.name);
    const core = `${this.coreName(inside)}#${layout.function.name}`;
    const { result } = layout;
    const parameters: string[] = [];
    const values: string[] = [];
    let before = '';
    let body = '';
    if (layout.spilled) {
      const members = layout.parameters.map((one) => `${this.cType(one.layout)} ${snake(one.name)};`);
      before += `typedef struct { ${members.join(' ')} } ${name}_parameters_;\n`;
      parameters.push(`${name}_parameters_ *p`);
      for (const one of layout.parameters)
        values.push(`${isCompound(one.layout) ? '&' : ''}p->${snake(one.name)}`);
    } else {
      for (const one of layout.parameters) {
        const flat = one.layout.flat.map((type, index) => ({
          type: C_CORE[type],
          name: `${snake(one.name)}${index}`,
        }));
        parameters.push(...flat.map(({ type, name }) => `${type} ${name}`));
        if (isCompound(one.layout)) {
          const names = flat.map(({ name }) => name);
          body += `  ${this.cType(one.layout)} ${snake(one.name)} = ${this.compose(one.layout, names)};\n`;
          values.push(`&${snake(one.name)}`);
        } else values.push(`(${this.cType(one.layout)})${flat[0]!.name}`);
      }
    }
    let type = 'void';
    let post = '';
    if (result === undefined) {
      body += `  ${name}(${values.join(', ')});\n`;
    } else if (isCompound(result)) {
      type = `${this.cType(result)} *`;
      before += `static ${this.cType(result)} ${name}_result_;\n`;
      body += `  memset(&${name}_result_, 0, sizeof ${name}_result_);\n  ${name}(${[...values, `&${name}_result_`].join(', ')});\n  return &${name}_result_;\n`;
      post = 'void *result';
    } else {
      type = C_CORE[result.flat[0]!];
      body += `  return ${name}(${values.join(', ')});\n`;
      post = `${type} result`;
    }
    return (
      `\n${before}__attribute__((export_name("${core}")))\n${type} ${name}_export_(${parameters.join(', ') || 'void'}) {\n${body}}\n` +
      `__attribute__((export_name("cabi_post_${core}")))\nvoid ${name}_post_(${post || 'void'}) {\n` +
      `${post === '' ? '' : '  (void)result;\n'}  ekho_empty_();\n}\n`
    );
  }

  /** An initializer from flat core values, which it takes off `names`. */
  private compose(layout: Layout, names: string[]): string {
    const { resolved } = layout;
    if (resolved.is === 'list') {
      const [pointer, count] = [names.shift(), names.shift()];
      return `{(void *)${pointer}, ${count}}`;
    }
    if (resolved.is === 'record')
      return `{${resolved.fields.map((field) => this.compose(field.layout, names)).join(', ')}}`;
    return names.shift()!;
  }

  private importGlue(inside: string, layout: FunctionLayout): string {
    const name = this.cName(inside, layout.function.name);
    const { result } = layout;
    if (layout.spilled) fail(`${name} has more parameters than the C header can pass`);
    const core: string[] = [];
    const values: string[] = [];
    for (const one of layout.parameters) {
      core.push(...one.layout.flat.map((type) => C_CORE[type]));
      values.push(...this.decompose(one.layout, snake(one.name)));
    }
    const parameters = this.parameterList(layout, false).join(', ') || 'void';
    const type = result === undefined ? 'void' : this.cType(result);
    let body: string;
    let coreType = 'void';
    if (result === undefined) body = `${name}_import_(${values.join(', ')});`;
    else if (layout.indirect) {
      core.push('void *');
      body = `${type} result; ${name}_import_(${[...values, '&result'].join(', ')}); return result;`;
    } else {
      coreType = C_CORE[result.flat[0]!];
      body = isCompound(result)
        ? fail(`${name}: a flat compound result`)
        : `return (${type})${name}_import_(${values.join(', ')});`;
    }
    return (
      `__attribute__((import_module("${this.coreName(inside)}"), import_name("${layout.function.name}")))\n` +
      `extern ${coreType} ${name}_import_(${core.join(', ') || 'void'});\n` +
      `static inline ${type} ${name}(${parameters}) { ${body} }\n`
    );
  }

  private decompose(layout: Layout, value: string): string[] {
    const { resolved } = layout;
    if (resolved.is === 'list') {
      const text = this.cType(layout) === 'ekho_string';
      return [`(uint32_t)${value}.${text ? 'bytes' : 'items'}`, `${value}.${text ? 'length' : 'count'}`];
    }
    if (resolved.is === 'record')
      return resolved.fields.flatMap((field) =>
        this.decompose(field.layout, `${value}.${snake(field.name)}`),
      );
    return [value];
  }
}

function isCompound(layout: Layout): boolean {
  return layout.resolved.is === 'record' || layout.resolved.is === 'list' || layout.resolved.is === 'result';
}

function aliased(layout: Layout): string {
  return layout.resolved.is === 'primitive'
    ? layout.resolved.primitive
    : fail('only aliases of primitives are written');
}

function plain(type: string | undefined): string {
  if (type === undefined) return 'none';
  return type
    .replace(/^ekho_/, '')
    .replace(/_t$/, '')
    .replace(/^uint/, 'u')
    .replace(/^int/, 's');
}

function asserts(name: string, layout: Layout, fields: readonly FieldLayout[]): string {
  const offsets = fields.map(
    (field) =>
      `_Static_assert(offsetof(${name}, ${snake(field.name)}) == ${field.offset}, "${name}.${snake(field.name)}");\n`,
  );
  return `_Static_assert(sizeof(${name}) == ${layout.size}, "${name}");\n${offsets.at(-1) ?? ''}`;
}

function fail(what: string): never {
  throw new TypeError(what);
}

export function generateHeader(layouts: Layouts): string {
  return new HeaderWriter(layouts).write();
}
