/** The API's description as OpenAPI 3.1: the routes' schemas, and what they do not say: problems, and answers that are no JSON. */
import type { SwaggerOptions } from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { ERROR_CODES } from '../errors.ts';
import { VERSION } from '../version.ts';
import { EVENTS_TYPE } from './events.ts';
import { PROBLEM_TYPE } from './problem.ts';
import { NDJSON_TYPE } from './stream.ts';

interface Response {
  description?: string;
  content?: Record<string, unknown>;
}

interface Document {
  paths?: Record<string, Record<string, { responses?: Record<string, Response | Reference> }>>;
  components?: Record<string, unknown>;
}

interface Reference {
  readonly $ref: string;
}

const PROBLEM = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code'],
  properties: {
    type: { const: 'about:blank' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { enum: Object.keys(ERROR_CODES) },
    remedy: { type: 'string' },
    operation: { type: 'string' },
    kernel: { type: 'string' },
  },
};
const TEXT = { schema: { type: 'string' } };

/** Answers that are made line by line, beside those that a schema declares. */
const LINES: Readonly<Record<string, readonly string[]>> = {
  '/api/v1/objects/{kind}': [NDJSON_TYPE, 'text/plain'],
  '/api/v1/changes': [NDJSON_TYPE, EVENTS_TYPE],
  '/metrics': ['text/plain'],
};

/** What `serve` puts on `app`, which serves nobody. What makes descriptions is not loaded before somebody wants one. */
export async function describeApi(
  app: FastifyInstance,
  serve: (app: FastifyInstance) => void,
): Promise<object> {
  const { default: swagger } = await import('@fastify/swagger');
  app.register(swagger, OPENAPI as SwaggerOptions);
  serve(app);
  await app.ready();
  const description = app.swagger();
  await app.close();
  return description;
}

const OPENAPI = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'EKHO',
      version: VERSION,
      description: 'What the host mirrors, plans and knows of hardware. Errors are RFC 9457 problems.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    components: { securitySchemes: { token: { type: 'http' as const, scheme: 'bearer' } } },
  },
  transformObject: (document: object) => completed((document as { openapiObject: Document }).openapiObject),
};

function completed<Kind extends Document>(document: Kind): Kind {
  const { paths = {}, components = {} } = document;
  for (const [path, operations] of Object.entries(paths)) {
    for (const { responses } of Object.values(operations)) {
      if (responses === undefined) continue;
      responses.default = { $ref: '#/components/responses/Problem' };
      const good = responses['200'];
      if (good === undefined || '$ref' in good) continue;
      for (const type of LINES[path] ?? []) good.content = { ...good.content, [type]: TEXT };
    }
  }
  const content = { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } };
  return {
    ...document,
    components: {
      ...components,
      schemas: { ...(components.schemas as object), Problem: PROBLEM },
      responses: { Problem: { description: 'What went wrong, and what can be done', content } },
    },
  };
}
