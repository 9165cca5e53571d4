/**
 * BPF firmware of ports whose driver lets one decide about offload (bpf/module): which rules the kernel wants in hardware, what a
 * device can do of that, and what hardware counted. The kernel is answered by the program, by what the device was said to be
 * capable of; user space hears of rules afterwards.
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  BpfError,
  type BpfMap,
  BpfObject,
  type Codec,
  type Link,
  type RingBuffer,
} from '../../../bpf/libbpf-ts/src/index.ts';
import {
  ACTIONS,
  type Action,
  DIRECTIONS,
  type Direction,
  FLOW_KINDS,
  type FlowKind,
  MATCH_KEYS,
  type MatchKey,
  nameOf,
} from './abi.ts';
import { asBridgeCall, BRIDGE_KINDS, type BridgeCall, type BridgeKind, type BridgeRecord } from './bridge.ts';
import { contextCodec, type FlowContext } from './context.ts';

const OBJECT = fileURLToPath(new URL('../../../build/bpf/firmware.bpf.o', import.meta.url));
/** enum firmware_event */
const REPLACE = 1;
const ASKED = 3;
const BRIDGE = 4;
/** enum firmware_port_flags */
const PORT_READY = 1;
const PORT_FLOWS = 2;
const PORT_BRIDGES = 4;
const PORT_NO_MIRRORS = 8;
const PORT_GROUPS = 16;

/** A port of a plugin's device, and what the plugin can do with rules on it. */
export interface FirmwarePort {
  /** Bits of ACL_FIELDS (wit/types.wit). */
  readonly fields: number;
  /** Bits of ACL_EDITS. */
  readonly edits: number;
  /** Number of the plugin, from 0 to PLUGINS_MAX - 1: see `setRoom`. */
  readonly plugin: number;
  /** It takes changes; rules are refused until it does. */
  readonly isReady: boolean;
  /** The first preference from which on rules would have no packets, because one before hands over all; they are refused. */
  readonly behind: number | undefined;
  /** It forwards established connections. */
  readonly takesFlows: boolean;
  /** It forwards between ports of bridges. */
  readonly takesBridges: boolean;
  /** Frames of multicast groups that arrive there go on in hardware. */
  readonly takesGroups: boolean;
  /** There can be copies of what arrives there. */
  readonly canMirror: boolean;
}

/** Plugins that ports may be of. */
export const PLUGINS_MAX = 64;

/** What the device can do of rules; whatever else the kernel asks for is refused, with the reason. */
export interface FirmwareCapabilities {
  readonly match: readonly MatchKey[];
  readonly actions: readonly Action[];
  readonly directions: readonly Direction[];
  readonly kinds: readonly FlowKind[];
  /** The highest chain; 0 is where rules begin. */
  readonly chainMax: number;
  /** Rules on links of tunnels (VXLAN), of packets that came out of one; not by default. */
  readonly tunnels?: boolean;
  /** What it takes of bridges, nothing by default: the software bridge goes on without it. */
  readonly bridge?: readonly BridgeKind[];
}

export interface FirmwareOptions {
  /** `by port`: as `setPort` and `setRoom` say. */
  readonly capabilities: FirmwareCapabilities | 'by port';
  /** Inode of the only network namespace whose ports it is for; all by default. */
  readonly netns?: number;
  /** The only port it is for, by its index in that namespace. */
  readonly ifindex?: number;
  /**
   * Milliseconds, 500 at most, that the kernel waits for `answer()` before it refuses a rule; by default it does not wait. Where
   * the kernel holds RTNL, as with tc, only with `waitsWithRtnl`: nobody, this process included, can use rtnetlink meanwhile.
   */
  readonly waitMs?: number;
  readonly waitsWithRtnl?: boolean;
  /** Firmware whose place it takes without a gap, for the same ports: that one is told nothing more, and is to be closed. */
  readonly replaces?: Firmware;
}

/** A rule, as the kernel brought it. */
export interface FirmwareRule {
  /** Of the rule while it lives, and never used again. */
  readonly id: bigint;
  /** Inode of the port's network namespace, and the port's index there; 0 for an action by itself. */
  readonly netns: number;
  readonly ifindex: number;
  readonly kind: FlowKind;
  /** Not of an action by itself. */
  readonly direction: Direction | undefined;
  readonly chain: number;
  readonly preference: number;
  readonly match: ReadonlySet<MatchKey>;
  readonly actions: readonly Action[];
  /** Everything of it, as the module's `struct ekho_flow_ctx`. */
  readonly context: FlowContext;
}

