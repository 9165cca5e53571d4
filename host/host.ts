/** The whole of it: mirror, sync, planner, supervisor and devices, put together as the configuration says. */
import { isIP } from 'node:net';
import type {
  DeviceStatus,
  Diagnosis,
  Explanation,
  Faults,
  KindStatus,
  LogLine,
  LookupAnswer,
  LookupQuery,
  PluginDetails,
  PluginStatus,
  Stats,
  Status,
  VerifyAnswer,
  WaitAnswer,
} from './api/schemas.ts';
import type { Config } from './config/config.ts';
import { portsOf } from './config/port-owners.ts';
import { openDevice } from './device/registry.ts';
import type { Device, PacketQuery } from './device/types.ts';
import { diagnose } from './doctor/diagnose.ts';
import { EkhoError } from './errors.ts';
import { describe } from './iproute2/describe.ts';
import type { Json } from './iproute2/json.ts';
import { parseSelector } from './iproute2/selector.ts';
import type { KernelCounter } from './kernel/counters.ts';
import { forwardedPackets } from './kernel/forwarded.ts';
import { HookWatch, hooksStatus, NO_HOOKS } from './kernel/hooks.ts';
import { KernelEvents } from './kernel/kernel-events.ts';
import { rungsText } from './kernel/rungs-text.ts';
import { KernelSync } from './kernel/sync.ts';
import { Journal } from './mirror/journal.ts';
import { Mirror } from './mirror/mirror.ts';
import { KIND, KINDS, type Kind, type KindNumber } from './mirror/types.ts';
import type { DecodedObject } from './netlink/decode.ts';
import { Objects } from './objects.ts';
import { kindOfHandle } from './offload/entry-table.ts';
import { Planner } from './offload/planner.ts';
import { Statistics } from './offload/statistics.ts';
import { type TrapCounter, TrapCounters } from './offload/trap-counters.ts';
import { DisabledPlugins } from './plugin/disabled-plugins.ts';
import { ENTRY_KIND, ENTRY_KIND_NAMES } from './plugin/records.ts';
import type { Trust } from './plugin/signature.ts';
import type { PluginSetup, SupervisedPlugin } from './plugin/supervised-plugin.ts';
import { Supervisor } from './plugin/supervisor.ts';
import { Publisher } from './remote/publisher.ts';
import type { RemoteStatus } from './remote/source.ts';
import { openSource, type Source, sourceName } from './source.ts';
import { nearest } from './suggest.ts';
import { Sampler } from './telemetry/sampler.ts';
import { VERSION } from './version.ts';

/** Differences listed by `verify`. */
const DIFFERENCES_MAX = 1000;
/** Entries listed by `stats`, those with the most packets. */
const ENTRIES_MAX = 1000;
/** Entries up to which counters are read every second while somebody looks. */
const READ_EACH_SECOND_MAX = 65_536;
/** How long a plugin that stops for good has to take all out of its device, ports first. */
const CLEAR_MS = 30_000;
const ETHERNET_HEADER = 14;
/** Of a plugin that breaks the contract, one fault in this time is said. All are counted. */
const FAULT_MS = 10_000;
/** How often `wait` looks whether plugins have come up. */
const LOOK_MS = 20;

export class Host {
  readonly mirror = new Mirror();
  readonly objects: Objects;
  /** The mirror's last changes. */
  readonly journal = new Journal(this.mirror);
  /** The last minutes in numbers. */
  readonly sampler: Sampler;
  /** Where dashboard and API are served on TCP, once they are. */
  url: string | undefined;
  readonly #config: Config;
  readonly #say: (line: string) => void;
  readonly #source: Source;
  readonly #publisher: Publisher | undefined;
  /** Undefined where the mirror does not come from the kernel. */
  readonly events: KernelEvents | undefined;
  readonly #planner: Planner;
  readonly #hooks: HookWatch | undefined;
  readonly #supervisor: Supervisor;
  readonly #devices = new Map<string, Device>();
  /** Plugins that were disabled by name. */
  readonly #disabled: DisabledPlugins;
  #started: Promise<void> | undefined;
  /** Why there are no plugins at all: their folder cannot be read. */
  #noPlugins: EkhoError | undefined;
  readonly #statistics: Statistics;
  /** What devices handed to the kernel, by device. */
  readonly #traps = new Map<string, TrapCounters>();
  /** When the kernel was told what is in use: CLOCK_MONOTONIC, ns. */
  #toldUse = Number(process.hrtime.bigint());
  #verifying: Promise<VerifyAnswer> | undefined;
  #diagnosing: Promise<Diagnosis> | undefined;
  #counting: Promise<Stats> | undefined;
  #stopping = false;

