/** A control group that limits a process's memory, as service managers and containers make them; of either version of the kernel's interface. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from '../support/host.ts';

const ROOT = '/sys/fs/cgroup';
/** A group whose process just ended cannot be removed at once. */
const REMOVE_TRIES = 100;

/** Names of files: what may be used, and how often more was wanted. */
const FILES = {
  1: { limit: 'memory.limit_in_bytes', events: 'memory.failcnt', times: /^(\d+)/ },
  2: { limit: 'memory.max', events: 'memory.events', times: /^max (\d+)/m },
} as const;

export class MemoryGroup {
  readonly #parent: string;
  readonly #path: string;
  readonly #files: (typeof FILES)[1 | 2];

  private constructor(parent: string, version: 1 | 2, name: string) {
    this.#parent = parent;
    this.#path = join(parent, name);
    this.#files = FILES[version];
    mkdirSync(this.#path);
  }

  /** Below the group of this process. Undefined where there are none, or none may be made. */
  static make(name: string): MemoryGroup | undefined {
    const groups = readFileSync('/proc/self/cgroup', 'utf8');
    const first = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.+)$/m.exec(groups)?.[1];
    const second = /^0::(.+)$/m.exec(groups)?.[1];
    for (const [version, path] of [
      [1, first && join(ROOT, 'memory', first)],
      [2, second && join(ROOT, second)],
    ] as const) {
      if (path === undefined || !existsSync(path)) continue;
      let group: MemoryGroup | undefined;
      try {
        group = new MemoryGroup(path, version, name);
        if (existsSync(join(group.#path, FILES[version].limit))) return group;
      } catch {
        continue;
      }
      rmdirSync(group.#path);
    }
    return undefined;
  }

  /** What the process has already does not count, only what it gets from now on. */
  limit(pid: number, bytes: number): void {
    writeFileSync(join(this.#path, this.#files.limit), `${bytes}`);
    writeFileSync(join(this.#path, 'cgroup.procs'), `${pid}`);
  }

  /** Times that more was wanted than there may be. */
  get times(): number {
    const text = readFileSync(join(this.#path, this.#files.events), 'utf8');
    return Number(this.#files.times.exec(text)?.[1]);
  }

  /** What is left in it goes on without it. */
  async remove(): Promise<void> {
    for (const pid of readFileSync(join(this.#path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean))
      writeFileSync(join(this.#parent, 'cgroup.procs'), pid);
    for (let left = REMOVE_TRIES; ; left--) {
      try {
        rmdirSync(this.#path);
        return;
      } catch (error) {
        if (left === 0) throw error;
        await pause(50);
      }
    }
  }
}
