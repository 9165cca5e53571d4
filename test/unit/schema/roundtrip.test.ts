/** Objects to bytes and back for every kind, and bytes that mean nothing. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KINDS } from '../../../host/mirror/types.ts';
import { DecodeError, decodeObject } from '../../../host/netlink/decode.ts';
import { encodeMessage, encodeObject } from '../../../host/netlink/encode.ts';
import { SEED } from '../../support/seed.ts';
import { arbitraryObject } from './arbitrary.ts';

const seed = SEED;
const options = (numRuns: number) => ({ seed, numRuns, endOnFailure: true });

const decodeAll = (kind: (typeof KINDS)[number], bytes: Uint8Array) =>
  decodeObject(kind, bytes, 0, bytes.length);

describe.each(KINDS)('%s', (kind) => {
  test(`decode(encode(x)) is x, EKHO_SEED=${seed}`, () => {
    fc.assert(
      fc.property(arbitraryObject(kind), (object) => {
        const decoded = decodeAll(kind, encodeObject(kind, object));
        expect(decoded).toEqual(object);
        expect(encodeObject(kind, decoded)).toEqual(encodeObject(kind, object));
      }),
      options(150),
    );
  });

  test(`only typed errors for bytes that mean nothing, EKHO_SEED=${seed}`, () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      // A whole object with some bytes changed.
      fc
        .tuple(
          arbitraryObject(kind),
          fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
          fc.nat(3),
        )
        .map(([object, changes, cut]) => {
          const encoded = encodeObject(kind, object);
          for (const [at, value] of changes) encoded[at % encoded.length] = value;
          return encoded.subarray(0, encoded.length - cut);
        }),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        try {
          decodeAll(kind, input);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
          expect((error as DecodeError).code).toBe('E_DECODE');
        }
      }),
      options(300),
    );
  });
});

/** Attribute with a type and a payload. */
function attribute(type: number, ...payload: readonly number[]): number[] {
  const padding = new Array<number>(-payload.length & 3).fill(0);
  return [payload.length + 4, 0, type & 0xff, type >> 8, ...payload, ...padding];
}

const routeHeader = [2, 24, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];

