/** `ekho show` and `ekho monitor`: objects and changes as they stream in. */
import { kindOf } from '../api/kinds.ts';
import type { ChangeLine } from '../api/schemas.ts';
import { filterQuery, type JsonOption } from './ask.ts';
import type { Client } from './client.ts';
import { count, plain, print } from './output.ts';

export async function show(
  client: Client,
  kind: string,
  words: readonly string[],
  { json }: JsonOption,
): Promise<void> {
  const path = `/api/v1/objects/${kindOf(kind)}${filterQuery(words)}`;
  if (json) {
    const response = await client.open(path, 'application/json');
    response.setEncoding('utf8');
    for await (const text of response) {
      if (!(await print(text as string))) break;
    }
    return;
  }
  for await (const line of client.lines<object>(path)) {
    if (!(await print(`${plain(JSON.stringify(line))}\n`))) break;
  }
}

export interface MonitorOptions extends JsonOption {
  readonly kind?: readonly string[];
}

export async function monitor(client: Client, { json, kind = [] }: MonitorOptions): Promise<void> {
  const query = kind.map((word) => `kind=${kindOf(word)}`).join('&');
  for await (const line of client.lines<ChangeLine>(`/api/v1/changes${query && `?${query}`}`)) {
    const text = json
      ? JSON.stringify(line)
      : 'lost' in line
        ? `(${count(line.lost)} changes lost: this reader is too slow)`
        : `${line.operation === 'delete' ? 'Deleted ' : ''}${line.kind} ${plain(JSON.stringify(line.object))}`;
    if (!(await print(`${text}\n`))) return;
  }
}
