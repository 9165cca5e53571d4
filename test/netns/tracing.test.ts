/** Changes followed from the kernel's notification to the device, as a collector of OpenTelemetry gets them. */
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../../host/cli/client.ts';
import { Bench } from './cli-support.ts';

const LIMIT = { timeout: 90_000, interval: 50 };

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { key: string; value: Record<string, unknown> }[];
  readonly status?: { code?: number };
}

/** opentelemetry-proto: trace/v1 ExportTraceServiceRequest as JSON. */
interface Request {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Span['attributes'] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

class Collector {
  readonly spans: Span[] = [];
  readonly services = new Set<unknown>();
  readonly types = new Set<string | undefined>();
  /** HTTP status of its answers. */
  status = 200;
  readonly #server: Server = createServer((request, response) => void this.#take(request, response));

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/traces`;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    this.types.add(request.headers['content-type']);
    if (this.status === 200) {
      for (const { resource, scopeSpans } of (JSON.parse(body) as Request).resourceSpans) {
        this.services.add(attributeOf(resource, 'service.name'));
        for (const { spans } of scopeSpans) this.spans.push(...spans);
      }
    }
    response.writeHead(this.status, { 'content-type': 'application/json' }).end('{}');
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Traces whose root is there, each as its spans by name. */
  traces(): Map<string, Span[]>[] {
    return this.spans
      .filter(({ name }) => name === 'change')
      .map(({ traceId }) => {
        const named = new Map<string, Span[]>();
        for (const span of this.spans)
          if (span.traceId === traceId) named.set(span.name, [...(named.get(span.name) ?? []), span]);
        return named;
      });
  }
}

function attributeOf({ attributes }: Pick<Span, 'attributes'>, key: string): unknown {
  const value = attributes.find((one) => one.key === key)?.value;
  return value && Object.values(value)[0];
}

const start = (span: Span) => BigInt(span.startTimeUnixNano);
const end = (span: Span) => BigInt(span.endTimeUnixNano);

describe.each(['worker', 'process'])('with a plugin in a %s', (isolation) => {
  let bench: Bench;
  const collector = new Collector();

  beforeAll(async () => {
    bench = new Bench();
    bench.router();
    const file = join(bench.folder, 'ekho.toml');
    const lines = [
      '[plugin.softnic]',
      'device = "asic0"',
      'ports = ["p?"]',
      `isolation = "${isolation}"`,
      '[tracing]',
      `endpoint = "${await collector.listen()}"`,
      'sample = 1',
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    await bench.start('--config', file);
  });
  afterAll(async () => {
    await bench.end();
    collector.close();
  });

  it('a change is one trace, each step of it where it belongs', async () => {
    const began = BigInt(Date.now()) * 1_000_000n;
    let number = 0;
    const whole = () =>
      collector
        .traces()
        .find(
          (trace) => trace.has('apply') && trace.has('outcome') && start(trace.get('change')![0]!) > began,
        );
    // One at a time is followed, and a transaction that brings nothing to hardware may be the one.
    await expect
      .poll(() => {
        if (whole() === undefined) bench.ip(`route add 198.18.${number++ % 250}.0/24 via 198.51.100.2`);
        return whole() !== undefined;
      }, LIMIT)
      .toBe(true);
    const trace = whole()!;
    const root = trace.get('change')![0]!;
    const parts = ['netlink', 'mirror', 'plan', 'ring', 'apply', 'outcome'];
    expect([...trace.keys()].sort()).toEqual(['change', ...parts].sort());
    expect(root.parentSpanId ?? '').toBe('');
    const spans = parts.map((name) => trace.get(name)![0]!);
    for (const span of spans) {
      expect(span.parentSpanId).toBe(root.spanId);
      expect(start(span) <= end(span), `${span.name} ends before it begins`).toBe(true);
      expect(start(span) >= start(root) && end(span) <= end(root), `${span.name} is out of its trace`).toBe(
        true,
      );
    }
    for (const [index, span] of spans.entries()) {
      const next = spans[index + 1];
      if (next !== undefined)
        expect(start(next) + 1000n >= end(span), `${next.name} begins before ${span.name} ends`).toBe(true);
    }
    const [, , plan, , apply, outcome] = spans;
    expect(attributeOf(apply!, 'ekho.plugin')).toBe('softnic');
    expect(Number(attributeOf(plan!, 'ekho.entries'))).toBeGreaterThan(0);
    expect(Number(attributeOf(outcome!, 'ekho.outcomes'))).toBeGreaterThanOrEqual(0);
    expect(Number(attributeOf(root, 'ekho.revision'))).toBeGreaterThan(0);
    expect(Number(attributeOf(root, 'ekho.changes'))).toBeGreaterThan(0);
    expect(root.status?.code ?? 0).toBe(0);
    expect([...collector.services]).toEqual(['ekho']);
    expect([...collector.types]).toEqual(['application/json']);
  });
});

it('a collector that refuses is counted and told of, and nothing else is changed by it', async () => {
  const bench = new Bench();
  const collector = new Collector();
  collector.status = 400;
  try {
    bench.router();
    const file = join(bench.folder, 'ekho.toml');
    const endpoint = await collector.listen();
    writeFileSync(
      file,
      `[plugin.softnic]\ndevice = "asic0"\nports = ["p?"]\n[tracing]\nendpoint = "${endpoint}"\nsample = 1\n`,
    );
    await bench.start('--config', file, '--listen', '127.0.0.1:0');
    const base = /http:\/\/127\.0\.0\.1:\d+(?= \()/.exec(bench.output)![0];
    const failed = async () => {
      const text = await (await fetch(`${base}/metrics`)).text();
      return Number(/^ekho_trace_spans_total\{result="failed"\} (\d+)$/m.exec(text)?.[1]);
    };
    let number = 0;
    await expect
      .poll(() => {
        bench.ip(`route replace 198.18.${number++ % 250}.0/24 via 198.51.100.2`);
        return failed();
      }, LIMIT)
      .toBeGreaterThan(0);
    await expect
      .poll(() => bench.output, LIMIT)
      .toContain(`warn: ${new URL(endpoint).origin} does not take traces: `);
    const client = new Client(bench.socket);
    await client.get('/api/v1/wait?timeout=60');
    expect(await client.post('/api/v1/verify')).toMatchObject({ equal: true });
  } finally {
    await bench.end();
    collector.close();
  }
});
