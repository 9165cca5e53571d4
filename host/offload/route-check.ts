/**
 * A number for what a route does with packets, from what the kernel shows of it. A mark says it, so that the kernel can tell the
 * route that is meant from one that took its place meanwhile. bpf/module/check.c counts the same.
 */
import { AF_INET, AF_INET6, type HopReader, type RouteReader } from './route-reader.ts';

let ways = 0;
const addMember = (hop: HopReader) => {
  ways += checkOfHop(hop, hop.weight);
};

/** Not 0, 32 bits. `route` was read. */
export function checkOf(route: RouteReader): number {
  ways = 0;
  // A nexthop that is an object may become another while the route stays.
  if (route.nexthopId !== 0) ways = mix(0, route.nexthopId);
  else if (route.isMultipath) route.forEachHop(addMember);
  else ways = checkOfHop(route.hop, 1);
  let check = mix(0, route.nexthopId === 0 ? route.type : 0);
  check = mix(check, route.tos);
  check = mix(check, route.hasMtu ? 1 : 0);
  check = mix(check, ways);
  return check >>> 0 || 1;
}

function checkOfHop(hop: HopReader, weight: number): number {
  let check = mix(0, hop.ifindex);
  check = mix(check, weight);
  check = mix(check, hop.encapsulated ? 1 : 0);
  check = mix(check, hop.gatewayFamily);
  if (hop.gatewayFamily === AF_INET) check = mix(check, hop.gateway[3]!);
  if (hop.gatewayFamily !== AF_INET6) return check;
  for (let word = 0; word < 4; word++) check = mix(check, hop.gateway[word]!);
  return check;
}

function mix(check: number, word: number): number {
  const product = Math.imul(check ^ word, 0x9e3779b1);
  return (product << 15) | (product >>> 17);
}
