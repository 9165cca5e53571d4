/** Pieces of events that readers share, of a real mirror's changes: what is kept of them has a limit; and a feed that has ended is done. */
import { beforeEach, expect, it } from 'vitest';
import { ChangeTexts } from '../../../host/api/change-texts.ts';
import { EventFeed } from '../../../host/api/events.ts';
import { Frames } from '../../../host/api/frames.ts';
import { Turns } from '../../../host/api/turns.ts';
import { Journal } from '../../../host/mirror/journal.ts';
import { Mirror } from '../../../host/mirror/mirror.ts';
import { KIND, KINDS } from '../../../host/mirror/types.ts';
import { Objects } from '../../../host/objects.ts';

const LIMITS = { changes: 64, bytes: 64 * 1024 };
const KEPT_BYTES = 8 * 1024 * 1024;
/** A piece's name, its memory and the view of it, at least. */
const PIECE_BYTES_MIN = 256;

const ALL = new Uint8Array(KINDS.length).fill(1);
const NONE = new Uint8Array(KINDS.length);

let host: { mirror: Mirror; journal: Journal; objects: Objects };
let frames: Frames;

beforeEach(() => {
  const mirror = new Mirror();
  const objects = new Objects(mirror, () => []);
  host = { mirror, journal: new Journal(mirror, LIMITS), objects };
  frames = new Frames(host, new ChangeTexts());
  frames.enter();
});

/** A new link, in a transaction of its own. */
function change(index: number): void {
  const words = new Uint32Array([0, index, 0, 0]);
  const data = { bytes: new Uint8Array(words.buffer), words };
  const table = host.mirror.table(KIND.link);
  table.insert(table.match(data, 0, words.byteLength)!.hash, data, 0, words.byteLength);
  host.mirror.commit();
}

/** How many of `count` pieces, of which each has a name of its own, are still there when the last was made. */
function keptOf(count: number, wanted: Uint8Array): number {
  const made = Array.from({ length: count }, (_, n) => frames.at(1, `${n}`, wanted));
  let kept = 0;
  while (kept < count && frames.at(1, `${count - 1 - kept}`, wanted) === made[count - 1 - kept]) kept++;
  return kept;
}

it('keeps as many empty pieces as its limit has room for what each takes', () => {
  change(1);
  const kept = keptOf(40_000, NONE);
  expect(kept).toBeGreaterThan(1_000);
  expect(kept).toBeLessThan(KEPT_BYTES / PIECE_BYTES_MIN);
});

it('keeps no memory beside a piece’s own', () => {
  change(1);
  const { bytes } = frames.at(1, 'all', ALL);
  expect(bytes.toString()).toMatch(/^id: [\w-]+\.1\ndata: \{"revision":1,.*"kind":"link".*\}\n\n$/);
  expect(bytes.buffer.byteLength).toBe(bytes.length);
});

it('keeps no piece that the journal has nothing of any more', () => {
  change(1);
  const first = frames.at(1, 'all', ALL);
  expect(frames.at(1, 'all', ALL)).toBe(first);
  for (let index = 2; index <= LIMITS.changes + 2; index++) change(index);
  expect(host.journal.oldest).toBeGreaterThan(first.next);
  frames.at(host.journal.newest, 'all', ALL);
  expect(frames.at(1, 'all', ALL)).not.toBe(first);
});

it('a feed that has ended is done, whatever there is to tell', () => {
  const feed = new EventFeed(host, { frames, turns: new Turns(() => false) }, { kinds: [] });
  // It has room for more.
  feed.read();
  change(1);
  feed.destroy();
  expect(feed.draw()).toBe(false);
});
