/**
 * Changes as server-sent events, drawn from the journal at the reader's own pace: a slow reader costs nothing, and one that was
 * away goes on where it was (`Last-Event-ID`). Who asks for more than the journal has is told what is missing.
 */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Host } from '../host.ts';
import { stringify } from '../iproute2/json.ts';
import { KIND, KINDS, type Kind, objectCursor } from '../mirror/types.ts';
import { decodeObject } from '../netlink/decode.ts';

export const EVENTS_TYPE = 'text/event-stream';

/** Characters made at a time. */
const CHUNK_CHARS = 64 * 1024;
/** Longest time one reader holds the event loop, in milliseconds. */
const SLICE_MS = 5;
/** Without changes, a sign of life this often: proxies and readers take silence for an end. */
const ALIVE_MS = 5_000;

/** Tells this run of the host from others: revisions begin anew with each. */
export const EPOCH = randomBytes(6).toString('base64url');

export interface EventsFrom {
  /** Empty: all. */
  readonly kinds: readonly Kind[];
  /** The change after this revision comes first; undefined: the next one. */
  readonly since?: number | undefined;
  /** Of the run in which the reader saw `since`. */
  readonly epoch?: string | undefined;
}

/** `EPOCH.REVISION` as events carry it, or a revision alone. */
export function parseEventId(text: string): { epoch?: string; since: number } | undefined {
  const match = /^(?:([A-Za-z0-9_-]{1,16})\.)?(\d{1,15})$/.exec(text);
  if (match === null) return undefined;
  return { since: Number(match[2]), ...(match[1] !== undefined && { epoch: match[1] }) };
}

export class EventFeed extends Readable {
  readonly #host: Host;
  readonly #wanted = new Uint8Array(KINDS.length);
  readonly #cursor = objectCursor();
  readonly #unsubscribe: () => void;
  readonly #alive: NodeJS.Timeout;
  #next: number;
  #flowing = false;
  #isScheduled = false;

  constructor(host: Host, { kinds, since, epoch }: EventsFrom) {
    super({ encoding: 'utf8', highWaterMark: CHUNK_CHARS });
    this.#host = host;
    this.#wanted.fill(kinds.length === 0 ? 1 : 0);
    for (const kind of kinds) this.#wanted[KIND[kind]] = 1;
    const { journal } = host;
    const isKnown = since !== undefined && since <= journal.newest && (epoch ?? EPOCH) === EPOCH;
    this.#next = (isKnown ? since : journal.newest) + 1;
    const hello = {
      epoch: EPOCH,
      revision: journal.newest,
      oldest: journal.oldest,
      // The reader has to read anew what it shows.
      reset: since !== undefined && !isKnown,
    };
    this.push(`retry: 1000\nevent: hello\ndata: ${JSON.stringify(hello)}\n\n`);
    this.#unsubscribe = host.mirror.subscribe(() => this.#schedule());
    this.#alive = setInterval(() => this.#sendAlive(), ALIVE_MS);
    this.#alive.unref();
  }

  override _read(): void {
    this.#flowing = true;
    this.#schedule();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#unsubscribe();
    clearInterval(this.#alive);
    callback(error);
  }

  /** After the transaction, and after others had their turn. */
  #schedule(): void {
    if (!this.#flowing || this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.destroyed) this.#draw();
    });
  }

  #draw(): void {
    const { journal } = this.#host;
    const sliceEnd = performance.now() + SLICE_MS;
    let text = '';
    if (this.#next < journal.oldest && this.#next <= journal.newest) {
      const lost = Math.min(journal.oldest, journal.newest + 1) - this.#next;
      text += `event: lost\ndata: {"lost":${lost}}\n\n`;
      this.#next += lost;
    }
    while (this.#next <= journal.newest && text.length < CHUNK_CHARS && performance.now() < sliceEnd) {
      text += this.#event(this.#next++);
    }
    if (text !== '') this.#flowing = this.push(text);
    if (this.#next <= journal.newest) this.#schedule();
  }

  #event(revision: number): string {
    const { journal, objects } = this.#host;
    const entry = journal.entry(revision);
    if (entry === undefined || !this.#wanted[entry.kind] || !journal.open(revision, this.#cursor)) return '';
    const { bytes, start, end } = this.#cursor;
    const object = decodeObject(KINDS[entry.kind]!, bytes, start, end);
    const { text, json } = objects.view(entry.kind, entry.id, object);
    const line = {
      revision,
      time: new Date(entry.time).toISOString(),
      operation: entry.isDelete ? 'delete' : 'upsert',
      kind: KINDS[entry.kind]!,
      id: entry.id,
      text,
      object: json,
    };
    return `id: ${EPOCH}.${revision}\ndata: ${stringify(line)}\n\n`;
  }

  #sendAlive(): void {
    if (this.#flowing && !this.#isScheduled) this.#flowing = this.push(': alive\n\n');
  }
}
