/**
 * A table of very many rows in a browser: the whole of it can be scrolled, jumped through, searched and sorted by revision, and only what
 * is in sight is in the page. EKHO_WEB_ROUTES=1000000 tries it with a million.
 */
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Bench } from '../netns/cli-support.ts';
import { CHROMIUM, launch, Tab, WAIT } from '../support/browser.ts';
import { manyRoutes } from '../support/many-routes.ts';

const ROUTES = Number(process.env.EKHO_WEB_ROUTES ?? 200_000);
/** The `at`th prefix of manyRoutes. */
const prefix = (at: number) => `100.${at >> 14}.${(at >> 6) & 255}.${(at & 63) << 2}/30`;

describe.skipIf(CHROMIUM === undefined)(`a table of ${ROUTES} routes`, () => {
  let bench: Bench;
  let browser: Browser;
  let tab: Tab;

  beforeAll(async () => {
    bench = new Bench();
    bench.router();
    await manyRoutes(bench.name, ROUTES, '198.51.100.2');
    // What hardware would make of them is no matter of the table.
    const config = bench.config('enabled = false');
    await bench.start('--config', config, '--listen', '127.0.0.1:0');
    browser = await launch();
  }, 600_000);
  afterAll(async () => {
    await browser?.close();
    await bench.end();
  });

  beforeEach(async () => {
    tab = await Tab.open(browser, /http:\/\/127\.0\.0\.1:\d+/.exec(bench.output)![0]);
  });
  afterEach(async () => {
    await tab.close();
    expect(tab.complaints).toEqual([]);
  });

  const active = () => tab.page.locator('.row.active .text').textContent();

  it('is there from its first row to its last, and few of them are in the page', async () => {
    await tab.go('objects?kind=route&q=proto bgp');
    await tab.shows('.summary', `${ROUTES.toLocaleString('en-US')} route objects`);
    const grid = tab.page.getByRole('grid');
    expect(await grid.getAttribute('aria-rowcount')).toMatch(new RegExp(`^${ROUTES}$|^${ROUTES + 1}$`));
    await grid.focus();
    await grid.press('End');
    await expect.poll(active, WAIT).toContain(prefix(ROUTES - 1));
    expect(await tab.page.locator('.body .row').count()).toBeLessThan(100);
    await grid.press('PageUp');
    await expect.poll(active, WAIT).not.toContain(prefix(ROUTES - 1));
    await grid.press('Home');
    await expect.poll(active, WAIT).toContain(prefix(0));
    expect(await tab.page.locator('.body .row').count()).toBeLessThan(100);
  });

  /** Waits until the first row is the one at `share` of the list. */
  async function begins(share: number): Promise<void> {
    await expect
      .poll(async () => {
        const [text = ''] = await tab.page.locator('.body .row .text').allTextContents();
        const [, b, c, d] = (/^100\.(\d+)\.(\d+)\.(\d+)\/30/.exec(text) ?? []).map(Number);
        const at = (b! << 14) + (c! << 6) + (d! >> 2);
        return Math.abs(at / ROUTES - share) < 0.02;
      }, WAIT)
      .toBe(true);
  }

  const scroll = (share: number) =>
    `{ const box = document.querySelector('.rows-grid'); box.scrollTop = box.scrollHeight * ${share}; }`;

  it('is scrolled to any place', async () => {
    await tab.go('objects?kind=route&q=proto bgp');
    await tab.shows('.body .row .text', '100.0.');
    for (const share of [0.5, 0.25, 0.9]) {
      await tab.page.evaluate(scroll(share));
      await begins(share);
    }
  });

  it('stays where it was scrolled to as soon as it was there', async () => {
    await tab.go('overview');
    await tab.page.evaluate(`new MutationObserver((_, observer) => {
      if (document.querySelector('.body .row .text')?.textContent.startsWith('100.0.') !== true) return;
      observer.disconnect();
      ${scroll(0.5)}
    }).observe(document.body, { childList: true, subtree: true, characterData: true })`);
    await tab.go('objects?kind=route&q=proto bgp');
    await begins(0.5);
  });

  it('is searched as a whole', async () => {
    await tab.go('objects?kind=route');
    const wanted = Math.floor(ROUTES * 0.77);
    await tab.page.getByLabel('Search').fill(`match ${prefix(wanted).replace('/30', '')}`);
    await tab.shows('.summary', '1 route objects');
    await tab.shows('.body .row .text', prefix(wanted));
    await tab.page.locator('.body .row').first().click();
    await tab.shows('.explain .subject', prefix(wanted));
  });

  it('does not keep changes waiting', async () => {
    await tab.go('events');
    await tab.shows('.summary', 'Live');
    const other = await Tab.open(browser, tab.base);
    try {
      await other.go('objects?kind=route&q=proto bgp');
      await other.page.getByRole('grid').press('End');
      bench.ip('route add 198.19.0.0/24 via 198.51.100.2');
      await tab.shows('.feed li:has-text("198.19.0.0/24")', '198.19.0.0/24');
    } finally {
      await other.close();
    }
  });
});
