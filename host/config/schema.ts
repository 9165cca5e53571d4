/** What a configuration file may say: one schema, from which the checks, the error texts and docs/config.md come. */
import { type Static, type TSchema, Type } from 'typebox';
import { LINKS_MAX, METRIC_DEFAULT, PROTOCOL_DEFAULT } from '../device/rtnetlink/layout.ts';
import { SIZES } from '../device/tables/layout.ts';
import { RING_DEFAULT } from '../kernel/notifier/ring-size.ts';
import { DEFAULT_RECEIVE_BUFFER } from '../kernel/receive-buffer.ts';
import { LOG_FORMATS, LOG_LEVELS, type LogComponent } from '../log/levels.ts';
import { KERNEL_KINDS } from '../mirror/types.ts';
import { KIND_NAME } from '../plugin/offload-kinds.ts';

const closed = { additionalProperties: false } as const;

/** Names of plugins and devices: they become paths, so they are kept plain. */
export const NAME_PATTERN = '^[a-z0-9][a-z0-9_-]{0,63}$';
const NAME_WORDS = 'a name of a-z, 0-9, - and _';

/** Rows of a table of the simulated ASIC. */
function rows({ capacity, maxCapacity }: { capacity: number; maxCapacity: number }) {
  return Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: maxCapacity,
      default: capacity,
      description: 'Rows the table holds.',
    }),
  );
}

const Mirror = Type.Object(
  {
    netns: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        description:
          'Network namespace to mirror: a name as `ip netns` knows it, or a path. Default: the one the host runs in.',
      }),
    ),
    kinds: Type.Optional(
      Type.Array(Type.Enum([...KERNEL_KINDS]), {
        uniqueItems: true,
        description:
          'Kinds to mirror. Default: all. Where a plugin is enabled, only fdb, mdb, vlan, class, action, nft-flowtable and flow may be left out: with the others the kernel decides what is forwarded.',
      }),
    ),
    tables: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1, maximum: 4_294_967_295 }), {
        uniqueItems: true,
        minItems: 1,
        description:
          'Numbers of the routing tables to mirror (main is 254, local 255). Default: all. Only for hosts without an enabled plugin: hardware must know every table the kernel routes by.',
      }),
    ),
    'receive-buffer': Type.Optional(
      Type.Integer({
        minimum: 4096,
        maximum: 1_073_741_824,
        default: DEFAULT_RECEIVE_BUFFER,
        description:
          'Bytes of socket buffer for notifications. Larger overruns later; without CAP_NET_ADMIN the kernel caps it at net.core.rmem_max.',
      }),
    ),
  },
  closed,
);

const ApiTls = Type.Object(
  {
    cert: Type.String({
      minLength: 1,
      description:
        'PEM file of the certificate, with those between it and the authority behind it. Relative to the configuration file. Requests must name a host that it is for.',
    }),
    key: Type.String({
      minLength: 1,
      description: 'PEM file of its key, without a passphrase. Relative to the configuration file.',
    }),
    'client-ca': Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'PEM file of an authority: whoever shows a certificate that it signed may read, without a token. Relative to the configuration file. Default: none; clients need a token.',
      }),
    ),
    operators: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        uniqueItems: true,
        description: 'Common names (CN) of client certificates whose owners may operate, too. Default: none.',
      }),
    ),
  },
  {
    ...closed,
    description:
      'The certificate that the API shows over TCP, below. It is read again on SIGHUP. Default: none; the API speaks plain HTTP and can be on a loopback address only.',
  },
);

const ApiToken = Type.Object(
  {
    role: Type.Enum(['read', 'operate'], {
      description: 'What it allows on TCP. `read`: see everything. `operate`: what the unix socket allows.',
    }),
    sha256: Type.String({
      pattern: '^[0-9a-f]{64}$',
      words: '64 of 0-9 and a-f',
      // Where it is not right, it may be the token itself.
      writeOnly: true,
      description: 'SHA-256 of its text in hex; `ekho token NAME` makes both.',
    }),
  },
  closed,
);

