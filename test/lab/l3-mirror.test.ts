/** Plugin l3-mirror on a DPU with two VRFs and a kernel between them: offloaded, a packet no longer sees the kernel. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { parseConfig } from '../../host/config/config.ts';
import { Host } from '../../host/host.ts';
import { hopsOf, TwoVrfs } from '../support/two-vrfs.ts';

const SETTLE_MS = 120_000;

let demo: TwoVrfs | undefined;
let host: Host | undefined;
let folder: string | undefined;

afterEach(async () => {
  await host?.stop();
  demo?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  host = demo = folder = undefined;
});

test('the way from host to host loses the kernel’s two hops, in both families', async () => {
  demo = new TwoVrfs(true);
  demo.route('add');
  for (const version of demo.versions) expect(demo.hops(version)).toEqual(hopsOf(version).before);

  folder = mkdtempSync(join(tmpdir(), 'ekho-lab-'));
  const text = [`mirror.netns = "${demo.kernel.name}"`, ...demo.sections].join('\n');
  const said: string[] = [];
  host = new Host(parseConfig(text, join(folder, 'ekho.toml')), (line) => said.push(line));
  await verified(host);
  for (const version of demo.versions) {
    expect(demo.hops(version), said.join('\n')).toEqual(hopsOf(version).after);
  }

  demo.route('del');
  await verified(host);
  expect(demo.dpu.ip('route show table all proto 210')).not.toMatch(/192\.168\.1[12]\./);
  expect(demo.dpu.ip('-6 route show table all proto 210')).not.toMatch(/fd00:1[12]:/);
  demo.route('add');
  await verified(host);
  for (const version of demo.versions) expect(demo.hops(version)).toEqual(hopsOf(version).after);
});

async function verified(host: Host): Promise<void> {
  await host.wait(AbortSignal.timeout(SETTLE_MS));
  expect((await host.verify()).differences).toEqual([]);
}
