/** The HTTP API: one Fastify application, built twice, for the unix socket and for TCP. Both have the same handlers. */

import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { ROOT } from '../config/config.ts';
import { isLoopback } from '../config/listen.ts';
import { EkhoError } from '../errors.ts';
import type { Host } from '../host.ts';
import { peerOf } from '../netlink/syscall.ts';
import { type Access, type Caller, isStill } from './access.ts';
import { serveAssets } from './assets.ts';
import type { Audit } from './audit.ts';
import { parseJson } from './body.ts';
import { guardConnections, RateLimit } from './limits.ts';
import { serveMetrics } from './metrics.ts';
import { describeApi } from './openapi.ts';
import { PROBLEM_TYPE, problemOf, refuseConnection } from './problem.ts';
import { Revocation } from './revocation.ts';
import { routes } from './routes.ts';
import { lateSerializers } from './serializers.ts';
import { HANDSHAKE_MS, type Identity } from './tls.ts';
import { compileValidator } from './validate.ts';

/** Bytes of a request's body: no request carries more than a few fields. */
const BODY_MAX = 64 * 1024;
/** For the head of a request to arrive, in milliseconds. */
const HEAD_MS = 10_000;
/** Connections at a time on TCP: a browser has six a dashboard at most. */
export const NETWORK_CONNECTIONS_MAX = 1_024;
const DASHBOARD = join(ROOT, 'build/web');

/** In place of Fastify's own, which are not even loaded; its types know of no other validator. */
const COMPILERS = {
  buildValidator: (() => compileValidator) as never,
  buildSerializer: lateSerializers,
};

const HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'x-frame-options': 'DENY',
};
/** RFC 6797, for 30 days: of this name alone, on all its ports. */
const ONLY_TLS = 'max-age=2592000';

export interface ServerOptions {
  /** `socket`: whoever may open the unix socket may do all; `read-socket`: may look. `network`: TCP, by role. */
  readonly transport: 'socket' | 'read-socket' | 'network';
  /** Of TCP: the certificate it shows. Undefined: plain HTTP. */
  readonly identity?: Identity | undefined;
  /** Of TCP: other machines can reach it, and who has neither token nor certificate gets nothing. */
  readonly isOpen?: boolean;
  /** The same for all servers of a host. */
  readonly access: Access;
  readonly audit: Audit;
}

export type Server = FastifyInstance;

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before any handler runs. */
    caller: Caller;
    /** Of requests that would change something: address, or user and process. */
    from: string;
  }
  interface FastifyContextConfig {
    /** The audit log has the body, too: there is nothing secret in it. */
    tellsBody?: boolean;
  }
}

