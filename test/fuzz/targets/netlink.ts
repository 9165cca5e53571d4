/** What comes from the kernel: objects of every kind, datagrams, records of the notifiers. */
import fc from 'fast-check';
import { describe } from '../../../host/iproute2/describe.ts';
import { formatJson, stringify } from '../../../host/iproute2/json.ts';
import { Applier, DUMPED, LIVE } from '../../../host/kernel/apply.ts';
import { EVENTS, type EventName } from '../../../host/kernel/notifier/catalogue.ts';
import { HEADER, LAYOUTS } from '../../../host/kernel/notifier/layouts.ts';
import { RecordView } from '../../../host/kernel/notifier/record.ts';
import { Mirror } from '../../../host/mirror/mirror.ts';
import { KERNEL_KINDS, type ObjectId } from '../../../host/mirror/types.ts';
import { type DecodedObject, decodeObject } from '../../../host/netlink/decode.ts';
import { encodeObject } from '../../../host/netlink/encode.ts';
import { datagram, requestMessage, walkMessages } from '../../../host/netlink/message.ts';
import { acknowledgedError } from '../../../host/netlink/request.ts';
import { arbitraryObject } from '../../unit/schema/arbitrary.ts';
import type { Target } from '../engine.ts';
import { allow } from '../promise.ts';
import { recorded } from '../recorded.ts';

const OBJECTS_PER_KIND = 4;
const TYPE = 24;
const CONTEXT = { linkName: () => undefined, link: () => undefined, nexthop: () => undefined };
const SILENT = {
  doubt() {},
  siblingsDiffer() {},
  siblingGone() {},
  removing() {},
  changed() {},
  bridgePort() {},
  functionsUntold() {},
  bulkDeletion() {},
};

/** Empty between two tries. */
const mirror = new Mirror();
const applier = new Applier((kind) => mirror.table(kind), undefined, SILENT);

/** The number of its kind, then the object. */
function object(kind: number, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([Buffer.of(kind), bytes]));
}

export const OBJECT: Target = {
  name: 'object',
  what: 'an object of netlink is decoded, printed and mirrored, or refused with E_DECODE',
  seeds: (random) =>
    KERNEL_KINDS.flatMap((kind, number) => [
      ...fc
        .sample(arbitraryObject(kind), { numRuns: OBJECTS_PER_KIND, seed: random.below(2 ** 31) })
        .map((one) => object(number, encodeObject(kind, one))),
      ...recorded(kind).map((bytes) => object(number, bytes)),
    ]),
  try(input) {
    const number = (input[0] ?? 0) % KERNEL_KINDS.length;
    const kind = KERNEL_KINDS[number]!;
    const data = datagram(input.slice(1));
    const table = mirror.table(number);
    for (const mode of [DUMPED, LIVE] as const)
      applier.apply(number, false, 0x500, mode, data, 0, data.bytes.length);
    mirror.commit();
    const ids: ObjectId[] = [];
    table.forEach((id) => {
      ids.push(id);
    });
    for (const id of ids) {
      const { data: held, start, end } = table.locate(id);
      const found = table.match(held, start, end);
      if (!found?.ids.subarray(0, found.length).includes(id))
        throw new RangeError('what is held is not found');
      print(kind, held.bytes, start, end);
    }
    applier.apply(number, true, 0, LIVE, data, 0, data.bytes.length);
    for (const id of ids) if (table.has(id)) table.remove(id);
    mirror.commit();
    print(kind, data.bytes, 0, data.bytes.length);
  },
};

function print(kind: (typeof KERNEL_KINDS)[number], bytes: Uint8Array, start: number, end: number): void {
  let decoded: DecodedObject | undefined;
  allow('E_DECODE', () => {
    decoded = decodeObject(kind, bytes, start, end);
  });
  if (decoded === undefined) return;
  describe(kind, decoded, CONTEXT);
  stringify(formatJson(kind, [decoded], CONTEXT));
}

export const DATAGRAM: Target = {
  name: 'datagram',
  what: 'a datagram is walked within its bounds, and errors of the kernel are read',
  seeds: (random) => [
    ...KERNEL_KINDS.slice(0, 10).map((kind) => {
      const [one] = fc.sample(arbitraryObject(kind), { numRuns: 1, seed: random.below(2 ** 31) });
      const message = requestMessage(TYPE, 2, 1, encodeObject(kind, one!));
      return new Uint8Array(Buffer.concat([message, message]));
    }),
    // An error with the kernel's text.
    new Uint8Array(
      requestMessage(
        2,
        0x300,
        1,
        Buffer.from(`eaffffff${'14000000'.padEnd(32, '0')}0c000100${'6e6f'.padEnd(16, '0')}`, 'hex'),
      ),
    ),
  ],
  try(input) {
    let last = 0;
    walkMessages(datagram(input), (type, flags, _sequence, data, start, end) => {
      if (start < last + 16 || end < start || end > data.bytes.length)
        throw new RangeError(`a message from ${start} to ${end} of ${data.bytes.length} after ${last}`);
      last = end;
      acknowledgedError('fuzz', type, flags, data, start, end);
    });
  },
};

export const NOTIFIER: Target = {
  name: 'notifier',
  what: 'a record of the ring is decoded, or refused with E_DECODE',
  seeds: () =>
    (Object.keys(EVENTS) as EventName[]).map((event) => {
      const { number, layout } = EVENTS[event];
      const bytes = new Uint8Array(LAYOUTS[layout].size + 64);
      new DataView(bytes.buffer).setUint32(HEADER.fields.get('event')!.offset, number, true);
      return bytes;
    }),
  try(input) {
    const record = new RecordView();
    allow('E_DECODE', () => {
      const view = new DataView(input.buffer, input.byteOffset, input.length);
      record.bind(view, 0, input.length);
      const event = record.toEvent();
      if (
        JSON.stringify(event, (_, value) => (typeof value === 'bigint' ? `${value}` : value)).includes('null')
      )
        throw new RangeError('a field has no value');
    });
  },
};
