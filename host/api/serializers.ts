/**
 * Answers as JSON, by what their routes' schemas say. Fastify has all of them compiled while it starts, which takes as long as reading a
 * small kernel; here each is compiled with its first answer.
 */
import { createRequire } from 'node:module';
import type { SerializerFactory } from '@fastify/fast-json-stringify-compiler';

const require = createRequire(import.meta.url);

/** For Fastify's `compilersFactory`. */
export const lateSerializers: SerializerFactory = (schemas, options) => (route) => {
  let serialize: ReturnType<ReturnType<SerializerFactory>> | undefined;
  return (answer) => {
    serialize ??= (
      require('@fastify/fast-json-stringify-compiler') as typeof import('@fastify/fast-json-stringify-compiler')
    )()(
      schemas,
      options,
    )(route);
    return serialize(answer);
  };
};