export function createServer(
  host: Host,
  { transport, access, audit, identity, isOpen = false }: ServerOptions,
): FastifyInstance {
  const isNetwork = transport === 'network';
  const http = {
    headersTimeout: HEAD_MS,
    connectionsCheckingInterval: 5_000,
    // Those without are refused below, with a problem document.
    requireHostHeader: false,
  };
  const app = fastify({
    ...(identity === undefined
      ? { http }
      : { https: { ...http, ...identity.context, handshakeTimeout: HANDSHAKE_MS } }),
    schemaController: { compilersFactory: COMPILERS },
    bodyLimit: BODY_MAX,
    // A closing host ends streams that never end by themselves.
    forceCloseConnections: true,
    requestTimeout: 30_000,
    routerOptions: { maxParamLength: 256 },
    // Of paths that no route can have, for which no hook runs.
    frameworkErrors: (error, request, reply) => {
      let told: unknown = error;
      try {
        guard(request, reply);
      } catch (refusal) {
        told = refusal;
      }
      refuse(told, request, reply);
    },
    clientErrorHandler: refuseConnection,
  }) as FastifyInstance;
  const guard = isNetwork ? networkGuard(app, access, isOpen, identity) : socketGuard(transport);

  app.setErrorHandler(refuse);
  parseJson(app);
  app.setNotFoundHandler((request, reply) => {
    const detail = `there is no ${request.method} ${request.url.split('?')[0]}`;
    const problem = { type: 'about:blank', title: 'Not Found', status: 404, detail, code: 'E_USAGE' };
    reply
      .code(404)
      .type(PROBLEM_TYPE)
      .send(JSON.stringify({ ...problem, remedy: 'docs/api.md lists what there is.' }));
  });
  app.decorateRequest('caller', null as unknown as Caller);
  app.decorateRequest('from', '');
  // While the connection is there.
  app.addHook('onRequest', async (request) => {
    if (isChange(request)) request.from = isNetwork ? request.ip : userOf(request.socket);
  });
  app.addHook('onRequest', async (request, reply) => guard(request, reply));
  app.addHook('onResponse', async ({ method, url }, reply) => {
    if (!host.logs.isOn('api', 'debug')) return;
    const ms = Math.round(reply.elapsedTime);
    host.logs.of('api').debug({ ms }, `${method} ${url}: ${reply.statusCode}`);
  });
  // Left alone, the library answers without a word.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.addHook('onRequest', async ({ headers: { expect }, raw }) => {
    // RFC 9112 §3.2; the library looks at the first, and something on the way may look at the other.
    if ((raw.headersDistinct.host ?? []).length > 1)
      throw new EkhoError('E_USAGE', 'the request has more than one host');
    if (expect !== undefined && expect.toLowerCase() !== '100-continue') throw unmet(expect);
  });
  // When it was done, not when its answer arrived: who goes away before changes as much.
  app.addHook('onSend', async (request, reply) => {
    if (!isChange(request)) return;
    const { method, url, caller, from, body, routeOptions } = request;
    audit.note({
      caller: caller?.name ?? 'nobody',
      from,
      request: `${method} ${url.split('?')[0]}`,
      ...(routeOptions.config.tellsBody && { body }),
      status: reply.statusCode,
    });
  });
  let description: Promise<object> | undefined;
  const serve = (instance: FastifyInstance): void => {
    const describe = () => {
      const schemaController = { compilersFactory: COMPILERS };
      // What failed once (no file descriptor was left) may not fail again.
      description ??= describeApi(fastify({ schemaController }) as FastifyInstance, serve).catch((error) => {
        description = undefined;
        throw error;
      });
      return description;
    };
    const isNetwork = transport !== 'socket';
    instance.register(routes, { host, access, audit, isNetwork, describe, prefix: '/api/v1' });
    instance.register(async (inner) => serveMetrics(inner, host));
  };
  serve(app);
  if (isNetwork) app.register(async (instance) => serveAssets(instance, DASHBOARD));
  return app;
}

/** RFC 9110 §10.1.1. */
function unmet(expectation: string): Error {
  const error = new EkhoError('E_USAGE', `"${expectation}" cannot be expected here`, {
    remedy: 'Leave out the header Expect, or make it 100-continue.',
  });
  return Object.assign(error, { statusCode: 417 });
}

function isChange({ method }: FastifyRequest): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

/** Whoever is behind a unix socket. */
function userOf(socket: Socket): string {
  const { fd } = (socket as unknown as { _handle?: { fd: number } })._handle ?? {};
  const peer = fd === undefined ? undefined : peerOf(fd);
  return peer === undefined ? 'unknown' : `uid ${peer.uid} pid ${peer.pid}`;
}

/** Throws for who may not ask, or not for this; sets headers that all answers have, and the caller. */
type Guard = (request: FastifyRequest, reply: FastifyReply) => void;

/** Who can open the socket may, by which one it is. */
function socketGuard(transport: string): Guard {
  const role = transport === 'socket' ? 'operate' : 'read';
  return (request) => {
    request.caller = { role, name: transport };
    refuseChanges(request, 'this socket is for looking', 'Use the other one, as a member of its group.');
  };
}

