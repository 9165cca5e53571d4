/**
 * Reads the outside of component and core module binaries: which names they import and export, and their memories.
 * What is read here comes from anyone, before any other tool has seen it: every length is checked, nothing is trusted.
 * Formats: the component model's Binary.md and WebAssembly's binary format.
 */

/** The bytes are not what they should be. */
export class BinaryError extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'BinaryError';
  }
}

const MAGIC = 0x6d736100;
/** Version 13, layer 1. */
const COMPONENT = 0x0001000d;
/** Version 1, layer 0. */
const CORE = 1;

/** Names of one import or export list. Real components have a few dozen. */
const NAMES_MAX = 4096;
const NAME_BYTES_MAX = 512;

class Reader {
  readonly bytes: Uint8Array;
  position: number;
  readonly end: number;

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  get done(): boolean {
    return this.position >= this.end;
  }

  byte(): number {
    if (this.position >= this.end) throw new BinaryError('it ends too early');
    return this.bytes[this.position++]!;
  }

  /** LEB128, at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
    }
    throw new BinaryError('a number is too long');
  }

  count(): number {
    const count = this.u32();
    if (count > NAMES_MAX) throw new BinaryError(`more than ${NAMES_MAX} imports or exports`);
    return count;
  }

  name(): string {
    const length = this.u32();
    if (length > NAME_BYTES_MAX) throw new BinaryError(`a name is longer than ${NAME_BYTES_MAX} bytes`);
    const bytes = this.slice(length);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new BinaryError('a name is not valid UTF-8');
    }
  }

  slice(length: number): Uint8Array {
    if (length > this.end - this.position) throw new BinaryError('it ends too early');
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }
}

interface Section {
  readonly id: number;
  /** Of the section's contents. */
  readonly start: number;
  readonly end: number;
  /** Of the section with its id and size. */
  readonly from: number;
}

function header(bytes: Uint8Array): number {
  if (bytes.length < 8) throw new BinaryError('it is too short');
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(0, true) !== MAGIC) throw new BinaryError('it is not WebAssembly');
  return view.getUint32(4, true);
}

function* sections(bytes: Uint8Array): Generator<Section> {
  const reader = new Reader(bytes, 8);
  while (!reader.done) {
    const from = reader.position;
    const id = reader.byte();
    const size = reader.u32();
    const start = reader.position;
    reader.slice(size);
    yield { id, start, end: start + size, from };
  }
}

export interface ComponentNames {
  /** Names of imports, with version; all of them interfaces. */
  readonly imports: readonly string[];
  readonly exports: readonly string[];
  /** Contents of the last custom section of each name that is asked for. */
  readonly custom: ReadonlyMap<string, Uint8Array>;
  readonly counts: ComponentCounts;
}

/** How much of everything it has, nested components included. */
export interface ComponentCounts {
  readonly modules: number;
  readonly components: number;
  readonly instances: number;
  readonly types: number;
  readonly functions: number;
}

/**
 * Of the component as a whole: what the tools of any language make stays far below, and what the transpiler makes of more
 * is out of proportion.
 */
export const COMPONENT_LIMITS: ComponentCounts & { readonly depth: number } = {
  modules: 64,
  components: 64,
  instances: 512,
  types: 8192,
  functions: 4096,
  depth: 8,
};

/** What a component imports and exports. Throws BinaryError, also for imports that are not interfaces. */
export function readComponent(bytes: Uint8Array, customNames: readonly string[] = []): ComponentNames {
  const version = header(bytes);
  if (version === CORE) throw new BinaryError('it is a core module, not a component');
  if (version !== COMPONENT) throw new BinaryError('it is a component of another version');
  const imports: string[] = [];
  const exports: string[] = [];
  const custom = new Map<string, Uint8Array>();
  const counts = { modules: 0, components: 0, instances: 0, types: 0, functions: 0 };
  count(bytes, counts, 0);
  for (const { id, start, end } of sections(bytes)) {
    const reader = new Reader(bytes, start, end);
    if (id === 0) {
      const name = reader.name();
      if (customNames.includes(name)) custom.set(name, bytes.subarray(reader.position, end));
    } else if (id === 10) {
      for (let left = reader.count(); left > 0; left--) {
        const name = externName(reader);
        if (externKind(reader) !== INSTANCE)
          throw new BinaryError(`it imports ${quote(name)}, which is not an interface`);
        imports.push(name);
      }
    } else if (id === 11) {
      for (let left = reader.count(); left > 0; left--) {
        exports.push(externName(reader));
        if (reader.byte() === 0) reader.byte();
        reader.u32();
        if (reader.byte() === 1) externKind(reader);
      }
    }
  }
  return { imports, exports, custom, counts };
}

