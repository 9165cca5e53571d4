/**
 * Devices of a plugin that runs in a process of its own: calls go over the channel, and the host's side carries them out.
 * A call is words: device, method, then its numbers, then rows. What the process sends is checked as if the plugin itself
 * had.
 */

import type {
  AsicDeviceCore,
  Completion,
  CoreDevice,
  RtnetlinkCompletion,
  RtnetlinkCore,
  TableInfo,
  TablesCore,
  TablesInfo,
} from '../device/core.ts';
import { TABLES as RTNETLINK_TABLES } from '../device/rtnetlink/layout.ts';
import { EkhoError } from '../errors.ts';
import { type Channel, ChannelError } from './channel.ts';
import { FROM_PROCESS, TO_PROCESS } from './process-messages.ts';

interface RemoteKind {
  /** The device as the process sees it. */
  proxy(call: Call): CoreDevice;
  /** Carries out a call. Undefined: there is no such call. */
  serve(device: CoreDevice, words: Uint32Array): Uint32Array | undefined;
}

const ASIC = { info: 0, write: 1, remove: 2, read: 3, counters: 4, epoch: 5 } as const;
/** Tables of an ASIC: more than there are. */
const ASIC_TABLES_MAX = 64;
/** Words before the rows: table and number of rows. */
const ROWS_AT = 3;

/** Sends words, then rows, and returns those of the answer, valid until the next. */
type Call = (words: Uint32Array, rows?: Uint32Array) => Uint32Array;

function completionOf([done, status]: Uint32Array): Completion {
  return { done: done!, status: status! };
}

class RemoteAsic implements AsicDeviceCore {
  private readonly call: Call;
  private readonly widths = new Map<number, TableInfo>();

  constructor(call: Call) {
    this.call = call;
  }

  info(table: number): TableInfo {
    const [capacity, used, words, keyWords] = this.call(Uint32Array.of(ASIC.info, table));
    return { capacity: capacity!, used: used!, words: words!, keyWords: keyWords! };
  }

  write(table: number, words: Uint32Array, start: number, rows: number): Completion {
    return this.burst(ASIC.write, table, words, start, rows, this.width(table).words);
  }

  remove(table: number, words: Uint32Array, start: number, keys: number): Completion {
    return this.burst(ASIC.remove, table, words, start, keys, this.width(table).keyWords);
  }

  read(table: number, cursor: number, limit: number): Uint32Array {
    return this.call(Uint32Array.of(ASIC.read, table, cursor, limit)).slice();
  }

  counters(table: number, cursor: number, limit: number): Uint32Array {
    return this.call(Uint32Array.of(ASIC.counters, table, cursor, limit)).slice();
  }

  epoch(): number {
    return this.call(Uint32Array.of(ASIC.epoch))[0]!;
  }

  close(): void {}

  private burst(
    method: number,
    table: number,
    words: Uint32Array,
    start: number,
    count: number,
    width: number,
  ): Completion {
    const rows = words.subarray(start, start + count * width);
    return completionOf(this.call(Uint32Array.of(method, table, count), rows));
  }

  private width(table: number): TableInfo {
    let width = this.widths.get(table);
    if (width === undefined) {
      width = this.info(table);
      this.widths.set(table, width);
    }
    return width;
  }
}

function serveAsic(device: AsicDeviceCore, call: Uint32Array): Uint32Array | undefined {
  const [method, table = 0, first = 0, second = 0] = call;
  if (table >= ASIC_TABLES_MAX) return undefined;
  switch (method) {
    case ASIC.info: {
      const { capacity, used, words, keyWords } = device.info(table);
      return Uint32Array.of(capacity, used, words, keyWords);
    }
    case ASIC.write:
    case ASIC.remove: {
      const { words, keyWords } = device.info(table);
      if (call.length !== ROWS_AT + first * (method === ASIC.write ? words : keyWords)) return undefined;
      const burst = method === ASIC.write ? device.write : device.remove;
      const { done, status } = burst.call(device, table, call, ROWS_AT, first);
      return Uint32Array.of(done, status);
    }
    case ASIC.read:
      return device.read(table, first, second);
    case ASIC.counters:
      return device.counters(table, first, second);
    case ASIC.epoch:
      return Uint32Array.of(device.epoch());
    default:
      return undefined;
  }
}

