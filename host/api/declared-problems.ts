/** Which problems each path may answer with, for its description: by what the path takes, and what it does. A test holds answers to it. */
import { Type } from '@fastify/type-provider-typebox';
import type { FastifyInstance, RouteOptions } from 'fastify';
import { ERROR_CODES, type ErrorCode } from '../errors.ts';
import { PROBLEM_TYPE } from './problem.ts';

const PROBLEM = 'Problem';

const ProblemSchema = Type.Object(
  {
    type: Type.Literal('about:blank'),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.String(),
    code: Type.Enum(Object.keys(ERROR_CODES) as ErrorCode[]),
    remedy: Type.Optional(Type.String()),
    operation: Type.Optional(Type.String()),
    kernel: Type.Optional(Type.String()),
  },
  { $id: PROBLEM, description: 'RFC 9457' },
);

const WORDS: Readonly<Record<number, string>> = {
  400: 'The request is not understood',
  401: 'On TCP: a token that is not valid, or none where one is needed',
  403: 'On TCP: the role does not allow it, or another site asks',
  404: 'There is no such thing',
  409: 'What it is about is in no state for it: a plugin that does not run, a kernel that does not have it',
  413: 'The body is too large',
  415: 'The body is no JSON',
  429: 'On TCP: too many requests a second',
  500: 'A fault of the host, or the kernel refused',
  503: 'Too much at a time',
  504: 'The time limit passed',
};

/** Of every path. */
const ALWAYS = [400, 401, 403, 429, 500];

/** Of paths that look at objects, plugins or devices, by their beginning below /api/v1. */
const MORE: readonly (readonly [path: RegExp, statuses: readonly number[]])[] = [
  [/^\/objects\//, [404, 409, 503]],
  [/^\/changes$/, [404, 409, 503]],
  [/^\/lookup$/, [404, 409]],
  [/^\/(stats|verify)$/, [409, 503, 504]],
  [/^\/wait$/, [409, 503, 504]],
  [/^\/plugins\/:name/, [404, 409, 504]],
  [/^\/devices\/:name/, [404, 409]],
];

/** Adds them to the description of every path that comes after. */
export function declareProblems(app: FastifyInstance): void {
  app.addSchema(ProblemSchema);
  app.addHook('onRoute', (route) => {
    const { schema } = route;
    if (schema === undefined || schema.hide === true) return;
    const problems = Object.fromEntries(
      statusesOf(route).map((status) => [
        status,
        { description: WORDS[status], content: { [PROBLEM_TYPE]: { schema: { $ref: `${PROBLEM}#` } } } },
      ]),
    );
    route.schema = { ...schema, response: { ...(schema.response as object), ...problems } };
  });
}

function statusesOf({ url, method }: Pick<RouteOptions, 'url' | 'method'>): number[] {
  const path = url.replace(/^\/api\/v1/, '');
  const hasBody = [method].flat().some((name) => name !== 'GET' && name !== 'HEAD');
  return [
    ...new Set([
      ...ALWAYS,
      ...(hasBody ? [413, 415] : []),
      ...MORE.flatMap(([which, statuses]) => (which.test(path) ? statuses : [])),
    ]),
  ].sort((a, b) => a - b);
}
