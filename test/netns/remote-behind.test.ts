/**
 * A reader so far behind that marks of deletions are gone before it gets to them: it starts over, and nothing that was deleted stays. The
 * limits are minutes; here they are seconds.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KernelSync } from '../../host/kernel/sync.ts';
import { Mirror } from '../../host/mirror/mirror.ts';
import { KIND } from '../../host/mirror/types.ts';
import { Publisher } from '../../host/remote/publisher.ts';
import { RemoteSync } from '../../host/remote/source.ts';
import { NatsServer, Wire } from '../support/nats.ts';
import { Router, stormRoutes } from '../support/router.ts';

const ROUTES = 400;
/** Of these, so many come back: a value has taken the place of the mark. */
const AGAIN = 20;
const MARK_MS = 12_000;
const BEHIND_MS = MARK_MS / 2;
/** Bytes a second: the changes below take much longer than BEHIND_MS. */
const SLOW = 4000;
const LIMIT_MS = 120_000;

let router: Router;
let server: NatsServer;
let wire: Wire;
let sync: KernelSync;
let publisher: Publisher | undefined;
let reader: RemoteSync | undefined;
const mirror = new Mirror();
const remote = new Mirror();
const said: string[] = [];

beforeEach(async () => {
  router = new Router(2);
  server = await NatsServer.start();
  wire = await Wire.to(server.port);
  sync = new KernelSync(mirror, { netns: router.name });
  await sync.start();
});

afterEach(async () => {
  reader?.close();
  await publisher?.stop();
  sync?.close();
  await wire?.close();
  await server?.close();
  router?.close();
});

async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (const end = performance.now() + LIMIT_MS; !isTrue(); ) {
    if (performance.now() > end) expect.fail(`not within ${LIMIT_MS} ms: ${what}\n${said.join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('it starts over, and what was deleted is gone', async () => {
  const bucket = 'edge';
  const options = { lease: 1, storage: 'file', replicas: 1, bytes: 2 ** 26, mark_ms: MARK_MS } as const;
  publisher = new Publisher(mirror, { servers: [server.url], bucket, ...options }, () => {});
  publisher.start();
  reader = new RemoteSync(remote, {
    servers: [wire.url],
    bucket,
    behind_ms: BEHIND_MS,
    onLog: (_, message) => said.push(message),
  });
  const routes = (of: Mirror) => of.table(KIND.route).count;
  const isEqual = () => remote.synced && routes(remote) === routes(mirror);
  await sync.barrier();
  const before = routes(mirror);
  router.batch([...stormRoutes(ROUTES, 2)]);
  await until(
    'all is published',
    () => publisher!.status().pending === 0 && routes(mirror) === before + ROUTES,
  );
  await reader.start();
  await until('the reader follows', isEqual);

  wire.slow(SLOW);
  // Much to tell comes before the deletions.
  router.batch([...stormRoutes(ROUTES, 2)].map((line) => `${line} metric 7`));
  router.batch([...stormRoutes(ROUTES, 2, 'del')]);
  router.batch([...stormRoutes(AGAIN, 2)]);
  await until('it is seen to be behind', () =>
    said.some((line) => line.includes(`fell ${BEHIND_MS / 1000} s behind`)),
  );
  await until('no mark is left', () => publisher!.counters().purged! >= ROUTES);
  wire.slow(Number.POSITIVE_INFINITY);
  await until(
    'the reader has what the kernel has',
    () => isEqual() && routes(mirror) === before + ROUTES + AGAIN,
  );
  const { equal, differences } = await reader.verify();
  expect(differences).toEqual([]);
  expect(equal).toBe(true);
});
