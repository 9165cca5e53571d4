/** Numbers of the last minutes, one row a second, in rings that never grow. */

/** Rows that are kept: ten minutes. */
export const ROWS_MAX = 600;

export class Series<Name extends string> {
  readonly names: readonly Name[];
  readonly #times = new Float64Array(ROWS_MAX);
  readonly #columns: readonly Float64Array[];
  #count = 0;

  constructor(names: readonly Name[]) {
    this.names = names;
    this.#columns = names.map(() => new Float64Array(ROWS_MAX));
  }

  /** `time`: milliseconds since 1970, later than the row before. NaN stands for what was not measured. */
  add(time: number, row: Readonly<Record<Name, number>>): void {
    const at = this.#count++ % ROWS_MAX;
    this.#times[at] = time;
    for (const [column, name] of this.names.entries()) this.#columns[column]![at] = row[name];
  }

  /** The rows after `since`, oldest first, as columns; null for what was not measured. */
  after(since: number): { times: number[]; columns: Record<Name, (number | null)[]> } {
    const times: number[] = [];
    const places: number[] = [];
    for (let row = Math.max(0, this.#count - ROWS_MAX); row < this.#count; row++) {
      const time = this.#times[row % ROWS_MAX]!;
      if (time <= since) continue;
      times.push(time);
      places.push(row % ROWS_MAX);
    }
    const columns = {} as Record<Name, (number | null)[]>;
    for (const [column, name] of this.names.entries()) {
      const values = this.#columns[column]!;
      columns[name] = places.map((at) => (Number.isNaN(values[at]) ? null : values[at]!));
    }
    return { times, columns };
  }
}
