/** What a case of the suite may say: one schema, from which the checks, the types and docs/plugins/cases.md come. */

import { type Static, Type } from 'typebox';
import { TABLES } from '../../../host/device/asic/layout.ts';
import { EVENT_TYPE_NAMES, REASON_NAMES } from '../../../host/plugin/records.ts';

const closed = { additionalProperties: false } as const;

const Lines = Type.Array(Type.String(), { minItems: 1 });
const Range = Type.Tuple([Type.Integer(), Type.Integer()]);
const Count = Type.Integer({ minimum: 0 });

const Packet = Type.Object(
  {
    to: Type.String(),
    vrf: Type.Optional(Count),
    in: Type.Optional(Type.Integer({ minimum: 1 })),
    'to-mac': Type.Optional(Type.String()),
    vlan: Type.Optional(Count),
    count: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
    action: Type.Optional(Type.Enum(['forward', 'trap', 'drop'])),
    /** Entries on its way, as `route 1`. */
    by: Type.Optional(Type.Array(Type.String())),
  },
  closed,
);

/** What a step does: exactly one of these. */
export const ACTIONS = {
  apply: Type.Array(Type.String(), {
    description:
      'Sends these changes as one batch (more than fit: as several). Then readback and table fill must equal what the answers say is held.',
  }),
  hostile: Type.Array(Type.String(), {
    description:
      'Sends changes that no host sends, one a batch. Any answer will do, as long as it is one, and everything else stays held.',
  }),
  restart: Type.Enum(['stop', 'kill'], {
    description:
      'Ends the plugin, in order or not, and starts it on the same device: it must hold what it held.',
  }),
  power: Type.Enum(['cycle', 'off', 'on'], {
    description: 'Power of the device (simulated ASIC or data path), which forgets everything without it.',
  }),
  inject: Type.Object(
    { 'fail-every': Type.Optional(Count), refuse: Type.Optional(Type.Boolean()) },
    {
      ...closed,
      description:
        'Faults of the device (simulated ASIC or data path): every n-th row fails, or all are refused.',
    },
  ),
  events: Type.Array(Type.Enum([...EVENT_TYPE_NAMES]), {
    description: 'Polls until these have come, at most 5 s.',
  }),
  packets: Type.Array(Packet, {
    description: 'Passes packets through the device and looks at what becomes of them.',
  }),
  counted: Type.Record(Type.String(), Count, {
    description:
      'Packets that `collect` must tell of an entry, by its name (`"route 1" = 5`). What never counted it may leave out.',
  }),
  notices: Type.Integer({
    minimum: 1,
    maximum: 100_000,
    description: 'Sends so many kernel events of every type.',
  }),
  storm: Type.Object(
    {
      rounds: Type.Array(Lines, { minItems: 2 }),
      changes: Type.Integer({ minimum: 1 }),
      seconds: Type.Number({ exclusiveMinimum: 0 }),
      growth: Count,
    },
    {
      ...closed,
      description:
        'Sends the rounds over and over in full batches, until so many changes or seconds have passed. In the second half memory may grow by `growth` bytes.',
    },
  ),
  latency: Type.Object(
    {
      rounds: Type.Array(Lines, { minItems: 2 }),
      batches: Type.Array(Count),
      samples: Count,
      median: Type.Number(),
    },
    {
      ...closed,
      description:
        'Times batches of these sizes, one after the other, from commit to answer; half of them must take fewer milliseconds than `median`.',
    },
  ),
  capacity: Type.Object(
    { line: Type.String(), beyond: Type.Integer({ minimum: 1 }), most: Type.Integer({ minimum: 1 }) },
    {
      ...closed,
      description:
        'Puts `line` for `{i}` from 1 to the capacity the plugin declares for its kind and `beyond`: what is past it must be refused as table-full. Left out when the capacity is above `most`.',
    },
  ),
  offloads: Type.Enum(['limits', 'put', 'replace', 'remove', 'counters', 'mistakes', 'hostile', 'full'], {
    description:
      'Does so with objects of the kinds that the plugin declares itself, made from what it declares: with each field at its `limits`; `put` a few with names of their own; `replace` what is no key in all that are held; `remove` every second one; look that `counters` are of what is held; have the host refuse the `mistakes` that users may make; send `hostile` words; fill each kind until it is `full`.',
  }),
} as const;

