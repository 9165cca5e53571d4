/**
 * The API against its own description: requests drawn from the OpenAPI document, most of them a little wrong. Each is answered, in time, by
 * what the description says or by a problem document; none is a fault of the host (5xx), and the host is as it was.
 *
 * EKHO_API_REQUESTS raises the number of requests, EKHO_SEED repeats them.
 */
import { type IncomingMessage, request } from 'node:http';
import fc from 'fast-check';
import { Errors } from 'typebox/schema';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EVENTS_TYPE } from '../../host/api/events.ts';
import { NDJSON_TYPE } from '../../host/api/stream.ts';
import { Client } from '../../host/cli/client.ts';
import { ERROR_CODES } from '../../host/errors.ts';
import { KINDS } from '../../host/mirror/types.ts';
import { SEED } from '../support/seed.ts';
import { Bench } from './cli-support.ts';

const REQUESTS = Number(process.env.EKHO_API_REQUESTS ?? 1_500);
/** For an answer to begin and, where it has an end, to end, in milliseconds. */
const ANSWER_MS = 60_000;

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly maxLength?: number;
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly schema: Schema;
}

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
}

interface Question {
  /** As the description has it. */
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly answer: Schema | undefined;
}

let bench: Bench;
let client: Client;
beforeAll(async () => {
  bench = new Bench();
  bench.router();
  bench.batch(Array.from({ length: 40 }, (_, n) => `route add 203.0.113.${4 * n}/30 via 198.51.100.2`));
  await bench.start('--listen', '127.0.0.1:0');
  client = new Client(bench.socket);
});
afterAll(() => bench?.end());

/** Names that mean something to the host, and text that means nothing to anybody. */
const words = fc.oneof(
  fc.constantFrom(
    ...KINDS,
    'softnic',
    'asic0',
    'p0',
    'p1',
    '203.0.113.0/24',
    '198.51.100.2',
    'default',
    'main',
  ),
  fc.constantFrom(
    'dev',
    'via',
    'table',
    'root',
    'match',
    'exact',
    'proto',
    'type',
    'scope',
    'up',
    '-dst',
    'dst,dev',
    'id',
  ),
  fc.constantFrom(
    '',
    '0',
    '-1',
    '4294967296',
    '1e9',
    'NaN',
    'null',
    '../..',
    '%',
    '\u0000',
    '__proto__',
    'constructor',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
);

/** Values that a schema allows, and those just beyond it. */
function valuesOf(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.enum)
    return fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...schema.enum) },
      { weight: 1, arbitrary: words },
    );
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(valuesOf));
  const { minimum = schema.exclusiveMinimum ?? 0, maximum = 1_000 } = schema;
  switch (schema.type) {
    case 'integer':
      return fc.oneof(
        fc.integer({ min: Math.max(minimum - 1, -(2 ** 31)), max: Math.min(maximum + 1, 2 ** 31) }),
        fc.constantFrom(minimum, maximum, minimum - 1, maximum + 1, 1.5, 2 ** 53),
        words,
      );
    case 'number':
      // Limits of time are waited for.
      return fc.oneof(fc.double({ min: 0, max: 0.05, noNaN: true }), fc.constantFrom(0, -1, 1e-300), words);
    case 'boolean':
      return fc.oneof(fc.boolean(), words);
    case 'array':
      return fc.array(valuesOf(schema.items ?? {}), { maxLength: 4 });
    case 'object':
      return fc
        .record(
          Object.fromEntries(
            Object.entries(schema.properties ?? {}).map(([name, member]) => [name, valuesOf(member)]),
          ),
          { requiredKeys: [] },
        )
        .chain((value) =>
          fc.oneof(fc.constant<unknown>(value), fc.constant<unknown>({ ...value, extra: 1 }), fc.jsonValue()),
        );
    default:
      return fc.oneof(words, fc.string({ maxLength: (schema.maxLength ?? 300) + 20 }));
  }
}

