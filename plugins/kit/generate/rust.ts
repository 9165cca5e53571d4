/**
 * Writes bindings for Rust: `ekho.rs`, a module with every record in its canonical layout, a trait for each interface that a
 * plugin implements, a module of functions for each that it may call, and the macro that makes a type the plugin.
 */

import type { FunctionLayout, Layout, Layouts } from '../../../host/plugin/layout.ts';
import type { WitDefinition, WitInterface } from '../../../host/plugin/wit.ts';
import {
  coreName,
  interfacesOf,
  isCompound,
  isText,
  isTextResult,
  pascalCase,
  snakeCase,
  typeName,
} from './names.ts';

const PRELUDE = `//! Writing a plugin in Rust: \`mod ekho;\`, implement the traits for a type that has \`Default\`, and name it in
//! \`ekho::export!(…)\`. \`ekho plugin build\` writes this file from wit/; do not edit.
//!
//! Records have the layout in which the host passes them, so a batch is used where it lies. Lists and texts own their memory; a
//! \`Vec\` and a \`String\` become one by \`.into()\`, an iterator by \`.collect()\`.
#![allow(dead_code, unused_imports, unused_macros, clippy::all)]

use core::cell::UnsafeCell;

/// What the host asks for, and every list: aligned for every record.
const ALIGN: usize = 8;

unsafe fn allocate(size: usize) -> *mut u8 {
    if size == 0 {
        return ALIGN as *mut u8;
    }
    let layout = std::alloc::Layout::from_size_align_unchecked(size, ALIGN);
    let found = std::alloc::alloc(layout);
    if found.is_null() {
        std::alloc::handle_alloc_error(layout);
    }
    found
}

unsafe fn free(at: *mut u8, size: usize) {
    if size != 0 {
        std::alloc::dealloc(at, std::alloc::Layout::from_size_align_unchecked(size, ALIGN));
    }
}

#[export_name = "cabi_realloc"]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, _align: usize, size: usize) -> *mut u8 {
    let found = allocate(size);
    if old_size != 0 {
        core::ptr::copy_nonoverlapping(old, found, old_size.min(size));
        free(old, old_size);
    }
    found
}

/// A list as the host and the plugin pass it to each other: a slice that owns its memory.
#[repr(C)]
pub struct List<T> {
    items: *mut T,
    count: usize,
}

impl<T> List<T> {
    /// One that the host wrote into memory it asked for.
    pub unsafe fn received(items: *mut T, count: usize) -> Self {
        List { items, count }
    }
}

impl<T> core::ops::Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        if self.count == 0 {
            return &[];
        }
        unsafe { core::slice::from_raw_parts(self.items, self.count) }
    }
}

impl<T> core::ops::DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        if self.count == 0 {
            return &mut [];
        }
        unsafe { core::slice::from_raw_parts_mut(self.items, self.count) }
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        unsafe {
            core::ptr::drop_in_place(&mut self[..] as *mut [T]);
            free(self.items as *mut u8, self.count * core::mem::size_of::<T>());
        }
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List { items: ALIGN as *mut T, count: 0 }
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(mut from: Vec<T>) -> Self {
        let count = from.len();
        unsafe {
            let items = allocate(count * core::mem::size_of::<T>()) as *mut T;
            core::ptr::copy_nonoverlapping(from.as_ptr(), items, count);
            // They moved.
            from.set_len(0);
            List { items, count }
        }
    }
}

impl<T> core::iter::FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(from: I) -> Self {
        from.into_iter().collect::<Vec<T>>().into()
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for List<T> {
    fn fmt(&self, to: &mut core::fmt::Formatter) -> core::fmt::Result {
        (**self).fmt(to)
    }
}

/// A text as the host and the plugin pass it to each other.
#[repr(C)]
#[derive(Default)]
pub struct Text(List<u8>);

impl core::ops::Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl From<String> for Text {
    fn from(from: String) -> Self {
        Text(from.into_bytes().into())
    }
}

impl From<&str> for Text {
    fn from(from: &str) -> Self {
        from.to_owned().into()
    }
}

impl core::fmt::Debug for Text {
    fn fmt(&self, to: &mut core::fmt::Formatter) -> core::fmt::Result {
        (**self).fmt(to)
    }
}

/// \`result<_, string>\` as it is returned.
#[repr(C)]
pub struct TextResult {
    is_error: u32,
    error: Text,
}

impl From<Result<(), String>> for TextResult {
    fn from(from: Result<(), String>) -> Self {
        match from {
            Ok(()) => TextResult { is_error: 0, error: Text::default() },
            Err(error) => TextResult { is_error: 1, error: error.into() },
        }
    }
}

/// The parameters of a call that are too many to be passed one by one.
pub unsafe fn taken<T>(at: *mut T) -> T {
    let parameters = core::ptr::read(at);
    free(at as *mut u8, core::mem::size_of::<T>());
    parameters
}

/// The result of a call, until the host has read it.
pub fn given<A, B: From<A>>(result: A) -> *mut B {
    Box::into_raw(Box::new(B::from(result)))
}

/// Where the plugin is kept: a component has one thread, and no call comes while another runs.
pub struct Instance<T>(UnsafeCell<Option<T>>);

unsafe impl<T> Sync for Instance<T> {}

impl<T: Default> Instance<T> {
    pub const fn new() -> Self {
        Instance(UnsafeCell::new(None))
    }

    pub unsafe fn get(&self) -> &mut T {
        let instance = &mut *self.0.get();
        if instance.is_none() {
            std::panic::set_hook(Box::new(|panic| log::write(LogLevel::ERROR, &panic.to_string())));
        }
        instance.get_or_insert_with(T::default)
    }
}
`;

