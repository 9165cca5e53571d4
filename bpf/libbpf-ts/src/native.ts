/** The system's libbpf.so.1 and the few libc functions around it, bound once per JavaScript thread. */

import koffi, { type LibraryHandle } from 'koffi';
import { BpfError } from './errors.ts';

/** An address; 0 is NULL. A number as long as it is exact, which user-space addresses without a tag are. */
export type Pointer = number | bigint;

/** Where the library is looked for; overrides the name given to the dynamic linker. */
const PATH_VARIABLE = 'LIBBPF_TS_LIBRARY';
const SONAME = 'libbpf.so.1';
const OLD_SONAME = 'libbpf.so.0';

const size = 'size_t';
const OPEN_OPTS = koffi.struct({
  sz: size,
  object_name: 'const char *',
  relaxed_maps: 'bool',
  pin_root_path: 'const char *',
  unused: 'uint32_t',
  kconfig: 'const char *',
  btf_custom_path: 'const char *',
  kernel_log_buf: 'uintptr_t',
  kernel_log_size: size,
  kernel_log_level: 'uint32_t',
});
const KPROBE_OPTS = koffi.struct({ sz: size, bpf_cookie: 'uint64_t', offset: size, retprobe: 'bool' });
const KPROBE_MULTI_OPTS = koffi.struct({
  sz: size,
  syms: 'const char **',
  addrs: 'uintptr_t',
  cookies: 'uintptr_t',
  cnt: size,
  retprobe: 'bool',
});
const COOKIE_OPTS = koffi.struct({ sz: size, cookie: 'uint64_t' });
/** sizeof() of the option structs above, for their `sz`. */
export const SIZE = {
  open: koffi.sizeof(OPEN_OPTS),
  kprobe: koffi.sizeof(KPROBE_OPTS),
  kprobeMulti: koffi.sizeof(KPROBE_MULTI_OPTS),
  cookie: koffi.sizeof(COOKIE_OPTS),
} as const;

const PTR = 'uintptr_t';
const BUF = 'const void *';
const STR = 'const char *';
const INT = 'int';
const U32 = 'uint32_t';
const U64 = 'uint64_t';
const opts = (type: ReturnType<typeof koffi.struct>) => koffi.pointer(type);

type Signature = readonly [result: string, ...parameters: (string | ReturnType<typeof koffi.struct>)[]];

