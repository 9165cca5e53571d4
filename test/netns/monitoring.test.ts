/** The Grafana dashboard and the alert rules: promtool takes them, alerts fire when they should, and every metric they name is there. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { METRICS } from '../../host/api/metrics.ts';
import { Client } from '../../host/cli/client.ts';
import { ROOT } from '../../host/config/config.ts';
import { Bench } from './cli-support.ts';

const FOLDER = join(ROOT, 'packaging/monitoring');
const RULES = readFileSync(join(FOLDER, 'ekho.rules.yml'), 'utf8');
const TESTS = readFileSync(join(FOLDER, 'ekho.rules.test.yml'), 'utf8');
const HAS_PROMTOOL = spawnSync('promtool', ['--version']).status === 0;
/** Only where packets pass through hardware, which these tests have none of. Of them, that they are of the list is all that is checked. */
const ELSEWHERE = ['ekho_device_trapped_packets_total', 'ekho_entry_packets_total'];

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

const dashboard = JSON.parse(readFileSync(join(FOLDER, 'ekho-grafana.json'), 'utf8')) as Dashboard;
const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
const ruled = [...RULES.matchAll(/^ +expr: (.+)$/gm)].map((match) => match[1]!);
const named = new Set([...expressions, ...ruled].join('\n').match(/\b(ekho|process)_[a-z_]+\b/g));

const folder = mkdtempSync(join(tmpdir(), 'ekho-monitoring-'));
afterAll(() => rmSync(folder, { recursive: true }));

function promtool(...words: string[]): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync('promtool', words, { encoding: 'utf8' });
  return { status, text: stdout + stderr };
}

describe.skipIf(!HAS_PROMTOOL)(`promtool${HAS_PROMTOOL ? '' : ': it is not installed'}`, () => {
  it('takes the rules', () => {
    const { status, text } = promtool('check', 'rules', join(FOLDER, 'ekho.rules.yml'));
    expect(text).toContain(`${ruled.length} rules found`);
    expect(status, text).toBe(0);
  });

  it('sees each alert fire when it should, and not before', () => {
    const { status, text } = promtool('test', 'rules', join(FOLDER, 'ekho.rules.test.yml'));
    expect(status, text).toBe(0);
    const alerts = [...RULES.matchAll(/- alert: (\w+)/g)].map((match) => match[1]);
    expect([...TESTS.matchAll(/- name: (\w+)/g)].map((match) => match[1])).toEqual(alerts);
  });

  it.each([
    ['a higher limit', 'capacity > 0.9', 'capacity > 0.96'],
    ['a longer wait', 'for: 2m', 'for: 10m'],
    ['no wait at all', 'for: 10m', 'for: 0m'],
  ])('would see %s', (_name, from, to) => {
    expect(RULES).toContain(from);
    writeFileSync(join(folder, 'ekho.rules.yml'), RULES.replaceAll(from, to));
    writeFileSync(join(folder, 'ekho.rules.test.yml'), TESTS);
    expect(promtool('test', 'rules', join(folder, 'ekho.rules.test.yml')).status).not.toBe(0);
  });

  it('understands what the dashboard asks', () => {
    const records = expressions.map((expr, index) => {
      // Grafana fills these in.
      const real = expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*');
      return `  - { record: "panel:${index}", expr: ${JSON.stringify(real)} }`;
    });
    const file = join(folder, 'panels.yml');
    writeFileSync(file, `groups:\n- name: panels\n  rules:\n${records.join('\n')}\n`);
    const { status, text } = promtool('check', 'rules', '--lint=none', file);
    expect(status, text).toBe(0);
  });
});

it('panels have each a place of their own', () => {
  expect(dashboard.uid).toBe('ekho');
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  const cells = new Map<string, string>();
  for (const { title, gridPos } of dashboard.panels) {
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(cells.get(`${x} ${y}`), title).toBeUndefined();
        cells.set(`${x} ${y}`, title);
      }
  }
});

describe('the metrics they name', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = new Bench();
    bench.router();
    await bench.start();
  });
  afterAll(() => bench.end());

  it('are of the list', () => {
    expect(named.size).toBeGreaterThan(15);
    const known = METRICS.map(({ name }) => name);
    for (const name of named) expect(known).toContain(name);
  });

  it('are what a running host tells', async () => {
    const client = new Client(bench.socket);
    const response = await client.open('/metrics', 'text/plain');
    let body = '';
    for await (const chunk of response.setEncoding('utf8')) body += chunk;
    const told = new Set(body.match(/^(ekho|process)_[a-z_]+/gm));
    for (const name of named) if (!ELSEWHERE.includes(name)) expect([...told]).toContain(name);
    for (const name of ELSEWHERE) expect(METRICS.map((one) => one.name)).toContain(name);
  });
});
