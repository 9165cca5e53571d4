/** Programs: what they are, where they attach, and running them once. */

import { ATTACH, PROGRAM_TYPES, type ProgramType, rightsFor } from './constants.ts';
import { ENOTSUPP, EOPNOTSUPP, errnoName } from './errno.ts';
import { BpfError } from './errors.ts';
import { checked, failure } from './failure.ts';
import { Handle } from './handle.ts';
import { type ProgramInfo, programInfo } from './info.ts';
import { attachFd, attachPointer, type Link, TcFilter, type TcOptions, type TcPoint } from './link.ts';
import { addressOf, closeFd, duplicate } from './memory.ts';
import { libc, native, type Pointer, SIZE } from './native.ts';
import { openPin, pinFd, unpin } from './pin.ts';

export interface OwnedProgram {
  readonly pointer: Pointer;
  readonly owner: { readonly closed: boolean; readonly loaded: boolean; readonly title: string };
}

export interface KprobeOptions {
  /** At the function's return instead of its entry. */
  readonly onReturn?: boolean;
  /** Bytes into the function. */
  readonly offset?: number;
  /** What bpf_get_attach_cookie() gives the program (Linux 5.15). */
  readonly cookie?: bigint;
}

/** Generic is the slow path that works on every device; native the driver's; offload the NIC's. */
export type XdpMode = 'auto' | 'generic' | 'native' | 'offload';
/** XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE, XDP_FLAGS_HW_MODE */
const XDP_FLAGS: Readonly<Record<XdpMode, number>> = { auto: 0, generic: 2, native: 4, offload: 8 };

export interface RunOptions {
  /** The program's context, e.g. the argument of a syscall program; not changed: the result has a copy. */
  readonly context?: Uint8Array;
  /** A packet, for programs that work on packets: at least an Ethernet header. */
  readonly data?: Uint8Array;
  /** How often; not for syscall and raw_tracepoint programs. */
  readonly repeat?: number;
  /** The CPU to run on, for raw_tracepoint programs. */
  readonly cpu?: number;
  /**
   * XDP: `repeat` real frames, so many at a time (1-256), that go where the program sends them (BPF_F_TEST_XDP_LIVE_FRAMES, Linux
   * 5.18). The result has no packet.
   */
  readonly liveFrames?: number;
}

export interface RunResult {
  readonly returnValue: number;
  /** Average of one run; 0 where the kernel does not measure. */
  readonly duration_ns: number;
  /** The context after the run (syscall programs write to it). */
  readonly context: Uint8Array<ArrayBuffer>;
  /** The packet after the run. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** sizeof(struct bpf_test_run_opts) */
const OPTS_SIZE = 80;
const align = (bytes: number) => (bytes + 7) & ~7;
/** BPF_F_TEST_RUN_ON_CPU */
const RUN_ON_CPU = 1;
/** BPF_F_TEST_XDP_LIVE_FRAMES */
const LIVE_FRAMES = 2;
/** Packets may grow in a run, by XDP's or an skb's head room. */
const DATA_ROOM = 512;

export class Program extends Handle {
  readonly name: string;
  /** The SEC() it stands in; empty for one opened from a pin. */
  readonly section: string;
  readonly #owned: OwnedProgram | undefined;
  #fd: number;
  #isBorrowed = false;

  private constructor(name: string, section: string, fd: number, owned?: OwnedProgram) {
    super();
    this.name = name;
    this.section = section;
    this.#fd = fd;
    this.#owned = owned;
  }

  /** A program of an opened object; objects call this. */
  static owned(owned: OwnedProgram): Program {
    const lib = native();
    return new Program(
      lib.bpf_program__name(owned.pointer) as string,
      lib.bpf_program__section_name(owned.pointer) as string,
      -1,
      owned,
    );
  }

  /** A pinned program. It can run, pin, go into maps, and attach to XDP and tc. @throws E_NOT_FOUND, E_PIN, E_RIGHTS */
  static fromPin(path: string): Program {
    return Program.#fromFd(openPin(path, 'program'), path);
  }

  /** A program of this process by a descriptor, as of another thread; it gets one of its own. @throws E_KERNEL */
  static fromFd(fd: number): Program {
    return Program.#fromFd(duplicate(fd), `program of descriptor ${fd}`);
  }

