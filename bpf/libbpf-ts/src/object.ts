/** A BPF object file: open it, adjust it, load it, use its maps, programs and variables. */

import { Btf } from './btf.ts';
import { capture } from './capture.ts';
import { type Codec, codecOf } from './codec.ts';
import { type ProgramType, rightsFor } from './constants.ts';
import { EACCES, EPERM, ESRCH } from './errno.ts';
import { BpfError } from './errors.ts';
import { failure } from './failure.ts';
import { Globals, type Variable } from './globals.ts';
import { Handle } from './handle.ts';
import { attachPointer, type Link } from './link.ts';
import { BpfMap, type MapOptions } from './map.ts';
import { copyFrom, detach, viewOf } from './memory.ts';
import { native, type Pointer, SIZE } from './native.ts';
import { Program } from './program.ts';
import { effectiveCapabilities, lockdownMode, lockedHelper, missingCapabilities } from './rights.ts';
import { RingBuffer, type RingBufferOptions } from './ringbuf.ts';
import { parseVerifierLog, programLogs } from './verifier.ts';

export interface OpenOptions {
  /** Prefix of the maps' names in the kernel; by default the file's name. */
  readonly name?: string;
  /** Folder in a BPF file system where maps declared with LIBBPF_PIN_BY_NAME are pinned; /sys/fs/bpf. */
  readonly pinRoot?: string;
  /** BTF to resolve CO-RE relocations against, instead of the running kernel's. */
  readonly btfPath?: string;
  /** Kernel configuration that overrides the running kernel's for extern CONFIG_…, a NAME=value a line. */
  readonly kconfig?: string;
  /**
   * What the verifier logs of programs that load well: nothing (`none`, the quickest), a summary (`stats`), or all
   * instructions with their states (`full`). Programs that fail are always logged.
   */
  readonly log?: 'none' | 'stats' | 'full';
}

/** BPF_LOG_STATS; BPF_LOG_LEVEL2 with it: level 1 keeps nothing of a program that loads. */
const LOG_LEVEL = { none: 0, stats: 4, full: 2 | 4 } as const;

/** libbpf 1.4 is the first that attaches struct_ops of modules, as links. */
const STRUCT_OPS_SINCE = '1.4';

export class BpfObject extends Handle {
  readonly title: string;
  /** The object's own types. */
  readonly btf: Btf | undefined;
  readonly #pointer: Pointer;
  readonly #globals: Globals;
  readonly #mapPointers = new Map<string, Pointer>();
  readonly #programPointers = new Map<string, Pointer>();
  readonly #maps = new Map<string, BpfMap>();
  readonly #programs = new Map<string, Program>();
  readonly #logs = new Map<string, string>();
  #state: 'open' | 'loaded' | 'failed' = 'open';

