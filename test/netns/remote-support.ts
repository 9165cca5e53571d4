/** Two hosts and a NATS server between them: one mirrors a router and publishes, the other offloads from what it reads. */
import type { Status } from '../../host/api/schemas.ts';
import { type HostOptions, TestHost } from '../support/host.ts';
import { NatsServer, type NatsTls, Wire } from '../support/nats.ts';
import { Router } from '../support/router.ts';

export const BUCKET = 'edge';
const LEASE_S = 1;
const SETTLE_MS = 120_000;

export class RemotePair {
  router!: Router;
  server!: NatsServer;
  /** Between the publisher and the server, and between the reader and the server. */
  publisherWire!: Wire;
  readerWire!: Wire;
  publisher!: TestHost;
  reader!: TestHost;
  readonly #others: { close(): unknown }[] = [];

  static async start(): Promise<RemotePair> {
    const pair = new RemotePair();
    try {
      pair.router = new Router(2);
      pair.server = await NatsServer.start();
      pair.publisherWire = await Wire.to(pair.server.port);
      pair.readerWire = await Wire.to(pair.server.port);
      pair.publisher = await pair.publish(pair.publisherWire.url);
      pair.reader = await pair.read(pair.readerWire.url);
    } catch (error) {
      await pair.close();
      throw error;
    }
    return pair;
  }

  /** Another host that publishes, with no plugin. */
  async publish(url: string, options: Partial<HostOptions> = {}, tls?: NatsTls): Promise<TestHost> {
    const host = new TestHost({
      netns: this.router.name,
      ...options,
      sections: [
        '[publish]',
        `servers = ["${url}"]`,
        `bucket = "${BUCKET}"`,
        `lease = ${LEASE_S}`,
        ...tlsLines(tls),
      ],
      isOnlyMirror: true,
    });
    this.#others.push(host);
    await host.launch();
    return host;
  }

  async read(url: string, tls?: NatsTls): Promise<TestHost> {
    const host = new TestHost({
      sections: [
        '[source]',
        'type = "remote"',
        `servers = ["${url}"]`,
        `bucket = "${BUCKET}"`,
        ...tlsLines(tls),
      ],
    });
    this.#others.push(host);
    await host.launch();
    return host;
  }

  /**
   * Resolves once what the router has now is in the reader's hardware, and throws unless all agree. Until then either side may be between
   * two sessions, or believe in a connection that carries nothing any more: what they hold decides, not what they say of themselves.
   */
  async settled(): Promise<void> {
    await uncut(this.reader, async () => {
      await published(this.publisher);
      await this.reader.until('the reader follows', async () => {
        const { source } = await this.reader.status();
        return source?.state === 'following' && source.reason === undefined;
      });
      await this.reader.settled();
      if ((await held(this.publisher)) !== (await held(this.reader))) return false;
      await this.publisher.verified();
      await this.reader.verified();
      return true;
    });
  }

  async close(): Promise<void> {
    for (const other of this.#others) await other.close();
    await this.publisherWire?.close();
    await this.readerWire?.close();
    await this.server?.close();
    this.router?.close();
  }
}

/** Resolves once all that the host mirrors is in its bucket. */
export async function published(host: TestHost): Promise<void> {
  await host.until('all is published', async () => (await host.status()).publish?.state === 'published');
  await host.settled();
}

/**
 * Repeats `action` until it is true. Sessions may break off meanwhile: on a busy machine a heartbeat comes late, and another
 * session follows.
 */
export async function uncut(host: TestHost, action: () => Promise<boolean>): Promise<void> {
  const wholly = async () => {
    try {
      return await action();
    } catch (error) {
      const { code, cause } = error as { code?: string; cause?: { code?: string } };
      if ((code ?? cause?.code) === 'E_REMOTE') return false;
      throw error;
    }
  };
  await host.until('publisher and reader hold the same', wholly, SETTLE_MS);
}

/** How it stands with every kind, and the routes. */
async function held({ client }: TestHost): Promise<string> {
  const { kinds } = await client.get<Status>('/api/v1/status');
  const routes = await client.get<Record<string, unknown>[]>('/api/v1/objects/route');
  return [
    ...kinds.map(({ kind, count, state }) => `${count} ${kind} ${state}`),
    ...routes.map(({ offload, ...route }) => JSON.stringify(route)).sort(),
  ].join('\n');
}

function tlsLines(tls: NatsTls | undefined): string[] {
  return tls === undefined
    ? []
    : Object.entries(tls).map(([name, file]) => `${name} = ${JSON.stringify(file)}`);
}
