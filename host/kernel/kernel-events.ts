/**
 * The kernel's notifiers beside netlink: attached for the mirrored namespace, what may have left without a word handed to the
 * sync, every record to those who listen. Without rights or BPF there are none, and the mirror goes by netlink alone.
 */

import { EkhoError } from '../errors.ts';
import { netnsCookie } from '../netlink/syscall.ts';
import { EVENTS } from './notifier/catalogue.ts';
import type { HookState } from './notifier/ladder.ts';
import { Notifier } from './notifier/notifier.ts';
import type { NotifierRecord } from './notifier/record.ts';

const ROUTE_DELETE = EVENTS['route-delete'].number;
/** The hook without which there are no hints of routes. */
const HINTING_HOOK = EVENTS['route-delete'].hook;
const NEXTHOP_DELETE = EVENTS['nexthop-object-delete'].number;

export interface KernelEventsOptions {
  /** `auto`: what the kernel grants; `on`: something must be granted. */
  readonly enabled: 'auto' | 'on' | 'off';
  /** Bytes, a power of two. */
  readonly ringSize: number;
  /** Name or path of the mirrored network namespace; absent: the process's own. */
  readonly netns: string | undefined;
}

/** What hints are given to: KernelSync. */
export interface HintTarget {
  /** Hints will come. */
  expectHints(): void;
  routeGone(
    family: number,
    table: number,
    length: number,
    tos: number,
    priority: number,
    address: Uint8Array,
    at: number,
  ): void;
  nexthopGone(id: number): void;
  hintsLost(): void;
}

export interface EventListener {
  /** The record is valid during the call only. */
  record(record: NotifierRecord): void;
  /** So many records were lost before the next one. */
  lost(count: number): void;
}

export interface KernelEventsStatus {
  readonly state: 'on' | 'off' | 'unavailable';
  /** Why not `on`. */
  readonly reason: string | undefined;
  readonly hooks: readonly HookState[];
  /** Events the kernel had, those read, and those for which the ring had no room. */
  readonly produced: number;
  readonly received: number;
  readonly lost: number;
}

/** Hooks whose events are hints to the mirror. */
const HINTING: ReadonlySet<string> = new Set(['fib', 'nexthop']);

export class KernelEvents {
  readonly #options: KernelEventsOptions;
  readonly #target: HintTarget;
  readonly #listeners = new Set<EventListener>();
  #notifier: Notifier | undefined;
  #reason: string | undefined;

  constructor(options: KernelEventsOptions, target: HintTarget) {
    this.#options = options;
    this.#target = target;
    if (options.enabled === 'off') this.#reason = 'turned off in the configuration';
  }

  /**
   * Attaches what can be attached; takes some hundred milliseconds. Throws E_UNAVAILABLE when they must be `on` and none is,
   * E_NETNS when the namespace cannot be entered.
   */
  start(): void {
    const { enabled, netns, ringSize } = this.#options;
    if (enabled === 'off') return;
    const cookie = netnsCookie(netns);
    if (cookie === undefined) {
      this.#reason = 'the kernel does not tell namespaces apart (SO_NETNS_COOKIE, Linux 5.14)';
    } else {
      const notifier = Notifier.open({ netns: cookie, ringSize });
      this.#notifier = notifier;
      this.#reason = whyNone(notifier.states());
      if (notifier.states().some(({ hook, rung }) => hook === HINTING_HOOK && rung !== 'none'))
        this.#target.expectHints();
      notifier.start(
        {
          onRecord: (record) => this.#take(record),
          onLost: (count) => this.#lost(count),
        },
        { keepAlive: false },
      );
    }
    if (enabled !== 'on' || this.#reason === undefined) return;
    this.close();
    throw new EkhoError('E_UNAVAILABLE', `no notifier can be attached: ${this.#reason}`, {
      remedy: '`ekho doctor` says more; with `enabled = "auto"` in `[notifier]` the host does without.',
    });
  }

  /** Returns what ends it. */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  status(): KernelEventsStatus {
    const { enabled } = this.#options;
    const stats = this.#notifier?.stats();
    return {
      state: enabled === 'off' ? 'off' : this.#notifier && !this.#reason ? 'on' : 'unavailable',
      reason: this.#reason,
      hooks: this.#notifier?.states() ?? [],
      produced: Number(stats?.produced ?? 0),
      received: Number(stats?.received ?? 0),
      lost: Number(stats?.lost ?? 0),
    };
  }

  close(): void {
    this.#notifier?.close();
    this.#listeners.clear();
  }

  #take(record: NotifierRecord): void {
    const { type } = record;
    if (type === ROUTE_DELETE) {
      this.#target.routeGone(
        record.family,
        record.number('table'),
        record.number('dst_len'),
        record.number('tos'),
        record.number('priority'),
        record.bytes,
        record.start + record.offset('dst'),
      );
    } else if (type === NEXTHOP_DELETE) {
      this.#target.nexthopGone(record.number('id'));
    }
    for (const listener of this.#listeners) listener.record(record);
  }

  #lost(count: number): void {
    // Hints come from these two alone: where they are not attached, none was lost.
    const states = this.#notifier?.states() ?? [];
    if (states.some(({ hook, rung }) => HINTING.has(hook) && rung !== 'none')) this.#target.hintsLost();
    for (const listener of this.#listeners) listener.lost(count);
  }
}

/** Undefined when some hook is attached. */
export function whyNone(states: readonly HookState[]): string | undefined {
  if (states.some(({ rung }) => rung !== 'none')) return undefined;
  return [...new Set(states.map(({ reason }) => reason ?? 'not attached'))].join('; ');
}
