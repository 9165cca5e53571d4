/** Shapes of the API's requests and answers. The command reads the same types. */
import { type Static, Type } from 'typebox';
import { LOG_LEVELS } from '../log/levels.ts';

const Count = Type.Integer({ minimum: 0 });
const Text = Type.String();

export const KindStatus = Type.Object({
  kind: Text,
  state: Type.Enum(['syncing', 'synced', 'unavailable']),
  count: Count,
  reason: Type.Optional(Text),
  remedy: Type.Optional(Text),
});
export type KindStatus = Static<typeof KindStatus>;

export const OffloadCounts = Type.Object({
  plugin: Text,
  kind: Text,
  pending: Count,
  offloaded: Count,
  trapped: Count,
  refused: Count,
  failed: Count,
});
export type OffloadCounts = Static<typeof OffloadCounts>;

export const PluginStatus = Type.Object({
  name: Text,
  /** `found` (not started, or not in the configuration), `missing` (no such file), `refused`, `starting`, `syncing`, `active`, `degraded`, `restarting` or `stopped`. */
  state: Text,
  reason: Type.Optional(Text),
  remedy: Type.Optional(Text),
  device: Type.Optional(Text),
  ports: Type.Array(Text),
  vendor: Type.Optional(Text),
  version: Type.Optional(Text),
  /** Kinds of entry it can hold. */
  abilities: Type.Array(Type.Object({ kind: Text, capacity: Count })),
  /** Of the file that runs, or last did. */
  sha256: Type.Optional(Text),
  /** Who signed it: `none`, or `trusted key ID`, or `key ID, not trusted`. */
  signature: Type.Optional(Text),
  /** `process` or `worker`. */
  isolation: Type.Optional(Text),
  licence: Type.Optional(Text),
  restarts: Count,
  batches: Count,
  entries: Count,
  /** Microseconds from sending each of these batches to its answer, summed. */
  apply_us: Count,
});
export type PluginStatus = Static<typeof PluginStatus>;

export const PluginDetails = Type.Intersect([
  PluginStatus,
  Type.Object({
    /** Since it last came up. */
    counters: Type.Record(Text, Count),
    /** The last 20. */
    errors: Type.Array(Type.Object({ time: Text, code: Text, message: Text })),
  }),
]);
export type PluginDetails = Static<typeof PluginDetails>;

export const DeviceStatus = Type.Object({
  name: Text,
  kind: Text,
  plugin: Type.Optional(Text),
  tables: Type.Array(Type.Object({ name: Text, used: Count, capacity: Count })),
  /** Rows written and removed since the device was made. */
  writes: Count,
  removes: Count,
  /** Times it lost its tables. */
  epoch: Count,
  /** Of a simulated device only. */
  faults: Type.Optional(
    Type.Object({ failEvery: Count, refuse: Type.Boolean(), delay: Count, poweredOff: Type.Boolean() }),
  ),
  /** How the data path is attached to each port: `native`, `tcx`, `generic` or `none`, why not native, and how often somebody else took it off. */
  ports: Type.Optional(
    Type.Array(
      Type.Object({ link: Text, mode: Text, why: Type.Optional(Text), detached: Type.Optional(Count) }),
    ),
  ),
  /** Frames that were sampled: sent to collectors, not sent for want of room, lost as the ring was full. */
  samples: Type.Optional(Type.Object({ exported: Count, unsent: Count, lost: Count })),
  /** Frames it handed to the kernel, by reason; rates as of entries. */
  traps: Type.Optional(
    Type.Array(
      Type.Object({
        reason: Text,
        packets: Count,
        bytes: Count,
        packets_per_s: Type.Number(),
        bytes_per_s: Type.Number(),
      }),
    ),
  ),
});
export type DeviceStatus = Static<typeof DeviceStatus>;