const Api = Type.Object(
  {
    socket: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 107,
        description:
          'Path of the unix socket, at most 107 bytes (sun_path). Default: $XDG_RUNTIME_DIR/ekho.sock, else /run/ekho.sock as root, else ~/.ekho/ekho.sock.',
      }),
    ),
    'socket-group': Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 32,
        description:
          'Group whose members may use the socket, too, and do all that the command can: a name of /etc/group, or a number. The user who runs the host must be a member, or root. Default: none; the socket is for that user and root.',
      }),
    ),
    'read-group': Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 32,
        description:
          'Group whose members may look at everything and change nothing: they use a socket of their own beside the other, `ekho-read.sock` beside `ekho.sock`. A name of /etc/group, or a number; the user who runs the host must be a member, or root. Default: none, and no such socket.',
      }),
    ),
    listen: Type.Optional(
      Type.String({
        pattern: '^(off|(\\[[0-9A-Fa-f:.]+\\]|[0-9.]+):[0-9]{1,5})$',
        words: 'ADDRESS:PORT, [ADDRESS]:PORT or off',
        default: '127.0.0.1:8642',
        description:
          'Address and port of the dashboard and the API over HTTP, which change nothing without a token; port 0 takes a free one; `off` serves none. Anything but a loopback address needs `[api.tls]`, and there nobody reads either without a token or a certificate.',
      }),
    ),
    tls: Type.Optional(ApiTls),
    token: Type.Optional(
      Type.Record(Type.String({ pattern: NAME_PATTERN }), ApiToken, {
        ...closed,
        maxProperties: 64,
        description: 'Tokens that outlive the host, below. They are read again on SIGHUP. Default: none.',
      }),
    ),
  },
  closed,
);

const Plugins = Type.Object(
  {
    folder: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Folder of the `.wasm` components; NAME of a `[plugin.NAME]` is NAME.wasm in it. Relative to the configuration file. Default: `build/plugins` of the checkout.',
      }),
    ),
    cache: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Folder of transpiled plugins, safe to delete. Relative to the configuration file. Default: `$XDG_CACHE_HOME/ekho`, else `~/.cache/ekho`.',
      }),
    ),
    state: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'File that keeps which plugins are disabled by `ekho plugin disable` when the host ends. Relative to the configuration file. Default: none; a host begins with all of them enabled.',
      }),
    ),
    signatures: Type.Optional(
      Type.Enum(['require', 'prefer', 'off'], {
        default: 'prefer',
        description:
          'What the signature of a plugin (NAME.wasm.sig) means. `require`: what no trusted key signed is refused. `prefer`: it runs, in a process of its own. With both, a signature by a trusted key that is not of the file is a reason to refuse it. `off`: signatures are not looked at.',
      }),
    ),
    'trusted-keys': Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        description:
          'Public keys of those whose plugins are trusted: the second line of their `.pub` files. Default: none.',
      }),
    ),
  },
  closed,
);

const Plugin = Type.Object(
  {
    enabled: Type.Optional(Type.Boolean({ default: true, description: '`false` leaves the plugin out.' })),
    device: Type.Optional(
      Type.String({
        pattern: NAME_PATTERN,
        words: NAME_WORDS,
        description:
          'NAME of the `[device.NAME]` it is granted. Default: none; the plugin then gets no device.',
      }),
    ),
    ports: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        minItems: 1,
        description:
          'Names of the links that are front ports of its device, `*` and `?` match as in a shell, a leading `!` takes out. Default, where there is one plugin with a device: every Ethernet link that is not itself stacked on another (VLANs, bridges, bonds, tunnels).',
      }),
    ),
    priority: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1000,
        default: 100,
        description:
          'When two plugins want the same port, the larger number has it; at a tie, the first by name.',
      }),
    ),
    isolation: Type.Optional(
      Type.Enum(['process', 'worker'], {
        description:
          'Where it runs. `process`: in a process of its own that can reach nothing. `worker`: in a thread of the host, which costs less. Default: `worker` if a trusted key signed it, else `process`.',
      }),
    ),
    'device-calls': Type.Optional(
      Type.Integer({
        minimum: 100,
        maximum: 100_000_000,
        default: 100_000,
        description:
          'Calls of its device that it may make a second for long, and at once, any number of rows in each. Further ones wait, in the time the plugin has for what it is doing.',
      }),
    ),
    'on-disable': Type.Optional(
      Type.Enum(['clear', 'keep'], {
        default: 'clear',
        description:
          'What becomes of its device when it is disabled, or its file goes. `clear`: its ports are left to the kernel, then all that it holds is taken out. `keep`: the device goes on with what it holds, and nothing follows what the kernel changes.',
      }),
    ),
    'on-stop': Type.Optional(
      Type.Enum(['keep', 'clear'], {
        default: 'keep',
        description:
          'What becomes of its device when the host is stopped (SIGTERM, Ctrl-C). `keep`: it goes on with what it holds, and the next host takes it over. `clear`: its ports are left to the kernel, then all that it holds is taken out; so an upgrade interrupts what hardware forwards. A host that was killed clears nothing.',
      }),
    ),
    settings: Type.Optional(
      Type.Record(
        Type.String({ minLength: 1 }),
        Type.Union([Type.String(), Type.Number(), Type.Boolean()], { writeOnly: true }),
        {
          description: 'The plugin’s own settings, handed to its `configure` as text.',
        },
      ),
    ),
  },
  closed,
);