/** What a section of a component holds, by its id; those not listed hold nothing that is counted. */
const COUNTED: Readonly<Record<number, keyof ComponentCounts>> = {
  1: 'modules',
  2: 'instances',
  3: 'types',
  4: 'components',
  5: 'instances',
  7: 'types',
  8: 'functions',
};
const MODULE_SECTION = 1;
const CORE_INSTANCE_SECTION = 2;
const COMPONENT_SECTION = 4;

function count(bytes: Uint8Array, counts: Record<keyof ComponentCounts, number>, depth: number): void {
  if (depth > COMPONENT_LIMITS.depth)
    throw new BinaryError(`its components are nested deeper than ${COMPONENT_LIMITS.depth}`);
  const instantiated = new Set<number>();
  for (const { id, start, end } of sections(bytes)) {
    const what = COUNTED[id];
    if (what === undefined) continue;
    const isOne = id === MODULE_SECTION || id === COMPONENT_SECTION;
    counts[what] += isOne ? 1 : new Reader(bytes, start, end).u32();
    if (counts[what] > COMPONENT_LIMITS[what])
      throw new BinaryError(`it has more than ${COMPONENT_LIMITS[what]} ${what}`);
    if (id === CORE_INSTANCE_SECTION) checkInstances(new Reader(bytes, start, end), instantiated);
    if (id === COMPONENT_SECTION) {
      const nested = bytes.subarray(start, end);
      if (header(nested) !== COMPONENT) throw new BinaryError('a component within it is of another version');
      count(nested, counts, depth + 1);
    }
  }
}

/**
 * Memories and tables are capped a module: more instances of one would have them as often. By its index here; what goes by an
 * alias is caught when it is instantiated (instance.ts).
 */
function checkInstances(reader: Reader, instantiated: Set<number>): void {
  for (let left = reader.u32(); left > 0; left--) {
    if (reader.byte() === 0) {
      const module = reader.u32();
      if (instantiated.has(module)) throw new BinaryError('it instantiates one of its modules twice');
      instantiated.add(module);
    }
    // Arguments and inline exports look the same: a name, a sort, an index.
    for (let items = reader.count(); items > 0; items--) {
      reader.name();
      reader.byte();
      reader.u32();
    }
  }
}

/** Sort of an `externdesc`. */
const INSTANCE = 5;

function externName(reader: Reader): string {
  const form = reader.byte();
  if (form > 1) throw new BinaryError('a name is of an unknown form');
  return reader.name();
}

/** Skips an `externdesc` and returns its sort. */
function externKind(reader: Reader): number {
  const kind = reader.byte();
  if (kind > INSTANCE) throw new BinaryError('an import or export is of an unknown sort');
  if (kind === 0) reader.byte();
  // Value and type bounds: one byte that says which, then an index (or a value type, which this host has no use for).
  if (kind === 2 || kind === 3) {
    if (reader.byte() === 1) {
      reader.byte();
      return kind;
    }
  }
  reader.u32();
  return kind;
}

export function quote(name: string): string {
  return JSON.stringify(name.slice(0, 120));
}

