/**
 * Changes as server-sent events, drawn from the journal at the reader's own pace: a slow reader costs nothing, and one that was
 * away goes on where it was (`Last-Event-ID`). Who asks for more than the journal has is told what is missing.
 */
import { Readable } from 'node:stream';
import type { Host } from '../host.ts';
import { KIND, KINDS, type Kind } from '../mirror/types.ts';
import { EPOCH, type Frames } from './frames.ts';
import type { Drawing, Turns } from './turns.ts';

export const EVENTS_TYPE = 'text/event-stream';

/** Bytes sent in one turn. */
const TURN_BYTES = 64 * 1024;
/** Pieces looked at in one turn; a reader may want little of them. */
const TURN_FRAMES = 4;
/** Without changes, a sign of life this often: proxies and readers take silence for an end. */
const ALIVE_MS = 5_000;

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

export class EventFeed extends Readable implements Drawing {
  readonly #host: Pick<Host, 'journal' | 'mirror'>;
  readonly #frames: Frames;
  readonly #turns: Turns;
  readonly #wanted = new Uint8Array(KINDS.length);
  /** Names the kinds that are wanted. */
  readonly #selection: string;
  readonly #unsubscribe: () => void;
  readonly #alive: NodeJS.Timeout;
  #next: number;
  #flowing = false;

  /** `frames` and `turns` are those of all readers of the server. */
  constructor(
    host: Pick<Host, 'journal' | 'mirror'>,
    { frames, turns }: { frames: Frames; turns: Turns },
    { kinds, since, epoch }: EventsFrom,
  ) {
    super({ highWaterMark: TURN_BYTES });
    this.#host = host;
    this.#frames = frames;
    this.#turns = turns;
    this.#wanted.fill(kinds.length === 0 ? 1 : 0);
    for (const kind of kinds) this.#wanted[KIND[kind]] = 1;
    this.#selection = this.#wanted.join('');
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
    frames.enter();
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
    this.#turns.leave(this);
    this.#frames.leave();
    clearInterval(this.#alive);
    callback(error);
  }

  /** After the transaction. */
  #schedule(): void {
    if (this.#flowing) this.#turns.ask(this);
  }

  draw(): boolean {
    let left = TURN_BYTES;
    for (let count = 0; count < TURN_FRAMES && left > 0 && this.#hasMore(); count++) {
      this.#tellLost();
      if (!this.#hasMore()) break;
      const { bytes, next } = this.#frames.at(this.#next, this.#selection, this.#wanted);
      this.#next = next;
      left -= bytes.length;
      if (bytes.length > 0) this.#flowing = this.push(bytes);
    }
    return this.#hasMore();
  }

  #hasMore(): boolean {
    return !this.destroyed && this.#flowing && this.#next <= this.#host.journal.newest;
  }

  #tellLost(): void {
    const { journal } = this.#host;
    const lost = journal.oldest - this.#next;
    if (lost <= 0) return;
    this.#next += lost;
    this.#flowing = this.push(`event: lost\ndata: {"lost":${lost}}\n\n`);
  }

  #sendAlive(): void {
    if (this.#flowing) this.#flowing = this.push(': alive\n\n');
  }
}
