/**
 * Five layers: `unit` needs no rights and is quick, `netns` makes network namespaces and needs root (`netns-alone` goes after
 * it, as what it does concerns the whole machine), `web` looks at the dashboard of a host in a namespace with a browser, `lab` runs inside a
 * guest (test/lab/suite.ts), whose kernel has what a machine's own may lack; `lab-last` goes after it there, as what it
 * does cannot be undone; `lab-ovs` and `lab-frr` in guests that have Open vSwitch and FRR. `guests` boots such guests itself.
 */
import { defineConfig } from 'vitest/config';
import { PACE } from './test/lab/pace.ts';

const lab = {
  testTimeout: 300_000 * PACE,
  expect: { poll: { timeout: 60_000 * PACE, interval: 10 } },
  hookTimeout: 300_000 * PACE,
  pool: 'forks',
  isolate: false,
  fileParallelism: false,
} as const;

const netns = {
  testTimeout: 300_000,
  expect: { poll: { timeout: 60_000, interval: 10 } },
  hookTimeout: 300_000,
  pool: 'forks',
} as const;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'plugins/*/test/**/*.test.ts', 'bpf/*/test/unit/**/*.test.ts'],
          testTimeout: 240_000,
          // Starting a worker takes a tenth of a second alone, and seconds beside other tests.
          expect: { poll: { timeout: 60_000, interval: 10 } },
          hookTimeout: 240_000,
          setupFiles: ['test/support/fast-check.ts'],
          pool: 'forks',
        },
      },
      {
        test: {
          name: 'netns',
          include: ['test/netns/*.test.ts', 'bpf/*/test/root/**/*.test.ts'],
          ...netns,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'netns-alone',
          include: ['test/netns/alone/*.test.ts'],
          ...netns,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'web',
          include: ['test/web/*.test.ts'],
          ...netns,
          fileParallelism: false,
        },
      },
      {
        test: {
          ...lab,
          name: 'lab',
          include: ['test/lab/*.test.ts'],
        },
      },
      {
        test: {
          ...lab,
          name: 'lab-last',
          include: ['test/lab/last/*.test.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...lab,
          name: 'lab-ovs',
          include: ['test/lab/ovs/*.test.ts'],
        },
      },
      {
        test: {
          ...lab,
          name: 'lab-frr',
          include: ['test/lab/frr/*.test.ts'],
        },
      },
      {
        test: {
          name: 'guests',
          include: ['test/lab/machine/*.test.ts'],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
    ],
  },
});
