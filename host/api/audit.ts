/** Who changed what through the API: a line in the host's log each, and the last of them for whoever asks. */

export interface AuditLine {
  /** ISO 8601. */
  readonly time: string;
  readonly caller: string;
  /** Method and path. */
  readonly request: string;
  /** HTTP status of the answer. */
  readonly status: number;
}

/** Lines that are kept. */
const LINES_MAX = 200;

export class Audit {
  readonly #lines: AuditLine[] = [];
  readonly #say: (caller: string, request: string, status: number) => void;

  /** `log` is told of each. */
  constructor(log: (caller: string, request: string, status: number) => void) {
    this.#say = log;
  }

  note(caller: string, request: string, status: number): void {
    this.#lines.push({ time: new Date().toISOString(), caller, request, status });
    if (this.#lines.length > LINES_MAX) this.#lines.shift();
    this.#say(caller, request, status);
  }

  /** Oldest first. */
  lines(): readonly AuditLine[] {
    return this.#lines;
  }
}