const NUMBERS: Readonly<Record<string, string>> = {
  bool: 'bool',
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
  char: 'u32',
};

const CORE: Readonly<Record<string, string>> = { i32: 'u32', i64: 'u64', f32: 'f32', f64: 'f64' };

const WORDS = new Set([
  'type',
  'match',
  'ref',
  'move',
  'in',
  'loop',
  'use',
  'mod',
  'fn',
  'where',
  'static',
  'const',
]);

function identifier(name: string): string {
  const text = snakeCase(name);
  return WORDS.has(text) ? `r#${text}` : text;
}

function docLines(docs: string, indent = ''): string {
  if (docs === '') return '';
  return docs
    .split('\n')
    .map((line) => `${indent}/// ${line}`.trimEnd())
    .join('\n')
    .concat('\n');
}

class Writer {
  private readonly layouts: Layouts;
  private readonly names = new Map<object, string>();

  constructor(layouts: Layouts) {
    this.layouts = layouts;
  }

  write(world: string): string {
    const { exports, imports, all } = interfacesOf(this.layouts, world);
    let text = PRELUDE;
    for (const one of all)
      for (const definition of one.definitions.values()) text += this.definition(one, definition);
    for (const one of imports) text += this.module(one);
    for (const one of exports) text += this.trait(one);
    return text + this.macro(exports);
  }

  private definition(inside: WitInterface, definition: WitDefinition): string {
    if (definition.is === 'use') return '';
    const name = typeName(inside.name, definition.name);
    const layout = this.layouts.named(inside.name, definition.name);
    const head = `\n${docLines(definition.docs)}`;
    switch (definition.is) {
      case 'alias':
        return `${head}pub type ${name} = ${this.type(layout)};\n`;
      case 'enum':
      case 'flags':
        this.names.set(layout.resolved, name);
        return `${head}${constants(name, definition, layout.size * 8)}`;
      case 'record': {
        const { resolved } = layout;
        if (resolved.is !== 'record') throw new TypeError('a record is one');
        this.names.set(resolved, name);
        const fields = resolved.fields.map(
          (field) =>
            `${docLines(field.docs, '    ')}    pub ${identifier(field.name)}: ${this.type(field.layout)},\n`,
        );
        const derived = resolved.fields.some(({ layout }) => owns(layout))
          ? 'Debug, Default'
          : 'Clone, Copy, Debug, Default, PartialEq';
        return (
          `${head}#[repr(C)]\n#[derive(${derived})]\npub struct ${name} {\n${fields.join('')}}\n` +
          `#[cfg(target_arch = "wasm32")]\nconst _: () = assert!(core::mem::size_of::<${name}>() == ${layout.size});\n`
        );
      }
    }
  }

  private type(layout: Layout): string {
    const { resolved } = layout;
    if (isText(layout)) return 'Text';
    if (resolved.is === 'primitive') return NUMBERS[resolved.primitive]!;
    if (resolved.is === 'list') return `List<${this.type(resolved.element)}>`;
    return this.names.get(resolved) ?? fail(`${resolved.is} has no place in the Rust bindings`);
  }