/** Functions that every libbpf 1.x has. Pointers to opaque structs travel as addresses. */
const REQUIRED = {
  bpf_object__open_file: [PTR, STR, opts(OPEN_OPTS)],
  bpf_object__open_mem: [PTR, BUF, size, opts(OPEN_OPTS)],
  bpf_object__load: [INT, PTR],
  bpf_object__close: ['void', PTR],
  bpf_object__btf: [PTR, PTR],
  bpf_object__next_map: [PTR, PTR, PTR],
  bpf_object__next_program: [PTR, PTR, PTR],
  btf__raw_data: [PTR, PTR, BUF],
  btf__load_from_kernel_by_id: [PTR, U32],
  btf__free: ['void', PTR],

  bpf_map__fd: [INT, PTR],
  bpf_map__name: [STR, PTR],
  bpf_map__type: [INT, PTR],
  bpf_map__key_size: [U32, PTR],
  bpf_map__value_size: [U32, PTR],
  bpf_map__max_entries: [U32, PTR],
  bpf_map__set_max_entries: [INT, PTR, U32],
  bpf_map__btf_key_type_id: [U32, PTR],
  bpf_map__btf_value_type_id: [U32, PTR],
  bpf_map__is_internal: ['bool', PTR],
  bpf_map__initial_value: [PTR, PTR, BUF],
  bpf_map__set_pin_path: [INT, PTR, STR],
  bpf_map__reuse_fd: [INT, PTR, INT],
  bpf_map__set_inner_map_fd: [INT, PTR, INT],
  bpf_map__set_autocreate: [INT, PTR, 'bool'],
  bpf_map__attach_struct_ops: [PTR, PTR],

  bpf_program__fd: [INT, PTR],
  bpf_program__name: [STR, PTR],
  bpf_program__section_name: [STR, PTR],
  bpf_program__type: [INT, PTR],
  bpf_program__autoload: ['bool', PTR],
  bpf_program__set_autoload: [INT, PTR, 'bool'],
  bpf_program__set_attach_target: [INT, PTR, INT, STR],
  bpf_program__attach: [PTR, PTR],
  bpf_program__attach_kprobe_opts: [PTR, PTR, STR, opts(KPROBE_OPTS)],
  bpf_program__attach_kprobe_multi_opts: [PTR, PTR, STR, opts(KPROBE_MULTI_OPTS)],
  bpf_program__attach_tracepoint_opts: [PTR, PTR, STR, STR, opts(COOKIE_OPTS)],
  bpf_program__attach_raw_tracepoint: [PTR, PTR, STR],
  bpf_program__attach_trace_opts: [PTR, PTR, opts(COOKIE_OPTS)],

  bpf_link__fd: [INT, PTR],
  bpf_link__destroy: [INT, PTR],
  bpf_link_create: [INT, INT, INT, INT, BUF],
  bpf_link_update: [INT, INT, INT, BUF],

  bpf_map_create: [INT, INT, STR, U32, U32, U32, BUF],
  bpf_map_update_elem: [INT, INT, BUF, BUF, U64],
  bpf_map_lookup_elem: [INT, INT, BUF, BUF],
  bpf_map_lookup_and_delete_elem: [INT, INT, BUF, BUF],
  bpf_map_delete_elem: [INT, INT, BUF],
  bpf_map_get_next_key: [INT, INT, BUF, BUF],
  bpf_map_update_batch: [INT, INT, BUF, BUF, BUF, BUF],
  bpf_map_lookup_batch: [INT, INT, BUF, BUF, BUF, BUF, BUF, BUF],
  bpf_map_lookup_and_delete_batch: [INT, INT, BUF, BUF, BUF, BUF, BUF, BUF],
  bpf_map_delete_batch: [INT, INT, BUF, BUF, BUF],
  bpf_map_get_fd_by_id: [INT, U32],
  bpf_prog_get_fd_by_id: [INT, U32],
  bpf_obj_get: [INT, STR],
  bpf_obj_pin: [INT, INT, STR],
  bpf_obj_get_info_by_fd: [INT, INT, BUF, BUF],
  bpf_prog_load: [INT, INT, STR, STR, BUF, size, BUF],
  bpf_prog_test_run_opts: [INT, INT, BUF],
  bpf_raw_tracepoint_open: [INT, STR, INT],
  bpf_tc_hook_create: [INT, BUF],
  bpf_tc_hook_destroy: [INT, BUF],
  bpf_tc_attach: [INT, BUF, BUF],
  bpf_tc_detach: [INT, BUF, BUF],

  libbpf_probe_bpf_prog_type: [INT, INT, PTR],
  libbpf_probe_bpf_map_type: [INT, INT, PTR],
  libbpf_num_possible_cpus: [INT],
} as const satisfies Record<string, Signature>;

/** What not every libbpf that will do has; the version that brought it. */
const NEWER = {
  bpf_link__update_map: ['1.2', [INT, PTR, PTR]],
} as const satisfies Record<string, readonly [since: string, signature: Signature]>;

const LIBC = {
  mmap: [PTR, PTR, size, INT, INT, INT, 'int64_t'],
  munmap: [INT, PTR, size],
  close: [INT, INT],
  if_indextoname: [PTR, 'unsigned int', BUF],
  fcntl: [INT, INT, INT, INT],
  sysconf: ['long', INT],
  free: ['void', PTR],
  vasprintf: [INT, BUF, BUF, BUF],
  eventfd: [INT, 'unsigned int', INT],
  epoll_create1: [INT, INT],
  epoll_ctl: [INT, INT, INT, INT, BUF],
  epoll_wait: [INT, INT, BUF, INT, INT],
  write: ['intptr_t', INT, BUF, size],
} as const satisfies Record<string, Signature>;

