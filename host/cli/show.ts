/** `ekho show` and `ekho monitor`: objects and changes as they stream in. */
import { kindOf } from '../api/kinds.ts';
import type { ChangeLine } from '../api/schemas.ts';
import { filterQuery, type JsonOption } from './ask.ts';
import type { Client } from './client.ts';
import { count, paint, plain, print } from './output.ts';

export async function show(
  client: Client,
  kind: string,
  words: readonly string[],
  { json }: JsonOption,
): Promise<void> {
  const path = `/api/v1/objects/${kindOf(kind)}${filterQuery(words)}`;
  const response = await client.open(path, json ? 'application/json' : 'text/plain');
  response.setEncoding('utf8');
  let isFirst = true;
  for await (const chunk of response) {
    let text = chunk as string;
    if (!json) text = plainLines(text);
    if (!json && isFirst) text = text.replace(/^.*/, (head) => paint('bold', head));
    isFirst = false;
    if (!(await print(text))) break;
  }
}

function plainLines(text: string): string {
  return text.split('\n').map(plain).join('\n');
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
        : `${line.operation === 'delete' ? 'Deleted ' : ''}${line.kind} ${plain(line.text)}`;
    if (!(await print(`${text}\n`))) return;
  }
}
