/**
 * A real component, in a worker and in a process of its own: calls, order, both call paths, and what happens to plugins
 * that misbehave.
 */

import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BATCH_ENTRIES_MAX } from '../../../host/plugin/batch.ts';
import type { LoadedPlugin } from '../../../host/plugin/load.ts';
import type { Isolation } from '../../../host/plugin/pool-runner.ts';
import {
  ENTRY_KIND,
  NOTICE_SET,
  OPERATION,
  REASON,
  REASON_NAMES,
  STATUS,
  STATUS_NAMES,
} from '../../../host/plugin/records.ts';
import { SLOTS } from '../../../host/plugin/ring.ts';
import { type Answer, loadProbe, MISCHIEF, RunningProbe } from './probe.ts';
import { entries, write } from './random-batch.ts';

let plugin: LoadedPlugin;
let isolation: Isolation;
const running: RunningProbe[] = [];

beforeAll(async () => {
  plugin = await loadProbe();
});

afterEach(async () => {
  for (const probe of running.splice(0)) await probe[Symbol.asyncDispose]();
});

async function start(options: Parameters<typeof RunningProbe.start>[1] = {}): Promise<RunningProbe> {
  const probe = await RunningProbe.start(plugin, { isolation, ...options });
  running.push(probe);
  return probe;
}

/** Everything the probe holds, as the bytes of the records. */
async function held(probe: RunningProbe): Promise<string[]> {
  const found: string[] = [];
  await probe.runner.readback((page) => {
    for (const [list, records] of page.lists.entries()) {
      records.rewind();
      while (records.next())
        found.push(
          `${list} ${Buffer.from(records.u8.slice(records.offset, records.offset + records.stride)).toString('hex')}`,
        );
    }
  });
  return found;
}

