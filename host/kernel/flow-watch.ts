/**
 * When connections are read. The kernel does not announce that one comes into a flowtable or leaves it, and announcing all
 * connections would cost it more than being asked: those in a flowtable are read every second, as often as the kernel itself looks
 * which of them are over (net/netfilter/nf_flow_table_core.c nf_flow_offload_work_gc). Nothing is read while there is no flowtable.
 */

const PERIOD_MS = 1000;
/** Reading takes no more than one part in this many of the time. */
const SHARE = 5;

export interface FlowWatchOptions {
  /** Flowtables there are. */
  readonly flowtables: () => number;
  readonly reread: () => void;
}

export class FlowWatch {
  readonly #options: FlowWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #known = 0;
  #closed = false;

  constructor(options: FlowWatchOptions) {
    this.#options = options;
  }

  get isWanted(): boolean {
    return this.#options.flowtables() > 0;
  }

  /** Flowtables may have come or gone. */
  look(): void {
    const known = this.#options.flowtables();
    if (known === this.#known) return;
    this.#known = known;
    this.#options.reread();
  }

  /** Flows were read, which took `duration_ms`. */
  wasRead(duration_ms: number): void {
    clearTimeout(this.#timer);
    if (this.#closed || !this.isWanted) return;
    this.#timer = setTimeout(this.#options.reread, Math.max(PERIOD_MS, (SHARE - 1) * duration_ms));
    this.#timer.unref();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}
