/**
 * Writes bindings for TypeScript: `ekho.ts` with every record as the component tools pass it to JavaScript (enums are their
 * names, flags objects of booleans) and the host's functions, and the module of exports around a plugin.
 *
 * componentize-qjs 0.4 passes a u32 as if it were signed, in both directions, and a u64 as a double. The first is put right
 * here, field by field; the second cannot be: what needs more than 53 bits (IPv6 addresses) is rounded.
 */

import type { Layout, Layouts } from '../../../host/plugin/layout.ts';
import type { WitDefinition, WitFunction, WitInterface, WitType } from '../../../host/plugin/wit.ts';
import { camelCase, coreName, docBlock, interfacesOf, pascalCase, typeName } from './names.ts';

const PRELUDE = `/**
 * Writing a plugin in TypeScript: export a constant per interface that a plugin has, \`export const offload: Offload = { … }\`,
 * and call the host by \`asic.write(…)\`, \`log.write(…)\`. \`ekho plugin build\` writes this file from wit/; do not edit.
 *
 * 64-bit numbers are plain numbers, exact to 2^53. That does for MACs, counters, times and IPv4 addresses; IPv6 addresses
 * arrive rounded, so a plugin in TypeScript must refuse them. Where a function may fail, throw the text.
 */
`;

export interface TypeScriptBindings {
  /** What a plugin imports as `./ekho.ts`. */
  readonly bindings: string;
  /** The exports, calling `./plugin.ts`. */
  readonly entry: string;
}

/** Which way a value goes: from the host into the plugin, or out of it. */
type Way = 'lift' | 'lower';

class Writer {
  private readonly layouts: Layouts;
  private inside: WitInterface;
  private conversions = '';
  private readonly written = new Set<string>();

  constructor(layouts: Layouts) {
    this.layouts = layouts;
    this.inside = layouts.interface('types');
  }

  write(world: string): TypeScriptBindings {
    const { exports, imports, all } = interfacesOf(this.layouts, world);
    let types = '';
    for (const one of all) {
      this.inside = one;
      for (const definition of one.definitions.values()) types += this.definition(definition);
    }
    for (const one of exports) {
      this.inside = one;
      types += `\n${docBlock(one.docs)}export interface ${pascalCase(one.name)} {\n${this.methods(one, '  ')}}\n`;
    }
    let modules = '';
    let calls = '';
    for (const one of imports) {
      this.inside = one;
      const raw = camelCase(`host-${one.name}`);
      modules += `// @ts-ignore: the component tools provide it.\nimport ${raw} from '${coreName(this.layouts, one.name)}';\n`;
      calls += `\n${docBlock(one.docs)}export const ${camelCase(one.name)} = {\n${this.wrappers(one, raw, 'lower', 'lift', '  ')}};\n`;
    }
    let entry = `/** The exports that the host calls, around those of plugin.ts. */
import * as vendor from './plugin.ts';
import * as ekho from './ekho.ts';

/** An exception would show as a trap without a word. */
function told<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (typeof error !== 'string') ekho.log.write('error', error instanceof Error ? \`\${error.message}\\n\${error.stack}\` : String(error));
    throw error;
  }
}
`;
    for (const one of exports) {
      this.inside = one;
      const name = camelCase(one.name);
      entry += `\nexport const ${name} = {\n${this.wrappers(one, `vendor.${name}`, 'lift', 'lower', '  ', 'ekho.')}};\n`;
    }
    return { bindings: `${PRELUDE}${modules}${types}${calls}${this.conversions}`, entry };
  }

  private definition(definition: WitDefinition): string {
    if (definition.is === 'use') return '';
    const name = typeName(this.inside.name, definition.name);
    const head = `\n${docBlock(definition.docs)}`;
    switch (definition.is) {
      case 'alias':
        return `${head}export type ${name} = ${this.type(definition.type)};\n`;
      case 'enum': {
        const cases = definition.cases
          .map(({ name, docs }) => `${docBlock(docs, '  ')}  | '${name}'\n`)
          .join('');
        return `${head}export type ${name} =\n${cases.trimEnd()};\n`;
      }
      case 'flags': {
        const cases = definition.cases.map(
          ({ name, docs }) => `${docBlock(docs, '  ')}  ${camelCase(name)}?: boolean;\n`,
        );
        return `${head}export interface ${name} {\n${cases.join('')}}\n`;
      }
      case 'record': {
        const fields = definition.fields.map(
          ({ name, docs, type }) => `${docBlock(docs, '  ')}  ${camelCase(name)}: ${this.type(type)};\n`,
        );
        return `${head}export interface ${name} {\n${fields.join('')}}\n`;
      }
    }
  }

  private methods({ functions }: WitInterface, indent: string): string {
    return functions.map((one) => `${docBlock(one.docs, indent)}${indent}${this.method(one)};\n`).join('');
  }

