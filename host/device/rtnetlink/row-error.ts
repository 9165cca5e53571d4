/** A row that is not carried out, without the kernel having been asked. */
export class RowError extends Error {
  /** Index in `rtnetlink.status`. */
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}
