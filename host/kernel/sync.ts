/**
 * Keeps the mirror equal to the kernel: subscribes, dumps each kind, holds back what arrives for a kind during its dump,
 * sweeps what the dump did not show, applies what was held, and from then on applies notifications as they come. Whatever
 * breaks the chain of notifications (a full receive buffer, a malformed message) leads to another dump; whatever the kernel
 * does without a word (see reactions.ts) to a dump of the part it concerns.
 */

import { constants } from 'node:os';
import { EkhoError } from '../errors.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { TRANSACTION_ENTRIES } from '../mirror/transaction.ts';
import {
  KERNEL_KINDS,
  type KernelKind,
  KIND,
  KINDS,
  type Kind,
  type KindNumber,
  type KindState,
  type ObjectId,
} from '../mirror/types.ts';
import {
  type Datagram,
  datagram,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  NETLINK_XFRM,
} from '../netlink/message.ts';
import { NetlinkClient, type NetlinkClientOptions, NetlinkError } from '../netlink/request.ts';
import type { ChangeTracer } from '../trace/change-tracer.ts';
import { Agenda, type Job } from './agenda.ts';
import { concernsAll, groupsOf, isDeletion, kindOf } from './announcements.ts';
import { Applier, DUMPED, DUMPED_IN_PART, LIVE, type Mode, REPLAYED } from './apply.ts';
import { ControlView } from './control-view.ts';
import { type KernelCounters, readKernelCounters } from './counters.ts';
import { DUMP_ATTEMPTS, dumpConsistently, type RequestClient } from './dumps.ts';
import { FlowWatch } from './flow-watch.ts';
import { Hints } from './hints.ts';
import { Ipv6Omissions } from './ipv6-omissions.ts';
import { netnsDeleted, watchNetns } from './netns-watch.ts';
import { SilentChanges } from './reactions.ts';
import { DEFAULT_RECEIVE_BUFFER } from './receive-buffer.ts';
import { KernelRefresh, type UsedObject } from './refresh.ts';
import {
  type DumpRequest,
  dumpRequests,
  linkRequest,
  partRequest,
  protocolOf,
  type Scope,
  scopeName,
  unavailability,
} from './requests.ts';
import { AF_INET6, IFF_UP } from './rtnetlink.ts';
import { isInScope } from './scope.ts';
import { inSlices } from './slices.ts';
import { Subscription } from './subscription.ts';
import { type Difference, freshDump, verifyMirror } from './verify.ts';

/** Notifications held back during a dump; beyond this they are dropped and the kind is dumped again. */
const HELD_BYTES = 64 * 1024 * 1024;
const HELD_MESSAGES = 1_000_000;
/** A scope that kept changing during its dumps is tried again after this. */
const INTERRUPTED_MS = 5000;
/** IPv6 routes of which a few may have been left out are read again after this. */
const DOUBT_MS = 60_000;
/** One whose dump failed is tried again after the first, then twice as long each time, up to the second. */
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 10_000;
/** The same cause of reading again is logged no more often. */
const TELL_MS = 10_000;
/** Causes remembered for that; some have the text of an error in them. */
const CAUSES_MAX = 64;
/** Rounds of re-reads that one barrier waits for: a re-read can cause another. */
const BARRIER_ROUNDS = 64;

export interface KernelSyncOptions {
  /** Name or path of a network namespace; absent: the process's own. */
  readonly netns?: string | undefined;
  /** Absent: all. */
  readonly kinds?: readonly Kind[] | undefined;
  /** Routing tables to mirror; absent: all. */
  readonly tables?: readonly number[] | undefined;
  /** Receive buffer for notifications in bytes, 8 MiB by default. */
  readonly receiveBuffer?: number | undefined;
  readonly onLog?: ((level: 'warn' | 'info', message: string) => void) | undefined;
  /** Follows changes from here on; absent: nobody does. */
  readonly tracer?: ChangeTracer | undefined;
  /** Opens what dumps are asked through; absent: a NetlinkClient. */
  readonly openClient?: ((options: NetlinkClientOptions) => RequestClient) | undefined;
}

/** What could not be read though the kernel has it. What the mirror held of it stays, and is tried again. */
export interface ReadFailure {
  readonly name: string;
  readonly kind: Kind;
  /** Failures in a row. */
  readonly attempts: number;
  readonly error: string;
}

export interface ResyncReport {
  readonly cause: string;
  readonly kinds: readonly Kind[];
  /** Milliseconds since the epoch. */
  readonly started: number;
  /** Undefined while it runs. */
  readonly duration_ms: number | undefined;
}