  private constructor(title: string, pointer: Pointer) {
    super();
    this.title = title;
    this.#pointer = pointer;
    const lib = native();
    for (let map: Pointer = 0; ; ) {
      map = lib.bpf_object__next_map(pointer, map) as Pointer;
      if (Number(map) === 0) break;
      this.#mapPointers.set(lib.bpf_map__name(map) as string, map);
    }
    for (let program: Pointer = 0; ; ) {
      program = lib.bpf_object__next_program(pointer, program) as Pointer;
      if (Number(program) === 0) break;
      this.#programPointers.set(lib.bpf_program__name(program) as string, program);
    }
    this.btf = objectBtf(pointer);
    const internal = [...this.#mapPointers]
      .filter(([, map]) => lib.bpf_map__is_internal(map) as boolean)
      .map(([name, map]) => ({ name, pointer: map }));
    this.#globals = new Globals(this, this.btf, internal);
  }

  /**
   * Opens an object file, or one in memory; nothing goes into the kernel yet.
   * @throws E_LIBBPF_MISSING, E_LIBBPF_OLD, E_NOT_FOUND, E_OBJECT
   */
  static open(file: string | Uint8Array, options: OpenOptions = {}): BpfObject {
    const lib = native();
    const opts = {
      sz: SIZE.open,
      object_name: options.name ?? (typeof file === 'string' ? null : 'object'),
      relaxed_maps: false,
      pin_root_path: options.pinRoot ?? null,
      unused: 0,
      kconfig: options.kconfig ?? null,
      btf_custom_path: options.btfPath ?? null,
      kernel_log_buf: 0,
      kernel_log_size: 0,
      kernel_log_level: LOG_LEVEL[options.log ?? 'none'],
    };
    const title = `object ${typeof file === 'string' ? file : (options.name ?? 'in memory')}`;
    const { result, errno, messages } = capture(
      () =>
        (typeof file === 'string'
          ? lib.bpf_object__open_file(file, opts)
          : lib.bpf_object__open_mem(file, file.byteLength, opts)) as Pointer,
    );
    if (Number(result) === 0) {
      const error = failure(errno, `open ${title}`, { messages, rights: [] });
      // Of a file that is there and may be read, whatever libbpf says is about its contents.
      if (error.code === 'E_NOT_FOUND' && !messages.some((line) => line.includes('failed to open'))) {
        throw asObject(error);
      }
      throw error.code === 'E_NOT_FOUND' || errno === EACCES || errno === EPERM ? error : asObject(error);
    }
    try {
      return new BpfObject(title, result);
    } catch (error) {
      lib.bpf_object__close(result);
      throw error;
    }
  }

  get loaded(): boolean {
    return this.#state === 'loaded';
  }

  get mapNames(): readonly string[] {
    return [...this.#mapPointers.keys()];
  }

  get programNames(): readonly string[] {
    return [...this.#programPointers.keys()];
  }

  /**
   * Makes the maps and loads the programs. After a failure the object can only be closed.
   * @throws E_VERIFIER (with `verifier`), E_RELOCATION, E_NO_TARGET, E_RIGHTS, E_LOCKDOWN, E_REFUSED, E_NOT_SUPPORTED, E_BTF,
   * E_LIBBPF_OLD (struct_ops before libbpf 1.4)
   */
  load(): this {
    this.alive();
    if (this.#state !== 'open') {
      const why = this.#state === 'loaded' ? 'is loaded already' : 'failed to load; open it again';
      throw new BpfError('E_STATE', `${this.title} ${why}`);
    }
    const types = this.#loadedTypes();
    // An older one leaves the struct_ops out and loads its programs as if they belonged to none.
    if (types.includes('struct_ops')) native().need(STRUCT_OPS_SINCE, 'struct_ops');
    const { result, messages, logs } = capture(() => native().bpf_object__load(this.#pointer) as number);
    for (const { program, log } of programLogs(logs)) this.#logs.set(program, log);
    if (result < 0) {
      this.#state = 'failed';
      throw loadError(-result, `load ${this.title}`, types, messages, programLogs(logs).at(-1));
    }
    this.#state = 'loaded';
    this.#globals.loaded();
    return this;
  }

  #loadedTypes(): ProgramType[] {
    return this.programNames
      .map((name) => this.program(name))
      .filter((program) => program.autoload)
      .map((program) => program.type);
  }

  /** What the verifier logged about a program in load(), if it was asked to (`log`) or the program failed. */
  log(program: string): string | undefined {
    return this.#logs.get(program);
  }

  /**
   * A map by its name. Types of keys and values are the caller's word; at run time they follow BTF.
   * @throws E_NOT_FOUND, E_CLOSED
   */
  map<K = unknown, V = unknown>(name: string, options?: MapOptions): BpfMap<K, V> {
    this.alive();
    const known = this.#maps.get(name);
    if (known !== undefined && !known.closed && options === undefined)
      return known as unknown as BpfMap<K, V>;
    const pointer = this.#mapPointers.get(name);
    if (pointer === undefined) throw new BpfError('E_NOT_FOUND', `${this.title} has no map "${name}"`);
    const map = BpfMap.owned({ pointer, owner: this }, name, this.btf, options);
    if (options === undefined) this.#maps.set(name, map);
    return map as unknown as BpfMap<K, V>;
  }

  /** @throws E_NOT_FOUND, E_CLOSED */
  program(name: string): Program {
    this.alive();
    const known = this.#programs.get(name);
    if (known !== undefined && !known.closed) return known;
    const pointer = this.#programPointers.get(name);
    if (pointer === undefined) throw new BpfError('E_NOT_FOUND', `${this.title} has no program "${name}"`);
    const program = Program.owned({ pointer, owner: this });
    this.#programs.set(name, program);
    return program;
  }

  /** A global variable. @throws E_NOT_FOUND, E_CLOSED */
  variable<T = unknown>(name: string): Variable<T> {
    return this.#globals.get(name) as unknown as Variable<T>;
  }

  get variables(): readonly Variable[] {
    return this.#globals.all();
  }

  /** Reads a ring buffer map. @throws E_NOT_FOUND, E_STATE before load(), E_VALUE if it is another kind of map */
  ringBuffer(name: string, options?: RingBufferOptions): RingBuffer {
    return new RingBuffer(this.map(name), options);
  }

  /** How a struct, union, enum or typedef of the object is read and written. @throws E_NOT_FOUND, E_BTF */
  type<T = unknown>(name: string): Codec<T> {
    const { btf } = this;
    const found = (['struct', 'union', 'enum', 'enum64', 'typedef', 'int'] as const)
      .map((kind) => btf?.find(name, kind))
      .find((type) => type !== undefined);
    if (btf === undefined || found === undefined) {
      throw new BpfError('E_NOT_FOUND', `${this.title} has no type "${name}"`);
    }
    return codecOf(btf, found.id) as Codec<T>;
  }

  /**
   * Sets members of a struct_ops (a map of .struct_ops.link) that are no programs, before load().
   * @throws E_LIBBPF_OLD before libbpf 1.4, E_STATE after load(), E_NOT_FOUND, E_VALUE, E_CLOSED
   */
  setStructOps(name: string, members: Readonly<Record<string, unknown>>): void {
    this.alive();
    native().need(STRUCT_OPS_SINCE, 'setting members of a struct_ops');
    const map = this.map(name);
    if (map.type !== 'struct_ops') throw new BpfError('E_VALUE', `${map.title} is no struct_ops`);
    if (this.#state !== 'open')
      throw new BpfError('E_STATE', `${map.title} is loaded: set members before load()`);
    const codec = variableCodec(this.btf!, name);
    const size = new BigUint64Array(1);
    const memory = native().bpf_map__initial_value(this.#mapPointers.get(name)!, size) as Pointer;
    const view = new DataView(viewOf(memory, Number(size[0])));
    try {
      // Members that are programs keep libbpf's pointers to them.
      codec.write(view, 0, { ...codec.read(view, 0), ...members });
    } finally {
      detach(view.buffer);
    }
  }

  /**
   * Registers a struct_ops (a map of .struct_ops.link) with the kernel until the link is closed.
   * @throws E_LIBBPF_OLD before libbpf 1.4, E_NOT_FOUND, E_NOT_SUPPORTED, E_RIGHTS
   */
  attachStructOps(name: string): Link {
    const pointer = this.#structOps(name);
    return attachPointer(`struct_ops "${name}"`, ['CAP_BPF', 'CAP_NET_ADMIN'], () =>
      native().bpf_map__attach_struct_ops(pointer),
    );
  }

  /** Puts a struct_ops in the place of the one that `link` attached, without a gap. @throws E_VALUE, E_STATE, E_NOT_SUPPORTED, E_KERNEL */
  updateStructOps(name: string, link: Link): void {
    link.updateMap(this.#structOps(name));
  }

  #structOps(name: string): Pointer {
    this.alive();
    native().need(STRUCT_OPS_SINCE, 'a struct_ops link');
    const map = this.map(name);
    if (map.type !== 'struct_ops') throw new BpfError('E_VALUE', `${map.title} is no struct_ops`);
    if (!this.loaded) throw new BpfError('E_STATE', `${map.title} is not loaded; load the object first`);
    return this.#mapPointers.get(name)!;
  }

  /** Unloads what nothing else holds. Its maps, programs and variables are closed with it; links are not. */
  protected release(): void {
    this.#globals.close();
    native().bpf_object__close(this.#pointer);
  }
}

/** A copy: libbpf may move its own while it loads. */
function objectBtf(pointer: Pointer): Btf | undefined {
  const lib = native();
  const btf = lib.bpf_object__btf(pointer) as Pointer;
  if (Number(btf) === 0) return undefined;
  const size = new Uint32Array(1);
  const data = lib.btf__raw_data(btf, size) as Pointer;
  return Number(data) === 0 ? undefined : new Btf(copyFrom(data, size[0]!));
}

function variableCodec(btf: Btf, name: string): Codec<object> {
  for (let id = 1; id <= btf.lastId; id++) {
    const type = btf.type(id);
    if (type.kind === 'variable' && type.name === name) return codecOf(btf, type.target) as Codec<object>;
  }
  throw new BpfError('E_BTF', `BTF has no variable "${name}"`);
}

function asObject(error: BpfError): BpfError {
  return new BpfError('E_OBJECT', error.message, {
    errno: error.errno,
    operation: error.operation,
    messages: error.messages,
    remedy: 'Compile it with clang -target bpf -g.',
  });
}

function loadError(
  errno: number,
  operation: string,
  types: readonly ProgramType[],
  messages: readonly string[],
  last: { program: string; log: string } | undefined,
): BpfError {
  const rights = rightsFor(types);
  const said = (pattern: RegExp) => messages.some((line) => pattern.test(line));
  const verifier = last === undefined ? undefined : parseVerifierLog(last.program, last.log);
  const refused = errno === EPERM || errno === EACCES;
  const lacking = refused && missingCapabilities(effectiveCapabilities(), rights).length > 0;
  if (verifier !== undefined && verifier.reason !== '' && !lacking) {
    if (verifier.kind === 'relocation') return typed('E_RELOCATION', relocation(messages) ?? verifier.reason);
    const mode = lockdownMode();
    if (verifier.kind === 'helper' && lockedHelper(verifier.reason, mode)) {
      return typed(
        'E_LOCKDOWN',
        `kernel lockdown (${mode}) forbids what program "${verifier.program}" calls: ${verifier.reason}`,
      );
    }
    const at = verifier.source === undefined ? '' : ` at \`${verifier.source}\``;
    return typed('E_VERIFIER', `the verifier rejects program "${verifier.program}": ${verifier.reason}${at}`);
  }
  if (errno === ESRCH || said(/failed to find kernel BTF type ID|no such attach target/i)) {
    return typed('E_NO_TARGET', messages.find((line) => /failed to find/.test(line)) ?? 'no such target');
  }
  if (said(/kernel BTF is missing|failed to find valid kernel BTF|Error loading vmlinux BTF/i)) {
    return typed('E_BTF', 'the kernel has no BTF');
  }
  const unresolved = relocation(messages);
  if (unresolved !== undefined && !refused) return typed('E_RELOCATION', unresolved);
  return failure(errno, operation, { rights, messages, verifier });

  function typed(
    code: 'E_VERIFIER' | 'E_LOCKDOWN' | 'E_RELOCATION' | 'E_NO_TARGET' | 'E_BTF',
    why: string,
  ): BpfError {
    const { errno: name } = failure(errno, operation, { rights });
    return new BpfError(code, `${operation}: ${why}`, { errno: name, operation, messages, verifier });
  }
}

function relocation(messages: readonly string[]): string | undefined {
  return messages.find((line) => /relo #|CO-RE|extern .*(?:not found|resolve|failed)/i.test(line));
}
