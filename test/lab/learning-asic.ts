/** The simulated ASIC of a host with plugin `learner` (test/fixtures/plugins), told what its ports saw. */
import { openAsicCore } from '../../host/device/asic/device.ts';
import { FDB, PORT } from '../../host/device/asic/layout.ts';
import { W } from '../../host/device/asic/tables.ts';
import type { Host } from '../../host/host.ts';

/** Bridge and VLAN of an address, as the ASIC knows them. */
export interface Seen {
  readonly bridge: number;
  readonly vlan: number;
  readonly mac: string;
}

export class LearningAsic {
  readonly #core;

  /** Its rows are changed here between two changes of the plan only: the plugin's worker does not expect another writer. */
  constructor(host: Host) {
    this.#core = openAsicCore(host.devices.find('device0')!.share);
  }

  #rows(table: number): Uint32Array[] {
    const { words } = this.#core.info(table);
    const read = this.#core.read(table, 0, 4096);
    const rows: Uint32Array[] = [];
    for (let at = 1; at + words <= read.length; at += words) rows.push(read.slice(at, at + words));
    return rows;
  }

  /** A frame came from the address by the port: a new row, or one with another port. Both are hardware's, without a cookie. */
  learn({ bridge, vlan, mac }: Seen, ifindex: number): void {
    const port = this.#rows(PORT).find((row) => row[W.portIfindex] === ifindex);
    if (port === undefined) throw new Error(`the ASIC has no port ${ifindex}`);
    const row = new Uint32Array(this.#core.info(FDB).words);
    row.set([0, bridge, vlan, ...wordsOf(mac), 0, port[1]!]);
    const { done, status } = this.#core.write(FDB, row, 0, 1);
    if (done !== 1) throw new Error(`the ASIC would not have ${mac}: ${status}`);
  }

  /** No frame came from it for long: its row goes. */
  age({ bridge, vlan, mac }: Seen): void {
    const { done } = this.#core.remove(FDB, Uint32Array.of(bridge, vlan, ...wordsOf(mac)), 0, 1);
    if (done !== 1) throw new Error(`the ASIC does not have ${mac}`);
  }

  /** Port of an address whose row is the plan's; undefined: there is none. */
  portOf({ bridge, vlan, mac }: Seen): number | undefined {
    const [high, low] = wordsOf(mac);
    const row = this.#rows(FDB).find(
      (one) =>
        one[0] !== 0 &&
        one[W.fdbBridge] === bridge &&
        one[W.fdbVlan] === vlan &&
        one[W.fdbMac] === high &&
        one[W.fdbMac + 1] === low,
    );
    return row && this.#rows(PORT).find((port) => port[1] === row[W.fdbPort])?.[W.portIfindex];
  }
}

/** Upper 16 bits and lower 32. */
function wordsOf(mac: string): [number, number] {
  const text = mac.replaceAll(':', '');
  return [Number.parseInt(text.slice(0, 4), 16), Number.parseInt(text.slice(4), 16)];
}