describe.each(['worker', 'process'] as const)('in a %s', (chosen) => {
  beforeAll(() => {
    isolation = chosen;
  });

  test('it says what it is', async () => {
    const { runner } = await start();
    expect(runner.description).toMatchObject({
      vendor: 'test',
      name: 'probe',
      version: '1.2.3',
      aclFields: 0x1008,
      groupMembers: 64,
      reversePath: true,
      vlanInterfaces: false,
      pollInterval: 0,
      notices: NOTICE_SET.links | NOTICE_SET.stp,
      offloadKinds: [],
    });
    expect(runner.description.abilities).toContainEqual({
      kind: ENTRY_KIND.group,
      capacity: 4096,
      updateInPlace: false,
      counts: false,
      readsBack: true,
    });
    expect(runner.direct).toBe(true);
  });

  test('direct calls and jco’s glue give the same outcomes and leave the same state', async () => {
    // Padding is undefined in canonical memory: only the glue's is compared after it went through the glue.
    const [direct, glue] = await Promise.all([start(), start({ path: 'glue' })]);
    expect(glue.runner.direct).toBe(false);
    const told = await fc.check(
      fc.asyncProperty(entries, async (found) => {
        const answers = await Promise.all(
          [direct, glue].map((one) => one.apply((batch) => write(batch, found))),
        );
        expect(answers[0]).toEqual(answers[1]);
        expect(answers[0]!.invalid).toBe(0);
        const handles = new Set(found.map((one) => one.value.handle));
        for (const { handle } of answers[0]!.outcomes) expect(handles.has(handle)).toBe(true);
      }),
      { numRuns: 40, endOnFailure: true },
    );
    expect(told.failed, `seed ${told.seed}: ${told.errorInstance}`).toBe(false);
    expect(await held(direct)).toEqual(await held(glue));
    expect(direct.runner.counters.outcomes).toBeGreaterThan(100);
  });

  test('the device is the same through both paths', async () => {
    const answers: Answer[] = [];
    for (const path of ['direct', 'glue'] as const) {
      const probe = await start({ path });
      answers.push({ ...(await probe.mischief('write', 3)), sequence: 0 });
      const { used, writes, rejects } = probe.device.status().tables[0]!;
      answers.push({
        sequence: 0,
        invalid: used,
        outcomes: [{ handle: writes, status: rejects, reason: 0, detail: 0 }],
      });
    }
    expect(answers.slice(0, 2)).toEqual(answers.slice(2));
  });

  test('answers come in order, with what was in the batch, and slots are used again', async () => {
    const { runner } = await start();
    const order: number[] = [];
    let ready = 0;
    const done = Promise.withResolvers<void>();
    const total = 500;
    runner.listen({
      result: ({ sequence, batch }) => {
        order.push(sequence);
        expect([batch.count, batch.handles[0]]).toEqual([1, sequence]);
        if (sequence === total) done.resolve();
      },
      ready: () => {
        ready++;
        fill();
      },
      events: () => {},
      fault: () => {},
      down: () => {},
    });
    let sent = 0;
    function fill(): void {
      while (sent < total) {
        const batch = runner.begin();
        if (batch === undefined) return;
        batch.route(OPERATION.put, ++sent);
        expect(runner.commit()).toBe(sent);
        expect(runner.inFlight).toBeLessThanOrEqual(SLOTS);
      }
    }
    fill();
    await done.promise;
    expect(order).toEqual(Array.from({ length: total }, (_, index) => index + 1));
    expect(ready).toBeGreaterThan(0);
    expect(runner.inFlight).toBe(0);
  });

  test('a readback sees what was committed before it, and pages do not split groups', async () => {
    const probe = await start();
    const members = 60;
    const groups = 200;
    for (let sent = 0; sent < groups; ) {
      const answered = probe.apply((batch) => {
        while (sent < groups && batch.room > members) {
          batch.group(OPERATION.put, ++sent, 0, members);
          for (let member = 1; member <= members; member++) batch.member(member, sent);
        }
      });
      await answered;
    }
    // The probe keeps 4,096 members.
    let seen = 0;
    let pages = 0;
    await probe.runner.readback((page) => {
      pages++;
      expect(page.length).toBeLessThanOrEqual(BATCH_ENTRIES_MAX);
      while (page.groups.next()) {
        seen++;
        if (page.groups.handle > 60) continue;
        for (let index = 0; index < members; index++) {
          expect(page.members.seek(page.groups.first + index)).toBe(true);
          expect(page.members.group).toBe(page.groups.handle);
        }
      }
    });
    expect(seen).toBe(groups);
    expect(pages).toBeGreaterThan(1);
  });

  test('calls that find no free slot wait for one', async () => {
    const probe = await start();
    const seen: number[] = [];
    const calls = Array.from({ length: SLOTS * 3 }, () =>
      probe.runner.tables((tables) => {
        seen.push(tables.length);
      }),
    );
    expect(probe.runner.begin()).toBeUndefined();
    await Promise.all(calls);
    expect(seen).toHaveLength(SLOTS * 3);
    expect(probe.runner.begin()).toBeDefined();
  });

  test('counters, tables, events and notices', async () => {
    const probe = await start();
    let sum = 0;
    let last = 0;
    await probe.runner.collect((counters) => {
      while (counters.next()) {
        sum++;
        last = counters.packets;
      }
    });
    expect([sum, last]).toEqual([5000, 4999 * 0x100000001]);

    const notices = probe.runner.beginNotices()!;
    for (let index = 0; index < 3; index++) {
      notices.append();
      notices.mac = 0xaabb00112233 + index;
    }
    probe.runner.commitNotices();
    const tables: number[][] = [];
    await probe.runner.tables((found) => {
      while (found.next()) tables.push([found.kind, found.capacity, found.used]);
    });
    expect(tables).toEqual([
      [ENTRY_KIND.route, 4096, 0],
      [ENTRY_KIND.port, 3, 0x00112235],
    ]);

    await probe.runner.poll();
    expect(probe.events.slice(0, 4)).toEqual([2, 12, 0x10000001, 0x001122334455]);
  });

  test('stopping lets it finish, and nothing is accepted after', async () => {
    const probe = await start();
    const answer = probe.mischief('slow', 100);
    await probe.runner.stop();
    expect((await answer).invalid).toBe(0);
    expect(await probe.down.promise).toBeUndefined();
    expect(probe.log).toContain('stopped');
    expect(probe.runner.begin()).toBeUndefined();
    await expect(probe.runner.poll()).rejects.toMatchObject({ code: 'E_PLUGIN_DOWN' });
  });

  describe('starting', () => {
    test.each([
      ['refuse', { code: 'E_PLUGIN_START', message: 'plugin probe does not start: no light on the fibre' }],
      ['trap', { code: 'E_PLUGIN_TRAP', message: expect.stringContaining('unreachable') }],
      [
        'spin',
        { code: 'E_PLUGIN_TIMEOUT', message: 'plugin probe did not return from configure within 200 ms' },
      ],
      ['other', { code: 'E_PLUGIN_START', message: 'plugin probe does not start: no such setting' }],
    ])('start = %s', async (value, error) => {
      const settings = [{ name: 'start', value }];
      await expect(start({ settings, limits: { start: 200 } })).rejects.toMatchObject(error);
    });
  });

  describe('mischief', () => {
    test('a trap ends it, with its stack', async () => {
      const probe = await start();
      void probe.mischief('trap');
      const waiting = probe.runner.tables(() => {}).catch((error: unknown) => error);
      const error = await probe.down.promise;
      expect(error).toMatchObject({
        code: 'E_PLUGIN_TRAP',
        message: 'plugin probe trapped: RuntimeError: unreachable',
      });
      expect((error!.cause as Error).message).toMatch(/misbehave|ekho_offload_apply/);
      expect(await waiting).toBe(error);
      expect(probe.runner.begin()).toBeUndefined();
      expect(probe.runner.inFlight).toBe(0);
    });

    test('endless recursion is a trap', async () => {
      const probe = await start();
      void probe.mischief('recurse');
      expect(await probe.down.promise).toMatchObject({ code: 'E_PLUGIN_TRAP' });
    });

    test('a pointer out of its memory is a trap', async () => {
      const probe = await start();
      void probe.mischief('badPointer');
      expect(await probe.down.promise).toMatchObject({
        code: 'E_PLUGIN_TRAP',
        message: expect.stringContaining('outside of its memory'),
      });
    });

    test('one that does not return is ended in time, while the host goes on', async () => {
      const probe = await start({ limits: { apply: 300 } });
      const started = performance.now();
      void probe.mischief('spin');
      let turns = 0;
      const timer = setInterval(() => turns++, 10);
      const error = await probe.down.promise;
      clearInterval(timer);
      expect(error).toMatchObject({
        code: 'E_PLUGIN_TIMEOUT',
        message: 'plugin probe did not return from apply within 300 ms',
      });
      expect(performance.now() - started).toBeGreaterThan(280);
      expect(turns).toBeGreaterThan(10);
    });

    test('slow, but within the limit, is no reason', async () => {
      const probe = await start({ limits: { apply: 600 } });
      for (let index = 0; index < 4; index++) expect((await probe.mischief('slow', 250)).invalid).toBe(0);
    });

    test('it can be ended at any time', async () => {
      const probe = await start();
      void probe.mischief('spin');
      const error = Object.assign(new Error('enough'), { code: 'E_PLUGIN_DOWN' });
      probe.runner.kill(error as never);
      expect(await probe.down.promise).toBe(error);
    });

    test('its memory does not grow beyond the cap', async () => {
      const capped = await loadProbe(4 * 2 ** 20);
      const probe = await RunningProbe.start(capped, { isolation });
      running.push(probe);
      // What it allocates once, it has then.
      await probe.apply((batch) => batch.port(OPERATION.put, 1));
      const { outcomes } = await probe.mischief('grow');
      expect(outcomes).toHaveLength(1);
      expect(outcomes[0]!.detail).toBeGreaterThan(40);
      expect(outcomes[0]!.detail).toBeLessThanOrEqual(64);
      expect(probe.log).toContain('grown');
    });

    test.each([
      ['unknownHandle', 1],
      ['badStatus', 1],
      ['tooMany', 2],
    ] as const)('%s: the outcome is left out and the fault told', async (what, most) => {
      const probe = await start();
      const answer = await probe.mischief(what);
      expect(answer.invalid).toBeGreaterThanOrEqual(1);
      expect(answer.invalid).toBeLessThanOrEqual(most);
      expect(probe.faults[0]).toMatchObject({ code: 'E_PLUGIN_PROTOCOL' });
      expect(probe.runner.counters.faults).toBe(1);
      // It goes on.
      expect((await probe.apply((batch) => batch.route(OPERATION.put, 5))).invalid).toBe(0);
    });

    test('a status and a reason that do not go together, and what is removed and held, are left out', async () => {
      const probe = await start();
      const pairs = [0, 1, 2, 3, 4].flatMap((status) =>
        Array.from({ length: REASON_NAMES.length + 1 }, (_, reason) => [status, reason] as const),
      );
      const isUnexplained = (status: number) => status === STATUS.trapped || status === STATUS.pending;
      for (const operation of [OPERATION.put, OPERATION.remove]) {
        const answer = await probe.apply((batch) => {
          for (const [index, [status, reason]] of pairs.entries()) {
            const port = batch.port(operation, index + 1);
            port.bridge = MISCHIEF.answer;
            port.mtu = (status << 8) | reason;
          }
        });
        const possible = pairs.filter(
          ([status, reason]) =>
            status < STATUS_NAMES.length &&
            reason < REASON_NAMES.length &&
            isUnexplained(status) === (reason === REASON.none) &&
            !(operation === OPERATION.remove && status === STATUS.trapped),
        );
        expect(answer.outcomes.map(({ status, reason }) => [status, reason])).toEqual(possible);
        expect(answer.invalid).toBe(pairs.length - possible.length);
      }
      expect(probe.faults).toHaveLength(2);
      expect(probe.faults[0]).toMatchObject({ code: 'E_PLUGIN_PROTOCOL' });
    });

    test('of two outcomes for one entry, the first counts', async () => {
      const probe = await start();
      const answer = await probe.apply((batch) => {
        batch.port(OPERATION.put, 1).bridge = 0xbad00007;
        for (let handle = 2; handle < 40; handle++) batch.nexthop(OPERATION.put, handle);
      });
      expect(answer.invalid).toBe(1);
      expect(answer.outcomes[0]).toMatchObject({ handle: 1, status: STATUS.trapped, reason: REASON.none });
    });

    test('more log lines than the host can take are dropped and counted, the rest kept', async () => {
      const probe = await start({ limits: { apply: 10_000 } });
      await probe.mischief('log', 100_000);
      await expect.poll(() => probe.log.length).toBeGreaterThanOrEqual(64);
      expect(probe.log[0]).toBe('again \x1b[31mand again');
      expect(probe.runner.counters.logLinesDropped).toBeGreaterThan(0);
      expect(probe.runner.counters.logLinesDropped + probe.log.length).toBe(100_000);
    });
  });
});
