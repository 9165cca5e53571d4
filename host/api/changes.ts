/** A stream of changes, one JSON object a line, that drops changes rather than hold up the mirror. */
import { Readable } from 'node:stream';
import type { Host } from '../host.ts';
import { stringify } from '../iproute2/json.ts';
import { type ChangeSet, KIND, KINDS, type Kind, OPERATION_DELETE } from '../mirror/types.ts';

/** Characters that wait for a slow reader. Beyond, changes are dropped and their number is told. */
const BACKLOG_CHARS = 4 * 1024 * 1024;

export class ChangeFeed extends Readable {
  readonly #end: () => void;
  #waiting: string[] = [];
  #waitingChars = 0;
  #flowing = false;
  #lost = 0;

  /** `kinds` empty: all. */
  constructor(host: Host, kinds: readonly Kind[]) {
    super({ encoding: 'utf8' });
    const wanted = new Uint8Array(KINDS.length).fill(kinds.length === 0 ? 1 : 0);
    for (const kind of kinds) wanted[KIND[kind]] = 1;
    this.#end = host.mirror.subscribe((changes) => this.#take(host, changes, wanted));
  }

  #take(host: Host, changes: ChangeSet, wanted: Uint8Array): void {
    // What was lost is told before what comes after it.
    let text = this.#waitingChars > BACKLOG_CHARS / 2 ? '' : this.#lostLine();
    const first = changes.revision - changes.length + 1;
    for (let index = 0; index < changes.length; index++) {
      const kind = changes.kinds[index]!;
      if (!wanted[kind]) continue;
      if (this.#lost > 0 || this.#waitingChars + text.length > BACKLOG_CHARS) {
        this.#lost++;
        continue;
      }
      const operation = changes.operations[index] === OPERATION_DELETE ? 'delete' : 'upsert';
      const object = host.object(kind, changes.ids[index]!);
      if (object === undefined) continue;
      const line = {
        revision: first + index,
        operation,
        kind: KINDS[kind],
        text: object.text,
        object: object.json,
      };
      text += `${stringify(line)}\n`;
    }
    if (text !== '') this.#queue(text);
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
    if (this.#flowing && this.#lost > 0) this.#flowing = this.push(this.#lostLine());
  }

  #lostLine(): string {
    const lost = this.#lost;
    this.#lost = 0;
    return lost === 0 ? '' : `{"lost":${lost}}\n`;
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#end();
    this.#waiting = [];
    callback(error);
  }
}