export interface SyncStatus {
  /** Times the receive buffer was full. */
  readonly overruns: number;
  /** Datagrams lost by that. */
  readonly lost: number;
  /** Times kinds were read again as a whole after the first time. */
  readonly resyncs: number;
  /** Reads of parts, after changes that the kernel does not announce. */
  readonly rereads: number;
  /** Times that notifiers' hints were looked at, and routes found gone by that before anything else told. */
  readonly hinted: number;
  readonly foundGone: number;
  /** Dumps repeated because the kernel marked them inconsistent, or IPv6 routes were, or may have been, deleted meanwhile. */
  readonly interrupted: number;
  /** Messages that did not follow their layout. */
  readonly malformed: number;
  /** Notifications received for mirrored kinds. */
  readonly notifications: number;
  readonly lastResync: ResyncReport | undefined;
  /** The mirrored namespace was deleted: what is left of it is the host's alone. */
  readonly isOrphaned: boolean;
  /** What is being read or waits to be, by name. */
  readonly pending: readonly string[];
  /** What is tried again after failures. */
  readonly failing: readonly ReadFailure[];
}

interface Held {
  readonly type: number;
  readonly flags: number;
  readonly data: Datagram;
  readonly start: number;
  readonly end: number;
}

/** Of notifications that wait: some hundred of them, each of which takes more than a KiB of the buffer. */
const BEHIND_BYTES = 256 * 1024;
/** By how much hints may come after the announcement of the same cause: they take another way. */
const HINTS_LATE_MS = 10;
const HINTS_LOST = 'notifier records lost';
const HINTED: Scope = { kind: KIND.route, isHinted: true };
/** What hints are about, and what is read again when some were lost. */
const HINTED_KINDS: readonly Kind[] = ['nexthop', 'route'];

/** Of every network namespace. */
const LOOPBACK_IFINDEX = 1;

/** Phases of a kind. Before its first dump nothing needs to be applied: the dump will show it. */
const UNREAD = 0;
/** What is announced is held back until the dump is over. */
const READING = 1;
/** What is announced is applied as it comes. */
const FOLLOWING = 2;

