/** Links and neighbours as notifiers tell them: ups and downs, names, masters, moves between namespaces, frames that resolve. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Notifier } from '../../host/kernel/notifier/notifier.ts';
import type { NotifierEvent } from '../../host/kernel/notifier/record.ts';
import { netnsCookie } from '../../host/netlink/syscall.ts';
import { Netns } from '../support/netns.ts';
import { ToldSpace } from './notifier-support.ts';

let space: ToldSpace;
let host: Netns;
beforeAll(() => {
  space = new ToldSpace();
  host = new Netns();
  space.script(`
    ip link add v0 type veth peer name eth0 netns ${host.name}
    ip addr add 10.0.0.1/24 dev v0
    ip addr add 2001:db8::1/64 dev v0 nodad
    ip link set v0 up
    ip -n ${host.name} addr add 10.0.0.2/24 dev eth0
    ip -n ${host.name} addr add 2001:db8::2/64 dev eth0 nodad
    ip -n ${host.name} link set eth0 up
  `);
});
afterEach(() => space.agree());
afterAll(async () => {
  await space?.end();
  host?.close();
});

const names = (events: readonly NotifierEvent[]) => events.map(({ event, name }) => `${event} ${name}`);

test('links: made, up, changed, renamed, down, deleted, with what `ip link` shows', () => {
  const told = space.told(
    `
    ip link add d0 type dummy
    ip link set d0 up
    ip link set d0 mtu 1400
    ip link set d0 address 02:00:00:00:00:d0
    ip link set d0 down
    ip link set d0 name d9
    ip link set d9 up
  `,
    'link',
  );
  // The carrier of v0 may come meanwhile.
  expect(names(told.filter(({ name }) => name !== 'v0'))).toEqual([
    'link-register d0',
    'link-up d0',
    'link-change-mtu d0',
    'link-change-address d0',
    'link-down d0',
    'link-change-name d9',
    'link-up d9',
  ]);
  const [shown] = space.json('ip -j link show d9');
  const last = told.findLast(({ name }) => name === 'd9')!;
  expect(last).toMatchObject({
    ifindex: shown!.ifindex,
    name: 'd9',
    address: '02:00:00:00:00:d0',
    mtu: 1400,
  });
  expect(last.flags).toContain('up');
  const gone = space.told('ip link del d9', 'link').filter(({ name }) => name === 'd9');
  expect(names(gone)).toEqual(['link-down d9', 'link-unregister d9']);
});

test('carrier that the other end takes and gives', async () => {
  const from = space.events().length;
  const state = () => space.since(from, 'link-change').findLast(({ name }) => name === 'v0')?.operstate;
  host.ip('link set eth0 down');
  // Which of the two, depends on whether the kernel finds the other end by its number.
  await expect.poll(state).toMatch(/^(lowerlayer)?down$/);
  host.ip('link set eth0 up');
  await expect.poll(state).toBe('up');
});

test('masters: bridge, VRF, bond', () => {
  const told = space.told(
    `
    ip link add d0 type dummy
    ip link add br0 type bridge
    ip link add red type vrf table 10
    ip link add bond0 type bond
    ip link set d0 master br0
    ip link set d0 nomaster
    ip link set d0 master red
    ip link set d0 nomaster
    ip link set d0 down
    ip link set d0 master bond0
    ip link del bond0
  `,
    'link-change-upper',
  );
  expect(told.map(({ name, upperName, master, linking }) => [name, upperName, master, linking])).toEqual(
    ['br0', 'red', 'bond0'].flatMap((upper) => [
      ['d0', upper, true, true],
      ['d0', upper, true, false],
    ]),
  );
});

test('a link that moves to another namespace leaves here and arrives there', () => {
  using all = Notifier.open();
  space.script(`ip link add d5 type dummy; ip link set d5 netns ${host.name}`);
  const cookies = [netnsCookie(space.name), netnsCookie(host.name)];
  const found: NotifierEvent[] = [];
  all.drain({ onRecord: (record) => found.push(record.toEvent()) });
  const moved = found.filter(({ hook, name }) => hook === 'link' && name === 'd5');
  expect(moved.map(({ event, netns }) => [event, cookies.indexOf(netns)])).toEqual([
    ['link-register', 0],
    ['link-unregister', 0],
    ['link-register', 1],
  ]);
  const here = space.since(0, 'link').filter(({ name }) => name === 'd5');
  expect(names(here)).toEqual(['link-register d5', 'link-unregister d5']);
});

test('neighbours: resolved by frames, set by users, failed, gone', async () => {
  // A link that was down has lost its IPv6 addresses.
  host.ip('addr replace 2001:db8::2/64 dev eth0 nodad');
  host.run('ping', ['-c1', '-W20', '10.0.0.1']);
  host.run('ping', ['-6', '-c1', '-W20', '2001:db8::1']);
  const mac = JSON.parse(host.run('ip', ['-j', 'link', 'show', 'eth0']))[0].address;
  const ifindex = space.ifindex('v0');
  const last = (dst: string) => space.since(0, 'neighbour').findLast((event) => event.dst === dst);
  for (const [dst, family] of [
    ['10.0.0.2', 'inet'],
    ['2001:db8::2', 'inet6'],
  ]) {
    await expect.poll(() => last(dst!)).toMatchObject({ family, ifindex, lladdr: mac, dead: false });
    const [shown] = space.json(`ip -j neigh show ${dst}`);
    expect(shown!.lladdr).toBe(mac);
  }
  space.script('ip neigh replace 10.0.0.9 lladdr 02:00:00:00:00:09 dev v0 nud permanent');
  expect(last('10.0.0.9')).toMatchObject({ state: ['permanent'], lladdr: '02:00:00:00:00:09' });
  space.script('ip neigh del 10.0.0.9 dev v0');
  expect(last('10.0.0.9')).toMatchObject({ dead: true });
  // Nobody answers for this one.
  space.run('bash', ['-c', 'ping -c1 -W1 10.0.0.77 || true']);
  await expect.poll(() => last('10.0.0.77'), { timeout: 60_000 }).toMatchObject({ state: ['failed'] });
});