const Step = Type.Object(
  {
    ...Object.fromEntries(Object.entries(ACTIONS).map(([name, schema]) => [name, Type.Optional(schema)])),
    for: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-z]+$' }), Range, {
        description:
          'Repeats each line for every number from the first to the last: `for = { i = [1, 20] }`.',
      }),
    ),
    answer: Type.Optional(
      Type.Enum(['ok', 'any', 'refused', 'failed', 'full'], {
        description:
          'What must become of all changes of `apply`: `ok` (held), `refused`, `failed`, `any`, or `full`: the first `fits` are held and the others refused as table-full.',
        default: 'ok',
      }),
    ),
    fits: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000, description: 'See `answer`.' })),
    reason: Type.Optional(
      Type.Enum([...REASON_NAMES], {
        description: 'With `refused` or `failed`: the reason that must be given.',
      }),
    ),
    writes: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1_000_000,
        description: 'Rows that the simulated ASIC may be made to write or remove, at most.',
      }),
    ),
  },
  closed,
);

export const CaseSchema = Type.Object(
  {
    title: Type.String({ minLength: 1, description: 'What must hold, as one sentence.' }),
    covers: Type.Optional(
      Type.Array(Type.String(), {
        description: 'Test cases of the kernel’s selftests that this one answers to.',
      }),
    ),
    include: Type.Optional(
      Type.Array(Type.String(), {
        description: 'Files with steps to do first, beside this one (`base/routing.toml`).',
      }),
    ),
    tables: Type.Optional(
      Type.Object(
        Object.fromEntries(TABLES.map(({ name }) => [name, Type.Optional(Type.Integer({ minimum: 1 }))])),
        { ...closed, description: 'Rows of the simulated ASIC’s tables; others have their usual size.' },
      ),
    ),
    ability: Type.Optional(
      Type.Object(
        {
          'update-in-place': Type.Optional(Type.Array(Type.String())),
          counts: Type.Optional(Type.Array(Type.String())),
        },
        {
          ...closed,
          description: 'Kinds that the plugin must have declared so; without, the case is left out.',
        },
      ),
    ),
    must: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'The plugin may not decline: without, a case in which it refuses something as unsupported is left out and counted.',
      }),
    ),
    orders: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        description: 'Runs it so many times, each with the lines of every step in another order.',
      }),
    ),
    batches: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1, maximum: 4096 }), {
        description: 'Runs it once for each, with batches of that many entries.',
      }),
    ),
    repeat: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: 10,
        description:
          'Runs it so many times and holds every answer, readback and device write to the first time’s.',
      }),
    ),
    steps: Type.Array(Step, { description: 'Done in order.' }),
  },
  closed,
);

export const StepSchema = Step;

type Actions = { readonly [K in keyof typeof ACTIONS]?: Static<(typeof ACTIONS)[K]> };

export interface CaseStep extends Actions {
  readonly for?: Readonly<Record<string, readonly [number, number]>>;
  readonly answer?: 'ok' | 'any' | 'refused' | 'failed' | 'full';
  readonly fits?: number;
  readonly reason?: string;
  readonly writes?: number;
}

export interface CaseFile {
  readonly title: string;
  readonly covers?: readonly string[];
  readonly include?: readonly string[];
  readonly tables?: Readonly<Record<string, number>>;
  readonly ability?: { readonly 'update-in-place'?: readonly string[]; readonly counts?: readonly string[] };
  readonly must?: boolean;
  readonly orders?: number;
  readonly batches?: readonly number[];
  readonly repeat?: number;
  readonly steps: readonly CaseStep[];
}
