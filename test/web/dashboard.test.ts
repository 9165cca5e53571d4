/** The dashboard in a real browser, on a real host: every page, live, operated, after a restart, for everybody, in both themes. */
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Bench } from '../netns/cli-support.ts';
import { CHROMIUM, launch, Tab, WAIT } from '../support/browser.ts';

const PAGES = ['overview', 'objects', 'plugins', 'events', 'topology', 'doctor', 'api'];
/** What a page shows once it has something to show. */
const FILLED = '.panel, .feed li, .body .row, .node';
const ROUTES = 3_000;

describe.skipIf(CHROMIUM === undefined)('the dashboard', () => {
  let bench: Bench;
  let browser: Browser;
  let tab: Tab;
  let base: string;

  beforeAll(async () => {
    bench = new Bench();
    bench.router();
    bench.batch([
      'link add br0 type bridge',
      'link add d0 type veth peer name d0x',
      'link set d0 master br0',
      'link set d0 up',
      'link set br0 up',
      'route add 203.0.113.0/24 via 198.51.100.99',
      ...Array.from({ length: ROUTES }, (_, n) => `route add 10.${n >> 8}.${n & 255}.0/24 via 198.51.100.2`),
    ]);
    await bench.start('--listen', '127.0.0.1:0');
    base = /http:\/\/127\.0\.0\.1:\d+/.exec(bench.output)![0];
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await bench.end();
  });

  beforeEach(async () => {
    tab = await Tab.open(browser, base);
  });
  afterEach(async () => {
    await tab.close();
    expect(tab.complaints).toEqual([]);
    expect(tab.strangers).toEqual([]);
  });

  const settled = async () => expect((await bench.ekho('wait', '--timeout', '90')).code).toBe(0);
  const operate = async () => {
    const { out } = await bench.ekho('dashboard');
    await tab.page.goto(out.trim());
    await tab.shows('.role', 'may operate');
  };

  it('is small, comes whole from the host, and allows nothing else', async () => {
    let bytes = 0;
    const policies: (string | undefined)[] = [];
    tab.page.on('response', async (response) => {
      if (!response.url().includes('/api/')) bytes += Number(response.headers()['content-length'] ?? 0);
    });
    const response = await tab.page.goto(base);
    policies.push(response!.headers()['content-security-policy']);
    await tab.shows('h1', 'Overview');
    expect(policies[0]).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(150 * 1024);
  });

  it('says how much is in hardware, live', async () => {
    await tab.go('overview');
    await tab.shows('.tile:has-text("Mirror") dd', 'in sync');
    const route = '.bars tr:has(td:nth-child(2):text-is("route"))';
    await tab.shows(`${route} .number`, '3,00');
    const before = await tab.page.locator(`${route} .number`).textContent();
    bench.ip('route add 198.18.0.0/16 via 198.51.100.2');
    await expect.poll(() => tab.page.locator(`${route} .number`).textContent(), WAIT).not.toBe(before);
    await tab.shows('.meters li:has-text("lpm4")', /3,0\d\d of 131K/);
    await tab.shows('.chart:has-text("changes") [role=img]', '');
    await expect.poll(() => tab.page.locator('.chart canvas').count(), WAIT).toBe(3);
    bench.ip('route del 198.18.0.0/16');
  });

  it('leads from what is not in hardware to why', async () => {
    await tab.go('overview');
    await tab.page.locator('.bars a[href*="kind=route"]:has-text("trapped")').click();
    await tab.shows('h1', 'Objects');
    await tab.shows('.summary', /\d+ route objects/);
    await tab.page.getByText('203.0.113.0/24 via 198.51.100.99').click();
    await tab.shows('.explain .why', 'nexthop');
    await tab.shows('.explain .why', 'remedy: Check that the gateway answers');
    await tab.shows('.explain .history', 'changed');
    await tab.page.keyboard.press('Tab');
    await tab.page.getByRole('button', { name: 'Close' }).click();
    await expect.poll(() => tab.page.locator('.explain').count(), WAIT).toBe(0);
  });

  it('finds objects as people type them, and says what is not understood', async () => {
    await tab.go('objects?kind=route');
    await tab.shows('.summary', /3,0\d\d route objects/);
    await tab.page.getByLabel('Search').fill('match 10.1.2.3');
    await tab.shows('.summary', '1 route objects');
    await tab.shows('.body .row .text', '10.1.2.0/24 via 198.51.100.2 dev p1');
    await tab.page.getByLabel('Search').fill('dve p1');
    await tab.shows('[role=alert]', 'did you mean dev?');
    await tab.page.getByLabel('Search').fill('203.0.113.0/24');
    await tab.shows('.body .row .state', 'nexthop-unresolved');
    await tab.page.getByLabel('Kind').selectOption('neighbour');
    await tab.shows('.summary', '2 neighbour objects');
    expect(tab.page.url()).toContain('kind=neighbour');
    tab.complaints.length = 0; // Chromium tells of each answer 400.
  });

  it('goes through thousands of rows with keys alone, sorted as wanted', async () => {
    await tab.go('objects?kind=route&q=root 10.0.0.0/8');
    await tab.shows('.summary', '3,000 route objects');
    await tab.page.getByRole('button', { name: 'Object' }).click();
    await tab.page.getByRole('button', { name: 'Object' }).click();
    await tab.shows('.body .row .text', '10.11.183.0/24');
    const grid = tab.page.getByRole('grid');
    await grid.focus();
    await grid.press('End');
    await expect
      .poll(() => tab.page.locator('.row.active .text').textContent(), WAIT)
      .toContain('10.0.0.0/24');
    // Only what is in sight is there.
    expect(await tab.page.locator('.body .row').count()).toBeLessThan(100);
    await grid.press('Enter');
    await tab.shows('.explain .subject', '10.0.0.0/24 via 198.51.100.2 dev p1');
    await grid.press('Home');
    await expect
      .poll(() => tab.page.locator('.row.active .text').textContent(), WAIT)
      .toContain('10.11.183.0/24');
  });

  it('shows changes as they happen, the ones wanted, and stops when told', async () => {
    await tab.go('events');
    await tab.shows('.summary', 'Live');
    bench.ip('route add 198.19.0.0/24 via 198.51.100.2');
    // What comes and goes between two looks at the kernel is no change.
    await tab.shows('.feed li:has-text("198.19.0.0/24")', 'changed');
    bench.ip('route del 198.19.0.0/24');
    await tab.shows('.feed li:has-text("198.19.0.0/24")', 'deleted');
    await tab.page.getByLabel('Contains').fill('changed-never');
    await expect.poll(() => tab.page.locator('.feed li').count(), WAIT).toBe(0);
    await tab.page.getByLabel('Contains').fill('upsert 198.19.0.0/24');
    await expect.poll(() => tab.page.locator('.feed li').count(), WAIT).toBe(1);
    await tab.page.getByRole('button', { name: 'Pause' }).click();
    await tab.shows('.summary', 'Paused');
    bench.ip('route add 198.19.1.0/24 via 198.51.100.2');
    await settled();
    await tab.page.getByLabel('Contains').fill('198.19.1.0/24');
    expect(await tab.page.locator('.feed li').count()).toBe(0);
    // What came meanwhile is not lost.
    await tab.page.getByRole('button', { name: 'Go on' }).click();
    await tab.shows('.feed li', '198.19.1.0/24');
    bench.ip('route del 198.19.1.0/24');
  });

  it('draws what is made of what, and follows it', async () => {
    await tab.go('topology');
    const node = (name: string) => `.node[data-link="${name}"]`;
    await tab.page.locator(node('p0')).waitFor();
    const place = async (name: string) => (await tab.page.locator(node(name)).boundingBox())!;
    expect((await place('br0')).y).toBeLessThan((await place('d0')).y);
    await expect.poll(() => tab.page.locator('.edge').count(), WAIT).toBe(1);
    await tab.page.locator(node('p0')).click();
    await tab.shows('.explain .subject', 'p0');
    bench.ip('link set p0x down');
    await expect.poll(() => tab.page.locator(node('p0')).textContent(), WAIT).toMatch(/veth · down/);
    bench.ip('link set p0x up');
    await expect.poll(() => tab.page.locator(node('p0')).textContent(), WAIT).toMatch(/veth · up/);
    await settled();
  });

  it('operates plugins for those who may, and says so to the others', async () => {
    await tab.go('plugins');
    await tab.shows('.log', 'started');
    await tab.shows('.actions', 'ekho dashboard');
    expect(await tab.page.getByRole('button', { name: 'restart' }).isDisabled()).toBe(true);
    await operate();
    await tab.go('plugins');
    await tab.page.getByRole('button', { name: 'restart' }).click();
    await tab.shows('.actions [role=status]', 'restart: done');
    await tab.page.getByRole('button', { name: 'disable' }).click();
    await tab.shows('.panel .pill', 'stopped');
    await tab.page.getByRole('button', { name: 'enable' }).click();
    await tab.shows('.panel .pill', 'active');
    await tab.shows('.actions [role=status]', 'enable: done');
    await settled();
    expect(bench.output).toMatch(/audit: session \d+: POST \/api\/v1\/plugins\/softnic\/disable: 200/);
  });

  it('looks at the machine, and compares everything when asked', async () => {
    await operate();
    await tab.go('doctor');
    await tab.shows('.notice.ok', 'All is there');
    await tab.page.getByRole('button', { name: 'verify' }).click();
    await tab.shows('.doctor .actions', /equal 3,\d\d\d objects with the kernel/);
  });

  it('begins with what needs a look, for as long as it does', async () => {
    await tab.go('overview');
    await tab.shows('.tile:has-text("Mirror") dd', 'in sync');
    const alert = tab.page.locator('.alerts li:has-text("has no power")');
    expect(await alert.count()).toBe(0);
    expect((await bench.ekho('device', 'inject', 'asic0', '--power', 'off')).code).toBe(0);
    await tab.shows('.alerts li:has-text("has no power")', 'Device asic0 has no power.');
    expect((await bench.ekho('device', 'inject', 'asic0', '--power', 'on')).code).toBe(0);
    // What failed meanwhile is tried again after a while.
    await expect.poll(async () => (await bench.ekho('wait')).code, { ...WAIT, timeout: 90_000 }).toBe(0);
    await expect.poll(() => alert.count(), WAIT).toBe(0);
  });

  it('has the description of the API to read', async () => {
    await tab.go('api');
    await tab.page.getByText('/api/v1/lookup', { exact: true }).click();
    await tab.shows('details[open]', 'destination');
  });

  it('follows the system’s theme, and the choice made here', async () => {
    await tab.go('overview');
    const theme = () => tab.page.evaluate('document.documentElement.dataset.theme');
    expect(await theme()).toBe('light');
    await tab.page.emulateMedia({ colorScheme: 'dark' });
    await expect.poll(theme, WAIT).toBe('dark');
    await tab.page.getByRole('button', { name: 'Light theme' }).click();
    await expect.poll(theme, WAIT).toBe('light');
    await tab.page.reload();
    expect(await theme()).toBe('light');
  });

  it('can be used with a screen reader and without a mouse, in both themes, and on a phone', async () => {
    for (const theme of ['light', 'dark'] as const) {
      const wide = await Tab.open(browser, base, { theme });
      for (const page of PAGES) {
        await wide.go(page);
        await wide.page.locator(FILLED).first().waitFor();
        expect([theme, page, await wide.violations()]).toEqual([theme, page, []]);
        expect([theme, page, await wide.overflow()]).toEqual([theme, page, 0]);
      }
      expect(wide.complaints).toEqual([]);
      await wide.close();
    }
    const phone = await Tab.open(browser, base, { theme: 'dark', width: 390, height: 844 });
    for (const page of PAGES) {
      await phone.go(page);
      await phone.page.locator(FILLED).first().waitFor();
      expect([page, await phone.overflow()]).toEqual([page, 0]);
    }
    expect(await phone.violations()).toEqual([]);
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });

  it('shows no name that turns round what is beside it', async () => {
    const name = 'tx\u202e\u001bxt';
    bench.ip(`link add ${name} type bridge`);
    const shown = 'tx\ufffd\ufffdxt';
    await tab.go('objects?kind=link');
    await tab.shows(`.body .row:has-text("${shown}")`, shown);
    await tab.go('topology');
    await tab.shows(`.node:has-text("${shown}")`, shown);
    await tab.go('events');
    await tab.shows(`.feed li:has-text("${shown}")`, shown);
    const text = (await tab.page.locator('body').textContent()) ?? '';
    expect([...text].filter((character) => '\u202e\u001b'.includes(character))).toEqual([]);
    bench.ip(`link del ${name}`);
  });

  it('says what is stale while the host hangs, before it gives up asking', async () => {
    const given: string[] = [];
    tab.page.on('requestfailed', (request) => given.push(request.url()));
    await tab.go('overview');
    await tab.shows('.tile:has-text("Mirror") dd', 'in sync');
    process.kill(bench.pid, 'SIGSTOP');
    try {
      await tab.shows('.notices', 'what is shown is stale');
      expect(given).toEqual([]);
    } finally {
      process.kill(bench.pid, 'SIGCONT');
    }
    await expect.poll(() => tab.page.locator('.notices').textContent(), WAIT).toBe('');
  });

  it('says what is stale while the host is away, and goes on with the next one', async () => {
    await operate();
    await tab.go('events');
    await tab.shows('.summary', 'Live');
    await bench.stop();
    await tab.shows('.notices', 'what is shown is stale');
    await bench.start('--listen', new URL(base).host);
    await expect.poll(() => tab.page.locator('.notices').textContent(), WAIT).toBe('');
    // The token ended with its host; looking goes on.
    await tab.shows('.role', 'read only');
    await tab.shows('.summary', 'Live');
    bench.ip('route add 198.20.0.0/24 via 198.51.100.2');
    await tab.shows('.feed li', '198.20.0.0/24');
    tab.complaints.length = 0; // Chromium tells of each answer 403.
  });
});
