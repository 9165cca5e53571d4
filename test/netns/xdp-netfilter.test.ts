/** nftables chains in hardware: what they accept is forwarded by the data path, what they drop by nobody. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ObjectsPage } from '../../host/api/schemas.ts';
import { Datapath } from '../support/datapath.ts';
import { address4, address6, Wires } from '../support/wires.ts';

const LIMIT = 180_000;
let path: Datapath;

const nft = (...lines: string[]) => path.wires.router.run('nft', ['-f', '-'], `${lines.join('\n')}\n`);
const chain = (policy: string, ...rules: string[]) =>
  nft(
    'table inet edge',
    'delete table inet edge',
    'table inet edge {',
    `  chain forward { type filter hook forward priority 0; policy ${policy};`,
    ...rules,
    '  }',
    '}',
  );

/** Echo requests answered, of 10, and how many packets the router's kernel forwarded, there and back. */
async function pinged(to = address4(1)): Promise<{ answers: number; byKernel: number }> {
  const before = path.forwarded();
  const answers = path.wires.ping(0, to);
  const after = path.forwarded();
  return { answers, byKernel: after.v4 + after.v6 - before.v4 - before.v6 };
}

async function offloadOf(text: string): Promise<string> {
  const { items } = await path.host.client.get<ObjectsPage>('/api/v1/objects/nft-rule?limit=1000');
  const one = items.find((item) => JSON.stringify(item).includes(text));
  if (one === undefined || 'gone' in one) throw new Error(`no rule has ${text}: ${JSON.stringify(items)}`);
  const { state = 'none', reason } = one.offload[0] ?? {};
  return reason === undefined ? state : `${state} (${reason})`;
}

beforeAll(async () => {
  path = await Datapath.start(new Wires());
  // Neighbours are known from here on.
  path.wires.ping(0, address4(1));
  path.wires.ping(0, address6(1));
}, LIMIT);

afterAll(async () => {
  await path?.close();
});

describe(
  'rules that need no connection tracking',
  () => {
    test('what they accept stays in hardware, what they drop is dropped', async () => {
      chain(
        'drop',
        'meta l4proto icmp accept',
        'meta l4proto ipv6-icmp accept',
        `ip daddr ${address4(1)} accept`,
      );
      await path.host.settled();
      expect(await pinged()).toEqual({ answers: 10, byKernel: 0 });
      expect(await pinged(address6(1))).toEqual({ answers: 10, byKernel: 0 });
      chain('accept', `ip daddr ${address4(1)} icmp type echo-request counter drop`);
      await path.host.settled();
      expect((await pinged()).answers).toBe(0);
      expect(path.wires.router.run('nft', ['list', 'ruleset'])).toMatch(/counter packets 10 bytes \d+ drop/);
      expect(await pinged(address6(1))).toEqual({ answers: 10, byKernel: 0 });
      await path.host.verified();
    });

    test('each rule says what became of it', async () => {
      chain(
        'accept',
        'ip saddr 198.51.100.0/24 accept',
        'ip saddr 203.0.113.0/24 drop',
        'ip saddr 192.0.2.0/24 limit rate 5/second accept',
      );
      await path.host.settled();
      expect(await offloadOf('c63364')).toBe('offloaded');
      expect(await offloadOf('cb0071')).toBe('trapped (rule-traps)');
      expect(await offloadOf('c00002')).toBe('trapped (unsupported-match)');
      expect(await pinged()).toEqual({ answers: 10, byKernel: 0 });
    });

    test('a thousand of them, and one that comes first', async () => {
      const rules = Array.from(
        { length: 1000 },
        (_, index) => `ip daddr 203.0.${113 + (index >> 8)}.${index & 255} udp dport ${1 + index} drop`,
      );
      chain('accept', ...rules);
      await path.host.settled();
      expect(await pinged()).toEqual({ answers: 10, byKernel: 0 });
      nft(`insert rule inet edge forward ip daddr ${address4(1)} drop`);
      await path.host.settled();
      expect((await pinged()).answers).toBe(0);
      await path.host.verified();
    });

    test('connections tracked for the machine itself: the kernel has fragments, and nothing else', async () => {
      const big = async (to: string) => {
        const before = path.forwarded();
        const answers = path.wires.ping(0, to, 5, ['-s', '3000']);
        const after = path.forwarded();
        return { answers, byKernel: after.v4 + after.v6 - before.v4 - before.v6 > 0 };
      };
      nft('table inet edge', 'delete table inet edge');
      await path.host.settled();
      expect(await big(address4(1))).toEqual({ answers: 5, byKernel: false });
      nft('table inet edge { chain input { type filter hook input priority 0; ct state invalid drop; }; }');
      await path.host.settled();
      expect(await big(address4(1))).toEqual({ answers: 5, byKernel: true });
      expect(await big(address6(1))).toEqual({ answers: 5, byKernel: true });
      expect(await pinged()).toEqual({ answers: 10, byKernel: 0 });
      expect(await pinged(address6(1))).toEqual({ answers: 10, byKernel: 0 });
      await path.host.verified();
    });

    test('with connection tracking the kernel has the packets, until it goes', async () => {
      chain('drop', 'ct state established,related accept', 'icmp type echo-request accept');
      await path.host.settled();
      expect(await pinged()).toEqual({ answers: 10, byKernel: 20 });
      expect(await offloadOf('"ct"')).toBe('refused (netfilter-hook)');
      nft('delete table inet edge');
      await path.host.settled();
      expect(await pinged()).toEqual({ answers: 10, byKernel: 0 });
    });

    test('a plugin that comes back finds them as they were', async () => {
      chain('drop', `ip daddr ${address4(1)} accept`, `ip saddr ${address4(1)} accept`);
      await path.host.settled();
      await path.host.client.post(`/api/v1/plugins/${path.host.plugin}/restart`);
      await path.host.settled();
      expect(await pinged()).toEqual({ answers: 10, byKernel: 0 });
      expect((await pinged(address6(1))).answers).toBe(0);
      await path.host.verified();
    });
  },
  LIMIT,
);
