/**
 * What hardware has, told to the kernel: the states of routes, nexthops and bridge entries become its marks (`ip route show`:
 * rt_offload, rt_trap, rt_offload_failed), so that who asks the kernel, as routing daemons do, is told the truth.
 *
 * Objects that changed are looked at until their state is known. The states of others may follow, as they come from whole plans,
 * and nobody says of which: so all objects are looked at after something happened, in slices, and no more than a part of the time.
 */
import { BpfError } from '../../bpf/libbpf-ts/src/index.ts';
import { EkhoError } from '../errors.ts';
import { MARK_FLAGS, Marks } from '../kernel/firmware/marks.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { type ChangeSet, KIND, type KindNumber, OPERATION_DELETE, objectCursor } from '../mirror/types.ts';
import { netnsPath } from '../netlink/syscall.ts';
import { isExternal, type MarkedKind, MarkWriter } from '../offload/mark-writer.ts';
import type { Planner } from '../offload/planner.ts';
import type { ObjectOffload } from '../offload/reasons.ts';
import { StationBook } from '../offload/station-book.ts';
import type { Station } from '../offload/stations.ts';

/** Longest one look holds the event loop, in milliseconds. */
const SLICE_MS = 5;
/** Objects between two looks at the clock. */
const STRIDE = 64;
/** Looks follow each other no quicker, in milliseconds. */
const PAUSE_MS = 50;
/** The part of the time that is spent on looking at all objects is at most one of so many. */
const SHARE = 20;
/** After so many milliseconds all is told anew: a route that went and came back as it was lost its mark without a change. */
const RETELL_MS = 60_000;
/** Objects that changed and were not looked at yet; what is more is seen when all are looked at. */
const CHANGED_MAX = 65_536;

/** What the kernel shows is not known: no flags are these. */
const UNKNOWN = 255;
/** Entries of bridges that left a port while they were marked there; what is more the module forgets by itself, or at the end. */
const GONE_MAX = 65_536;
/** In the place of kind and id. */
const GONE = -1;
/** Of kind and id in one number. */
const ID_RANGE = 2 ** 32;

const KINDS_MARKED: readonly MarkedKind[] = [KIND.route, KIND.nexthop, KIND.fdb];

/**
 * The worst that any plugin says: who relies on hardware must not be told that it has what one device lacks. Undefined while one has
 * not said it: the mark stays as it is.
 */
export function flagsOf(states: readonly ObjectOffload[]): number | undefined {
  let worst = states.length === 0 ? 0 : MARK_FLAGS.offloaded;
  for (const { state } of states) {
    if (state === 'pending') return undefined;
    if (state === 'failed' || state === 'refused') worst = MARK_FLAGS.failed;
    else if (state === 'trapped' && worst !== MARK_FLAGS.failed) worst = MARK_FLAGS.trapped;
  }
  return worst;
}

export interface MarkingOptions {
  readonly mirror: Mirror;
  readonly planner: Planner;
  /** Name or path of the mirrored namespace, undefined for this process's. */
  readonly netns: string | undefined;
  /** Whether the kernel goes on to show the marks when this process is gone. */
  readonly isKept: boolean;
  readonly warn: (message: string) => void;
}

/** Throws E_UNAVAILABLE without the kernel module. */
export function startMarking(options: MarkingOptions): Marking {
  try {
    return new Marking(options);
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    throw new EkhoError('E_UNAVAILABLE', `no marks: ${error.message}`, {
      remedy: error.remedy ?? 'Leave `marks` out of `[firmware]` to go on without.',
      cause: error,
    });
  }
}

