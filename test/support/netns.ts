/** A network namespace of a test's own, with `ip` and its friends run in it. */
import { type ChildProcessByStdio, execFileSync, spawn, spawnSync } from 'node:child_process';
import type { Readable } from 'node:stream';
import { atExit } from './at-exit.ts';

const OUTPUT_MAX = 1 << 30;
let made = 0;

export interface BatchResult {
  /** What each command printed, parsed; undefined where it failed or printed nothing. */
  readonly answers: readonly (readonly Answer[] | undefined)[];
  /** Error text of the commands that failed, by number. */
  readonly errors: ReadonlyMap<number, string>;
}

export type Answer = { readonly [name: string]: unknown };

export class Netns {
  readonly name: string;
  readonly #forget: () => void;

  /** `name`: of one that is gone. */
  constructor(name = `ekho-${process.pid}-${++made}`) {
    this.name = name;
    execFileSync('ip', ['netns', 'add', this.name]);
    this.#forget = atExit(() => this.#end());
    this.ip('link set lo up');
  }

  /** Runs `ip WORDS` and throws when it fails. */
  ip(words: string): string {
    return this.run('ip', words.split(/\s+/));
  }

  run(command: string, words: readonly string[] = [], input?: string): string {
    return execFileSync('ip', ['netns', 'exec', this.name, command, ...words], {
      encoding: 'utf8',
      maxBuffer: OUTPUT_MAX,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(input !== undefined && { input }),
    });
  }

  /** Starts a command; the caller ends it. */
  launch(command: string, words: readonly string[] = []): ChildProcessByStdio<null, Readable, Readable> {
    return spawn('ip', ['netns', 'exec', this.name, command, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** `key=value` settings below /proc/sys. */
  sysctl(...settings: readonly string[]): void {
    this.run('sysctl', ['-qw', ...settings]);
  }

  /** Runs lines of `ip -batch` (or another command's), all of them whatever fails; the numbers, from 0, of those that failed. */
  batch(lines: readonly string[], command = 'ip', options: readonly string[] = []): Set<number> {
    const { stderr } = this.#batch(command, [...options, '-force', '-batch', '-'], lines);
    return new Set(failures(stderr).keys());
  }

  /** As `batch` without waiting for it; rejects when a line fails. */
  batchMeanwhile(lines: readonly string[]): Promise<void> {
    const child = spawn('ip', ['netns', 'exec', this.name, 'ip', '-force', '-batch', '-'], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(`${lines.join('\n')}\n`);
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => {
        if (code === 0) resolve();
        else reject(new Error(`ip -batch: ${stderr.slice(0, 1000)}`));
      });
    });
  }

  /** Runs lines of `ip -j -batch`. */
  query(lines: readonly string[], options: readonly string[] = []): BatchResult {
    const { stdout, stderr } = this.#batch('ip', [...options, '-j', '-force', '-batch', '-'], lines);
    const errors = failures(stderr);
    const printed = arraysOf(stdout);
    const answers = lines.map((_, line) => (errors.has(line) ? undefined : printed.shift()));
    return { answers, errors };
  }

  #batch(command: string, options: readonly string[], lines: readonly string[]) {
    const { stdout, stderr, error } = spawnSync('ip', ['netns', 'exec', this.name, command, ...options], {
      input: `${lines.join('\n')}\n`,
      encoding: 'utf8',
      maxBuffer: OUTPUT_MAX,
    });
    if (error !== undefined) throw error;
    return { stdout, stderr };
  }

  /** Gone from here on also when a process still holds it: its links are deleted first. */
  close(): void {
    this.#forget();
    try {
      execFileSync('ip', ['netns', 'del', this.name], { stdio: 'pipe' });
    } catch {
      // The test deleted it.
    }
  }

  /** With all that runs in it. */
  #end(): void {
    const { stdout } = spawnSync('ip', ['netns', 'pids', this.name], { encoding: 'utf8' });
    for (const pid of (stdout ?? '').split('\n').filter((line) => line !== '')) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It ended.
      }
    }
    this.close();
  }
}

/** What `-batch` says went wrong: its lines end in "Command failed -:N", counted from 1. */
function failures(stderr: string): Map<number, string> {
  const errors = new Map<number, string>();
  let said: string[] = [];
  for (const line of stderr.split('\n')) {
    const match = /^Command failed [^:]*:(\d+)$/.exec(line);
    if (match === null) said.push(line);
    else {
      errors.set(Number(match[1]) - 1, said.join('; '));
      said = [];
    }
  }
  return errors;
}

/** The JSON arrays that stand one after the other, each from the beginning of a line. */
function arraysOf(text: string): Answer[][] {
  const arrays: Answer[][] = [];
  let depth = 0;
  let start = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (quoted) {
      if (character === '\\') at++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '[' || character === '{') {
      if (depth++ === 0) start = at;
    } else if (character === ']' || character === '}') {
      if (--depth === 0) arrays.push(JSON.parse(text.slice(start, at + 1)));
    }
  }
  return arrays;
}
