/**
 * From the mirror to what each plugin should hold. The planner follows the mirror's changes, keeps what all plans share
 * (links, rules, filters, neighbours) and a `Plan` per plugin.
 */

import { customOf } from '../custom/object.ts';
import type { HookState } from '../kernel/hooks.ts';
import type { NotifierRecord } from '../kernel/notifier/record.ts';
import { Mirror } from '../mirror/mirror.ts';
import {
  type ChangeSet,
  KIND,
  KINDS,
  type KindNumber,
  OPERATION_DELETE,
  objectCursor,
} from '../mirror/types.ts';
import { decodeObject } from '../netlink/decode.ts';
import type { OffloadKind } from '../plugin/offload-kinds.ts';
import type { Description, Runner } from '../plugin/runner.ts';
import type { ChangeTracer } from '../trace/change-tracer.ts';
import type { EntryCounter, SavedCounter } from './counters.ts';
import type { PlanMirror } from './desired.ts';
import { KernelView } from './kernel-view.ts';
import { NeighbourReader, NTF_PROXY, NUD_NOARP } from './neighbour-reader.ts';
import { addressKey, type Neighbour } from './nexthops.ts';
import type { OffloadStates, TableSummary } from './offload-state.ts';
import { Plan } from './plan.ts';
import type { PortChoice } from './ports.ts';
import type { Difference } from './readback.ts';
import { type ObjectOffload, REASONS } from './reasons.ts';
import { AF_INET, AF_INET6 } from './route-reader.ts';
import type { SavedEntry } from './saved-counters.ts';
import type { Station } from './stations.ts';

/** Nothing is to be done. */
const NO_REMEDY: ReadonlySet<string> = new Set(['', 'None needed.']);

/** Who asks for counters waits this long for a plugin. */
const COUNTERS_MS = 3000;

/** A kernel that has nothing. */
const EMPTY = new Mirror();
EMPTY.setSynced(true);

export interface PlannerOptions {
  readonly mirror: PlanMirror;
  /** What netfilter chains in the forwarding path mean: hand packets to the kernel, or do not matter. */
  readonly netfilter: 'trap' | 'ignore';
  /** What an earlier host counted for an entry, to go on from. */
  readonly savedCounter?: (plugin: string, describe: () => string) => SavedCounter | undefined;
  /** What IPsec policies mean. */
  readonly xfrm: 'trap' | 'ignore';
  /** What sees packets besides what the mirror holds; absent: nothing that is known. */
  readonly hooks?: () => HookState;
  /** What plugins declare of their own kinds changed. */
  readonly onKinds?: () => void;
  /** Hardware of a plugin learned an address, or has not seen it for long. */
  readonly onStation?: (station: Station, plugin: string) => void;
  /** A plugin is to stop until it comes up again: nobody hears of what its hardware sees. */
  readonly onRetired?: (plugin: string) => void;
  /** `plugin`: whose plan it is about. */
  readonly log: (level: 'info' | 'warn' | 'error', message: string, plugin: string) => void;
  readonly tracer?: ChangeTracer | undefined;
}

export interface PluginOptions {
  readonly name: string;
  /** Whether a link is a port of the plugin's device; undefined: every link that is hardware's own or stands in for it. */
  readonly isPort: PortChoice | undefined;
  /** Whether an XDP program belongs to its device. */
  readonly isOwnProgram?: (id: number) => boolean;
  /** Whether its device can make copies of packets that arrive by a port, as rules say; default: it can. */
  readonly canMirror?: (ifindex: number) => boolean;
  /** It is not to run before `pluginUp` says that it does: nobody waits for it. */
  readonly isRetired?: boolean;
}

/** What the device of a plugin that goes holds: nothing, what it is to keep, or what it held as the plugin is not running. */
export type Retired = 'cleared' | 'kept' | 'down';

/** A plugin that ran, and what its plan says of objects. */
export interface Hardware {
  readonly plugin: string;
  readonly states: OffloadStates;
  /** Bits of ACL_FIELDS. */
  readonly aclFields: number;
  /** Bits of ACL_EDITS. */
  readonly aclEdits: number;
  /** As last read. */
  counters(): readonly EntryCounter[];
}

interface PlannedPlugin extends PluginOptions {
  plan: Plan | undefined;
  /** What runs, for as long as it does, and the plan that it is brought in line with: `plan`, but while it is cleared. */
  runner: Runner | undefined;
  current: Plan | undefined;
  /** It is to have no ports. */
  isWithdrawn: boolean;
  isRetired: boolean;
  /** Its device holds nothing, since it was retired. */
  isCleared: boolean;
}

