/** Links: what keeps a program attached, until it is closed, unless it is pinned. */

import { capture } from './capture.ts';
import { EBUSY, EEXIST, EINVAL, ENOENT, ESRCH } from './errno.ts';
import { BpfError, type ErrorCode } from './errors.ts';
import { checked, failure } from './failure.ts';
import { Handle } from './handle.ts';
import { type LinkInfo, linkInfo } from './info.ts';
import { closeFd } from './memory.ts';
import { native, type Pointer } from './native.ts';
import { openPin, pinFd, unpin } from './pin.ts';
import type { Capability } from './rights.ts';

export class Link extends Handle {
  readonly title: string;
  /** NULL for a link that libbpf does not know, which is only a descriptor. */
  readonly #pointer: Pointer;
  readonly #fd: number;

  /** Programs and maps make links; pointer or fd is owned from here on. */
  constructor(title: string, pointer: Pointer, fd: number) {
    super();
    this.title = title;
    this.#pointer = pointer;
    this.#fd = fd;
  }

  /** @throws E_NOT_FOUND, E_PIN, E_RIGHTS */
  static fromPin(path: string): Link {
    return new Link(`link ${path}`, 0, openPin(path, 'link'));
  }

  /** Of a descriptor that this process has; close() closes it. */
  static fromFd(fd: number): Link {
    return new Link(`link of descriptor ${fd}`, 0, fd);
  }

  /** Removes a pin: the program is detached when no one else holds the link. @throws E_NOT_FOUND */
  static unpin(path: string): void {
    unpin(path);
  }