/** What hardware counted for a rule since the kernel made it. */
export interface FirmwareCounter {
  readonly packets: bigint;
  readonly bytes: bigint;
  /** How many of the packets it dropped. */
  readonly drops: bigint;
}

export interface FirmwareHandler {
  /** A rule is new, or what it does. `answer()` is waited for if there is a request. */
  onReplace?(rule: FirmwareRule, request: bigint | undefined): void;
  onDestroy?(id: bigint): void;
  /** Changes were not told of: read `rules()`. */
  onLost?(): void;
  /** The kernel asks what hardware counted; it was answered with what `count()` said last. Twice a second at most. */
  onAsked?(): void;
  /** What a bridge said of a port, in its order, of the kinds that were said to be taken; netlink has all of it, too. */
  onBridge?(call: BridgeCall): void;
}

interface FirmwareRecord {
  readonly id: bigint;
  readonly request: bigint;
  readonly event: number;
  readonly waits: number;
}

export class Firmware implements Disposable {
  readonly #object: BpfObject;
  #link: Link | undefined;
  readonly #ring: RingBuffer;
  readonly #flows: BpfMap<bigint, FlowContext>;
  readonly #counters: BpfMap<bigint, FirmwareCounter>;
  readonly #ports: BpfMap<
    number,
    { fields: number; edits: number; plugin: number; flags: number; behind: number }
  >;
  readonly #room: BpfMap<number, number>;
  readonly #record: Codec<FirmwareRecord>;
  readonly #bridgeRecord: Codec<BridgeRecord>;
  readonly #answer: Codec<{ request: bigint; answer: number; result: number }>;

