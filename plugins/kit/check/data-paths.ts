/**
 * XDP data paths for cases, on links of a namespace: one for each sizes of tables, emptied between cases. The kernel verifies a
 * program for half a second each time it is loaded.
 */

import type { TablesCore } from '../../../host/device/core.ts';
import { openCore, openDevice } from '../../../host/device/registry.ts';
import type { Device } from '../../../host/device/types.ts';
import { TestLinks } from './test-links.ts';

const PAGE = 4096;

export class DataPaths implements Disposable {
  readonly #links: TestLinks;
  readonly #devices = new Map<string, Device>();

  /**
   * @param ports interface indexes that ports may have
   * @throws EkhoError E_DEVICE without the rights to make links
   */
  constructor(ports: Iterable<number>) {
    this.#links = new TestLinks(ports);
  }

  /** One without a row. Whoever takes it gives it back before another of these sizes is taken. */
  take(tables: Readonly<Record<string, number>> = {}): Device {
    const key = JSON.stringify(tables);
    const kept = this.#devices.get(key);
    if (kept !== undefined) return kept;
    const device = openDevice({ kind: 'tables', name: 'tables', tables, netns: this.#links.name });
    this.#devices.set(key, device);
    return device;
  }

  giveBack({ share }: Device): void {
    const core = openCore(share) as TablesCore;
    try {
      for (let table = 0; core.info(table) !== undefined; table++) empty(core, table);
    } finally {
      core.close();
    }
  }

  [Symbol.dispose](): void {
    for (const device of this.#devices.values()) device.close();
    this.#links.close();
  }
}

function empty(core: TablesCore, table: number): void {
  const { words, keyWords } = core.info(table)!;
  const keys: number[] = [];
  let cursor = 0;
  do {
    const page = core.read(table, cursor, PAGE);
    for (let at = 1; at < page.length; at += words) keys.push(...page.subarray(at, at + keyWords));
    cursor = page[0]!;
  } while (cursor !== 0);
  const rows = keys.length / keyWords;
  if (rows > 0 && core.remove(table, Uint32Array.from(keys), 0, rows).done !== rows)
    throw new Error(`table ${table} of the data path cannot be emptied`);
}