export class Planner {
  readonly #options: PlannerOptions;
  readonly #view: KernelView;
  readonly #cursor = objectCursor();
  readonly #reader = new NeighbourReader();
  readonly #neighbours = new Map<string, Neighbour>();
  readonly #neighbourKeys = new Map<number, string>();
  readonly #plugins = new Map<string, PlannedPlugin>();
  readonly #unsubscribe: (() => void)[];
  #activity = 0;

  constructor(options: PlannerOptions) {
    this.#options = options;
    const { mirror } = options;
    this.#view = new KernelView(mirror);
    for (const kind of KINDS.keys()) {
      if (kind === KIND.neighbour) mirror.forEach(kind, (id) => this.#takeNeighbour(id, false));
      else mirror.forEach(kind, (id) => this.#view.change(kind, id, false));
    }
    this.#unsubscribe = [
      mirror.subscribe((changes) => this.#changed(changes)),
      mirror.onState(() => {
        for (const { plan } of this.#plugins.values()) plan?.mirrorStateChanged();
      }),
    ];
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const { plan } of this.#plugins.values()) plan?.close();
  }

  addPlugin(options: PluginOptions): void {
    this.#plugins.set(options.name, {
      ...options,
      plan: undefined,
      runner: undefined,
      current: undefined,
      isWithdrawn: false,
      isRetired: options.isRetired ?? false,
      isCleared: false,
    });
  }

  /** The plugin goes for good; what its device holds stays. */
  removePlugin(name: string): void {
    this.#plugins.get(name)?.plan?.close();
    this.#plugins.delete(name);
    this.#options.onKinds?.();
  }

  /** The plugin runs. Listens to it, reads back what its device holds and makes that equal to the plan. */
  async pluginUp(
    name: string,
    runner: Runner,
    listener: { fault(error: Error): void; down(error: Error | undefined): void },
  ): Promise<void> {
    const plugin = this.#plugins.get(name);
    if (plugin === undefined) return;
    plugin.isWithdrawn = false;
    plugin.isRetired = false;
    plugin.isCleared = false;
    const before = plugin.plan;
    let plan = before;
    plan?.stop();
    // A plugin that can do something else than before (another version) is planned for from scratch.
    if (
      plan === undefined ||
      plan.isFaulty ||
      abilitiesOf(plan.description) !== abilitiesOf(runner.description)
    ) {
      plan = this.#planFor(plugin, runner.description);
      plugin.plan = plan;
      before?.close();
      this.#options.onKinds?.();
    }
    plugin.runner = runner;
    plugin.current = plan;
    /** Unless it is another's turn already. */
    const current = () => (plugin.runner === runner ? plugin.current : undefined);
    runner.listen({
      result: (result) => {
        this.#activity++;
        current()?.result(result);
      },
      ready: () => current()?.schedule(),
      events: (events) => {
        this.#activity++;
        current()?.events(events);
      },
      fault: (error) => listener.fault(error),
      down: (error) => {
        this.#activity++;
        current()?.stop(runner);
        if (plugin.runner === runner) plugin.runner = plugin.current = undefined;
        listener.down(error);
      },
    });
    await plan.start(runner);
    this.#activity++;
  }

  #planFor(plugin: PlannedPlugin, description: Description): Plan {
    const { name } = plugin;
    return new Plan(
      {
        name,
        mirror: this.#options.mirror,
        view: this.#view,
        neighbours: this.#neighbours,
        neighbourKeys: this.#neighbourKeys,
        isPort: (name, isDefault) => !plugin.isWithdrawn && (plugin.isPort?.(name, isDefault) ?? isDefault),
        isOwnProgram: plugin.isOwnProgram,
        canMirror: plugin.canMirror,
        netfilter: this.#options.netfilter,
        savedCounter: (describe) => this.#options.savedCounter?.(name, describe),
        xfrm: this.#options.xfrm,
        hooks: this.#options.hooks,
        log: (level, message) => this.#options.log(level, message, name),
        onStation: (station) => {
          if (!plugin.isRetired) this.#options.onStation?.(station, name);
        },
        tracer: this.#options.tracer,
      },
      description,
    );
  }

