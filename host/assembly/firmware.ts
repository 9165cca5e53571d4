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
import { type Count, FirmwareCounts, type LastCount } from '../offload/firmware-counts.ts';
import { FirmwareRules } from '../offload/firmware-rules.ts';
import { flowKey } from '../offload/flows.ts';
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
  /** By plugin and handle: counters of entries for rules and flows when they were last read. */
  #last = new Map<string, LastCount>();
  /** Plugins whose devices were read then. */
  #read = new Set<string>();
  /** As programs were told, by interface index. */
  readonly #ports = new Map<number, string>();
  /** Numbers of plugins, by name: never used for another. */
  readonly #numbers = new Map<string, number>();
  #amiss = new Map<bigint, Amiss>();
  #told = new Set<bigint>();
  #firmware: Firmware | undefined;
  #reason: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(parts: FirmwareParts) {
    this.#parts = parts;
  }

  /**
   * Attaches it, once the plugins have had their time to come up: rules that were there before are replayed to what they can do.
   * What their entries have counted by then is read first: what comes afterwards the kernel was not told.
   * @throws EkhoError E_UNAVAILABLE where the configuration insists and it cannot be
   */
  async start(): Promise<void> {
    const { config, log, statistics } = this.#parts;
    const { enabled } = config.firmware;
    if (enabled === 'off') return;
    await statistics.now().catch(() => {});
    if (this.#isClosed) return;
    try {
      const { netns } = config.mirror;
      this.#firmware = new Firmware(
        {
          capabilities: 'by port',
          netns: statSync(netns === undefined ? '/proc/self/ns/net' : netnsPath(netns)).ino,
        },
        {
          onReplace: (rule) => {
            this.#rules.put(rule);
            this.#counts.again(rule.id);
          },
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
    this.look();
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
      const { states, aclFields: fields, aclEdits: edits } = hardware;
      const ready = new Set(states.readyPorts());
      const { takesFlows, takesBridges } = states;
      const common = { fields, edits, plugin, takesFlows, takesBridges };
      for (const ifindex of states.ports()) {
        const behind = states.behind(ifindex);
        const canMirror = states.canMirror(ifindex);
        const takesGroups = states.takesGroups(ifindex);
        wanted.set(ifindex, { ...common, isReady: ready.has(ifindex), behind, canMirror, takesGroups });
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
    if (this.#parts.config.firmware.enabled === 'off') return;
    const last = new Map<string, LastCount>();
    const read = new Set<string>();
    for (const { plugin, states, counters } of this.#parts.planner.hardware()) {
      if (states.readyPorts().next().done === true) continue;
      read.add(plugin);
      const byHandle = new Map(counters().map((counter) => [counter.handle, counter]));
      for (const { port, filter, drops, handle } of states.filterEntries()) {
        const rule = this.#rules.find(port, filter);
        if (handle === undefined) {
          if (rule !== undefined) this.#counts.leave(rule.id);
          continue;
        }
        const now = countOf(byHandle.get(handle), 0n);
        const key = `${plugin} ${handle}`;
        last.set(key, { id: rule?.id, ...now });
        if (rule !== undefined) this.#tellCount(rule, now, this.#lastOf(plugin, key, now), drops);
      }
      this.#countFlows(plugin, states, byHandle, last);
    }
    this.#last = last;
    this.#read = read;
  }

  /** What a device that was not read before has counted by now, an earlier host may have told. */
  #lastOf(plugin: string, key: string, now: Count): LastCount | undefined {
    return this.#read.has(plugin) ? this.#last.get(key) : { id: undefined, ...now };
  }

  #tellCount(rule: FirmwareRule, now: Count, last: LastCount | undefined, drops: boolean): void {
    const told = this.#counts.tell(rule, now, last, drops);
    // One that is gone meanwhile is told of later.
    if (told !== undefined) this.#firmware?.count(rule.id, told);
  }

  /** So that connections do not end, and conntrack counts their packets (with `counter` in the flowtable). */
  #countFlows(
    plugin: string,
    states: OffloadStates,
    byHandle: ReadonlyMap<number, EntryCounter>,
    last: Map<string, LastCount>,
  ): void {
    for (const { rule, flow } of this.#rules.flows()) {
      const handle = states.heldFlow(flow);
      if (handle === undefined) continue;
      // Conntrack counts from the network header on.
      const now = countOf(byHandle.get(handle), ETHERNET_HEADER);
      // Handles are soon those of other connections.
      const key = `${plugin} ${handle} ${flowKey(flow)}`;
      last.set(key, { id: rule.id, ...now });
      this.#tellCount(rule, now, this.#lastOf(plugin, key, now), false);
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
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#firmware?.close();
    this.#firmware = undefined;
  }
}

/** Without so many bytes of each packet. */
function countOf(counter: EntryCounter | undefined, header: bigint): Count {
  const packets = BigInt(counter?.packets ?? 0);
  return {
    packets,
    bytes: BigInt(counter?.bytes ?? 0) - packets * header,
    drops: BigInt(counter?.drops ?? 0),
  };
}
