/** Requests to the real kernel, without rights: dumps, answers, refusals in the kernel's words. */

import { afterEach, describe, expect, it } from 'vitest';
import { NETLINK_ROUTE } from '../../../host/netlink/message.ts';
import { NetlinkClient, NetlinkError } from '../../../host/netlink/request.ts';

const RTM_GETLINK = 18;
const RTM_GETROUTE = 26;

let client: NetlinkClient;
afterEach(() => client.close());

for (const threaded of [false, true]) {
  describe(threaded ? 'on a thread of its own' : 'on the event loop', () => {
    const open = () => {
      client = new NetlinkClient({ protocol: NETLINK_ROUTE, threaded });
    };

    it('dumps links, in order with other requests', async () => {
      open();
      const names: string[] = [];
      const dump = client.dump(
        { type: RTM_GETLINK, payload: new Uint8Array(16), operation: 'dump link' },
        (type) => {
          names.push(`link ${type}`);
        },
      );
      const payload = new Uint8Array(16);
      payload[4] = 1;
      const get = client.request({ type: RTM_GETLINK, payload, operation: 'read link 1' }, (type) => {
        names.push(`one ${type}`);
      });
      expect(await dump).toBe(false);
      await get;
      expect(names.at(0)).toBe('link 16');
      expect(names.at(-1)).toBe('one 16');
    });

    it('says why the kernel refuses', async () => {
      open();
      const payload = new Uint8Array(16);
      payload[4] = 0x7f;
      payload[5] = 0x7f;
      const missing = client.request({ type: RTM_GETLINK, payload, operation: 'read link' });
      await expect(missing).rejects.toMatchObject({ code: 'E_NETLINK', errno: 19, operation: 'read link' });
      // Strict checking: a field that a dump cannot be filtered by.
      const bad = new Uint8Array(12);
      bad[0] = 2;
      bad[1] = 24;
      const refused = client.dump({ type: RTM_GETROUTE, payload: bad, operation: 'dump route' }, () => {});
      const error = await refused.catch((reason) => reason);
      expect(error).toBeInstanceOf(NetlinkError);
      expect(error.kernel).toMatch(/Invalid/);
      expect(error.message).toContain(error.kernel);
    });

    it('goes on after a handler that throws', async () => {
      open();
      const request = { type: RTM_GETLINK, payload: new Uint8Array(16), operation: 'dump link' };
      const thrown = client.dump(request, () => {
        throw new Error('not liked');
      });
      await expect(thrown).rejects.toThrow('not liked');
      let links = 0;
      await client.dump(request, () => {
        links++;
      });
      expect(links).toBeGreaterThan(0);
    });

    it('rejects what is under way when it is closed', async () => {
      open();
      const request = { type: RTM_GETLINK, payload: new Uint8Array(16), operation: 'dump link' };
      const pending = [client.dump(request, () => {}), client.dump(request, () => {})];
      client.close();
      for (const dump of pending) await expect(dump).rejects.toMatchObject({ code: 'E_NETLINK' });
      await expect(client.dump(request, () => {})).rejects.toThrow('closed');
    });
  });
}
