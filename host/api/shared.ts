/** One answer for all who ask within a moment: what many dashboards ask again and again is found out once. */

export class Shared<T> {
  readonly #find: () => T | Promise<T>;
  readonly #age_ms: number;
  #answer: Promise<T> | undefined;
  #at = Number.NEGATIVE_INFINITY;

  /** The answer of `find` is given for `age_ms` after it was asked for; one that failed is not kept. */
  constructor(find: () => T | Promise<T>, age_ms: number) {
    this.#find = find;
    this.#age_ms = age_ms;
  }

  get(now = performance.now()): Promise<T> {
    if (this.#answer !== undefined && now - this.#at < this.#age_ms) return this.#answer;
    this.#at = now;
    const answer = Promise.resolve().then(this.#find);
    this.#answer = answer;
    answer.catch(() => {
      if (this.#answer === answer) this.#answer = undefined;
    });
    return answer;
  }
}