/** A link of the mirrored kernel, and what stands for it in the namespace of an `rtnetlink` device. */
const DeviceLink = Type.Object(
  {
    link: Type.String({
      minLength: 1,
      maxLength: 15,
      description:
        'What leaves by LINK of the mirrored kernel leaves there by this link. A VRF: what leaves by LINK is decided by the VRF’s table. A bridge, LINK being one: it gets the addresses behind the ports of LINK.',
    }),
    table: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 4_294_967_295,
        description:
          'Number of the routing table there that decides what would arrive on LINK. Default: none; what arrives on LINK is not offloaded.',
      }),
    ),
    vrf: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 4_294_967_295,
        default: 0,
        description: 'Table of the VRF that LINK belongs to in the mirrored kernel; 0: of none.',
      }),
    ),
    via: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 15,
        description:
          'Link there that leads to LINK: by it go packets that the mirrored kernel is to see. `table` needs it. Of a bridge, its port that leads to LINK.',
      }),
    ),
    gateway: Type.Optional(
      Type.String({
        maxLength: 45,
        description: 'IPv4 address of LINK. Without one, IPv4 is not offloaded there.',
      }),
    ),
    gateway6: Type.Optional(
      Type.String({
        maxLength: 45,
        description: 'IPv6 address of LINK. Without one, IPv6 is not offloaded there.',
      }),
    ),
  },
  closed,
);

const Device = Type.Object(
  {
    kind: Type.Enum(['asic', 'tables', 'rtnetlink'], {
      description:
        'What it is: `asic`, the simulated switch ASIC; `tables`, the XDP data path of this machine, for plugin `xdp`; `rtnetlink`, the routing of another network namespace, for plugin `l3-mirror` ([l3-mirror.md](l3-mirror.md)).',
    }),
    netns: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        description:
          'Of `rtnetlink`: network namespace that is written into, a name as `ip netns` knows it, or a path.',
      }),
    ),
    protocol: Type.Optional(
      Type.Integer({
        minimum: 5,
        maximum: 255,
        default: PROTOCOL_DEFAULT,
        description:
          'Of `rtnetlink`: protocol number of all that is written (`proto` of `ip route`); what has another is not touched, so it must be nobody else’s.',
      }),
    ),
    metric: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 4_294_967_295,
        default: METRIC_DEFAULT,
        description:
          'Of `rtnetlink`: metric of the routes that are written. Routes of the namespace’s own with a lower one win over them.',
      }),
    ),
    links: Type.Optional(
      Type.Record(Type.String({ minLength: 1, maxLength: 15 }), DeviceLink, {
        minProperties: 1,
        maxProperties: LINKS_MAX,
        description: 'Of `rtnetlink`: what stands for a link of the mirrored kernel, below.',
      }),
    ),
    mode: Type.Optional(
      Type.Enum(['auto', 'native', 'tcx', 'generic'], {
        default: 'auto',
        description:
          'Of `tables`: where the data path runs. `native`: XDP in the driver, the quickest; a port whose driver has none is refused. `tcx`: on packets as the kernel has them, on every port (Linux 6.6). `generic`: XDP on every port. `auto`: the first of them that does everything right on the port.',
      }),
    ),
    state: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'Keeps the tables, so that they outlive the host: of `asic` a file, of `tables` a folder in a BPF file system, where ports stay attached as well. Relative to the configuration file. Default: none; they are lost when the host ends.',
      }),
    ),
    tables: Type.Optional(
      Type.Object(Object.fromEntries(SIZES.map((table) => [table.name, rows(table)])), {
        ...closed,
        description: 'Sizes of its tables, below. The simulated ASIC has no `flow`, `tunnel` and `remote`.',
      }),
    ),
  },
  closed,
);