const TABLES = { find: 0, info: 1, put: 2, remove: 3, read: 4, epoch: 5 } as const;
/** Words before the rows: table, number of rows, and whether they are added. */
const TABLES_ROWS_AT = 4;

class RemoteTables implements TablesCore {
  private readonly call: Call;
  private readonly widths = new Map<number, TablesInfo>();

  constructor(call: Call) {
    this.call = call;
  }

  /** The name goes a character a word. */
  find(name: string): number {
    const characters = Uint32Array.from(name, (one) => one.codePointAt(0)!);
    return this.call(Uint32Array.of(TABLES.find), characters)[0]! | 0;
  }

  info(table: number): TablesInfo | undefined {
    const answer = this.call(Uint32Array.of(TABLES.info, table));
    if (answer.length === 0) return undefined;
    const [organisation, capacity, used, words, keyWords] = answer;
    const info = {
      organisation: organisation!,
      capacity: capacity!,
      used: used!,
      words: words!,
      keyWords: keyWords!,
    };
    this.widths.set(table, info);
    return info;
  }

  put(table: number, words: Uint32Array, start: number, rows: number, added: boolean): Completion {
    const from = words.subarray(start, start + rows * this.width(table).words);
    return completionOf(this.call(Uint32Array.of(TABLES.put, table, rows, added ? 1 : 0), from));
  }

  remove(table: number, words: Uint32Array, start: number, keys: number): Completion {
    const from = words.subarray(start, start + keys * this.width(table).keyWords);
    return completionOf(this.call(Uint32Array.of(TABLES.remove, table, keys, 0), from));
  }

  read(table: number, cursor: number, limit: number): Uint32Array {
    return this.call(Uint32Array.of(TABLES.read, table, cursor, limit)).slice();
  }

  epoch(): number {
    return this.call(Uint32Array.of(TABLES.epoch))[0]!;
  }

  close(): void {}

  /** Of a table that `info` knows. */
  private width(table: number): TablesInfo {
    return this.widths.get(table) ?? this.info(table)!;
  }
}

function serveTables(device: TablesCore, call: Uint32Array): Uint32Array | undefined {
  const [method, table = 0, first = 0, second = 0] = call;
  if (method === TABLES.find) {
    const name = call.subarray(1, 1 + NAME_MAX);
    if (name.some((character) => character > 0x10ffff)) return undefined;
    return Uint32Array.of(device.find(String.fromCodePoint(...name)));
  }
  if (method === TABLES.epoch) return Uint32Array.of(device.epoch());
  const info = device.info(table);
  if (method === TABLES.info) {
    if (info === undefined) return new Uint32Array(0);
    return Uint32Array.of(info.organisation, info.capacity, info.used, info.words, info.keyWords);
  }
  if (info === undefined) return undefined;
  if (method === TABLES.read) return device.read(table, first, second);
  if (method !== TABLES.put && method !== TABLES.remove) return undefined;
  const width = method === TABLES.put ? info.words : info.keyWords;
  if (call.length !== TABLES_ROWS_AT + first * width) return undefined;
  const { done, status } =
    method === TABLES.put
      ? device.put(table, call, TABLES_ROWS_AT, first, second !== 0)
      : device.remove(table, call, TABLES_ROWS_AT, first);
  return Uint32Array.of(done, status);
}

const RTNETLINK = { write: 0, remove: 1, read: 2, reason: 3, epoch: 4, used: 5 } as const;

class RemoteRtnetlink implements RtnetlinkCore {
  private readonly call: Call;

  constructor(call: Call) {
    this.call = call;
  }

  write(table: number, words: Uint32Array, start: number, rows: number): RtnetlinkCompletion {
    const from = words.subarray(start, start + rows * RTNETLINK_TABLES[table]!.words);
    return this.completion(this.call(Uint32Array.of(RTNETLINK.write, table, rows), from));
  }

  remove(table: number, words: Uint32Array, start: number, keys: number): RtnetlinkCompletion {
    const from = words.subarray(start, start + keys * RTNETLINK_TABLES[table]!.keyWords);
    return this.completion(this.call(Uint32Array.of(RTNETLINK.remove, table, keys), from));
  }

