/** Bodies of requests: how JSON is read, and that there is none where a path takes none. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { EkhoError } from '../errors.ts';
import { compileValidator } from './validate.ts';

export const NOTHING = Type.Object({}, { additionalProperties: false });

const checkNothing = compileValidator({ schema: NOTHING, httpPart: 'body', method: 'POST', url: '' });

/** A hook of paths without a body: an empty object says nothing either, and what is not known is refused there, too. */
export async function refuseBody({ body }: FastifyRequest): Promise<void> {
  if (body === undefined || body === '') return;
  const { error } = checkNothing(body) as { error?: Error };
  if (error !== undefined) throw error;
}

/** The library refuses members that would become an object's prototype in the words that it has for what is no JSON: these are others. */
export function parseJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, text, done) => {
    parse(request, text, (error, value) => done(error !== null && isJson(text) ? poisoned() : error, value));
  });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function poisoned(): EkhoError {
  return new EkhoError('E_USAGE', 'the body has a "__proto__", or a "constructor" with a "prototype"', {
    remedy: 'Leave it out.',
  });
}
