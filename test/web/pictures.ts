/**
 * Makes the pictures of the dashboard in docs/pictures, from a host that runs and a demo with real packets (as root):
 * `node test/web/pictures.ts`.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser } from 'playwright-core';
import { ROOT } from '../../host/config/config.ts';
import { Bench } from '../netns/cli-support.ts';
import { type Look, launch, Tab } from '../support/browser.ts';

const FOLDER = join(ROOT, 'docs/pictures');
const WIDE: Look = { width: 1280, height: 820 };
const PHONE: Look = { width: 390, height: 844 };
/** Seconds of each act of the demo. */
const ACT_S = 12;

/** A router with VLANs' worth of things: two routed ports, a bridge with two more, a tunnel, some routes of each fate. */
function furnish(bench: Bench): void {
  bench.router();
  bench.batch([
    'link add br0 type bridge',
    'link add p2 type veth peer name p2x',
    'link add p3 type veth peer name p3x',
    'link set p2 master br0',
    'link set p3 master br0',
    'link add vx0 type vxlan id 42 dstport 4789 local 192.0.2.1 dev p0',
    'link set vx0 master br0',
    ...['p2', 'p3', 'p2x', 'br0', 'vx0'].map((link) => `link set ${link} up`),
    ...Array.from(
      { length: 24 },
      (_, n) => `route add 203.0.113.${8 * n}/29 via 198.51.100.${n % 6 ? 2 : 77}`,
    ),
    ...Array.from({ length: 1200 }, (_, n) => `route add 10.${n >> 8}.${n & 255}.0/24 via 192.0.2.2`),
    'route add blackhole 10.99.0.0/16',
  ]);
}

async function take(
  browser: Browser,
  base: string,
  look: Look,
  name: string,
  go: (tab: Tab) => Promise<void>,
) {
  const tab = await Tab.open(browser, base, look);
  await go(tab);
  await tab.page.waitForLoadState('networkidle').catch(() => {});
  await tab.page.screenshot({ path: join(FOLDER, `${name}.png`) });
  console.log(`docs/pictures/${name}.png`);
  await tab.close();
}

async function pages(browser: Browser): Promise<void> {
  const bench = new Bench();
  try {
    furnish(bench);
    await bench.start('--config', bench.config('ports = ["p?"]', 'lpm4 = 1400'), '--listen', '127.0.0.1:0');
    const base = /http:\/\/127\.0\.0\.1:\d+/.exec(bench.output)![0];
    const address = (await bench.ekho('dashboard')).out.trim();
    await take(browser, base, WIDE, 'objects', async (tab) => {
      await tab.go('objects?kind=route&q=root 203.0.113.0/24');
      await tab.page.getByText('203.0.113.48/29').click();
      await tab.shows('.explain .why', 'because');
    });
    await take(browser, base, WIDE, 'plugins', async (tab) => {
      await tab.page.goto(address);
      await tab.shows('.role', 'may operate');
      await tab.go('plugins');
      await tab.shows('.log', 'started');
    });
    await take(browser, base, WIDE, 'events', async (tab) => {
      await tab.go('events');
      await tab.shows('.summary', 'Live');
      const lines = [0, 1, 2].map((n) => `route add 198.18.${n}.0/24 via 198.51.100.2`);
      bench.batch(lines);
      await bench.ekho('wait');
      bench.batch(lines.map((line) => line.replace('add', 'del')));
      await tab.shows('.feed li:has-text("198.18.2.0/24")', 'deleted');
    });
    await take(browser, base, { ...WIDE, theme: 'dark' }, 'topology', async (tab) => {
      await tab.go('topology');
      await tab.page.locator('.node[data-link="p0"]').click();
      await tab.shows('.explain .subject', 'p0');
    });
    await take(browser, base, WIDE, 'doctor', async (tab) => {
      await tab.go('doctor');
      await tab.shows('.notice', 'configuration');
    });
    await take(browser, base, PHONE, 'objects-phone', async (tab) => {
      await tab.go('objects?kind=route&q=root 203.0.113.0/24');
      await tab.page.getByText('203.0.113.48/29').click();
      await tab.shows('.explain .why', 'because');
    });
  } finally {
    await bench.end();
  }
}

/** Packets move to hardware, back to the kernel, and to hardware again. */
async function packets(browser: Browser): Promise<void> {
  const demo = spawn(process.execPath, [join(ROOT, 'host/cli/ekho.mjs'), 'demo', '--seconds', String(ACT_S)]);
  const ended = new Promise((resolve) => demo.on('close', resolve));
  try {
    let text = '';
    demo.stdout.setEncoding('utf8').on('data', (more) => {
      text += more;
    });
    const until = async (what: RegExp) => {
      while (!what.test(text)) {
        if (demo.exitCode !== null) throw new Error(text);
        await sleep(100);
      }
    };
    await until(/dashboard http/);
    const base = /http:\/\/127\.0\.0\.1:\d+/.exec(text)![0];
    const tabs = await Promise.all(
      (['light', 'dark'] as const).map((theme) => Tab.open(browser, base, { ...WIDE, theme })),
    );
    for (const tab of tabs) await tab.go('overview');
    await until(/the filter is gone/);
    await sleep((ACT_S * 1000) / 2);
    for (const [place, theme] of ['light', 'dark'].entries()) {
      await tabs[place]!.page.screenshot({ path: join(FOLDER, `overview-${theme}.png`) });
      console.log(`docs/pictures/overview-${theme}.png`);
    }
  } finally {
    demo.kill('SIGINT');
    await ended;
  }
}

mkdirSync(FOLDER, { recursive: true });
const browser = await launch();
try {
  await packets(browser);
  await pages(browser);
} finally {
  await browser.close();
}
