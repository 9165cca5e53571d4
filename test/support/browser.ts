/** Chromium as an operator's browser: what it asks for, complains of and shows. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { pause } from './host.ts';

/** Generous: the machine may do much else. */
export const WAIT = { timeout: 90_000, interval: 50 };
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** Debian's; undefined where it is not installed. */
export const CHROMIUM = (process.env.PATH ?? '')
  .split(delimiter)
  .map((folder) => join(folder, 'chromium'))
  .find((path) => existsSync(path));

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM!, args: FLAGS, timeout: WAIT.timeout });
}

export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly theme?: 'light' | 'dark';
}

/** A tab on the dashboard at `base`. */
export class Tab {
  readonly page: Page;
  readonly base: string;
  /** Errors of the page and its scripts. */
  readonly complaints: string[] = [];
  /** Requests to anywhere else. */
  readonly strangers: string[] = [];
  readonly #context: BrowserContext;

  private constructor(context: BrowserContext, page: Page, base: string) {
    this.#context = context;
    this.page = page;
    this.base = base;
    page.setDefaultTimeout(WAIT.timeout);
    page.on('pageerror', (error) => this.complaints.push(String(error.stack)));
    page.on('console', (message) => {
      // A host that is gone for a moment is no fault of the page.
      if (message.type() === 'error' && !/ERR_CONNECTION_|ERR_EMPTY_|ERR_INCOMPLETE_/.test(message.text()))
        this.complaints.push(message.text());
    });
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(base) && !url.startsWith('data:')) this.strangers.push(url);
    });
  }

  static async open(
    browser: Browser,
    base: string,
    { width = 1280, height = 860, theme = 'light' }: Look = {},
  ): Promise<Tab> {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme });
    return new Tab(context, await context.newPage(), base);
  }

  /** `path` is what stands behind `#/`. */
  async go(path: string): Promise<void> {
    await this.page.goto(`${this.base}/#/${path}`);
    await this.page.locator('main h1').waitFor();
  }

  close(): Promise<void> {
    return this.#context.close();
  }

  /** Waits until the text of the first element that fits `selector` is as wanted. */
  async shows(selector: string, wanted: string | RegExp): Promise<void> {
    const end = performance.now() + WAIT.timeout;
    for (;;) {
      const [text = ''] = await this.page.locator(selector).allTextContents();
      if (typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text)) return;
      if (performance.now() > end) throw new Error(`${selector} shows "${text}", not ${wanted}`);
      await pause(WAIT.interval);
    }
  }

  /** What axe finds wrong for people who cannot see, or see badly. */
  async violations(): Promise<string[]> {
    // The page's policy does not allow scripts of elsewhere in the page; the debugger's may run.
    if (!(await this.page.evaluate('"axe" in window'))) await this.page.evaluate(await axeSource());
    const found = (await this.page.evaluate(
      'axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations)',
    )) as { id: string; nodes: { html: string; failureSummary: string }[] }[];
    return found.map(({ id, nodes }) => `${id}: ${nodes[0]!.html} ${nodes[0]!.failureSummary}`);
  }

  /** Pixels by which the page is wider than the window. */
  overflow(): Promise<number> {
    return this.page.evaluate(
      'document.documentElement.scrollWidth - document.documentElement.clientWidth',
    ) as Promise<number>;
  }
}

let source: Promise<string> | undefined;
function axeSource(): Promise<string> {
  source ??= import('node:fs/promises').then(({ readFile }) => readFile(AXE, 'utf8'));
  return source;
}