export const Status = Type.Object({
  version: Text,
  pid: Count,
  uptime_s: Type.Number(),
  /** Namespace by name; absent: the host's own. */
  netns: Type.Optional(Text),
  /** Present when it was deleted since: the host mirrors what nobody else can reach. */
  netns_deleted: Type.Optional(Type.Literal(true)),
  /** Where the mirror comes from, when it is not the kernel by netlink. */
  source: Type.Optional(
    Type.Object({
      servers: Type.Array(Text),
      bucket: Text,
      state: Type.Enum(['connecting', 'reading', 'following']),
      reason: Type.Optional(Text),
      remedy: Type.Optional(Text),
      /** Who published it; its epoch and the revision of its mirror grow. */
      publisher: Type.Optional(Type.Object({ host: Text, epoch: Count, kernel: Text, revision: Count })),
    }),
  ),
  /** Where the mirror is published to. */
  publish: Type.Optional(
    Type.Object({
      servers: Type.Array(Text),
      bucket: Text,
      state: Type.Enum(['waiting', 'connecting', 'writing', 'published', 'refused']),
      reason: Type.Optional(Text),
      remedy: Type.Optional(Text),
      epoch: Count,
      /** Objects in the bucket, and writes that wait. */
      objects: Count,
      pending: Count,
    }),
  ),
  /** BPF beside netlink; absent: the mirror does not come from the kernel. */
  notifier: Type.Optional(
    Type.Object({
      state: Type.Enum(['on', 'off', 'unavailable']),
      /** Why not `on`. */
      reason: Type.Optional(Text),
      /** `rung`: fentry, kprobe, tp_btf, raw_tp or none; `target`: the kernel's functions or tracepoints. */
      hooks: Type.Array(
        Type.Object({
          hook: Text,
          rung: Text,
          target: Type.Optional(Text),
          reason: Type.Optional(Text),
        }),
      ),
      /** Events that the kernel had, that were read, and that found the ring full. */
      produced: Count,
      received: Count,
      lost: Count,
    }),
  ),
  /** BPF that answers the kernel's offload requests; absent: it is turned off. */
  firmware: Type.Optional(
    Type.Object({
      state: Type.Enum(['on', 'unavailable']),
      /** Why not `on`. */
      reason: Type.Optional(Text),
      /** Rules that the kernel was told are in hardware, and how many of them are not. */
      rules: Count,
      amiss: Count,
    }),
  ),
  /** What sees packets and is not mirrored; absent: the mirror does not come from the kernel. */
  hooks: Type.Optional(
    Type.Object({
      /** E.g. `iptables-legacy: filter`, `tcx ingress: eth0`. */
      present: Type.Array(Text),
      /** What this process may not see, and so does not know. */
      hidden: Type.Array(Text),
    }),
  ),
  socket: Text,
  url: Type.Optional(Text),
  memory_bytes: Count,
  /** Seconds so far: in which the host stood still, two or longer at a time, and in which it had no file descriptor left. */
  held_s: Type.Number(),
  descriptors_short_s: Type.Number(),
  revision: Count,
  synced: Type.Boolean(),
  kinds: Type.Array(KindStatus),
  /** The last time kinds were read again as a whole, and how long that took (absent: it still runs). */
  resync: Type.Optional(
    Type.Object({ cause: Text, kinds: Type.Array(Text), started: Text, duration_ms: Type.Optional(Count) }),
  ),
  plugins: Type.Array(PluginStatus),
  offload: Type.Array(OffloadCounts),
  devices: Type.Array(DeviceStatus),
});
export type Status = Static<typeof Status>;

export const ObjectOffload = Type.Object({
  plugin: Text,
  state: Text,
  reason: Type.Optional(Text),
  detail: Type.Optional(Text),
});
export type ObjectOffload = Static<typeof ObjectOffload>;

export const Explanation = Type.Object({
  kind: Text,
  object: Text,
  /** Nothing here: no plugin holds objects of this kind. */
  offload: Type.Array(ObjectOffload),
  lines: Type.Array(Text),
});
export type Explanation = Static<typeof Explanation>;

const FieldName = Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' });
const FieldValue = Type.Union([Type.String({ maxLength: 256 }), Type.Number(), Type.Boolean()]);
/** Fields as they are given: texts, with units where the field has one, numbers or booleans. */
export const OffloadFields = Type.Record(FieldName, FieldValue, {
  maxProperties: 16,
  additionalProperties: false,
});

