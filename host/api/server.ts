/** The HTTP API: one Fastify application, built twice — whole for the unix socket, read-only for loopback TCP. */
import { type FastifyReply, fastify } from 'fastify';
import type { Host } from '../host.ts';
import { PROBLEM_TYPE, problemOf, refuseConnection } from './problem.ts';
import { routes } from './routes.ts';

/** Bytes of a request's body: no request carries more than a few fields. */
const BODY_MAX = 64 * 1024;

export interface ServerOptions {
  /**
   * Serve only what changes nothing and costs little, and only to requests that name this machine as their host: a web
   * page must not reach it by a name of its own that resolves to loopback (DNS rebinding).
   */
  readonly readOnly: boolean;
}

export type Server = ReturnType<typeof createServer>;

export function createServer(host: Host, { readOnly }: ServerOptions) {
  const app = fastify({
    bodyLimit: BODY_MAX,
    // A closing host ends streams that never end by themselves.
    forceCloseConnections: true,
    requestTimeout: 30_000,
    routerOptions: { maxParamLength: 256 },
    frameworkErrors: (error, _request, reply) => sendProblem(error, reply),
    clientErrorHandler: refuseConnection,
  });

  app.setErrorHandler((error, _request, reply) => sendProblem(error, reply));
  app.setNotFoundHandler((request, reply) => {
    const detail = `there is no ${request.method} ${request.url.split('?')[0]}${readOnly ? ' here; the unix socket may have it' : ''}`;
    const problem = { type: 'about:blank', title: 'Not Found', status: 404, detail, code: 'E_USAGE' };
    reply
      .code(404)
      .type(PROBLEM_TYPE)
      .send(JSON.stringify({ ...problem, remedy: 'docs/api.md lists what there is.' }));
  });
  if (readOnly) {
    app.addHook('onRequest', async (request, reply) => {
      const { host: name = '', 'sec-fetch-site': site } = request.headers;
      if (isLoopbackName(name) && site !== 'cross-site') return;
      const detail =
        site === 'cross-site' ? 'requests from other sites are refused' : `"${name}" is not this host`;
      const problem = { type: 'about:blank', title: 'Forbidden', status: 403, detail, code: 'E_USAGE' };
      reply
        .code(403)
        .type(PROBLEM_TYPE)
        .send(JSON.stringify({ ...problem, remedy: 'Use the URL that the host printed.' }));
      return reply;
    });
  }
  app.register(routes, { host, readOnly, prefix: '/api/v1' });
  return app;
}

function sendProblem(error: unknown, reply: Pick<FastifyReply, 'code' | 'type' | 'send'>): void {
  const problem = problemOf(error);
  reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem));
}

function isLoopbackName(host: string): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i.test(host);
}