export class KernelSync {
  #refresh: KernelRefresh | undefined;
  readonly #mirror: Mirror;
  readonly #options: KernelSyncOptions;
  readonly #kinds: readonly KindNumber[];
  readonly #phases = new Uint8Array(KINDS.length);
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #clients = new Map<number, RequestClient>();
  readonly #failing = new Map<string, ReadFailure>();
  /** When each cause of reading again was last logged. */
  readonly #told = new Map<string, number>();
  readonly #applier: Applier;
  readonly #agenda: Agenda;
  readonly #control: ControlView;
  readonly #silent: SilentChanges;
  /** Who waits until routes are not being read. */
  readonly #awaitRoutes: (() => void)[] = [];
  readonly #hints: Hints;
  readonly #flows: FlowWatch;
  #hintsWereLost = false;
  #expectsHints = false;
  #held: Held[] = [];
  #heldBytes = 0;
  /** IPv6 routes that were announced to be deleted. */
  #ipv6RoutesDeleted = 0;
  /** What may have deleted IPv6 routes without a word. */
  #silentDeletions = 0;
  #doubtTimer: NodeJS.Timeout | undefined;
  #heldOverflowed = false;
  #commitScheduled = false;
  readonly #afterTurn = (): void => {
    this.#commitScheduled = false;
    this.#commit();
  };
  #endWatch: (() => void) | undefined;
  #isOrphaned = false;
  /** The start has come to its end. */
  #wasRead = false;
  /** Rejects when there is nothing that could be read, now or later. */
  readonly #outOfReach = Promise.withResolvers<never>();
  #closed = false;
  #started = false;
  #lastResync: ResyncReport | undefined;
  readonly #counters = {
    overruns: 0,
    lost: 0,
    resyncs: 0,
    rereads: 0,
    hinted: 0,
    foundGone: 0,
    interrupted: 0,
    malformed: 0,
    notifications: 0,
  };

  constructor(mirror: Mirror, options: KernelSyncOptions = {}) {
    this.#mirror = mirror;
    this.#options = options;
    const wanted = new Set<Kind>(options.kinds ?? KERNEL_KINDS);
    this.#kinds = KERNEL_KINDS.filter((kind) => wanted.has(kind)).map((kind) => KIND[kind]);
    const tableOf = (kind: KindNumber) => mirror.table(kind);
    this.#agenda = new Agenda((job) => this.#run(job));
    this.#silent = new SilentChanges(mirror, {
      reread: (scope) => this.#reread(scope),
      hinted: () => this.#hinted(),
      routesReleased: () => this.#routesReleased(),
    });
    this.#hints = new Hints(() => this.#reread(HINTED));
    this.#flows = new FlowWatch({
      flowtables: () => mirror.count(KIND['nft-flowtable']),
      reread: () => this.#reread({ kind: KIND.flow }),
    });
    const tables = options.tables === undefined ? undefined : new Set(options.tables);
    this.#applier = new Applier(tableOf, tables, this.#silent);
    this.#control = new ControlView(tableOf);
  }

  /**
   * Opens the sockets and reads everything. Resolves once all kinds are in sync (or unavailable). Rejects with E_NETNS
   * or E_NETLINK when the namespace or the sockets cannot be opened, and with E_NETNS when the namespace was deleted before
   * all was read and cannot be entered any more.
   */
  async start(): Promise<void> {
    if (this.#started) throw new EkhoError('E_INTERNAL', 'the sync was started before');
    this.#started = true;
    const { netns } = this.#options;
    if (netns !== undefined) {
      this.#endWatch = watchNetns(netns, () => {
        this.#isOrphaned = true;
        if (this.#wasRead) this.#tellOrphaned();
      });
    }
    for (const protocol of [NETLINK_ROUTE, NETLINK_NETFILTER, NETLINK_XFRM]) {
      const kinds = this.#kinds
        .map((kind) => KINDS[kind] as KernelKind)
        .filter((kind) => protocolOf(kind) === protocol);
      if (kinds.length > 0) this.#open(protocol, kinds);
    }
    if (this.#expectsHints) this.expectHints();
    const reading = this.#readAll(
      this.#kinds.filter((kind) => this.#clients.has(protocolOf(KINDS[kind]!))),
      'start',
      false,
    );
    await Promise.race([reading, this.#outOfReach.promise]);
    this.#wasRead = true;
    if (this.#isOrphaned) this.#tellOrphaned();
  }

  #tellOrphaned(): void {
    const { netns } = this.#options;
    this.#log(
      'warn',
      `network namespace ${netns} was deleted; what is left of it is mirrored until the host is started again`,
    );
  }

  /** Opens the sockets of a protocol. One that the kernel was built without has no objects. */
  #open(protocol: number, kinds: readonly KernelKind[]): void {
    const { netns, openClient } = this.#options;
    try {
      this.#subscriptions.set(protocol, this.#subscribe(protocol, kinds));
    } catch (error) {
      if (protocol === NETLINK_ROUTE || !isUnknownProtocol(error)) throw error;
      const state = { state: 'unavailable', reason: (error as Error).message, isAbsent: true } as const;
      for (const kind of kinds) this.#mirror.setKindState(KIND[kind], state);
      return;
    }
    const open = openClient ?? ((options) => new NetlinkClient(options));
    this.#clients.set(protocol, open({ protocol, netns, threaded: protocol === NETLINK_ROUTE }));
  }

  /** Reads kinds again as a whole (all by default). Resolves once they are in sync. */
  async resync(kinds?: readonly Kind[], cause = 'requested'): Promise<void> {
    const numbers = kinds === undefined ? this.#kinds : kinds.map((kind) => KIND[kind]);
    await this.#readAll(
      numbers.filter((kind) => this.#kinds.includes(kind) && this.#clients.has(protocolOf(KINDS[kind]!))),
      cause,
      true,
    );
  }

  /**
   * Resolves once everything the kernel announced before the call, and every re-read that followed from it, is in the
   * mirror and its listeners were told. Does not wait for what failed and is tried again (`status().failing`).
   */
  async barrier(): Promise<void> {
    await Promise.all([...this.#subscriptions.values()].map((subscription) => subscription.drain()));
    if (this.#flows.isWanted) this.#reread({ kind: KIND.flow });
    for (let round = 0; round < BARRIER_ROUNDS && !this.#closed; round++) {
      await this.#silent.settled();
      const waits = this.#agenda.hurry();
      if (waits.length === 0) break;
      await Promise.all(waits);
    }
    this.#commit();
  }

  /**
   * Compares the mirror with a fresh dump, attribute by attribute; counters and timers do not count. Repeats while the
   * mirror changes meanwhile. At most 1,000 differences are listed.
   */
  async verify(): Promise<{ equal: boolean; differences: Difference[] }> {
    const kinds = this.#kinds.filter((kind) => this.#mirror.kindState(kind).state !== 'unavailable');
    const tables = this.#options.tables;
    return verifyMirror(this.#mirror, kinds, {
      barrier: () => this.barrier(),
      snapshot: async () => (kind) =>
        freshDump(this.#mirror, kind, tables, this.#clients.get(protocolOf(KINDS[kind]!))!),
    });
  }

  /**
   * A notifier says that no route of a prefix is left in a table. `address` holds the destination's bytes at `at`, in
   * network order. Costs little where netlink announced the same, nothing while routes were not read yet.
   */
  routeGone(
    family: number,
    table: number,
    length: number,
    tos: number,
    priority: number,
    address: Uint8Array,
    at: number,
  ): void {
    if (this.#closed || this.#phases[KIND.route] === UNREAD) return;
    const revision = this.#mirror.revision + this.#mirror.pending;
    this.#hints.routeGone(family, table, length, tos, priority, address, at, revision);
  }

  /** Hints will come: be ready to look at them at once. */
  expectHints(): void {
    this.#expectsHints = true;
    for (const client of this.#clients.values()) client.stayReady?.();
  }

  /** A notifier says that a nexthop object is gone. */
  nexthopGone(id: number): void {
    if (!this.#closed && this.#phases[KIND.nexthop] !== UNREAD) this.#hints.nexthopGone(id);
  }

  /** Resolves once what is being hinted at was looked at. */
  async #hinted(): Promise<void> {
    if (!this.#expectsHints) return;
    await new Promise((resolve) => setTimeout(resolve, HINTS_LATE_MS));
    await this.#agenda.hinted();
  }

  /** Notifiers lost records: what they would have hinted at is read again. */
  hintsLost(): void {
    if (this.#closed || !this.#started) return;
    if (this.#lastResync?.cause === HINTS_LOST && this.#lastResync.duration_ms === undefined) {
      this.#hintsWereLost = true;
      return;
    }
    this.#hintsWereLost = false;
    this.resync(HINTED_KINDS, HINTS_LOST).then(
      () => {
        // Once more for those lost while it was read.
        if (this.#hintsWereLost) this.hintsLost();
      },
      () => {},
    );
  }

  /** Tells the kernel what hardware uses (refresh.ts). */
  refresh(used: Iterable<UsedObject>): Promise<void> {
    this.#refresh ??= new KernelRefresh(this.#mirror, this.#clients.get(protocolOf('neighbour'))!);
    return this.#refresh.pass(used);
  }

  /** The kernel's own counters of links and filters, as of now. */
  readCounters(): Promise<KernelCounters> {
    return readKernelCounters(this.#mirror, this.#clients.get(protocolOf('link'))!);
  }

  status(): SyncStatus {
    return {
      ...this.#counters,
      lastResync: this.#lastResync,
      isOrphaned: this.#isOrphaned,
      pending: this.#agenda.names(),
      failing: [...this.#failing.values()],
    };
  }

  counters(): Record<string, number> {
    return { ...this.#counters, failing: this.#failing.size };
  }

  /** Whether the mirror has fallen behind the kernel: more than comes in a moment waits in a socket, or was lost and is being read anew. */
  isBehind(): boolean {
    if (!this.#mirror.synced) return true;
    for (const { backlog } of this.#subscriptions.values()) if (backlog > BEHIND_BYTES) return true;
    return false;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const released of this.#awaitRoutes.splice(0)) released();
    this.#endWatch?.();
    clearTimeout(this.#doubtTimer);
    this.#agenda.close();
    this.#flows.close();
    for (const subscription of this.#subscriptions.values()) subscription.close();
    for (const client of this.#clients.values()) client.close();
  }

  #subscribe(protocol: number, kinds: readonly KernelKind[]): Subscription {
    const all = kinds.map((kind) => KIND[kind]);
    const again = (cause: string): void => {
      if (this.#closed) return;
      this.#readAll(all, cause, true).catch(() => {});
    };
    return new Subscription(
      {
        protocol,
        netns: this.#options.netns,
        groups: groupsOf(kinds),
        receiveBuffer: this.#options.receiveBuffer ?? DEFAULT_RECEIVE_BUFFER,
      },
      {
        notification: (type, flags, _sequence, data, start, end) =>
          this.#notification(protocol, type, flags, data, start, end),
        lost: (datagrams) => {
          this.#counters.overruns++;
          this.#counters.lost += datagrams;
          again('overrun');
        },
        malformed: () => {
          this.#counters.malformed++;
          again('malformed datagram');
        },
        failed: (error) => again(`socket failed: ${error.message}`),
      },
    );
  }

  #notification(
    protocol: number,
    type: number,
    flags: number,
    data: Datagram,
    start: number,
    end: number,
  ): void {
    if (end <= start) return;
    const kind = kindOf(protocol, type, data.bytes[start]!);
    if (kind < 0) return;
    const phase = this.#phases[kind]!;
    if (phase === UNREAD) {
      this.#appeared(kind);
      return;
    }
    this.#counters.notifications++;
    if (concernsAll(protocol, type)) {
      this.#reread({ kind });
      return;
    }
    const isGone = isDeletion(protocol, type);
    if (kind === KIND.route && isGone && data.bytes[start] === AF_INET6) this.#ipv6RoutesDeleted++;
    if (takesRoutesAlong(kind, isGone, data, start)) this.#silentDeletions++;
    if (phase === READING) {
      this.#hold(type, flags, data, start, end);
    } else this.#apply(kind, LIVE, type, flags, data, start, end);
  }

  /** A kind that was not there when it was dumped (its module was not loaded) is announced: read it. */
  #appeared(kind: KindNumber): void {
    if (
      this.#mirror.kindState(kind).state === 'unavailable' &&
      this.#kinds.includes(kind) &&
      !this.#agenda.has(kind)
    ) {
      this.#readAll([kind], 'became available', true).catch(() => {});
    }
  }

  #hold(type: number, flags: number, data: Datagram, start: number, end: number): void {
    if (this.#heldOverflowed) return;
    this.#heldBytes += end - start;
    if (this.#heldBytes > HELD_BYTES || this.#held.length >= HELD_MESSAGES) {
      this.#heldOverflowed = true;
      this.#held = [];
      return;
    }
    // The datagram is not valid any more when this call returns.
    const copy = datagram(new Uint8Array(data.bytes.subarray(start, end)));
    this.#held.push({ type, flags, data: copy, start: 0, end: end - start });
  }

  #apply(
    kind: KindNumber,
    mode: Mode,
    type: number,
    flags: number,
    data: Datagram,
    start: number,
    end: number,
  ): void {
    if (mode < DUMPED) this.#options.tracer?.received();
    let well = false;
    try {
      well = this.#applier.apply(
        kind,
        mode < DUMPED && isDeletion(protocolOf(KINDS[kind]!), type),
        flags,
        mode,
        data,
        start,
        end,
      );
    } catch (error) {
      this.#log('warn', `${KINDS[kind]} message of type ${type}: ${error}`);
    }
    if (!well) {
      this.#counters.malformed++;
      // Left out of a dump, the object would be one that is gone: no part of a dump may be missing.
      if (mode >= DUMPED) throw new EkhoError('E_NETLINK', 'a message of the kernel is malformed');
      this.#readAll([kind], 'malformed message', true).catch(() => {});
    }
    this.#touch();
  }

  /** Changes were made: tell the listeners at the end of this turn of the event loop, or now if they are many. */
  #touch(): void {
    if (this.#mirror.pending >= TRANSACTION_ENTRIES) {
      this.#commit();
    } else if (!this.#commitScheduled) {
      this.#commitScheduled = true;
      setImmediate(this.#afterTurn);
    }
  }

  #commit(): void {
    let more = false;
    const { tracer } = this.#options;
    const changes = this.#mirror.pending;
    tracer?.committing();
    try {
      more = this.#mirror.commit();
      tracer?.committed(changes, this.#mirror.revision);
      this.#flows.look();
    } catch (error) {
      // A listener's fault is not the sync's: it surfaces as an uncaught error, the mirror is whole.
      setImmediate(() => {
        throw error;
      });
    }
    if (more) this.#touch();
  }

  #reread(scope: Scope): void {
    if (this.#closed || this.#phases[scope.kind] === UNREAD) return;
    this.#agenda.add(scope);
  }

  /** Puts whole kinds on the agenda and keeps account of them as one resync. */
  async #readAll(kinds: readonly KindNumber[], cause: string, again: boolean): Promise<void> {
    const report: ResyncReport = {
      cause,
      kinds: kinds.map((kind) => KINDS[kind]!),
      started: Date.now(),
      duration_ms: undefined,
    };
    if (again) {
      this.#counters.resyncs++;
      this.#lastResync = report;
      this.#tellAgain(cause);
    }
    for (const kind of kinds) this.#mirror.setKindState(kind, { state: 'syncing', reason: undefined });
    this.#updateSynced();
    const began = performance.now();
    // A dump that could not be completed goes back onto the agenda.
    for (let left = kinds; left.length > 0 && !this.#closed; ) {
      await Promise.all(left.map((kind) => this.#agenda.add({ kind })));
      left = left.filter((kind) => this.#mirror.kindState(kind).state === 'syncing');
    }
    const done = { ...report, duration_ms: Math.round(performance.now() - began) };
    if (this.#lastResync === report) this.#lastResync = done;
  }

  /** A cause that comes again and again is told once in a while. */
  #tellAgain(cause: string): void {
    const now = performance.now();
    if (now - (this.#told.get(cause) ?? Number.NEGATIVE_INFINITY) < TELL_MS) return;
    this.#told.set(cause, now);
    if (this.#told.size > CAUSES_MAX) this.#told.clear();
    this.#log('warn', `read again: ${cause}`);
  }

  #updateSynced(): void {
    this.#mirror.setSynced(this.#kinds.every((kind) => this.#mirror.kindState(kind).state !== 'syncing'));
  }

  /** One dump with everything around it. Never rejects. */
  async #run(job: Job): Promise<void> {
    if (job.scope.isHinted) return this.#lookAtHints();
    const { scope } = job;
    const { kind } = scope;
    const whole = job.whole;
    if (!whole) this.#counters.rereads++;
    const began = performance.now();
    if (whole && this.#phases[kind] === FOLLOWING) await this.#passAnnounced(kind);
    if (this.#closed) return;
    this.#beginReading(kind);
    let unavailable: KindState | undefined;
    let failure: Error | undefined;
    let complete = false;
    try {
      if (kind === KIND.route) await this.#passDeletions();
      complete = await this.#dump(scope, whole);
    } catch (error) {
      const why = error instanceof NetlinkError ? unavailability(KINDS[kind]!, error.errno) : undefined;
      failure = error as Error;
      if (why !== undefined && whole) {
        unavailable = { state: 'unavailable', reason: failure.message, isAbsent: why === 'absent' };
      }
    }
    if (this.#closed) return;
    if (unavailable !== undefined) {
      this.#recovered(scope, whole);
      this.#phase(kind, UNREAD);
      this.#held = [];
      await this.#empty(kind);
      this.#commit();
      this.#mirror.setKindState(kind, unavailable);
      this.#updateSynced();
      return;
    }
    if (complete) await this.#sweep(scope, whole);
    await this.#release(kind);
    if (this.#closed) return;
    this.#phase(kind, FOLLOWING);
    this.#commit();
    if (kind === KIND.flow) this.#flows.wasRead(performance.now() - began);
    if (failure !== undefined) {
      this.#agenda.add(scope, this.#failed(scope, whole, failure), true);
      return;
    }
    this.#recovered(scope, whole);
    if (this.#heldOverflowed) this.#agenda.add({ kind });
    else if (!complete) this.#agenda.add(scope, INTERRUPTED_MS);
    else if (this.#mirror.kindState(kind).state === 'syncing' && whole && !this.#agenda.has(kind)) {
      this.#mirror.setKindState(kind, { state: 'synced', reason: undefined });
      this.#updateSynced();
    }
  }

  /**
   * Waits until what was announced before is in the mirror. After a loss, a queue may hold objects whose deletion is what was lost: held
   * back and applied after the dump, they would come back for good.
   */
  async #passAnnounced(kind: KindNumber): Promise<void> {
    await this.#subscriptions.get(protocolOf(KINDS[kind]!))?.drain();
  }

  /** The kind is not being read any more. */
  #phase(kind: KindNumber, phase: typeof UNREAD | typeof FOLLOWING): void {
    this.#phases[kind] = phase;
    if (kind !== KIND.route) return;
    for (const released of this.#awaitRoutes.splice(0)) released();
  }

  /** Resolves once no notification of a route is held back that came before now. */
  async #routesReleased(): Promise<void> {
    if (this.#phases[KIND.route] !== READING || this.#closed) return;
    await new Promise<void>((resolve) => this.#awaitRoutes.push(resolve));
  }

  /** From now on notifications of the kind are held back. */
  #beginReading(kind: KindNumber): void {
    this.#phases[kind] = READING;
    this.#held = [];
    this.#heldBytes = 0;
    this.#heldOverflowed = false;
  }

  /**
   * Looks for the routes and nexthops that are said to be gone: once all that was announced before is in the mirror, those
   * it still has are asked for in one dump that is as narrow as the kernel allows, and those not shown are removed.
   */
  async #lookAtHints(): Promise<void> {
    this.#counters.hinted++;
    try {
      await this.#passDeletions();
    } catch {
      this.#agenda.add({ kind: KIND.route });
      return;
    }
    await this.#subscriptions.get(NETLINK_ROUTE)!.drain();
    if (this.#closed || this.#phases[KIND.route] === UNREAD) return;
    if (this.#hints.takeOverflow()) this.#agenda.add({ kind: KIND.route });
    if (this.#hints.takeNexthops(this.#mirror.table(KIND.nexthop))) this.#agenda.add({ kind: KIND.nexthop });
    const table = this.#mirror.table(KIND.route);
    this.#beginReading(KIND.route);
    const { ids, parts } = await this.#hints.takeRoutes(table);
    let complete = true;
    if (ids.length > 0) {
      this.#counters.rereads++;
      complete = await this.#dumpAll(KIND.route, DUMPED_IN_PART, scopeName(HINTED), () =>
        parts.map(partRequest),
      ).catch(() => false);
    }
    if (complete) {
      for (const id of ids) {
        if (!table.isSwept(id)) continue;
        table.remove(id);
        this.#counters.foundGone++;
      }
      this.#touch();
    }
    await this.#release(KIND.route);
    if (this.#closed) return;
    this.#phase(KIND.route, FOLLOWING);
    this.#commit();
    if (!complete || this.#heldOverflowed) this.#agenda.add({ kind: KIND.route });
    else if (!this.#hints.isEmpty) this.#agenda.add(HINTED);
  }

  /**
   * Waits until routes whose deletion was announced are gone. IPv4 routes leave the table after their notification
   * (net/ipv4/fib_trie.c fib_table_delete), and dumps do not wait for that: one begun in between would bring back a route
   * whose deletion was applied, or lost, before. Deleting holds the rtnl lock to its end, and so does asking for a link.
   */
  async #passDeletions(): Promise<void> {
    const client = this.#clients.get(NETLINK_ROUTE)!;
    try {
      await client.request(linkRequest(LOOPBACK_IFINDEX), () => {});
    } catch (error) {
      // No such link is an answer too; anything else the dump will meet as well.
      if (!(error instanceof NetlinkError)) throw error;
    }
  }

  /** Keeps account of a failed dump; returns after how many milliseconds to try again. */
  #failed(scope: Scope, whole: boolean, error: Error): number {
    const { message } = error;
    const { netns } = this.#options;
    if (this.#isOrphaned && !this.#wasRead && error instanceof EkhoError && error.code === 'E_NETNS')
      this.#outOfReach.reject(netnsDeleted(netns!));
    const name = scopeName(scope);
    const before = this.#failing.get(name);
    const attempts = (before?.attempts ?? 0) + 1;
    this.#failing.set(name, { name, kind: KINDS[scope.kind]!, attempts, error: message });
    if (before?.error !== message) this.#log('warn', `${name}: ${message}; tried again`);
    if (whole) {
      this.#mirror.setKindState(scope.kind, { state: 'syncing', reason: message });
      this.#updateSynced();
    }
    return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempts - 1));
  }

  #recovered(scope: Scope, whole: boolean): void {
    if (this.#failing.size === 0) return;
    for (const { name, kind } of [...this.#failing.values()]) {
      if (whole ? kind !== KINDS[scope.kind] : name !== scopeName(scope)) continue;
      this.#failing.delete(name);
      this.#log('info', `${name}: read again`);
    }
  }

  /** Reads the scope into the table. False when the kernel marked every attempt as inconsistent. */
  #dump(scope: Scope, whole: boolean): Promise<boolean> {
    const { kind, ifindex } = scope;
    const requests =
      kind === KIND.link && ifindex !== undefined
        ? () => [linkRequest(ifindex)]
        : () => dumpRequests(scope, this.#control, this.#options.tables);
    return this.#dumpAll(kind, whole ? DUMPED : DUMPED_IN_PART, scopeName(scope), requests);
  }

  async #dumpAll(
    kind: KindNumber,
    mode: Mode,
    name: string,
    requests: () => readonly DumpRequest[],
  ): Promise<boolean> {
    const protocol = protocolOf(KINDS[kind]!);
    const client = this.#clients.get(protocol)!;
    const table = this.#mirror.table(kind);
    let omissions = new Ipv6Omissions();
    /** When IPv6 routes were asked for; undefined: they were not. */
    let before: { readonly deleted: number; readonly silent: number } | undefined;
    const complete = await dumpConsistently(client, requests, {
      begin: () => {
        table.beginSweep();
        before = undefined;
        omissions = new Ipv6Omissions();
      },
      asking: ({ payload }) => {
        if (kind !== KIND.route || payload[0] !== AF_INET6 || before !== undefined) return;
        before = { deleted: this.#ipv6RoutesDeleted, silent: this.#silentDeletions };
        omissions.begin();
      },
      again: async (asked) => {
        if (before === undefined) return [];
        // What deletes without a word is announced later, under the same lock.
        await this.#passDeletions();
        await this.#passAnnounced(kind);
        const isTold = this.#silentDeletions === before.silent;
        omissions.end(isTold ? this.#ipv6RoutesDeleted - before.deleted : Number.POSITIVE_INFINITY);
        before = undefined;
        if (omissions.areFew) return [];
        table.continueSweep();
        return asked.filter(({ payload }) => payload[0] === AF_INET6);
      },
      message: (type, flags, _sequence, data, start, end) => {
        if (end <= start || kindOf(protocol, type, data.bytes[start]!) !== kind) return;
        if (before !== undefined && data.bytes[start] === AF_INET6) omissions.shown(data);
        this.#apply(kind, mode, type, flags, data, start, end);
      },
      interrupted: () => {
        this.#counters.interrupted++;
        return !this.#closed;
      },
    });
    if (this.#closed) return complete;
    if (!complete) this.#log('warn', `${name}: changed during each of ${DUMP_ATTEMPTS} dumps`);
    else if (!omissions.areNone)
      this.#doubtTimer ??= setTimeout(() => this.#readIpv6Again(), DOUBT_MS).unref();
    return complete;
  }

  /** Until nothing can have been left out. */
  #readIpv6Again(): void {
    this.#doubtTimer = undefined;
    this.#reread({ kind: KIND.route, family: AF_INET6 });
  }

  /** Removes what lies in the scope and was not shown. */
  async #sweep(scope: Scope, whole: boolean): Promise<void> {
    const table = this.#mirror.table(scope.kind);
    const everything = scope.ifindex === undefined && scope.table === undefined && scope.family === undefined;
    await inSlices(
      1,
      () => table.limit,
      (id) => {
        if (!table.isSwept(id)) return;
        if (!everything) {
          const { data, start, end } = table.locate(id);
          if (!isInScope(scope, data, start, end)) return;
        }
        this.#applier.remove(scope.kind, id, whole ? DUMPED : DUMPED_IN_PART);
        if (this.#mirror.pending >= TRANSACTION_ENTRIES) this.#commit();
      },
      () => this.#commit(),
    );
  }

  /** Applies what was held back, and what arrives for the kind meanwhile, in order. */
  async #release(kind: KindNumber): Promise<void> {
    let at = 0;
    await inSlices(
      0,
      () => this.#held.length,
      (index) => {
        const { type, flags, data, start, end } = this.#held[index]!;
        at = index + 1;
        this.#apply(kind, REPLAYED, type, flags, data, start, end);
        return !this.#closed;
      },
      () => {
        // What was applied need not be kept while more arrives.
        this.#commit();
      },
    );
    if (at >= this.#held.length) this.#held = [];
  }

  async #empty(kind: KindNumber): Promise<void> {
    const table = this.#mirror.table(kind);
    await inSlices(
      1,
      () => table.limit,
      (id: ObjectId) => {
        if (table.has(id)) table.remove(id);
        if (this.#mirror.pending >= TRANSACTION_ENTRIES) this.#commit();
      },
      () => this.#commit(),
    );
  }

  #log(level: 'warn' | 'info', message: string): void {
    this.#options.onLog?.(level, message);
  }
}

/**
 * Whether an object goes, or a link goes down, with which IPv6 routes may go that are not announced
 * (net.ipv6.route.skip_notify_on_dev_down=1, net.ipv4.nexthop_compat_mode=0).
 */
function takesRoutesAlong(kind: KindNumber, isGone: boolean, data: Datagram, start: number): boolean {
  if (kind === KIND.nexthop || kind === KIND.address) return isGone;
  return kind === KIND.link && (isGone || (data.words[(start + 8) >>> 2]! & IFF_UP) === 0);
}

/** The kernel gives no sockets of a protocol (net/netlink/af_netlink.c netlink_create). */
function isUnknownProtocol(error: unknown): boolean {
  const cause =
    error instanceof EkhoError ? (error.cause as { readonly errno?: number } | undefined) : undefined;
  return cause?.errno === constants.errno.EPROTONOSUPPORT;
}
