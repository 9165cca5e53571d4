/** Which addresses hardware learned, and what the kernel is told of them. */
import { expect, test } from 'vitest';
import { StationBook } from '../../../host/offload/station-book.ts';

const ADDRESS = { bridge: 30, vlan: 10, mac: 0x02_00_00_00_00_11 };
const at = (ifindex: number, isElsewhere = false) => ({ ...ADDRESS, ifindex, isElsewhere });
const AGED = at(0);
const PLUGIN = 'asic';

/** A book that the kernel was told these of. */
function told(...stations: ReturnType<typeof at>[]): StationBook {
  const book = new StationBook();
  for (const station of stations) {
    book.hear(station, PLUGIN);
    news(book);
  }
  return book;
}

/** Ports, less those that it is gone from. */
const news = (book: StationBook) => [...book.news()].map(({ place, isGone }) => (isGone ? -place : place));

test('the kernel is told once where an address is, and that it is not there any more', () => {
  const book = told();
  book.hear(at(1), PLUGIN);
  expect(news(book)).toEqual([1]);
  expect(news(book)).toEqual([]);
  book.hear(AGED, PLUGIN);
  expect(news(book)).toEqual([-1]);
  expect(book.size).toBe(0);
});

test('an address that hardware learned moves with it', () => {
  const book = told(at(1));
  book.hear(at(2, true), PLUGIN);
  expect(news(book)).toEqual([-1, 2]);
  book.hear(at(3, true), PLUGIN);
  book.hear(AGED, PLUGIN);
  expect(news(book)).toEqual([-2]);
});

test('an address that others put somewhere stays there, whatever hardware sees', () => {
  const book = told(at(2, true), AGED);
  expect(book.size).toBe(0);
  book.hear(at(2, true), PLUGIN);
  expect(news(book)).toEqual([]);
});

test('what comes and goes before the kernel hears of it it does not hear of', () => {
  const book = told();
  book.hear(at(1), PLUGIN);
  book.hear(AGED, PLUGIN);
  expect(news(book)).toEqual([]);
  expect(book.size).toBe(0);
});

test("an entry that the bridge gave up or took over is not hardware's any more", () => {
  const book = told(at(1));
  // An earlier place.
  book.left(ADDRESS, 7);
  expect(book.has(ADDRESS)).toBe(true);
  book.left(ADDRESS, 1);
  expect(book.has(ADDRESS)).toBe(false);
  expect(news(book)).toEqual([]);

  const taken = told(at(1));
  taken.seen(ADDRESS, true);
  expect(taken.has(ADDRESS)).toBe(false);
  for (const station of [at(2, true), AGED]) taken.hear(station, PLUGIN);
  expect(news(taken)).toEqual([]);
  taken.left(ADDRESS, 2);
  expect(taken.size).toBe(0);
});

test('what is seen late of an entry is put right by what is seen next', () => {
  const book = told(at(1));
  book.seen(ADDRESS, true);
  book.seen(ADDRESS, false);
  book.hear(AGED, PLUGIN);
  expect(news(book)).toEqual([-1]);
});

test('an entry that the bridge gave up is learned anew', () => {
  const book = told(at(1));
  book.seen(ADDRESS, true);
  book.hear(at(2), PLUGIN);
  expect(news(book)).toEqual([2]);
});

test('the bridge gives it up while it moves: it is new at the other port', () => {
  const book = told(at(1));
  book.hear(at(2, true), PLUGIN);
  book.left(ADDRESS, 1);
  expect(news(book)).toEqual([2]);
});

test('what the bridge has as its own before the kernel is told stays so', () => {
  const book = told();
  book.hear(at(1), PLUGIN);
  book.seen(ADDRESS, true);
  expect(news(book)).toEqual([]);
});

test('what the kernel refuses is forgotten, unless there is more of it', () => {
  const book = told();
  book.hear(at(1), PLUGIN);
  const [{ key }] = [...book.news()] as unknown as [{ key: string }];
  book.refused(key);
  expect(book.size).toBe(0);
  const moved = told(at(1));
  moved.hear(at(2, true), PLUGIN);
  moved.refused(key);
  expect(news(moved)).toEqual([2]);
});

test('what a plugin saw goes with it, and what others saw stays', () => {
  const book = told(at(1));
  const other = { ...at(2), mac: ADDRESS.mac + 1 };
  book.hear(other, 'other');
  expect(news(book)).toEqual([2]);
  // Seen by another plugin's hardware since.
  book.hear(at(3, true), 'other');
  expect(news(book)).toEqual([-1, 3]);
  book.forgetAll(PLUGIN);
  expect(news(book)).toEqual([]);
  book.forgetAll('other');
  expect(news(book).sort()).toEqual([-2, -3]);
  expect(book.size).toBe(0);
});

test('there is room for so many, and those that are there go on', () => {
  const book = new StationBook(2);
  const of = (mac: number, ifindex = 1) => ({ ...at(ifindex), mac });
  expect([of(2), of(4), of(6)].map((station) => book.hear(station, PLUGIN))).toEqual([true, true, false]);
  expect(news(book)).toEqual([1, 1]);
  expect(book.isFull).toBe(true);
  expect(book.hear(of(4, 3), PLUGIN)).toBe(true);
  expect(book.hear(of(2, 0), PLUGIN)).toBe(true);
  expect(news(book)).toEqual([-1, 3, -1]);
  expect(book.hear(of(6), PLUGIN)).toBe(true);
  book.forgetAll();
  expect(news(book)).toEqual([-3]);
  expect(book.size).toBe(0);
});