export const OffloadField = Type.Object({
  name: Text,
  type: Text,
  /** Part of the object's name. */
  key: Type.Boolean(),
  required: Type.Boolean(),
  /** What it may be, in words. */
  allowed: Text,
  unit: Type.Optional(Text),
  default: Type.Optional(Text),
  choices: Type.Optional(Type.Array(Text)),
  documentation: Text,
});

export const OffloadKindStatus = Type.Object({
  name: Text,
  version: Count,
  plugin: Text,
  documentation: Text,
  /** What its objects count; empty: nothing. */
  counts: Text,
  capacity: Count,
  objects: Count,
  fields: Type.Array(OffloadField),
});
export type OffloadKindStatus = Static<typeof OffloadKindStatus>;

export const OffloadObject = Type.Object({
  /** As in `/objects/offload`. */
  id: Count,
  kind: Text,
  /** Values of its keys, with a blank between. */
  name: Text,
  /** Of the kind that it was made for; 0 for any. */
  version: Count,
  /** `config`, `api`, or the BPF map it is from. */
  source: Text,
  fields: Type.Record(Text, Text),
  /** Why it is not possible as it is. */
  problem: Type.Optional(Text),
  revision: Count,
  offload: Type.Array(ObjectOffload),
  counters: Type.Array(Type.Object({ plugin: Text, packets: Count, bytes: Count })),
});
export type OffloadObject = Static<typeof OffloadObject>;

export const OffloadRequest = Type.Object(
  {
    kind: Type.String({ maxLength: 64 }),
    version: Type.Optional(Type.Integer({ minimum: 1, maximum: 4_294_967_295 })),
    fields: OffloadFields,
  },
  { additionalProperties: false },
);

export const LookupQuery = Type.Object(
  {
    destination: Type.String({ maxLength: 64 }),
    source: Type.Optional(Type.String({ maxLength: 64 })),
    /** Name of the link it arrives on. */
    in: Type.Optional(Type.String({ maxLength: 64 })),
    /** Name of the VRF link it is routed in, without `in`. */
    vrf: Type.Optional(Type.String({ maxLength: 64 })),
    /** IP protocol number, and for those that have them the ports. Absent: 0. */
    ipproto: Type.Optional(Type.Integer({ minimum: 0, maximum: 255 })),
    sport: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })),
    dport: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })),
  },
  { additionalProperties: false },
);
export type LookupQuery = Static<typeof LookupQuery>;

export const LookupAnswer = Type.Object({
  plugin: Text,
  device: Text,
  action: Type.Enum(['forward', 'trap', 'drop']),
  /** What decided. */
  by: Text,
  /** Every way out the hardware may choose. */
  ways: Type.Array(
    Type.Object({
      link: Text,
      /** Absent: the destination itself is the neighbour. */
      gateway: Type.Optional(Text),
      mac: Text,
      vlan: Type.Optional(Count),
    }),
  ),
  /** The kernel objects behind the entries on the way, first to last, with the reason where one is not plainly offloaded. */
  entries: Type.Array(Text),
});
export type LookupAnswer = Static<typeof LookupAnswer>;

export const VerifyAnswer = Type.Object({
  equal: Type.Boolean(),
  /** At most 1,000. */
  differences: Type.Array(Type.Object({ side: Type.Enum(['mirror', 'plan']), text: Text })),
  /** Objects compared with the kernel and entries compared with hardware. */
  objects: Count,
  entries: Count,
  /** With a remote source: the bucket that objects were compared with, in place of the kernel. */
  bucket: Type.Optional(Text),
});
export type VerifyAnswer = Static<typeof VerifyAnswer>;

export const WaitAnswer = Type.Object({
  revision: Count,
  /** Entries that a device failed to take or to let go: they are tried again, with growing pauses. */
  failing: Count,
});
export type WaitAnswer = Static<typeof WaitAnswer>;

