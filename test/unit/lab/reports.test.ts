/** What counts as a report of a debug kernel, and what kmemleak found. */
import { describe, expect, test } from 'vitest';
import { firstReport, leaks } from '../../lab/debug/reports.ts';

describe('reports on a console', () => {
  test.each([
    '[    5.123] BUG: KASAN: slab-use-after-free in use_after_free+0x88/0xb0 [faults]',
    '[    5.123] BUG: sleeping function called from invalid context at include/linux/sched/mm.h:321',
    '[    5.123] BUG: unable to handle page fault for address: ffffed1000000000',
    '[    5.123] [ BUG: Invalid wait context ]',
    '[    5.123] WARNING: possible circular locking dependency detected',
    '[    5.123] WARNING: inconsistent lock state',
    '[    5.123] WARNING: suspicious RCU usage',
    '[    5.123] WARNING: CPU: 0 PID: 1 at lib/refcount.c:25 refcount_warn_saturate+0x1d/0x130',
    '[    5.123] ODEBUG: free active (active state 0) object: 0 object type: timer_list hint: expired+0x0/0x10',
    '[    5.123] INFO: trying to register non-static key.',
    '[    5.123] INFO: task ip:123 blocked for more than 300 seconds.',
    '[   15.123] unregister_netdevice: waiting for sw0 to become free. Usage count = 2',
    '[    5.123] Oops: general protection fault, probably for non-canonical address',
    '[    5.123] Kernel panic - not syncing: Fatal exception',
    '[    5.123] kmemleak: Memory pool empty, consider increasing CONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE',
  ])('%s', (head) => {
    const before = '[    1.000] ekho: loading out-of-tree module taints kernel.';
    expect(firstReport(`${before}\n${head}\nnext\n`)).toEqual([head, 'next', '']);
  });

  test('what is no fault', () => {
    const lines = [
      '[    0.000] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar',
      '[    1.000] kmemleak: Kernel memory leak detector initialized (mem pool available: 34632)',
      '[    1.000] rcu: INFO: rcu_sched self-detected stall on CPU',
      '[    2.000] ekho: loading out-of-tree module taints kernel.',
    ];
    expect(firstReport(lines.join('\n'))).toBeUndefined();
  });
});

test('leaks, less those that are the kernel’s own', () => {
  const entry = (name: string) => `unreferenced object 0xffff888003b3e000 (size 64):
  comm "insmod", pid 123, jiffies 4294937296
  hex dump (first 32 bytes):
    00 00 00 00 00 00 00 00  ........
  backtrace (crc 0):
    ${name}+0x3a/0x60
    do_one_initcall+0x11c/0x4d0
`;
  const ours = entry('leak');
  const text = `${entry('some_init')}${ours}`;
  expect(leaks('')).toEqual([]);
  expect(leaks(text, [])).toHaveLength(2);
  expect(leaks(text, [{ function: 'some_init', why: 'kept for ever' }])).toEqual([ours.trimEnd()]);
  expect(leaks(text, [{ function: 'init', why: 'another function' }])).toHaveLength(2);
});
