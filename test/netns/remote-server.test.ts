/** What publisher and reader say of a server, or a bucket, that is not what they need, and that they go on once it is; and a reader that comes late. */
import { jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { afterEach, expect, test } from 'vitest';
import { connect, streamOf } from '../../host/remote/connection.ts';
import { lastSequence } from '../../host/remote/lease.ts';
import { RECORD_KEY } from '../../host/remote/record.ts';
import { NatsServer } from '../support/nats.ts';
import { host4, Router, stormRoutes } from '../support/router.ts';
import { BUCKET, published, RemotePair } from './remote-support.ts';

let pair: RemotePair | undefined;

afterEach(async () => {
  await pair?.close();
  pair = undefined;
});

async function withServer(hasJetStream = true): Promise<RemotePair> {
  pair = new RemotePair();
  pair.router = new Router(2);
  pair.server = await NatsServer.start(undefined, hasJetStream);
  return pair;
}

test('a server without JetStream is said to be one, and used once it has it', async () => {
  const { server } = await withServer(false);
  pair!.publisher = await pair!.publish(server.url);
  pair!.reader = await pair!.read(server.url);
  const { publisher, reader } = pair!;
  await publisher.until('the publisher says so', async () =>
    /JetStream/i.test((await publisher.status()).publish?.remedy ?? ''),
  );
  await reader.until('the reader says so', async () =>
    /JetStream/i.test((await reader.status()).source?.remedy ?? ''),
  );
  expect((await publisher.status()).publish).toMatchObject({
    state: 'waiting',
    reason: expect.stringContaining(`NATS at ${server.url}, bucket ${BUCKET}`),
    remedy: expect.stringContaining('Start the server with JetStream'),
  });
  expect((await reader.status()).source).toMatchObject({
    state: 'connecting',
    remedy: expect.stringContaining('Start the server with JetStream'),
  });
  await server.stop();
  server.configure(true);
  await server.start();
  await pair!.settled();
});

test('a bucket of a later format is neither taken over nor read, until it is gone', async () => {
  const { server } = await withServer();
  const connection = await connect({ servers: [server.url], bucket: BUCKET }, 'test');
  try {
    const bucket = await new Kvm(connection).create(BUCKET);
    // Of a host that ended in order, and whose record has another shape.
    await bucket.put(RECORD_KEY, JSON.stringify({ format: 2, released: true, publisher: { name: 'later' } }));
    await bucket.put('route.AAAA.0', 'what a later version writes');
    const before = await lastSequence(connection, BUCKET);
    pair!.publisher = await pair!.publish(server.url);
    pair!.reader = await pair!.read(server.url);
    const { publisher, reader } = pair!;
    const reasons = async () => [
      (await publisher.status()).publish?.reason,
      (await reader.status()).source?.reason,
    ];
    await publisher.until('both say so', async () =>
      (await reasons()).every((one) => one?.includes('format 2')),
    );
    expect(await reasons()).toEqual([
      `bucket ${BUCKET} has format 2, and this version writes format 1`,
      `bucket ${BUCKET} has format 2, and this version reads format 1`,
    ]);
    expect((await publisher.status()).publish?.remedy).toContain('Install the version that wrote it');
    expect((await reader.status()).source?.remedy).toContain('Install the same version');
    expect(await lastSequence(connection, BUCKET)).toBe(before);

    const manager = await jetstreamManager(connection);
    await manager.streams.delete(streamOf(BUCKET));
    await pair!.settled();
  } finally {
    await connection.close();
  }
});

test('a reader that comes when all has changed many times gets what there is, then the changes', async () => {
  const { server, router } = await withServer();
  pair!.publisher = await pair!.publish(server.url);
  for (let round = 0; round < 4; round++) {
    router.batch([...stormRoutes(500, 2)]);
    await published(pair!.publisher);
    if (round < 3) router.batch([...stormRoutes(500, 2, 'del')]);
    await published(pair!.publisher);
  }
  router.ip('route del 16.0.9.0/24');
  await published(pair!.publisher);
  const { counters } = await pair!.publisher.stats();
  expect(counters.publish!.deletes).toBeGreaterThan(1000);

  pair!.reader = await pair!.read(server.url);
  const { reader } = pair!;
  await pair!.settled();
  expect((await reader.lookup({ destination: '16.0.8.1' })).action).toBe('forward');
  expect((await reader.lookup({ destination: '16.0.9.1' })).action).toBe('trap');

  router.ip(`route add 198.51.100.0/24 via ${host4(1, 3)}`);
  await pair!.settled();
  expect((await reader.lookup({ destination: '198.51.100.1' })).action).toBe('forward');
});
