/** Which blocks of this project's code ran, as V8 counts them: what tells an input that reaches something new from one that does not. */
import { type Profiler, Session } from 'node:inspector';

const ROOT = new URL('../../', import.meta.url).href;
/** The product's own folders. */
const COUNTED = ['host/', 'bpf/', 'plugins/'].map((folder) => ROOT + folder);

export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  constructor() {
    this.#session.connect();
    this.#post('Profiler.enable', {});
    // Counts start anew with each answer.
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Blocks seen up to now. */
  get size(): number {
    return this.#seen.size;
  }

  /** Takes what ran since the last call: the blocks that never ran before. */
  take(): Set<string> {
    const fresh = new Set<string>();
    for (const block of this.#ran()) {
      if (this.#seen.has(block)) continue;
      this.#seen.add(block);
      fresh.add(block);
    }
    return fresh;
  }

  /** Takes what ran since the last call, and removes it from the blocks; whether any of them was there. */
  strike(blocks: Set<string>): boolean {
    const before = blocks.size;
    for (const block of this.#ran()) blocks.delete(block);
    return blocks.size < before;
  }

  *#ran(): Generator<string> {
    const { result } = this.#post(
      'Profiler.takePreciseCoverage',
      {},
    ) as Profiler.TakePreciseCoverageReturnType;
    for (const { url, scriptId, functions } of result) {
      if (!COUNTED.some((folder) => url.startsWith(folder))) continue;
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges)
          if (count > 0) yield `${scriptId}:${startOffset}:${endOffset}`;
    }
  }

  close(): void {
    this.#post('Profiler.stopPreciseCoverage', {});
    this.#session.disconnect();
  }

  /** Within the process, the answer is there when the call returns. */
  #post(method: string, parameters: object): unknown {
    let answer: unknown;
    this.#session.post(method, parameters, (error, result) => {
      if (error) throw error;
      answer = result;
    });
    return answer;
  }
}
