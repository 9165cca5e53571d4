/** One host publishes its mirror, another offloads from it: whatever happens in between, hardware is what the kernel is. */
import { afterEach, expect, test } from 'vitest';
import { host4, stormRoutes } from '../support/router.ts';
import { RemotePair } from './remote-support.ts';

let pair: RemotePair | undefined;

afterEach(async () => {
  await pair?.close();
  pair = undefined;
});

test('a second host offloads what the first mirrors, and follows it', async () => {
  pair = await RemotePair.start();
  const { router, reader } = pair;
  router.ip(`route add 192.0.2.0/24 via ${host4(0, 2)}`);
  await pair.settled();
  const { ways } = await reader.lookup({ destination: '192.0.2.1' });
  expect(ways).toMatchObject([{ link: 'p0', gateway: host4(0, 2), mac: '02:00:00:00:00:02' }]);

  router.ip(`route replace 192.0.2.0/24 via ${host4(1, 3)}`);
  router.batch([...stormRoutes(2000, 2)]);
  await pair.settled();
  expect((await reader.lookup({ destination: '192.0.2.1' })).ways).toMatchObject([{ link: 'p1' }]);
  expect((await reader.lookup({ destination: '16.0.7.1' })).action).toBe('forward');

  router.batch([...stormRoutes(2000, 2, 'del')]);
  await pair.settled();
  expect((await reader.lookup({ destination: '16.0.7.1' })).action).toBe('trap');
});
