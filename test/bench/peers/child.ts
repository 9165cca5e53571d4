/** A process that is measured: in a namespace, with its lines, its memory and its CPU time. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';

/** CLOCKS_PER_SEC of /proc, in Hz. */
const TICKS = 100;
const STOP_MS = 20_000;
const OUTPUT_MAX = 8192;

/** Memory that the process and its children have resident, in bytes; what they share counts for each. Throws once it ended. */
export function residentOf(pid: number): number {
  return sum(family(pid), (member) => {
    const kilobytes = /^Rss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${member}/smaps_rollup`, 'utf8'));
    return Number(kilobytes![1]) * 1024;
  });
}

/** CPU time of all threads of the process and its children, in seconds. Throws once it ended. */
export function cpuOf(pid: number): number {
  return sum(family(pid), cpuOfOne);
}

function sum(numbers: readonly number[], of: (number: number) => number): number {
  return numbers.reduce((total, number) => total + of(number), 0);
}

/** The process, its children and theirs. */
function family(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    try {
      const numbers = readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1');
      return numbers.split(' ').filter(Boolean).map(Number);
    } catch {
      // The thread ended; its children are another's now.
      return [];
    }
  });
  return [pid, ...children.flatMap(family)];
}

function cpuOfOne(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // proc(5): utime and stime are the fields 14 and 15.
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

export class Child {
  /** The end of what it wrote that nobody waited for. */
  output = '';
  /** Lines of its output up to now. */
  lines = 0;
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ended: Promise<string>;
  #end: string | undefined;
  #rest = '';
  #waiting: { readonly word: string; resolve(line: string): void; reject(error: Error): void } | undefined;

  /** `ip netns exec` becomes the command, so the process is the command's own. */
  constructor(netns: string, command: string, words: readonly string[]) {
    this.#process = spawn('ip', ['netns', 'exec', netns, command, ...words], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Numbers and words are looked for.
      env: { ...process.env, LC_ALL: 'C' },
    });
    this.#process.stdin.on('error', () => {});
    this.#process.stdout.setEncoding('latin1').on('data', (text: string) => this.#read(text));
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => this.#keep(text));
    this.#ended = new Promise((resolve) => {
      this.#process.on('error', (error) => resolve(error.message));
      this.#process.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    void this.#ended.then((why) => {
      this.#end = why;
      this.#waiting?.reject(new Error(`${command} ended: ${why}: ${this.output.trim()}`));
    });
  }

  get pid(): number {
    return this.#process.pid!;
  }

  /** How it ended; undefined while it runs. */
  get end(): string | undefined {
    return this.#end;
  }

  get ended(): Promise<string> {
    return this.#ended;
  }

  /** The next line that begins with the word; one at a time. Rejects when the process ends first. */
  line(word: string): Promise<string> {
    if (this.#end !== undefined) return Promise.reject(new Error(`ended: ${this.#end}: ${this.output}`));
    return new Promise((resolve, reject) => {
      this.#waiting = { word, resolve, reject };
    });
  }

  /** Writes a line, and resolves to the number in the answer that begins with the word. */
  async ask(line: string, word: string): Promise<number> {
    const answer = this.line(word);
    this.#process.stdin.write(`${line}\n`);
    return Number((await answer).split(' ')[1]);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#end === undefined) this.#process.kill(signal);
  }

  async stop(): Promise<void> {
    this.#process.stdin.end();
    this.signal('SIGCONT');
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), STOP_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    this.lines += lines.length;
    const waiting = this.#waiting;
    const found = waiting && lines.find((line) => line.startsWith(waiting.word));
    if (found !== undefined) {
      this.#waiting = undefined;
      waiting!.resolve(found);
    } else this.#keep(text.slice(-OUTPUT_MAX));
  }

  #keep(text: string): void {
    this.output = (this.output + text).slice(-OUTPUT_MAX);
  }
}
