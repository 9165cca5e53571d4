/** The XDP data path as the host sees it: loaded or taken over, asked what it would do, closed. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BpfError, type BpfMap, BpfObject } from '../../../bpf/libbpf-ts/src/index.ts';
import { EkhoError, isShortage } from '../../errors.ts';
import { inNetns, netnsCookie } from '../../netlink/syscall.ts';
import type {
  Device,
  DeviceConfig,
  DeviceFaults,
  DeviceShare,
  DeviceStatus,
  LookupOptions,
  PacketQuery,
  PacketVerdict,
  ReasonCount,
} from '../types.ts';
import { whyOf } from './attachments.ts';
import { MAPS, MEMORIES, rowsOf, TABLES } from './layout.ts';
import { Lookup } from './lookup.ts';
import { Pins } from './pins.ts';
import { sumCounters } from './reader.ts';
import { REASONS } from './reasons.ts';
import { Samples } from './samples.ts';
import { MODE, type Mode, SharedState, WHY } from './shared.ts';
import { closeDescriptor } from './system.ts';

/** Of bpf/datapath_maps.h. */
const MODE_NATIVE = 1;
const MODE_TCX = 8;
/** How often settings are looked at that nobody announces. */
const SETTINGS_MS = 1000;
const MODE_NAMES = ['none', 'native', 'generic', 'tcx'] as const;

/** Made by `npm run build` where there are clang and libbpf's headers. */
export const OBJECT = fileURLToPath(new URL('../../../build/bpf/datapath.bpf.o', import.meta.url));

export class TablesDevice implements Device {
  readonly name: string;
  readonly kind = 'tables';
  readonly share: DeviceShare;
  readonly #object: BpfObject;
  readonly #state: SharedState;
  readonly #rows: ReadonlyMap<string, number>;
  readonly #lookup: Lookup;
  readonly #samples: Samples;
  /** Absent: all of it ends with the host. */
  readonly #pins: Pins | undefined;
  readonly #settings: NodeJS.Timeout;
  #hashPolicy: number | undefined;
  /** Ids of the data path that ports have, and of those they had before a takeover. */
  readonly #programs = new Set<number>();