  /** What the kernel told its notifiers: plugins that want to hear of it do. The record is valid during the call only. */
  kernelEvent(record: NotifierRecord): void {
    for (const { plan } of this.#plugins.values()) plan?.kernelEvent(record);
  }

  /**
   * The plugin is to stop until it comes up again. What its device holds stays with `keep`; with `clear` its ports leave first, so
   * that no packet is forwarded by half of a plan, then all the rest. Resolves when that is done. Rejects when `signal` aborts: then
   * it may hold something, and even forward.
   */
  async retire(name: string, what: 'clear' | 'keep', signal: AbortSignal): Promise<Retired> {
    const plugin = this.#plugins.get(name);
    if (plugin === undefined) return 'kept';
    plugin.isRetired = true;
    this.#options.onRetired?.(name);
    if (plugin.runner === undefined || plugin.plan === undefined) {
      // Those who wait for it would wait for ever.
      plugin.plan?.close();
      return what === 'keep' ? 'kept' : 'down';
    }
    if (what === 'keep') return 'kept';
    plugin.isWithdrawn = true;
    plugin.plan.structureChanged();
    await this.pluginSettled(name, signal);
    const { runner, current } = plugin;
    if (runner === undefined || current === undefined) return 'down';
    current.stop(runner);
    plugin.current = this.#planForNothing(name, runner.description);
    await plugin.current.start(runner);
    await Promise.race([plugin.current.settled(signal), aborted(signal)]);
    plugin.isCleared = true;
    this.#activity++;
    return 'cleared';
  }

  #planForNothing(name: string, description: Description): Plan {
    return new Plan(
      {
        name,
        mirror: EMPTY,
        view: new KernelView(EMPTY),
        neighbours: new Map(),
        neighbourKeys: new Map(),
        isPort: () => false,
        netfilter: 'ignore',
        xfrm: 'ignore',
        log: (level, message) => this.#options.log(level, `to be cleared: ${message}`, name),
      },
      description,
    );
  }

  /** As `settled`, for one plugin. */
  async pluginSettled(name: string, signal?: AbortSignal): Promise<void> {
    const plan = this.#plugins.get(name)?.plan;
    await Promise.race([plan?.settled(signal), aborted(signal)]);
  }

