/** The device `rtnetlink` as the host sees it: another kernel's routing, written by the plugin's worker. */

import { EkhoError } from '../../errors.ts';
import { inNetns } from '../../netlink/syscall.ts';
import type { Device, DeviceConfig, DeviceShare, DeviceStatus, PacketVerdict } from '../types.ts';
import { LINKS_MAX, TABLES } from './layout.ts';

export class RtnetlinkDevice implements Device {
  readonly name: string;
  readonly kind = 'rtnetlink';
  readonly share: DeviceShare;
  readonly #shared: Int32Array;
  readonly #links: number;

  /** @throws EkhoError E_DEVICE, E_NETNS */
  constructor({ name, target, routing }: DeviceConfig) {
    this.name = name;
    if (target === undefined || routing === undefined || routing.links.length === 0) {
      throw new EkhoError('E_DEVICE', `device ${name} writes into no other network namespace`, {
        remedy: `Name it in [device.${name}] as \`netns\`, and its links in [device.${name}.links.LINK].`,
      });
    }
    if (routing.links.length > LINKS_MAX)
      throw new EkhoError('E_DEVICE', `device ${name} has more than ${LINKS_MAX} links`);
    inNetns(target, () => {});
    this.#links = routing.links.length;
    // Interface index of each link in the mirrored kernel; then rows per table, rows written and removed.
    this.#shared = new Int32Array(new SharedArrayBuffer(4 * (this.#links + TABLES.length + 2)));
    this.share = {
      kind: this.kind,
      name,
      memory: this.#shared.buffer as SharedArrayBuffer,
      tables: Object.fromEntries(TABLES.map(({ name, capacity }) => [name, capacity])),
      netns: target,
      routing,
    };
  }

  linksChanged(ifindexOf: (link: string) => number | undefined): void {
    for (const [slot, { name }] of this.share.routing!.links.entries()) {
      Atomics.store(this.#shared, slot, ifindexOf(name) ?? 0);
    }
  }

  lookup(): PacketVerdict {
    throw new EkhoError('E_DEVICE', `device ${this.name} is another kernel: ask it`, {
      remedy: `Use \`ip -n ${this.share.netns} route get\`.`,
    });
  }

  status(): DeviceStatus {
    const count = (at: number) => Atomics.load(this.#shared, this.#links + at);
    return {
      tables: TABLES.map(({ name, capacity }, number) => ({
        name,
        capacity,
        used: count(number),
        writes: 0,
        removes: 0,
        rejects: 0,
      })),
      writes: count(TABLES.length),
      removes: count(TABLES.length + 1),
      rejects: 0,
      discarded: 0,
      epoch: 0,
    };
  }

  inject(): void {
    throw new EkhoError('E_DEVICE', `device ${this.name} is not simulated: it shows only the faults it has`);
  }

  powerCycle(): void {
    throw new EkhoError('E_DEVICE', `device ${this.name} has no power to cycle`);
  }

  /** What it wrote stays. */
  close(): void {}
}
