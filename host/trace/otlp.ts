/** Traces of changes as spans of OpenTelemetry, sent by OTLP over HTTP (JSON) in the background. Loaded where tracing is configured alone. */
import { hostname } from 'node:os';
import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import { VERSION } from '../version.ts';
import type { ChangeTrace, TracedBatch } from './change-tracer.ts';

/** Spans that wait for the collector; beyond, new ones are dropped. */
const WAITING_MAX = 2048;
const PER_REQUEST_MAX = 512;
/** They wait this long for others to go with, in milliseconds. */
const DELAY_MS = 1000;
/** For the collector to answer. */
const ANSWER_MS = 10_000;
/** For what is left at the end. */
const CLOSE_MS = 2000;
/** A collector that does not take them is told of once in this time. */
const WARN_MS = 60_000;

export interface TraceCounters {
  /** Spans that the collector took, and that it did not. */
  exported: number;
  failed: number;
}

export interface TraceExport {
  readonly add: (trace: ChangeTrace) => void;
  readonly counters: Readonly<TraceCounters>;
  close(): Promise<void>;
}

/** `endpoint`: URL of the collector's traces, `http://127.0.0.1:4318/v1/traces`. */
export function openExport(endpoint: string, warn: (message: string) => void): TraceExport {
  const counters: TraceCounters = { exported: 0, failed: 0 };
  // A path may be a key.
  const { origin } = new URL(endpoint);
  const exporter = counted(
    new OTLPTraceExporter({ url: endpoint, timeoutMillis: ANSWER_MS }),
    counters,
    (message) => warn(`${origin} does not take traces: ${message}`),
  );
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'ekho',
      'service.version': VERSION,
      'host.name': hostname(),
      'process.pid': process.pid,
    }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: WAITING_MAX,
        maxExportBatchSize: PER_REQUEST_MAX,
        scheduledDelayMillis: DELAY_MS,
        exportTimeoutMillis: ANSWER_MS,
      }),
    ],
  });
  const tracer = provider.getTracer('ekho', VERSION);
  return {
    counters,
    add: (change) => addSpans(tracer, change),
    close: async () => {
      const limit = Promise.withResolvers<void>();
      const timer = setTimeout(limit.resolve, CLOSE_MS);
      await Promise.race([provider.shutdown().catch(() => {}), limit.promise]);
      clearTimeout(timer);
    },
  };
}

/** Counts what becomes of spans. */
function counted(
  inner: SpanExporter,
  counters: TraceCounters,
  warn: (message: string) => void,
): SpanExporter {
  let warned = Number.NEGATIVE_INFINITY;
  return {
    export(spans, done) {
      inner.export(spans, (result) => {
        if (result.code === 0) counters.exported += spans.length;
        else {
          counters.failed += spans.length;
          if (performance.now() - warned > WARN_MS) warn(result.error?.message ?? 'no reason was given');
          warned = performance.now();
        }
        done(result);
      });
    },
    shutdown: () => inner.shutdown(),
    ...(inner.forceFlush && { forceFlush: () => inner.forceFlush!() }),
  };
}

function addSpans(tracer: Tracer, change: ChangeTrace): void {
  const { received, committing, committed, revision, changes, batches, isWhole } = change;
  const root = tracer.startSpan(
    'change',
    {
      startTime: timeOf(received),
      attributes: { 'ekho.revision': revision, 'ekho.changes': changes, 'ekho.batches': batches.length },
    },
    ROOT_CONTEXT,
  );
  const context = trace.setSpan(ROOT_CONTEXT, root);
  const part = (name: string, from: number, to: number, attributes: Attributes = {}): Span => {
    const span = tracer.startSpan(name, { startTime: timeOf(from), attributes }, context);
    span.end(timeOf(to));
    return span;
  };
  part('netlink', received, committing);
  part('mirror', committing, committed);
  for (const batch of batches) addBatch(part, batch);
  if (!isWhole) root.setStatus({ code: SpanStatusCode.ERROR, message: 'a plugin did not answer' });
  root.end(timeOf(Math.max(committed, ...batches.map(({ sent, answered }) => Math.max(sent, answered)))));
}

function addBatch(
  part: (name: string, from: number, to: number, attributes: Attributes) => void,
  { plugin, sequence, entries, planned, sent, began, ended, answered, outcomes }: TracedBatch,
): void {
  const whose = { 'ekho.plugin': plugin, 'ekho.batch': sequence };
  part('plan', planned, sent, { ...whose, 'ekho.entries': entries });
  if (answered === 0) return;
  part('ring', sent, began, whose);
  part('apply', began, ended, { ...whose, 'ekho.entries': entries });
  part('outcome', ended, answered, { ...whose, 'ekho.outcomes': outcomes });
}

/** Seconds and nanoseconds since 1970. */
function timeOf(now_ms: number): [number, number] {
  const seconds = Math.floor((performance.timeOrigin + now_ms) / 1000);
  const rest_ms = performance.timeOrigin - seconds * 1000 + now_ms;
  return [seconds, Math.round(rest_ms * 1e6)];
}