  #changed(changes: ChangeSet): void {
    let structure = false;
    for (let place = 0; place < changes.length; place++) {
      const kind = changes.kinds[place]!;
      const id = changes.ids[place]!;
      const isDelete = changes.operations[place] === OPERATION_DELETE;
      if (kind === KIND.neighbour) this.#takeNeighbour(id, isDelete);
      else if (this.#view.change(kind, id, isDelete)) structure = true;
      else for (const { plan } of this.#plugins.values()) plan?.change(kind, id, isDelete);
    }
    if (structure) for (const { plan } of this.#plugins.values()) plan?.structureChanged();
  }

  #takeNeighbour(id: number, isDelete: boolean): void {
    const before = this.#neighbourKeys.get(id);
    let key: string | undefined;
    let neighbour: Neighbour | undefined;
    const reader = this.#reader;
    if (
      !isDelete &&
      this.#options.mirror.open(KIND.neighbour, id, this.#cursor) &&
      reader.read(this.#cursor)
    ) {
      const isIp =
        (reader.family === AF_INET && reader.addressBytes === 4) ||
        (reader.family === AF_INET6 && reader.addressBytes === 16);
      if (isIp && (reader.flags & NTF_PROXY) === 0) {
        key = addressKey(reader.ifindex, reader.family, reader.address);
        const { address } = reader;
        neighbour = {
          id,
          ifindex: reader.ifindex,
          family: reader.family,
          address: [address[0]!, address[1]!, address[2]!, address[3]!],
          mac: reader.isValid ? reader.mac : undefined,
          // The group bit of a MAC is the lowest of its first byte.
          isHost: (reader.state & NUD_NOARP) === 0 && Math.floor(reader.mac / 0x100_0000_0000) % 2 === 0,
        };
      }
    }
    if (before !== undefined && before !== key) {
      this.#neighbours.delete(before);
      this.#neighbourKeys.delete(id);
      for (const { plan } of this.#plugins.values()) plan?.neighbourChanged(id, before, undefined);
    }
    if (key === undefined || neighbour === undefined) return;
    this.#neighbours.set(key, neighbour);
    this.#neighbourKeys.set(id, key);
    for (const { plan } of this.#plugins.values()) plan?.neighbourChanged(id, key, neighbour);
  }

  /** Grows whenever something came from a plugin, which offload states may follow. */
  get activity(): number {
    return this.#activity;
  }

  /** Interface indexes of all links. */
  links(): Iterable<number> {
    return this.#view.links.keys();
  }

  /** What the option `hooks` gives changed. */
  hooksChanged(): void {
    for (const { plan } of this.#plugins.values()) plan?.structureChanged();
  }

  // ---- what is known ----

  /** Kinds that plugins declare, by name, and by which; of two of one name that of the plugin that was configured first. */
  offloadKinds(): ReadonlyMap<string, OffloadKind & { readonly plugin: string }> {
    const kinds = new Map<string, OffloadKind & { readonly plugin: string }>();
    for (const { name, plan } of this.#plugins.values())
      for (const kind of plan?.description.offloadKinds ?? [])
        if (!kinds.has(kind.name)) kinds.set(kind.name, { ...kind, plugin: name });
    return kinds;
  }

  /** Of an object that no plugin declares the kind of: by the vendor, which may be a plugin that has not run yet. */
  #undeclared(id: number): ObjectOffload[] {
    if (!this.#options.mirror.open(KIND.offload, id, this.#cursor)) return [];
    const { bytes, start, end } = this.#cursor;
    const [vendor = ''] = customOf(decodeObject('offload', bytes, start, end)).kind.split(':');
    const plugin = this.#plugins.get(vendor);
    const isComing = plugin !== undefined && plugin.plan === undefined && !plugin.isRetired;
    return [
      isComing
        ? { plugin: vendor, state: 'pending', reason: 'not-started' }
        : { plugin: vendor, state: 'refused', reason: 'kind-unknown' },
    ];
  }

  /** Offload state of an object in every plugin that could hold it; empty for objects hardware has no part in. */
  offloadOf(kind: KindNumber, id: number): ObjectOffload[] {
    const states: ObjectOffload[] = [];
    for (const { plan } of this.#plugins.values()) {
      const state = plan?.states.offloadOf(kind, id);
      if (state !== undefined) states.push(state);
    }
    if (kind === KIND.offload && states.length === 0) return this.#undeclared(id);
    return states;
  }

  /** Whether the plugin's device was cleared when the plugin was stopped for good: it holds nothing. */
  isCleared(plugin: string): boolean {
    return this.#plugins.get(plugin)?.isCleared ?? false;
  }

  /** Why an object is or is not in hardware, a line a fact. */
  explain(kind: KindNumber, id: number): string[] {
    const lines: string[] = [];
    for (const state of this.offloadOf(kind, id)) {
      const { plugin, reason, detail } = state;
      lines.push(`${plugin}: ${state.state}${reason === undefined ? '' : ` (${reason})`}`);
      if (reason !== undefined)
        lines.push(`  because ${REASONS[reason].why}${detail === undefined ? '' : `: ${detail}`}`);
      if (reason !== undefined && !NO_REMEDY.has(REASONS[reason].remedy))
        lines.push(`  remedy: ${REASONS[reason].remedy}`);
    }
    if (lines.length > 0) return lines;
    if (this.#plugins.size === 0) return ['no plugin is configured'];
    const running = [...this.#plugins.values()].filter(({ plan }) => plan !== undefined);
    if (running.length === 0) return ['no plugin has run yet: `ekho plugin list` says why'];
    return ['hardware has no part in this object: it is mirrored only'];
  }

  /** Resolves once every change the mirror has now is reconciled with the devices of all running plugins. */
  async settled(signal?: AbortSignal): Promise<void> {
    const running = [...this.#plugins.values()].map(async (plugin) => {
      if (plugin.isRetired) return;
      // A plan that is replaced meanwhile lets go of those who wait: the next one goes on.
      for (
        let plan = plugin.plan;
        plan !== undefined;
        plan = plan === plugin.plan ? undefined : plugin.plan
      ) {
        await plan.settled(signal);
      }
    });
    await Promise.race([Promise.all(running), aborted(signal)]);
  }

  /** Entries that devices failed to take or to let go, which are tried again. */
  get failing(): number {
    return [...this.#plugins.values()].reduce((sum, { plan }) => sum + (plan?.failing ?? 0), 0);
  }

  /** Plan against what every device says it holds whose plugin is to run. */
  async verify(): Promise<(Difference & { readonly plugin: string })[]> {
    const all = await Promise.all(
      [...this.#plugins.values()].map(async ({ name, plan, isRetired }) => {
        if (isRetired) return [];
        if (plan === undefined)
          return [{ plugin: name, kind: 'plugin', object: name, detail: 'is not running' }];
        return (await plan.verify()).map((difference) => ({ plugin: name, ...difference }));
      }),
    );
    return all.flat();
  }

  summary(): {
    readonly plugin: string;
    readonly isReady: boolean;
    readonly resyncs: number;
    readonly tables: readonly TableSummary[];
  }[] {
    return [...this.#plugins.values()].flatMap(({ name, plan }) =>
      plan === undefined
        ? []
        : [{ plugin: name, isReady: plan.isReady, resyncs: plan.resyncs, tables: plan.states.summary() }],
    );
  }

  /**
   * Reads the counters of all running plugins, each at its own pace: one that is too slow, or falls meanwhile, is left with what was
   * read of it before.
   */
  async readCounters(isSample: boolean): Promise<void> {
    await Promise.all(
      [...this.#plugins.values()].map(async ({ plan }) => {
        const limit = Promise.withResolvers<void>();
        const timer = setTimeout(limit.resolve, COUNTERS_MS);
        await Promise.race([plan?.readCounters(isSample).catch(() => {}), limit.promise]);
        clearTimeout(timer);
      }),
    );
  }

  /** As last read. */
  *counters(): Generator<{ readonly plugin: string; readonly counters: readonly EntryCounter[] }> {
    for (const { name, plan } of this.#plugins.values())
      if (plan !== undefined) yield { plugin: name, counters: plan.counters() };
  }

  /** Neighbours and bridge addresses whose packets hardware forwarded after `since` (CLOCK_MONOTONIC, ns), as last read. */
  *used(since: number): Generator<{ readonly kind: KindNumber; readonly id: number }> {
    for (const { plan } of this.#plugins.values()) if (plan !== undefined) yield* plan.used(since);
  }

  /** Plugins as rules of firmware need to know them. */
  *hardware(): Generator<Hardware> {
    for (const { name, plan } of this.#plugins.values()) {
      if (plan === undefined) continue;
      const { states, description } = plan;
      const { aclFields, aclEdits } = description;
      yield { plugin: name, states, aclFields, aclEdits, counters: () => plan.counters() };
    }
  }

  /** Of an object of an offload kind in each plugin that counts it, as last read. */
  countersOf(
    kind: KindNumber,
    id: number,
  ): { readonly plugin: string; readonly packets: number; readonly bytes: number }[] {
    return [...this.#plugins.values()].flatMap(({ name, plan }) => {
      const counter = plan?.counterOf(kind, id);
      return counter === undefined ? [] : [{ plugin: name, ...counter }];
    });
  }

  *savedCounters(): Generator<SavedEntry> {
    for (const { name, plan } of this.#plugins.values())
      for (const saved of plan?.savedCounters() ?? []) yield { plugin: name, ...saved };
  }

  /** What a handle stands for: the mirror's object if there is one, and the entry's key in words. */
  resolveHandle(
    plugin: string,
    handle: number,
  ): { readonly kind: KindNumber | undefined; readonly id: number | undefined; readonly text: string } {
    const plan = this.#plugins.get(plugin)?.plan;
    const object = plan?.states.objectOf(handle);
    return {
      kind: object?.kind,
      id: object?.id,
      text: plan?.states.describe(handle) ?? '',
    };
  }

  /** The mirror's object that a handle stands for, if there is one. */
  objectOfHandle(
    plugin: string,
    handle: number,
  ): { readonly kind: KindNumber; readonly id: number } | undefined {
    return this.#plugins.get(plugin)?.plan?.states.objectOf(handle);
  }

  /** Gateway (empty for a host on the link) and link of a nexthop handle, for `lookup`. */
  wayOf(
    plugin: string,
    nexthop: number,
  ): { readonly gateway: readonly number[]; readonly family: number; readonly ifindex: number } | undefined {
    const hop = this.#plugins.get(plugin)?.plan?.states.hopOf(nexthop);
    return hop && { gateway: hop.gateway, family: hop.family, ifindex: hop.ifindex };
  }

  portOf(plugin: string, handle: number): number | undefined {
    return this.#plugins.get(plugin)?.plan?.states.portOf(handle);
  }
}

/** Rejects when `signal` aborts. */
function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** What plans depend on: who made it and which version it is does not matter. */
function abilitiesOf({ vendor: _v, name: _n, version: _o, ...abilities }: Description): string {
  return JSON.stringify(abilities);
}
