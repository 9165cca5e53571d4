/**
 * Changes as server-sent events, a piece of the journal at a time, made once for all readers that want the same kinds: each sends the very
 * bytes that the others do, so that many readers cost little more than the writing.
 */
import { randomBytes } from 'node:crypto';
import type { Host } from '../host.ts';
import { KINDS, type KindNumber, type ObjectId, objectCursor } from '../mirror/types.ts';
import { decodeObject } from '../netlink/decode.ts';
import type { ChangeTexts, ChangeView } from './change-texts.ts';

/** Tells this run of the host from others: revisions begin anew with each. */
export const EPOCH = randomBytes(6).toString('base64url');

/** Changes in a piece. Pieces end at multiples of it: readers that began at different changes soon have the same pieces. */
const SPAN = 512;
/** Characters after which a piece ends, too. */
const PIECE_CHARS = 64 * 1024;
/** Bytes of pieces that are kept; the ones made first go first. */
const KEPT_BYTES = 8 * 1024 * 1024;
/** What a piece takes beside its bytes, however few these are. */
const PIECE_BYTES = 512;
const NOTHING = Buffer.alloc(0);

export interface Frame {
  /** Never written to. Empty: the reader wants none of these changes. */
  readonly bytes: Buffer;
  /** The revision after the last of the piece. */
  readonly next: number;
}

export class Frames {
  readonly #host: Pick<Host, 'journal' | 'objects'>;
  readonly #texts: ChangeTexts;
  readonly #cursor = objectCursor();
  /** By `kinds/first revision`. */
  readonly #frames = new Map<string, Frame>();
  #keptBytes = 0;
  #readers = 0;

  constructor(host: Pick<Host, 'journal' | 'objects'>, texts: ChangeTexts) {
    this.#host = host;
    this.#texts = texts;
  }

  enter(): void {
    this.#readers++;
  }

  /** Nothing is kept for nobody. */
  leave(): void {
    if (--this.#readers > 0) return;
    this.#frames.clear();
    this.#keptBytes = 0;
  }

  /**
   * The changes from revision `first` on, which the journal has, of the kinds that are not 0 in `wanted`; `selection` is a name of these.
   */
  at(first: number, selection: string, wanted: Uint8Array): Frame {
    const key = `${selection}/${first}`;
    const known = this.#frames.get(key);
    if (known !== undefined) return known;
    const frame = this.#make(first, wanted);
    this.#frames.set(key, frame);
    this.#keptBytes += frame.bytes.length + PIECE_BYTES;
    const { oldest } = this.#host.journal;
    for (const [name, { bytes, next }] of this.#frames) {
      // Nobody asks any more for what the journal has forgotten.
      if (this.#keptBytes <= KEPT_BYTES && next > oldest) break;
      this.#frames.delete(name);
      this.#keptBytes -= bytes.length + PIECE_BYTES;
    }
    return frame;
  }

  #make(first: number, wanted: Uint8Array): Frame {
    const end = Math.min(this.#host.journal.newest, first - (first % SPAN) + SPAN - 1);
    let text = '';
    let next = first;
    while (next <= end && text.length < PIECE_CHARS) text += this.#event(next++, wanted);
    return { bytes: bytesOf(text), next };
  }

  #event(revision: number, wanted: Uint8Array): string {
    const entry = this.#host.journal.entry(revision);
    if (entry === undefined || !wanted[entry.kind]) return '';
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
}

/** Memory of its own: a slice of one that is shared would keep all of that. */
function bytesOf(text: string): Buffer {
  if (text === '') return NOTHING;
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}
