/** Ports and the program: attaches when a port's row is put, detaches when it is removed, and knows how each port is attached. */

import { existsSync } from 'node:fs';
import { BpfError, BpfMap, intCodec, Link, Program } from '../../../bpf/libbpf-ts/src/index.ts';
import { EkhoError } from '../../errors.ts';
import { inNetns, netnsCookie } from '../../netlink/syscall.ts';
import type { DeviceShare } from '../types.ts';
import { XDP_TRANSMITS, xdpFeatures } from './features.ts';
import { NEAR_PORTS } from './layout.ts';
import { MODE, type Mode, type SharedState, WHY } from './shared.ts';
import { closeDescriptor, driverOf, isThere } from './system.ts';

/** Of `tables.status`: as in core.ts. */
const OK = 0;
const REFUSED = 4;
const BUSY = 5;
const IO_ERROR = 6;

/** DP_PORT_TRAP_ALL */
const TRAP_ALL = 1 << 4;

/** Flags of the map port_modes: MODE_… of bpf/datapath_maps.h. */
const NATIVE = 1;
const TAKES_FRAMES = 2;
const PARTIAL_CHECKSUMS = 4;
const TCX = 8;
/** Above them stands an index in WHY, for the next host. */
const WHY_SHIFT = 16;

type Way = 'native' | 'tcx' | 'generic';

export class Attachments {
  readonly #share: DeviceShare;
  readonly #state: SharedState;
  readonly #xdp: Program;
  readonly #tcx: Program;
  readonly #portsAt: BpfMap<number, number>;
  readonly #portsNear: BpfMap<number, bigint>;
  readonly #devices: BpfMap<number, unknown>;
  readonly #modes: BpfMap<number, number>;

  constructor(share: DeviceShare, state: SharedState) {
    const maps = share.maps!;
    this.#share = share;
    this.#state = state;
    this.#xdp = Program.borrow(share.programs!.xdp);
    this.#tcx = Program.borrow(share.programs!.tcx);
    this.#portsAt = BpfMap.borrow(maps.ports_at!);
    // What BTF says may be read by few.
    this.#portsNear = BpfMap.borrow(maps.ports_near!, { value: intCodec(8, false, 'u64') });
    this.#devices = BpfMap.borrow(maps.devices!);
    this.#modes = BpfMap.borrow(maps.port_modes!);
  }

  /**
   * A `tables.status`. A port that is attached to the same interface stays as it is. One that hands everything to the kernel needs no
   * program, and another may have it; frames leave by it all the same.
   */
  attach(slot: number, ifindex: number, flags: number): number {
    const wanted = (flags & TRAP_ALL) === 0;
    if (this.#state.ifindex(slot) === ifindex && (this.#state.mode(slot) !== MODE.none) === wanted) return OK;
    if (this.#state.ifindex(slot) !== 0) this.detach(slot);
    try {
      return this.#inNetns(() => this.#attach(slot, ifindex, wanted));
    } catch (error) {
      if (error instanceof BpfError) return error.code === 'E_EXISTS' ? BUSY : IO_ERROR;
      if (error instanceof EkhoError) return REFUSED;
      throw error;
    }
  }

  #attach(slot: number, ifindex: number, wanted: boolean): number {
    const made = wanted ? this.#link(ifindex) : undefined;
    const mode = made?.mode ?? MODE.none;
    const why = made?.why ?? WHY.length - 1;
    const pin = this.#pinOf(ifindex);
    try {
      if (pin !== undefined) made?.link.pin(pin);
      this.#devices.set(slot, ifindex);
      this.#modes.set(slot, this.#flags(ifindex, mode, why));
      this.#portsAt.set(ifindex, slot);
      this.#setNear(ifindex, slot);
    } catch (error) {
      made?.link.close();
      if (pin !== undefined) unpin(pin);
      throw error;
    }
    // The descriptor keeps it attached, pinned or not, and is closed by whoever detaches.
    this.#state.attach(slot, ifindex, mode, made?.link.fd ?? -1, why);
    return OK;
  }

  /** The port of an interface, or none; the place may be another interface's, which keeps it. */
  #setNear(ifindex: number, slot: number | undefined): void {
    const at = ifindex % NEAR_PORTS;
    const held = Number((this.#portsNear.get(at) ?? 0n) >> 32n);
    if (held !== 0 && held !== ifindex) return;
    this.#portsNear.set(at, slot === undefined ? 0n : (BigInt(ifindex) << 32n) | BigInt(slot));
  }

  #pinOf(ifindex: number): string | undefined {
    return this.#share.folder === undefined ? undefined : `${this.#share.folder}/link-${ifindex}`;
  }

  /** As configured, else in the first way that works; see docs/xdp.md for what speaks against native mode on a veth. */
  #link(ifindex: number): { link: Link; mode: Mode; why: number } {
    const wanted = this.#share.mode ?? 'auto';
    const isVeth = driverOf(ifindex) === 'veth';
    const ways: readonly Way[] =
      wanted !== 'auto' ? [wanted] : isVeth ? ['tcx', 'generic'] : ['native', 'tcx', 'generic'];
    let failed: unknown;
    for (const way of ways) {
      try {
        const link =
          way === 'tcx' ? this.#tcx.attachTcx(ifindex, 'ingress') : this.#xdp.attachXdp(ifindex, way);
        return { link, mode: MODE[way], why: whyNot(way, wanted !== 'auto', isVeth) };
      } catch (error) {
        failed = error;
        if (!(error instanceof BpfError) || error.code === 'E_EXISTS' || error.code === 'E_NO_TARGET') break;
      }
    }
    throw failed;
  }

