/** Objects of kinds that plugins declare: made, replaced and removed. What they are in the mirror, /objects/offload tells. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Host } from '../host.ts';
import { OffloadFields, OffloadKindStatus, OffloadObject, OffloadRequest } from './schemas.ts';

const Named = Type.Object({
  kind: Type.String({ maxLength: 64 }),
  name: Type.String({ maxLength: 512 }),
});
const Replacement = Type.Object(
  {
    version: Type.Optional(Type.Integer({ minimum: 1, maximum: 4_294_967_295 })),
    fields: OffloadFields,
  },
  { additionalProperties: false },
);

export async function offloadRoutes(instance: FastifyInstance, { host }: { host: Host }): Promise<void> {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const read = (summary: string) => ({ summary, tags: ['offloads'] });
  const operate = (summary: string) => ({ ...read(summary), security: [{ token: [] }] });

  app.get(
    '/offloads/kinds',
    { schema: { ...read('Kinds that plugins declare'), response: { 200: Type.Array(OffloadKindStatus) } } },
    async () => host.offloads.kinds(),
  );
  app.get(
    '/offloads',
    {
      schema: {
        ...read('Objects of those kinds'),
        querystring: Type.Object(
          { kind: Type.Optional(Type.String({ maxLength: 64 })) },
          { additionalProperties: false },
        ),
        response: { 200: Type.Array(OffloadObject) },
      },
    },
    async (request) => host.offloads.list(request.query.kind),
  );
  app.get(
    '/offloads/:kind/:name',
    { schema: { ...read('One of them'), params: Named, response: { 200: OffloadObject } } },
    async ({ params }) => host.offloads.get(params.kind, params.name),
  );
  app.post(
    '/offloads',
    {
      config: { tellsBody: true },
      schema: {
        ...operate('Make an object of a kind that a plugin declares'),
        body: OffloadRequest,
        response: { 201: OffloadObject },
      },
    },
    async ({ body }, reply) => {
      reply.code(201);
      return host.offloads.create(body.kind, body.fields, body.version);
    },
  );
  app.put(
    '/offloads/:kind/:name',
    {
      config: { tellsBody: true },
      schema: {
        ...operate('Make one, or give it other fields'),
        params: Named,
        body: Replacement,
        response: { 200: OffloadObject },
      },
    },
    async ({ params, body }) => host.offloads.putNamed(params.kind, params.name, body.fields, body.version),
  );
  app.delete(
    '/offloads/:kind/:name',
    { schema: { ...operate('Remove one'), params: Named, response: { 200: Type.Object({}) } } },
    async ({ params }) => {
      host.offloads.remove(params.kind, params.name);
      return {};
    },
  );
}
