/** Whom a reader believes: certificates on both sides, and values that are not what they should be. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { afterEach, expect, test } from 'vitest';
import { connect, subjectOf } from '../../host/remote/connection.ts';
import { VALUE_HEADER } from '../../host/remote/entry.ts';
import type { TestHost } from '../support/host.ts';
import { certificates, NatsServer } from '../support/nats.ts';
import { Random } from '../support/random.ts';
import { Router, stormRoutes } from '../support/router.ts';
import { SEED } from '../support/seed.ts';
import { BUCKET, RemotePair, uncut } from './remote-support.ts';

const MUTATIONS = 4000;

let pair: RemotePair | undefined;
let folder: string | undefined;

afterEach(async () => {
  await pair?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  pair = folder = undefined;
});

test('with certificates the server takes whom it knows, and is taken by whom knows it', async () => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-tls-'));
  const { server, client, stranger } = certificates(folder);
  pair = new RemotePair();
  pair.router = new Router(1);
  pair.server = await NatsServer.start(server);
  const { url } = pair.server;
  pair.publisher = await pair.publish(url, {}, client);
  pair.reader = await pair.read(url, client);
  await pair.settled();

  const refused = async (host: TestHost, words: RegExp) => {
    await host.until(`refused: ${words}`, async () => words.test((await host.status()).source?.reason ?? ''));
    expect((await host.status()).source).toMatchObject({
      state: 'connecting',
      remedy: /`ca`, `cert` and `key`/,
    });
  };
  await refused(await pair.read(url, stranger), /certificate|alert/i);
  await refused(await pair.read(url, { ...client, ca: join(folder, 'other.pem') }), /certificate/i);
  await refused(await pair.read(url), /certificate/i);
});

test(`values that are not what they should be are left out (seed ${SEED})`, async () => {
  pair = await RemotePair.start();
  const { publisher, reader, router, server } = pair;
  router.batch([...stormRoutes(200, 2)]);
  await pair.settled();
  await publisher.stop();

  const random = new Random(SEED);
  const connection = await connect({ servers: [server.url], bucket: BUCKET }, 'test');
  try {
    const bucket = await new Kvm(jetstream(connection)).open(BUCKET);
    const keys: string[] = [];
    for await (const key of await bucket.keys()) keys.push(key);
    const values = new Map<string, Uint8Array>();
    for (const key of keys) values.set(key, (await bucket.get(key))!.value);
    const put = (key: string, value: Uint8Array) => connection.publish(subjectOf(BUCKET, key), value);

    const one = keys.find((key) => key.startsWith('route.'))!;
    const other = keys.find((key) => key.startsWith('link.'))!;
    const junk = [
      ['nothing', new Uint8Array(100)],
      ['route.AAAA.0', new Uint8Array(0)],
      ['route.AAAA.70000', values.get(one)!],
      ['gadget.AAAA.0', values.get(one)!],
      [`${one}.1`, values.get(one)!],
      [one, values.get(other)!],
      [other, values.get(one)!],
      [one.replace(/\d+$/, '01'), values.get(one)!],
      ['publisher', Buffer.from('{"format":1}')],
      ['publisher', Buffer.alloc(900_000, '[')],
    ] as const;
    for (const [key, value] of junk) put(key, value);
    for (let round = 0; round < MUTATIONS; round++) {
      const key = keys[random.below(keys.length)]!;
      put(key, mutated(values.get(key)!, random));
    }
    await connection.flush();
  } finally {
    await connection.close();
  }

  await uncut(reader, async () => (await reader.settled()) > 0);
  expect((await reader.stats()).counters.sync!.rejected).toBeGreaterThan(0);
  expect((await reader.status()).plugins[0]!.state).toBe('active');
  expect(reader.output).not.toMatch(/Error: /);

  await publisher.launch();
  await pair.settled();
});

/** With some bits turned, or shorter, or longer; the header stays. */
function mutated(value: Uint8Array, random: Random): Uint8Array {
  const kind = random.below(10);
  if (kind === 0) return value.slice(0, random.below(value.length));
  if (kind === 1) return Buffer.concat([value, new Uint8Array(4 * (1 + random.below(8)))]);
  const copy = value.slice();
  if (copy.length === VALUE_HEADER) return copy;
  for (let turn = random.below(4); turn >= 0; turn--) {
    const at = VALUE_HEADER + random.below(copy.length - VALUE_HEADER);
    copy[at] = copy[at]! ^ (1 << random.below(8));
  }
  return copy;
}
