/** The commands that ask one question: status, explain, lookup, stats, verify, wait. */
import { isIP } from 'node:net';
import { isKindWord, kindOf } from '../api/kinds.ts';
import type {
  Explanation,
  LookupAnswer,
  Stats,
  Status,
  TokenAnswer,
  VerifyAnswer,
  WaitAnswer,
} from '../api/schemas.ts';
import { EkhoError } from '../errors.ts';
import { rungsText } from '../kernel/rungs-text.ts';
import type { Client } from './client.ts';
import { bytes, count, paint, paintState, plain, print, table } from './output.ts';

export interface JsonOption {
  readonly json?: boolean;
}

export async function printJson(value: unknown): Promise<void> {
  await print(`${JSON.stringify(value, null, 2)}\n`);
}

export async function status(client: Client, { json }: JsonOption): Promise<void> {
  const answer = await client.get<Status>('/api/v1/status');
  if (json) return printJson(answer);
  const { kinds, plugins, offload, devices } = answer;
  const head = [
    `ekho ${answer.version}, process ${answer.pid}, up ${duration(answer.uptime_s)}, ${bytes(answer.memory_bytes)}`,
    `${sourceText(answer)}, revision ${count(answer.revision)}, ${answer.synced ? 'in sync' : 'synchronising'}`,
    ...publishLines(answer),
    ...notifierLines(answer),
    ...firmwareLines(answer),
    ...hookLines(answer),
    ...detachedLines(answer),
    ...shortageLines(answer),
    `socket ${answer.socket}${answer.url ? `, ${answer.url}` : ''}`,
  ];
  await print(`${head.join('\n')}\n\n`);
  await print(
    table(
      ['KIND', 'OBJECTS', 'STATE'],
      kinds.map(({ kind, count: objects, state, reason }) => [
        kind,
        count(objects),
        paintState(state) + (reason ? `: ${plain(reason)}` : ''),
      ]),
    ),
  );
  if (answer.resync) {
    const { cause, kinds: again, started, duration_ms } = answer.resync;
    const what = again.length === 1 ? again[0] : `${again.length} kinds`;
    const took = duration_ms === undefined ? 'still running' : `took ${count(duration_ms)} ms`;
    await print(`last read again: ${what} at ${started} (${plain(cause)}), ${took}\n`);
  }
  const remedies = new Set(kinds.map(({ remedy }) => remedy).filter((remedy) => remedy !== undefined));
  for (const remedy of remedies) await print(`${remedy}\n`);
  if (plugins.length > 0) await print(`\n${pluginTable(plugins)}`);
  if (offload.length > 0) {
    await print('\n');
    await print(
      table(
        ['PLUGIN', 'KIND', 'OFFLOADED', 'TRAPPED', 'REFUSED', 'FAILED', 'PENDING'],
        offload.map((row) => [
          row.plugin,
          row.kind,
          count(row.offloaded),
          count(row.trapped),
          count(row.refused),
          count(row.failed),
          count(row.pending),
        ]),
      ),
    );
  }
  if (devices.length > 0) await print(`\n${deviceTable(devices)}`);
}

function sourceText({ netns, netns_deleted, source }: Status): string {
  if (source === undefined) {
    return `namespace ${netns ?? 'of the host'}${netns_deleted ? ' (deleted: start the host again)' : ''}`;
  }
  const { publisher } = source;
  const who = publisher === undefined ? '' : ` of ${plain(publisher.host)} (${plain(publisher.kernel)})`;
  return `mirror${who} from bucket ${source.bucket}`;
}

/** What ails the source, and how publishing fares. */
function publishLines({ source, publish }: Status): string[] {
  const lines: string[] = [];
  const trouble = (what: { reason?: string; remedy?: string }) =>
    what.reason === undefined ? '' : `: ${plain(what.reason)}${what.remedy ? `. ${plain(what.remedy)}` : ''}`;
  if (source?.reason !== undefined) lines.push(`source ${source.state}${trouble(source)}`);
  if (publish !== undefined) {
    const { bucket, state, objects, pending } = publish;
    lines.push(
      `publishing to bucket ${bucket}: ${paintState(state)}, ${count(objects)} objects, ${count(pending)} to write${trouble(publish)}`,
    );
  }
  return lines;
}

export function pluginTable(plugins: Status['plugins']): string {
  return table(
    ['PLUGIN', 'STATE', 'DEVICE', 'VERSION', 'RESTARTS', 'PORTS'],
    plugins.map(({ name, state, reason, device, version, vendor, restarts, ports }) => [
      plain(name),
      paintState(state) + (reason ? `: ${plain(reason)}` : ''),
      device ?? '-',
      version === undefined ? '-' : plain(`${vendor} ${version}`),
      count(restarts),
      plain(ports.length > 8 ? `${ports.slice(0, 8).join(' ')} … (${ports.length})` : ports.join(' ') || '-'),
    ]),
  );
}

