/** The paths of the API, below /api/v1. docs/api.md describes them; object-routes.ts has those of objects. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { EkhoError } from '../errors.ts';
import type { Host } from '../host.ts';
import { type Access, ROLES } from './access.ts';
import type { Audit } from './audit.ts';
import { NOTHING, refuseBody } from './body.ts';
import { configRoutes } from './config-routes.ts';
import { logRoutes } from './log-routes.ts';
import { objectRoutes } from './object-routes.ts';
import { offloadRoutes } from './offload-routes.ts';
import {
  AuditAnswer,
  CallerAnswer,
  DeviceStatus,
  Diagnosis,
  Faults,
  LogLine,
  LookupAnswer,
  LookupQuery,
  PluginDetails,
  PluginStatus,
  SeriesAnswer,
  Stats,
  Status,
  TokenAnswer,
  TopEntries,
  VerifyAnswer,
  WaitAnswer,
} from './schemas.ts';
import { Shared } from './shared.ts';

/** On TCP, answers that are the same for everybody are as old as this at most, in milliseconds. */
const MOMENT_MS = 500;
/** Looking for what this machine has loads programs into the kernel. */
const DIAGNOSIS_MS = 10_000;

/** Entries in one answer. */
const TOP_MAX = 100;

const Name = Type.Object({ name: Type.String() });

export interface RoutesOptions {
  readonly host: Host;
  readonly access: Access;
  readonly audit: Audit;
  /** Served on TCP. */
  readonly isNetwork: boolean;
  /** What is served, as OpenAPI. */
  readonly describe: () => Promise<object>;
}

export async function routes(instance: FastifyInstance, options: RoutesOptions): Promise<void> {
  const { host, isNetwork } = options;
  instance.addHook('onRoute', (route) => {
    // What is not known is refused also where nothing is.
    route.schema = { querystring: NOTHING, ...route.schema };
    if (route.schema.body === undefined && route.method !== 'GET') route.preValidation = refuseBody;
  });
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const age = isNetwork ? MOMENT_MS : 0;
  const status = new Shared(() => host.status(), age);
  const stats = new Shared(() => host.stats(), age);
  const top = new Shared(() => host.topEntries(TOP_MAX), age);
  const plugins = new Shared(() => host.plugins.list(), age);
  const devices = new Shared(() => host.devices.list(), age);
  const diagnosis = new Shared(() => host.diagnose(), isNetwork ? DIAGNOSIS_MS : 0);

  await objectRoutes(instance, { host });
  await configRoutes(instance, { host });
  await logRoutes(instance, { host });
  await offloadRoutes(instance, { host });
  const get = (summary: string, tag: string) => ({ summary, tags: [tag] });

  app.get(
    '/status',
    {
      schema: {
        ...get('What is mirrored, which plugins run, how much is in hardware', 'host'),
        response: { 200: Status },
      },
    },
    () => status.get(),
  );
  app.get(
    '/series',
    {
      schema: {
        ...get('The last ten minutes, a row a second', 'host'),
        querystring: Type.Object(
          { since: Type.Optional(Type.Number({ minimum: 0 })) },
          { additionalProperties: false },
        ),
        response: { 200: SeriesAnswer },
      },
    },
    async (request) => host.sampler.after(request.query.since ?? 0),
  );
  app.get(
    '/lookup',
    {
      schema: {
        ...get('What hardware would do with a packet', 'host'),
        querystring: LookupQuery,
        response: { 200: Type.Array(LookupAnswer) },
      },
    },
    async (request) => host.lookup(request.query),
  );
  app.get(
    '/stats',
    {
      schema: {
        ...get('Counters since each began, and entries that were hit', 'host'),
        response: { 200: Stats },
      },
    },
    () => stats.get(),
  );
  app.get(
    '/stats/top',
    {
      schema: {
        ...get('Entries in hardware with the highest rates', 'host'),
        querystring: Type.Object(
          { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: TOP_MAX, default: 20 })) },
          { additionalProperties: false },
        ),
        response: { 200: TopEntries },
      },
    },
    async (request) => (await top.get()).slice(0, request.query.limit ?? 20),
  );
  app.get(
    '/plugins',
    { schema: { ...get('All plugins', 'plugins'), response: { 200: Type.Array(PluginStatus) } } },
    () => plugins.get(),
  );
  app.get(
    '/devices',
    {
      schema: {
        ...get('All devices and how full they are', 'devices'),
        response: { 200: Type.Array(DeviceStatus) },
      },
    },
    () => devices.get(),
  );
  app.get(
    '/plugins/:name',
    {
      schema: {
        ...get('One plugin, its counters and errors', 'plugins'),
        params: Name,
        response: { 200: PluginDetails },
      },
    },
    async (request) => host.plugins.details(request.params.name),
  );
  app.get(
    '/plugins/:name/logs',
    { schema: { ...get('Its last lines', 'plugins'), params: Name, response: { 200: Type.Array(LogLine) } } },
    async (request) => host.plugins.logs(request.params.name),
  );
  app.get(
    '/doctor',
    {
      schema: {
        ...get('What this machine has of what a host can use', 'host'),
        response: { 200: Diagnosis },
      },
    },
    () => diagnosis.get(),
  );
  waiting(instance, host);
  operating(instance, options);
}

