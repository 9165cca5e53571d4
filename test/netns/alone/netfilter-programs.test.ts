/**
 * BPF programs attached to netfilter. The kernel does not tell which network namespace they are in, so every host of the machine
 * leaves the packets to the kernel meanwhile: this runs when no other host does.
 */
import { afterEach, expect, test } from 'vitest';
import { attachNetfilter } from '../../support/bpf-hooks.ts';
import { TestHost } from '../../support/host.ts';
import { host4, host6, Router } from '../../support/router.ts';

const NFPROTO_IPV6 = 10;
const [LOCAL_IN, FORWARD] = [1, 2];

let router: Router | undefined;
let host: TestHost | undefined;

afterEach(async () => {
  await host?.close();
  router?.close();
  host = router = undefined;
});

async function fate(): Promise<string[]> {
  await host!.settled();
  const packets = [
    { destination: '203.0.113.7', source: '192.168.7.7', in: 'p0' },
    { destination: '2001:db8:cafe::7', source: '2001:db8:9::7', in: 'p0' },
  ];
  const answers = await Promise.all(packets.map((packet) => host!.lookup(packet)));
  return answers.map(({ action, by }) => (action === 'forward' ? action : by));
}

test('those that see forwarded packets keep them with the kernel', async () => {
  router = new Router(2);
  router.ip(`route add 203.0.113.0/24 via ${host4(1, 2)}`);
  router.ip(`route add 2001:db8:cafe::/48 via ${host6(1, 2)}`);
  host = await TestHost.start({ netns: router.name });
  const harmless = attachNetfilter(router.name, NFPROTO_IPV6, LOCAL_IN);
  try {
    expect(await fate()).toEqual(['forward', 'forward']);
    const detach = attachNetfilter(router.name, NFPROTO_IPV6, FORWARD);
    try {
      expect(await fate()).toEqual(['forward', 'family not routed']);
      expect((await host.ekho('show', 'link', 'dev', 'p0')).out).toContain('trapped (netfilter-program)');
    } finally {
      detach();
    }
    expect(await fate()).toEqual(['forward', 'forward']);
  } finally {
    harmless();
  }
});