export const LogLine = Type.Object({ time: Text, level: Text, message: Text });
export type LogLine = Static<typeof LogLine>;

export const Faults = Type.Object(
  {
    /** Every n-th row written or removed meets an I/O error; 0: none. */
    failEvery: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 })),
    /** All writes are refused. */
    refuse: Type.Optional(Type.Boolean()),
    /** Microseconds each burst takes. */
    delay: Type.Optional(Type.Integer({ minimum: 0, maximum: 60_000_000 })),
    poweredOff: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
export type Faults = Static<typeof Faults>;

/**
 * A line of `/changes`: a change, an event of a notifier, how many lines the reader was too slow for, or how many events found
 * the ring full.
 */
export type ChangeLine =
  | {
      /** With `source=all`. */
      readonly source?: 'netlink';
      readonly revision: number;
      readonly operation: 'upsert' | 'delete';
      readonly kind: string;
      /** The object as one would type it to `ip`, `bridge` or `tc`. */
      readonly text: string;
      /** iproute2's JSON of the object, as it was last with `delete`. */
      readonly object: object;
    }
  | {
      readonly source: 'notifier';
      readonly event: string;
      /** What it is about, in the words of `ip` and `bridge`. */
      readonly text: string;
      readonly hook: string;
      /** Cookie of the namespace, nanoseconds of CLOCK_MONOTONIC, and a count of the CPU's events: decimal digits. */
      readonly netns: string;
      readonly time: string;
      readonly sequence: string;
      readonly cpu: number;
      readonly ifindex: number;
      readonly [payload: string]: unknown;
    }
  | { readonly source: 'notifier'; readonly overrun: number }
  | { readonly lost: number };

export const Stats = Type.Object({
  /** Counters by group and name; they count up from the start of what they count. */
  counters: Type.Record(Text, Type.Record(Text, Type.Number())),
  /** Entries in hardware that were hit, those with the most packets first, at most 1,000. */
  entries: Type.Array(
    Type.Object({
      plugin: Text,
      entry: Text,
      packets: Count,
      /** Layer 2, with the Ethernet header. */
      bytes: Count,
      packets_per_s: Type.Number(),
      bytes_per_s: Type.Number(),
      /** What the kernel counted itself, as iproute2 prints it: for a port what it received, for a filter what reached its first action. */
      kernel: Type.Optional(Type.Object({ packets: Count, bytes: Count })),
      /** Of a filter: hardware and kernel together, with the Ethernet header. */
      total: Type.Optional(Type.Object({ packets: Count, bytes: Count })),
    }),
  ),
});
export type Stats = Static<typeof Stats>;

/** Entries in hardware with the highest rates, as of the last reading of `statistics.interval`; the highest first. */
export const TopEntries = Type.Array(
  Type.Object({
    plugin: Text,
    entry: Text,
    packets: Count,
    bytes: Count,
    packets_per_s: Type.Number(),
    bytes_per_s: Type.Number(),
  }),
);
export type TopEntries = Static<typeof TopEntries>;

export const Finding = Type.Object({
  area: Type.Enum(['system', 'rights', 'netlink', 'bpf', 'notifier', 'plugin']),
  feature: Text,
  status: Type.Enum(['available', 'unsupported', 'inconclusive']),
  /** What it is, or why it is not there or could not be found out. */
  detail: Type.Optional(Text),
  remedy: Type.Optional(Text),
  /** The configuration asks for it. */
  required: Type.Optional(Type.Literal(true)),
});
export type Finding = Static<typeof Finding>;

export const Diagnosis = Type.Object({
  /** The process whose rights and configuration count: the host, or the command itself where none runs. */
  pid: Count,
  /** Whether all is there that the configuration asks for. */
  content: Type.Boolean(),
  findings: Type.Array(Finding),
});
export type Diagnosis = Static<typeof Diagnosis>;

