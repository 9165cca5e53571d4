/** Notifiers from outside, on whatever rung this machine has: what the host says of them, with and without the rights. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { probe } from '../../bpf/libbpf-ts/src/index.ts';
import type { Diagnosis, Stats, Status } from '../../host/api/schemas.ts';
import { ROOT } from '../../host/config/config.ts';
import { Bench, finish } from './cli-support.ts';

/** Events of another namespace. */
const ELSEWHERE = 150;

/** Neither BPF nor what stands for it; the namespace has to be entered before. */
const WITHOUT_RIGHTS = '--bounding-set=-bpf,-perfmon,-sys_admin';
/** Events, more than a slow reader's backlog holds. */
const STORM = 60_000;
const HAS_TRACEPOINTS = probe('tp_btf').status === 'available';

async function notifierOf(bench: Bench): Promise<NonNullable<Status['notifier']>> {
  return (JSON.parse((await bench.ekho('status', '--json')).out) as Status).notifier!;
}

describe.skipIf(!HAS_TRACEPOINTS)('a host with notifiers', () => {
  const bench = new Bench();
  beforeAll(async () => {
    bench.router();
    await bench.start();
  });
  afterAll(() => bench.end());

  const notifier = () => notifierOf(bench);

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
      for (let host = 100; host < 100 + ELSEWHERE; host++)
        other.ip(`neigh replace 192.0.2.${host} lladdr 02:00:00:00:00:77 dev p0 nud permanent`);
      bench.ip('neigh replace 192.0.2.78 lladdr 02:00:00:00:00:78 dev p0 nud permanent');
      await expect.poll(async () => (await notifier()).received).toBeGreaterThan(received);
      // The kernel has a neighbour or two of its own.
      expect((await notifier()).received).toBeLessThan(received + ELSEWHERE);
    } finally {
      await other.end();
    }
    const { counters } = JSON.parse((await bench.ekho('stats', '--json')).out) as Stats;
    expect(counters.notifier).toMatchObject({ lost: 0 });
  });
});

