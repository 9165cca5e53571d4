/** What is told with what is found wrong: the commands that were carried out before, and what the host counted of following them. */
import type { TestHost } from '../support/host.ts';

/** Commands that are kept, and those that are told. */
const KEPT = 500;
const TOLD = 150;

export class History {
  readonly #commands: string[] = [];

  /** Those that the kernel did not refuse. */
  add(commands: readonly string[]): void {
    this.#commands.push(...commands);
    this.#commands.splice(0, this.#commands.length - KEPT);
  }

  /** Rejects as `checked` does, with all that. */
  async told<T>(host: TestHost, checked: Promise<T>): Promise<T> {
    try {
      return await checked;
    } catch (error) {
      const counted = await syncCounters(host).catch((why: Error) => `none: ${why.message}`);
      const lines = [(error as Error).message, `counted: ${counted}`, ...this.#commands.slice(-TOLD)];
      throw new Error(lines.join('\n'), { cause: error });
    }
  }
}

/** Each with its name: `resyncs 1, rereads 12` and so on. */
async function syncCounters(host: TestHost): Promise<string> {
  let text = '';
  for await (const part of await host.client.open('/metrics', 'text/plain')) text += part;
  const counters = text.matchAll(/^ekho_sync_(\w+?)(?:_total)? (\d+)$/gm);
  return Array.from(counters, ([, name, value]) => `${name} ${value}`).join(', ');
}
