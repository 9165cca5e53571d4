/** Who changed what through the API: a line in the host's log each, and the last of them for whoever asks. */

export interface AuditLine {
  /** ISO 8601. */
  readonly time: string;
  readonly caller: string;
  /** Address, or on a unix socket `uid N pid N`. */
  readonly from: string;
  /** Method and path. */
  readonly request: string;
  /** The request's body, where it says what changed: JSON, cut off at CHANGE_MAX characters. */
  readonly change?: string;
  /** HTTP status of the answer. */
  readonly status: number;
}

/** Lines that are kept. */
const LINES_MAX = 200;
const CHANGE_MAX = 256;
/** Of requests that were refused for want of a right: they must not push out what was done. */
const REFUSED: ReadonlySet<number> = new Set([401, 403, 429]);

export class Audit {
  readonly #lines: AuditLine[] = [];
  readonly #say: (line: AuditLine) => void;

  /** `log` is told of each. */
  constructor(log: (line: AuditLine) => void) {
    this.#say = log;
  }

  note({ body, ...what }: Omit<AuditLine, 'time' | 'change'> & { readonly body?: unknown }): void {
    const change = body === undefined ? {} : { change: cut(JSON.stringify(body)) };
    const line = { time: new Date().toISOString(), ...what, ...change };
    this.#lines.push(line);
    if (this.#lines.length > LINES_MAX) {
      const refused = this.#lines.findIndex(({ status }) => REFUSED.has(status));
      this.#lines.splice(Math.max(0, refused), 1);
    }
    this.#say(line);
  }

  /** Oldest first. */
  lines(): readonly AuditLine[] {
    return this.#lines;
  }
}

function cut(text: string): string {
  return text.length > CHANGE_MAX ? `${text.slice(0, CHANGE_MAX - 1)}…` : text;
}
