/**
 * Changes as server-sent events, drawn from the journal at the reader's own pace: a slow reader costs nothing, and one that was
 * away goes on where it was (`Last-Event-ID`). Who asks for more than the journal has is told what is missing.
 */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Host } from '../host.ts';
import { KIND, KINDS, type Kind, type KindNumber, type ObjectId, objectCursor } from '../mirror/types.ts';
import { decodeObject } from '../netlink/decode.ts';
import type { ChangeTexts, ChangeView } from './change-texts.ts';
import type { Drawing, Turns } from './turns.ts';

export const EVENTS_TYPE = 'text/event-stream';

/** Characters made at a time. */
const CHUNK_CHARS = 64 * 1024;
/** Changes looked at in one turn; a reader may want few of them. */
const TURN_CHANGES = 512;
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

export class EventFeed extends Readable implements Drawing {
  readonly #host: Host;
  readonly #texts: ChangeTexts;
  readonly #turns: Turns;
  readonly #wanted = new Uint8Array(KINDS.length);
  readonly #cursor = objectCursor();
  readonly #unsubscribe: () => void;
  readonly #alive: NodeJS.Timeout;
  #next: number;
  #flowing = false;

  /** `texts` and `turns` are those of all readers of the server. */
  constructor(
    host: Host,
    { texts, turns }: { texts: ChangeTexts; turns: Turns },
    { kinds, since, epoch }: EventsFrom,
  ) {
    super({ encoding: 'utf8', highWaterMark: CHUNK_CHARS });
    this.#host = host;
    this.#texts = texts;
    this.#turns = turns;
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
    this.#turns.leave(this);
    clearInterval(this.#alive);
    callback(error);
  }

  /** After the transaction. */
  #schedule(): void {
    if (this.#flowing) this.#turns.ask(this);
  }

  draw(): boolean {
    if (this.destroyed || !this.#flowing) return false;
    const { journal } = this.#host;
    let text = '';
    if (this.#next < journal.oldest && this.#next <= journal.newest) {
      const lost = Math.min(journal.oldest, journal.newest + 1) - this.#next;
      text += `event: lost\ndata: {"lost":${lost}}\n\n`;
      this.#next += lost;
    }
    const end = Math.min(journal.newest, this.#next + TURN_CHANGES - 1);
    while (this.#next <= end && text.length < CHUNK_CHARS) text += this.#event(this.#next++);
    if (text !== '') this.#flowing = this.push(text);
    return this.#flowing && this.#next <= journal.newest;
  }

  #event(revision: number): string {
    const { journal } = this.#host;
    const entry = journal.entry(revision);
    if (entry === undefined || !this.#wanted[entry.kind]) return '';
    const { kind, id, isDelete, time } = entry;
    const body = this.#texts.of(revision, () => this.#view(kind, id, revision));
    if (body === undefined) return '';
    const operation = isDelete ? 'delete' : 'upsert';
    const head = `{"revision":${revision},"time":"${new Date(time).toISOString()}","operation":"${operation}"`;
    return `id: ${EPOCH}.${revision}\ndata: ${head},"kind":"${KINDS[kind]}","id":${id},${body}}\n\n`;
  }

  #view(kind: KindNumber, id: ObjectId, revision: number): ChangeView | undefined {
    const { journal, objects } = this.#host;
    if (!journal.open(revision, this.#cursor)) return undefined;
    const { bytes, start, end } = this.#cursor;
    return objects.view(kind, id, decodeObject(KINDS[kind]!, bytes, start, end));
  }

  #sendAlive(): void {
    if (this.#flowing) this.#flowing = this.push(': alive\n\n');
  }
}