const Planner = Type.Object(
  {
    netfilter: Type.Optional(
      Type.Enum(['trap', 'ignore'], {
        default: 'trap',
        description:
          'What a netfilter rule in a forwarding hook means to hardware. `trap`: packets that it does not simply accept stay with the kernel, as far as rules can say which; else all that it sees do. `ignore`: offload as if it were not there; forwarding then differs from the kernel’s.',
      }),
    ),
    xfrm: Type.Optional(
      Type.Enum(['trap', 'ignore'], {
        default: 'trap',
        description:
          'What an IPsec policy means to hardware. `trap`: packets that it could match stay with the kernel. `ignore`: offload as if it were not there; what should be encrypted or dropped is then forwarded in clear.',
      }),
    ),
  },
  closed,
);

const Notifier = Type.Object(
  {
    enabled: Type.Optional(
      Type.Enum(['auto', 'on', 'off'], {
        default: 'auto',
        description:
          'BPF programs on the kernel’s own notifiers, beside netlink: deletions that netlink does not announce are seen at once. `auto`: as far as kernel and rights allow (`ekho doctor`). `on`: the host does not start without any. `off`: netlink alone.',
      }),
    ),
    'ring-size': Type.Optional(
      Type.Integer({
        minimum: 4096,
        maximum: 1_073_741_824,
        default: RING_DEFAULT,
        description:
          'Bytes of the buffer between them and the host, a power of two. Events that find it full are lost and counted, and routes and nexthops are then read again.',
      }),
    ),
  },
  closed,
);

const FirmwareSection = Type.Object(
  {
    enabled: Type.Optional(
      Type.Enum(['auto', 'on', 'off'], {
        default: 'off',
        description:
          'BPF programs that answer offload requests of tc for ports of plugins, so that rules are `in_hw` with what hardware counted ([firmware.md](firmware.md)). They need the kernel module `ekho` (`ekho doctor`) and drivers that ask it. `auto`: where it is loaded. `on`: the host does not start without. `off`: filters are known by netlink alone, and the kernel is told nothing of them.',
      }),
    ),
    marks: Type.Optional(
      Type.Enum(['off', 'on', 'keep'], {
        default: 'off',
        description:
          'Whether the kernel is told what hardware has, so that `ip route`, `ip nexthop` and `bridge fdb` show it and routing daemons hear of it ([firmware.md](firmware.md#marks)); the module is needed. `on`: until the host ends, however it does. `keep`: the marks stay when it ends, as what hardware holds does.',
      }),
    ),
  },
  closed,
);

const Statistics = Type.Object(
  {
    interval: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 3600,
        default: 10,
        description:
          'Seconds between readings of all counters of the hardware, in bulk; rates are between two of them, and the kernel is told what is in use. 0: read only when somebody asks.',
      }),
    ),
    state: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'File that keeps the counters, so that they go on when the host starts again; written after each reading (where that takes long, once a minute; the first time after a minute) and at the end. A host that is killed loses what was counted since, of devices that lose their own counters with it. Relative to the configuration file. Default: none; they go on from what the device counts.',
      }),
    ),
  },
  closed,
);