  /** `say` is told what a person at the terminal wants to know. Throws E_DEVICE when a device cannot be opened. */
  constructor(config: Config, say: (line: string) => void) {
    this.#config = config;
    this.#say = say;
    const log = (level: 'warn' | 'info', message: string) =>
      say(level === 'info' ? message : `${level}: ${message}`);
    this.#source = openSource(this.mirror, config, log);
    if (this.#source instanceof KernelSync) {
      this.events = new KernelEvents({ ...config.notifier, netns: config.mirror.netns }, this.#source);
    }
    if (config.publish !== undefined) {
      this.#publisher = new Publisher(this.mirror, { ...config.publish, netns: config.mirror.netns }, log);
    }
    const { interval_s, state } = config.statistics;
    this.#statistics = new Statistics({
      interval_ms: interval_s * 1000,
      file: state,
      warn: (message) => say(`warn: ${message}`),
      onSample: () => {
        this.devices();
        for (const counters of this.#traps.values()) counters.sample(performance.now());
        this.#tellUse();
      },
      alsoSaved: () => [...this.#traps.values()].flatMap((counters) => [...counters.saved()]),
    });
    if (this.#source instanceof KernelSync) {
      this.#hooks = new HookWatch({
        netns: config.mirror.netns,
        links: () => this.#planner.links(),
        onChange: () => this.#planner.hooksChanged(),
      });
    }
    this.#planner = new Planner({
      mirror: this.mirror,
      netfilter: config.planner.netfilter,
      savedCounter: (plugin, describe) => this.#statistics.savedCounter(plugin, describe),
      xfrm: config.planner.xfrm,
      hooks: () => this.#hooks?.state ?? NO_HOOKS,
      log: (level, message) => say(level === 'info' ? message : `${level}: ${message}`),
    });
    this.#statistics.start(this.#planner);
    this.events?.subscribe({ record: (record) => this.#planner.kernelEvent(record), lost: () => {} });
    this.#hooks?.look();
    this.mirror.subscribe((changes) => {
      if (changes.kinds.subarray(0, changes.length).includes(KIND.link)) this.#hooks?.lookSoon();
    });
    this.objects = new Objects(this.mirror, (kind, id) => this.#planner.offloadOf(kind, id));
    this.#disabled = new DisabledPlugins(config.plugins.state, (message) => say(`warn: ${message}`));
    for (const plugin of config.plugin) {
      this.#planner.addPlugin({
        name: plugin.name,
        isPort: portsOf(plugin, config.plugin),
        isRetired: this.#disabled.has(plugin.name),
        isOwnProgram: (id) => this.#devices.get(plugin.device ?? '')?.hasProgram?.(id) === true,
      });
    }
    this.#supervisor = new Supervisor({
      folder: config.plugins.folder,
      ...(config.plugins.cache !== undefined && { cache: config.plugins.cache }),
      signatures: config.plugins.signatures,
      trustedKeys: config.plugins.trustedKeys,
      setup: (name) => this.#setup(name),
      listener: {
        notReplaced: (plugin, error) => this.#say(`plugin ${plugin.name}: not replaced: ${error.message}`),
        withdraw: (plugin) => this.#withdraw(plugin.name),
        up: (plugin, runner) => {
          const listener = {
            fault: paced((error: Error, left: number) =>
              this.#say(
                `plugin ${plugin.name}: ${error.message}${left > 0 ? `; and ${left} faults more before` : ''}`,
              ),
            ),
            // The supervisor says so, and why.
            down: () => {},
          };
          const settled = this.#planner
            .pluginUp(plugin.name, runner, listener)
            .then(() => this.#planner.pluginSettled(plugin.name));
          settled.then(
            () => {
              if (plugin.state.state !== 'syncing') return;
              plugin.synced();
              this.#say(`plugin ${plugin.name}: active${this.#whatItIs(plugin)}`);
            },
            (error: Error) => {
              // It went down meanwhile, which `down` tells, or the planner cannot go on with it: then afresh.
              if (plugin.state.state !== 'syncing') return;
              this.#say(`plugin ${plugin.name}: ${error.stack ?? error.message}`);
              plugin.kill();
            },
          );
        },
        down: (plugin, error) => {
          if (error !== undefined) this.#say(`plugin ${plugin.name}: down: ${error.message}`);
        },
      },
    });
    const { netns } = config.mirror;
    for (const device of config.device)
      this.#devices.set(device.name, openDevice({ ...device, ...(netns !== undefined && { netns }) }));
    this.#tellLinks();
    this.sampler = this.#sampler();
  }

  #sampler(): Sampler {
    const { netns } = this.#config.mirror;
    const isKernel = this.#source instanceof KernelSync;
    return new Sampler({
      mirror: this.mirror,
      settled: (signal) => this.#planner.settled(signal),
      hasHardware: () =>
        [...this.#supervisor.plugins.values()].some(({ counters }) => counters !== undefined),
      kernelPackets: () => (isKernel ? forwardedPackets(netns) : undefined),
      readHardware: async () => {
        const planned = this.#planner
          .summary()
          .reduce((sum, { tables }) => sum + tables.reduce((sum, { offloaded }) => sum + offloaded, 0), 0);
        // More are read at their own pace alone.
        if (planned <= READ_EACH_SECOND_MAX) await this.#statistics.now();
      },
      hardwarePackets: (limit) => this.#routedPackets(limit),
    });
  }

  /** Packets that routes in hardware forwarded, as last read. */
  #routedPackets(limit: number): number | undefined {
    let packets = 0;
    let entries = 0;
    for (const { plugin, counters } of this.#planner.counters()) {
      for (const { handle, packets: counted } of counters) {
        if (kindOfHandle(handle) !== ENTRY_KIND.route) continue;
        if (++entries > limit) return undefined;
        const object = this.#planner.objectOfHandle(plugin, handle);
        const states = object === undefined ? [] : this.#planner.offloadOf(object.kind, object.id);
        if (states.some((one) => one.plugin === plugin && one.state === 'offloaded')) packets += counted;
      }
    }
    return packets;
  }

  /** The kernel sees no packet of what hardware forwards: it is told which neighbours and bridge addresses are in use. */
  #tellUse(): void {
    const since = this.#toldUse;
    this.#toldUse = Number(process.hrtime.bigint());
    if (this.#stopping) return;
    this.#source.refresh?.(this.#planner.used(since)).catch((error: Error) => {
      this.#say(`warn: what hardware uses is not told to the kernel: ${error.message}`);
    });
  }

  /** Devices that stand for links by name are told of them, before the plan speaks of them by index. */
  #tellLinks(): void {
    const devices = [...this.#devices.values()].filter(({ linksChanged }) => linksChanged !== undefined);
    if (devices.length === 0) return;
    this.mirror.subscribe(({ kinds, length }) => {
      if (!kinds.subarray(0, length).includes(KIND.link)) return;
      // In the same turn the objects still are as they were before.
      const ifindexOf = (name: string) => Number(this.objects.linkNamed(name)?.header.index ?? 0);
      queueMicrotask(() => {
        for (const device of devices) device.linksChanged!(ifindexOf);
      });
    });
  }

  /** Resolves once the mirror is in sync and the plugins are up, refused or waiting for another attempt. */
  start(): Promise<void> {
    this.#started ??= Promise.all([this.#startSync(), this.#startPlugins()]).then(() => {
      void this.#tellOutcome();
    });
    return this.#started;
  }

  async #startSync(): Promise<void> {
    this.#say(`mirroring ${sourceName(this.#config)}`);
    this.#publisher?.start();
    const began = performance.now();
    const synced = this.#source.start();
    // Told where it is awaited, unless the notifiers end the start before.
    synced.catch(() => {});
    this.#startEvents();
    await synced;
    if (this.#stopping) return;
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    const kinds = this.#kinds();
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

  async #startPlugins(): Promise<void> {
    try {
      await this.#supervisor.start();
    } catch (error) {
      // The mirror is worth having without them.
      if (!(error instanceof EkhoError)) throw error;
      this.#noPlugins = error;
      this.#say(`no plugins: ${error.message}${error.remedy ? `. ${error.remedy}` : ''}`);
      return;
    }
    if (this.#stopping) return;
    for (const { name, state, reason, remedy } of this.plugins()) {
      // Without a configuration, one plugin of several is the default.
      if (state === 'found' && this.#config.file === undefined) continue;
      // That it is active is said when it is.
      if (state === 'syncing') continue;
      if (reason !== undefined)
        this.#say(`plugin ${name}: ${state}: ${reason}${remedy ? `. ${remedy}` : ''}`);
    }
  }

  /** The plugin is to stop for good. */
  async #withdraw(name: string): Promise<void> {
    const what = this.#config.plugin.find((plugin) => plugin.name === name)?.onDisable ?? 'clear';
    try {
      await this.#planner.retire(name, what, AbortSignal.timeout(CLEAR_MS));
      const left = what === 'keep' ? 'goes on with what it holds' : 'holds nothing';
      this.#say(`plugin ${name}: stops; its device ${left}`);
    } catch {
      this.#say(`plugin ${name}: its device could not be cleared and may still forward`);
    }
  }

  #whatItIs({ name, description }: SupervisedPlugin): string {
    if (description === undefined) return '';
    const device = this.#config.plugin.find((plugin) => plugin.name === name)?.device;
    return ` (${description.vendor} ${description.name} ${description.version}${device ? ` on ${device}` : ''})`;
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

  /** What hardware holds stays. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.sampler.close();
    await this.#statistics.stop();
    await this.#supervisor.stop();
    this.#planner.close();
    await this.#publisher?.stop();
    this.events?.close();
    this.#source.close();
    this.#hooks?.close();
    for (const device of this.#devices.values()) device.close();
  }

  #setup(name: string): PluginSetup | undefined {
    const plugin = this.#config.plugin.find((plugin) => plugin.name === name);
    if (plugin === undefined || this.#disabled.has(name)) return undefined;
    const device = plugin.device === undefined ? undefined : this.#devices.get(plugin.device);
    const { settings, isolation, deviceCalls } = plugin;
    return {
      devices: device === undefined ? [] : [device.share],
      settings,
      deviceCalls,
      ...(isolation !== undefined && { isolation }),
    };
  }

  // ---- what the API asks ----

  status(): Status {
    const { netns } = this.#config.mirror;
    const { lastResync, isOrphaned, ...source } = this.#source.status();
    return {
      version: VERSION,
      pid: process.pid,
      uptime_s: Math.round(process.uptime() * 1000) / 1000,
      ...(netns !== undefined && { netns }),
      ...(isOrphaned && { netns_deleted: true as const }),
      ...this.#remoteStatus(source),
      ...this.#eventsStatus(),
      ...(this.#hooks && {
        hooks: hooksStatus(this.#hooks.state, (ifindex) => this.objects.linkName(ifindex)),
      }),
      socket: this.#config.api.socket,
      ...(this.url !== undefined && { url: this.url }),
      memory_bytes: process.memoryUsage.rss(),
      revision: this.mirror.revision,
      synced: this.mirror.synced,
      kinds: this.#kinds(),
      ...(lastResync && {
        resync: {
          cause: lastResync.cause,
          kinds: [...lastResync.kinds],
          started: new Date(lastResync.started).toISOString(),
          ...(lastResync.duration_ms !== undefined && { duration_ms: lastResync.duration_ms }),
        },
      }),
      plugins: this.plugins(),
      offload: this.#planner.summary().flatMap(({ plugin, tables }) =>
        tables
          .filter(({ planned }) => planned > 0)
          .map(({ kind, planned, offloaded, trapped, refused, failed }) => {
            const pending = Math.max(0, planned - offloaded - trapped - refused - failed);
            return { plugin, kind, pending, offloaded, trapped, refused, failed };
          }),
      ),
      devices: this.devices(),
    };
  }

  #remoteStatus({
    state,
    reason,
    remedy,
    publisher,
  }: Partial<RemoteStatus>): Pick<Status, 'source' | 'publish'> {
    const { source, publish } = this.#config;
    const why = (reason: string | undefined, remedy: string | undefined) => ({
      ...(reason !== undefined && { reason }),
      ...(reason !== undefined && remedy !== undefined && { remedy }),
    });
    const published = this.#publisher?.status();
    return {
      ...(source !== undefined &&
        state !== undefined && {
          source: {
            servers: [...source.servers],
            bucket: source.bucket,
            state,
            ...why(reason, remedy),
            ...(publisher && { publisher: { ...publisher } }),
          },
        }),
      ...(publish !== undefined &&
        published !== undefined && {
          publish: {
            servers: [...publish.servers],
            bucket: publish.bucket,
            state: published.state,
            ...why(published.reason, published.remedy),
            epoch: published.epoch,
            objects: published.objects,
            pending: published.pending,
          },
        }),
    };
  }

  #eventsStatus(): Pick<Status, 'notifier'> {
    if (this.events === undefined) return {};
    const { reason, hooks, ...rest } = this.events.status();
    return {
      notifier: {
        ...rest,
        ...(reason !== undefined && { reason }),
        hooks: hooks.map(({ hook, rung, target, reason }) => ({
          hook,
          rung,
          ...(target !== undefined && { target }),
          ...(reason !== undefined && { reason }),
        })),
      },
    };
  }

  #kinds(): KindStatus[] {
    const wanted = this.#config.mirror.kinds;
    return KINDS.filter((kind) => wanted?.includes(kind) ?? true).map((kind) => {
      const { state, reason } = this.mirror.kindState(KIND[kind]);
      return {
        kind,
        state,
        count: this.mirror.count(KIND[kind]),
        ...(reason !== undefined && { reason }),
        ...(reason !== undefined &&
          /EPERM|not permitted/i.test(reason) && { remedy: 'Run the host as root to mirror it.' }),
      };
    });
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
    return this.#planner.explain(kind, id);
  }

  lookup({ destination, source, in: ingress, vrf, ipproto, sport, dport }: LookupQuery): LookupAnswer[] {
    if (source !== undefined && isIP(source) + isIP(destination) === 10) {
      throw new EkhoError('E_USAGE', `${source} and ${destination} are not of one family`, {
        remedy: 'Give two IPv4 or two IPv6 addresses.',
      });
    }
    const packet: PacketQuery = {
      destination,
      ...(source !== undefined && { source }),
      ...(ingress !== undefined && { ingress: Number(this.#link(ingress).header.index) }),
      ...(vrf !== undefined && { vrf: this.#vrfTable(vrf) }),
      ...(ipproto !== undefined && { protocol: ipproto }),
      ...(sport !== undefined && { sourcePort: sport }),
      ...(dport !== undefined && { destinationPort: dport }),
    };
    return this.#config.plugin.flatMap(({ name, device }) => {
      const granted = device === undefined ? undefined : this.#devices.get(device);
      if (granted === undefined) return [];
      const { action, by, ways, handles } = granted.lookup(packet);
      return {
        plugin: name,
        device: granted.name,
        action,
        by,
        ways: ways.map(({ ifindex, gateway, vlan, destinationMac }) => ({
          link: this.objects.linkName(ifindex) ?? `if${ifindex}`,
          ...(gateway !== undefined && { gateway }),
          mac: macText(destinationMac),
          ...(vlan !== 0 && { vlan }),
        })),
        entries: handles.map((handle) => this.#entryText(name, handle)).filter((text) => text !== undefined),
      };
    });
  }

  /** Those of the configuration, then files that have no place in it. */
  plugins(): PluginStatus[] {
    const wanted = new Map(this.#config.plugin.map(({ name, device }) => [name, device]));
    for (const name of this.#supervisor.plugins.keys()) if (!wanted.has(name)) wanted.set(name, undefined);
    return [...wanted].map(([name, device]) => {
      const plugin = this.#supervisor.plugins.get(name);
      const description = plugin?.description;
      return {
        name,
        ...this.#stateOf(plugin),
        ...(device !== undefined && { device }),
        ports: this.#portsOf(name),
        ...(description && { vendor: description.vendor, version: description.version }),
        ...(plugin && this.#originOf(plugin)),
        abilities: (description?.abilities ?? []).map(({ kind, capacity }) => ({
          kind: ENTRY_KIND_NAMES[kind]!,
          capacity,
        })),
        restarts: plugin?.restarts ?? 0,
        batches: plugin?.counters?.batches ?? 0,
        entries: plugin?.counters?.entries ?? 0,
      };
    });
  }

  #trapsOf(device: string, counted: readonly TrapCounter[]) {
    let counters = this.#traps.get(device);
    if (counters === undefined) {
      counters = new TrapCounters(device, this.#statistics.savedOf(device));
      this.#traps.set(device, counters);
    }
    counters.take(counted);
    return counters.list();
  }

  devices(): DeviceStatus[] {
    return [...this.#devices.values()].map((device) => {
      const { tables, writes, removes, epoch, faults, ports, traps } = device.status();
      const plugin = this.#config.plugin.find(({ device: wanted }) => wanted === device.name)?.name;
      return {
        name: device.name,
        kind: device.kind,
        ...(plugin !== undefined && { plugin }),
        tables: tables.map(({ name, used, capacity }) => ({ name, used, capacity })),
        writes,
        removes,
        epoch,
        ...(faults !== undefined && { faults: { ...faults } }),
        ...(ports !== undefined && {
          ports: ports.map(({ ifindex, mode, why }) => ({
            link: this.objects.linkName(ifindex) ?? `if${ifindex}`,
            mode,
            ...(why !== undefined && { why }),
          })),
        }),
        ...(traps !== undefined && { traps: this.#trapsOf(device.name, traps) }),
      };
    });
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
      lines: this.#planner.explain(number, id),
    }));
  }

  /** As with `verify`: every plugin reads its counters from hardware for it. */
  stats(): Promise<Stats> {
    this.#counting ??= this.#stats().finally(() => {
      this.#counting = undefined;
    });
    return this.#counting;
  }

  async #stats(): Promise<Stats> {
    const counters: Record<string, Record<string, number>> = {
      mirror: { revision: this.mirror.revision, bytes: this.mirror.memory },
      sync: this.#source.counters(),
      ...this.#eventCounters(),
      ...(this.#publisher && { publish: this.#publisher.counters() }),
    };
    for (const [name, plugin] of this.#supervisor.plugins) {
      if (plugin.counters) counters[`plugin ${name}`] = { ...plugin.counters, restarts: plugin.restarts };
    }
    for (const { plugin, resyncs } of this.#planner.summary()) counters[`plan ${plugin}`] = { resyncs };
    for (const { name, writes, removes, epoch, traps } of this.devices()) {
      counters[`device ${name}`] = { writes, removes, epoch };
      if (traps !== undefined && traps.length > 0)
        counters[`to the kernel by ${name}`] = Object.fromEntries(
          traps.map(({ reason, packets }) => [reason, packets]),
        );
    }
    const all = (await this.#statistics.now()).flatMap(({ plugin, counters }) =>
      counters.map((counter) => ({ plugin, ...counter })),
    );
    all.sort((a, b) => b.packets - a.packets);
    // What hardware counted is worth having without them; a namespace that is gone, say, is told elsewhere.
    const kernel = await this.#source.readCounters?.().catch(() => undefined);
    const entries = all.slice(0, ENTRIES_MAX).map(({ plugin, handle, ...counter }) => {
      const { packets, bytes, packetRate, byteRate } = counter;
      const { kind, id } = this.#planner.resolveHandle(plugin, handle);
      const kernels = kind === undefined || id === undefined ? undefined : kernel?.of(kind, id);
      return {
        plugin,
        entry: this.#entryText(plugin, handle) ?? ENTRY_KIND_NAMES[kindOfHandle(handle)] ?? 'entry',
        packets,
        bytes,
        packets_per_s: packetRate,
        bytes_per_s: byteRate,
        ...(kernels !== undefined && { kernel: kernels }),
        // The kernel's count of a port has what hardware forwarded where hardware is in the kernel's way, and not elsewhere.
        ...(kernels !== undefined && kind === KIND.filter && { total: totalOf(counter, kernels) }),
      };
    });
    return { counters, entries };
  }

  /** What costs little to count. */
  counted(): { sync: Record<string, number>; mirrorBytes: number; forwarded: number | undefined } {
    const isKernel = this.#source instanceof KernelSync;
    return {
      sync: { ...this.#source.counters() },
      mirrorBytes: this.mirror.memory,
      forwarded: isKernel ? forwardedPackets(this.#config.mirror.netns) : undefined,
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

  #eventCounters(): Record<string, Record<string, number>> {
    if (this.events === undefined) return {};
    const { produced, received, lost } = this.events.status();
    return { notifier: { produced, received, lost } };
  }

  /** Who asks while it is being found out gets the same answer. */
  diagnose(): Promise<Diagnosis> {
    const running = { plugins: this.plugins(), events: this.events?.status() };
    this.#diagnosing ??= diagnose(this.#config, running).finally(() => {
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
      entries: this.#planner
        .summary()
        .reduce((sum, { tables }) => sum + tables.reduce((sum, { offloaded }) => sum + offloaded, 0), 0),
      ...(this.#config.source !== undefined && { bucket: this.#config.source.bucket }),
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
    this.#hooks?.look();
    const revision = this.mirror.revision;
    while (this.#config.plugin.some(({ name }) => this.#isComingUp(name))) {
      await until(new Promise((resolve) => setTimeout(resolve, LOOK_MS)));
    }
    await until(this.#planner.settled(signal));
    await until(this.#publisher?.settled() ?? Promise.resolve());
    return { revision, failing: this.#planner.failing };
  }

  /** Nothing that is asked of a namespace which nobody else can reach says anything of the one people mean. */
  #requireNetns(): void {
    if (!this.#source.status().isOrphaned) return;
    throw new EkhoError('E_NETNS', `network namespace ${this.#config.mirror.netns} was deleted`, {
      remedy: 'Start the host again once there is a namespace of that name.',
    });
  }

  #isComingUp(name: string): boolean {
    const state = this.#supervisor.plugins.get(name)?.state.state;
    return state === 'starting' || state === 'syncing' || state === 'restarting';
  }

  plugin(name: string): PluginDetails {
    const status = this.plugins().find((one) => one.name === name);
    // Also of one that has no file, or that the configuration does not name: it says so itself.
    const plugin = this.#supervisor.plugins.get(name);
    if (status === undefined) throw this.#unknownPlugin(name);
    const errors = plugin?.errors.map((one) => ({ ...one })) ?? [];
    return { ...status, counters: { ...plugin?.counters }, errors };
  }

  async restartPlugin(name: string): Promise<void> {
    await this.#plugin(name).restart();
  }

  /** Takes over the file as it is now, if it can be loaded. */
  async reloadPlugin(name: string): Promise<void> {
    await this.#plugin(name).reload();
  }

  /** Clears its device (or keeps it, as configured) and stops it, until it is enabled again. */
  async disablePlugin(name: string): Promise<void> {
    const plugin = this.#plugin(name);
    try {
      this.#disabled.add(name);
    } finally {
      await plugin.retire();
    }
  }

  async enablePlugin(name: string): Promise<void> {
    const plugin = this.#plugin(name);
    try {
      this.#disabled.delete(name);
    } finally {
      await plugin.start();
    }
  }

  pluginLogs(name: string): LogLine[] {
    const { log, errors } = this.#plugin(name);
    const faults = errors.map(({ time, code, message }) => ({
      time,
      level: 'error',
      message: `${code}: ${message}`,
    }));
    return [...log, ...faults].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  }

  inject(name: string, faults: Faults): void {
    this.#device(name).inject(faults);
  }

  powerCycle(name: string): void {
    this.#device(name).powerCycle();
  }

  // ---- names and words ----

  #plugin(name: string): SupervisedPlugin {
    const plugin = this.#config.plugin.some((plugin) => plugin.name === name)
      ? this.#supervisor.plugins.get(name)
      : undefined;
    if (plugin !== undefined) return plugin;
    throw this.#unknownPlugin(name);
  }

  #unknownPlugin(name: string): EkhoError {
    const names = this.#config.plugin.map(({ name }) => name);
    if (names.includes(name))
      return (
        this.#noPlugins ??
        new EkhoError('E_UNKNOWN_OBJECT', `plugin ${name} has no file in ${this.#config.plugins.folder}`, {
          remedy: `Put ${name}.wasm there; it is started then.`,
        })
      );
    return new EkhoError('E_UNKNOWN_OBJECT', `there is no plugin ${name}`, {
      remedy: `Plugins: ${names.join(', ')}.`,
    });
  }

  #device(name: string): Device {
    const device = this.#devices.get(name);
    if (device !== undefined) return device;
    throw new EkhoError('E_DEVICE', `there is no device ${name}`, {
      remedy: `Devices: ${[...this.#devices.keys()].join(', ') || 'none'}.`,
    });
  }

  #link(name: string): DecodedObject {
    const link = this.objects.linkNamed(name);
    if (link !== undefined) return link;
    const near = nearest(name, this.objects.linkNames());
    throw new EkhoError(
      'E_UNKNOWN_OBJECT',
      `there is no link ${name}${near ? `; did you mean ${near}?` : ''}`,
      {
        remedy: '`ekho show link` lists them.',
      },
    );
  }

  #vrfTable(name: string): number {
    const info = this.#link(name).linkinfo as { kind?: string; data?: { table?: number } } | undefined;
    if (info?.kind !== 'vrf' || info.data?.table === undefined) {
      throw new EkhoError('E_UNKNOWN_OBJECT', `${name} is not a VRF`, {
        remedy: '`ip link show type vrf` lists them.',
      });
    }
    return info.data.table;
  }

  /** An entry by the kernel object it stands for, and why it is not plainly offloaded; undefined if the host made it up. */
  #entryText(plugin: string, handle: number): string | undefined {
    const { kind, id, text } = this.#planner.resolveHandle(plugin, handle);
    const object = kind === undefined || id === undefined ? undefined : this.objects.decode(kind, id);
    const name = ENTRY_KIND_NAMES[kindOfHandle(handle)] ?? 'entry';
    // The plan's own key of a route is its prefix; the keys of the others mean nothing to people.
    if (object === undefined) return name === 'route' ? `route ${text}` : undefined;
    const word = KINDS[kind!]!;
    const state = this.#planner.offloadOf(kind!, id!).find((state) => state.plugin === plugin);
    const why = state?.reason === undefined ? '' : `: ${state.state} (${state.reason})`;
    // A connection is two entries: the object does not tell which.
    if (name === 'flow') return `flow ${text}${why}`;
    const entry = name === word ? '' : name === 'route' ? `route ${text}: ` : `${name}: `;
    return `${entry}${word} ${describe(word, object, this.objects.context)}${why}`;
  }

  /** Links that the plugin's device owns. */
  #portsOf(plugin: string): string[] {
    const names: string[] = [];
    for (const id of this.objects.ids(KIND.link)) {
      if (!this.#planner.offloadOf(KIND.link, id).some((state) => state.plugin === plugin)) continue;
      names.push(String(this.objects.decode(KIND.link, id)?.ifname));
    }
    return names;
  }

  #originOf({ trust, file256, isolatedBy, licence }: SupervisedPlugin) {
    return {
      ...(file256 !== undefined && { sha256: file256 }),
      ...(trust && { signature: trust.trust === 'trusted' ? `trusted key ${trust.key}` : trustText(trust) }),
      ...(isolatedBy !== undefined && { isolation: isolatedBy }),
      ...(licence !== undefined && { licence }),
    };
  }

  /** How far its device is. */
  #progressOf(name: string): string {
    const tables = this.#planner.summary().find(({ plugin }) => plugin === name)?.tables ?? [];
    let planned = 0;
    let done = 0;
    for (const table of tables) {
      planned += table.planned;
      done += table.offloaded + table.trapped + table.refused + table.failed;
    }
    return `${Math.min(done, planned)} of ${planned} entries`;
  }

  #stateOf(plugin: SupervisedPlugin | undefined): { state: string; reason?: string; remedy?: string } {
    if (plugin === undefined) {
      if (this.#supervisor.plugins.size === 0 && this.#started === undefined) return { state: 'found' };
      if (this.#noPlugins !== undefined) {
        const { message, remedy } = this.#noPlugins;
        return { state: 'missing', reason: message, ...(remedy !== undefined && { remedy }) };
      }
      const folder = this.#config.plugins.folder;
      return {
        state: 'missing',
        reason: `there is no such file in ${folder}`,
        remedy: 'Put it there; it is started then.',
      };
    }
    const { state } = plugin;
    if (state.state === 'found' && !this.#config.plugin.some(({ name }) => name === plugin.name)) {
      return {
        state: 'found',
        reason: `no [plugin.${plugin.name}] in the configuration, or not enabled there`,
      };
    }
    if (state.state === 'syncing') return { state: state.state, reason: this.#progressOf(plugin.name) };
    if ((state.state === 'stopped' || state.state === 'found') && this.#disabled.has(plugin.name)) {
      const reason = this.#disabled.isKept ? 'disabled' : 'disabled until the host ends';
      return { state: 'stopped', reason, remedy: `\`ekho plugin enable ${plugin.name}\`.` };
    }
    if (!('error' in state)) return { state: state.state };
    const { remedy } = state.error;
    let { message } = state.error;
    if (state.state === 'restarting') {
      const seconds = Math.max(0, (state.at - performance.now()) / 1000).toFixed(1);
      message += ` (attempt ${state.attempt}, in ${seconds} s)`;
    }
    return { state: state.state, reason: message, ...(remedy !== undefined && { remedy }) };
  }
}

function macText(mac: number): string {
  return mac
    .toString(16)
    .padStart(12, '0')
    .replace(/(?=(..)+$)(?!^)/g, ':');
}

function trustText(trust: Exclude<Trust, { trust: 'trusted' }>): string {
  return trust.trust === 'unsigned' ? 'none' : `key ${trust.key}, not trusted`;
}

/** Filters of ingress count without the Ethernet header. */
function totalOf(hardware: KernelCounter, kernel: KernelCounter): KernelCounter {
  return {
    packets: hardware.packets + kernel.packets,
    bytes: hardware.bytes + kernel.bytes + ETHERNET_HEADER * kernel.packets,
  };
}

/** Tells one fault in `FAULT_MS`, with how many were left out since the one told last. */
function paced(tell: (error: Error, left: number) => void): (error: Error) => void {
  let toldAt = Number.NEGATIVE_INFINITY;
  let left = 0;
  return (error) => {
    const now = performance.now();
    if (now - toldAt < FAULT_MS) {
      left++;
      return;
    }
    tell(error, left);
    toldAt = now;
    left = 0;
  };
}