export function deviceTable(devices: Status['devices']): string {
  return table(
    ['DEVICE', 'TABLE', 'USED', 'CAPACITY', 'FILL'],
    devices.flatMap(({ name, tables }) =>
      tables.map((row) => [
        name,
        row.name,
        count(row.used),
        count(row.capacity),
        `${row.capacity === 0 ? 0 : Math.ceil((row.used / row.capacity) * 100)}%`,
      ]),
    ),
  );
}

/** How ports are attached, of devices that tell. */
export function portTable(devices: Status['devices']): string {
  return table(
    ['DEVICE', 'PORT', 'MODE', 'WHY'],
    devices.flatMap(({ name, ports = [] }) =>
      ports.map(({ link, mode, why }) => [name, plain(link), mode, why ?? '']),
    ),
  );
}

/** Only where somebody takes the data path off ports. */
function detachedLines({ devices }: Status): string[] {
  return devices.flatMap(({ name, ports = [] }) =>
    ports.flatMap(({ link, mode, detached = 0 }) =>
      detached === 0
        ? []
        : [
            `device ${name}: somebody took the data path off ${plain(link)} ${detached === 1 ? 'once' : `${count(detached)} times`}; ${mode === 'none' ? 'the kernel has the port' : 'it was put back'} (\`bpftool link\`)`,
          ],
    ),
  );
}

function shortageLines({ descriptors_short_s }: Status): string[] {
  if (descriptors_short_s === 0) return [];
  return [`without file descriptors for ${descriptors_short_s} s in all: raise the limit (LimitNOFILE=)`];
}

/** Only where there is something to tell. */
function hookLines({ hooks }: Status): string[] {
  const { present = [], hidden = [] } = hooks ?? {};
  return [
    ...(present.length > 0 ? [`not mirrored, but taken into account: ${present.map(plain).join('; ')}`] : []),
    ...(hidden.length > 0 ? [`not known for want of rights: ${hidden.map(plain).join('; ')}`] : []),
  ];
}

function firmwareLines({ firmware }: Status): string[] {
  if (firmware === undefined) return [];
  const { state, reason, rules, amiss } = firmware;
  if (state !== 'on') return [`firmware: none: ${plain(reason ?? state)}`];
  const held = `firmware: ${count(rules)} rules that the kernel shows as in hardware`;
  return [amiss === 0 ? held : `${held}, ${count(amiss)} of them are not (\`ekho explain filter\`)`];
}

function notifierLines({ notifier }: Status): string[] {
  if (notifier === undefined) return [];
  const { state, reason, hooks, received, lost } = notifier;
  if (state !== 'on') return [`notifiers: none, netlink alone: ${plain(reason ?? state)}`];
  return [`notifiers: ${rungsText(hooks)}; ${count(received)} events, ${count(lost)} lost`];
}

function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** The words of a filter as a query. */
export function filterQuery(words: readonly string[]): string {
  return words.length === 0 ? '' : `?${words.map((word) => `filter=${encodeURIComponent(word)}`).join('&')}`;
}

export async function configShow(client: Client): Promise<void> {
  await printJson(await client.get('/api/v1/config'));
}

export async function explain(client: Client, words: readonly string[], { json }: JsonOption): Promise<void> {
  const [kind, filter] = objectOf(words);
  const answers = await client.get<Explanation[]>(`/api/v1/objects/${kind}/explain${filterQuery(filter)}`);
  if (answers.length === 0) {
    throw new EkhoError('E_UNKNOWN_OBJECT', `there is no ${kind} ${filter.join(' ')}`, {
      remedy: `\`ekho show ${kind}\` lists what there is.`,
    });
  }
  if (json) return printJson(answers);
  for (const { kind, object, lines } of answers) {
    await print(`${paint('bold', plain(`${kind} ${object}`))}\n`);
    for (const line of lines) await print(`  ${plain(line)}\n`);
  }
}

/** `route 10.0.0.0/8` as it stands; an address (the routes that match it), a prefix, a MAC or a link alone tells its kind. */
function objectOf(words: readonly string[]): [kind: string, filter: string[]] {
  const [first = '', ...rest] = words;
  if (isKindWord(first)) return [kindOf(first), rest];
  if (isIP(first) !== 0) return ['route', ['match', ...words]];
  if (first === 'default' || isIP(first.split('/')[0]!) !== 0) return ['route', [...words]];
  if (/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(first)) return ['fdb', [...words]];
  return ['link', [...words]];
}

