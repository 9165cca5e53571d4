/** Serializers are compiled with the first answer of a route: that each can be is seen here, not by who asks first. */
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler';
import { fastify } from 'fastify';
import { expect, test } from 'vitest';
import { Access } from '../../../host/api/access.ts';
import { Audit } from '../../../host/api/audit.ts';
import { serveMetrics } from '../../../host/api/metrics.ts';
import { routes } from '../../../host/api/routes.ts';
import { compileValidator } from '../../../host/api/validate.ts';
import { defaultConfig } from '../../../host/config/config.ts';
import { Host } from '../../../host/host.ts';

test('what each route answers with can be compiled', async () => {
  const host = new Host(defaultConfig(), () => {});
  const compile = SerializerSelector();
  const compiled: string[] = [];
  const app = fastify({
    schemaController: {
      compilersFactory: {
        buildValidator: (() => compileValidator) as never,
        buildSerializer: (schemas, options) => (route) => {
          compiled.push(`${route.method} ${route.url}`);
          return compile(schemas, options)(route);
        },
      },
    },
  });
  const described = new Set<string>();
  app.addHook('onRoute', ({ method, url, schema, serializerCompiler }) => {
    // Some write their answers themselves.
    if (schema?.response !== undefined && serializerCompiler === undefined) described.add(`${method} ${url}`);
  });
  try {
    await app.register(routes, {
      host,
      access: new Access([]),
      audit: new Audit(() => {}),
      isNetwork: true,
      describe: async () => ({}),
      prefix: '/api/v1',
    });
    serveMetrics(app as never, host);
    await app.ready();
    expect(described.size).toBeGreaterThan(0);
    expect(compiled).toEqual(expect.arrayContaining([...described]));
  } finally {
    await app.close();
    await host.stop();
  }
});