export class Marking {
  readonly #options: MarkingOptions;
  readonly #marks: Marks;
  readonly #writer: MarkWriter;
  readonly #unsubscribe: () => void;
  /** By kind and id, what the kernel was told. */
  readonly #told = new Map<KindNumber, Uint8Array<ArrayBuffer>>(
    KINDS_MARKED.map((kind) => [kind, new Uint8Array(1024).fill(UNKNOWN)]),
  );
  /** Of those that changed: kind and id. */
  readonly #changed = new Set<number>();
  readonly #cursor = objectCursor();
  /** Kinds and ids of the marks that are to be shown next, in order; of stations, their keys. */
  readonly #shown: (number | string)[] = [];
  readonly #stations = new StationBook();
  #lacksRoom = false;
  /** By mirror id, where entries of bridges are marked: the port's interface index. */
  readonly #places = new Map<number, number>();
  readonly #gone: { readonly place: number; readonly vlan: number; readonly mac: number }[] = [];
  /** Plugins whose devices were cleared. */
  #cleared: ReadonlySet<string> = new Set();
  /** Not a plugin whose device was cleared: what it last said is over. */
  readonly #mayHold = ({ plugin }: ObjectOffload): boolean =>
    !this.#cleared.has(plugin) && !this.#options.planner.isCleared(plugin);
  #toldAll = performance.now();
  #nextAll = 0;
  #seen = '';
  #seenAll = '';
  #timer: NodeJS.Timeout | undefined;
  #isPaused = false;
  #looking: Promise<void> = Promise.resolve();

  /** Throws what `Marks` throws. */
  constructor(options: MarkingOptions) {
    this.#options = options;
    this.#marks = new Marks(options.netns && netnsPath(options.netns), options.isKept);
    this.#writer = new MarkWriter(this.#marks);
    this.#unsubscribe = options.mirror.subscribe((changes) => this.#noteChanges(changes));
    this.#lookAfter(0);
  }

  /** What the kernel announced with the marks it was told is no change: marking would not end. */
  #noteChanges(changes: ChangeSet): void {
    for (let place = 0; place < changes.length; place++) {
      const kind = changes.kinds[place]!;
      const told = this.#told.get(kind);
      if (told === undefined) continue;
      const id = changes.ids[place]!;
      const isGone = changes.operations[place] === OPERATION_DELETE;
      const hasMoved = kind === KIND.fdb && this.#noteEntry(id, isGone);
      const isShown = !isGone && told[id] !== 0 && told[id] === this.#flagsShown(kind as MarkedKind, id);
      if (isShown && !hasMoved) continue;
      if (id < told.length) told[id] = UNKNOWN;
      const key = kind * ID_RANGE + id;
      if (isGone) this.#changed.delete(key);
      else if (this.#changed.size < CHANGED_MAX) this.#changed.add(key);
    }
  }

  /** The mark of an entry is one of a port. @returns whether it is there no more */
  #noteEntry(id: number, isGone: boolean): boolean {
    const place = this.#places.get(id);
    if (place === undefined && this.#stations.size === 0) return false;
    const entry = this.#options.mirror.open(KIND.fdb, id, this.#cursor)
      ? this.#writer.entryOf(this.#cursor)
      : undefined;
    if (entry === undefined) return false;
    const { master: bridge, vlan, mac, ifindex } = entry;
    if (isGone) this.#stations.left({ bridge, vlan, mac }, ifindex);
    else this.#stations.seen({ bridge, vlan, mac }, !isExternal(entry));
    if (place === undefined || (place === ifindex && !isGone)) return false;
    this.#places.delete(id);
    if (this.#gone.length < GONE_MAX) this.#gone.push({ place, vlan, mac });
    return true;
  }

  #flagsShown(kind: MarkedKind, id: number): number {
    return this.#options.mirror.open(kind, id, this.#cursor) ? this.#writer.shown(kind, this.#cursor) : 0;
  }

  #lookAfter(pause_ms: number): void {
    if (this.#isPaused) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().then(
        () => this.#lookAfter(PAUSE_MS),
        (error: Error) => {
          this.#options.warn(`the kernel is not told what hardware has: ${error.message}`);
          this.#tellAnew();
          this.#lookAfter(RETELL_MS);
        },
      );
    }, pause_ms);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    this.#tellGone();
    this.#tellStations();
    const { mirror, planner } = this.#options;
    const now = performance.now();
    const seen = `${mirror.revision} ${planner.activity}`;
    if (seen !== this.#seen && this.#lookAtChanged()) this.#seen = seen;
    if (now - this.#toldAll > RETELL_MS) this.#tellAnew();
    if (seen === this.#seenAll || now < this.#nextAll) return;
    this.#seenAll = seen;
    const spent_ms = await this.#lookAtAll();
    this.#nextAll = performance.now() + spent_ms * (SHARE - 1);
  }

  #tellAnew(): void {
    this.#toldAll = performance.now();
    this.#seenAll = '';
    for (const told of this.#told.values()) told.fill(UNKNOWN);
  }

  /** Those whose state is not known yet stay, behind the others. False when it took too long for all. */
  #lookAtChanged(): boolean {
    const started = performance.now();
    let left = this.#changed.size;
    for (const key of this.#changed) {
      if (left === 0 || (left % STRIDE === 0 && performance.now() - started > SLICE_MS)) break;
      left--;
      this.#changed.delete(key);
      const isKnown = this.#tell(Math.floor(key / ID_RANGE) as MarkedKind, key % ID_RANGE);
      if (!isKnown) this.#changed.add(key);
    }
    this.#show();
    return left === 0;
  }

  /** Returns the milliseconds it took, less the pauses between slices. */
  async #lookAtAll(isLast = false): Promise<number> {
    const { mirror } = this.#options;
    let spent_ms = 0;
    for (const kind of KINDS_MARKED) {
      const ids: number[] = [];
      mirror.forEach(kind, (id) => ids.push(id));
      for (let place = 0; place < ids.length && this.#isPaused === isLast; ) {
        const started = performance.now();
        do {
          for (const end = Math.min(place + STRIDE, ids.length); place < end; place++)
            this.#tell(kind, ids[place]!);
        } while (place < ids.length && performance.now() - started < SLICE_MS);
        this.#show();
        spent_ms += performance.now() - started;
        await new Promise(setImmediate);
      }
    }
    return spent_ms;
  }

  /** Hardware learned an address, or forgot it. */
  hear(station: Station, plugin: string): void {
    if (this.#stations.hear(station, plugin)) {
      if (!this.#stations.isFull) this.#lacksRoom = false;
      return;
    }
    if (!this.#lacksRoom)
      this.#options.warn(
        `hardware learned more than ${this.#stations.size} addresses; the kernel is not told of the others`,
      );
    this.#lacksRoom = true;
  }

  /** Of what its hardware learned nobody will say when it has aged. */
  retired(plugin: string): void {
    this.#stations.forgetAll(plugin);
  }

  /** Before anything else: the same entry may be marked at another port next. */
  #tellGone(): void {
    for (const { place, vlan, mac } of this.#gone) {
      this.#writer.addGone(place, vlan, mac);
      this.#added(GONE);
    }
    this.#gone.length = 0;
    this.#show();
  }

  #tellStations(): void {
    for (const news of this.#stations.news()) {
      this.#writer.addStation(news);
      this.#added(news.isGone ? GONE : news.key);
    }
    this.#show();
  }

  #added(key: number | string): void {
    this.#shown.push(key);
    if (this.#writer.isFull) this.#show();
  }

  /** False while its state is not known. */
  #tell(kind: MarkedKind, id: number): boolean {
    const flags = flagsOf(this.#options.planner.offloadOf(kind, id).filter(this.#mayHold));
    if (flags === undefined) return false;
    let told = this.#told.get(kind)!;
    if (told[id] === flags) return true;
    if (!this.#options.mirror.open(kind, id, this.#cursor)) return true;
    if (kind === KIND.fdb) {
      if (!this.#addEntry(id, flags)) return true;
    } else if (!this.#writer.add(kind, this.#cursor, flags)) return true;
    if (id >= told.length) {
      const more = new Uint8Array(Math.max(id + 1, told.length * 2)).fill(UNKNOWN);
      more.set(told);
      told = more;
      this.#told.set(kind, told);
    }
    told[id] = flags;
    this.#added(kind * ID_RANGE + id);
    return true;
  }

  /** The entry under the cursor. False for what has no marks. */
  #addEntry(id: number, flags: number): boolean {
    const entry = this.#writer.entryOf(this.#cursor);
    if (entry === undefined) return false;
    const { ifindex, master: bridge, vlan, mac } = entry;
    const isStation = this.#stations.size > 0 && this.#stations.has({ bridge, vlan, mac });
    if (!this.#writer.add(KIND.fdb, this.#cursor, flags, isStation)) return false;
    if (isStation || (flags & MARK_FLAGS.offloaded) !== 0) this.#places.set(id, ifindex);
    else this.#places.delete(id);
    return true;
  }

  /** What the kernel would not have is told again with the next look: it was replaced, and that is still to be heard of. */
  #show(): void {
    try {
      this.#marks.flush((place) => {
        const key = this.#shown[place]!;
        if (typeof key === 'string') this.#stations.refused(key);
        // The port has left its bridge.
        if (typeof key === 'string' || key === GONE) return;
        this.#told.get(Math.floor(key / ID_RANGE) as KindNumber)![key % ID_RANGE] = UNKNOWN;
      });
    } finally {
      this.#shown.length = 0;
    }
  }

  /** Marks stay as they are until they are closed, as what plugins say of their end is not what hardware has. */
  pause(): void {
    this.#isPaused = true;
    clearTimeout(this.#timer);
  }

  /** @param cleared plugins whose devices hold nothing any more: where marks are kept, theirs go */
  async close(cleared: ReadonlySet<string>): Promise<void> {
    this.pause();
    await this.#looking;
    this.#unsubscribe();
    this.#cleared = cleared;
    try {
      if (!this.#options.isKept) this.#stations.forgetAll();
      this.#tellStations();
      if (this.#options.isKept && cleared.size > 0) await this.#lookAtAll(true);
    } finally {
      this.#marks.close();
    }
  }
}
