/** What the module says of a rule (bpf/module/ekho_abi.h), as BPF programs keep it. */
import type { Codec } from '../../../bpf/libbpf-ts/src/index.ts';

/** struct ekho_flow_match: big-endian fields are in the byte order of the machine that read them, as they lie in memory. */
export interface FlowMatch {
  readonly keys: number;
  readonly ifindex: number;
  readonly ifindex_mask: number;
  readonly [field: string]: unknown;
}

/** struct ekho_flow_ctx, of which only this is looked at here. */
export interface FlowContext {
  readonly id: bigint;
  /** EKHO_FLOW_… */
  readonly flags: number;
  readonly netns: number;
  readonly ifindex: number;
  readonly kind: number;
  readonly direction: number;
  readonly chain: number;
  readonly preference: number;
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly drops: bigint;
  readonly protocol: number;
  readonly match: FlowMatch;
  readonly action_count: number;
  /** As many as the rule has. */
  readonly actions: readonly FlowAction[];
  /** Of the link with that index; kind 0: it is none of a tunnel. Port and key are big-endian, as those of matches. */
  readonly tunnel: {
    readonly kind: number;
    readonly port: number;
    readonly key: number;
    readonly flags: number;
  };
}

/** struct ekho_flow_action. */
export interface FlowAction {
  readonly kind: number;
  readonly index: number;
}

/** A rule has an action or two and room for many more: those that it has are read. Thousands of rules may come at once. */
export function contextCodec(whole: Codec<FlowContext>, action: Codec<FlowAction>): Codec<FlowContext> {
  const { actions, ...others } = Object.fromEntries(whole.members!);
  const members = Object.entries(others);
  const room = actions!.codec.size / action.size;
  return {
    ...whole,
    read(view, offset) {
      const context: Record<string, unknown> = {};
      for (const [name, member] of members) context[name] = member.codec.read(view, offset + member.offset);
      const length = Math.min(context.action_count as number, room);
      context.actions = Array.from({ length }, (_, place) =>
        action.read(view, offset + actions!.offset + place * action.size),
      );
      return context as unknown as FlowContext;
    },
  };
}
