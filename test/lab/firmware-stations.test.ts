/**
 * Addresses that hardware learns by itself, as the bridge shows them: the simulated ASIC is told what its ports saw, as it has no frames
 * of its own. What the bridge then does with frames is seen at the hosts behind its ports.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { bridged, entryOf, SOON, type Switch, withModule } from './firmware-support.ts';
import { LearningAsic } from './learning-asic.ts';

const MAC = '02:00:00:00:00:77';
/** Time that the kernel gives an entry of its own here, in seconds. */
const AGEING_S = 2;

describe('hardware that learns', () => {
  let space: Switch;
  let asic: LearningAsic;
  let ports: readonly [number, number];

  withModule(async () => {
    space = bridged();
    ports = [space.ifindex('sw0'), space.ifindex('sw1')];
    await start();
  });

  afterAll(() => space?.end());

  async function start(): Promise<void> {
    await space.start(['sw?'], 'learner', ['firmware.enabled = "on"', 'firmware.marks = "on"']);
    asic = new LearningAsic(space.host);
  }

  const seen = (mac = MAC) => ({ bridge: space.ifindex('br0'), vlan: 1, mac });
  const entry = (mac = MAC) => entryOf(space, mac);

  /** Hardware saw the address at a port, and the bridge has it. */
  async function learned(port: 0 | 1, mac = MAC): Promise<void> {
    await space.settled();
    asic.learn(seen(mac), ports[port]);
    await expect.poll(() => entry(mac), SOON).toEqual([`sw${port}`, 'extern_learn', 'offload']);
    await expect.poll(() => asic.portOf(seen(mac)), SOON).toBe(ports[port]);
  }

  /** Frames of so many to the address that come to the first host. */
  function arrived(count: number): number {
    const [here, there] = space.hosts;
    there.script(`ip neigh replace 192.0.2.77 lladdr ${MAC} dev eth0 nud permanent`);
    const received = () => Number(here.run('cat', ['/sys/class/net/eth0/statistics/rx_packets']));
    const start = received();
    there.run('bash', ['-c', `ping -q -n -c ${count} -i 0.05 -W 1 192.0.2.77 || true`]);
    return received() - start;
  }

  test('the bridge has an address that hardware learned, and forwards to it', async () => {
    // Nobody knows where it is, and this port is not for such frames.
    space.script('bridge link set dev sw0 flood off');
    expect(arrived(5)).toBe(0);
    await learned(0);
    expect(arrived(5)).toBe(5);
    await space.verified();
  });

  test('an address moves when hardware sees it elsewhere', async () => {
    await learned(1);
    expect(arrived(5)).toBe(0);
    await learned(0);
    expect(arrived(5)).toBe(5);
    await space.verified();
  });

  test('it grows old by hardware alone', async () => {
    const own = JSON.parse(space.hosts[0].run('ip', ['-j', 'link', 'show', 'eth0']))[0].address as string;
    space.hosts[0].run('bash', ['-c', 'ping -q -c 1 -W 5 192.0.2.2 || true']);
    expect(entry(own)).toBeDefined();
    space.script(`ip link set br0 type bridge ageing_time ${AGEING_S * 100}`);
    await expect.poll(() => entry(own), SOON).toBeUndefined();
    expect(entry()).toEqual(['sw0', 'extern_learn', 'offload']);
    space.script('ip link set br0 type bridge ageing_time 30000');
    await space.settled();
    asic.age(seen());
    await expect.poll(() => entry(), SOON).toBeUndefined();
    expect(arrived(5)).toBe(0);
    await space.verified();
  });

  test('what the bridge sees itself is its own, and what somebody set stays', async () => {
    await learned(0);
    // A frame from there comes to the kernel.
    space.hosts[1].script(`
      ip link add link eth0 name own address ${MAC} type macvlan
      ip link set own up
      ip addr add 192.0.2.78/24 dev own
      ping -q -c 1 -W 1 -I own 192.0.2.200 || true
    `);
    await expect.poll(() => entry(), SOON).toEqual(['sw1', 'offload']);
    await space.settled();
    asic.learn(seen(), ports[0]);
    await expect.poll(() => asic.portOf(seen()), SOON).toBe(ports[1]);
    await space.settled();
    expect(entry()).toEqual(['sw1', 'offload']);
    space.hosts[1].script('ip link del own');
    space.script(`bridge fdb replace ${MAC} dev sw0 master static vlan 1`);
    await expect.poll(() => entry(), SOON).toEqual(['sw0', 'offload', 'static']);
    await space.settled();
    asic.learn(seen(), ports[1]);
    await expect.poll(() => asic.portOf(seen()), SOON).toBe(ports[0]);
    await space.settled();
    expect(entry()).toEqual(['sw0', 'offload', 'static']);
    space.script(`bridge fdb del ${MAC} dev sw0 master vlan 1`);
    await space.verified();
  });

  test('a port that learns nothing has no new addresses', async () => {
    space.script('bridge link set dev sw1 learning off');
    await space.settled();
    asic.learn(seen(), ports[1]);
    // Told after it, and of a port that learns.
    await learned(0, '02:00:00:00:00:78');
    expect(entry()).toBeUndefined();
    space.script('bridge link set dev sw1 learning on');
    await space.settled();
    asic.age(seen('02:00:00:00:00:78'));
    await expect.poll(() => entry('02:00:00:00:00:78'), SOON).toBeUndefined();
  });

  test('it stays while the plugin starts anew, and goes with a plugin that ends', async () => {
    await learned(0);
    await space.host.plugins.restart('learner');
    await space.settled();
    await expect.poll(() => entry(), SOON).toEqual(['sw0', 'extern_learn', 'offload']);
    await space.host.plugins.disable('learner');
    await expect.poll(() => entry(), SOON).toBeUndefined();
    await space.host.plugins.enable('learner');
    await space.settled();
    expect(entry()).toBeUndefined();
    await learned(1);
  });

  test('it goes with the port, and with the host', async () => {
    space.script('ip link set sw1 nomaster');
    expect(entry()).toBeUndefined();
    space.script('ip link set sw1 master br0');
    await learned(1);
    await space.stop();
    expect(entry()).toBeUndefined();
    await start();
    expect(entry()).toBeUndefined();
    await learned(0);
  });
});
