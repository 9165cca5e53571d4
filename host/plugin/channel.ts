/**
 * Messages over a blocking stream socket between a plugin's process and the thread that speaks for it in the host. Each
 * is a type, the length of its body in bytes, then the body, padded to 8 bytes. What is put is kept until `flush` or
 * until there is much of it, so that a system call carries many small messages.
 */

import { readSync, writevSync } from 'node:fs';

/** The other side sent what no message can be. */
export class ChannelError extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'ChannelError';
  }
}

/** The other side is gone. */
export class ChannelClosed extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'ChannelClosed';
  }
}

const HEAD_SIZE = 8;
const INPUT_SIZE = 256 * 1024;
const OUTPUT_SIZE = 64 * 1024;

export class Channel {
  /** Of the message received last: its type, and where its body is in `bytes` (a multiple of 8). */
  type = 0;
  start = 0;
  length = 0;
  private readonly descriptor: number;
  private readonly bodyMax: number;
  private input: Uint8Array = new Uint8Array(INPUT_SIZE);
  private inputWords = new Uint32Array(this.input.buffer);
  /** What was received and not taken: from the end of the current message to `inputEnd`. */
  private next = 0;
  private inputEnd = 0;
  private readonly output = new Uint8Array(OUTPUT_SIZE);
  private readonly outputWords = new Uint32Array(this.output.buffer);
  private outputEnd = 0;

  /** @param bodyMax bytes of a message that are accepted */
  constructor(descriptor: number, bodyMax: number) {
    this.descriptor = descriptor;
    this.bodyMax = bodyMax;
  }

  /** What holds the current message: another buffer after each `receive`. */
  get bytes(): Uint8Array {
    return this.input;
  }

  /** The current message's body; valid until the next `receive`. */
  get body(): Uint8Array {
    return this.input.subarray(this.start, this.start + this.length);
  }

  /** The current message's body as words, of a whole number of them. */
  get words(): Uint32Array {
    return this.inputWords.subarray(this.start >>> 2, (this.start + this.length) >>> 2);
  }

  /** Whether `receive` would return without waiting. */
  get isReady(): boolean {
    const at = this.next >>> 2;
    return this.has(HEAD_SIZE) && this.has(HEAD_SIZE + padded(this.inputWords[at + 1]!));
  }

  /** Waits for the next message, whatever was put being sent first. @throws ChannelError, ChannelClosed */
  receive(): void {
    if (!this.isReady) this.flush();
    this.need(HEAD_SIZE);
    const at = this.next >>> 2;
    const length = this.inputWords[at + 1]!;
    if (length > this.bodyMax) throw new ChannelError(`a message of ${length} bytes`);
    this.type = this.inputWords[at]!;
    this.length = length;
    this.need(HEAD_SIZE + padded(length));
    this.start = this.next + HEAD_SIZE;
    this.next = this.start + padded(length);
  }

  /** Bytes of what was put and is not sent. */
  get unsent(): number {
    return this.outputEnd;
  }

  /** Puts a message whose body is the parts, one after the other. Parts are not kept. */
  put(type: number, ...parts: readonly Uint8Array[]): void {
    let length = 0;
    for (const part of parts) length += part.length;
    const size = HEAD_SIZE + padded(length);
    if (this.outputEnd + size > OUTPUT_SIZE) this.flush();
    const { output, outputWords } = this;
    const at = this.outputEnd;
    outputWords[at >>> 2] = type;
    outputWords[(at >>> 2) + 1] = length;
    if (at + size > OUTPUT_SIZE) {
      const padding = new Uint8Array(padded(length) - length);
      this.write([output.subarray(at, at + HEAD_SIZE), ...parts, padding]);
      return;
    }
    let to = at + HEAD_SIZE;
    for (const part of parts) {
      output.set(part, to);
      to += part.length;
    }
    this.outputEnd = at + size;
  }

  /** @throws ChannelClosed */
  flush(): void {
    if (this.outputEnd === 0) return;
    const all = this.output.subarray(0, this.outputEnd);
    this.outputEnd = 0;
    this.write([all]);
  }

  private write(parts: Uint8Array[]): void {
    let left = parts;
    while (left.length > 0) {
      let written: number;
      try {
        written = writevSync(this.descriptor, left);
      } catch (error) {
        throw new ChannelClosed((error as Error).message);
      }
      left = left.flatMap((part) => {
        const taken = Math.min(written, part.length);
        written -= taken;
        return taken === part.length ? [] : [part.subarray(taken)];
      });
    }
  }

  private has(size: number): boolean {
    return this.inputEnd - this.next >= size;
  }

  /** Reads until that many bytes of the next message are there. */
  private need(size: number): void {
    if (this.has(size)) return;
    if (this.next + size > this.input.length) this.makeRoom(size);
    while (!this.has(size)) {
      let count: number;
      try {
        count = readSync(this.descriptor, this.input, this.inputEnd, this.input.length - this.inputEnd, null);
      } catch (error) {
        throw new ChannelClosed((error as Error).message);
      }
      if (count === 0) throw new ChannelClosed('the end of the stream');
      this.inputEnd += count;
    }
  }

  private makeRoom(size: number): void {
    const rest = this.input.subarray(this.next, this.inputEnd);
    if (size > this.input.length) {
      this.input = new Uint8Array(2 ** Math.ceil(Math.log2(size)));
      this.inputWords = new Uint32Array(this.input.buffer);
      this.input.set(rest);
    } else this.input.copyWithin(0, this.next, this.inputEnd);
    this.next = 0;
    this.inputEnd = rest.length;
  }
}

function padded(length: number): number {
  return (length + 7) & ~7;
}