  private method({ name, parameters, result }: WitFunction): string {
    const list = parameters.map((one) => `${camelCase(one.name)}: ${this.type(one.type)}`).join(', ');
    return `${camelCase(name)}(${list}): ${result === undefined ? 'void' : this.type(result)}`;
  }

  /** The functions of an interface around those of `target`, with what is passed converted. */
  private wrappers(
    { name: inside, functions }: WitInterface,
    target: string,
    into: Way,
    outOf: Way,
    indent: string,
    scope = '',
  ): string {
    return functions
      .map(({ name, docs, parameters, result }) => {
        const qualified = (text: string) =>
          scope === '' ? text : text.replaceAll(/(?<!\.)\b(lift|lower)[A-Z]/g, `${scope}$&`);
        const passed = parameters.map((one) => {
          const layout = this.layouts.type(inside, one.type);
          return qualified(this.converted(layout, camelCase(one.name), into));
        });
        const typed = parameters
          .map((one) => `${camelCase(one.name)}: ${this.scoped(one.type, scope)}`)
          .join(', ');
        const call = `${target}.${camelCase(name)}(${passed.join(', ')})`;
        const layout = result && this.layouts.type(inside, result);
        const returned = layout === undefined ? call : qualified(this.converted(layout, call, outOf));
        const type = result === undefined ? 'void' : this.scoped(result, scope);
        const body = scope === '' ? returned : `told(() => ${returned})`;
        return `${scope === '' ? docBlock(docs, indent) : ''}${indent}${camelCase(name)}(${typed}): ${type} {\n${indent}  return ${body};\n${indent}},\n`;
      })
      .join('');
  }

  private scoped(type: WitType, scope: string): string {
    return this.type(type).replaceAll(/\b[A-Z]/g, `${scope}$&`);
  }

  /** `value`, converted where something in it is a u32. */
  private converted(layout: Layout, value: string, way: Way): string {
    const { resolved } = layout;
    switch (resolved.is) {
      case 'primitive':
        if (resolved.primitive !== 'u32') return value;
        return way === 'lift' ? `${value} >>> 0` : `${value} | 0`;
      case 'list': {
        const { element } = resolved;
        if (element.resolved.is === 'primitive' && element.resolved.primitive !== 'u32') return value;
        const one = this.converted(element, 'one', way);
        return one === 'one' ? value : `${value}.map((one: any) => ${one})`;
      }
      case 'record':
        return this.needs(layout) ? `${this.conversion(layout, resolved.name, way)}(${value})` : value;
      case 'result':
        return resolved.ok === undefined ? value : this.converted(resolved.ok, value, way);
      default:
        return value;
    }
  }

  /** Something in it is a u32. */
  private needs({ resolved }: Layout): boolean {
    if (resolved.is === 'primitive') return resolved.primitive === 'u32';
    if (resolved.is === 'list') return this.needs(resolved.element);
    return resolved.is === 'record' && resolved.fields.some((field) => this.needs(field.layout));
  }

  private readonly names = new Map<object, string>();

  /** Name of the function that converts a record; written when it is first asked for. */
  private conversion(layout: Layout, name: string, way: Way): string {
    const { resolved } = layout;
    if (resolved.is !== 'record') throw new TypeError('only records are converted by functions');
    let base = this.names.get(resolved);
    if (base === undefined) {
      base = pascalCase(name);
      // `page` of two interfaces.
      while ([...this.names.values()].includes(base)) base += '2';
      this.names.set(resolved, base);
    }
    const full = `${way}${base}`;
    if (this.written.has(full)) return full;
    this.written.add(full);
    const fields = resolved.fields
      .filter((field) => this.needs(field.layout))
      .map((field) => {
        const member = camelCase(field.name);
        return `    ${member}: ${this.converted(field.layout, `value.${member}`, way)},\n`;
      });
    this.conversions += `\nexport function ${full}(value: any): any {\n  return {\n    ...value,\n${fields.join('')}  };\n}\n`;
    return full;
  }

  private type(type: WitType): string {
    switch (type.is) {
      case 'primitive':
        if (type.primitive === 'bool') return 'boolean';
        return type.primitive === 'string' || type.primitive === 'char' ? 'string' : 'number';
      case 'list':
        return `${this.type(type.element)}[]`;
      case 'option':
        return `${this.type(type.element)} | null`;
      case 'tuple':
        return `[${type.elements.map((one) => this.type(one)).join(', ')}]`;
      case 'result':
        // The error is thrown.
        return type.ok === undefined ? 'void' : this.type(type.ok);
      case 'named': {
        const definition = this.inside.definitions.get(type.name);
        const home = definition?.is === 'use' ? definition.from : this.inside.name;
        return typeName(home, type.name);
      }
    }
  }
}

/** @throws TypeError when there is no such world */
export function generateTypeScript(layouts: Layouts, world: string): TypeScriptBindings {
  return new Writer(layouts).write(world);
}
