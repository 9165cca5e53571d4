/** What the kernel does with a packet, by its own word (`ip route get`), and whether hardware may do what it does. */
import type { LookupAnswer } from '../../host/api/schemas.ts';
import type { Answer, Netns } from './netns.ts';
import type { Probe } from './world.ts';

interface Way {
  readonly link: string;
  /** Absent: the destination is on the link. */
  readonly gateway?: string;
}

export interface KernelAnswer {
  /** `none`: local, broadcast, no route, or an error that the kernel answers. */
  readonly does: 'forward' | 'drop' | 'none';
  /** Every way it may choose; the one it chose first. */
  readonly ways: readonly Way[];
  /** As ip printed it. */
  readonly said: string;
}

/** Asks for all probes in one go, twice: which way is chosen, and which route is behind it. */
export function askKernel(netns: Netns, probes: readonly Probe[]): KernelAnswer[] {
  const words = ({ destination, source, in: ingress, ipproto, sport, dport }: Probe): string =>
    destination +
    (source === undefined ? '' : ` from ${source} iif ${ingress}`) +
    ` ipproto ${ipproto} sport ${sport} dport ${dport}`;
  const chosen = netns.query(probes.map((probe) => `route get ${words(probe)}`));
  const matched = netns.query(probes.map((probe) => `route get fibmatch ${words(probe)}`));
  return probes.map((probe, number) => {
    const answer = chosen.answers[number]?.[0];
    const error = chosen.errors.get(number);
    if (answer === undefined) {
      // Of the routes that fail a lookup only blackhole says EINVAL; so do packets the kernel will not have at all.
      return { does: /Invalid argument/.test(error ?? '') ? 'drop' : 'none', ways: [], said: `${error}` };
    }
    const route = matched.answers[number]?.[0];
    const said = `${JSON.stringify(answer)} by ${JSON.stringify(route ?? matched.errors.get(number))}`;
    if ((answer.type ?? 'unicast') !== 'unicast') return { does: 'none', ways: [], said };
    const one = wayOf(answer, probe.destination);
    const all = route === undefined ? [] : waysOf(route, probe.destination);
    return { does: 'forward', ways: [one, ...all], said };
  });
}

function waysOf(route: Answer, destination: string): Way[] {
  const hops = Array.isArray(route.nexthops) ? (route.nexthops as Answer[]) : [route];
  return hops.map((hop) => wayOf(hop, destination));
}

function wayOf(hop: Answer, destination: string): Way {
  const via = hop.via as { host?: string } | undefined;
  const gateway = (hop.gateway as string | undefined) ?? via?.host;
  return { link: String(hop.dev), ...(gateway !== undefined && gateway !== destination && { gateway }) };
}

/** Link-layer addresses the kernel can use, by link and address. */
export type Neighbours = ReadonlyMap<string, string>;

export function askNeighbours(netns: Netns): Neighbours {
  const rows = ['-4', '-6'].flatMap((family) => netns.query(['neigh show'], [family]).answers[0] ?? []);
  const usable = rows.filter(({ lladdr, state }) => lladdr !== undefined && !`${state}`.includes('FAILED'));
  return new Map(usable.map(({ dev, dst, lladdr }) => [`${dev} ${canonical(String(dst))}`, String(lladdr)]));
}

/** What is wrong with the hardware's answer; undefined when it is the kernel's or a trap. */
export function objection(
  probe: Probe,
  kernel: KernelAnswer,
  hardware: LookupAnswer,
  neighbours: Neighbours,
): string | undefined {
  if (hardware.action === 'trap') return undefined;
  if (hardware.action === 'drop') return kernel.does === 'drop' ? undefined : 'hardware drops it';
  if (kernel.does !== 'forward') return 'hardware forwards it';
  const normal = ({ link, gateway }: Way): string =>
    `${link} ${gateway === undefined || same(gateway, probe.destination) ? '' : canonical(gateway)}`;
  const allowed = new Set(kernel.ways.map(normal));
  const stray = hardware.ways.find((way) => !allowed.has(normal(way)));
  if (stray !== undefined) return `hardware may send it to ${normal(stray)}`;
  for (const { link, gateway, mac } of hardware.ways) {
    const known = neighbours.get(`${link} ${canonical(gateway ?? probe.destination)}`);
    if (known !== mac) return `hardware sends it to ${mac}, the neighbour is ${known}`;
  }
  const ways = new Set(hardware.ways.map(normal));
  if (!ways.has(normal(kernel.ways[0]!))) return 'hardware never sends it where the kernel does';
  return undefined;
}

function same(a: string, b: string): boolean {
  return canonical(a) === canonical(b);
}

function canonical(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]/`).hostname : address;
}
