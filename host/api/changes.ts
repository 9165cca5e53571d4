/** A stream of changes and events, one JSON object a line, that drops lines rather than hold up the mirror. */
import { Readable } from 'node:stream';
import type { Host } from '../host.ts';
import { describeEvent, kindOfEvent } from '../iproute2/event.ts';
import { stringify } from '../iproute2/json.ts';
import type { NotifierRecord } from '../kernel/notifier/record.ts';
import { type ChangeSet, KIND, KINDS, type Kind, OPERATION_DELETE } from '../mirror/types.ts';
import type { ChangeTexts } from './change-texts.ts';

/** Characters that wait for a slow reader, and for all of them together. Beyond, lines are dropped and their number is told. */
const BACKLOG_CHARS = 4 * 1024 * 1024;
const BACKLOGS_CHARS = 64 * 1024 * 1024;
/** Events come one by one: so many characters of them are sent at once, or what there is at the end of a turn. */
const BATCH_CHARS = 64 * 1024;

export const SOURCES = ['netlink', 'notifier', 'all'] as const;
export type FeedSource = (typeof SOURCES)[number];

/** Characters that may wait for each of `readers`. */
export function backlogOf(readers: number): number {
  return Math.min(BACKLOG_CHARS, Math.floor(BACKLOGS_CHARS / readers));
}

export class ChangeFeed extends Readable {
  readonly #host: Host;
  readonly #texts: ChangeTexts;
  readonly #readers: () => number;
  readonly #ends: (() => void)[] = [];
  readonly #wanted = new Uint8Array(KINDS.length);
  /** Lines of changes say where they come from: others do so too. */
  readonly #isMixed: boolean;
  #waiting: string[] = [];
  #waitingChars = 0;
  #flowing = false;
  #lost = 0;
  /** Events the kernel's side lost that the reader has not been told of. */
  #overrun = 0;
  #batch = '';
  #batchIsScheduled = false;

  /** `texts` are those of all readers of the server, `readers` says how many there are; `kinds` empty: all. */
  constructor(
    host: Host,
    { texts, readers }: { readonly texts: ChangeTexts; readonly readers: () => number },
    { kinds, source }: { readonly kinds: readonly Kind[]; readonly source: FeedSource },
  ) {
    super({ encoding: 'utf8' });
    this.#host = host;
    this.#texts = texts;
    this.#readers = readers;
    this.#isMixed = source === 'all';
    this.#wanted.fill(kinds.length === 0 ? 1 : 0);
    for (const kind of kinds) this.#wanted[KIND[kind]] = 1;
    if (source !== 'notifier') this.#ends.push(host.mirror.subscribe((changes) => this.#changes(changes)));
    if (source === 'netlink' || host.events === undefined) return;
    const end = host.events.subscribe({
      record: (record) => this.#event(record),
      lost: (count) => this.#overran(count),
    });
    this.#ends.push(end);
  }

  #changes(changes: ChangeSet): void {
    this.#sendBatch();
    const backlog = backlogOf(this.#readers());
    // What was lost is told before what comes after it.
    let text = this.#waitingChars > backlog / 2 ? '' : this.#lostLine();
    const first = changes.revision - changes.length + 1;
    for (let index = 0; index < changes.length; index++) {
      const kind = changes.kinds[index]!;
      if (!this.#wanted[kind]) continue;
      if (this.#lost > 0 || this.#waitingChars + text.length > backlog) {
        this.#lost++;
        continue;
      }
      const revision = first + index;
      const body = this.#texts.of(revision, () => this.#host.object(kind, changes.ids[index]!));
      if (body === undefined) continue;
      const operation = changes.operations[index] === OPERATION_DELETE ? 'delete' : 'upsert';
      const source = this.#isMixed ? '"source":"netlink",' : '';
      text += `{${source}"revision":${revision},"operation":"${operation}","kind":"${KINDS[kind]}",${body}}\n`;
    }
    if (text !== '') this.#queue(text);
  }

  #event(record: NotifierRecord): void {
    if (!this.#wanted[KIND[kindOfEvent(record.event)]]) return;
    if (this.#isFull()) {
      this.#lost++;
      return;
    }
    const event = record.toEvent();
    const { event: name, netns, time, sequence, ...rest } = event;
    const text = describeEvent(event, this.#host.objects.context);
    // Numbers of 64 bits are digits: JSON's readers would round them.
    const wide = { netns: `${netns}`, time: `${time}`, sequence: `${sequence}` };
    this.#add(`${stringify({ source: 'notifier', event: name, text, ...rest, ...wide })}\n`);
  }

  /** Told in one line with what is lost until there is room for it. */
  #overran(count: number): void {
    this.#overrun += count;
    if (!this.#isFull()) this.#add('');
  }

  #isFull(): boolean {
    // After a loss there has to be some room first, or every other line would be one about a loss.
    const backlog = backlogOf(this.#readers());
    const limit = this.#lost > 0 || this.#overrun > 0 ? backlog / 2 : backlog;
    return this.#waitingChars + this.#batch.length > limit;
  }

  /** `lines` end in a newline; what was lost before them is told first. */
  #add(lines: string): void {
    this.#batch += this.#lostLine() + lines;
    if (this.#batch.length >= BATCH_CHARS) {
      this.#sendBatch();
    } else if (!this.#batchIsScheduled) {
      this.#batchIsScheduled = true;
      setImmediate(() => {
        this.#batchIsScheduled = false;
        this.#sendBatch();
      });
    }
  }

  #sendBatch(): void {
    const text = this.#batch;
    this.#batch = '';
    if (text !== '' && !this.destroyed) this.#queue(text);
  }

  #queue(text: string): void {
    if (this.#flowing) {
      this.#flowing = this.push(text);
    } else {
      this.#waiting.push(text);
      this.#waitingChars += text.length;
    }
  }

  override _read(): void {
    this.#flowing = true;
    while (this.#flowing && this.#waiting.length > 0) {
      const text = this.#waiting.shift()!;
      this.#waitingChars -= text.length;
      this.#flowing = this.push(text);
    }
    if (this.#flowing && (this.#lost > 0 || this.#overrun > 0)) this.#flowing = this.push(this.#lostLine());
  }

  #lostLine(): string {
    const [lost, overrun] = [this.#lost, this.#overrun];
    this.#lost = this.#overrun = 0;
    const line = lost === 0 ? '' : `{"lost":${lost}}\n`;
    return overrun === 0 ? line : `${line}${stringify({ source: 'notifier', overrun })}\n`;
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    for (const end of this.#ends) end();
    this.#waiting = [];
    this.#batch = '';
    callback(error);
  }
}