  /** @throws EkhoError E_DEVICE */
  constructor(config: DeviceConfig) {
    const { name, netns, mode } = config;
    this.name = name;
    this.#rows = rowsOf(config.tables ?? {});
    this.#state = new SharedState(this.#rows.get('ports')!);
    this.#pins = config.state === undefined ? undefined : new Pins(config.state, this.#rows);
    try {
      this.#object = guarded(name, () => this.#load());
    } catch (error) {
      this.#pins?.close();
      throw error;
    }
    const program = (which: string) => this.#object.program(which);
    const addressOf = (map: string) => this.#object.map(map).memoryAddress;
    this.share = {
      kind: this.kind,
      name,
      tables: Object.fromEntries(this.#rows),
      maps: Object.fromEntries(MAPS.map((map) => [map, this.#object.map(map).fd])),
      programs: { xdp: program('datapath').fd, tcx: program('datapath_tcx').fd },
      // A worker that is ended where it stands gives nothing back: it has the host's descriptors and mappings, and none of its own.
      memories: Object.fromEntries(MEMORIES.map((map) => [map, guarded(name, () => addressOf(map))])),
      memory: this.#state.memory,
      ...(this.#pins !== undefined && { folder: this.#pins.folder }),
      ...(netns !== undefined && { netns, netnsCookie: guarded(name, () => netnsCookie(netns)) }),
      ...(mode !== undefined && { mode }),
    };
    for (const which of ['datapath', 'datapath_tcx']) this.#programs.add(program(which).info().id);
    this.#lookup = new Lookup(this.#object, this.#state);
    this.#samples = guarded(
      name,
      () => new Samples(this.#object.ringBuffer('sample_ring'), this.#object.map('samples')),
    );
    guarded(name, () => this.#followHashPolicy());
    guarded(name, () => this.#isHere());
    this.#settings = setInterval(() => {
      this.#isHere();
      this.#followHashPolicy();
      this.#pins?.restore(this.#object);
    }, SETTINGS_MS);
    this.#settings.unref();
  }

  #load(): BpfObject {
    const object = BpfObject.open(OBJECT, { name: 'datapath' });
    try {
      for (const [map, count] of this.#rows) object.map(map).setMaxEntries(count);
      const isThere = this.#pins?.reuse(object) === true;
      object.load();
      if (isThere) this.#takeOver(object);
      else this.#pins?.pin(object);
      return object;
    } catch (error) {
      object.close();
      throw error;
    }
  }

  /** Ports stay attached, now to this host's program, and tables as full as they are. */
  #takeOver(object: BpfObject): void {
    const { links, programs } = this.#pins!.takeOver((ifindex) => {
      const slot = object.map<number, number>('ports_at').get(ifindex);
      const flags = slot === undefined ? 0 : object.map<number, number>('port_modes').get(slot)!;
      return object.program((flags & MODE_TCX) !== 0 ? 'datapath_tcx' : 'datapath');
    });
    for (const id of programs) this.#programs.add(id);
    for (const [ifindex, slot] of object.map<number, number>('ports_at')) {
      const flags = object.map<number, number>('port_modes').get(slot)!;
      const link = links.get(ifindex);
      const mode = link === undefined ? MODE.none : modeOf(flags);
      this.#state.attach(slot, ifindex, mode, link ?? -1, whyOf(flags));
    }
    for (const [number, { name, organisation }] of TABLES.entries()) {
      if (organisation === 'counters') continue;
      this.#state.addUsed(number, countRows(object.map(name), organisation === 'slots'));
    }
  }

  /** Pinned, the data path goes on without a host, and then shows the kernel packets of all flows. */
  #isHere(): void {
    this.#object.variable<bigint>('host_seen').set(process.hrtime.bigint());
  }

  /**
   * As the kernel chooses among the members of a group: by addresses, or with `fib_multipath_hash_policy` also by ports. Nobody
   * announces that it changed. A namespace that is gone has no groups to choose in.
   */
  #followHashPolicy(): void {
    const { netns } = this.share;
    try {
      const policy = netns === undefined ? hashPolicy() : inNetns(netns, hashPolicy);
      if (policy === this.#hashPolicy) return;
      this.#object.variable<number>('hash_ports').set(policy);
      this.#hashPolicy = policy;
    } catch (error) {
      if (!(error instanceof EkhoError) && !isShortage(error)) throw error;
    }
  }

  lookup(packet: PacketQuery, options: LookupOptions = {}): PacketVerdict {
    if (this.#object.closed) throw new EkhoError('E_DEVICE', `device ${this.name} is closed`);
    const { netns } = this.share;
    const run = () => this.#lookup.run(packet, options);
    return guarded(this.name, () => (netns === undefined ? run() : inNetns(netns, run)));
  }

  hasProgram(id: number): boolean {
    return this.#programs.has(id);
  }

  /** XDP has a packet once. */
  canMirror(ifindex: number): boolean {
    const mode = this.#modeOf(ifindex);
    return mode !== MODE.native && mode !== MODE.generic;
  }

  /** Undefined: it is no port, or not yet. */
  #modeOf(ifindex: number): Mode | undefined {
    const state = this.#state;
    for (let slot = 0; slot < state.ports; slot++)
      if (state.ifindex(slot) === ifindex) return state.mode(slot);
    return undefined;
  }

  status(): DeviceStatus {
    const state = this.#state;
    return {
      tables: TABLES.flatMap(({ name, organisation }, number) =>
        organisation === 'counters'
          ? []
          : [
              {
                name,
                capacity: this.#rows.get(name)!,
                used: Math.max(0, state.used(number)),
                writes: 0,
                removes: 0,
                rejects: 0,
              },
            ],
      ),
      writes: state.writes,
      removes: state.removes,
      rejects: 0,
      discarded: 0,
      epoch: state.epoch,
      ports: Array.from({ length: state.ports }, (_, slot) => slot)
        .filter((slot) => state.ifindex(slot) !== 0)
        .map((slot) => ({
          ifindex: state.ifindex(slot),
          mode: MODE_NAMES[state.mode(slot)],
          ...(state.why(slot) !== 0 && { why: WHY[state.why(slot)] }),
          detached: state.detached(slot),
        })),
      traps: this.#object.closed ? [] : this.#traps(),
      samples: { ...this.#samples.counts(), lost: this.#object.closed ? 0 : this.#lost() },
    };
  }

  /** Samples that found the ring full. */
  #lost(): number {
    const sum = new Uint32Array(6);
    for (const { values } of this.#object.map('sample_lost').chunks()) {
      const words = new Uint32Array(values.buffer);
      sumCounters(words, 0, words.length / 6, sum, 0);
    }
    return sum[0]! + sum[1]! * 2 ** 32;
  }

  #traps(): ReasonCount[] {
    const sum = new Uint32Array(6);
    const found: ReasonCount[] = [];
    for (const { count, keys, values } of this.#object.map('reason_counts').chunks()) {
      const words = new Uint32Array(values.buffer);
      const width = values.byteLength / 4 / Math.max(1, keys.byteLength / 4);
      for (let entry = 0; entry < count; entry++) {
        const reason = REASONS[new Uint32Array(keys.buffer)[entry]!];
        if (reason === undefined || !sumCounters(words, entry * width, width / 6, sum, 0)) continue;
        found.push({
          reason: reason.name,
          packets: sum[0]! + sum[1]! * 2 ** 32,
          bytes: sum[2]! + sum[3]! * 2 ** 32,
        });
      }
    }
    return found;
  }

