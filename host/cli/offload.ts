/** `ekho offload`: objects of kinds that plugins declare. */
import type { OffloadKindStatus, OffloadObject } from '../api/schemas.ts';
import { EkhoError } from '../errors.ts';
import { nearest } from '../suggest.ts';
import type { JsonOption } from './ask.ts';
import type { Client } from './client.ts';
import { count, paintState, plain, print, table } from './output.ts';

export interface AddOptions extends JsonOption {
  readonly replace?: boolean;
}

async function printJson(value: unknown): Promise<void> {
  await print(`${JSON.stringify(value, null, 2)}\n`);
}

/** Throws E_UNKNOWN_OBJECT naming the kinds there are. */
async function kindNamed(client: Client, name: string): Promise<OffloadKindStatus> {
  const kinds = await client.get<OffloadKindStatus[]>('/api/v1/offloads/kinds');
  const found = kinds.find((kind) => kind.name === name);
  if (found !== undefined) return found;
  const names = kinds.map((kind) => kind.name);
  const near = nearest(name, names);
  throw new EkhoError(
    'E_UNKNOWN_OBJECT',
    `no plugin declares the kind ${name}${near ? `; did you mean ${near}?` : ''}`,
    {
      remedy:
        names.length === 0
          ? 'No plugin that runs declares any: `ekho plugin list`.'
          : `Kinds: ${names.join(', ')}.`,
    },
  );
}

/** `FIELD=VALUE`, and values of keys in their order. Throws E_USAGE. */
function fieldsOf({ name, fields }: OffloadKindStatus, words: readonly string[]): Record<string, string> {
  const given: Record<string, string> = {};
  const keys = fields.filter(({ key }) => key).map((field) => field.name);
  for (const word of words) {
    const equals = word.indexOf('=');
    const field = equals > 0 ? word.slice(0, equals) : keys.find((key) => given[key] === undefined);
    if (field === undefined) {
      throw new EkhoError(
        'E_USAGE',
        `"${word}" is one word too many: ${name} is named by ${keys.join(' ')}`,
        {
          remedy: 'Give other fields as FIELD=VALUE.',
        },
      );
    }
    if (Object.hasOwn(given, field)) throw new EkhoError('E_USAGE', `${field} is given twice`);
    given[field] = equals > 0 ? word.slice(equals + 1) : word;
  }
  return given;
}

/** As part of a path: the values of the keys. */
function pathOf(kind: OffloadKindStatus, given: Readonly<Record<string, string>>): string {
  const name = kind.fields
    .filter(({ key }) => key)
    .map((field) => given[field.name] ?? field.default ?? '')
    .join(' ');
  return `/api/v1/offloads/${encodeURIComponent(kind.name)}/${encodeURIComponent(name)}`;
}

export async function offloadAdd(
  client: Client,
  name: string,
  words: readonly string[],
  { json, replace }: AddOptions,
): Promise<void> {
  const kind = await kindNamed(client, name);
  const fields = fieldsOf(kind, words);
  const isNamed = kind.fields.every(
    ({ key, name, default: otherwise }) => !key || (fields[name] ?? otherwise),
  );
  const made =
    replace === true && isNamed
      ? await client.put<OffloadObject>(pathOf(kind, fields), { fields })
      : await client.post<OffloadObject>('/api/v1/offloads', { kind: name, fields });
  if (json) await printJson(made);
}

export async function offloadDelete(client: Client, name: string, words: readonly string[]): Promise<void> {
  // One whose kind nobody declares any more goes by its name as it is shown.
  const kinds = await client.get<OffloadKindStatus[]>('/api/v1/offloads/kinds');
  const kind = kinds.find((kind) => kind.name === name);
  const path =
    kind === undefined
      ? `/api/v1/offloads/${encodeURIComponent(name)}/${encodeURIComponent(words.join(' '))}`
      : pathOf(kind, fieldsOf(kind, words));
  await client.delete(path);
}

export async function offloadShow(
  client: Client,
  name: string | undefined,
  { json }: JsonOption,
): Promise<void> {
  // Counters are read for it.
  await client.get('/api/v1/stats');
  const query = name === undefined ? '' : `?kind=${encodeURIComponent(name)}`;
  const objects = await client.get<OffloadObject[]>(`/api/v1/offloads${query}`);
  if (json) return printJson(objects);
  if (objects.length === 0) {
    await print('no offloads\n');
    return;
  }
  const rows = objects.map(({ kind, name, fields, source, offload, counters }) => [
    kind,
    plain(name),
    plain(
      Object.entries(fields)
        .map(([field, value]) => `${field}=${value}`)
        .join(' '),
    ),
    source,
    offload.map(({ state, reason }) => paintState(state) + (reason ? ` (${reason})` : '')).join(', '),
    counters.map(({ packets }) => count(packets)).join(', ') || '-',
  ]);
  await print(table(['KIND', 'NAME', 'FIELDS', 'SOURCE', 'OFFLOAD', 'PACKETS'], rows));
}

export async function offloadKinds(
  client: Client,
  name: string | undefined,
  { json }: JsonOption,
): Promise<void> {
  if (name !== undefined) {
    const kind = await kindNamed(client, name);
    if (json) return printJson(kind);
    const { version, plugin, documentation, counts, capacity, objects, fields } = kind;
    await print(`${name}, version ${version} of plugin ${plain(plugin)}: ${plain(documentation)}\n`);
    await print(
      `${count(objects)} of ${count(capacity)}${counts === '' ? '' : `; packets are those ${plain(counts)}`}\n\n`,
    );
    const rows = fields.map((field) => [
      field.name,
      field.key ? 'key' : field.required ? 'yes' : '-',
      plain(field.default ?? '-'),
      plain(field.allowed),
      plain(field.documentation),
    ]);
    await print(table(['FIELD', 'NEEDED', 'DEFAULT', 'IS', 'WHAT'], rows));
    return;
  }
  const kinds = await client.get<OffloadKindStatus[]>('/api/v1/offloads/kinds');
  if (json) return printJson(kinds);
  if (kinds.length === 0) {
    await print('no plugin that runs declares any\n');
    return;
  }
  const rows = kinds.map(({ name, version, plugin, objects, capacity, documentation }) => [
    name,
    String(version),
    plain(plugin),
    count(objects),
    count(capacity),
    plain(documentation),
  ]);
  await print(table(['KIND', 'VERSION', 'PLUGIN', 'OBJECTS', 'CAPACITY', 'WHAT'], rows));
}