/** Who asks, from where, how often: before anything else is looked at. */
function networkGuard(
  app: FastifyInstance,
  access: Access,
  isOpen: boolean,
  identity: Identity | undefined,
): Guard {
  const rate = new RateLimit();
  guardConnections(app.server as never, NETWORK_CONNECTIONS_MAX);
  const revocation = new Revocation(app.server as never);
  return (request, reply) => {
    for (const [name, value] of Object.entries(HEADERS)) reply.header(name, value);
    if (identity !== undefined) reply.header('strict-transport-security', ONLY_TLS);
    if (request.url.startsWith('/api/')) reply.header('cache-control', 'no-store');
    if (!rate.takes(request.ip)) {
      reply.header('retry-after', '1');
      throw Object.assign(
        new EkhoError('E_BUSY', 'too many requests', { remedy: 'Ask again in a second.' }),
        {
          statusCode: 429,
        },
      );
    }
    refuseOtherSites(request, identity);
    const caller = callerOf(request, access, isOpen, identity);
    request.caller = caller;
    revocation.watch(reply.raw, () => isStill(caller, () => callerOf(request, access, isOpen, identity)));
    const remedy = '`ekho dashboard` prints an address that has one.';
    refuseChanges(request, 'this needs a token with the role operate', remedy);
  };
}

/** Who may look may ask for nothing but that. */
function refuseChanges({ method, caller }: FastifyRequest, why: string, remedy: string): void {
  if (method === 'GET' || method === 'HEAD' || caller.role === 'operate') return;
  throw new EkhoError('E_DENIED', why, { remedy });
}

function callerOf(
  { headers, socket }: FastifyRequest,
  access: Access,
  isOpen: boolean,
  identity: Identity | undefined,
): Caller {
  const caller = access.callerOf(headers) ?? identity?.callerOf(socket as unknown as TLSSocket);
  if (caller !== undefined) return caller;
  if (!isOpen) return { role: 'read', name: 'loopback' };
  throw Object.assign(
    new EkhoError('E_DENIED', 'this needs a token or a client certificate', {
      remedy: '`ekho dashboard` on the host prints an address that has a token; docs/api.md tells of both.',
    }),
    { statusCode: 401 },
  );
}

/** A web page must not reach the host by a name of its own that resolves to loopback (DNS rebinding), nor across sites. */
function refuseOtherSites({ headers, method }: FastifyRequest, identity: Identity | undefined): void {
  const { host = '', origin, 'sec-fetch-site': site = 'none' } = headers;
  if (!isLoopbackName(host) && !identity?.isNamed(host.replace(/:\d{1,5}$/, ''))) {
    throw new EkhoError('E_DENIED', `"${host}" is not this host`, {
      remedy: 'Use the URL that the host printed.',
    });
  }
  // Another port of this machine is another program, but may well have a link to here.
  const isOther = site === 'cross-site' || (site === 'same-site' && method !== 'GET');
  if (isOther || (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)) {
    throw new EkhoError('E_DENIED', 'requests from other sites are refused', {
      remedy: 'Use the URL that the host printed.',
    });
  }
}

/** Asked for `Basic`, a browser asks its user: any name, the token as password. Who brought a token of its own knows better (RFC 6750). */
function challengeOf({ headers: { authorization = '' } }: FastifyRequest): string {
  return /^bearer/i.test(authorization)
    ? 'Bearer realm="ekho", error="invalid_token"'
    : 'Basic realm="ekho", charset="UTF-8"';
}

function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = problemOf(error);
  if (problem.status === 401) reply.header('www-authenticate', challengeOf(request));
  reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem));
}

/** An address stands for nobody else's name, so that all of 127.0.0.0/8 will do. */
function isLoopbackName(host: string): boolean {
  const [, six, name = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d{1,5})?$/.exec(host) ?? [];
  return name.toLowerCase() === 'localhost' || isLoopback(six ?? name);
}
