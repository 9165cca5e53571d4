/**
 * Publishing a mirror and reading it, against reading the kernel: `node test/bench/remote.ts [ROUTES]`, as root, with nats-server
 * installed. Ratios to the time of the netlink sync in the same run.
 */

import { KernelSync } from '../../host/kernel/sync.ts';
import { Mirror } from '../../host/mirror/mirror.ts';
import { Publisher } from '../../host/remote/publisher.ts';
import { RemoteSync } from '../../host/remote/source.ts';
import { NatsServer } from '../support/nats.ts';
import { Router, stormRoutes } from '../support/router.ts';

const routes = Number(process.argv[2] ?? 100_000);
const router = new Router(2);
const server = await NatsServer.start();
const bucket = { servers: [server.url], bucket: 'bench' };
const timed = async (action: () => Promise<unknown>): Promise<number> => {
  const began = performance.now();
  await action();
  return performance.now() - began;
};
const publish = async (mirror: Mirror): Promise<Publisher> => {
  const options = { ...bucket, lease: 10, storage: 'file' as const, replicas: 1, bytes: 2 ** 30 };
  const publisher = new Publisher(mirror, options, () => {});
  publisher.start();
  while (publisher.status().state !== 'published') await new Promise((resolve) => setTimeout(resolve, 1));
  return publisher;
};

try {
  router.batch([...stormRoutes(routes, 2)]);
  const mirror = new Mirror();
  const sync = new KernelSync(mirror, { netns: router.name });
  const kernel = await timed(() => sync.start());
  let publisher: Publisher | undefined;
  const first = await timed(async () => {
    publisher = await publish(mirror);
  });
  await publisher!.stop();
  const again = await timed(async () => {
    publisher = await publish(mirror);
  });
  const remote = new Mirror();
  const reader = new RemoteSync(remote, bucket);
  const read = await timed(() => reader.start());
  const show = (what: string, time: number) =>
    console.log(
      `${what.padEnd(34)} ${(time / kernel).toFixed(2)} × the netlink sync (${time.toFixed(0)} ms)`,
    );
  console.log(`${routes} routes, netlink sync ${kernel.toFixed(0)} ms`);
  show('publish into an empty bucket', first);
  show('compare with what is there already', again);
  show('read', read);
  reader.close();
  await publisher!.stop();
  sync.close();
} finally {
  await server.close();
  router.close();
}
