/** Ports and the program: attaches when a port's row is put, detaches when it is removed, and knows how each port is attached. */

import { BpfError, BpfMap, Link, Program, type XdpMode } from '../../../bpf/libbpf-ts/src/index.ts';
import { EkhoError } from '../../errors.ts';
import { inNetns } from '../../netlink/syscall.ts';
import type { DeviceShare } from '../types.ts';
import { MODE, type Mode, type SharedState } from './shared.ts';
import { closeDescriptor, driverOf } from './system.ts';

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

export class Attachments {
  readonly #share: DeviceShare;
  readonly #state: SharedState;
  readonly #program: Program;
  readonly #portsAt: BpfMap<number, number>;
  readonly #devices: BpfMap<number, unknown>;
  readonly #modes: BpfMap<number, number>;

  constructor(share: DeviceShare, state: SharedState) {
    const maps = share.maps!;
    this.#share = share;
    this.#state = state;
    this.#program = Program.fromId(share.program!);
    this.#portsAt = BpfMap.fromId(maps.ports_at!);
    this.#devices = BpfMap.fromId(maps.devices!);
    this.#modes = BpfMap.fromId(maps.port_modes!);
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
    const driver = driverOf(ifindex);
    const made = wanted ? this.#link(ifindex, driver) : undefined;
    const mode = made?.mode ?? MODE.none;
    const pin = this.#pinOf(ifindex);
    try {
      if (pin !== undefined) made?.link.pin(pin);
      this.#devices.set(slot, ifindex);
      this.#modes.set(slot, this.#flags(driver, mode));
      this.#portsAt.set(ifindex, slot);
    } catch (error) {
      made?.link.close();
      if (pin !== undefined) unpin(pin);
      throw error;
    }
    // Without a pin the descriptor keeps it attached, and is closed by whoever detaches.
    this.#state.attach(slot, ifindex, mode, pin === undefined ? (made?.link.fd ?? -1) : -1);
    if (pin !== undefined) made?.link.close();
    return OK;
  }

  #pinOf(ifindex: number): string | undefined {
    return this.#share.folder === undefined ? undefined : `${this.#share.folder}/link-${ifindex}`;
  }

  /** Native where the driver has it and all of it works; see docs/xdp.md. */
  #link(ifindex: number, driver: string): { link: Link; mode: Mode } {
    const wanted = this.#share.mode ?? 'auto';
    const first: XdpMode = wanted === 'auto' ? (driver === 'veth' ? 'generic' : 'native') : wanted;
    try {
      return { link: this.#program.attachXdp(ifindex, first), mode: MODE[first as 'native' | 'generic'] };
    } catch (error) {
      if (
        !(error instanceof BpfError) ||
        error.code === 'E_EXISTS' ||
        wanted !== 'auto' ||
        first === 'generic'
      )
        throw error;
      return { link: this.#program.attachXdp(ifindex, 'generic'), mode: MODE.generic };
    }
  }

  #flags(driver: string, mode: Mode): number {
    const native = mode === MODE.native;
    const takes = driver !== 'veth' || native;
    return (
      (native ? NATIVE : 0) |
      (takes ? TAKES_FRAMES : 0) |
      (native && driver === 'veth' ? PARTIAL_CHECKSUMS : 0)
    );
  }

  detach(slot: number): void {
    const ifindex = this.#state.ifindex(slot);
    if (ifindex === 0) return;
    const fd = this.#state.link(slot);
    this.#state.detach(slot);
    this.#portsAt.delete(ifindex);
    this.#devices.delete(slot);
    const pin = this.#pinOf(ifindex);
    if (fd >= 0) closeDescriptor(fd);
    else if (pin !== undefined) unpin(pin);
  }

  /** Looks again at what may have changed under the attachments. */
  refresh(): void {}

  #inNetns<T>(action: () => T): T {
    return this.#share.netns === undefined ? action() : inNetns(this.#share.netns, action);
  }

  close(): void {
    this.#program.close();
    for (const map of [this.#portsAt, this.#devices, this.#modes]) map.close();
  }
}

function unpin(path: string): void {
  try {
    Link.unpin(path);
  } catch (error) {
    if (!(error instanceof BpfError) || error.code !== 'E_NOT_FOUND') throw error;
  }
}