/** Printable ASCII that cannot end a string literal, template or comment in the glue that names are pasted into. */
export function isSafeName(name: string): boolean {
  return /^[ !#-&(-[\]-_a-~]*$/.test(name) && !name.includes('${') && !name.includes('*/');
}

export interface CoreModule {
  /** Names of imports (module and field) and exports. */
  readonly names: readonly string[];
  /** Memories it defines. */
  readonly memories: number;
  /** Tables it defines. */
  readonly tables: number;
  readonly types: number;
  readonly functions: number;
  /** Bytes that they have to start with. */
  readonly memoryMin: number;
  /** The module, the maximum of its memory and tables lowered to the caps. */
  readonly bytes: Uint8Array;
}

const PAGE = 65536;

/** Of one core module. Interpreters for other languages, compiled whole, have some ten thousand functions. */
export const CORE_LIMITS = { types: 4096, functions: 65_536, tables: 16, elements: 262_144 } as const;

/** A table's elements cost the host memory: as many as it has to start with, and as it may grow to. Returns the capped table. */
function capTable(reader: Reader): Uint8Array {
  // 0x40 0x00: a table with an expression that fills it, which no tool for components makes.
  if (reader.bytes[reader.position] === 0x40)
    throw new BinaryError('a table of it is filled by an expression');
  const from = reader.position;
  skipReferenceType(reader);
  const type = reader.bytes.subarray(from, reader.position);
  const flags = reader.byte();
  if (flags > 1) throw new BinaryError('a table of it is shared or of 64 bits');
  const minimum = reader.u32();
  const maximum = flags === 1 ? reader.u32() : CORE_LIMITS.elements;
  if (minimum > CORE_LIMITS.elements)
    throw new BinaryError(`a table of it has more than ${CORE_LIMITS.elements} elements`);
  return Uint8Array.from([...type, 1, ...leb(minimum), ...leb(Math.min(maximum, CORE_LIMITS.elements))]);
}

/**
 * Checks a core module and caps its memory and tables.
 *
 * @param memoryMax bytes its memory may grow to
 * @param grows whether it may grow at all
 */
export function capCoreModule(bytes: Uint8Array, memoryMax: number, grows = true): CoreModule {
  if (header(bytes) !== CORE) throw new BinaryError('a part of it is not a core module');
  const names: string[] = [];
  const parts: Uint8Array[] = [bytes.subarray(0, 8)];
  let memories = 0;
  const counts = { types: 0, functions: 0, tables: 0 };
  let memoryMin = 0;
  for (const { id, start, end, from } of sections(bytes)) {
    const reader = new Reader(bytes, start, end);
    let section = bytes.subarray(from, end);
    if (id === 2) {
      for (let left = reader.count(); left > 0; left--) {
        names.push(reader.name(), reader.name());
        skipImport(reader);
      }
    } else if (id === 7) {
      for (let left = reader.count(); left > 0; left--) {
        names.push(reader.name());
        reader.byte();
        reader.u32();
      }
    } else if (id === 1) counts.types += reader.u32();
    else if (id === 3) counts.functions += reader.u32();
    else if (id === 4) {
      const count = reader.u32();
      counts.tables += count;
      if (count > CORE_LIMITS.tables) throw new BinaryError(`it has more than ${CORE_LIMITS.tables} tables`);
      const capped: number[] = [...leb(count)];
      for (let left = count; left > 0; left--) capped.push(...capTable(reader));
      section = Uint8Array.from([4, ...leb(capped.length), ...capped]);
    } else if (id === 5) {
      const count = reader.count();
      memories += count;
      const limits: number[] = [...leb(count)];
      for (let left = count; left > 0; left--) {
        const { minimum, maximum } = capLimits(reader, Math.floor(memoryMax / PAGE));
        limits.push(1, ...leb(minimum), ...leb(grows ? maximum : minimum));
        memoryMin += minimum * PAGE;
      }
      section = Uint8Array.from([5, ...leb(limits.length), ...limits]);
    }
    parts.push(section);
  }
  for (const [what, value] of Object.entries(counts)) {
    const max = CORE_LIMITS[what as keyof typeof counts];
    if (value > max) throw new BinaryError(`it has more than ${max} ${what}`);
  }
  return { names, memories, memoryMin, ...counts, bytes: new Uint8Array(Buffer.concat(parts)) };
}

function capLimits(reader: Reader, pagesMax: number): { minimum: number; maximum: number } {
  const flags = reader.byte();
  if (flags > 1) throw new BinaryError('its memory is shared or of 64 bits');
  const minimum = reader.u32();
  const maximum = flags === 1 ? reader.u32() : pagesMax;
  if (minimum > pagesMax)
    throw new BinaryError(
      `it needs ${(minimum * PAGE) / 2 ** 20} MiB of memory to start with and may have ${(pagesMax * PAGE) / 2 ** 20} MiB`,
    );
  return { minimum, maximum: Math.min(maximum, pagesMax) };
}

function skipLimits(reader: Reader): void {
  const flags = reader.byte();
  reader.u32();
  if ((flags & 1) === 1) reader.u32();
}

function skipReferenceType(reader: Reader): void {
  const type = reader.byte();
  // (ref null ht) and (ref ht) carry a heap type.
  if (type === 0x63 || type === 0x64) reader.u32();
}

function skipImport(reader: Reader): void {
  const kind = reader.byte();
  if (kind === 0) reader.u32();
  else if (kind === 1) {
    skipReferenceType(reader);
    skipLimits(reader);
  } else if (kind === 2) skipLimits(reader);
  else if (kind === 3) {
    skipReferenceType(reader);
    reader.byte();
  } else if (kind === 4) {
    reader.byte();
    reader.u32();
  } else throw new BinaryError('an import is of an unknown kind');
}

function leb(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  do {
    const low = left % 128;
    left = Math.floor(left / 128);
    bytes.push(left === 0 ? low : low + 128);
  } while (left !== 0);
  return bytes;
}
