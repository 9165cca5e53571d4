/**
 * XDP data paths for cases, on links of a namespace: one for each sizes of tables, emptied between cases. The kernel verifies a
 * program for half a second each time it is loaded. Between them and the plugin stands what shows the faults that cases ask for.
 */

import { openDevice } from '../../../host/device/registry.ts';
import { openMapTables } from '../../../host/device/tables/core.ts';
import { emptyTables, FaultyTables } from '../../../host/device/tables/faults.ts';
import { TestLinks } from './test-links.ts';

export class DataPaths implements Disposable {
  readonly #links: TestLinks;
  readonly #devices = new Map<string, FaultyTables>();

  /**
   * @param ports interface indexes that ports may have
   * @throws EkhoError E_DEVICE without the rights to make links
   */
  constructor(ports: Iterable<number>) {
    this.#links = new TestLinks(ports);
  }

  /** One without a row. Whoever takes it gives it back before another of these sizes is taken. */
  take(tables: Readonly<Record<string, number>> = {}): FaultyTables {
    const key = JSON.stringify(tables);
    const kept = this.#devices.get(key);
    if (kept !== undefined) return kept;
    const device = new FaultyTables(
      openDevice({ kind: 'tables', name: 'tables', tables, netns: this.#links.name }),
    );
    this.#devices.set(key, device);
    return device;
  }

  giveBack(device: FaultyTables): void {
    device.heal();
    const { share } = device;
    const core = openMapTables(share);
    try {
      emptyTables(core);
    } finally {
      core.close();
    }
  }

  [Symbol.dispose](): void {
    for (const device of this.#devices.values()) device.close();
    this.#links.close();
  }
}