type Functions<Table> = { readonly [name in keyof Table]: ReturnType<LibraryHandle['func']> };
export type Libbpf = Functions<typeof REQUIRED> & {
  readonly major: number;
  readonly minor: number;
  /** @throws E_LIBBPF_OLD, unless the library is as new as `since`, e.g. `1.4`. */
  need(since: string, what: string): void;
  /** A function of a newer libbpf, for `what`. @throws E_LIBBPF_OLD */
  newer(name: keyof typeof NEWER, what: string): ReturnType<LibraryHandle['func']>;
};

function bind<Table extends Record<string, Signature>>(
  library: LibraryHandle,
  table: Table,
): Functions<Table> {
  const bound: Record<string, unknown> = {};
  for (const [name, [result, ...parameters]] of Object.entries(table)) {
    bound[name] = library.func(name, result, parameters);
  }
  return bound as Functions<Table>;
}

function loads(path: string): boolean {
  try {
    koffi.load(path).unload();
    return true;
  } catch {
    return false;
  }
}

function open(): Libbpf {
  const path = process.env[PATH_VARIABLE] || SONAME;
  let library: LibraryHandle;
  try {
    library = koffi.load(path);
  } catch (cause) {
    if (path === SONAME && loads(OLD_SONAME)) throw tooOld('0.x', '1.0', 'libbpf-ts', cause);
    throw new BpfError('E_LIBBPF_MISSING', `${path} cannot be loaded: ${(cause as Error).message}`, {
      remedy: 'Install libbpf 1.0 or later (Debian, Ubuntu: libbpf1; Fedora: libbpf).',
      cause,
    });
  }
  let major = 0;
  let minor = 0;
  let functions: Functions<typeof REQUIRED>;
  try {
    major = library.func('uint32_t libbpf_major_version()')() as number;
    minor = library.func('uint32_t libbpf_minor_version()')() as number;
    if (major < 1) throw new Error(`its version is ${major}.${minor}`);
    functions = bind(library, REQUIRED);
    // NULL: libbpf prints nothing on its own; capture() listens where it matters.
    library.func('void *libbpf_set_print(void *print)')(null);
  } catch (cause) {
    throw tooOld(major > 0 || minor > 0 ? `${major}.${minor}` : 'older than 0.6', '1.0', 'libbpf-ts', cause);
  }
  const version = `${major}.${minor}`;
  const need = (since: string, what: string) => {
    const [wantMajor = 0, wantMinor = 0] = since.split('.').map(Number);
    if (major < wantMajor || (major === wantMajor && minor < wantMinor)) {
      throw tooOld(version, since, what, undefined);
    }
  };
  return {
    ...functions,
    major,
    minor,
    need,
    newer(name, what) {
      const [since, [result, ...parameters]] = NEWER[name];
      need(since, what);
      return library.func(name, result, parameters);
    },
  };
}

function tooOld(have: string, since: string, what: string, cause: unknown): BpfError {
  return new BpfError('E_LIBBPF_OLD', `${what} needs libbpf ${since} or later; installed is ${have}`, {
    remedy: `Install libbpf ${since} or later.`,
    ...(cause === undefined ? {} : { cause }),
  });
}

let libbpf: Libbpf | undefined;

/**
 * The bound library; loads it at the first call.
 * @throws E_LIBBPF_MISSING, E_LIBBPF_OLD
 */
export function native(): Libbpf {
  libbpf ??= open();
  return libbpf;
}

/** Version of the installed libbpf. @throws as native() */
export function libbpfVersion(): { major: number; minor: number } {
  const { major, minor } = native();
  return { major, minor };
}

export const libc = bind(koffi.load(null), LIBC);

/** errno of the call that just failed; nothing else may be called in between. */
export function lastErrno(): number {
  return koffi.errno();
}
