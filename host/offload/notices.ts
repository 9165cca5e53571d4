/**
 * Kernel events that a plugin wants to hear of, passed on as they happen (wit/plugin.wit `notifier`). They tell it early what the
 * plan will ask for, or what no entry says. Those of links, neighbours and resyncs come from the mirror, the others from the
 * kernel's notifiers (event-notices.ts): none comes twice.
 */

import { NOTICE_SET, NOTICE_TYPE } from '../plugin/records.ts';
import { NOTICES_MAX, type Runner } from '../plugin/runner.ts';
import type { Words } from './codecs.ts';
import type { LinkView } from './kernel-view.ts';

/** Notices waiting for a free slot; beyond it the oldest is dropped and counted. */
const QUEUE_MAX = 8192;

interface Notice {
  readonly type: number;
  readonly ifindex: number;
  readonly port: number;
  readonly value: number;
  readonly mac: number;
  readonly family: number;
  readonly address: Words | undefined;
  readonly prefixLength: number;
  readonly vlan: number;
  /** Nanoseconds of CLOCK_MONOTONIC. */
  readonly time: number;
}

/** What is not the same for every notice; zero where it is left out. */
export interface NoticeDetails {
  readonly value?: number;
  readonly mac?: number;
  readonly family?: number;
  readonly address?: Words;
  readonly prefixLength?: number;
  readonly vlan?: number;
  /** Absent: now. */
  readonly time?: number;
}

/** The set that each type is of, by the type's number. */
const SET_OF: readonly number[] = [
  ...new Array<number>(10).fill(NOTICE_SET.links),
  NOTICE_SET.neighbours,
  NOTICE_SET.neighbours,
  NOTICE_SET.fdb,
  NOTICE_SET.resyncs,
  NOTICE_SET.resyncs,
  NOTICE_SET.routes,
  NOTICE_SET.routes,
  NOTICE_SET.nexthops,
  NOTICE_SET.nexthops,
  NOTICE_SET.fdb,
  NOTICE_SET.fdb,
  NOTICE_SET.stp,
];

export class Notices {
  #queue: Notice[] = [];
  #sequence = 0;
  /** Notices that did not reach the plugin because it was too slow. */
  dropped = 0;
  readonly #wanted: number;

  /** `wanted`: bits of `NOTICE_SET`. */
  constructor(wanted: number) {
    this.#wanted = wanted;
  }

  wants(type: number): boolean {
    return (SET_OF[type]! & this.#wanted) !== 0;
  }

  add(type: number, ifindex: number, port: number, more: NoticeDetails = {}): void {
    if (!this.wants(type)) return;
    if (this.#queue.length === QUEUE_MAX) {
      this.#queue.shift();
      this.dropped++;
    }
    const { value = 0, mac = 0, family = 0, address, prefixLength = 0, vlan = 0, time } = more;
    this.#queue.push({
      type,
      ifindex,
      port,
      value,
      mac,
      family,
      address,
      prefixLength,
      vlan,
      time: time ?? Number(process.hrtime.bigint()),
    });
  }

  /** What changed about a port; `before` undefined: it is new, `after` undefined: it is gone. */
  compareLinks(
    before: LinkView | undefined,
    after: LinkView | undefined,
    port: number,
    bridge: (ifindex: number) => boolean,
  ): void {
    if (before === undefined) return;
    const { ifindex } = before;
    if (after === undefined) {
      this.add(NOTICE_TYPE.linkDeleted, ifindex, port);
      return;
    }
    if (before.up !== after.up) this.add(after.up ? NOTICE_TYPE.linkUp : NOTICE_TYPE.linkDown, ifindex, port);
    if (before.carrier !== after.carrier)
      this.add(after.carrier ? NOTICE_TYPE.carrierOn : NOTICE_TYPE.carrierOff, ifindex, port);
    if (before.name !== after.name) this.add(NOTICE_TYPE.linkRenamed, ifindex, port);
    if (before.mtu !== after.mtu) this.add(NOTICE_TYPE.mtuChanged, ifindex, port, { value: after.mtu });
    if (before.mac !== after.mac) this.add(NOTICE_TYPE.macChanged, ifindex, port, { mac: after.mac });
    if (before.master !== after.master) {
      if (bridge(before.master)) this.add(NOTICE_TYPE.bridgeLeft, ifindex, port, { value: before.master });
      if (bridge(after.master)) this.add(NOTICE_TYPE.bridgeJoined, ifindex, port, { value: after.master });
    }
  }

  /** Sends what waits, as far as the ring has room. */
  flush(runner: Runner): void {
    while (this.#queue.length > 0) {
      const record = runner.beginNotices();
      if (record === undefined) return;
      for (const notice of this.#queue.splice(0, NOTICES_MAX)) {
        record.append();
        record.noticeType = notice.type;
        record.ifindex = notice.ifindex;
        record.port = notice.port;
        record.value = notice.value;
        record.mac = notice.mac;
        record.family = notice.family;
        record.prefixLength = notice.prefixLength;
        record.vlan = notice.vlan;
        record.sequence = ++this.#sequence;
        record.time = notice.time;
        if (notice.address !== undefined) record.setAddress(...notice.address);
      }
      runner.commitNotices();
    }
  }

  clear(): void {
    this.#queue = [];
  }
}
