/** The devices of the configuration: opened, told of links, and what they say of themselves. */
import type { DeviceStatus, Faults } from '../api/schemas.ts';
import type { Config } from '../config/config.ts';
import { openDevice } from '../device/registry.ts';
import type { Device } from '../device/types.ts';
import { EkhoError } from '../errors.ts';
import { KIND } from '../mirror/types.ts';
import type { Objects } from '../objects.ts';
import type { SavedEntry } from '../offload/saved-counters.ts';
import type { Statistics } from '../offload/statistics.ts';
import { type TrapCounter, TrapCounters } from '../offload/trap-counters.ts';

export interface DevicesParts {
  readonly config: Config;
  readonly objects: Objects;
  readonly statistics: Statistics;
  readonly warn: (message: string) => void;
}

export class Devices {
  readonly #parts: DevicesParts;
  readonly #devices = new Map<string, Device>();
  /** How often somebody took the data path off its ports, as last told, by device. */
  readonly #detached = new Map<string, number>();
  /** What devices handed to the kernel, by device. */
  readonly #traps = new Map<string, TrapCounters>();

  constructor(parts: DevicesParts) {
    this.#parts = parts;
  }

  /** Throws E_DEVICE when a device cannot be opened. */
  open(): void {
    const { config } = this.#parts;
    const { netns } = config.mirror;
    for (const device of config.device)
      this.#devices.set(device.name, openDevice({ ...device, ...(netns !== undefined && { netns }) }));
    this.#tellLinks();
  }

  close(): void {
    for (const device of this.#devices.values()) device.close();
  }

  /** The device of a name, or undefined: none is granted, or it was not opened. */
  find(name: string | undefined): Device | undefined {
    return name === undefined ? undefined : this.#devices.get(name);
  }

  /** Whether one of them put this BPF program on its ports. */
  hasProgram(id: number): boolean {
    return this.#devices.values().some((device) => device.hasProgram?.(id) === true);
  }

  /** Makes a device fail as told. Throws E_DEVICE where there is none of that name. */
  inject(name: string, faults: Faults): void {
    this.#named(name).inject(faults);
  }

  /** Throws E_DEVICE where there is none of that name. */
  powerCycle(name: string): void {
    this.#named(name).powerCycle();
  }

  list(): DeviceStatus[] {
    const { config, objects } = this.#parts;
    return [...this.#devices.values()].map((device) => {
      const { tables, writes, removes, epoch, faults, ports, traps, samples } = device.status();
      const plugin = config.plugin.find(({ device: wanted }) => wanted === device.name)?.name;
      return {
        name: device.name,
        kind: device.kind,
        ...(plugin !== undefined && { plugin }),
        tables: tables.map(({ name, used, capacity }) => ({ name, used, capacity })),
        writes,
        removes,
        epoch,
        ...(faults !== undefined && { faults: { ...faults } }),
        ...(ports !== undefined && {
          ports: ports.map(({ ifindex, mode, why, detached }) => ({
            link: objects.linkName(ifindex) ?? `if${ifindex}`,
            mode,
            ...(why !== undefined && { why }),
            ...(detached !== undefined && { detached }),
          })),
        }),
        ...(samples !== undefined && { samples: { ...samples } }),
        ...(traps !== undefined && { traps: this.#trapsOf(device.name, traps) }),
      };
    });
  }

  /** Takes what devices handed to the kernel since, for the rates. `now` in milliseconds. */
  sampleTraps(now: number): void {
    this.#tellDetached(this.list());
    for (const counters of this.#traps.values()) counters.sample(now);
  }

  /** What is kept over restarts of the host. */
  *savedTraps(): Generator<SavedEntry> {
    for (const counters of this.#traps.values()) yield* counters.saved();
  }

  #tellDetached(devices: readonly DeviceStatus[]): void {
    for (const { name, ports = [] } of devices) {
      const times = ports.reduce((sum, { detached = 0 }) => sum + detached, 0);
      if (times > (this.#detached.get(name) ?? 0))
        this.#parts.warn(`device ${name}: somebody took the data path off a port (\`ekho status\`)`);
      this.#detached.set(name, times);
    }
  }

  #trapsOf(device: string, counted: readonly TrapCounter[]) {
    let counters = this.#traps.get(device);
    if (counters === undefined) {
      counters = new TrapCounters(device, this.#parts.statistics.savedOf(device));
      this.#traps.set(device, counters);
    }
    counters.take(counted);
    return counters.list();
  }

  /** Devices that stand for links by name are told of them, before the plan speaks of them by index. */
  #tellLinks(): void {
    const devices = [...this.#devices.values()].filter(({ linksChanged }) => linksChanged !== undefined);
    if (devices.length === 0) return;
    const { objects } = this.#parts;
    objects.mirror.subscribe(({ kinds, length }) => {
      if (!kinds.subarray(0, length).includes(KIND.link)) return;
      // In the same turn the objects still are as they were before.
      const ifindexOf = (name: string) => Number(objects.linkNamed(name)?.header.index ?? 0);
      queueMicrotask(() => {
        for (const device of devices) device.linksChanged!(ifindexOf);
      });
    });
  }

  #named(name: string): Device {
    const device = this.#devices.get(name);
    if (device !== undefined) return device;
    throw new EkhoError('E_DEVICE', `there is no device ${name}`, {
      remedy: `Devices: ${[...this.#devices.keys()].join(', ') || 'none'}.`,
    });
  }
}
