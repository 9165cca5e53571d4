/**
 * What the kernel asks drivers to offload, where BPF firmware answers for them: programs are told what plugins can do with rules on
 * their ports, the kernel what hardware counted, and people of rules that the kernel believes to be in hardware and that are not.
 */
import { statSync } from 'node:fs';
import { BpfError } from '../../bpf/libbpf-ts/src/index.ts';
import type { Config } from '../config/config.ts';
import { EkhoError } from '../errors.ts';
import { Firmware, type FirmwarePort, type FirmwareRule, PLUGINS_MAX } from '../kernel/firmware/firmware.ts';
import { netnsPath } from '../netlink/syscall.ts';
import type { EntryCounter } from '../offload/counters.ts';
import { type Count, FirmwareCounts } from '../offload/firmware-counts.ts';
import { FirmwareRules } from '../offload/firmware-rules.ts';
import type { FilterEntry, OffloadStates } from '../offload/offload-state.ts';
import type { Hardware, Planner } from '../offload/planner.ts';
import { type ObjectOffload, REASONS } from '../offload/reasons.ts';
import type { Statistics } from '../offload/statistics.ts';

/** How often it is looked which ports plugins have, and what became of rules. */
const LOOK_MS = 1000;
const ETHERNET_HEADER = 14n;
/** Rules told of one by one, of those that are not in hardware. */
const TOLD_MAX = 20;

export interface FirmwareParts {
  readonly config: Config;
  readonly planner: Planner;
  readonly statistics: Statistics;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

export interface FirmwareStatus {
  readonly state: 'on' | 'unavailable';
  /** Why not `on`. */
  readonly reason?: string;
  /** Rules that the kernel was told are in hardware, and how many of them are not. */
  readonly rules: number;
  readonly amiss: number;
}

interface Amiss {
  readonly rule: FirmwareRule;
  /** Mirror id. */
  readonly filter: number;
  readonly offload: ObjectOffload;
}

export class HostFirmware {
  readonly #parts: FirmwareParts;
  readonly #rules = new FirmwareRules();
  readonly #counts = new FirmwareCounts();
  /** By plugin and handle: the rule an entry was for when counters were last read, and its counter. */
  #last = new Map<string, Count & { readonly id: bigint }>();
  /** As programs were told, by interface index. */
  readonly #ports = new Map<number, string>();
  /** Numbers of plugins, by name: never used for another. */
  readonly #numbers = new Map<string, number>();
  #amiss = new Map<bigint, Amiss>();
  #told = new Set<bigint>();
  #firmware: Firmware | undefined;
  #reason: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: FirmwareParts) {
    this.#parts = parts;
  }

