/** The debug kernel finds what it is there to find: each deliberate bug of faults.ko ends the command, and without one nothing does. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkMemory } from '../debug/check.ts';
import { Guest } from '../guest.ts';
import { installMissing, LabError, OWN_ARCH, whyNot } from '../machine.ts';
import { FAULTS, moduleFile } from '../module.ts';

const reason = whyNot() ?? (OWN_ARCH === 'amd64' ? undefined : 'the debug kernel is for amd64');

/** Longest that building the kernel, or one guest, may take in milliseconds. */
const BUILD_LIMIT = 90 * 60_000;
const LIMIT = 30 * 60_000;

/** What the kernel says of each. */
const REPORTS: Readonly<Record<string, RegExp>> = {
  use_after_free: /BUG: KASAN: slab-use-after-free in \S*use_after_free/,
  out_of_bounds: /BUG: KASAN: slab-out-of-bounds in \S*out_of_bounds/,
  double_free: /BUG: KASAN: double-free in \S*double_free/,
  stack: /BUG: KASAN: stack-out-of-bounds in \S*stack/,
  lock_order: /WARNING: possible circular locking dependency detected/,
  irq_lock: /WARNING: inconsistent lock state/,
  rcu: /WARNING: suspicious RCU usage/,
  sleep_in_atomic: /BUG: (?:sleeping function called from invalid context|scheduling while atomic)/,
  leak: /The kernel leaks 1 objects.*unreferenced object.*size 64.*\bfaults\b/s,
  refcount: /refcount_t: addition on 0; use-after-free/,
  timer: /ODEBUG: free active .*timer/,
};

const boot = () => Guest.boot({ flavour: 'debug', say: console.log });

describe.skipIf(reason !== undefined)(`the debug kernel${reason ? `: ${reason}` : ''}`, () => {
  let guest: Guest | undefined;

  beforeAll(async () => {
    expect(installMissing(console.log)).toBeUndefined();
    guest = await boot();
  }, BUILD_LIMIT);

  afterAll(() => guest?.end());

  const insert = (fault: string) => `insmod ${moduleFile(guest!.release, FAULTS)} fault=${fault}`;

  test('has nothing to say of a module without a bug', { timeout: LIMIT }, async () => {
    expect(await guest!.run(`${insert('none')} && rmmod faults`)).toMatchObject({ code: 0, stderr: '' });
    await checkMemory(guest!);
    await guest!.end();
  });

  test.each(Object.entries(REPORTS))('finds %s', { timeout: LIMIT }, async (fault, report) => {
    await using guest = await boot();
    const found = guest.run(insert(fault)).then(() => checkMemory(guest));
    await expect(found).rejects.toThrow(LabError);
    await expect(found).rejects.toThrow(report);
  });
});