function questionOf(path: string, method: string, operation: Operation): fc.Arbitrary<Question> {
  const { parameters = [], requestBody, responses } = operation;
  const given = fc.tuple(
    ...parameters.map(({ schema, in: where }) =>
      fc.option(valuesOf(schema), { freq: where === 'path' ? 1_000 : 2, nil: undefined }),
    ),
  );
  const schema = requestBody?.content['application/json']?.schema;
  const body = fc.oneof(
    ...(schema === undefined
      ? [fc.constant(undefined)]
      : [valuesOf(schema).map((value) => JSON.stringify(value))]),
    fc.constantFrom('', '{', '[]', 'null', '"x"', `${'['.repeat(20_000)}`, `{"a":"${'x'.repeat(70_000)}"}`),
  );
  const headers = fc.record(
    {
      accept: fc.constantFrom(
        'application/json',
        'text/plain',
        'application/x-ndjson',
        'text/event-stream',
        '*/*',
        ';;',
      ),
      'content-type': fc.constantFrom('application/json', 'text/plain', 'multipart/form-data', 'x'),
      'last-event-id': fc.constantFrom('0', '1', 'x.1', '99999999999999999999', '-1'),
    },
    { requiredKeys: [] },
  );
  return fc.tuple(given, body, headers).map(([values, body, headers]) => {
    let filled = path;
    const query = new URLSearchParams();
    for (const [index, { name, in: where }] of parameters.entries()) {
      for (const value of [values[index]].flat().filter((value) => value !== undefined)) {
        const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
        if (where === 'path') filled = filled.replace(`{${name}}`, encodeURIComponent(text.toWellFormed()));
        else query.append(name, text);
      }
    }
    const hasBody = method !== 'get';
    return {
      operation: `${method} ${path}`,
      method: method.toUpperCase(),
      path: query.size > 0 ? `${filled}?${query}` : filled,
      headers: { ...(hasBody && { 'content-type': 'application/json' }), ...headers },
      body: hasBody ? body : undefined,
      answer: responses['200']?.content?.['application/json']?.schema,
    };
  });
}

/** On the unix socket everything is allowed. */
function ask({
  method,
  path,
  headers,
  body,
}: Question): Promise<{ status: number; type: string; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      socketPath: bench.socket,
      method,
      path,
      headers: { ...headers, host: 'ekho' },
    });
    const limit = setTimeout(() => outgoing.destroy(new Error(`no answer to ${method} ${path}`)), ANSWER_MS);
    outgoing.on('error', reject);
    outgoing.on('response', (response: IncomingMessage) => {
      const status = response.statusCode!;
      const type = String(response.headers['content-type'] ?? '');
      const finish = (text: string) => {
        clearTimeout(limit);
        resolve({ status, type, text });
      };
      let text = '';
      // A stream begins at once and ends never.
      if (status === 200 && path.startsWith('/api/v1/changes')) {
        outgoing.off('error', reject);
        outgoing.on('error', () => {});
        response.destroy();
        finish('');
        return;
      }
      response.setEncoding('utf8');
      response.on('data', (data) => {
        text += data;
      });
      response.on('end', () => finish(text));
      response.on('error', reject);
    });
    outgoing.end(body);
  });
}

test(`${REQUESTS} requests by its own description, EKHO_SEED=${SEED}`, async () => {
  const { paths } = await client.get<{ paths: Record<string, Record<string, Operation>> }>(
    '/api/v1/openapi.json',
  );
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const questions = operations.map(({ path, method, operation }) => questionOf(path, method, operation));
  expect(questions.length).toBeGreaterThan(20);
  const statuses = new Map<number, number>();
  const asked = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.oneof(...questions), async (question) => {
      const { status, type, text } = await ask(question);
      asked.add(question.operation);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status === 200) {
        if (question.path.startsWith('/api/v1/changes'))
          expect(type).toBe(question.headers.accept === EVENTS_TYPE ? EVENTS_TYPE : NDJSON_TYPE);
        if (question.answer !== undefined && type.startsWith('application/json'))
          expect(Errors(question.answer as never, JSON.parse(text))).toEqual([true, []]);
        return;
      }
      const problem = JSON.parse(text);
      expect(type).toContain('application/problem+json');
      expect(problem).toMatchObject({ status, title: expect.any(String), detail: expect.any(String) });
      expect(Object.keys(ERROR_CODES)).toContain(problem.code);
      // To wait for less time than it takes is what the client asked for.
      const isWaitOver = problem.code === 'E_TIMEOUT' && question.path.startsWith('/api/v1/wait');
      if (!isWaitOver) expect(status).toBeLessThan(500);
    }),
    { seed: SEED, numRuns: REQUESTS },
  );
  console.log(`answers by status: ${JSON.stringify(Object.fromEntries(statuses))}`);
  expect([...asked].sort()).toEqual(operations.map(({ path, method }) => `${method} ${path}`).sort());
  expect([...statuses.keys()]).toEqual(expect.arrayContaining([200, 400, 404]));
  // All that was asked of devices and plugins is undone.
  await client.post('/api/v1/devices/asic0/inject', {
    failEvery: 0,
    refuse: false,
    delay: 0,
    poweredOff: false,
  });
  await client.post('/api/v1/plugins/softnic/enable');
  await client.get('/api/v1/wait?timeout=60');
  expect(await client.post('/api/v1/verify')).toMatchObject({ equal: true });
});
