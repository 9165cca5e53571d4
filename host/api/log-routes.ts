/** The levels of the host's log: which are written, and another one from now on. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { NAME_PATTERN } from '../config/schema.ts';
import { EkhoError } from '../errors.ts';
import type { Host } from '../host.ts';
import { LOG_COMPONENTS, LOG_LEVELS } from '../log/levels.ts';
import { LogLevels } from './schemas.ts';

export async function logRoutes(instance: FastifyInstance, { host }: { readonly host: Host }): Promise<void> {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  const answer = () => ({ ...host.logs.levels, lines: { ...host.logs.lines }, dropped: host.logs.dropped });

  app.get(
    '/log',
    {
      schema: { summary: 'What the host writes into its log', tags: ['host'], response: { 200: LogLevels } },
    },
    async () => answer(),
  );
  app.put(
    '/log',
    {
      config: { tellsBody: true },
      schema: {
        summary: 'Another level of the log, until the host ends',
        description: 'Of everything; of one component; or of one plugin, which may not run yet.',
        tags: ['host'],
        security: [{ token: [] }],
        body: Type.Object(
          {
            level: Type.Enum([...LOG_LEVELS]),
            component: Type.Optional(Type.Enum([...LOG_COMPONENTS])),
            plugin: Type.Optional(Type.String({ pattern: NAME_PATTERN })),
          },
          { additionalProperties: false },
        ),
        response: { 200: LogLevels },
      },
    },
    async ({ body: { level, component, plugin } }) => {
      if (plugin !== undefined && component !== undefined && component !== 'plugin')
        throw new EkhoError('E_USAGE', `a plugin is no part of ${component}`, {
          remedy: 'Name a component or a plugin.',
        });
      host.logs.setLevel(level, {
        ...(component !== undefined && { component }),
        ...(plugin !== undefined && { plugin }),
      });
      return answer();
    },
  );
}
