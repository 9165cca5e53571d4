/** Two hundred dashboards and fifty event streams on a host that follows a storm of changes: nobody is turned away, and the mirror keeps up. */
import { expect, test } from 'vitest';
import { storm } from '../support/storm.ts';

const DASHBOARDS = 200;
const STREAMS = 50;
/** Changes a second, and for how many of them. */
const RATE = 20_000;
const SECONDS = 5;
/** For the mirror to be equal to the kernel after the last change, in milliseconds; as long as the storm on a machine that is busy. */
const FOLLOWS_MS = 1_000;

test(`${DASHBOARDS} dashboards and ${STREAMS} event streams in a storm`, async () => {
  const changes = RATE * SECONDS;
  const { took, mirror, hardware, waited, verified, overrun, seen } = await storm({
    changes,
    rate: RATE,
    dashboards: DASHBOARDS,
    streams: STREAMS,
  });
  const { answers_ms, streams, faults } = seen!;
  console.log(
    `${changes} changes in ${took.toFixed(0)} ms; mirror ${mirror.toFixed(0)} ms after, hardware ${hardware.toFixed(0)} ms after, ${overrun} lost in the socket; ` +
      `answers ${JSON.stringify(answers_ms)}; changes told to a stream ${Math.min(...streams.map(({ told }) => told))} or more, lost ${Math.max(...streams.map(({ lost }) => lost))} or less`,
  );
  expect(waited).toMatch(/^settled/);
  expect(verified).toMatch(/^equal/m);
  expect(faults).toEqual([]);
  for (const { told, lost } of streams) expect(told + lost).toBeGreaterThanOrEqual(changes - overrun);
  expect(mirror).toBeLessThan(Math.max(FOLLOWS_MS, took));
}, 300_000);