  /** Functions that call the host. */
  private module(inside: WitInterface): string {
    const functions = inside.functions.map(({ name }) =>
      this.import(this.layouts.function(inside.name, name)),
    );
    const declared = functions.map(({ declaration }) => declaration).join('');
    const bodies = functions.map(({ body }) => body).join('');
    return (
      `\n${docLines(inside.docs)}pub mod ${identifier(inside.name)} {\n    use super::*;\n\n` +
      `    #[link(wasm_import_module = "${coreName(this.layouts, inside.name)}")]\n    extern "C" {\n${declared}    }\n${bodies}}\n`
    );
  }

  private import(layout: FunctionLayout): { declaration: string; body: string } {
    const { name, docs } = layout.function;
    if (layout.spilled) fail(`${name} has more parameters than the bindings can pass`);
    const parameters: string[] = [];
    const core: string[] = [];
    const values: string[] = [];
    for (const { name: parameter, layout: one } of layout.parameters) {
      const variable = identifier(parameter);
      if (one.resolved.is === 'list') {
        const { element } = one.resolved;
        parameters.push(`${variable}: ${isText(one) ? '&str' : `&[${this.type(element)}]`}`);
        core.push(`${variable}: *const ${this.type(element)}`, `${variable}_count: usize`);
        values.push(`${variable}.as_ptr()`, `${variable}.len()`);
      } else if (isCompound(one)) fail(`parameter ${parameter} of ${name} has no place in the Rust bindings`);
      else {
        parameters.push(`${variable}: ${this.type(one)}`);
        core.push(`${variable}: ${CORE[one.flat[0]!]}`);
        values.push(this.lower(one, variable));
      }
    }
    const { result } = layout;
    const type = result === undefined ? '' : ` -> ${this.type(result)}`;
    let coreType = '';
    let body: string;
    if (result === undefined) body = `unsafe { ${identifier(name)}_import(${values.join(', ')}) }`;
    else if (layout.indirect) {
      core.push(`result: *mut ${this.type(result)}`);
      values.push('result.as_mut_ptr()');
      body =
        `let mut result = core::mem::MaybeUninit::uninit();\n        ` +
        `unsafe {\n            ${identifier(name)}_import(${values.join(', ')});\n            result.assume_init()\n        }`;
    } else {
      coreType = ` -> ${CORE[result.flat[0]!]}`;
      body = this.lift(result, `unsafe { ${identifier(name)}_import(${values.join(', ')}) }`);
    }
    return {
      declaration: `        #[link_name = "${name}"]\n        fn ${identifier(name)}_import(${core.join(', ')})${coreType};\n`,
      body: `\n${docLines(docs, '    ')}    pub fn ${identifier(name)}(${parameters.join(', ')})${type} {\n        ${body}\n    }\n`,
    };
  }

  private trait(inside: WitInterface): string {
    const methods = inside.functions.map(({ name, docs }) => {
      const layout = this.layouts.function(inside.name, name);
      const parameters = layout.parameters.map(
        (one) => `, ${identifier(one.name)}: ${this.type(one.layout)}`,
      );
      return `${docLines(docs, '    ')}    fn ${identifier(name)}(&mut self${parameters.join('')})${this.returned(layout)};\n`;
    });
    return `\n${docLines(inside.docs)}pub trait ${pascalCase(inside.name)} {\n${methods.join('')}}\n`;
  }

  private returned({ result }: FunctionLayout): string {
    if (result === undefined) return '';
    if (isTextResult(result)) return ' -> Result<(), String>';
    // What is built item by item is given as it was built.
    if (result.resolved.is === 'list' && !isText(result))
      return ` -> Vec<${this.type(result.resolved.element)}>`;
    return ` -> ${this.type(result)}`;
  }

  /** Makes a type the plugin: the core exports around its methods. */
  private macro(exports: readonly WitInterface[]): string {
    const functions = exports.flatMap((one) =>
      one.functions.map(({ name }) => this.export(one, this.layouts.function(one.name, name))),
    );
    return (
      '\nmacro_rules! export {\n    ($plugin:ty) => {\n        const _: () = {\n            use $crate::ekho;\n' +
      '            static INSTANCE: ekho::Instance<$plugin> = ekho::Instance::new();\n' +
      `${functions.join('')}        };\n    };\n}\npub(crate) use export;\n`
    );
  }

