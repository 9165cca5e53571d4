import { expect, test } from 'vitest';
import { flagsOf } from '../../../host/assembly/marking.ts';
import { MARK_FLAGS } from '../../../host/kernel/firmware/marks.ts';
import type { OffloadState } from '../../../host/offload/reasons.ts';

const of = (...states: OffloadState[]) => flagsOf(states.map((state) => ({ plugin: 'p', state })));

test('the kernel is told the worst that any plugin says, and stays as it is while one has not said it', () => {
  expect(of()).toBe(0);
  expect(of('offloaded')).toBe(MARK_FLAGS.offloaded);
  expect(of('offloaded', 'trapped')).toBe(MARK_FLAGS.trapped);
  expect(of('trapped', 'offloaded')).toBe(MARK_FLAGS.trapped);
  expect(of('refused', 'trapped', 'offloaded')).toBe(MARK_FLAGS.failed);
  expect(of('offloaded', 'failed')).toBe(MARK_FLAGS.failed);
  expect(of('failed', 'pending')).toBeUndefined();
  expect(of('pending', 'offloaded')).toBeUndefined();
});