/** An object on a page; `gone`: it left since the page's list was made. */
export const ObjectItem = Type.Union([
  Type.Object({
    id: Count,
    revision: Count,
    /** As one would type it to `ip`, `bridge` or `tc`. */
    text: Text,
    offload: Type.Array(ObjectOffload),
    /** iproute2's JSON. */
    object: Type.Record(Text, Type.Unknown()),
  }),
  Type.Object({ id: Count, gone: Type.Literal(true) }),
]);
export type ObjectItem = Static<typeof ObjectItem>;

export const ObjectsPage = Type.Object({
  /** Name of the list that the page is from. */
  selection: Text,
  /** Revision of the mirror when the list was made. */
  revision: Count,
  total: Count,
  /** Row of the list that the page begins with. */
  offset: Count,
  items: Type.Array(ObjectItem),
  /** Cursor of the next page. */
  next: Type.Optional(Text),
});
export type ObjectsPage = Static<typeof ObjectsPage>;

export const ObjectDetails = Type.Object({
  kind: Text,
  id: Count,
  revision: Count,
  text: Text,
  object: Type.Record(Text, Type.Unknown()),
  offload: Type.Array(ObjectOffload),
  /** Why it is, or is not, in hardware. */
  lines: Type.Array(Text),
  /** Of plugins that count what it does, as last read. */
  counters: Type.Array(Type.Object({ plugin: Text, packets: Count, bytes: Count })),
  /** Its changes as far as they are kept, newest first, at most 50. */
  history: Type.Array(
    Type.Object({ revision: Count, time: Text, operation: Type.Enum(['upsert', 'delete']), text: Text }),
  ),
});
export type ObjectDetails = Static<typeof ObjectDetails>;

const Column = Type.Array(Type.Union([Type.Number(), Type.Null()]));

/** One value a second in each column; null where it was not measured. */
export const SeriesAnswer = Type.Object({
  /** Milliseconds since 1970. */
  times: Type.Array(Type.Number()),
  columns: Type.Object({
    changes_per_s: Column,
    /** From the mirror to the devices' answer. */
    latency_p50_ms: Column,
    latency_p99_ms: Column,
    /** Packets that the kernel forwarded, and that hardware's routes did. */
    kernel_packets_per_s: Column,
    hardware_packets_per_s: Column,
    /** Longest time the host's event loop was held. */
    loop_delay_ms: Column,
    memory_bytes: Column,
  }),
});
export type SeriesAnswer = Static<typeof SeriesAnswer>;

export const TokenAnswer = Type.Object({
  token: Text,
  role: Type.Enum(['read', 'operate']),
  /** ISO 8601; it ends with the host, too. */
  expires: Text,
});
export type TokenAnswer = Static<typeof TokenAnswer>;

export const AuditAnswer = Type.Object({
  time: Text,
  caller: Text,
  /** Address, or on a unix socket `uid N pid N`. */
  from: Text,
  request: Text,
  /** The request's body, where it says what changed. */
  change: Type.Optional(Text),
  status: Count,
});
export type AuditAnswer = Static<typeof AuditAnswer>;

export const CallerAnswer = Type.Object({ name: Text, role: Type.Enum(['read', 'operate']) });
export type CallerAnswer = Static<typeof CallerAnswer>;

/** Every section of docs/config.md under its name, as the host has it. */
export const ConfigAnswer = Type.Record(Type.String(), Type.Unknown());

export const CheckAnswer = Type.Object({
  /** `FILE:LINE: KEY: what is wrong`; none: it is a configuration the host would start with. */
  problems: Type.Array(Text),
  /** As the host would have it. */
  config: Type.Optional(ConfigAnswer),
});
export type CheckAnswer = Static<typeof CheckAnswer>;

const Level = Type.Enum([...LOG_LEVELS]);

/** Levels of the log: of everything as it was last set, of its components, and of plugins set by name. */
export const LogLevels = Type.Object({
  level: Level,
  components: Type.Record(Text, Level),
  plugins: Type.Record(Text, Level),
  /** Lines since the start, by level, and how many of them no reader took. */
  lines: Type.Record(Text, Count),
  dropped: Count,
});
export type LogLevels = Static<typeof LogLevels>;
