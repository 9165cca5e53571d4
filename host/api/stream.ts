/** Long answers in bounded memory: NDJSON, the same values as one JSON array, or lines of text. */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Json, stringify } from '../iproute2/json.ts';
import { Slice } from '../slices.ts';

/** Characters gathered before they are written. */
const CHUNK_CHARS = 64 * 1024;

export const NDJSON_TYPE = 'application/x-ndjson';
export const TEXT_TYPE = 'text/plain; charset=utf-8';

interface Framing {
  readonly before: string;
  readonly between: string;
  readonly after: string;
}

const ARRAY: Framing = { before: '[', between: ',\n', after: ']\n' };
const LINES: Framing = { before: '', between: '\n', after: '\n' };

/** The first of the types that the request accepts, or the last of them. */
export function accepted<Type extends string>(
  request: FastifyRequest,
  ...types: readonly [...Type[], Type]
): Type {
  const wanted = request.headers.accept ?? '';
  return types.find((type) => wanted.includes(type)) ?? types.at(-1)!;
}

/** Sends JSON values as they are asked for, as an array or, where the request accepts it, one a line. */
export function sendJson(request: FastifyRequest, reply: FastifyReply, rows: Iterable<Json>): FastifyReply {
  const type = accepted(request, NDJSON_TYPE, 'application/json');
  return send(reply.type(type), texts(rows), type === NDJSON_TYPE ? LINES : ARRAY);
}

export function sendText(reply: FastifyReply, lines: Iterable<string>): FastifyReply {
  return send(reply.type(TEXT_TYPE), lines, LINES);
}

function* texts(rows: Iterable<Json>): Generator<string> {
  for (const row of rows) yield stringify(row);
}

/** Goes on in slices of a few milliseconds, when the reader has taken what there was. */
function send(reply: FastifyReply, parts: Iterable<string>, framing: Framing): FastifyReply {
  return reply.send(Readable.from(chunks(parts, framing), { objectMode: false, highWaterMark: CHUNK_CHARS }));
}

async function* chunks(parts: Iterable<string>, { before, between, after }: Framing): AsyncGenerator<string> {
  let text = before;
  let isFirst = true;
  const slice = new Slice();
  for (const part of parts) {
    text += isFirst ? part : between + part;
    isFirst = false;
    if (text.length >= CHUNK_CHARS) {
      yield text;
      text = '';
    }
    if (slice.isOver) await slice.next();
  }
  text += isFirst && before === '' ? '' : after;
  if (text !== '') yield text;
}
