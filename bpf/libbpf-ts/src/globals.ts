/**
 * Global variables of an object: .data, .bss and others like them are shared memory with the programs, read and written in
 * place; .rodata can be set until the object is loaded.
 */

import type { Btf } from './btf.ts';
import { type Codec, codecOf } from './codec.ts';
import { BpfError } from './errors.ts';
import { detach, type Mapping, mapShared, pageSize, viewOf } from './memory.ts';
import { native, type Pointer } from './native.ts';

interface Section {
  readonly name: string;
  /** libbpf's memory until load(), then the map itself. */
  view: DataView;
  readonly constant: boolean;
  readonly map: DataMap;
}

/** State of the object that variables need. */
export interface GlobalsOwner {
  readonly closed: boolean;
  readonly loaded: boolean;
  readonly title: string;
}

export class Variable<T = unknown> {
  readonly name: string;
  /** Its section, e.g. `.bss`. */
  readonly section: string;
  readonly codec: Codec<T>;
  readonly #owner: GlobalsOwner;
  readonly #section: Section;
  readonly #offset: number;

  constructor(name: string, owner: GlobalsOwner, section: Section, offset: number, codec: Codec<T>) {
    this.name = name;
    this.section = section.name;
    this.codec = codec;
    this.#owner = owner;
    this.#section = section;
    this.#offset = offset;
  }

  /** Whether the object it belongs to has been closed. */
  get closed(): boolean {
    return this.#owner.closed;
  }

  #alive(): void {
    if (this.#owner.closed) {
      throw new BpfError('E_CLOSED', `variable "${this.name}": ${this.#owner.title} has been closed`);
    }
  }

  /** Reads it as it is now; a program may be writing meanwhile. @throws E_CLOSED */
  get(): T {
    this.#alive();
    return this.codec.read(this.#section.view, this.#offset);
  }

  /** @throws E_VALUE, E_CLOSED; E_STATE for constants once the object is loaded */
  set(value: T): void {
    this.#alive();
    // The kernel froze the map: the page is read-only now, and a store would end the process.
    if (this.#section.constant && this.#owner.loaded) {
      throw new BpfError('E_STATE', `variable "${this.name}" is in ${this.section}: set it before load()`);
    }
    this.codec.write(this.#section.view, this.#offset, value);
  }
}

/** Maps hold a section's data; libbpf shortens their names, so they are matched by how they end. */
export interface DataMap {
  readonly name: string;
  readonly pointer: Pointer;
}

export class Globals {
  readonly #owner: GlobalsOwner;
  readonly #variables = new Map<string, Variable>();
  readonly #sections: Section[] = [];
  readonly #mappings: Mapping[] = [];

  constructor(owner: GlobalsOwner, btf: Btf | undefined, maps: readonly DataMap[]) {
    this.#owner = owner;
    if (btf === undefined) return;
    for (let id = 1; id <= btf.lastId; id++) {
      const section = btf.type(id);
      if (section.kind !== 'section' || !section.name.startsWith('.')) continue;
      const map = maps.find(
        ({ name }) =>
          name.endsWith(section.name) && name.split('.').slice(1).join('.') === section.name.slice(1),
      );
      if (map === undefined) continue; // .maps, .ksyms, .struct_ops
      const size = new BigUint64Array(1);
      const pointer = native().bpf_map__initial_value(map.pointer, size) as Pointer;
      if (Number(pointer) === 0) continue;
      const buffer = viewOf(pointer, Number(size[0]));
      const constant = section.name.startsWith('.rodata') || section.name === '.kconfig';
      const where = { name: section.name, view: new DataView(buffer), constant, map };
      this.#sections.push(where);
      for (const { type, offset } of section.variables) {
        const variable = btf.type(type);
        if (variable.kind !== 'variable' || offset + btf.sizeOf(type) > buffer.byteLength) continue;
        const codec = codecOf(btf, variable.target);
        this.#variables.set(variable.name, new Variable(variable.name, owner, where, offset, codec));
      }
    }
  }

  /** @throws E_NOT_FOUND, E_CLOSED */
  get(name: string): Variable {
    if (this.#owner.closed) throw new BpfError('E_CLOSED', `${this.#owner.title} has been closed`);
    const variable = this.#variables.get(name);
    if (variable === undefined) {
      throw new BpfError('E_NOT_FOUND', `${this.#owner.title} has no variable "${name}"`);
    }
    return variable;
  }

  all(): readonly Variable[] {
    return [...this.#variables.values()];
  }

  /**
   * After load(): variables move from libbpf's copy of the initial values to the maps' own pages, which the programs use.
   * Constants stay: nothing writes them any more.
   */
  loaded(): void {
    for (const section of this.#sections) {
      if (section.constant) continue;
      const bytes = section.view.byteLength;
      const fd = native().bpf_map__fd(section.map.pointer) as number;
      const mapping = mapShared(fd, 0, Math.ceil(bytes / pageSize) * pageSize, true);
      this.#mappings.push(mapping);
      detach(section.view.buffer as ArrayBuffer);
      section.view = new DataView(mapping.buffer, 0, bytes);
    }
  }

  /** Takes the views back; the memory goes away with the object. */
  close(): void {
    for (const mapping of this.#mappings) mapping.unmap();
    for (const section of this.#sections) {
      if (section.view.buffer.byteLength > 0) detach(section.view.buffer as ArrayBuffer);
    }
  }
}
