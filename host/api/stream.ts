/** Long answers in bounded memory: NDJSON, or the same values as one JSON array. */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** Characters gathered before they are written. */
const CHUNK_CHARS = 64 * 1024;
/** Longest time the event loop is held for one stream, in milliseconds. */
const SLICE_MS = 5;

export const NDJSON_TYPE = 'application/x-ndjson';

export function wantsLines(request: FastifyRequest): boolean {
  return (request.headers.accept ?? '').includes(NDJSON_TYPE);
}

/** Sends JSON texts as they are asked for: in slices of a few milliseconds, when the reader has taken what there was. */
export function sendRows(request: FastifyRequest, reply: FastifyReply, rows: Iterable<string>): FastifyReply {
  const lines = wantsLines(request);
  reply.type(lines ? NDJSON_TYPE : 'application/json');
  return reply.send(Readable.from(chunks(rows, lines), { objectMode: false, highWaterMark: CHUNK_CHARS }));
}

async function* chunks(rows: Iterable<string>, lines: boolean): AsyncGenerator<string> {
  let text = lines ? '' : '[';
  let separator = '';
  let sliceEnd = performance.now() + SLICE_MS;
  for (const row of rows) {
    text += separator + row;
    separator = lines ? '\n' : ',\n';
    if (text.length >= CHUNK_CHARS) {
      yield text;
      text = '';
    }
    if (performance.now() >= sliceEnd) {
      await new Promise(setImmediate);
      sliceEnd = performance.now() + SLICE_MS;
    }
  }
  yield text + (lines ? (separator === '' ? '' : '\n') : ']\n');
}