export interface LookupOptions extends JsonOption {
  readonly from?: string;
  readonly in?: string;
  readonly vrf?: string;
  readonly ipproto?: number;
  readonly sport?: number;
  readonly dport?: number;
}

export async function lookup(client: Client, destination: string, options: LookupOptions): Promise<void> {
  const query = new URLSearchParams({ destination });
  if (options.from !== undefined) query.set('source', options.from);
  if (options.in !== undefined) query.set('in', options.in);
  if (options.vrf !== undefined) query.set('vrf', options.vrf);
  for (const name of ['ipproto', 'sport', 'dport'] as const) {
    if (options[name] !== undefined) query.set(name, String(options[name]));
  }
  const answers = await client.get<LookupAnswer[]>(`/api/v1/lookup?${query}`);
  if (options.json) return printJson(answers);
  for (const { plugin, device, action, by, ways, entries } of answers) {
    const name = answers.length > 1 ? `${plugin} (${device}): ` : '';
    if (action === 'forward') {
      for (const { link, gateway, mac, vlan } of ways) {
        const via = gateway === undefined ? '' : ` via ${gateway}`;
        await print(`${name}forward dev ${plain(link)}${via} lladdr ${mac}${vlan ? ` vlan ${vlan}` : ''}\n`);
      }
    } else {
      await print(`${name}${action}\n`);
    }
    await print(`  decided by: ${plain(by)}\n`);
    for (const entry of entries) await print(`  ${plain(entry)}\n`);
  }
}

export async function stats(client: Client, { json }: JsonOption): Promise<void> {
  const answer = await client.get<Stats>('/api/v1/stats');
  if (json) return printJson(answer);
  const rows = Object.entries(answer.counters).flatMap(([group, counters]) =>
    Object.entries(counters).map(([name, value]) => [group, name, count(value)]),
  );
  await print(table(['OF', 'COUNTER', 'VALUE'], rows));
  if (answer.entries.length === 0) return;
  const entries = answer.entries.map((entry) => [
    entry.plugin,
    plain(entry.entry),
    count(entry.packets),
    count(entry.bytes),
    count(Math.round(entry.packets_per_s)),
    count(Math.round(entry.bytes_per_s)),
    entry.kernel === undefined ? '' : count(entry.kernel.packets),
    entry.kernel === undefined ? '' : count(entry.kernel.bytes),
  ]);
  const head = ['PLUGIN', 'ENTRY', 'PACKETS', 'BYTES', 'PACKETS/S', 'BYTES/S', 'KERNEL PACKETS', 'BYTES'];
  await print(`\n${table(head, entries)}`);
}

export async function verify(client: Client, { json }: JsonOption): Promise<void> {
  const answer = await client.post<VerifyAnswer>('/api/v1/verify');
  if (!answer.equal) process.exitCode = 1;
  if (json) return printJson(answer);
  for (const { side, text } of answer.differences) await print(`${side}: ${plain(text)}\n`);
  const source = answer.bucket === undefined ? 'the kernel' : `bucket ${answer.bucket}`;
  const compared = `${count(answer.objects)} objects with ${source}, ${count(answer.entries)} entries with hardware`;
  await print(`${paintState(answer.equal ? 'equal' : 'different')}: ${compared}\n`);
}

export async function wait(client: Client, { timeout }: { timeout: number }): Promise<void> {
  const { revision, failing } = await client.get<WaitAnswer>(`/api/v1/wait?timeout=${timeout}`);
  if (failing > 0) process.exitCode = 1;
  const entries = failing === 1 ? '1 entry' : `${count(failing)} entries`;
  const more = failing === 0 ? '' : `; ${entries} failed in hardware, to be tried again: see \`ekho status\``;
  await print(`settled at revision ${count(revision)}${more}\n`);
}

/** An address with a token behind `#`, which browsers keep to themselves. Throws E_UNAVAILABLE where there is no dashboard. */
export async function dashboard(
  client: Client,
  { json, read }: JsonOption & { read?: boolean },
): Promise<void> {
  const { url } = await client.get<Status>('/api/v1/status');
  if (url === undefined) {
    throw new EkhoError('E_UNAVAILABLE', 'the host serves no dashboard', {
      remedy: 'Start it with --listen 127.0.0.1:PORT, or set `listen` in the configuration.',
    });
  }
  const made = await client.post<TokenAnswer>('/api/v1/tokens', { role: read ? 'read' : 'operate' });
  const address = `${url}/#token=${made.token}`;
  if (json) return printJson({ url: address, ...made });
  // What a browser asks for before it gets even the page, where other machines can reach the host.
  const asked = url.startsWith('https:') ? `Asked for name and password: any name, and ${made.token}\n` : '';
  await print(`${address}\n${asked}`);
}