  /**
   * Attaches firmware to all ports it is for; rules that the kernel has on them come first.
   * `prepare` is called when everything is loaded and nothing attached: for `setPort` and `setRoom`.
   * @throws E_NOT_SUPPORTED without the module, E_EXISTS if there is firmware for the same ports, and what loading BPF programs throws
   */
  constructor(
    options: FirmwareOptions,
    handler: FirmwareHandler = {},
    prepare: (firmware: Firmware) => void = () => {},
  ) {
    if (!existsSync('/sys/kernel/btf/ekho')) {
      throw new BpfError('E_NOT_SUPPORTED', 'firmware needs the kernel module ekho, which is not loaded', {
        remedy: 'Build it from bpf/module and load it.',
      });
    }
    const object = BpfObject.open(OBJECT);
    this.#object = object;
    let ring: RingBuffer | undefined;
    try {
      const { netns = 0, ifindex = 0, waitMs = 0, waitsWithRtnl = false } = options;
      object.setStructOps('firmware', { netns, ifindex });
      if (options.capabilities === 'by port') object.variable<number>('by_port').set(1);
      else this.#setCapabilities(options.capabilities);
      object.variable<number>('wait_ms').set(waitMs);
      object.variable<number>('waits_with_rtnl').set(Number(waitsWithRtnl));
      object.load();
      const value = contextCodec(object.type('ekho_flow_ctx'), object.type('ekho_flow_action'));
      this.#flows = object.map('flows', { value });
      this.#counters = object.map('counters');
      this.#ports = object.map('ports');
      this.#room = object.map('room');
      this.#record = object.type('firmware_record');
      this.#bridgeRecord = object.type('firmware_bridge_record');
      this.#answer = object.type('firmware_answer');
      ring = object.ringBuffer('events', { drops: object.map('events_drops') });
      this.#ring = ring;
      ring.start((data, offset) => this.#onRecord(data, offset, handler), {
        onDrops: () => handler.onLost?.(),
      });
      prepare(this);
      this.#link =
        options.replaces === undefined
          ? object.attachStructOps('firmware')
          : options.replaces.#handOver(object);
    } catch (error) {
      ring?.close();
      object.close();
      throw error;
    }
  }

  #handOver(successor: BpfObject): Link {
    const link = this.#link;
    if (link === undefined)
      throw new BpfError('E_STATE', 'firmware that was replaced cannot be replaced again');
    successor.updateStructOps('firmware', link);
    this.#link = undefined;
    return link;
  }

  /** What the device can do from now on; rules the kernel has stay. */
  set capabilities(capabilities: FirmwareCapabilities) {
    this.#setCapabilities(capabilities);
  }

  #setCapabilities(capabilities: FirmwareCapabilities): void {
    const { match, actions, directions, kinds, chainMax, tunnels = false, bridge = [] } = capabilities;
    const set = (name: string, value: number) => this.#object.variable<number>(name).set(value >>> 0);
    const bits = (values: readonly number[]) => values.reduce((all, value) => all | (1 << value), 0);
    set(
      'can_match',
      match.reduce((all, key) => all | MATCH_KEYS[key], 0),
    );
    set('can_act', bits(actions.map((action) => ACTIONS[action])));
    set('can_face', bits(directions.map((direction) => DIRECTIONS[direction])));
    set('can_kind', bits(kinds.map((kind) => FLOW_KINDS[kind])));
    set('chain_max', chainMax);
    set('can_tunnel', Number(tunnels));
    set('can_bridge', bits(bridge.map((kind) => BRIDGE_KINDS[kind])));
  }

  #onRecord(data: DataView, offset: number, handler: FirmwareHandler): void {
    const { id, request, event, waits } = this.#record.read(data, offset);
    if (event === BRIDGE) {
      handler.onBridge?.(asBridgeCall(this.#bridgeRecord.read(data, offset)));
      return;
    }
    if (event === ASKED) {
      handler.onAsked?.();
      return;
    }
    if (event !== REPLACE) {
      handler.onDestroy?.(id);
      return;
    }
    // Destroyed meanwhile: that record comes after this one.
    const context = this.#flows.get(id);
    if (context !== undefined) handler.onReplace?.(asRule(context), waits === 0 ? undefined : request);
  }

  /** What rules on a port may say from now on; `undefined`: it is no port. Rules the kernel has stay. */
  setPort(ifindex: number, port: FirmwarePort | undefined): void {
    if (port === undefined) {
      this.#ports.delete(ifindex);
      return;
    }
    const {
      fields,
      edits,
      plugin,
      isReady,
      takesFlows,
      takesBridges,
      takesGroups,
      canMirror,
      behind = 0,
    } = port;
    const flags =
      (isReady ? PORT_READY : 0) |
      (takesFlows ? PORT_FLOWS : 0) |
      (takesBridges ? PORT_BRIDGES : 0) |
      (takesGroups ? PORT_GROUPS : 0) |
      (canMirror ? 0 : PORT_NO_MIRRORS);
    this.#ports.set(ifindex, { fields, edits, plugin, flags, behind });
  }

  /** The rules of tc that a plugin has room for on its ports, those that it has included. */
  setRoom(plugin: number, rules: number): void {
    this.#room.set(plugin, rules);
  }

  /** The rules the kernel was told are in hardware. */
  *rules(): Generator<FirmwareRule> {
    for (const [, context] of this.#flows) yield asRule(context);
  }

  /**
   * Tells the kernel what hardware counted for a rule since the kernel made it, firmware before this one included; it is asked
   * for when somebody looks. Less than before is not believed.
   * @returns false if the kernel has no such rule any more
   */
  count(id: bigint, counter: FirmwareCounter): boolean {
    try {
      this.#counters.set(id, counter, 'replace');
      return true;
    } catch (error) {
      if (error instanceof BpfError && error.code === 'E_MISSING_KEY') return false;
      throw error;
    }
  }

  /**
   * Answers a request that is waited for: accepted, or refused with an errno.
   * @returns false if nobody waits for it any more
   */
  answer(request: bigint, errno = 0): boolean {
    const context = new Uint8Array(this.#answer.size);
    const view = new DataView(context.buffer);
    this.#answer.write(view, 0, { request, answer: -errno, result: 0 });
    const after = this.#object.program('answer').run({ context }).context;
    return this.#answer.read(new DataView(after.buffer, after.byteOffset), 0).result === 0;
  }

  /** Detaches it: the kernel keeps its rules, and whoever comes next is told of them. */
  close(): void {
    this.#link?.close();
    this.#ring.close();
    this.#object.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function asRule(context: FlowContext): FirmwareRule {
  const { id, netns, ifindex, chain, preference } = context;
  const keys = Object.keys(MATCH_KEYS) as MatchKey[];
  return {
    id,
    netns,
    ifindex,
    kind: nameOf(FLOW_KINDS, context.kind)!,
    direction: nameOf(DIRECTIONS, context.direction),
    chain,
    preference,
    match: new Set(keys.filter((key) => (context.match.keys & MATCH_KEYS[key]) !== 0)),
    actions: context.actions.map(({ kind }) => nameOf(ACTIONS, kind)!),
    context,
  };
}
