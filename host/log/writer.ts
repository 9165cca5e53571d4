/**
 * Lines to a file descriptor without ever waiting for its reader. What the reader does not take waits, up to a limit; beyond, new
 * lines are dropped and counted, and once all that waited is written a line says how many. So it is with a full disk and a closed terminal.
 */
import { writeSync } from 'node:fs';
import koffi from 'koffi';

/** Bytes that wait for a reader at most. */
export const WAITING_MAX = 256 * 1024;
/** A pipe that poll(2) calls writable takes this much without waiting (pipe(7): PIPE_BUF). */
const CHUNK = 4096;
/** How often a reader that was too slow is tried again, in milliseconds. */
const RETRY_MS = 50;
/** poll(2). */
const POLLOUT = 0x4;

const libc = koffi.load(null);
const poll = libc.func('int poll(_Inout_ uint8_t *fds, unsigned long count, int timeout)') as unknown as (
  fds: Buffer,
  count: number,
  timeout: number,
) => number;

export class LineWriter {
  /** Lines that were dropped since the start. */
  dropped = 0;
  readonly #fd: number;
  readonly #lostText: (lines: number) => string;
  readonly #waiting: Buffer[] = [];
  /** Bytes in `#waiting`, and how many of the first line are written. */
  #bytes = 0;
  #at = 0;
  /** Dropped and not yet told of. */
  #untold = 0;
  #timer: NodeJS.Timeout | undefined;
  /** struct pollfd. */
  readonly #poll = Buffer.alloc(8);

  /** `lostText` is the line (with its end) that tells of lines that were dropped. */
  constructor(fd: number, lostText: (lines: number) => string) {
    this.#fd = fd;
    this.#lostText = lostText;
    this.#poll.writeInt32LE(fd, 0);
    this.#poll.writeInt16LE(POLLOUT, 4);
  }

  /** `text` ends with a line feed. */
  write(text: string): void {
    const line = Buffer.from(text);
    if (this.#bytes + line.length > WAITING_MAX) {
      this.#drop();
      return;
    }
    this.#waiting.push(line);
    this.#bytes += line.length;
    if (this.#timer === undefined) this.#flush();
  }

  /** Gives a reader a last chance to take what waits. */
  close(limit_ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const until = performance.now() + limit_ms;
    while (this.#waiting.length > 0 && performance.now() < until) {
      this.#isWritable(Math.min(100, limit_ms));
      this.#flush();
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }

  #flush(): void {
    while (this.#waiting.length > 0) {
      if (!this.#isWritable(0) || !this.#writeChunk()) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#flush();
        }, RETRY_MS);
        // A log that nobody reads is no reason to go on.
        this.#timer.unref();
        return;
      }
    }
    if (this.#untold > 0) {
      const lines = this.#untold;
      this.#untold = 0;
      this.write(this.#lostText(lines));
    }
  }

  /** False: the reader has to take something first. */
  #writeChunk(): boolean {
    const line = this.#waiting[0]!;
    try {
      this.#at += writeSync(this.#fd, line, this.#at, Math.min(CHUNK, line.length - this.#at));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
      // A full disk, or a terminal or reader that is gone, must not end the host.
      this.#at = line.length;
      this.dropped++;
    }
    if (this.#at === line.length) {
      this.#waiting.shift();
      this.#bytes -= line.length;
      this.#at = 0;
    }
    return true;
  }

  #isWritable(timeout_ms: number): boolean {
    this.#poll.writeInt16LE(0, 6);
    poll(this.#poll, 1, timeout_ms);
    // Errors and a reader that is gone are for the write to find.
    return this.#poll.readInt16LE(6) !== 0;
  }

  #drop(): void {
    this.dropped++;
    this.#untold++;
  }
}