function waiting(instance: FastifyInstance, host: Host): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const Seconds = Type.Object(
    { timeout: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 86_400, default: 30 })) },
    { additionalProperties: false },
  );
  const schema = {
    summary: 'Answers once everything announced before is in hardware',
    tags: ['host'],
    querystring: Seconds,
    response: { 200: WaitAnswer },
  };
  app.get('/wait', { schema }, async (request) => {
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
}

/** What needs the role `operate` on TCP, and who has it. */
function operating(
  instance: FastifyInstance,
  { host, access, audit, isNetwork, describe }: RoutesOptions,
): void {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const operate = (summary: string, tag: string) => ({ summary, tags: [tag], security: [{ token: [] }] });

  app.get(
    '/caller',
    { schema: { summary: 'Who asks, and the role', tags: ['access'], response: { 200: CallerAnswer } } },
    async ({ caller }) => caller,
  );
  app.get(
    '/audit',
    {
      schema: {
        summary: 'The last 200 requests to change something',
        tags: ['access'],
        response: { 200: Type.Array(AuditAnswer) },
      },
    },
    async () => [...audit.lines()],
  );
  app.get('/openapi.json', { schema: { hide: true } }, () => describe());
  app.post(
    '/verify',
    {
      schema: {
        ...operate('Compare mirror and kernel, plan and hardware', 'host'),
        response: { 200: VerifyAnswer },
      },
    },
    () => host.verify(),
  );
  const verbs = {
    restart: (name: string) => host.plugins.restart(name),
    reload: (name: string) => host.plugins.reload(name),
    enable: (name: string) => host.plugins.enable(name),
    disable: (name: string) => host.plugins.disable(name),
  };
  for (const [verb, carryOut] of Object.entries(verbs)) {
    app.post(
      `/plugins/:name/${verb}`,
      {
        schema: { ...operate(`${verb[0]!.toUpperCase()}${verb.slice(1)} a plugin`, 'plugins'), params: Name },
      },
      async (request) => {
        await carryOut(request.params.name);
        return {};
      },
    );
  }
  app.post(
    '/devices/:name/inject',
    {
      config: { tellsBody: true },
      schema: { ...operate('Make a simulated device show faults', 'devices'), params: Name, body: Faults },
    },
    async (request) => {
      host.devices.inject(request.params.name, request.body);
      return {};
    },
  );
  app.post(
    '/devices/:name/power-cycle',
    { schema: { ...operate('Make a simulated device lose its tables', 'devices'), params: Name } },
    async (request) => {
      host.devices.powerCycle(request.params.name);
      return {};
    },
  );
  // Tokens are made where files decide who may come, not by who has one.
  if (isNetwork) return;
  app.post(
    '/tokens',
    {
      schema: {
        summary: 'Make a token for TCP',
        tags: ['access'],
        body: Type.Object({ role: Type.Enum([...ROLES]) }, { additionalProperties: false }),
        response: { 200: TokenAnswer },
      },
    },
    async (request) => access.make(request.body.role),
  );
}