  private export(inside: WitInterface, layout: FunctionLayout): string {
    const { name } = layout.function;
    const symbol = snakeCase(`${inside.name}-${name}`);
    const core = `${coreName(this.layouts, inside.name)}#${name}`;
    const parameters: string[] = [];
    const values: string[] = [];
    if (layout.spilled) {
      // They are one record at a pointer; a function of the contract that has so many has one.
      const [only, ...others] = layout.parameters;
      if (only === undefined || others.length > 0) fail(`${name} has more than one parameter in memory`);
      parameters.push(`at: *mut ekho::${this.type(only.layout)}`);
      values.push('ekho::taken(at)');
    } else
      for (const { name: parameter, layout: one } of layout.parameters) {
        const variable = identifier(parameter);
        if (one.resolved.is === 'list') {
          const element = this.scoped(one.resolved.element);
          parameters.push(`${variable}: *mut ${element}`, `${variable}_count: usize`);
          values.push(`ekho::List::received(${variable}, ${variable}_count)`);
        } else if (isCompound(one)) fail(`parameter ${parameter} has no place in the Rust bindings`);
        else {
          parameters.push(`${variable}: ${CORE[one.flat[0]!]}`);
          values.push(this.lift(one, variable, 'ekho::'));
        }
      }
    const call = `ekho::${pascalCase(inside.name)}::${identifier(name)}(${['INSTANCE.get()', ...values].join(', ')})`;
    const head = (exported: string, suffix: string, list: string, type: string) =>
      `            #[export_name = "${exported}"]\n            unsafe extern "C" fn ${symbol}${suffix}(${list})${type} {\n`;
    const { result } = layout;
    if (result === undefined)
      return `${head(core, '', parameters.join(', '), '')}                ${call}\n            }\n`;
    if (!isCompound(result))
      return `${head(core, '', parameters.join(', '), ` -> ${CORE[result.flat[0]!]}`)}                ${this.lower(result, call)}\n            }\n`;
    const type = isTextResult(result) ? 'ekho::TextResult' : this.scoped(result);
    return (
      `${head(core, '', parameters.join(', '), ` -> *mut ${type}`)}                ekho::given(${call})\n            }\n` +
      `${head(`cabi_post_${core}`, '_post', `result: *mut ${type}`, '')}                drop(Box::from_raw(result))\n            }\n`
    );
  }

  private scoped(layout: Layout): string {
    return this.type(layout).replaceAll(/\b[A-Z]/g, 'ekho::$&');
  }

  /** From the core value that it is passed as. */
  private lift(layout: Layout, value: string, scope = ''): string {
    const { resolved } = layout;
    if (resolved.is === 'primitive') {
      if (resolved.primitive === 'bool') return `${value} != 0`;
      const type = NUMBERS[resolved.primitive]!;
      return type === CORE[layout.flat[0]!] ? value : `${value} as ${type}`;
    }
    return `${scope}${this.type(layout)}(${value} as u${layout.size * 8})`;
  }

  private lower(layout: Layout, value: string): string {
    const { resolved } = layout;
    const core = CORE[layout.flat[0]!]!;
    if (resolved.is === 'primitive')
      return NUMBERS[resolved.primitive] === core ? value : `${value} as ${core}`;
    return `${value}.0 as ${core}`;
  }
}

/** It is or has a list, which owns memory. */
function owns({ resolved }: Layout): boolean {
  return (
    resolved.is === 'list' || (resolved.is === 'record' && resolved.fields.some(({ layout }) => owns(layout)))
  );
}

function constants(
  name: string,
  definition: { is: 'enum' | 'flags'; cases: readonly { name: string; docs: string }[] },
  bits: number,
): string {
  const isEnum = definition.is === 'enum';
  const cases = definition.cases.map(
    ({ name: one, docs }, index) =>
      `${docLines(docs, '    ')}    pub const ${snakeCase(one).toUpperCase()}: ${name} = ${name}(${isEnum ? index : `1 << ${index}`});\n`,
  );
  const text =
    '#[repr(transparent)]\n#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]\n' +
    `pub struct ${name}(pub u${bits});\nimpl ${name} {\n${cases.join('')}`;
  if (isEnum) return `${text}}\n`;
  return (
    `${text}    /// Whether all of these are set.\n    pub const fn contains(self, others: ${name}) -> bool {\n        self.0 & others.0 == others.0\n    }\n}\n` +
    `impl core::ops::BitOr for ${name} {\n    type Output = ${name};\n    fn bitor(self, other: ${name}) -> ${name} {\n        ${name}(self.0 | other.0)\n    }\n}\n`
  );
}

function fail(what: string): never {
  throw new TypeError(what);
}

/** @throws TypeError when there is no such world, or a type in it cannot be bound */
export function generateRust(layouts: Layouts, world: string): string {
  return new Writer(layouts).write(world);
}