  #flags(ifindex: number, mode: Mode, why: number): number {
    const isVeth = driverOf(ifindex) === 'veth';
    const features = xdpFeatures(ifindex);
    // A kernel that does not tell has veths that lose frames when nobody polls at the other end.
    const takes = features === undefined ? !isVeth : (features & XDP_TRANSMITS) !== 0;
    const native = mode === MODE.native;
    const way = native ? NATIVE : mode === MODE.tcx ? TCX : 0;
    return (why << WHY_SHIFT) | way | (takes ? TAKES_FRAMES : 0) | (native && isVeth ? PARTIAL_CHECKSUMS : 0);
  }

  detach(slot: number): void {
    const ifindex = this.#state.ifindex(slot);
    if (ifindex === 0) return;
    const fd = this.#state.link(slot);
    this.#state.detach(slot);
    this.#setNear(ifindex, undefined);
    this.#portsAt.delete(ifindex);
    this.#devices.delete(slot);
    const pin = this.#pinOf(ifindex);
    if (pin !== undefined && fd >= 0) unpin(pin);
    if (fd >= 0) closeDescriptor(fd);
  }

  /**
   * Looks again at what nobody announces: whether the program is still on each port, and which ports take frames of native mode (at the
   * other end of a veth, that comes and goes). A port that lost its program gets it again; those that cannot have it are returned.
   */
  refresh(): number[] {
    const slots = Array.from({ length: this.#state.ports }, (_, slot) => slot).filter(
      (slot) => this.#state.ifindex(slot) !== 0,
    );
    const lost = slots.filter((slot) => !this.#isAttached(slot));
    const native = slots.some((slot) => this.#state.mode(slot) === MODE.native);
    if (lost.length === 0 && !native) return [];
    try {
      return this.#inNetns(() => {
        const gone = lost.filter((slot) => !this.#attachAgain(slot));
        if (native) for (const slot of slots) this.#lookAgain(slot);
        return gone;
      });
    } catch (error) {
      if (!(error instanceof EkhoError) || error.code !== 'E_NETNS') throw error;
      const why = (error.cause as NodeJS.ErrnoException | undefined)?.code;
      // With the namespace its ports are gone. Where it cannot be entered now, those without a program are the kernel's.
      return why === undefined || why === 'ENOENT' ? [] : lost;
    }
  }

  /** Whether the port has what it is believed to have; a pin that somebody removed is made again. */
  #isAttached(slot: number): boolean {
    const fd = this.#state.link(slot);
    if (fd < 0) return true;
    const link = Link.fromFd(fd);
    if (link.info().ifindex === 0) return false;
    const pin = this.#pinOf(this.#state.ifindex(slot));
    if (pin !== undefined && !existsSync(pin)) {
      try {
        link.pin(pin);
      } catch (error) {
        // The folder is made again by the host, or there is no BPF file system any more.
        if (!(error instanceof BpfError)) throw error;
      }
    }
    return true;
  }

  /** False when the program cannot be put on the port again. An interface that is gone is waited for: its row goes, too. */
  #attachAgain(slot: number): boolean {
    const ifindex = this.#state.ifindex(slot);
    if (!isThere(ifindex)) return true;
    this.#state.noteDetached(slot);
    this.detach(slot);
    try {
      this.#attach(slot, ifindex, true);
      return true;
    } catch (error) {
      if (error instanceof BpfError) return false;
      throw error;
    }
  }

  #lookAgain(slot: number): void {
    const ifindex = this.#state.ifindex(slot);
    if (ifindex !== 0)
      this.#modes.set(slot, this.#flags(ifindex, this.#state.mode(slot), this.#state.why(slot)));
  }

  /** Throws E_NETNS also where another namespace has the name by now: indices in there are not those of the ports. */
  #inNetns<T>(action: () => T): T {
    const { netns, netnsCookie: cookie } = this.#share;
    if (netns === undefined) return action();
    return inNetns(netns, () => {
      if (cookie !== undefined && netnsCookie(undefined) !== cookie)
        throw new EkhoError('E_NETNS', `network namespace ${netns} is another one than at the start`);
      return action();
    });
  }

  close(): void {
    this.#xdp.close();
    this.#tcx.close();
    for (const map of [this.#portsAt, this.#portsNear, this.#devices, this.#modes]) map.close();
  }
}

/** Index in WHY of why a port is not attached natively. */
function whyNot(way: Way, isConfigured: boolean, isVeth: boolean): number {
  if (way === 'native') return 0;
  if (isConfigured) return 1;
  if (way === 'tcx') return isVeth ? 2 : 3;
  return isVeth ? 5 : 4;
}

/** Index in WHY, by what stands in the map port_modes. */
export function whyOf(flags: number): number {
  return flags >>> WHY_SHIFT;
}

function unpin(path: string): void {
  try {
    Link.unpin(path);
  } catch (error) {
    if (!(error instanceof BpfError) || error.code !== 'E_NOT_FOUND') throw error;
  }
}
