/** What the kernel is told of neighbours and bridge addresses in use: which of them, in which words, and when it is not asked again. */
import { beforeEach, expect, test } from 'vitest';
import { KernelRefresh, type UsedObject } from '../../../host/kernel/refresh.ts';
import { Mirror } from '../../../host/mirror/mirror.ts';
import { KIND } from '../../../host/mirror/types.ts';
import { encodeObject } from '../../../host/netlink/encode.ts';
import { datagram } from '../../../host/netlink/message.ts';
import { NetlinkError, type NetlinkRequest } from '../../../host/netlink/request.ts';

const RTM_NEWNEIGH = 28;
const AF_INET = 2;
const AF_BRIDGE = 7;
const NTF_USE = 0x01;
const NTF_MASTER = 0x04;
const NTF_EXT_LEARNED = 0x10;
const STATE = { reachable: 0x02, stale: 0x04, delay: 0x08, noarp: 0x40, permanent: 0x80 };
const EPERM = 1;
const ENOENT = 2;
const PASS_MAX = 4096;

let mirror: Mirror;
let asked: NetlinkRequest[];
/** Errno that the kernel answers with, 0 for none. */
let refusal: number;
let refresh: KernelRefresh;

beforeEach(() => {
  mirror = new Mirror();
  asked = [];
  refusal = 0;
  refresh = new KernelRefresh(mirror, {
    request: async (request) => {
      asked.push(request);
      if (refusal !== 0) throw new NetlinkError('tell the kernel', refusal, undefined);
    },
  });
});

/** Puts a neighbour or fdb entry into the mirror. */
function add(kind: 'neighbour' | 'fdb', number: number, state: number, flags = 0): UsedObject {
  const header = { family: kind === 'fdb' ? AF_BRIDGE : AF_INET, ifindex: 3, state, flags, type: 0 };
  const lladdr = `02:00:00:00:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}`;
  const own = kind === 'fdb' ? { master: 9, vlan: 5 } : { dst: `10.0.${number >> 8}.${number & 255}` };
  const bytes = encodeObject(kind, { header, lladdr, ...own });
  const data = datagram(bytes);
  const table = mirror.table(KIND[kind]);
  const { hash } = table.match(data, 0, bytes.length)!;
  return { kind: KIND[kind], id: table.insert(hash, data, 0, bytes.length) };
}

/** What a request says: its header, and the payloads of its attributes by number. */
function told({ type, payload }: NetlinkRequest) {
  const view = new DataView(payload!.buffer, payload!.byteOffset, payload!.byteLength);
  const attributes: Record<number, number[]> = {};
  for (let at = 12; at < payload!.length; at += (view.getUint16(at, true) + 3) & ~3)
    attributes[view.getUint16(at + 2, true)] = [...payload!.subarray(at + 4, at + view.getUint16(at, true))];
  return {
    type,
    family: payload![0],
    ifindex: view.getInt32(4, true),
    state: view.getUint16(8, true),
    flags: payload![10],
    attributes,
  };
}

test('a stale neighbour is to be used, so that the kernel asks for it again', async () => {
  await refresh.pass([add('neighbour', 2, STATE.stale)]);
  expect(asked.map(told)).toEqual([
    {
      type: RTM_NEWNEIGH,
      family: AF_INET,
      ifindex: 3,
      state: STATE.stale,
      flags: NTF_USE,
      // NDA_DST: the address alone is its key.
      attributes: { 1: [10, 0, 0, 2] },
    },
  ]);
});

test('a learned address is used in the bridge, with its VLAN', async () => {
  await refresh.pass([add('fdb', 7, STATE.reachable)]);
  const [one] = asked.map(told);
  expect(one).toMatchObject({ family: AF_BRIDGE, ifindex: 3, state: STATE.reachable });
  expect(one!.flags).toBe(NTF_USE | NTF_MASTER);
  // NDA_LLADDR and NDA_VLAN.
  expect(one!.attributes).toEqual({ 2: [2, 0, 0, 0, 0, 7], 5: [5, 0] });
});

test('what does not grow old, or is being checked, is left alone', async () => {
  await refresh.pass([
    add('neighbour', 2, STATE.reachable),
    add('neighbour', 3, STATE.permanent),
    add('neighbour', 4, STATE.delay),
    add('fdb', 5, STATE.permanent),
    add('fdb', 6, STATE.noarp),
    add('fdb', 7, STATE.reachable, NTF_EXT_LEARNED),
    { kind: KIND.neighbour, id: 4711 },
  ]);
  expect(asked).toEqual([]);
});

test('a pass has a limit; what is more comes with the next', async () => {
  const used = Array.from({ length: PASS_MAX + 10 }, (_, number) => add('fdb', number, STATE.reachable));
  await refresh.pass(used);
  expect(asked).toHaveLength(PASS_MAX);
  await refresh.pass(used.slice(PASS_MAX));
  expect(asked).toHaveLength(PASS_MAX + 10);
});

test('a pass that is slower than the pace skips the next', async () => {
  const used = [add('neighbour', 2, STATE.stale)];
  const passes = [refresh.pass(used), refresh.pass(used)];
  await Promise.all(passes);
  expect(asked).toHaveLength(1);
  await refresh.pass(used);
  expect(asked).toHaveLength(2);
});

test('what is gone in the kernel ends the pass, not the next', async () => {
  const used = [add('neighbour', 2, STATE.stale), add('neighbour', 3, STATE.stale)];
  refusal = ENOENT;
  await refresh.pass(used);
  expect(asked).toHaveLength(1);
  refusal = 0;
  await refresh.pass(used);
  expect(asked).toHaveLength(3);
});

test('without the right to change anything it does not ask again', async () => {
  const used = [add('neighbour', 2, STATE.stale)];
  refusal = EPERM;
  await refresh.pass(used);
  refusal = 0;
  await refresh.pass(used);
  expect(asked).toHaveLength(1);
});

test('a fault of ours is not taken for an answer of the kernel', async () => {
  const broken = new KernelRefresh(mirror, { request: () => Promise.reject(new TypeError('ours')) });
  await expect(broken.pass([add('neighbour', 2, STATE.stale)])).rejects.toThrow('ours');
});