/** A NATS server, and how to reach it. */
const nats = {
  servers: Type.Array(
    Type.String({
      pattern: '^(nats|tls)://[^\\s/@]+$',
      words: 'nats://HOST:PORT or tls://HOST:PORT',
      maxLength: 255,
    }),
    {
      minItems: 1,
      uniqueItems: true,
      description:
        'NATS servers with JetStream, `nats://HOST:PORT` or `tls://HOST:PORT`, tried in turn. Port 4222 where there is none.',
    },
  ),
  ca: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'PEM file of the authority that signed the servers’ certificates. Relative to the configuration file. Default: those the system trusts.',
    }),
  ),
  cert: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'PEM file of the certificate this host shows the server. Relative to the configuration file.',
    }),
  ),
  key: Type.Optional(
    Type.String({ minLength: 1, description: 'PEM file of its key. Relative to the configuration file.' }),
  ),
};

const BUCKET = { pattern: '^[A-Za-z0-9_-]{1,64}$', words: 'a name of A-Z, a-z, 0-9, - and _' };

const Source = Type.Object(
  {
    type: Type.Enum(['netlink', 'remote'], {
      description:
        'Where the mirror comes from. `netlink`: the kernel. `remote`: the mirror that another host publishes ([remote.md](remote.md)); the keys below are for it alone.',
    }),
    servers: Type.Optional(nats.servers),
    bucket: Type.Optional(
      Type.String({ ...BUCKET, description: 'Key-value bucket the other host publishes to.' }),
    ),
    ca: nats.ca,
    cert: nats.cert,
    key: nats.key,
  },
  closed,
);

const Publish = Type.Object(
  {
    ...nats,
    bucket: Type.Optional(
      Type.String({
        ...BUCKET,
        description:
          'Key-value bucket to publish to; it is made when there is none. Each host has its own. Default: `ekho_` and the host name.',
      }),
    ),
    host: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        description: 'What this host is called in it. Default: the host name.',
      }),
    ),
    lease: Type.Optional(
      Type.Number({
        minimum: 1,
        maximum: 3600,
        default: 10,
        description:
          'Seconds after which a host that was killed is no longer taken for one that lives. Shorter lets another go on sooner, and writes to the server more often.',
      }),
    ),
    storage: Type.Optional(
      Type.Enum(['file', 'memory'], {
        default: 'file',
        description:
          'Where the server keeps a bucket that is made. With `memory` a restart of the server empties it, and it is written again.',
      }),
    ),
    replicas: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 5,
        default: 1,
        description: 'Servers of a cluster that keep a bucket that is made.',
      }),
    ),
    bytes: Type.Optional(
      Type.Integer({
        minimum: 1_048_576,
        maximum: 1_099_511_627_776,
        default: 1_073_741_824,
        description: 'Largest size of a bucket that is made; a route takes about 200 bytes.',
      }),
    ),
  },
  closed,
);

const LevelOf = (description: string) => Type.Optional(Type.Enum([...LOG_LEVELS], { description }));

const LogLevels = Type.Object(
  {
    host: LevelOf('Start, end, what is served.'),
    mirror: LevelOf('What comes from the kernel, or from another host.'),
    planner: LevelOf('Plans and what devices were found to hold.'),
    plugin: LevelOf('What plugins write, and what becomes of them.'),
    statistics: LevelOf('Counters.'),
    publish: LevelOf('The mirror that is published.'),
    api: LevelOf('Requests, at `debug`.'),
  } satisfies Record<LogComponent, unknown>,
  { ...closed, description: 'Levels of parts of the host, below. Default: `level` for all.' },
);

const Log = Type.Object(
  {
    level: Type.Optional(
      Type.Enum([...LOG_LEVELS], {
        default: 'info',
        description:
          'What is written: this and what is worse. `ekho log level` changes it while the host runs.',
      }),
    ),
    levels: Type.Optional(LogLevels),
    format: Type.Optional(
      Type.Enum([...LOG_FORMATS], {
        default: 'auto',
        description:
          'How a line is written. `text`: for people. `journal`: as text with its priority in front, which journald takes off. `json`: an object with `level`, `time`, `component` and `msg`. `auto`: text on a terminal, `journal` where systemd connects the host to its journal, else `json`.',
      }),
    ),
  },
  closed,
);

