/** A DPU with two routing domains and a kernel between them: offloaded, a packet no longer sees the kernel. */
import { afterEach, expect, test } from 'vitest';
import { TestHost } from '../support/host.ts';
import { hopsOf, TwoVrfs } from '../support/two-vrfs.ts';

let demo: TwoVrfs | undefined;
let host: TestHost | undefined;

afterEach(async () => {
  await host?.close();
  demo?.close();
  host = demo = undefined;
});

test('the way from host to host loses the kernel’s two hops, and has them again without its routes', async () => {
  demo = new TwoVrfs(false);
  demo.route('add');
  // No link is said to have a gateway of IPv6: that family is not offloaded.
  demo.kernel.ip('-6 neigh add fe80::77 lladdr 02:00:00:00:00:77 dev e0 nud permanent');
  expect(demo.hops(4)).toEqual(hopsOf(4).before);

  host = new TestHost({
    netns: demo.kernel.name,
    plugin: 'l3-mirror',
    isOnlyMirror: true,
    sections: demo.sections,
  });
  await host.start();
  await host.verified();
  expect(demo.hops(4)).toEqual(hopsOf(4).after);

  demo.route('del');
  await host.settled();
  await host.verified();
  expect(demo.dpu.ip('route show table all proto 210')).not.toMatch(/192\.168\.1[12]\./);
  demo.route('add');
  await host.settled();
  await host.verified();
  expect(demo.hops(4)).toEqual(hopsOf(4).after);
});
