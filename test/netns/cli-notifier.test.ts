/** Notifiers from outside, on whatever rung this machine has: what the host says of them, with and without the rights. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { probe } from '../../bpf/libbpf-ts/src/index.ts';
import type { Diagnosis, Stats, Status } from '../../host/api/schemas.ts';
import { ROOT } from '../../host/config/config.ts';
import { Bench, finish } from './cli-support.ts';

/** Neither BPF nor what stands for it; the namespace has to be entered before. */
const WITHOUT_RIGHTS = '--bounding-set=-bpf,-perfmon,-sys_admin';
const HAS_TRACEPOINTS = probe('tp_btf').status === 'available';

describe.skipIf(!HAS_TRACEPOINTS)('a host with notifiers', () => {
  const bench = new Bench();
  beforeAll(async () => {
    bench.router();
    await bench.start();
  });
  afterAll(() => bench.end());

  const notifier = async () => (JSON.parse((await bench.ekho('status', '--json')).out) as Status).notifier!;

  it('says on which rung each stands, in status, doctor and its log alike', async () => {
    const { state, hooks } = await notifier();
    expect(state).toBe('on');
    expect(hooks.find(({ hook }) => hook === 'neighbour')!.rung).not.toBe('none');
    for (const { rung, target, reason } of hooks) {
      if (rung === 'none') expect(reason).toBeTruthy();
      else expect(target).toBeTruthy();
    }
    const { findings } = JSON.parse((await bench.ekho('doctor', '--json')).out) as Diagnosis;
    const found = findings.filter(({ area, feature }) => area === 'notifier' && feature !== 'events');
    expect(found.map(({ feature, status }) => `${feature} ${status === 'available'}`)).toEqual(
      hooks.map(({ hook, rung }) => `${hook} ${rung !== 'none'}`),
    );
    expect(bench.output).toMatch(/^notifiers: .*neighbour.* by \w+/m);
    expect((await bench.ekho('status')).out).toMatch(/^notifiers: .*; [\d,]+ events, 0 lost$/m);
  });

  it('counts what it reads, and only of its namespace', async () => {
    const before = await notifier();
    bench.ip('neigh replace 192.0.2.77 lladdr 02:00:00:00:00:77 dev p0 nud permanent');
    await expect.poll(async () => (await notifier()).received).toBeGreaterThan(before.received);
    const other = new Bench();
    try {
      other.router();
      const { received } = await notifier();
      other.ip('neigh replace 192.0.2.77 lladdr 02:00:00:00:00:77 dev p0 nud permanent');
      bench.ip('neigh replace 192.0.2.78 lladdr 02:00:00:00:00:78 dev p0 nud permanent');
      await expect.poll(async () => (await notifier()).received).toBe(received + 1);
    } finally {
      await other.end();
    }
    const { counters } = JSON.parse((await bench.ekho('stats', '--json')).out) as Stats;
    expect(counters.notifier).toMatchObject({ lost: 0 });
  });
});

describe('without the rights', () => {
  const bench = new Bench();
  afterAll(() => bench.end());

  const run = (enabled: string) => {
    const file = join(bench.folder, `${enabled}.toml`);
    writeFileSync(file, `[notifier]\nenabled = "${enabled}"\n[plugin.softnic]\nenabled = false\n`);
    const command = [process.execPath, join(ROOT, 'host/cli/ekho.mjs'), 'run', '--config', file];
    const words = ['netns', 'exec', bench.name, 'setpriv', WITHOUT_RIGHTS, ...command];
    return spawn('ip', [...words, '--socket', bench.socket, '--listen', 'off'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  };

  it('goes by netlink alone, and says so', async () => {
    const host = run('auto');
    const ended = finish(host, 120_000);
    try {
      await expect.poll(async () => (await bench.ekho('wait')).code, { timeout: 60_000 }).toBe(0);
      const { out } = await bench.ekho('status');
      expect(out).toMatch(/^notifiers: none, netlink alone: .*CAP_BPF/m);
      expect(out).toMatch(/^link +1 +synced$/m);
      expect((await bench.ekho('doctor')).out).toMatch(/^notifier +events +not supported +.*CAP_BPF/m);
    } finally {
      host.kill('SIGINT');
      expect((await ended).out).toContain('notifiers: none, the mirror goes by netlink alone: ');
    }
  });

  it('does not start where the configuration insists', async () => {
    const { code, err } = await finish(run('on'));
    expect(err).toMatch(/no notifier can be attached: .*CAP_BPF/);
    expect(err).toContain('`ekho doctor` says more');
    expect(code).toBe(1);
  });
});
