/** What dumps need to know, read from the mirror: links with qdiscs, the parents filters can have, and flowtables. */

import type { ObjectTable } from '../mirror/table.ts';
import { KIND, type KindNumber } from '../mirror/types.ts';
import { attributeLength, findAttribute, NLA_HDRLEN } from '../netlink/message.ts';
import { qdiscAttributes } from '../netlink/schema/tc.ts';
import type { TrafficControl } from './requests.ts';
import { TC_H_CLSACT, TC_H_MIN_EGRESS, TC_H_MIN_INGRESS } from './rtnetlink.ts';

const HEADER = 20;
const decoder = new TextDecoder('latin1');

export class ControlView implements TrafficControl {
  readonly #tableOf: (kind: KindNumber) => ObjectTable;

  constructor(tableOf: (kind: KindNumber) => ObjectTable) {
    this.#tableOf = tableOf;
  }

  get hasFlowtables(): boolean {
    return this.#tableOf(KIND['nft-flowtable']).count > 0;
  }

  /** Plain default qdiscs (handle 0) have neither classes nor filters. */
  links(): Iterable<number> {
    const links = new Set<number>();
    this.#forEach(KIND.qdisc, (ifindex, handle) => {
      if (handle !== 0) links.add(ifindex);
    });
    return links;
  }

  parents(link: number): Iterable<number> {
    const parents = new Set<number>();
    this.#forEach(KIND.qdisc, (ifindex, handle, type) => {
      if (ifindex !== link || handle === 0) return;
      if (type() === 'clsact') {
        parents.add((TC_H_CLSACT | TC_H_MIN_INGRESS) >>> 0);
        parents.add((TC_H_CLSACT | TC_H_MIN_EGRESS) >>> 0);
      } else {
        parents.add(handle);
      }
    });
    this.#forEach(KIND.class, (ifindex, handle) => {
      if (ifindex === link) parents.add(handle);
    });
    return parents;
  }

  #forEach(kind: KindNumber, callback: (ifindex: number, handle: number, type: () => string) => void): void {
    const table = this.#tableOf(kind);
    table.forEach((id) => {
      const { data, start, end } = table.locate(id);
      callback(data.words[(start + 4) >>> 2]!, data.words[(start + 8) >>> 2]!, () => {
        const at = findAttribute(data.words, start + HEADER, end, qdiscAttributes.number.kind);
        if (at < 0) return '';
        return decoder
          .decode(data.bytes.subarray(at + NLA_HDRLEN, at + attributeLength(data.words, at)))
          .split('\0', 1)[0]!;
      });
    });
  }
}
