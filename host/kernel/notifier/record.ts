/** One record in the ring, read in place: a view that moves from record to record. */

import { EkhoError } from '../../errors.ts';
import { BY_NUMBER, EVENTS, type EventName } from './catalogue.ts';
import { type Field, GATEWAY, GATEWAYS_MAX, HEADER, LAYOUTS, type Layout } from './layouts.ts';
import { PAYLOADS, type Source } from './payloads.ts';

/** One decoded event. What else it says depends on the event: PAYLOADS, docs/notifiers.md. */
export interface NotifierEvent {
  readonly event: EventName;
  readonly hook: string;
  /** Cookie of the network namespace. */
  readonly netns: bigint;
  /** 0 where there is none. */
  readonly ifindex: number;
  /** Nanoseconds of CLOCK_MONOTONIC. */
  readonly time: bigint;
  readonly cpu: number;
  /** Counts the events of the CPU, lost ones included. */
  readonly sequence: bigint;
  readonly [payload: string]: unknown;
}

const at = (name: string) => HEADER.fields.get(name)!.offset;
const TIME = at('time');
const NETNS = at('netns');
const SEQUENCE = at('sequence');
const CPU = at('cpu');
const IFINDEX = at('ifindex');
const EVENT = at('event');
const FAMILY = at('family');

/** Valid only during the call it is handed to. Getters allocate nothing but bigints, strings and objects they return. */
export interface NotifierRecord extends Source {
  /** Number of the event: EVENTS[event].number. */
  readonly type: number;
  readonly event: EventName;
  readonly hook: string;
  readonly ifindex: number;
  readonly netns: bigint;
  readonly time: bigint;
  readonly cpu: number;
  readonly sequence: bigint;
  /** A byte of an array, e.g. of `mac` or `dst`; 0 beyond its end. */
  byte(field: string, index: number): number;
  toEvent(): NotifierEvent;
}

function malformed(why: string): EkhoError {
  return new EkhoError('E_DECODE', `a notifier's record ${why}`, {
    remedy: 'Build bpf/notifier.bpf.c of this version: npm run build.',
  });
}

export class RecordView implements NotifierRecord {
  #data: DataView = new DataView(new ArrayBuffer(0));
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #event: EventName = 'route-replace';
  #layout: Layout = LAYOUTS.route;

  /**
   * Moves to a record of `length` bytes, after looking at everything that reading it depends on.
   * @throws E_DECODE; the view stays where it was
   */
  bind(data: DataView, offset: number, length: number): void {
    if (length < HEADER.end) throw malformed(`has ${length} bytes, less than its header`);
    const number = data.getUint32(offset + EVENT, true);
    const name = BY_NUMBER[number];
    if (name === undefined) throw malformed(`has the unknown event ${number}`);
    const layout: Layout = LAYOUTS[EVENTS[name].layout];
    if (length < layout.size) throw malformed(`of ${name} has ${length} bytes instead of ${layout.size}`);
    const counter = layout.fields.get('count');
    if (counter !== undefined) {
      const count = data.getUint32(offset + counter.offset, true);
      const room = layout.size + (count - 1) * GATEWAY.end;
      if (count > GATEWAYS_MAX || room > length) throw malformed(`of ${name} claims ${count} gateways`);
    }
    for (const [field, limit] of LENGTHS) {
      const length = layout.fields.get(field);
      if (length !== undefined && data.getUint8(offset + length.offset) > limit) {
        throw malformed(`of ${name} claims a ${field} beyond ${limit}`);
      }
    }
    if (data !== this.#data) {
      this.#data = data;
      this.#bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    }
    this.#start = offset;
    this.#event = name;
    this.#layout = layout;
  }

  get type(): number {
    return this.#data.getUint32(this.#start + EVENT, true);
  }

  get event(): EventName {
    return this.#event;
  }

  get hook(): string {
    return EVENTS[this.#event].hook;
  }

  get family(): number {
    return this.#data.getUint8(this.#start + FAMILY);
  }

  get ifindex(): number {
    return this.#data.getInt32(this.#start + IFINDEX, true);
  }

  get netns(): bigint {
    return this.#data.getBigUint64(this.#start + NETNS, true);
  }

  get time(): bigint {
    return this.#data.getBigUint64(this.#start + TIME, true);
  }

  get cpu(): number {
    return this.#data.getUint32(this.#start + CPU, true);
  }

  get sequence(): bigint {
    return this.#data.getBigUint64(this.#start + SEQUENCE, true);
  }

  number(name: string): number {
    const field = this.#layout.fields.get(name);
    return field === undefined ? 0 : this.#read(field);
  }

  byte(name: string, index: number): number {
    const field = this.#layout.fields.get(name);
    if (field === undefined || index < 0 || index >= field.count) return 0;
    return this.#data.getUint8(this.#start + field.offset + index);
  }

  #read(field: Field): number {
    const offset = this.#start + field.offset;
    switch (field.type) {
      case 'u8':
        return this.#data.getUint8(offset);
      case 'u16':
        return this.#data.getUint16(offset, true);
      case 'u32':
        return this.#data.getUint32(offset, true);
      case 's32':
        return this.#data.getInt32(offset, true);
      case 'u64':
        return Number(this.#data.getBigUint64(offset, true));
    }
  }

  wide(name: string): bigint {
    return this.#data.getBigUint64(this.#start + this.offset(name), true);
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get start(): number {
    return this.#start;
  }

  /** Gateways begin behind the members. */
  offset(name: string): number {
    return this.#layout.fields.get(name)?.offset ?? this.#layout.size - GATEWAY.end;
  }

  toEvent(): NotifierEvent {
    const event: Record<string, unknown> = {
      event: this.#event,
      hook: this.hook,
      netns: this.netns,
      ifindex: this.ifindex,
      time: this.time,
      cpu: this.cpu,
      sequence: this.sequence,
    };
    for (const { name, read } of PAYLOADS[EVENTS[this.#event].layout]) {
      const value = read(this);
      if (value !== undefined) event[name] = value;
    }
    return event as unknown as NotifierEvent;
  }
}

/** Lengths of arrays that records carry, and the arrays' sizes. */
const LENGTHS: readonly (readonly [field: string, limit: number])[] = [
  ['dst_length', 16],
  ['lladdr_length', 32],
  ['address_length', 32],
];
