/** Reads and checks a configuration file and fills in the defaults, so that the host needs none. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, TomlError } from 'smol-toml';
import type { TSchema } from 'typebox';
import { Settings } from 'typebox/system';
import { Value } from 'typebox/value';
import type { Requested } from '../custom/store.ts';
import { METRIC_DEFAULT, PROTOCOL_DEFAULT } from '../device/rtnetlink/layout.ts';
import type { AttachMode, DeviceConfig } from '../device/types.ts';
import { EkhoError } from '../errors.ts';
import { RING_DEFAULT } from '../kernel/notifier/ring-size.ts';
import { DEFAULT_RECEIVE_BUFFER } from '../kernel/receive-buffer.ts';
import type { LogComponent, LogFormat, LogLevel } from '../log/levels.ts';
import { KERNEL_KINDS, type Kind } from '../mirror/types.ts';
import { DEVICE_CALLS_DEFAULT } from '../plugin/device-ration.ts';
import type { Isolation } from '../plugin/pool-runner.ts';
import { type PublicKey, parsePublicKey, type SignaturePolicy } from '../plugin/signature.ts';
import type { NatsOptions } from '../remote/connection.ts';
import type { PublishOptions } from '../remote/publisher.ts';
import { nearest } from '../suggest.ts';
import { apiProblems, type KnownToken, type ListenAddress, parseListen, type TlsConfig } from './listen.ts';
import { lineOf, locateKeys } from './locate.ts';
import { type ConfigFile, ConfigSchema } from './schema.ts';
import { defaultSocket } from './socket.ts';

/** Root of the checkout. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface PluginConfig {
  readonly name: string;
  readonly device: string | undefined;
  /** Link-name patterns; undefined: every link that is not stacked. */
  readonly ports: readonly string[] | undefined;
  readonly priority: number;
  /** Undefined: by its signature. */
  readonly isolation: Isolation | undefined;
  /** A second. */
  readonly deviceCalls: number;
  readonly onDisable: 'clear' | 'keep';
  readonly onStop: 'clear' | 'keep';
  readonly settings: readonly { readonly name: string; readonly value: string }[];
}

/** The configuration with every default filled in and every path absolute. */
export interface Config {
  readonly file: string | undefined;
  readonly mirror: {
    readonly netns: string | undefined;
    readonly kinds: readonly Kind[] | undefined;
    readonly tables: readonly number[] | undefined;
    /** Bytes. */
    readonly receiveBuffer: number;
  };
  readonly api: {
    readonly socket: string;
    /** Whose members may use the socket, too; undefined: nobody but its user. */
    readonly socketGroup: string | undefined;
    /** Who may look, on a socket of their own; undefined: there is none. */
    readonly readGroup: string | undefined;
    readonly listen: ListenAddress | undefined;
    /** Undefined: plain HTTP, on loopback alone. */
    readonly tls: TlsConfig | undefined;
    readonly tokens: readonly KnownToken[];
  };
  readonly plugins: {
    readonly folder: string;
    /** Undefined: the user's cache folder. */
    readonly cache: string | undefined;
    /** Undefined: which are disabled is forgotten. */
    readonly state: string | undefined;
    readonly signatures: SignaturePolicy;
    readonly trustedKeys: readonly PublicKey[];
  };
  readonly plugin: readonly PluginConfig[];
  readonly device: readonly DeviceConfig[];
  readonly planner: { readonly netfilter: 'trap' | 'ignore'; readonly xfrm: 'trap' | 'ignore' };
  readonly notifier: {
    readonly enabled: 'auto' | 'on' | 'off';
    /** Bytes. */
    readonly ringSize: number;
  };
  readonly firmware: {
    readonly enabled: 'auto' | 'on' | 'off';
    /** Whether the kernel is told what hardware has, and `keep`: also when the host is gone. */
    readonly marks: 'off' | 'on' | 'keep';
  };
  /** Undefined: the kernel, by netlink. */
  readonly source: NatsOptions | undefined;
  /** Undefined: the mirror is not published. */
  readonly publish: PublishOptions | undefined;
  /** Objects of kinds that plugins declare. */
  readonly offload: readonly Requested[];
  /** Undefined: those of the API end with the host. */
  readonly offloads: { readonly state: string | undefined; readonly maps: readonly string[] };
  readonly statistics: { readonly interval_s: number; readonly state: string | undefined };
  /** Undefined: nothing is traced. */
  readonly tracing: { readonly endpoint: string; readonly sample: number } | undefined;
  readonly log: {
    readonly level: LogLevel;
    readonly levels: Readonly<Partial<Record<LogComponent, LogLevel>>>;
    readonly format: LogFormat;
  };
}

