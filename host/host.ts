/** The whole of it: mirror, sync, planner, plugins and devices, put together as the configuration says. */
import type {
  Diagnosis,
  Explanation,
  LookupAnswer,
  LookupQuery,
  Stats,
  Status,
  TopEntries,
  VerifyAnswer,
  WaitAnswer,
} from './api/schemas.ts';
import {
  type CountedEntry,
  countAll,
  countedEntries,
  offloadedEntries,
  routedPackets,
  topEntries,
} from './assembly/counting.ts';
import { Devices } from './assembly/devices.ts';
import { HostFirmware } from './assembly/firmware.ts';
import { lookup } from './assembly/lookup.ts';
import { type Marking, startMarking } from './assembly/marking.ts';
import { Offloads } from './assembly/offloads.ts';
import { Plugins } from './assembly/plugins.ts';
import { kindsOf, statusOf } from './assembly/status.ts';
import type { Config } from './config/config.ts';
import { shownEndpoint } from './config/shown.ts';
import { BpfMaps } from './custom/bpf-maps.ts';
import { CustomStore } from './custom/store.ts';
import { diagnose } from './doctor/diagnose.ts';
import { EkhoError } from './errors.ts';
import { describe } from './iproute2/describe.ts';
import type { Json } from './iproute2/json.ts';
import { parseSelector } from './iproute2/selector.ts';
import { forwardedPackets } from './kernel/forwarded.ts';
import { HookWatch, NO_HOOKS } from './kernel/hooks.ts';
import { KernelEvents } from './kernel/kernel-events.ts';
import { netnsDeleted } from './kernel/netns-watch.ts';
import { rungsText } from './kernel/rungs-text.ts';
import { KernelSync } from './kernel/sync.ts';
import { Logs } from './log/log.ts';
import { paced } from './log/paced.ts';
import { Journal } from './mirror/journal.ts';
import { Mirror } from './mirror/mirror.ts';
import { KIND, KINDS, type Kind, type KindNumber } from './mirror/types.ts';
import type { DecodedObject } from './netlink/decode.ts';
import { Objects } from './objects.ts';
import { Planner } from './offload/planner.ts';
import { Statistics } from './offload/statistics.ts';
import { Publisher } from './remote/publisher.ts';
import { openSource, type Source, sourceName } from './source.ts';
import { Sampler } from './telemetry/sampler.ts';
import { ChangeTracer } from './trace/change-tracer.ts';
import type { TraceCounters, TraceExport } from './trace/otlp.ts';

/** Differences listed by `verify`. */
const DIFFERENCES_MAX = 1000;
/** What comes again and again is told once in so long. */
const TELL_MS = 10_000;
/** Entries up to which counters are read every second while somebody looks. */
const READ_EACH_SECOND_MAX = 65_536;
/** Longest that firmware waits for the first plan to be in hardware. */
const FIRST_SETTLE_MS = 60_000;
/** How often `wait` looks whether plugins have come up. */
const LOOK_MS = 20;

export class Host {
  readonly mirror = new Mirror();
  readonly objects: Objects;
  /** The mirror's last changes. */
  readonly journal = new Journal(this.mirror);
  /** The last minutes in numbers. */
  readonly sampler: Sampler;
  readonly plugins: Plugins;
  readonly devices: Devices;
  /** What users asked for of kinds that plugins declare. */
  readonly offloads: Offloads;
  /** Where dashboard and API are served on TCP, once they are. */
  url: string | undefined;
  readonly config: Config;
  readonly logs: Logs;
  readonly #say: (line: string) => void;
  readonly #warn: (line: string) => void;
  readonly #source: Source;
  readonly #publisher: Publisher | undefined;
  /** Undefined where the mirror does not come from the kernel. */
  readonly events: KernelEvents | undefined;
  readonly #planner: Planner;
  readonly #hooks: HookWatch | undefined;
  /** Undefined where the mirror does not come from the kernel. */
  readonly #bpfMaps: BpfMaps;
  #marking: Marking | undefined;
  readonly #firmware: HostFirmware | undefined;
  /** Resolves with how many seconds it took. */
  #reading: Promise<number> | undefined;
  #started: Promise<void> | undefined;
  readonly #statistics: Statistics;
  /** When the kernel was told what is in use: CLOCK_MONOTONIC, ns. */
  #toldUse = Number(process.hrtime.bigint());
  #verifying: Promise<VerifyAnswer> | undefined;
  #diagnosing: Promise<Diagnosis> | undefined;
  #counting: Promise<Stats> | undefined;
  #stopping = false;
  #traces: TraceExport | undefined;

