/** `ekho show` and `ekho monitor`: objects and changes as they stream in. */
import { kindOf } from '../api/kinds.ts';
import type { ChangeLine, Status } from '../api/schemas.ts';
import { EkhoError } from '../errors.ts';
import type { Kind } from '../mirror/types.ts';
import { filterQuery, type JsonOption } from './ask.ts';
import type { Client } from './client.ts';
import { count, paint, plain, print } from './output.ts';

/** Throws E_UNAVAILABLE when there are none because the host cannot know of any. */
export async function show(
  client: Client,
  word: string,
  words: readonly string[],
  { json }: JsonOption,
): Promise<void> {
  const kind = kindOf(word);
  const path = `/api/v1/objects/${kind}${filterQuery(words)}`;
  const response = await client.open(path, json ? 'application/json' : 'text/plain');
  response.setEncoding('utf8');
  let isFirst = true;
  for await (const chunk of response) {
    if (isFirst && isEmpty(chunk as string)) {
      const missing = await whyMissing(client, kind);
      if (missing !== undefined) {
        if (json) await print(chunk as string);
        throw missing;
      }
    }
    let text = chunk as string;
    if (!json) text = plainLines(text);
    if (!json && isFirst) text = text.replace(/^.*/, (head) => paint('bold', head));
    isFirst = false;
    if (!(await print(text))) break;
  }
}

/** An answer without objects, which comes in one piece: an empty array, or a table's head. */
function isEmpty(text: string): boolean {
  return /^\[\s*\]\n$/.test(text) || /^[^[\n]*\n$/.test(text);
}

async function whyMissing(client: Client, kind: Kind): Promise<EkhoError | undefined> {
  const { kinds } = await client.get<Status>('/api/v1/status');
  const found = kinds.find((status) => status.kind === kind);
  if (found === undefined) {
    return new EkhoError('E_UNAVAILABLE', `${kind} is not available: the configuration leaves it out`, {
      remedy: 'Add it to `kinds` of `[mirror]`.',
    });
  }
  if (found.state !== 'unavailable') return undefined;
  return new EkhoError('E_UNAVAILABLE', `${kind} is not available: ${plain(found.reason ?? found.state)}`, {
    ...(found.remedy !== undefined && { remedy: found.remedy }),
  });
}

function plainLines(text: string): string {
  return text.split('\n').map(plain).join('\n');
}

export interface MonitorOptions extends JsonOption {
  readonly kind?: readonly string[];
  readonly source: 'netlink' | 'notifier' | 'all';
}

export async function monitor(client: Client, { json, kind = [], source }: MonitorOptions): Promise<void> {
  const query = [`source=${source}`, ...kind.map((word) => `kind=${kindOf(word)}`)].join('&');
  for await (const line of client.lines<ChangeLine>(`/api/v1/changes?${query}`)) {
    const text = json ? JSON.stringify(line) : lineText(line, source === 'all');
    if (!(await print(`${text}\n`))) return;
  }
}

/** `isMixed`: it says which of the sources it comes from. */
function lineText(line: ChangeLine, isMixed: boolean): string {
  if ('lost' in line) return `(${count(line.lost as number)} changes lost: this reader is too slow)`;
  const from = isMixed ? `${line.source} `.padEnd('notifier '.length) : '';
  if ('overrun' in line) return `${from}(${count(line.overrun as number)} events lost: the ring was full)`;
  if ('event' in line) return `${from}${line.event} ${plain(line.text as string)}`;
  return `${from}${line.operation === 'delete' ? 'Deleted ' : ''}${line.kind} ${plain(line.text)}`;
}