  /** As BpfMap.borrow(). @throws E_KERNEL */
  static borrow(fd: number): Program {
    const program = new Program(programInfo(fd, `program of descriptor ${fd}`).name, '', fd);
    program.#isBorrowed = true;
    return program;
  }

  /** @throws E_NOT_FOUND, E_RIGHTS (needs CAP_SYS_ADMIN) */
  static fromId(id: number): Program {
    const fd = checked(native().bpf_prog_get_fd_by_id(id) as number, `open program ${id}`, {
      rights: ['CAP_SYS_ADMIN'],
    });
    return Program.#fromFd(fd, `program ${id}`);
  }

  static #fromFd(fd: number, title: string): Program {
    try {
      return new Program(programInfo(fd, title).name, '', fd);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  override get title(): string {
    return `program "${this.name}"`;
  }

  override get closed(): boolean {
    return super.closed || this.#owned?.owner.closed === true;
  }

  protected release(): void {
    if (this.#owned === undefined && !this.#isBorrowed) closeFd(this.#fd);
    this.#fd = -1;
  }

  /** @throws E_CLOSED, E_STATE before it is loaded, or if it was not to be */
  get fd(): number {
    this.alive();
    if (this.#fd < 0) {
      const owned = this.#owned!;
      if (owned.owner.loaded) this.#fd = native().bpf_program__fd(owned.pointer) as number;
      if (this.#fd < 0) throw new BpfError('E_STATE', `${this.title} is not loaded`);
    }
    return this.#fd;
  }

  get type(): ProgramType {
    this.alive();
    if (this.#owned === undefined) return this.info().type;
    return PROGRAM_TYPES[native().bpf_program__type(this.#owned.pointer) as number] ?? 'unspec';
  }

  info(): ProgramInfo {
    return programInfo(this.fd, this.title);
  }

  // Before loading

  #unloaded(what: string): Pointer {
    this.alive();
    if (this.#owned === undefined || this.#owned.owner.loaded) {
      throw new BpfError('E_STATE', `${this.title}: ${what} is possible only before its object is loaded`);
    }
    return this.#owned.pointer;
  }

  /** Whether load() loads it. */
  get autoload(): boolean {
    this.alive();
    return this.#owned === undefined || (native().bpf_program__autoload(this.#owned.pointer) as boolean);
  }

  /** @throws E_STATE once loaded */
  setAutoload(load: boolean): void {
    const pointer = this.#unloaded('setAutoload');
    checked(native().bpf_program__set_autoload(pointer, load) as number, `configure ${this.title}`);
  }

  /** The function an fentry, fexit or tp_btf program attaches to, instead of the one in its SEC(). @throws E_STATE once loaded */
  setAttachTarget(name: string): void {
    const pointer = this.#unloaded('setAttachTarget');
    const result = native().bpf_program__set_attach_target(pointer, 0, name) as number;
    checked(result, `set target of ${this.title}`);
  }

  // Attaching

  #pointer(): Pointer {
    this.alive();
    if (this.#owned === undefined) {
      throw new BpfError(
        'E_STATE',
        `${this.title} is not part of an object, so libbpf cannot attach it that way`,
      );
    }
    this.fd;
    return this.#owned.pointer;
  }

  /** Attaches where its SEC() says. @throws E_NO_TARGET, E_NOT_SUPPORTED, E_RIGHTS, E_LOCKDOWN, E_REFUSED */
  attach(): Link {
    const pointer = this.#pointer();
    return attachPointer(`${this.title} (${this.section})`, rightsFor([this.type]), () =>
      native().bpf_program__attach(pointer),
    );
  }

  /** Attaches an fentry, fexit, tp_btf or LSM program (Linux 5.5; a cookie since 6.0). */
  attachTrace(options: { readonly cookie?: bigint } = {}): Link {
    const pointer = this.#pointer();
    const opts = options.cookie === undefined ? null : { sz: SIZE.cookie, cookie: options.cookie };
    return attachPointer(this.title, ['CAP_BPF', 'CAP_PERFMON'], () =>
      native().bpf_program__attach_trace_opts(pointer, opts),
    );
  }

  /** @param symbol a kernel function, as in /proc/kallsyms */
  attachKprobe(symbol: string, options: KprobeOptions = {}): Link {
    const pointer = this.#pointer();
    const { onReturn = false, offset = 0, cookie = 0n } = options;
    const opts = { sz: SIZE.kprobe, bpf_cookie: cookie, offset, retprobe: onReturn };
    const kind = onReturn ? 'kretprobe' : 'kprobe';
    return attachPointer(`${this.title} to ${kind} ${symbol}`, ['CAP_BPF', 'CAP_PERFMON'], () =>
      native().bpf_program__attach_kprobe_opts(pointer, symbol, opts),
    );
  }

  /**
   * One link for many functions (Linux 5.18); the program's SEC() must be kprobe.multi.
   * @param symbols names, or one pattern with * and ?
   */
  attachKprobeMulti(
    symbols: string | readonly string[],
    options: { readonly onReturn?: boolean } = {},
  ): Link {
    const pointer = this.#pointer();
    const pattern = typeof symbols === 'string' ? symbols : null;
    const list = typeof symbols === 'string' ? null : [...symbols];
    const opts = {
      sz: SIZE.kprobeMulti,
      syms: list,
      addrs: 0,
      cookies: 0,
      cnt: list?.length ?? 0,
      retprobe: options.onReturn ?? false,
    };
    const title = `${this.title} to ${pattern ?? `${opts.cnt} functions`}`;
    return attachPointer(title, ['CAP_BPF', 'CAP_PERFMON'], () =>
      native().bpf_program__attach_kprobe_multi_opts(pointer, pattern, opts),
    );
  }

  /** Needs tracefs mounted at /sys/kernel/tracing or below debugfs. */
  attachTracepoint(category: string, name: string, options: { readonly cookie?: bigint } = {}): Link {
    const pointer = this.#pointer();
    const opts = options.cookie === undefined ? null : { sz: SIZE.cookie, cookie: options.cookie };
    return attachPointer(`${this.title} to tracepoint ${category}:${name}`, ['CAP_BPF', 'CAP_PERFMON'], () =>
      native().bpf_program__attach_tracepoint_opts(pointer, category, name, opts),
    );
  }

  attachRawTracepoint(name: string): Link {
    const pointer = this.#pointer();
    return attachPointer(`${this.title} to raw tracepoint ${name}`, ['CAP_BPF', 'CAP_PERFMON'], () =>
      native().bpf_program__attach_raw_tracepoint(pointer, name),
    );
  }

  /**
   * Attaches to a device of this thread's network namespace. Without a mode the kernel takes the driver's path where there is
   * one. @throws E_NO_TARGET (no such device), E_EXISTS (another program), E_NOT_SUPPORTED (mode)
   */
  attachXdp(ifindex: number, mode: XdpMode = 'auto'): Link {
    const fd = this.fd;
    // struct bpf_link_create_opts: sz, flags; the device takes the place of the target descriptor.
    const opts = new DataView(new ArrayBuffer(64));
    opts.setBigUint64(0, 64n, true);
    opts.setUint32(8, XDP_FLAGS[mode], true);
    const title = `${this.title} to XDP of device ${ifindex}`;
    needDevice(ifindex, title);
    return attachFd(title, ['CAP_BPF', 'CAP_NET_ADMIN'], () =>
      native().bpf_link_create(fd, ifindex, ATTACH.xdp, opts),
    );
  }

  /**
   * Attaches by tcx (Linux 6.6), after the programs that are there; it goes on to the next by returning -1 (TCX_NEXT). Works with
   * programs of SEC("tc") and SEC("tcx/…"). @throws E_NO_TARGET (no such device), E_NOT_SUPPORTED
   */
  attachTcx(ifindex: number, point: TcPoint): Link {
    const fd = this.fd;
    const title = `${this.title} to tcx ${point} of device ${ifindex}`;
    needDevice(ifindex, title);
    // Not bpf_program__attach_tcx(): libbpf has that since 1.3 only, and it does the same.
    const type = point === 'ingress' ? ATTACH.tcx_ingress : ATTACH.tcx_egress;
    return attachFd(title, ['CAP_BPF', 'CAP_NET_ADMIN'], () =>
      native().bpf_link_create(fd, ifindex, type, null),
    );
  }

  /** Attaches as a direct-action filter of the clsact qdisc, which is made if it is not there. */
  attachTc(ifindex: number, point: TcPoint, options: TcOptions = {}): TcFilter {
    const title = `${this.title} to tc ${point} of device ${ifindex}`;
    needDevice(ifindex, title);
    return TcFilter.attach(title, this.fd, ifindex, point, options);
  }

  /**
   * Runs it once (BPF_PROG_TEST_RUN): a syscall program with its argument, a network program on a packet, a raw tracepoint
   * program with its arguments. @throws E_NOT_SUPPORTED for types that cannot be run, E_VALUE
   */
  run(options: RunOptions = {}): RunResult {
    const { repeat = 0, cpu } = options;
    const type = this.type;
    const contextLength = options.context?.length ?? 0;
    const dataLength = options.data?.length ?? 0;
    // Syscall programs write into their context in place; raw tracepoint programs cannot write to theirs.
    const inPlace = type === 'syscall' || type === 'raw_tracepoint';
    const contextRoom = inPlace ? 0 : contextLength;
    const live = options.liveFrames;
    const dataRoom = options.data === undefined || live !== undefined ? 0 : dataLength + DATA_ROOM;
    // Options and buffers are one allocation: it is handed to the call, so it lives until the kernel is done with it.
    const at = { opts: 0, context: OPTS_SIZE, contextOut: 0, data: 0, dataOut: 0 };
    at.contextOut = align(at.context + contextLength);
    at.data = align(at.contextOut + contextRoom);
    at.dataOut = align(at.data + dataLength);
    const memory = new Uint8Array(new ArrayBuffer(at.dataOut + dataRoom));
    memory.set(options.context ?? [], at.context);
    memory.set(options.data ?? [], at.data);
    const address = BigInt(addressOf(memory.buffer));
    const opts = new DataView(memory.buffer);
    const buffer = (pointer: number, length: number, offset: number, bytes: number) => {
      opts.setBigUint64(pointer, bytes === 0 ? 0n : address + BigInt(offset), true);
      opts.setUint32(length, bytes, true);
    };
    // struct bpf_test_run_opts
    opts.setBigUint64(0, BigInt(OPTS_SIZE), true);
    buffer(8, 24, at.data, dataLength);
    buffer(16, 28, at.dataOut, dataRoom);
    buffer(32, 48, at.context, contextLength);
    buffer(40, 52, at.contextOut, contextRoom);
    opts.setInt32(60, repeat, true);
    if (cpu !== undefined) {
      opts.setUint32(68, RUN_ON_CPU, true);
      opts.setUint32(72, cpu, true);
    }
    if (live !== undefined) {
      opts.setUint32(68, LIVE_FRAMES, true);
      opts.setUint32(76, live, true);
    }
    const result = native().bpf_prog_test_run_opts(this.fd, opts) as number;
    if (result < 0) {
      const errno = -result;
      if (errno === ENOTSUPP || errno === EOPNOTSUPP) {
        throw new BpfError(
          'E_NOT_SUPPORTED',
          `${this.title}: programs of type ${type} cannot be run like this`,
          {
            errno: errnoName(errno),
            operation: 'run',
          },
        );
      }
      throw failure(errno, `run ${this.title}`, { rights: rightsFor([type]) });
    }
    return {
      returnValue: opts.getInt32(56, true),
      duration_ns: opts.getUint32(64, true),
      context: inPlace
        ? memory.slice(at.context, at.context + contextLength)
        : memory.slice(at.contextOut, at.contextOut + opts.getUint32(52, true)),
      data: memory.slice(at.dataOut, at.dataOut + opts.getUint32(28, true)),
    };
  }

  /** @throws E_PIN, E_EXISTS, E_NOT_FOUND (no such folder) */
  pin(path: string): void {
    pinFd(this.fd, path, this.title);
  }

  /** Removes a pin. @throws E_NOT_FOUND */
  static unpin(path: string): void {
    unpin(path);
  }
}

/** The kernel says EINVAL for a device that is not there as for flags it does not know: this tells them apart. */
function needDevice(ifindex: number, title: string): void {
  const name = new Uint8Array(16); // IF_NAMESIZE
  if (Number(libc.if_indextoname(ifindex, name)) === 0) {
    throw new BpfError('E_NO_TARGET', `attach ${title}: there is no such device in this network namespace`);
  }
}