  /** `log` is told what a person at the terminal wants to know, as lines or with all its fields. Throws E_DEVICE when a device cannot be opened. */
  constructor(config: Config, log: Logs | ((line: string) => void)) {
    this.config = config;
    const logs = typeof log === 'function' ? Logs.toLines(log, config.log) : log;
    this.logs = logs;
    this.#say = (message) => logs.of('host').info(message);
    this.#warn = (message) => logs.of('host').warn(message);
    const { tracing } = config;
    // The first spans come once what makes them is loaded.
    const tracer = tracing && new ChangeTracer(tracing.sample, (trace) => this.#traces?.add(trace));
    this.#source = openSource(this.mirror, config, logs.sink('mirror'), tracer);
    if (this.#source instanceof KernelSync) {
      this.events = new KernelEvents({ ...config.notifier, netns: config.mirror.netns }, this.#source);
    }
    if (config.publish !== undefined) {
      const options = { ...config.publish, netns: config.mirror.netns };
      this.#publisher = new Publisher(this.mirror, options, logs.sink('publish'));
    }
    const { interval_s, state } = config.statistics;
    this.#statistics = new Statistics({
      interval_ms: interval_s * 1000,
      file: state,
      warn: (message) => logs.of('statistics').warn(message),
      onSample: () => {
        this.devices.sampleTraps(performance.now());
        this.#tellUse();
      },
      onRead: () => this.#firmware?.counted(),
      alsoSaved: () => this.devices.savedTraps(),
    });
    if (this.#source instanceof KernelSync) {
      this.#hooks = new HookWatch({
        netns: config.mirror.netns,
        links: () => this.#planner.links(),
        onChange: () => this.#planner.hooksChanged(),
        onTrouble: (why) => {
          const what = 'what sees packets besides what is mirrored';
          this.#warn(why === '' ? `${what} is read again` : `${what} cannot be read: ${why}`);
        },
      });
    }
    this.#planner = new Planner({
      mirror: this.mirror,
      netfilter: config.planner.netfilter,
      savedCounter: (plugin, describe) => this.#statistics.savedCounter(plugin, describe),
      xfrm: config.planner.xfrm,
      hooks: () => this.#hooks?.state ?? NO_HOOKS,
      tracer,
      onStation: (station, plugin) => this.#marking?.hear(station, plugin),
      onRetired: (plugin) => this.#marking?.retired(plugin),
      onKinds: () => store.refresh(),
      log: (level, message, plugin) => logs.of('planner')[level]({ plugin }, message),
    });
    this.#statistics.start(this.#planner);
    this.events?.subscribe({
      record: (record) => this.#planner.kernelEvent(record),
      lost: paced((count: number) => {
        this.#warn(`${count} events of the kernel’s notifiers or more found the ring full`);
      }, TELL_MS),
    });
    this.mirror.subscribe((changes) => {
      if (logs.isOn('mirror', 'trace'))
        logs.of('mirror').trace(`${changes.length} changes up to revision ${this.mirror.revision}`);
      const kinds = changes.kinds.subarray(0, changes.length);
      if (kinds.includes(KIND.link) || kinds.includes(KIND.netconf)) this.#hooks?.lookSoon();
    });
    this.objects = new Objects(this.mirror, (kind, id) => this.#planner.offloadOf(kind, id));
    const store = new CustomStore({
      mirror: this.mirror,
      kinds: () => this.#planner.offloadKinds(),
      configured: config.offload,
      state: config.offloads.state,
      warn: (message) => this.#warn(message),
    });
    this.#bpfMaps = new BpfMaps({
      paths: config.offloads.maps,
      kinds: () => this.#planner.offloadKinds(),
      links: { nameOf: (ifindex) => this.objects.linkName(ifindex) },
      request: (path, requested) => store.setSource(path, requested),
      warn: (message) => this.#warn(message),
    });
    this.offloads = new Offloads({ store, planner: this.#planner, objects: this.objects });
    const parts = { config, objects: this.objects, planner: this.#planner, statistics: this.#statistics };
    this.devices = new Devices({ ...parts, warn: this.#warn });
    this.plugins = new Plugins({ ...parts, devices: this.devices, logs, isStopping: () => this.#stopping });
    this.devices.open();
    if (this.#source instanceof KernelSync) {
      const parts = { config, planner: this.#planner, statistics: this.#statistics };
      this.#firmware = new HostFirmware({ ...parts, log: logs.sink('host') });
    }
    this.sampler = this.#sampler();
  }

  #sampler(): Sampler {
    const { netns } = this.config.mirror;
    const isKernel = this.#source instanceof KernelSync;
    return new Sampler({
      mirror: this.mirror,
      settled: (signal) => this.#planner.settled(signal),
      hasHardware: () => [...this.plugins.supervised.values()].some(({ counters }) => counters !== undefined),
      kernelPackets: () => (isKernel ? forwardedPackets(netns) : undefined),
      readHardware: async () => {
        // More are read at their own pace alone.
        if (offloadedEntries(this.#planner) <= READ_EACH_SECOND_MAX) await this.#statistics.now();
      },
      hardwarePackets: (limit) => routedPackets(this.#planner, limit),
      onHeld: paced((milliseconds: number) => {
        const seconds = (milliseconds / 1000).toFixed(1);
        this.#warn(`the host stood still for ${seconds} s: it was stopped, or had no processor time`);
      }, TELL_MS),
      onShort: paced(() => {
        this.#warn(
          'no file descriptor is left: connections are turned away. Raise the limit (LimitNOFILE=).',
        );
      }, TELL_MS),
    });
  }

  /** The kernel sees no packet of what hardware forwards: it is told which neighbours and bridge addresses are in use. */
  #tellUse(): void {
    const since = this.#toldUse;
    this.#toldUse = Number(process.hrtime.bigint());
    if (this.#stopping) return;
    this.#source.refresh?.(this.#planner.used(since)).catch((error: Error) => {
      this.#warn(`what hardware uses is not told to the kernel: ${error.message}`);
    });
  }

  /** Resolves once the mirror is in sync and the plugins are up, refused or waiting for another attempt. */
  start(): Promise<void> {
    this.#started ??= this.#startAll();
    return this.#started;
  }

  async #startAll(): Promise<void> {
    await Promise.all([this.#startTraces(), this.#startSync(), this.#startPlugins()]);
    await this.#startFirmware();
    void this.#tellOutcome();
  }

  /** What sees packets besides what is mirrored is known before anything is planned; of links, once they are. */
  async #startPlugins(): Promise<void> {
    await this.#hooks?.look();
    if (this.#stopping) return;
    await this.plugins.start();
  }

  /** What makes spans is not loaded where nobody wants any. */
  async #startTraces(): Promise<void> {
    const { tracing } = this.config;
    if (tracing === undefined) return;
    const { openExport } = await import('./trace/otlp.ts');
    if (this.#stopping) return;
    this.#traces = openExport(tracing.endpoint, this.#warn);
    this.#say(`tracing ${tracing.sample * 100} % of transactions to ${shownEndpoint(tracing.endpoint)}`);
  }

  /**
   * What plugins can do must be known first: rules that were there before are replayed as it is attached, and marks that an
   * earlier host left are to stay where they are right.
   */
  async #startFirmware(): Promise<void> {
    const { enabled, marks } = this.config.firmware;
    if ((enabled === 'off' && marks === 'off') || this.#firmware === undefined) return;
    await this.#planner.settled(AbortSignal.timeout(FIRST_SETTLE_MS)).catch(() => {});
    if (this.#stopping) return;
    if (enabled !== 'off') await this.#firmware.start();
    if (marks === 'off' || this.#stopping) return;
    this.#marking = startMarking({
      mirror: this.mirror,
      planner: this.#planner,
      netns: this.config.mirror.netns,
      isKept: marks === 'keep',
      warn: this.#warn,
    });
  }

  /** Begins to read what is to be mirrored, without a word. Nothing is written anywhere before `start`, which awaits it and tells what went wrong. */
  beginReading(): Promise<number> {
    this.#reading ??= this.#read();
    // Told where it is awaited, unless something else ends the start before.
    this.#reading.catch(() => {});
    return this.#reading;
  }

  async #read(): Promise<number> {
    const began = performance.now();
    await this.#source.start();
    return (performance.now() - began) / 1000;
  }

  async #startSync(): Promise<void> {
    this.#say(`mirroring ${sourceName(this.config)}`);
    this.#publisher?.start();
    const synced = this.beginReading();
    this.#startEvents();
    const seconds = (await synced).toFixed(2);
    if (this.#stopping) return;
    const kinds = kindsOf(this.config, this.mirror);
    const there = kinds.filter(({ count }) => count > 0).map(({ kind, count }) => `${count} ${kind}`);
    this.#say(`mirror in sync after ${seconds} s: ${there.join(', ') || 'no objects'}`);
    const missing = kinds.filter(({ state }) => state === 'unavailable');
    for (const why of new Set(
      missing.map(({ reason, remedy }) => [reason, remedy].filter(Boolean).join('. ')),
    )) {
      const names = missing.filter(
        ({ reason, remedy }) => [reason, remedy].filter(Boolean).join('. ') === why,
      );
      this.#say(`not available: ${names.map(({ kind }) => kind).join(', ')}: ${why}`);
    }
  }

  /** Throws E_UNAVAILABLE where the configuration insists and there is nothing. */
  #startEvents(): void {
    const { events } = this;
    if (events === undefined) return;
    events.start();
    const { state, reason, hooks } = events.status();
    if (state === 'off') return;
    this.#say(
      state === 'on'
        ? `notifiers: ${rungsText(hooks)}`
        : `notifiers: none, the mirror goes by netlink alone: ${reason}`,
    );
  }

  /** The line that ends the start: what went into hardware. */
  async #tellOutcome(): Promise<void> {
    await this.wait(AbortSignal.timeout(60_000)).catch(() => {});
    if (this.#stopping) return;
    for (const { plugin, tables } of this.#planner.summary()) {
      const held = tables
        .filter(({ offloaded }) => offloaded > 0)
        .map(({ kind, offloaded }) => `${offloaded} ${kind}`);
      const left = tables.reduce((sum, { planned, offloaded }) => sum + planned - offloaded, 0);
      this.#say(
        `${plugin} holds ${held.join(', ') || 'nothing'}; ${left} left to the kernel (\`ekho status\`)`,
      );
    }
  }

  /** What hardware holds stays, but for plugins that are configured to clear it. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.sampler.close();
    this.#marking?.pause();
    await this.plugins.leave();
    await this.#marking?.close(this.#clearedPlugins());
    await this.#statistics.stop();
    this.#firmware?.close();
    this.#bpfMaps.close();
    await this.plugins.stop();
    this.#planner.close();
    await this.#publisher?.stop();
    this.events?.close();
    this.#source.close();
    this.#hooks?.close();
    this.devices.close();
    await this.#traces?.close();
  }

  #clearedPlugins(): ReadonlySet<string> {
    return new Set(this.config.plugin.filter(({ onStop }) => onStop === 'clear').map(({ name }) => name));
  }

  /** Spans that the collector took and did not take; undefined without tracing. */
  get spans(): Readonly<TraceCounters> | undefined {
    return this.#traces?.counters;
  }

  // ---- what the API asks ----

  status(): Status {
    return statusOf(this.#parts, this.url);
  }

  /** Whether the mirror has more to take in than comes in a moment: what can wait should. */
  get isBehind(): boolean {
    return this.#source.isBehind?.() ?? false;
  }

  /** Rows of the objects that fit `words`. Throws E_USAGE, E_BAD_ADDRESS. */
  async rows(kind: Kind, words: readonly string[]): Promise<Generator<Json>> {
    const number = KIND[kind];
    if (words.length === 0) return this.objects.rows(number, this.objects.ids(number), true);
    const wanted = parseSelector(kind, words, this.objects.context);
    return this.objects.rows(number, await this.objects.select(number, wanted), false);
  }

  /** One object, as it is told with a change: in words and as iproute2's JSON. */
  object(kind: KindNumber, id: number): { text: string; json: Json } | undefined {
    const object = this.objects.decode(kind, id);
    return object && this.objects.view(kind, id, object);
  }

  /** Why an object is or is not in hardware, a line a fact. */
  reasonsOf(kind: KindNumber, id: number): string[] {
    const lines = this.#planner.explain(kind, id);
    return kind === KIND.filter ? [...lines, ...(this.#firmware?.explain(id) ?? [])] : lines;
  }

  /** What plugins counted of an object, as last read; of none that does not count. */
  countersOf(kind: KindNumber, id: number) {
    return this.#planner.countersOf(kind, id);
  }

  /** What hardware would do with a packet. Throws E_USAGE, E_UNKNOWN_OBJECT. */
  lookup(query: LookupQuery): LookupAnswer[] {
    return lookup(this.#parts, query);
  }

  /** At most `limit` objects. */
  async explain(kind: Kind, words: readonly string[], limit: number): Promise<Explanation[]> {
    const number = KIND[kind];
    const wanted = parseSelector(kind, words, this.objects.context);
    const found: { id: number; object: DecodedObject }[] = [];
    for (const id of await this.objects.select(number, wanted, limit)) {
      const object = this.objects.decode(number, id);
      if (object !== undefined) found.push({ id, object });
    }
    // Of the routes that match an address, the one that decides comes first.
    if (kind === 'route')
      found.sort((a, b) => Number(b.object.header.dst_len) - Number(a.object.header.dst_len));
    return found.map(({ id, object }) => ({
      kind,
      object: describe(kind, object, this.objects.context),
      offload: this.#planner.offloadOf(number, id).map((state) => ({ ...state })),
      lines: this.reasonsOf(number, id),
    }));
  }

  /** As with `verify`: every plugin reads its counters from hardware for it. */
  stats(): Promise<Stats> {
    this.#counting ??= countAll(this.#parts).finally(() => {
      this.#counting = undefined;
    });
    return this.#counting;
  }

  /** Counters of the entries of these kinds (`ENTRY_KIND_NAMES`), as they were last read. */
  countedEntries(kinds: ReadonlySet<string>): CountedEntry[] {
    return countedEntries(this.#parts, kinds);
  }

  /** Entries with the highest rates, as they were last read. */
  topEntries(limit: number): TopEntries {
    return topEntries(this.#parts, limit);
  }

  /** What costs little to count. */
  counted(): { sync: Record<string, number>; mirrorBytes: number; forwarded: number | undefined } {
    const isKernel = this.#source instanceof KernelSync;
    return {
      sync: { ...this.#source.counters() },
      mirrorBytes: this.mirror.memory,
      forwarded: isKernel ? forwardedPackets(this.config.mirror.netns) : undefined,
    };
  }

  /** Throws E_UNAVAILABLE where there are no notifiers to hear from. */
  requireEvents(): void {
    const status = this.events?.status();
    if (status?.state === 'on') return;
    const why = status?.reason ?? 'the mirror does not come from this kernel';
    throw new EkhoError('E_UNAVAILABLE', `there are no notifiers: ${why}`, {
      remedy: '`ekho doctor` says more; `--source netlink` needs none.',
    });
  }

  /** Who asks while it is being found out gets the same answer. */
  diagnose(): Promise<Diagnosis> {
    const running = { plugins: this.plugins.list(), events: this.events?.status() };
    this.#diagnosing ??= diagnose(this.config, running).finally(() => {
      this.#diagnosing = undefined;
    });
    return this.#diagnosing;
  }

  /** Who asks while it is being found out gets the same answer: it costs a dump of everything. */
  verify(): Promise<VerifyAnswer> {
    this.#verifying ??= this.#verify().finally(() => {
      this.#verifying = undefined;
    });
    return this.#verifying;
  }

  async #verify(): Promise<VerifyAnswer> {
    this.#requireNetns();
    const kernel = await this.#source.verify();
    const hardware = await this.#planner.verify();
    const differences = [
      ...kernel.differences.map(({ kind, key, object, side, detail }) => ({
        side: 'mirror' as const,
        text: `${kind} ${object === undefined ? key : describe(kind, object, this.objects.context)}: ${side}${detail && `: ${detail}`}`,
      })),
      ...hardware.map(({ plugin, kind, object, detail }) => ({
        side: 'plan' as const,
        text: `${plugin}: ${kind} ${object}: ${detail}`,
      })),
    ];
    return {
      equal: kernel.equal && hardware.length === 0,
      differences: differences.slice(0, DIFFERENCES_MAX),
      objects: KINDS.reduce((sum, _, kind) => sum + this.mirror.count(kind), 0),
      entries: offloadedEntries(this.#planner),
      ...(this.config.source !== undefined && { bucket: this.config.source.bucket }),
    };
  }

  /** Resolves once everything the kernel announced before the call is in hardware, or rejects when `signal` aborts. */
  async wait(signal: AbortSignal): Promise<WaitAnswer> {
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    const until = <T>(promise: Promise<T>): Promise<T> => Promise.race([promise, aborted]);
    await until(this.start());
    this.#requireNetns();
    await until(this.#source.barrier());
    // Nobody announces these.
    await until(this.#hooks?.look() ?? Promise.resolve());
    const revision = this.mirror.revision;
    while (this.plugins.areComingUp) {
      await until(new Promise((resolve) => setTimeout(resolve, LOOK_MS)));
    }
    await until(this.#planner.settled(signal));
    this.#firmware?.look();
    await until(this.#publisher?.settled() ?? Promise.resolve());
    return { revision, failing: this.#planner.failing };
  }

  /** Nothing that is asked of a namespace which nobody else can reach says anything of the one people mean. */
  #requireNetns(): void {
    if (this.#source.status().isOrphaned) throw netnsDeleted(this.config.mirror.netns!);
  }

  get #parts() {
    return {
      config: this.config,
      mirror: this.mirror,
      objects: this.objects,
      source: this.#source,
      publisher: this.#publisher,
      events: this.events,
      hooks: this.#hooks,
      firmware: this.#firmware,
      planner: this.#planner,
      offloads: this.offloads,
      statistics: this.#statistics,
      plugins: this.plugins,
      devices: this.devices,
      sampler: this.sampler,
    };
  }
}
