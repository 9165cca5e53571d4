/** Objects and their changes: lists, pages, one with its history, streams. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { EkhoError } from '../errors.ts';
import type { Host } from '../host.ts';
import { type Json, stringify } from '../iproute2/json.ts';
import { type ExtraColumn, formatTable } from '../iproute2/table.ts';
import { KIND, KINDS, objectCursor } from '../mirror/types.ts';
import { decodeObject } from '../netlink/decode.ts';
import type { ObjectOffload } from '../offload/reasons.ts';
import { ChangeTexts } from './change-texts.ts';
import { ChangeFeed, SOURCES } from './changes.ts';
import { EVENTS_TYPE, EventFeed, parseEventId } from './events.ts';
import { Frames } from './frames.ts';
import { kindOf } from './kinds.ts';
import { Explanation, ObjectDetails, ObjectsPage } from './schemas.ts';
import { Selections } from './selections.ts';
import { accepted, NDJSON_TYPE, sendJson, sendText } from './stream.ts';
import { Turns } from './turns.ts';

/** Explanations in one answer. */
const EXPLANATIONS_MAX = 100;
/** Changes of one object in an answer. */
const HISTORY_MAX = 50;
/** Change streams at a time, on each of the two servers. */
const FEEDS_MAX = 256;
/** Objects on a page. */
const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;
/** Searches of one server at a time: each may look at everything. */
const SEARCHES_MAX = 16;

const Words = Type.Union([
  Type.String({ maxLength: 256 }),
  Type.Array(Type.String({ maxLength: 256 }), { maxItems: 64 }),
]);
const closed = { additionalProperties: false };
const Filter = Type.Object(
  {
    filter: Type.Optional(Words),
    /** With any of the following, the answer is a page. */
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX })),
    cursor: Type.Optional(Type.String({ maxLength: 32 })),
    sort: Type.Optional(Type.String({ maxLength: 64 })),
    fields: Type.Optional(Type.String({ minLength: 1, maxLength: 1024 })),
    state: Type.Optional(Type.Enum(['pending', 'offloaded', 'trapped', 'refused', 'failed'])),
    reason: Type.Optional(Type.String({ maxLength: 64 })),
    plugin: Type.Optional(Type.String({ maxLength: 64 })),
  },
  closed,
);
const Chosen = Type.Object({ filter: Type.Optional(Words) }, closed);
const KindName = Type.Object({ kind: Type.String() });
const ObjectName = Type.Object({
  kind: Type.String(),
  id: Type.Integer({ minimum: 1, maximum: 4_294_967_295 }),
});
const ChangesQuery = Type.Object(
  {
    kind: Type.Optional(Words),
    source: Type.Optional(Type.Enum([...SOURCES])),
    since: Type.Optional(Type.String({ maxLength: 40 })),
  },
  closed,
);

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

/** Numbers of 64 bits are written digit for digit, which the library's own serializer does not. */
const serializerCompiler = () => stringify;