describe('decoding', () => {
  test('unknown and repeated attributes are kept with where they were', () => {
    const hop = [...[20, 0, 0, 0, 3, 0, 0, 0], ...attribute(77, 1, 2, 3, 4)];
    hop[0] = hop.length;
    const bytes = Uint8Array.from([
      ...routeHeader,
      ...attribute(1, 10, 0, 0, 0),
      ...attribute(1, 11, 0, 0, 0),
      ...attribute(99, 0xab),
      ...attribute(9, ...hop),
      ...attribute(8, ...attribute(60, 7)),
    ]);
    const decoded = decodeAll('route', bytes);
    expect(decoded.dst).toBe('10.0.0.0');
    expect(decoded.unknown).toEqual([
      { type: 1, path: '', bytes: '0b000000' },
      { type: 99, path: '', bytes: 'ab' },
      { type: 77, path: 'multipath/0', bytes: '01020304' },
      { type: 60, path: 'metrics', bytes: '07' },
    ]);
    const again = decodeAll('route', encodeObject('route', decoded));
    expect(again.unknown).toHaveLength(4);
    expect(again.unknown).toEqual(expect.arrayContaining(decoded.unknown!));
  });

  test('a wrong size names family, attribute and offset', () => {
    const bytes = Uint8Array.from([...routeHeader, ...attribute(15, 1, 2)]);
    expect(() => decodeAll('route', bytes)).toThrowError('route: table at byte 16: 2 bytes, 4 expected');
    const nested = Uint8Array.from([...routeHeader, ...attribute(8, ...attribute(2, 1))]);
    expect(() => decodeAll('route', nested)).toThrowError(
      'route: metrics/mtu at byte 20: 1 bytes, 4 expected',
    );
  });

  test('an attribute that reaches over the end is refused', () => {
    const bytes = Uint8Array.from([...routeHeader, 200, 0, 1, 0, 10, 0, 0, 0]);
    expect(() => decodeAll('route', bytes)).toThrowError('route: dst at byte 12: length 200 of 8 bytes left');
    expect(() => decodeAll('route', Uint8Array.from([2, 0]))).toThrowError('route: header at byte 0');
  });

  test('an IPv4 route has no IPv6 addresses', () => {
    const bytes = Uint8Array.from([...routeHeader, ...attribute(1, ...new Array<number>(16).fill(1))]);
    expect(() => decodeAll('route', bytes)).toThrowError('16 bytes, 4 expected');
  });

  test('NLA_F_NET_BYTEORDER turns a number around, NLA_F_NESTED does not matter', () => {
    const bytes = Uint8Array.from([
      ...routeHeader,
      ...attribute(0x4000 | 6, 0, 0, 1, 2),
      ...attribute(0x8000 | 8, ...attribute(2, 1, 0, 0, 0)),
    ]);
    expect(decodeAll('route', bytes)).toMatchObject({ priority: 258, metrics: { mtu: 1 } });
  });

  test('64-bit numbers beyond 2^53 are bigint', () => {
    const object = { header: { family: 2, index: 0 }, stats64: { rx_packets: 2n ** 63n } };
    const decoded = decodeAll('link', encodeObject('link', object));
    expect(decoded.stats64).toEqual({ rx_packets: 9223372036854775808n });
  });

  test('a struct that grew keeps what is new, one that is shorter has less', () => {
    const long = Uint8Array.from([
      ...routeHeader,
      ...attribute(12, ...new Array<number>(32).fill(1), 9, 9),
      ...attribute(17, ...new Array<number>(8).fill(0)),
    ]);
    const decoded = decodeAll('route', long);
    expect(decoded.cacheinfo).toMatchObject({ tsage: 0x01010101, rest: '0909' });
    expect(decoded.mfc_stats).toEqual({ packets: 0 });
    expect(decodeAll('route', encodeObject('route', decoded))).toEqual(decoded);
  });

  test('links within links end', () => {
    const wide = (type: number, payload: readonly number[]): number[] => {
      const bytes = attribute(type, ...payload);
      const length = payload.length + 4;
      bytes[0] = length & 0xff;
      bytes[1] = length >> 8;
      return bytes;
    };
    let nested: number[] = [];
    for (let depth = 0; depth < 40; depth++) {
      const peer = wide(1, [...new Array<number>(16).fill(0), ...nested]);
      nested = wide(18, [...attribute(1, 118, 101, 116, 104, 0), ...wide(2, peer)]);
    }
    const bytes = Uint8Array.from([...new Array<number>(16).fill(0), ...nested]);
    expect(() => decodeAll('link', bytes)).toThrowError('deep');
  });

  test('names that are not UTF-8 survive', () => {
    const bytes = Uint8Array.from([...new Array<number>(16).fill(0), ...attribute(3, 0x61, 0xff, 0xfe, 0)]);
    const decoded = decodeAll('link', bytes);
    expect(encodeObject('link', decoded)).toEqual(bytes);
  });
});

describe('encoding', () => {
  test('a message has its header', () => {
    const header = { type: 26, flags: 0x301, sequence: 7 };
    const bytes = encodeMessage(header, 'route', { header: { family: 2 }, table: 100 });
    expect([...bytes]).toEqual([
      ...[36, 0, 0, 0, 26, 0, 1, 3, 7, 0, 0, 0, 0, 0, 0, 0],
      ...[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      ...[8, 0, 15, 0, 100, 0, 0, 0],
    ]);
  });

  test.each([
    [{ header: { family: 2 }, dsst: '1.2.3.4' }, 'route: dsst: there is no such attribute'],
    [{ header: { family: 2 }, dst: '1.2.3' }, "route: dst: '1.2.3' is not understood"],
    [{ header: { family: 2 }, dst: '::1' }, "route: dst: '::1' is not understood"],
    [{ header: { family: 300 }, oif: 1 }, 'route: .family: 300 does not fit 8 bits'],
    [{ header: { family: 2 }, oif: 1.5 }, 'route: oif: 1.5 is no integer'],
    [{ header: { family: 2 }, oif: 'eth0' }, 'route: oif: a number is expected'],
    [{ header: { family: 2 }, metrics: { mtu: 1, x: 2 } }, 'route: metrics/x: there is no such attribute'],
  ])('%j is refused: %s', (object, message) => {
    expect(() => encodeObject('route', object)).toThrowError(message);
  });
});
