/** Changes in words and JSON, made once for all readers of a server: what costs is the same for each of them. */
import { type Json, stringify } from '../iproute2/json.ts';

/** Changes whose texts are kept. */
const KEPT = 8_192;
/** Longer ones are made again for each reader, so that all that are kept have a limit, too: 16 MiB of characters. */
const TEXT_MAX = 2_048;

export interface ChangeView {
  readonly text: string;
  readonly json: Json;
}

export class ChangeTexts {
  readonly #revisions = new Float64Array(KEPT);
  readonly #texts: string[] = new Array(KEPT).fill('');

  /** The members `text` and `object` of a change as they stand in JSON; `view` is asked when nobody has asked before. */
  of(revision: number, view: () => ChangeView | undefined): string | undefined {
    const slot = revision % KEPT;
    if (this.#revisions[slot] === revision) return this.#texts[slot]!;
    const made = view();
    if (made === undefined) return undefined;
    const text = `"text":${JSON.stringify(made.text)},"object":${stringify(made.json)}`;
    if (text.length <= TEXT_MAX) {
      this.#revisions[slot] = revision;
      this.#texts[slot] = text;
    }
    return text;
  }
}