const Tracing = Type.Object(
  {
    endpoint: Type.String({
      pattern: '^https?://[^/?#\\s@]+(/[^?#\\s]*)?$',
      words: 'http://HOST:PORT/PATH or https://HOST:PORT/PATH',
      // Some collectors know their customers by it.
      writeOnly: true,
      maxLength: 1024,
      description:
        'URL that a collector takes traces at by OTLP over HTTP, as JSON, most often `http://127.0.0.1:4318/v1/traces`. Without this section nothing is traced.',
    }),
    sample: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0.01,
        description:
          'Share of the transactions of the mirror that are traced ([metrics.md](metrics.md#traces)). While one is under way no other is.',
      }),
    ),
  },
  closed,
);

const Offload = Type.Object(
  {
    kind: Type.String({
      pattern: KIND_NAME.source,
      words: 'VENDOR:KIND in small letters',
      description: 'Kind that a plugin declares, `VENDOR:KIND`; `ekho offload kinds` lists them.',
    }),
    version: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 4_294_967_295,
        description:
          'Version of the kind that the fields are written for. Default: whichever the plugin has.',
      }),
    ),
    fields: Type.Record(
      Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' }),
      Type.Union([Type.String({ maxLength: 256 }), Type.Number(), Type.Boolean()]),
      {
        ...closed,
        maxProperties: 16,
        description: 'Its fields, as `ekho offload add` takes them. They are checked when the plugin runs.',
      },
    ),
  },
  closed,
);

const Offloads = Type.Object(
  {
    state: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'File that keeps the objects made by `ekho offload add` and the API when the host ends. Relative to the configuration file. Default: none; a host begins with those of `[[offload]]` alone.',
      }),
    ),
    maps: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        maxItems: 16,
        uniqueItems: true,
        description:
          'Pinned BPF maps in which programs ask for objects (docs/offloads.md). Relative to the configuration file. Default: none.',
      }),
    ),
  },
  closed,
);

export const ConfigSchema = Type.Object(
  {
    mirror: Type.Optional(Mirror),
    api: Type.Optional(Api),
    plugins: Type.Optional(Plugins),
    plugin: Type.Optional(Type.Record(Type.String({ pattern: NAME_PATTERN }), Plugin, closed)),
    device: Type.Optional(Type.Record(Type.String({ pattern: NAME_PATTERN }), Device, closed)),
    planner: Type.Optional(Planner),
    notifier: Type.Optional(Notifier),
    firmware: Type.Optional(FirmwareSection),
    source: Type.Optional(Source),
    publish: Type.Optional(Publish),
    statistics: Type.Optional(Statistics),
    log: Type.Optional(Log),
    tracing: Type.Optional(Tracing),
    offload: Type.Optional(Type.Array(Offload, { maxItems: 65_536 })),
    offloads: Type.Optional(Offloads),
  },
  closed,
);

export type ConfigFile = Static<typeof ConfigSchema>;

/** Sections as docs/config.md shows them: header, schema of the keys. */
export const SECTIONS: readonly { readonly header: string; readonly schema: TSchema }[] = [
  { header: '[mirror]', schema: Mirror },
  { header: '[api]', schema: Api },
  { header: '[api.tls]', schema: ApiTls },
  { header: '[api.token.NAME]', schema: ApiToken },
  { header: '[plugins]', schema: Plugins },
  { header: '[plugin.NAME]', schema: Plugin },
  { header: '[device.NAME]', schema: Device },
  { header: '[device.NAME.tables]', schema: Device.properties.tables },
  { header: '[device.NAME.links.LINK]', schema: DeviceLink },
  { header: '[planner]', schema: Planner },
  { header: '[notifier]', schema: Notifier },
  { header: '[firmware]', schema: FirmwareSection },
  { header: '[source]', schema: Source },
  { header: '[publish]', schema: Publish },
  { header: '[statistics]', schema: Statistics },
  { header: '[log]', schema: Log },
  { header: '[log.levels]', schema: LogLevels },
  { header: '[tracing]', schema: Tracing },
  { header: '[[offload]]', schema: Offload },
  { header: '[offloads]', schema: Offloads },
];
