/** The ASIC as the host sees it: opened from the configuration, asked what it would do, told which faults to show. */

import { EkhoError } from '../../errors.ts';
import type {
  Device,
  DeviceConfig,
  DeviceFaults,
  DeviceShare,
  DeviceStatus,
  LookupOptions,
  PacketQuery,
  PacketVerdict,
} from '../types.ts';
import { parseAddress } from './address.ts';
import { AsicCore } from './core.ts';
import { type Capacities, HEAD, HEADER, layOut, type MemoryLayout, TABLES } from './layout.ts';
import { checkHeader, isBlank, mapFile, releaseFile, viewMapping, writeHeader } from './memory.ts';
import { countPassage, passPacket } from './pipeline.ts';
import { readUnchanged } from './sequence.ts';
import { AsicTables } from './tables.ts';

const MAX_DELAY_US = 60_000_000;

export class AsicDevice implements Device {
  readonly name: string;
  readonly kind = 'asic';
  readonly share: DeviceShare;
  private tables: AsicTables | undefined;
  private counts: BigUint64Array;
  private descriptor: number | undefined;

  /**
   * Opens the device, or makes it. A state file is checked row by row; what is not valid is thrown away and counted.
   * @throws EkhoError E_DEVICE
   */
  constructor(config: DeviceConfig) {
    const layout = layOut(capacitiesOf(config.tables ?? {}));
    const tables = Object.fromEntries(layout.tables.map((table) => [table.name, table.capacity]));
    this.name = config.name;
    let buffer: ArrayBufferLike;
    if (config.state === undefined) {
      const memory = new SharedArrayBuffer(layout.words * 4);
      buffer = memory;
      this.share = { kind: this.kind, name: this.name, memory, tables };
    } else {
      const file = mapFile(config.state, layout.words * 4, true);
      buffer = file.buffer;
      this.descriptor = file.descriptor;
      const mapping = { process: process.pid, address: file.address };
      this.share = { kind: this.kind, name: this.name, file: config.state, mapping, tables };
    }
    this.tables = new AsicTables(buffer, layout);
    this.counts = new BigUint64Array(buffer, 0, layout.words >>> 1);
    try {
      this.takeOver(layout, config.state);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Nobody else has the memory yet: check it and make it right. */
  private takeOver(layout: MemoryLayout, path: string | undefined): void {
    const tables = this.tables!;
    const words = tables.words;
    if (isBlank(words)) {
      writeHeader(words, layout);
      return;
    }
    checkHeader(words, layout, path ?? 'memory');
    for (const word of [HEADER.readersWaiting, HEADER.poweredOff, HEADER.failEvery, HEADER.refuse])
      words[word] = 0;
    for (const word of [HEADER.delay, HEADER.sinceFailure, HEADER.sequence]) words[word] = 0;
    if (words[HEADER.emptied] !== words[HEADER.epoch]) {
      tables.clear();
      words[HEADER.emptied] = words[HEADER.epoch]!;
    }
    words[HEADER.discarded] = tables.rebuild();
  }

  private open(): AsicTables {
    if (this.tables === undefined) throw new EkhoError('E_DEVICE', `device ${this.name} is closed`);
    return this.tables;
  }

  lookup(packet: PacketQuery, options: LookupOptions = {}): PacketVerdict {
    const tables = this.open();
    parseAddress(packet.destination);
    if (packet.source !== undefined) parseAddress(packet.source);
    const passage = readUnchanged(tables.words, () =>
      this.hasLostTables(tables) ? undefined : passPacket(tables, packet),
    );
    if (passage === undefined) {
      return { action: 'trap', by: 'no power', handles: [], ways: [], mayTrap: true, mayDrop: false };
    }
    if (options.count === true) countPassage(tables, this.counts, passage, process.hrtime.bigint());
    return passage.verdict;
  }

  /** Tables are emptied by the worker when it next looks; until then they count as empty. */
  private hasLostTables(tables: AsicTables): boolean {
    const words = tables.words;
    return words[HEADER.poweredOff] !== 0 || words[HEADER.epoch] !== words[HEADER.emptied];
  }

  status(): DeviceStatus {
    const tables = this.open();
    const words = tables.words;
    const lost = this.hasLostTables(tables);
    const rows = tables.tables.map((table) => ({
      name: table.name,
      capacity: table.capacity,
      used: lost ? 0 : tables.used(table),
      writes: tables.count(table, HEAD.writes),
      removes: tables.count(table, HEAD.removes),
      rejects: tables.count(table, HEAD.rejects),
    }));
    const sum = (which: 'writes' | 'removes' | 'rejects'): number =>
      rows.reduce((total, row) => total + row[which], 0);
    return {
      tables: rows,
      writes: sum('writes'),
      removes: sum('removes'),
      rejects: sum('rejects'),
      discarded: words[HEADER.discarded]!,
      epoch: words[HEADER.epoch]!,
      faults: {
        failEvery: words[HEADER.failEvery]!,
        refuse: words[HEADER.refuse] !== 0,
        delay: words[HEADER.delay]!,
        poweredOff: words[HEADER.poweredOff] !== 0,
      },
    };
  }

  inject(faults: Partial<DeviceFaults>): void {
    const words = this.open().words;
    const { failEvery, refuse, delay, poweredOff } = faults;
    if (failEvery !== undefined)
      Atomics.store(words, HEADER.failEvery, wholeNumber('failEvery', failEvery, 2 ** 31));
    if (refuse !== undefined) Atomics.store(words, HEADER.refuse, Number(refuse));
    if (delay !== undefined) Atomics.store(words, HEADER.delay, wholeNumber('delay', delay, MAX_DELAY_US));
    if (poweredOff !== undefined) {
      if (poweredOff && words[HEADER.poweredOff] === 0) Atomics.add(words, HEADER.epoch, 1);
      Atomics.store(words, HEADER.poweredOff, Number(poweredOff));
    }
  }

  powerCycle(): void {
    this.inject({ poweredOff: true });
    this.inject({ poweredOff: false });
  }

  close(): void {
    this.tables = undefined;
    this.counts = new BigUint64Array(0);
    if (this.descriptor !== undefined) releaseFile(this.descriptor);
    this.descriptor = undefined;
  }
}

/** Opens, in a plugin's worker, the device that the host described. */
export function openAsicCore(share: DeviceShare): AsicCore {
  const layout = layOut(share.tables as Capacities);
  if (share.memory !== undefined) return new AsicCore(share.memory, layout);
  if (share.mapping?.process === process.pid) {
    return new AsicCore(viewMapping(share.mapping.address, layout.words * 4), layout);
  }
  if (share.file === undefined) throw new EkhoError('E_DEVICE', `device ${share.name} shares nothing`);
  const { buffer, descriptor } = mapFile(share.file, layout.words * 4, false);
  releaseFile(descriptor);
  checkHeader(new Uint32Array(buffer, 0, layout.words), layout, share.file);
  return new AsicCore(buffer, layout);
}

function capacitiesOf(tables: { readonly [table: string]: number }): Capacities {
  for (const name of Object.keys(tables)) {
    if (!TABLES.some((table) => table.name === name)) {
      throw new EkhoError('E_DEVICE', `an asic has no table ${name}`, {
        remedy: `Its tables are ${TABLES.map((table) => table.name).join(', ')}.`,
      });
    }
  }
  return tables as Capacities;
}

function wholeNumber(name: string, value: number, most: number): number {
  if (!Number.isInteger(value) || value < 0 || value > most) {
    throw new EkhoError('E_USAGE', `${name} is ${value}, not a whole number of 0-${most}`);
  }
  return value;
}