  /** @throws E_CLOSED; E_NOT_SUPPORTED where the kernel attaches without a link (kprobes, tracepoints before 5.15) */
  get fd(): number {
    this.alive();
    if (this.#fd < 0) throw new BpfError('E_NOT_SUPPORTED', `${this.title} has no descriptor`);
    return this.#fd;
  }

  info(): LinkInfo {
    return linkInfo(this.fd, this.title);
  }

  /** Stays attached after close() and after the process ended. @throws E_PIN, E_EXISTS */
  pin(path: string): void {
    pinFd(this.fd, path, this.title);
  }

  /** Replaces the program without a gap (XDP, tcx). @throws E_NOT_SUPPORTED, E_KERNEL */
  update(program: { readonly fd: number }): void {
    checked(native().bpf_link_update(this.fd, program.fd, null) as number, `update ${this.title}`);
  }

  /** Replaces a struct_ops without a gap: `BpfObject.updateStructOps`. @throws E_NOT_SUPPORTED, E_KERNEL */
  updateMap(map: Pointer): void {
    this.alive();
    if (Number(this.#pointer) === 0)
      throw new BpfError('E_NOT_SUPPORTED', `${this.title} was not attached by this process`);
    checked(
      native().newer('bpf_link__update_map', `update of ${this.title}`)(this.#pointer, map) as number,
      `update ${this.title}`,
    );
  }

  /** Detaches the program, unless the link is pinned. */
  protected release(): void {
    // bpf_link__destroy() detaches first, then frees; a pinned link lives on in its pin.
    if (Number(this.#pointer) !== 0) native().bpf_link__destroy(this.#pointer);
    else closeFd(this.#fd);
  }
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  [ENOENT]: 'E_NO_TARGET',
  [ESRCH]: 'E_NO_TARGET',
  [EINVAL]: 'E_NOT_SUPPORTED',
  [EBUSY]: 'E_EXISTS',
  [EEXIST]: 'E_EXISTS',
};

/** Runs an attach function of libbpf, which returns a link or NULL. */
export function attachPointer(title: string, rights: readonly Capability[], attach: () => Pointer): Link {
  const { result, errno, messages } = capture(attach);
  if (Number(result) === 0) throw failure(errno, `attach ${title}`, { rights, codes: CODES, messages });
  return new Link(title, result, native().bpf_link__fd(result) as number);
}

/** Runs an attach function that returns a descriptor or -errno. */
export function attachFd(title: string, rights: readonly Capability[], attach: () => number): Link {
  const { result, messages } = capture(attach);
  if (result < 0) throw failure(-result, `attach ${title}`, { rights, codes: CODES, messages });
  return new Link(title, 0, result);
}

export type TcPoint = 'ingress' | 'egress';
/** enum bpf_tc_attach_point */
const TC_POINT = { ingress: 1, egress: 2 } as const;

export interface TcOptions {
  /** Filters run by rising priority; 0 lets the kernel choose. */
  readonly priority?: number;
  readonly handle?: number;
  /**
   * Remove the clsact qdisc on close, with all other filters on it, if this attachment made it. Otherwise it stays, as
   * others may have put filters there meanwhile.
   */
  readonly removeQdisc?: boolean;
}

/** A classic tc filter: not a link of the kernel's, so it cannot be pinned and stays if the process dies. */
export class TcFilter extends Handle {
  readonly title: string;
  readonly handle: number;
  readonly priority: number;
  readonly #hook: DataView;
  readonly #made: boolean;
  readonly #ifindex: number;

  private constructor(title: string, ifindex: number, hook: DataView, opts: DataView, made: boolean) {
    super();
    this.title = title;
    this.#ifindex = ifindex;
    this.#hook = hook;
    this.#made = made;
    this.handle = opts.getUint32(20, true);
    this.priority = opts.getUint32(24, true);
  }

  /** Attaches by netlink, in the network namespace of this thread, where close() has to be called too. */
  static attach(title: string, fd: number, ifindex: number, point: TcPoint, options: TcOptions): TcFilter {
    const lib = native();
    const hook = tcHook(ifindex, TC_POINT[point]);
    const rights: readonly Capability[] = ['CAP_NET_ADMIN'];
    // clsact may be there already, which is as good.
    const made = capture(() => lib.bpf_tc_hook_create(hook) as number);
    if (made.result < 0 && made.result !== -EEXIST) {
      throw failure(-made.result, `create clsact for ${title}`, {
        rights,
        messages: made.messages,
        codes: { [ENOENT]: 'E_NOT_SUPPORTED', [EINVAL]: 'E_NO_TARGET' },
      });
    }
    const opts = tcOpts(fd, options.handle ?? 0, options.priority ?? 0);
    const attached = capture(() => lib.bpf_tc_attach(hook, opts) as number);
    if (attached.result < 0) {
      if (made.result === 0) destroyHook(ifindex);
      throw failure(-attached.result, `attach ${title}`, { rights, messages: attached.messages });
    }
    return new TcFilter(title, ifindex, hook, opts, made.result === 0 && options.removeQdisc === true);
  }

  protected release(): void {
    const lib = native();
    const opts = tcOpts(0, this.handle, this.priority);
    // The device, and the filter with it, may be gone: then there is nothing to detach.
    lib.bpf_tc_detach(this.#hook, opts);
    if (this.#made) destroyHook(this.#ifindex);
  }
}

/** struct bpf_tc_hook */
function tcHook(ifindex: number, point: number): DataView {
  const hook = new DataView(new ArrayBuffer(24));
  hook.setBigUint64(0, 24n, true);
  hook.setInt32(8, ifindex, true);
  hook.setUint32(12, point, true);
  return hook;
}

/** struct bpf_tc_opts */
function tcOpts(fd: number, handle: number, priority: number): DataView {
  const opts = new DataView(new ArrayBuffer(32));
  opts.setBigUint64(0, 32n, true);
  opts.setInt32(8, fd, true);
  opts.setUint32(20, handle, true);
  opts.setUint32(24, priority, true);
  return opts;
}

/** Both points together name the qdisc itself. */
function destroyHook(ifindex: number): void {
  native().bpf_tc_hook_destroy(tcHook(ifindex, TC_POINT.ingress | TC_POINT.egress));
}