/** One thing wrong with a file: `line` from 1, `path` the key. */
export interface ConfigProblem {
  readonly line: number;
  readonly path: readonly string[];
  readonly text: string;
}

/** Reads and checks a file. Throws E_CONFIG with a line for each problem. */
export function readConfig(file: string): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new EkhoError('E_CONFIG', `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      remedy: 'Name a file that exists and that you may read.',
      cause: error,
    });
  }
  return parseConfig(text, file);
}

/** The configuration that `npm start` runs with: the simulated ASIC and the reference plugin. */
export function defaultConfig(): Config {
  return complete({}, undefined);
}

/** Checks the text of a file; `file` is named in errors and is what relative paths are relative to. */
export function parseConfig(text: string, file: string): Config {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split('\n')[0]!.replace(/^Invalid TOML document: /, '');
    throw new EkhoError('E_CONFIG', `${file}:${error.line}:${error.column}: ${what}`, {
      remedy: 'Correct the TOML syntax there.',
      cause: error,
    });
  }
  const problems = checkConfig(value, text);
  if (problems.length > 0) {
    throw new EkhoError(
      'E_CONFIG',
      problems.map(({ line, path, text }) => `${file}:${line}: ${showPath(path)}: ${text}`).join('\n'),
      { remedy: 'docs/config.md lists every key.' },
    );
  }
  return complete(value as ConfigFile, file);
}

/** All problems of a parsed file, by line. */
function checkConfig(value: unknown, text: string): ConfigProblem[] {
  const lines = locateKeys(text);
  const problems = new Map<string, ConfigProblem>();
  const report = (path: string[], text: string) => {
    const key = path.join('\0');
    if (!problems.has(key)) problems.set(key, { line: lineOf(lines, path), path, text });
  };
  for (const error of allErrors(value)) {
    const path = error.instancePath
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    const schema = schemaAt(path);
    if (error.keyword === 'additionalProperties') continue; // each such key is reported by itself
    if (error.keyword === 'required') {
      for (const name of (error.params as { requiredProperties: string[] }).requiredProperties) {
        report([...path, name], `is missing, expected ${expected(schemaAt([...path, name]))}`);
      }
    } else if (schema === undefined) {
      report(path, unknownKey(path));
    } else {
      const given = valueAt(value, path);
      const near = typeof given === 'string' ? didYouMean(given, (schema as Node).enum ?? []) : '';
      // What is secret stands in no log, and least of all where it does not belong.
      const got = (schema as Node).writeOnly ? '' : `, got ${show(given)}${near}`;
      report(path, `expected ${expected(schema)}${got}`);
    }
  }
  if (problems.size === 0) {
    const { plugin = DEFAULT_PLUGINS, device = {}, mirror = {} } = value as ConfigFile;
    for (const [path, text] of apiProblems(value as ConfigFile)) report(path, text);
    for (const [path, text] of remoteProblems(value as ConfigFile)) report(path, text);
    const enabled = Object.keys(plugin).filter((name) => plugin[name]!.enabled !== false);
    if (enabled.length > 0) {
      const remedy = `for a host that only mirrors, ${enabled.map((name) => `set [plugin.${name}] enabled = false`).join(' and ')}`;
      const missing = KERNEL_KINDS.filter(
        (kind) => !OPTIONAL_KINDS.has(kind) && mirror.kinds?.includes(kind) === false,
      );
      if (missing.length > 0) {
        const why = `leaves out ${missing.join(', ')}, without which plugins would forward what the kernel does not`;
        report(['mirror', 'kinds'], `${why}; add them or, ${remedy}`);
      }
      if (mirror.tables !== undefined) {
        const why = 'leaves out tables that the kernel may route by, and plugins would not';
        report(['mirror', 'tables'], `${why}; leave it out or, ${remedy}`);
      }
    }
    const size = (value as ConfigFile).notifier?.['ring-size'];
    if (size !== undefined && !Number.isInteger(Math.log2(size)))
      report(['notifier', 'ring-size'], `${size} is not a power of two`);
    const keys = (value as ConfigFile).plugins?.['trusted-keys'] ?? [];
    for (const [index, key] of keys.entries()) {
      try {
        parsePublicKey(key);
      } catch (error) {
        const { message, remedy } = error as EkhoError;
        report(['plugins', 'trusted-keys', `${index}`], `${message}; ${remedy}`);
      }
    }
    const owners = new Map<string, string>();
    for (const [name, { device: wanted, enabled }] of Object.entries(plugin)) {
      if (wanted === undefined || enabled === false) continue;
      const owner = owners.get(wanted);
      const path = ['plugin', name, 'device'];
      if (!Object.hasOwn(device, wanted) && wanted !== DEFAULT_DEVICE) {
        report(path, `there is no [device.${wanted}]${didYouMean(wanted, Object.keys(device))}`);
      } else if (owner !== undefined) {
        report(path, `"${wanted}" is granted to plugin ${owner} already; a device has one plugin`);
      }
      owners.set(wanted, name);
    }
    const granted = Object.entries(plugin).filter(([, { device, enabled }]) => device && enabled !== false);
    if (granted.length > 1) {
      for (const [name, { ports }] of granted) {
        if (ports === undefined)
          report(['plugin', name], 'needs ports: there is more than one plugin with a device');
      }
    }
    for (const [path, text] of routingProblems(device)) report(path, text);
    const states = new Map<string, string>();
    for (const [name, { state }] of Object.entries(device)) {
      if (state === undefined) continue;
      const other = states.get(state);
      if (other !== undefined) report(['device', name, 'state'], `is the file of device ${other} already`);
      states.set(state, name);
    }
  }
  return [...problems.values()].sort((a, b) => a.line - b.line);
}

/** What is wrong with `[source]` and `[publish]` beyond their keys. */
function* remoteProblems({ source, publish, mirror }: ConfigFile): Generator<[string[], string]> {
  if (source?.type === 'remote') {
    for (const key of ['servers', 'bucket'] as const) {
      if (source[key] === undefined) yield [['source', key], 'is missing: a remote source needs it'];
    }
    for (const key of ['netns', 'tables', 'receive-buffer'] as const) {
      if (mirror?.[key] !== undefined)
        yield [['mirror', key], 'says nothing of a remote source; leave it out'];
    }
    if (publish !== undefined) yield [['publish'], 'a mirror from a remote source is published already'];
  } else if (source !== undefined) {
    for (const key of ['servers', 'bucket', 'ca', 'cert', 'key'] as const) {
      if (source[key] !== undefined) yield [['source', key], 'is for `type = "remote"` alone'];
    }
  }
  for (const [name, section] of Object.entries({ source, publish })) {
    if ((section?.cert === undefined) !== (section?.key === undefined)) {
      yield [[name, section?.cert === undefined ? 'key' : 'cert'], 'cert and key belong together'];
    }
  }
}

/** What is wrong with devices of kind `rtnetlink`, and with their keys on others. */
function* routingProblems(devices: NonNullable<ConfigFile['device']>): Generator<[string[], string]> {
  for (const [name, device] of Object.entries(devices)) {
    const path = (...keys: string[]) => ['device', name, ...keys];
    if (device.kind !== 'rtnetlink') {
      for (const key of ['netns', 'protocol', 'metric', 'links'] as const) {
        if (device[key] !== undefined) yield [path(key), 'is for `kind = "rtnetlink"` alone'];
      }
      continue;
    }
    for (const key of ['netns', 'links'] as const) {
      if (device[key] === undefined) yield [path(key), 'is missing: an rtnetlink device needs it'];
    }
    for (const key of ['mode', 'state', 'tables'] as const) {
      if (device[key] !== undefined) yield [path(key), 'says nothing of an rtnetlink device; leave it out'];
    }
    for (const [link, { table, via, gateway, gateway6 }] of Object.entries(device.links ?? {})) {
      const needs = table !== undefined && (via === undefined || (gateway ?? gateway6) === undefined);
      if (needs) yield [path('links', link), 'table needs via, and gateway or gateway6'];
      if (gateway !== undefined && isIP(gateway) !== 4)
        yield [path('links', link, 'gateway'), 'is no IPv4 address'];
      if (gateway6 !== undefined && isIP(gateway6) !== 6)
        yield [path('links', link, 'gateway6'), 'is no IPv6 address'];
    }
  }
}

/** TypeBox stops at eight errors by default; a person wants to see them all, within reason. */
function allErrors(value: unknown) {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: 256 });
  try {
    return Value.Errors(ConfigSchema, value);
  } finally {
    Settings.Set({ maxErrors });
  }
}

type Node = TSchema & {
  enum?: string[];
  uniqueItems?: boolean;
  properties?: Record<string, TSchema>;
  patternProperties?: Record<string, TSchema>;
  items?: TSchema;
  anyOf?: TSchema[];
  const?: unknown;
  type?: string;
  minimum?: number;
  maximum?: number;
  pattern?: string;
  /** What `pattern` lets through, in words. */
  words?: string;
  /** It may be a secret. */
  writeOnly?: boolean;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
};

/** Schema of the value at `path`; undefined: there may be none. */
function schemaAt(path: readonly string[]): TSchema | undefined {
  let schema: Node | undefined = ConfigSchema as Node;
  for (const part of path) {
    const node: Node = schema;
    schema = (node.properties && Object.hasOwn(node.properties, part) ? node.properties[part] : node.items) as
      | Node
      | undefined;
    if (schema === undefined && node.patternProperties) {
      const entry: [string, TSchema] | undefined = Object.entries(node.patternProperties).find(([pattern]) =>
        new RegExp(pattern).test(part),
      );
      schema = entry?.[1] as Node | undefined;
    }
    if (schema === undefined) return undefined;
  }
  return schema;
}

function unknownKey(path: readonly string[]): string {
  const name = path.at(-1)!;
  const parent = schemaAt(path.slice(0, -1)) as Node | undefined;
  if (parent?.patternProperties) {
    return 'is not a name: use 1-64 of a-z, 0-9, - and _, first a letter or digit';
  }
  const known = Object.keys(parent?.properties ?? {});
  return `unknown key${didYouMean(name, known) || `; known: ${known.join(', ')}`}`;
}

function didYouMean(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === undefined ? '' : `; did you mean ${near}?`;
}

const NUMBER = new Intl.NumberFormat('en-US');

/** Often with a password. */
const USER_IN_URL = /:\/\/[^/\s]*@/;

/** What a schema allows, in words: for errors and docs. */
export function expected(schema: TSchema | undefined): string {
  const node = (schema ?? {}) as Node;
  if (node.anyOf) return node.anyOf.map(expected).join(' or ');
  if (node.enum) return oneOf(node.enum);
  if (node.const !== undefined) return JSON.stringify(node.const);
  switch (node.type) {
    case 'integer':
      return `${NUMBER.format(node.minimum!)}–${NUMBER.format(node.maximum!)}`;
    case 'boolean':
      return 'true or false';
    case 'number':
      return node.minimum === undefined
        ? 'a number'
        : `${NUMBER.format(node.minimum)}–${NUMBER.format(node.maximum!)}`;
    case 'array':
      return [
        node.minItems ? `a list of at least ${node.minItems}` : 'a list',
        `each ${expected(node.items)}`,
        ...(node.uniqueItems ? ['none twice'] : []),
      ].join(', ');
    case 'object':
      return 'a table';
    case 'string':
      if (node.words) return node.words;
      return node.maxLength ? `text of 1–${node.maxLength} bytes` : 'text';
    default:
      return 'another value';
  }
}

function oneOf(words: readonly string[]): string {
  return words.length === 1 ? words[0]! : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], value);
}

function show(value: unknown): string {
  if (typeof value === 'string' && USER_IN_URL.test(value)) return 'one with a user in it';
  const text =
    JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? Number(item) : item)) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function showPath(path: readonly string[]): string {
  return path.map((part) => (/^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part))).join('.');
}

const DEFAULT_DEVICE = 'asic0';
const DEFAULT_PLUGIN = 'softnic';
const DEFAULT_PLUGINS: NonNullable<ConfigFile['plugin']> = { [DEFAULT_PLUGIN]: { device: DEFAULT_DEVICE } };

/** Kinds without which plugins forward less, but nothing that the kernel would treat otherwise. */
const OPTIONAL_KINDS: ReadonlySet<Kind> = new Set<Kind>([
  'fdb',
  'mdb',
  'vlan',
  'class',
  'action',
  'nft-flowtable',
  'flow',
]);

function complete(file: ConfigFile, path: string | undefined): Config {
  const base = path === undefined ? ROOT : dirname(resolve(path));
  const plugins = file.plugin ?? DEFAULT_PLUGINS;
  const devices = { ...file.device };
  for (const { device } of Object.values(plugins)) {
    if (device === DEFAULT_DEVICE) devices[DEFAULT_DEVICE] ??= { kind: 'asic' };
  }
  return {
    file: path,
    mirror: {
      netns: file.mirror?.netns,
      kinds: file.mirror?.kinds as Kind[] | undefined,
      tables: file.mirror?.tables,
      receiveBuffer: file.mirror?.['receive-buffer'] ?? DEFAULT_RECEIVE_BUFFER,
    },
    api: {
      socket: file.api?.socket === undefined ? defaultSocket() : resolve(base, file.api.socket),
      socketGroup: file.api?.['socket-group'],
      readGroup: file.api?.['read-group'],
      listen: parseListen(file.api?.listen ?? '127.0.0.1:8642'),
      tls: file.api?.tls && tlsOf(file.api.tls, base),
      tokens: Object.entries(file.api?.token ?? {}).map(([name, token]) => ({ name, ...token })),
    },
    plugins: {
      folder: resolve(base, file.plugins?.folder ?? join(ROOT, 'build/plugins')),
      cache: file.plugins?.cache === undefined ? undefined : resolve(base, file.plugins.cache),
      state: file.plugins?.state === undefined ? undefined : resolve(base, file.plugins.state),
      signatures: file.plugins?.signatures ?? 'prefer',
      trustedKeys: (file.plugins?.['trusted-keys'] ?? []).map(parsePublicKey),
    },
    plugin: Object.entries(plugins)
      .filter(([, { enabled }]) => enabled !== false)
      .map(([name, { device, ports, priority, isolation, ...other }]) => ({
        name,
        device,
        ports,
        priority: priority ?? 100,
        isolation,
        deviceCalls: other['device-calls'] ?? DEVICE_CALLS_DEFAULT,
        onDisable: other['on-disable'] ?? 'clear',
        onStop: other['on-stop'] ?? 'keep',
        settings: Object.entries(other.settings ?? {}).map(([name, value]) => ({
          name,
          value: String(value),
        })),
      })),
    device: Object.entries(devices).map(([name, { kind, mode, state, tables, ...other }]) => ({
      name,
      kind: kind as string,
      ...(kind === 'rtnetlink' && routingOf(other)),
      ...(mode !== undefined && { mode: mode as AttachMode }),
      ...(state !== undefined && { state: resolve(base, state) }),
      tables: (tables ?? {}) as Record<string, number>,
    })),
    planner: { netfilter: file.planner?.netfilter ?? 'trap', xfrm: file.planner?.xfrm ?? 'trap' },
    notifier: {
      enabled: file.notifier?.enabled ?? 'auto',
      ringSize: file.notifier?.['ring-size'] ?? RING_DEFAULT,
    },
    firmware: { enabled: file.firmware?.enabled ?? 'off', marks: file.firmware?.marks ?? 'off' },
    statistics: {
      interval_s: file.statistics?.interval ?? 10,
      state: file.statistics?.state === undefined ? undefined : resolve(base, file.statistics.state),
    },
    tracing: file.tracing && { endpoint: file.tracing.endpoint, sample: file.tracing.sample ?? 0.01 },
    log: {
      level: file.log?.level ?? 'info',
      levels: file.log?.levels ?? {},
      format: file.log?.format ?? 'auto',
    },
    offload: (file.offload ?? []).map(({ kind, version, fields }) => ({
      kind,
      version: version ?? 0,
      values: fields,
    })),
    offloads: {
      state: file.offloads?.state === undefined ? undefined : resolve(base, file.offloads.state),
      maps: (file.offloads?.maps ?? []).map((path) => resolve(base, path)),
    },
    source: file.source?.type === 'remote' ? natsOf(file.source, base) : undefined,
    publish: file.publish && {
      ...natsOf(file.publish, base),
      host: file.publish.host,
      lease: file.publish.lease ?? 10,
      storage: file.publish.storage ?? 'file',
      replicas: file.publish.replicas ?? 1,
      bytes: file.publish.bytes ?? 1_073_741_824,
    },
  };
}

/** What an `rtnetlink` device writes where. */
function routingOf({
  netns,
  protocol,
  metric,
  links,
}: Partial<NonNullable<ConfigFile['device']>[string]>): Pick<DeviceConfig, 'target' | 'routing'> {
  return {
    ...(netns !== undefined && { target: netns }),
    routing: {
      protocol: protocol ?? PROTOCOL_DEFAULT,
      metric: metric ?? METRIC_DEFAULT,
      links: Object.entries(links ?? {}).map(([name, { vrf, ...link }]) => ({
        name,
        vrf: vrf ?? 0,
        ...link,
      })),
    },
  };
}

function tlsOf(
  { cert, key, operators, ...other }: NonNullable<NonNullable<ConfigFile['api']>['tls']>,
  base: string,
): TlsConfig {
  const ca = other['client-ca'];
  return {
    cert: resolve(base, cert),
    key: resolve(base, key),
    clientCa: ca === undefined ? undefined : resolve(base, ca),
    operators: operators ?? [],
  };
}

/** Servers, bucket and certificates of a `[source]` or `[publish]`. */
function natsOf(
  { servers = [], bucket, ca, cert, key }: Partial<NonNullable<ConfigFile['publish']>>,
  base: string,
): NatsOptions {
  const file = (name: string | undefined) => (name === undefined ? undefined : resolve(base, name));
  return {
    servers,
    bucket: bucket ?? `ekho_${hostname().replaceAll(/[^A-Za-z0-9_-]/g, '_')}`.slice(0, 64),
    ca: file(ca),
    cert: file(cert),
    key: file(key),
  };
}
