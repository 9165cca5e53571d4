/** What can go wrong between a host that publishes and one that reads: cuts, restarts, loss, and a second publisher. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TestHost } from '../support/host.ts';
import { host4, Router, stormRoutes } from '../support/router.ts';
import { published, RemotePair } from './remote-support.ts';

const ROUTES = 500;
/** Writes other than of routes: what neighbours and addresses do by themselves meanwhile. */
const OTHERS = 16;

let pair: RemotePair;
const routers: Router[] = [];

beforeEach(async () => {
  pair = await RemotePair.start();
  pair.router.batch([...stormRoutes(ROUTES, 2)]);
  await pair.settled();
});

afterEach(async () => {
  await pair?.close();
  for (const router of routers.splice(0)) router.close();
});

/** Takes a route, gives another. */
function change(number: number): void {
  pair.router.ip(`route del 16.0.${number}.0/24`);
  pair.router.ip(`route add 198.51.${number}.0/24 via ${host4(1, 3)}`);
}

async function expectChanged(number: number): Promise<void> {
  expect((await pair.reader.lookup({ destination: `16.0.${number}.1` })).action).toBe('trap');
  expect((await pair.reader.lookup({ destination: `198.51.${number}.1` })).action).toBe('forward');
}

/** Resolves once every kind of the reader is syncing because of `reason`. */
async function expectTrouble(reason: RegExp): Promise<void> {
  await pair.reader.until(`trouble ${reason}`, async () => {
    const { source, synced } = await pair.reader.status();
    return !synced && source?.reason !== undefined && reason.test(source.reason);
  });
}

async function publishCounters(host: TestHost): Promise<Record<string, number>> {
  return (await host.stats()).counters.publish!;
}

test('the reader is cut off: hardware stays, then follows, and what was right is not touched', async () => {
  const { reader, readerWire } = pair;
  const { writes } = await reader.device();
  readerWire.cut();
  await expectTrouble(/NATS|cut/);
  change(1);
  await published(pair.publisher);
  expect((await reader.lookup({ destination: '16.0.1.1' })).action).toBe('forward');
  readerWire.mend();
  await pair.settled();
  await expectChanged(1);
  expect((await reader.device()).writes - writes).toBeLessThanOrEqual(OTHERS);
});

test('the publisher is cut off, and writes only the differences when it is back', async () => {
  const { publisher, publisherWire } = pair;
  const before = await publishCounters(publisher);
  publisherWire.cut();
  await publisher.until(
    'the cut is seen',
    async () => (await publisher.status()).publish?.state === 'waiting',
  );
  change(2);
  await expectTrouble(/not been heard of/);
  publisherWire.mend();
  await pair.settled();
  await expectChanged(2);
  const { writes, deletes } = await publishCounters(publisher);
  expect(writes! - before.writes!).toBeLessThanOrEqual(OTHERS);
  expect(deletes! - before.deletes!).toBeGreaterThanOrEqual(1);
});

test('a wire that carries nothing any more and says nothing is found out', async () => {
  pair.readerWire.hold();
  pair.publisherWire.hold();
  change(3);
  await expectTrouble(/./);
  await pair.settled();
  await expectChanged(3);
});

test('the server is restarted', async () => {
  const { server, reader } = pair;
  const { writes } = await reader.device();
  await server.stop();
  await expectTrouble(/NATS|cut/);
  change(4);
  await server.start();
  await pair.settled();
  await expectChanged(4);
  expect((await reader.device()).writes - writes).toBeLessThanOrEqual(OTHERS);
});

test('the server is killed and loses what it stored', async () => {
  const { server, reader } = pair;
  const { writes, removes } = await reader.device();
  await server.stop('SIGKILL');
  server.wipe();
  change(5);
  await server.start();
  await pair.settled();
  await expectChanged(5);
  const after = await reader.device();
  expect(after.writes - writes).toBeLessThanOrEqual(OTHERS);
  expect(after.removes - removes).toBeLessThanOrEqual(OTHERS);
});

test('a reader that stands still slows nobody, and catches up', async () => {
  const { router, publisher, reader } = pair;
  process.kill(reader.pid, 'SIGSTOP');
  try {
    for (let round = 0; round < 3; round++) {
      router.batch([...stormRoutes(ROUTES, 2, 'del')]);
      router.batch([...stormRoutes(ROUTES, 2)]);
    }
    change(6);
    await publisher.until('all is written', async () => (await publisher.status()).publish?.pending === 0);
  } finally {
    process.kill(reader.pid, 'SIGCONT');
  }
  await pair.settled();
  await expectChanged(6);
});

test('a publisher that was killed leaves nothing stale once it is back', async () => {
  const { publisher, reader } = pair;
  await publisher.stop('SIGKILL');
  await expectTrouble(/not been heard of/);
  change(7);
  await publisher.launch();
  await pair.settled();
  await expectChanged(7);
  const { writes, values } = await publishCounters(publisher);
  expect(values).toBeGreaterThanOrEqual(ROUTES);
  expect(writes).toBeLessThanOrEqual(OTHERS);
  expect((await reader.status()).source?.publisher?.epoch).toBe(2);
});

test('a publisher that ends says so', async () => {
  await pair.publisher.stop();
  await expectTrouble(/stopped publishing/);
  expect((await pair.reader.lookup({ destination: '16.0.1.1' })).action).toBe('forward');
});

test('a host with another kernel refuses to publish to the same bucket', async () => {
  const router = new Router(1);
  routers.push(router);
  const second = await pair.publish(pair.server.url, { netns: router.name });
  await second.until('it refuses', async () => (await second.status()).publish?.state === 'refused');
  const { reason, remedy } = (await second.status()).publish!;
  expect(reason).toMatch(/^bucket edge is published to by host /);
  expect(remedy).toMatch(/publish\.bucket/);
  expect(second.output).toContain(reason);
  change(8);
  await pair.settled();
  await expectChanged(8);
});

test('of two processes on one host one publishes; a superseded one can change nothing', async () => {
  const { publisher, server } = pair;
  const second = await pair.publish(server.url);
  await second.until('it waits', async () => {
    const { state, reason } = (await second.status()).publish!;
    return state === 'waiting' && reason?.includes('another process on this host') === true;
  });
  process.kill(publisher.pid, 'SIGSTOP');
  try {
    await second.until('it goes on', async () => (await second.status()).publish?.state === 'published');
  } finally {
    process.kill(publisher.pid, 'SIGCONT');
  }
  change(9);
  await publisher.until('it sees that', async () => {
    const { state, reason } = (await publisher.status()).publish!;
    return state === 'waiting' && reason?.includes('another process on this host') === true;
  });
  await second.stop();
  await pair.settled();
  await expectChanged(9);
});