describe.skipIf(!HAS_TRACEPOINTS)('their events', () => {
  const bench = new Bench();
  beforeAll(async () => {
    bench.router();
    bench.ip('link add br0 type bridge');
    bench.ip('link set br0 up');
    bench.ip('link add b0 type veth peer name b0x');
    bench.ip('link set b0 master br0');
    await bench.start();
  });
  afterAll(() => bench.end());

  /** The first line of a monitor that fits, while `cause` is repeated. */
  async function lineThat(fits: RegExp, cause: () => void, ...words: string[]): Promise<string> {
    const child = bench.spawn('monitor', ...words);
    const ended = finish(child);
    const lines: string[] = [];
    createInterface({ input: child.stdout! }).on('line', (line) => lines.push(line));
    try {
      for (const end = Date.now() + 60_000; Date.now() < end; ) {
        cause();
        await new Promise((resolve) => setTimeout(resolve, 100));
        const line = lines.find((line) => fits.test(line));
        if (line !== undefined) return line;
      }
      throw new Error(`none fits ${fits}:\n${lines.join('\n')}`);
    } finally {
      child.kill('SIGINT');
      await ended;
    }
  }

  const neighbour = () => {
    bench.ip('neigh replace 192.0.2.77 lladdr 02:00:00:00:00:77 dev p0 nud permanent');
    bench.ip('neigh del 192.0.2.77 dev p0');
  };
  const entry = () => {
    bench.run('bridge', ['fdb', 'replace', '02:00:00:00:aa:01', 'dev', 'b0', 'master', 'static']);
    bench.run('bridge', ['fdb', 'del', '02:00:00:00:aa:01', 'dev', 'b0', 'master']);
  };

  it('are told one a line, in the words of ip and bridge', async () => {
    expect(await lineThat(/PERMANENT/, neighbour, '--source', 'notifier')).toBe(
      'neighbour-update 192.0.2.77 dev p0 lladdr 02:00:00:00:00:77 PERMANENT',
    );
    expect(await lineThat(/^fdb-delete/, entry, '--source', 'notifier')).toMatch(
      /^fdb-delete 02:00:00:00:aa:01 dev b0 .*master br0/,
    );
  });

  it('with their payload as JSON', async () => {
    const line = await lineThat(/"permanent"/, neighbour, '--source', 'notifier', '--json');
    expect(JSON.parse(line)).toMatchObject({
      source: 'notifier',
      event: 'neighbour-update',
      hook: 'neighbour',
      family: 'inet',
      dst: '192.0.2.77',
      lladdr: '02:00:00:00:00:77',
      state: ['permanent'],
      netns: expect.stringMatching(/^\d+$/),
      time: expect.stringMatching(/^\d+$/),
      sequence: expect.stringMatching(/^\d+$/),
    });
  });

  it('beside the changes, each line with its source', async () => {
    const both = ['--source', 'all', '--kind', 'neighbour'];
    expect(await lineThat(/^notifier /, neighbour, ...both)).toMatch(
      /^notifier neighbour-update 192\.0\.2\.77 /,
    );
    expect(await lineThat(/^netlink /, neighbour, ...both)).toMatch(
      /^netlink {2}(Deleted )?neighbour 192\.0\.2\.77 /,
    );
    const json = await lineThat(/"netlink"/, neighbour, '--json', ...both);
    expect(JSON.parse(json)).toMatchObject({ source: 'netlink', kind: 'neighbour' });
  });

  it('of the kinds that are asked for only', async () => {
    const both = () => {
      neighbour();
      entry();
    };
    expect(await lineThat(/./, both, '--source', 'notifier', '--kind', 'fdb')).toMatch(/^fdb-/);
  });

  it('dropped and counted for a reader that is too slow', async () => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ socketPath: bench.socket, path: '/api/v1/changes?source=notifier' }, resolve)
        .on('error', reject)
        .end();
    });
    response.pause();
    response.on('error', () => {});
    const before = (await notifierOf(bench)).received;
    const commands = Array.from({ length: STORM }, (_, at) => {
      const address = `192.0.2.${at % 200}`;
      return `neigh replace ${address} lladdr 02:00:00:00:${at & 1 ? '11' : '22'}:77 dev p1 nud permanent`;
    });
    expect(bench.batch(commands).size).toBe(0);
    await expect
      .poll(async () => (await notifierOf(bench)).received, { timeout: 60_000 })
      .toBeGreaterThanOrEqual(before + STORM);
    const last = () =>
      bench.ip(`neigh replace 192.0.2.250 lladdr 02:00:00:00:00:${10 + (told % 80)} dev p1 nud permanent`);
    let [told, lost] = [0, 0];
    last();
    for await (const text of createInterface({ input: response })) {
      const line = JSON.parse(text) as { lost?: number; dst?: string };
      if (line.lost === undefined) told++;
      else lost += line.lost;
      if (line.dst === '192.0.2.250') break;
      // It may have been lost too: once more, now that there is room.
      if (line.lost !== undefined) last();
    }
    response.destroy();
    expect(lost).toBeGreaterThan(0);
    expect(told + lost).toBeGreaterThanOrEqual(STORM);
  });
});

describe('without the rights', () => {
  const bench = new Bench();
  afterAll(() => bench.end());

  const run = (enabled: string) => {
    const file = join(bench.folder, `${enabled}.toml`);
    writeFileSync(file, `[notifier]\nenabled = "${enabled}"\n[plugin.softnic]\nenabled = false\n`);
    const command = [
      process.execPath,
      join(ROOT, 'host/cli/ekho.mjs'),
      'run',
      '--log-format',
      'text',
      '--config',
      file,
    ];
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
      const monitor = await bench.ekho('monitor', '--source', 'notifier');
      expect(monitor.err).toMatch(/^ekho: there are no notifiers: .*CAP_BPF/);
      expect(monitor.code).toBe(1);
      expect((await bench.ekho('doctor')).out).toMatch(/^notifier +events +inconclusive +.*CAP_BPF/m);
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
