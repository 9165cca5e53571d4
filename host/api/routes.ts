/** The paths of the API, below /api/v1. docs/api.md describes them. */
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { EkhoError } from '../errors.ts';
import type { Host } from '../host.ts';
import { type ExtraColumn, formatTable } from '../iproute2/table.ts';
import type { ObjectOffload } from '../offload/reasons.ts';
import { ChangeFeed, SOURCES } from './changes.ts';
import { kindOf } from './kinds.ts';
import {
  DeviceStatus,
  Diagnosis,
  Explanation,
  Faults,
  LogLine,
  LookupAnswer,
  LookupQuery,
  PluginDetails,
  PluginStatus,
  Stats,
  Status,
  VerifyAnswer,
  WaitAnswer,
} from './schemas.ts';
import { accepted, NDJSON_TYPE, sendJson, sendText } from './stream.ts';

/** Explanations in one answer. */
const EXPLANATIONS_MAX = 100;
/** Change streams at a time. */
const FEEDS_MAX = 64;

const Words = Type.Union([
  Type.String({ maxLength: 256 }),
  Type.Array(Type.String({ maxLength: 256 }), { maxItems: 64 }),
]);
const Filter = Type.Object({ filter: Type.Optional(Words) }, { additionalProperties: false });
const Name = Type.Object({ name: Type.String() });
const KindName = Type.Object({ kind: Type.String() });

/** How it stands with an object in each plugin that has a part in it. */
const OFFLOAD: ExtraColumn = {
  title: 'OFFLOAD',
  cell: ({ offload = [] }) => {
    const states = offload as readonly ObjectOffload[];
    return states
      .map(({ plugin, state, reason }) => {
        const text = reason === undefined ? state : `${state} (${reason})`;
        return states.length > 1 ? `${plugin} ${text}` : text;
      })
      .join(', ');
  },
};

function list(words: string | string[] | undefined): string[] {
  return words === undefined ? [] : typeof words === 'string' ? [words] : words;
}

export async function routes(
  instance: FastifyInstance,
  { host, readOnly }: { host: Host; readOnly: boolean },
): Promise<void> {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  let feeds = 0;

  app.get('/status', { schema: { response: { 200: Status } } }, async () => host.status());

  app.get('/objects/:kind', { schema: { params: KindName, querystring: Filter } }, async (request, reply) => {
    const kind = kindOf(request.params.kind);
    const rows = await host.rows(kind, list(request.query.filter));
    const isText = accepted(request, 'text/plain', 'application/json') === 'text/plain';
    return isText ? sendText(reply, formatTable(kind, rows, [OFFLOAD])) : sendJson(request, reply, rows);
  });

  app.get(
    '/objects/:kind/explain',
    { schema: { params: KindName, querystring: Filter, response: { 200: Type.Array(Explanation) } } },
    async (request) =>
      host.explain(kindOf(request.params.kind), list(request.query.filter), EXPLANATIONS_MAX),
  );

  app.get(
    '/changes',
    {
      schema: {
        querystring: Type.Object(
          { kind: Type.Optional(Words), source: Type.Optional(Type.Enum([...SOURCES])) },
          { additionalProperties: false },
        ),
      },
    },
    (request, reply) => {
      const kinds = list(request.query.kind).map(kindOf);
      const source = request.query.source ?? 'netlink';
      if (source !== 'netlink') host.requireEvents();
      if (feeds >= FEEDS_MAX) throw new EkhoError('E_BUSY', `${FEEDS_MAX} change streams are open already`);
      feeds++;
      const feed = new ChangeFeed(host, kinds, source);
      feed.once('close', () => {
        feeds--;
      });
      reply.type(NDJSON_TYPE).send(feed);
      // The reader learns at once that the stream has begun; a change may be long in coming.
      reply.raw.flushHeaders();
      return reply;
    },
  );

  app.get(
    '/lookup',
    { schema: { querystring: LookupQuery, response: { 200: Type.Array(LookupAnswer) } } },
    async (request) => host.lookup(request.query),
  );

  app.get('/stats', { schema: { response: { 200: Stats } } }, async () => host.stats());
  app.get('/plugins', { schema: { response: { 200: Type.Array(PluginStatus) } } }, async () =>
    host.plugins(),
  );
  app.get('/devices', { schema: { response: { 200: Type.Array(DeviceStatus) } } }, async () =>
    host.devices(),
  );
  app.get('/plugins/:name', { schema: { params: Name, response: { 200: PluginDetails } } }, async (request) =>
    host.plugin(request.params.name),
  );
  app.get(
    '/plugins/:name/logs',
    { schema: { params: Name, response: { 200: Type.Array(LogLine) } } },
    async (request) => host.pluginLogs(request.params.name),
  );

  const Seconds = Type.Object(
    { timeout: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 86_400, default: 30 })) },
    { additionalProperties: false },
  );
  app.get('/wait', { schema: { querystring: Seconds, response: { 200: WaitAnswer } } }, async (request) => {
    const seconds = request.query.timeout ?? 30;
    const gone = new AbortController();
    request.raw.once('close', () => gone.abort());
    const limit = AbortSignal.timeout(Math.max(1, Math.ceil(seconds * 1000)));
    try {
      return await host.wait(AbortSignal.any([limit, gone.signal]));
    } catch (error) {
      if (!limit.aborted) throw error;
      throw new EkhoError('E_TIMEOUT', `not all changes are in hardware after ${seconds} s`, {
        remedy: '`ekho status` shows what is pending; `--timeout` waits longer.',
        cause: error,
      });
    }
  });

  if (readOnly) return;

  app.get('/doctor', { schema: { response: { 200: Diagnosis } } }, async () => host.diagnose());
  app.post('/verify', { schema: { response: { 200: VerifyAnswer } } }, async () => host.verify());
  const verbs = {
    restart: (name: string) => host.restartPlugin(name),
    reload: (name: string) => host.reloadPlugin(name),
    enable: (name: string) => host.enablePlugin(name),
    disable: (name: string) => host.disablePlugin(name),
  };
  for (const [verb, carryOut] of Object.entries(verbs)) {
    app.post(`/plugins/:name/${verb}`, { schema: { params: Name } }, async (request) => {
      await carryOut(request.params.name);
      return {};
    });
  }
  app.post('/devices/:name/inject', { schema: { params: Name, body: Faults } }, async (request) => {
    host.inject(request.params.name, request.body);
    return {};
  });
  app.post('/devices/:name/power-cycle', { schema: { params: Name } }, async (request) => {
    host.powerCycle(request.params.name);
    return {};
  });
}
