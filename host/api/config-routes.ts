/** The configuration that the host runs with, and the check of another that changes nothing. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { parseConfig } from '../config/config.ts';
import { shownConfig } from '../config/shown.ts';
import { EkhoError } from '../errors.ts';
import type { Host } from '../host.ts';
import { CheckAnswer, ConfigAnswer } from './schemas.ts';

/** What the file is called in answers: it has no name here. */
const FILE = 'ekho.toml';
const TEXT_MAX = 60_000;

export async function configRoutes(instance: FastifyInstance, { host }: { host: Host }): Promise<void> {
  const app = instance.withTypeProvider<TypeBoxTypeProvider>();
  app.get(
    '/config',
    {
      schema: {
        summary: 'The configuration the host started with, defaults filled in and secrets removed',
        tags: ['configuration'],
        response: { 200: ConfigAnswer },
      },
    },
    async () => shownConfig(host.config),
  );
  app.post(
    '/config/check',
    {
      schema: {
        summary: 'What is wrong with the text of a configuration file; nothing changes',
        tags: ['configuration'],
        security: [{ token: [] }],
        body: Type.Object({ text: Type.String({ maxLength: TEXT_MAX }) }, { additionalProperties: false }),
        response: { 200: CheckAnswer },
      },
    },
    async ({ body }) => {
      try {
        return { problems: [], config: shownConfig(parseConfig(body.text, FILE)) };
      } catch (error) {
        if (!(error instanceof EkhoError)) throw error;
        return { problems: error.message.split('\n') };
      }
    },
  );
}
