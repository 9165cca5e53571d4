/** What a service manager is told (sd_notify(3)): ready, reading again, stopping, alive. Without one, nothing. */
import { sendDatagram } from '../netlink/unix-datagram.ts';

/** A watchdog is told this often in the time it waits. */
const PER_LIMIT = 3;

export class ServiceManager {
  readonly #socket: string | undefined;
  readonly #watchdog: NodeJS.Timeout | undefined;

  /** By the variables that it sets: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
  constructor({ NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv = process.env) {
    this.#socket = NOTIFY_SOCKET || undefined;
    const limit_ms = Number(WATCHDOG_USEC) / 1000;
    const isForUs = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === process.pid;
    if (this.#socket === undefined || !(limit_ms > 0) || !isForUs) return;
    // It comes from the event loop, which everything here waits for.
    this.#watchdog = setInterval(() => this.#tell('WATCHDOG=1'), limit_ms / PER_LIMIT);
    this.#watchdog.unref();
  }

  ready(status: string): void {
    this.#tell('READY=1', `STATUS=${status}`);
  }

  /** What follows is `ready`. */
  reloading(): void {
    const now_us = process.hrtime.bigint() / 1000n;
    this.#tell('RELOADING=1', `MONOTONIC_USEC=${now_us}`);
  }

  stopping(): void {
    clearInterval(this.#watchdog);
    this.#tell('STOPPING=1');
  }

  #tell(...lines: string[]): void {
    // A manager that does not listen any more is no reason to end.
    if (this.#socket !== undefined) sendDatagram(this.#socket, lines.join('\n'));
  }
}
