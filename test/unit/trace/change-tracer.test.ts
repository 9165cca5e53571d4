/** What of a change is followed, and when it is over. */
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type ChangeTrace, ChangeTracer } from '../../../host/trace/change-tracer.ts';

function tracerOf(sample: number): { tracer: ChangeTracer; traces: ChangeTrace[] } {
  const traces: ChangeTrace[] = [];
  return { tracer: new ChangeTracer(sample, (trace) => traces.push(trace)), traces };
}

function change(tracer: ChangeTracer, changes = 1, revision = 7): void {
  tracer.received();
  tracer.received();
  tracer.committing();
  tracer.committed(changes, revision);
}

it('follows batches of the plans that have their turn next, until all are answered', async () => {
  const { tracer, traces } = tracerOf(1);
  change(tracer, 3);
  expect(tracer.planning('a')).toBe(true);
  tracer.sent('a', 1, 10);
  tracer.sent('a', 2, 5);
  expect(tracer.planning('b')).toBe(true);
  tracer.sent('b', 1, 10);
  await setImmediate();
  expect(tracer.planning('a')).toBe(false);
  const now = performance.now();
  tracer.answered('a', 1, now, now, 0);
  tracer.answered('b', 1, now, now, 4);
  expect(traces).toHaveLength(0);
  tracer.answered('a', 2, now, now, 0);
  expect(traces).toMatchObject([{ changes: 3, revision: 7, isWhole: true }]);
  expect(traces[0]!.batches.map(({ plugin, sequence, outcomes }) => [plugin, sequence, outcomes])).toEqual([
    ['a', 1, 0],
    ['a', 2, 0],
    ['b', 1, 4],
  ]);
  for (const { planned, sent, answered } of traces[0]!.batches) {
    expect(planned).toBeLessThanOrEqual(sent);
    expect(sent).toBeLessThanOrEqual(answered);
  }
});

it('ends with the plans’ turn where nothing goes to hardware', async () => {
  const { tracer, traces } = tracerOf(1);
  change(tracer);
  await setImmediate();
  expect(traces).toMatchObject([{ batches: [], isWhole: true }]);
});

it('is no whole trace when the plugin goes', async () => {
  const { tracer, traces } = tracerOf(1);
  change(tracer);
  tracer.planning('a');
  tracer.sent('a', 1, 10);
  tracer.lost('b');
  expect(traces).toHaveLength(0);
  tracer.lost('a');
  expect(traces).toMatchObject([{ isWhole: false }]);
});

it('is one at a time, and a share of all', async () => {
  const { tracer, traces } = tracerOf(1);
  change(tracer, 1, 1);
  tracer.planning('a');
  tracer.sent('a', 1, 1);
  change(tracer, 1, 2);
  tracer.answered('a', 1, 0, 0, 0);
  await setImmediate();
  expect(traces.map(({ revision }) => revision)).toEqual([1]);

  const none = tracerOf(0);
  for (let count = 0; count < 100; count++) change(none.tracer);
  await setImmediate();
  expect(none.traces).toEqual([]);
  expect(none.tracer.planning('a')).toBe(false);
});