export async function objectRoutes(instance: FastifyInstance, { host }: { host: Host }): Promise<void> {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const selections = new Selections(host);
  const texts = new ChangeTexts();
  const frames = new Frames(host, texts);
  const turns = new Turns(() => host.isBehind);
  let feeds = 0;
  /** Of them those that do not draw what they send, so that it may have to wait. */
  let pushed = 0;
  let searches = 0;

  /** Runs a search if there are not too many. */
  async function search<T>(run: () => Promise<T>): Promise<T> {
    if (searches >= SEARCHES_MAX) throw new EkhoError('E_BUSY', `${searches} searches are under way already`);
    searches++;
    try {
      return await run();
    } finally {
      searches--;
    }
  }

  app.get(
    '/objects/:kind',
    {
      // For HEAD the library makes all of the answer, for nobody.
      exposeHeadRoute: false,
      serializerCompiler,
      schema: {
        summary: 'Objects of a kind: all as an array, or, with limit or cursor, by the page',
        tags: ['objects'],
        params: KindName,
        querystring: Filter,
        response: { 200: Type.Union([ObjectsPage, Type.Array(Type.Unknown())]) },
      },
    },
    async (request, reply) => {
      const kind = kindOf(request.params.kind);
      const { filter, limit, cursor, fields, ...chosen } = request.query;
      const words = list(filter);
      if (limit !== undefined || cursor !== undefined || fields || Object.keys(chosen).length > 0) {
        const page = { limit: limit ?? PAGE_DEFAULT, cursor, fields: fields?.split(',') ?? [] };
        return search(() => selections.page({ kind, words, ...chosen }, page));
      }
      const rows: Iterable<Json> = await search(() => host.rows(kind, words));
      const isText = accepted(request, 'text/plain', 'application/json') === 'text/plain';
      return isText ? sendText(reply, formatTable(kind, rows, [OFFLOAD])) : sendJson(request, reply, rows);
    },
  );

  app.get(
    '/objects/:kind/explain',
    {
      schema: {
        summary: 'Why objects are, or are not, in hardware; at most 100',
        tags: ['objects'],
        params: KindName,
        querystring: Chosen,
        response: { 200: Type.Array(Explanation) },
      },
    },
    async (request) =>
      search(() => host.explain(kindOf(request.params.kind), list(request.query.filter), EXPLANATIONS_MAX)),
  );

  app.get(
    '/objects/:kind/:id',
    {
      serializerCompiler,
      schema: {
        summary: 'One object of a page with its offload state, why, and its history',
        tags: ['objects'],
        params: ObjectName,
        response: { 200: ObjectDetails },
      },
    },
    async (request) => {
      const kind = kindOf(request.params.kind);
      return search(() => details(host, kind, request.params.id));
    },
  );

  app.get(
    '/changes',
    {
      // What is made for HEAD would never end.
      exposeHeadRoute: false,
      schema: {
        summary: 'Changes as they happen: NDJSON, or server-sent events where they are accepted',
        tags: ['objects'],
        querystring: ChangesQuery,
      },
    },
    (request, reply) => {
      const kinds = list(request.query.kind).map(kindOf);
      const source = request.query.source ?? 'netlink';
      const isEvents = accepted(request, EVENTS_TYPE, NDJSON_TYPE) === EVENTS_TYPE;
      if (isEvents && source !== 'netlink') {
        throw new EkhoError('E_USAGE', 'events of notifiers are not sent as server-sent events', {
          remedy: 'Ask for application/x-ndjson.',
        });
      }
      if (source !== 'netlink') host.requireEvents();
      if (feeds >= FEEDS_MAX) throw new EkhoError('E_BUSY', `${FEEDS_MAX} change streams are open already`);
      const last = request.headers['last-event-id'] ?? request.query.since;
      const from = typeof last === 'string' ? parseEventId(last) : undefined;
      if (last !== undefined && from === undefined) {
        throw new EkhoError('E_USAGE', 'this is no id of an event', { remedy: 'Use a revision.' });
      }
      const feed = isEvents
        ? new EventFeed(host, { frames, turns }, { kinds, ...from })
        : new ChangeFeed(host, { texts, readers: () => pushed }, { kinds, source });
      feeds++;
      if (!isEvents) pushed++;
      feed.once('close', () => {
        feeds--;
        if (!isEvents) pushed--;
      });
      // The reader learns at once that the stream has begun; a change may be long in coming. Before, the headers are not set.
      reply.raw.once('pipe', () => reply.raw.flushHeaders());
      return reply.type(isEvents ? EVENTS_TYPE : NDJSON_TYPE).send(feed);
    },
  );
}

/** Throws E_UNKNOWN_OBJECT. */
async function details(host: Host, kind: (typeof KINDS)[number], id: number): Promise<ObjectDetails> {
  const number = KIND[kind];
  const view = host.object(number, id);
  if (view === undefined) {
    throw new EkhoError('E_UNKNOWN_OBJECT', `there is no ${kind} with id ${id}`, {
      remedy: 'It left the kernel meanwhile; list the objects again.',
    });
  }
  const revision = host.mirror.revisionOf(number, id);
  const offload = host.objects.offloadOf(number, id).map((state) => ({ ...state }));
  const lines = host.reasonsOf(number, id);
  const counters = host.countersOf(number, id);
  const cursor = objectCursor();
  const history = (await host.journal.historyOf(number, id, HISTORY_MAX)).flatMap((entry) => {
    if (!host.journal.open(entry.revision, cursor)) return [];
    const object = decodeObject(KINDS[number]!, cursor.bytes, cursor.start, cursor.end);
    return {
      revision: entry.revision,
      time: new Date(entry.time).toISOString(),
      operation: entry.isDelete ? ('delete' as const) : ('upsert' as const),
      text: host.objects.view(number, entry.id, object).text,
    };
  });
  const { offload: _offload, ...object } = view.json;
  return { kind, id, revision, text: view.text, object, offload, lines, counters, history };
}