  inject(_faults: Partial<DeviceFaults>): void {
    throw new EkhoError('E_DEVICE', `device ${this.name} is not simulated: it shows only the faults it has`);
  }

  powerCycle(): void {
    throw new EkhoError('E_DEVICE', `device ${this.name} has no power to cycle`);
  }

  /** Detaches all ports, unless they are pinned. */
  close(): void {
    if (this.#object.closed) return;
    clearInterval(this.#settings);
    for (let slot = 0; slot < this.#state.ports; slot++) {
      if (this.#state.ifindex(slot) === 0) continue;
      const fd = this.#state.link(slot);
      this.#state.detach(slot);
      if (fd >= 0) closeDescriptor(fd);
    }
    this.#samples.close();
    for (const map of MEMORIES) this.#object.map(map).close();
    this.#object.close();
    this.#pins?.close();
  }
}

/** Of the network namespace that this thread is in, as `hash_ports` of bpf/datapath_maps.h has it. A family that is not there hashes nothing. */
function hashPolicy(): number {
  const of = (family: string): boolean => {
    try {
      const text = readFileSync(`/proc/sys/net/${family}/fib_multipath_hash_policy`, 'utf8');
      return text.trim() !== '0';
    } catch {
      return false;
    }
  };
  return (of('ipv4') ? 1 : 0) | (of('ipv6') ? 2 : 0);
}

/** By flags of the map port_modes. */
function modeOf(flags: number): Mode {
  if ((flags & MODE_NATIVE) !== 0) return MODE.native;
  return (flags & MODE_TCX) !== 0 ? MODE.tcx : MODE.generic;
}

/** Rows of a map; of an array those whose first word is not 0. */
function countRows(map: BpfMap, slots: boolean): number {
  let rows = 0;
  for (const { count, values } of map.chunks()) {
    if (!slots) {
      rows += count;
      continue;
    }
    const words = new Uint32Array(values.buffer);
    const width = map.valueSize / 4;
    for (let entry = 0; entry < count; entry++) if (words[entry * width] !== 0) rows++;
  }
  return rows;
}

/** What BPF refuses is the device's fault, in its words. */
function guarded<T>(name: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    throw new EkhoError('E_DEVICE', `device ${name}: ${error.message}`, {
      ...(error.remedy !== undefined && { remedy: error.remedy }),
      cause: error,
    });
  }
}
