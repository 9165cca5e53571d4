/** Child process of state.test.ts: writes, replaces and removes in an ASIC's state file until it is killed. */

import { AsicDevice, openAsicCore } from '../../../host/device/asic/device.ts';
import { GROUP, LPM4, NEXTHOP, NONE, PORT, ROUTER_INTERFACE } from '../../../host/device/asic/layout.ts';
import { members, row } from './rows.ts';

const BURST = 64;
const [path, seed] = [process.argv[2]!, Number(process.argv[3])];
const device = new AsicDevice({ name: 'test', kind: 'asic', state: path, tables: { lpm4: 5000 } });
const core = openAsicCore(device.share);

const setUp: [number, Uint32Array][] = [
  [PORT, row(PORT, { ifindex: 1, mtu: 1500, flags: 3 })],
  [ROUTER_INTERFACE, row(ROUTER_INTERFACE, { ifindex: 1, mtu: 1500, flags: 3 })],
  [NEXTHOP, row(NEXTHOP, { 'router-interface': 0, ifindex: 1, 'destination-mac': [2, 7] })],
  [GROUP, row(GROUP, { count: 1, members: members([0, 1]) })],
];
for (const [table, words] of setUp) core.write(table, words, 0, 1);

/** All words of a row follow from its cookie, so that a torn row shows. */
export function route(cookie: number): Uint32Array {
  const prefix = (0x0a000000 + ((cookie * 256) & 0x0fff00)) >>> 0;
  const forwards = cookie % 2 === 0;
  return row(LPM4, {
    cookie,
    vrf: 7,
    prefix,
    length: 24,
    action: forwards ? 0 : 2,
    group: forwards ? 0 : NONE,
  });
}

let state = seed;
const random = (): number => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return state >>> 8;
};
const burst = new Uint32Array(BURST * 6);
const keys = new Uint32Array(BURST * 3);
for (let round = 0; ; round++) {
  for (let at = 0; at < BURST; at++) burst.set(route(1 + random()), at * 6);
  core.write(LPM4, burst, 0, BURST);
  if (round === 0) process.stdout.write('ready\n');
  for (let at = 0; at < BURST; at++) keys.set(route(1 + random()).subarray(1, 4), at * 3);
  for (let from = 0; from < BURST; ) from += core.remove(LPM4, keys, from * 3, BURST - from).done + 1;
}