  /**
   * Attaches it, once the plugins have had their time to come up: rules that were there before are replayed to what they can do.
   * @throws EkhoError E_UNAVAILABLE where the configuration insists and it cannot be
   */
  start(): void {
    const { config, log } = this.#parts;
    const { enabled } = config.firmware;
    if (enabled === 'off') return;
    try {
      const { netns } = config.mirror;
      this.#firmware = new Firmware(
        {
          capabilities: 'by port',
          netns: statSync(netns === undefined ? '/proc/self/ns/net' : netnsPath(netns)).ino,
        },
        {
          onReplace: (rule) => this.#rules.put(rule),
          onDestroy: (id) => this.#forget(id),
          onLost: () => this.#readAgain(),
          onAsked: () => void this.#parts.statistics.now().catch(() => {}),
        },
        (firmware) => this.#setPorts(firmware),
      );
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      this.#reason = error.message;
      if (enabled === 'on')
        throw new EkhoError('E_UNAVAILABLE', `firmware: ${error.message}`, {
          remedy: error.remedy ?? 'Set `enabled = "auto"` in `[firmware]` to go on without.',
          cause: error,
        });
      log('info', `firmware: none: ${error.message}`);
      return;
    }
    this.#readAgain();
    log('info', `firmware: attached, ${this.#rules.size} rules`);
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  #forget(id: bigint): void {
    this.#rules.delete(id);
    this.#counts.forget(id);
    this.#amiss.delete(id);
    this.#told.delete(id);
  }

  /** The kernel's rules, all of them. */
  #readAgain(): void {
    const firmware = this.#firmware;
    if (firmware === undefined) return;
    const there = new Set<bigint>();
    for (const rule of firmware.rules()) {
      there.add(rule.id);
      this.#rules.put(rule);
    }
    for (const { id } of [...this.#rules.values()]) if (!there.has(id)) this.#forget(id);
  }

  // ---- what programs are told ----

  #setPorts(firmware: Firmware): void {
    const wanted = new Map<number, FirmwarePort>();
    for (const hardware of this.#parts.planner.hardware()) {
      const plugin = this.#numberOf(hardware.plugin);
      if (plugin === undefined) continue;
      const ready = new Set(hardware.states.readyPorts());
      const { takesFlows, takesBridges } = hardware.states;
      for (const ifindex of hardware.states.ports()) {
        const isReady = ready.has(ifindex);
        wanted.set(ifindex, { fields: hardware.aclFields, plugin, isReady, takesFlows, takesBridges });
      }
      this.#setRoom(firmware, hardware, plugin);
    }
    for (const [ifindex, port] of wanted) {
      const text = JSON.stringify(port);
      if (this.#ports.get(ifindex) === text) continue;
      firmware.setPort(ifindex, port);
      this.#ports.set(ifindex, text);
    }
    for (const ifindex of [...this.#ports.keys()]) {
      if (wanted.has(ifindex)) continue;
      firmware.setPort(ifindex, undefined);
      this.#ports.delete(ifindex);
    }
  }

  #numberOf(plugin: string): number | undefined {
    const number = this.#numbers.get(plugin) ?? this.#numbers.size;
    if (number >= PLUGINS_MAX) return undefined;
    this.#numbers.set(plugin, number);
    return number;
  }

  /** What is planned for anything but the kernel's requests (rules that trap, filters left to software) takes room away. */
  #setRoom(firmware: Firmware, { states }: Hardware, plugin: number): void {
    const { capacity, planned } = states.aclRoom;
    let ours = 0;
    for (const { port, filter, handle } of states.filterEntries())
      if (handle !== undefined && this.#rules.find(port, filter) !== undefined) ours++;
    firmware.setRoom(plugin, Math.max(0, capacity - (planned - ours)));
  }

  // ---- what the kernel is told ----

  /** Counters were read. */
  counted(): void {
    const firmware = this.#firmware;
    if (firmware === undefined) return;
    const last = new Map<string, Count & { readonly id: bigint }>();
    for (const { plugin, states, counters } of this.#parts.planner.hardware()) {
      const byHandle = new Map(counters().map((counter) => [counter.handle, counter]));
      for (const { port, filter, drops, handle } of states.filterEntries()) {
        const rule = handle === undefined ? undefined : this.#rules.find(port, filter);
        if (rule === undefined) continue;
        const counter = byHandle.get(handle!);
        const now = { packets: BigInt(counter?.packets ?? 0), bytes: BigInt(counter?.bytes ?? 0) };
        const key = `${plugin} ${handle}`;
        const told = this.#counts.tell(rule, now, this.#last.get(key), drops);
        last.set(key, { id: rule.id, ...now });
        if (told !== undefined) firmware.count(rule.id, told);
      }
      this.#countFlows(firmware, states, byHandle);
    }
    this.#last = last;
  }

  /** So that connections do not end, and conntrack counts their packets (with `counter` in the flowtable). */
  #countFlows(firmware: Firmware, states: OffloadStates, byHandle: ReadonlyMap<number, EntryCounter>): void {
    for (const { rule, flow } of this.#rules.flows()) {
      const handle = states.heldFlow(flow);
      const counter = handle === undefined ? undefined : byHandle.get(handle);
      if (counter === undefined) continue;
      const packets = BigInt(counter.packets);
      // Conntrack counts from the network header on.
      const now = { packets, bytes: BigInt(counter.bytes) - packets * ETHERNET_HEADER };
      const told = this.#counts.tell(rule, now, undefined, false);
      if (told !== undefined) firmware.count(rule.id, told);
    }
  }

  // ---- what people are told ----

  /** Looks which ports plugins have, and which rules are not in hardware. */
  look(): void {
    const firmware = this.#firmware;
    if (firmware === undefined) return;
    try {
      this.#setPorts(firmware);
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      this.#parts.log('warn', `firmware: ${error.message}`);
    }
    const amiss = new Map<bigint, Amiss>();
    for (const { states } of this.#parts.planner.hardware()) {
      for (const entry of states.filterEntries()) this.#judge(entry, amiss);
    }
    this.#amiss = amiss;
    this.#tellAmiss();
  }

  #judge({ port, filter, offload }: FilterEntry, amiss: Map<bigint, Amiss>): void {
    if (offload.state === 'offloaded' || offload.state === 'pending') return;
    const rule = this.#rules.find(port, filter);
    if (rule !== undefined) amiss.set(rule.id, { rule, filter: filter.id, offload });
  }

  #tellAmiss(): void {
    for (const id of this.#told) if (!this.#amiss.has(id)) this.#told.delete(id);
    for (const [id, { rule, offload }] of this.#amiss) {
      if (this.#told.has(id) || this.#told.size >= TOLD_MAX) continue;
      this.#told.add(id);
      const { plugin, state, reason } = offload;
      this.#parts.log(
        'warn',
        `firmware: ${plugin}: the kernel was told that the ${rule.kind} rule with preference ${rule.preference} on interface ${rule.ifindex} is in hardware, and it is ${state}${reason === undefined ? '' : `: ${REASONS[reason].why}`}`,
      );
    }
  }

  /** What the kernel believes of a filter, a line a fact. */
  explain(filter: number): string[] {
    const lines: string[] = [];
    for (const each of this.#amiss.values()) {
      if (each.filter !== filter) continue;
      lines.push(
        'the kernel shows it as in_hw: it was accepted, and cannot be told that it is not in hardware',
      );
      lines.push('  remedy: delete it and add it again; as it is, `skip_sw` means that nobody does it.');
    }
    return lines;
  }

  /** Undefined: it is turned off. */
  status(): FirmwareStatus | undefined {
    const counts = { rules: this.#rules.size, amiss: this.#amiss.size };
    if (this.#firmware !== undefined) return { state: 'on', ...counts };
    if (this.#reason !== undefined) return { state: 'unavailable', reason: this.#reason, ...counts };
    return undefined;
  }

  /** The kernel keeps its rules, and the host that comes next is told of them. */
  close(): void {
    clearInterval(this.#timer);
    this.#firmware?.close();
    this.#firmware = undefined;
  }
}
