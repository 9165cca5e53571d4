/**
 * One thread for all ring buffers of a JavaScript thread, which blocks in epoll_wait() and wakes the event loop by a message.
 * Descriptors are armed for one event at a time (EPOLLONESHOT): the thread sleeps while records are being read, and
 * arming again reports what came meanwhile, so no wake-up is lost and none is repeated. It is started by the first user
 * and lives as long as the process; without users it does not keep the process alive.
 */

import { Worker } from 'node:worker_threads';
import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLIN,
  EPOLLONESHOT,
  makeEvent,
  STOP,
} from './epoll.ts';
import { errnoName } from './errno.ts';
import { BpfError } from './errors.ts';
import { lastErrno, libc } from './native.ts';

const EFD_CLOEXEC = 0o2000000;

export interface Watch {
  /** Asks for the next event; called after everything there was has been read. */
  rearm(): void;
  close(): void;
}

class Poller {
  readonly #epoll: number;
  readonly #stop: number;
  readonly #worker: Worker;
  readonly #ready = new Map<number, () => void>();
  #nextSlot = STOP + 1;
  #keepingAlive = 0;

  constructor() {
    this.#epoll = system(libc.epoll_create1(EPOLL_CLOEXEC), 'epoll_create1');
    this.#stop = system(libc.eventfd(0, EFD_CLOEXEC), 'eventfd');
    system(libc.epoll_ctl(this.#epoll, EPOLL_CTL_ADD, this.#stop, makeEvent(EPOLLIN, STOP)), 'epoll_ctl');
    // Beside this file, in the sources or compiled.
    const file = import.meta.url.endsWith('.ts') ? './poll-thread.ts' : './poll-thread.js';
    // Without the process's own options: those for its main script (--input-type, say) do not fit the thread's.
    const options = { workerData: { epoll: this.#epoll }, execArgv: [] };
    this.#worker = new Worker(new URL(file, import.meta.url), options);
    this.#worker.on('message', (slots: number[]) => {
      for (const slot of slots) this.#ready.get(slot)?.();
    });
    this.#worker.on('error', (cause) => {
      throw new BpfError('E_KERNEL', `the poll thread failed: ${(cause as Error).message}`, { cause });
    });
    this.#worker.unref();
    // A thread inside a system call cannot be ended from outside: Node would wait for it at exit.
    process.once('exit', () => libc.write(this.#stop, new BigUint64Array([1n]), 8));
  }

  watch(fd: number, keepAlive: boolean, ready: () => void): Watch {
    const slot = this.#nextSlot++;
    const event = makeEvent(EPOLLIN | EPOLLONESHOT, slot);
    system(libc.epoll_ctl(this.#epoll, EPOLL_CTL_ADD, fd, event), 'epoll_ctl');
    this.#ready.set(slot, ready);
    if (keepAlive && this.#keepingAlive++ === 0) this.#worker.ref();
    return {
      rearm: () => {
        system(libc.epoll_ctl(this.#epoll, EPOLL_CTL_MOD, fd, event), 'epoll_ctl');
      },
      close: () => {
        if (!this.#ready.delete(slot)) return;
        libc.epoll_ctl(this.#epoll, EPOLL_CTL_DEL, fd, event);
        if (keepAlive && --this.#keepingAlive === 0) this.#worker.unref();
      },
    };
  }
}

function system(result: number, operation: string): number {
  if (result >= 0) return result;
  const errno = errnoName(lastErrno());
  throw new BpfError('E_KERNEL', `${operation}: ${errno}`, { errno, operation });
}

let poller: Poller | undefined;

/** Calls `ready` once when `fd` becomes readable, and once more after each rearm(). @throws E_KERNEL */
export function watch(fd: number, keepAlive: boolean, ready: () => void): Watch {
  poller ??= new Poller();
  return poller.watch(fd, keepAlive, ready);
}