  read(table: number, cursor: number, limit: number): Uint32Array {
    return this.call(Uint32Array.of(RTNETLINK.read, table, cursor, limit)).slice();
  }

  /** The text comes a character a word. */
  reason(): string {
    return String.fromCodePoint(...this.call(Uint32Array.of(RTNETLINK.reason)));
  }

  used(table: number): number {
    return this.call(Uint32Array.of(RTNETLINK.used, table))[0]!;
  }

  epoch(): number {
    return this.call(Uint32Array.of(RTNETLINK.epoch))[0]!;
  }

  close(): void {}

  private completion([done, status, errno]: Uint32Array): RtnetlinkCompletion {
    return { done: done!, status: status!, errno: errno! | 0 };
  }
}

function serveRtnetlink(device: RtnetlinkCore, call: Uint32Array): Uint32Array | undefined {
  const [method, table = 0, first = 0, second = 0] = call;
  const layout = RTNETLINK_TABLES[table];
  if (layout === undefined) return undefined;
  switch (method) {
    case RTNETLINK.write:
    case RTNETLINK.remove: {
      const width = method === RTNETLINK.write ? layout.words : layout.keyWords;
      if (call.length !== ROWS_AT + first * width) return undefined;
      const burst = method === RTNETLINK.write ? device.write : device.remove;
      const { done, status, errno } = burst.call(device, table, call, ROWS_AT, first);
      return Uint32Array.of(done, status, errno);
    }
    case RTNETLINK.read:
      return device.read(table, first, second);
    case RTNETLINK.reason:
      return Uint32Array.from(device.reason(), (one) => one.codePointAt(0)!);
    case RTNETLINK.epoch:
      return Uint32Array.of(device.epoch());
    case RTNETLINK.used:
      return Uint32Array.of(device.used(table));
    default:
      return undefined;
  }
}

/** Longest name of a table, in characters: as in tables-imports.ts. */
const NAME_MAX = 64;

const KINDS: Readonly<Record<string, RemoteKind>> = {
  asic: {
    proxy: (call) => new RemoteAsic(call),
    serve: (device, words) => serveAsic(device as AsicDeviceCore, words),
  },
  tables: {
    proxy: (call) => new RemoteTables(call),
    serve: (device, words) => serveTables(device as TablesCore, words),
  },
  rtnetlink: {
    proxy: (call) => new RemoteRtnetlink(call),
    serve: (device, words) => serveRtnetlink(device as RtnetlinkCore, words),
  },
};

function kindOf(name: string): RemoteKind {
  const kind = KINDS[name];
  if (kind !== undefined) return kind;
  throw new EkhoError('E_DEVICE', `a device of kind ${name} cannot be used from a process of its own`, {
    remedy: 'Set isolation = "worker" for the plugin, if you trust it.',
  });
}

/** The devices as the process sees them, by kind. @throws EkhoError E_DEVICE for a kind that cannot be remote */
export function remoteDevices(
  channel: Channel,
  answers: Channel,
  kinds: readonly string[],
): Map<string, CoreDevice> {
  const call = (device: number, words: Uint32Array, rows: Uint32Array | undefined): Uint32Array => {
    const parts = [bytesOf(Uint32Array.of(device)), bytesOf(words), ...(rows ? [bytesOf(rows)] : [])];
    channel.put(FROM_PROCESS.deviceCall, ...parts);
    channel.flush();
    answers.receive();
    return answers.words;
  };
  return new Map(
    kinds.map((kind, device) => [kind, kindOf(kind).proxy((words, rows) => call(device, words, rows))]),
  );
}

/** Carries out the call that the channel's current message is and sends the answer. @throws ChannelError */
export function serveDeviceCall(
  channel: Channel,
  answers: Channel,
  kinds: readonly string[],
  devices: readonly CoreDevice[],
): void {
  const { words } = channel;
  const device = words[0] ?? devices.length;
  if (channel.length % 4 !== 0 || device >= devices.length) throw new ChannelError('a call to no device');
  const answer = kindOf(kinds[device]!).serve(devices[device]!, words.subarray(1));
  if (answer === undefined) throw new ChannelError('a device call that there is not');
  answers.put(TO_PROCESS.deviceAnswer, bytesOf(answer));
  answers.flush();
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}
