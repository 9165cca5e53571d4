/**
 * Routes with several gateways: which of them a flow takes is the router's own choice, so two routers may choose differently. What
 * counts is that the way is one of the route's, that the packet is the same otherwise, and that a flow always goes the same way.
 */
import type { Arena } from './arena.ts';
import type { Difference } from './compare.ts';
import type { Packet } from './frame.ts';

interface Left {
  /** Link and MAC address it left to. */
  readonly way: string;
  /** All behind the addresses and the tag. */
  readonly content: string;
}

interface Nexthop {
  readonly gateway?: string;
  readonly dev: string;
}

export class AnyWay {
  readonly #kernel: Arena;
  /** Which way each flow went since the routers changed. */
  readonly #taken = new Map<string, string>();

  constructor(kernel: Arena) {
    this.#kernel = kernel;
  }

  /** The routers have changed: flows may go other ways. */
  changed(): void {
    this.#taken.clear();
  }

  /** Those of the differences that are not just another gateway of the same route. */
  remaining(differences: readonly Difference[]): Difference[] {
    const asked = differences.filter(isOtherWay);
    if (asked.length === 0) return [...differences];
    const { answers } = this.#kernel.router.query([...asked.map(({ packet }) => question(packet)), 'neigh']);
    const macs = new Map(
      (answers.at(-1) ?? []).map(({ dst, dev, lladdr }) => [`${dst} ${dev}`, String(lladdr)]),
    );
    const excused = new Set(
      asked.filter((difference, index) => {
        const ways = (answers[index]?.[0]?.nexthops ?? []) as readonly Nexthop[];
        const allowed = ways.map(({ gateway, dev }) => `${dev} ${macs.get(`${gateway} ${dev}`)}`);
        return this.#isSteady(difference, allowed);
      }),
    );
    return differences.filter((difference) => !excused.has(difference));
  }

  #isSteady({ packet, offloaded }: Difference, allowed: readonly string[]): boolean {
    const { way } = leftOf(offloaded[0]!);
    if (allowed.length < 2 || !allowed.includes(way)) return false;
    const flow = flowOf(packet);
    const before = this.#taken.get(flow);
    this.#taken.set(flow, way);
    return before === undefined || before === way;
  }
}

function isOtherWay({ kernel, offloaded }: Difference): boolean {
  if (kernel.length !== 1 || offloaded.length !== 1) return false;
  return leftOf(kernel[0]!).content === leftOf(offloaded[0]!).content;
}

/** Of `pN: bytes`. */
function leftOf(text: string): Left {
  const [port, bytes] = text.split(': ') as [string, string];
  const mac = bytes.slice(0, 12).match(/../g)!.join(':');
  const isTagged = bytes.slice(24, 28) === '8100';
  const vlan = isTagged ? `.${Number.parseInt(bytes.slice(28, 32), 16) & 0xfff}` : '';
  return { way: `${port}${vlan} ${mac}`, content: bytes.slice(isTagged ? 32 : 24) };
}

/** The route of a packet, with all its gateways. */
function question({ port, vlans, body }: Packet): string {
  const { source, destination } = body as { source: string; destination: string };
  const iif = vlans === undefined ? `p${port}` : `p${port}.${vlans[0]!.id}`;
  return `route get fibmatch ${destination} from ${source} iif ${iif}`;
}

/** With `fib_multipath_hash_policy` 0 addresses make a flow; with others, what differs elsewhere may go elsewhere, too. */
function flowOf({ port, body }: Packet): string {
  return JSON.stringify([port, { ...body, ttl: 0, hops: 0, tos: 0, trafficClass: 0, dontFragment: 0 }]);
}
