/** What the writers of bindings share: names in the usual spelling of a language, and which interfaces a world has. */

import type { Layout, Layouts } from '../../../host/plugin/layout.ts';
import type { WitInterface } from '../../../host/plugin/wit.ts';

/** Types of this interface have no interface name in theirs. */
export const SHARED = 'types';

export function camelCase(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

export function pascalCase(name: string): string {
  return camelCase(`-${name}`);
}

export function snakeCase(name: string): string {
  return name.replaceAll('-', '_');
}

/** Name of a type: `OffloadPage` for `page` of `offload`, `Route` for `route` of `types`. */
export function typeName(inside: string, name: string): string {
  return inside === SHARED ? pascalCase(name) : pascalCase(`${inside}-${name}`);
}

/** A doc comment as a block; empty for no documentation. */
export function docBlock(docs: string, indent = ''): string {
  if (docs === '') return '';
  const lines = docs.replaceAll('*/', '* /').split('\n');
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join('')}${indent} */\n`;
}

export interface WorldInterfaces {
  readonly exports: readonly WitInterface[];
  readonly imports: readonly WitInterface[];
  /** In the order in which their types can be written: the shared one, then imports, then exports. */
  readonly all: readonly WitInterface[];
}

/** Interfaces of a world with those of the worlds it includes. Throws TypeError when there is no such world. */
export function interfacesOf(layouts: Layouts, world: string): WorldInterfaces {
  const exports = new Set<string>();
  const imports = new Set<string>();
  const visit = (name: string): void => {
    const found = layouts.package.worlds.get(name);
    if (found === undefined) {
      const names = [...layouts.package.worlds.keys()].join(', ');
      throw new TypeError(`there is no world ${name} in wit/; there is ${names}`);
    }
    for (const one of found.includes) visit(one);
    for (const one of found.imports) imports.add(one);
    for (const one of found.exports) exports.add(one);
  };
  visit(world);
  const read = (names: Iterable<string>) => [...names].map((name) => layouts.interface(name));
  return { exports: read(exports), imports: read(imports), all: read([SHARED, ...imports, ...exports]) };
}

/** Name of an interface in core modules and components. */
export function coreName({ package: { name, version } }: Layouts, inside: string): string {
  return `${name}/${inside}@${version}`;
}

/** Whether it is passed as a pointer to memory, or in several values. */
export function isCompound({ resolved }: Layout): boolean {
  return resolved.is === 'record' || resolved.is === 'list' || resolved.is === 'result';
}

/** The one shape of `result` that bindings pass on: nothing, or what went wrong as text. */
export function isTextResult({ resolved }: Layout): boolean {
  return resolved.is === 'result' && resolved.ok === undefined && isText(resolved.error);
}

/** A string, or a list of bytes, which looks the same. */
export function isText(layout: Layout | undefined): boolean {
  if (layout?.resolved.is !== 'list') return false;
  const { resolved } = layout.resolved.element;
  return resolved.is === 'primitive' && resolved.primitive === 'u8';
}
