/**
 * Established flows on a kernel with flowtables: connections of this process, through a router that masquerades them, to a
 * server that echoes. The data path forwards them past netfilter; the kernel keeps them alive and ends them.
 */
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Netns } from '../support/netns.ts';
import { PACE } from './pace.ts';
import { LabSpace } from './support.ts';

const LINK = 'flows0';
const CLIENT = '10.201.1.2';
const SERVER = '10.201.2.2';
const OUTSIDE = '10.201.2.1';
const PORT = 7000;
const LIMIT = 240_000 * PACE;
/** Packets that hardware must have forwarded in each direction. */
const ENOUGH = 10;

/** Sends back what comes, by TCP and UDP. */
const ECHO = `
  require('net').createServer((socket) => socket.pipe(socket)).listen(${PORT}, '${SERVER}');
  const udp = require('dgram').createSocket('udp4');
  udp.on('message', (data, { port, address }) => udp.send(data, port, address));
  udp.bind(${PORT}, '${SERVER}', () => console.log('listening'));
`;

const RULES = `
table inet edge {
  flowtable fast {
    hook ingress priority 0
    devices = { p0, p1 }
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established meta l4proto { tcp, udp } flow add @fast
    ct state established,related accept
    iifname p0 accept
  }
}
table ip nat {
  chain post {
    type nat hook postrouting priority 100
    oifname p1 masquerade
  }
}
`;

let router: LabSpace;
let server: Netns;
let echo: ReturnType<Netns['launch']> | undefined;

beforeAll(async () => {
  router = new LabSpace();
  server = new Netns();
  router.sysctl('net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0');
  router.script(`
    ip link add p0 type veth peer name ${LINK} netns 1
    ip link add p1 type veth peer name eth0 netns ${server.name}
    ip addr add 10.201.1.1/24 dev p0
    ip addr add ${OUTSIDE}/24 dev p1
    ip link set p0 up
    ip link set p1 up
    nft -f - <<'END'
${RULES}
END
    sysctl -qw net.netfilter.nf_flowtable_udp_timeout=2
  `);
  execFileSync('ip', ['addr', 'add', `${CLIENT}/24`, 'dev', LINK]);
  execFileSync('ip', ['link', 'set', LINK, 'up']);
  execFileSync('ip', ['route', 'add', '10.201.2.0/24', 'via', '10.201.1.1']);
  server.ip(`addr add ${SERVER}/24 dev eth0`);
  server.ip('link set eth0 up');
  echo = server.launch(process.execPath, ['-e', ECHO]);
  await once(echo.stdout, 'data');
  await router.start(['p0', 'p1'], 'xdp');
}, LIMIT);

afterAll(async () => {
  echo?.kill('SIGKILL');
  await router?.end();
  server?.close();
});

/** Repeats `attempt` until it says that it is so. */
async function until(what: string, attempt: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + LIMIT / 2; Date.now() < end; ) {
    if (await attempt()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const state = { flows: await router.rows('flow'), traps: traps(), entries: await entries('') };
  throw new Error(`not: ${what}: ${JSON.stringify(state)}`);
}

/** Frames that went to the kernel, by reason. */
function traps(): Record<string, number> {
  const counts = router.host.devices.list().flatMap((device) => device.traps ?? []);
  return Object.fromEntries(counts.map(({ reason, packets }) => [reason, packets]));
}

/** Packets that hardware forwarded by flows of a protocol, by what they are recognised by. */
async function entries(protocol: string): Promise<Record<string, number>> {
  const { entries } = await router.host.stats();
  const flows = entries.filter(({ entry }) => entry.startsWith(`flow ${protocol}`));
  return Object.fromEntries(flows.map(({ entry, packets }) => [entry, packets]));
}

async function isForwarded(protocol: string, port: number): Promise<boolean> {
  const counted = await entries(protocol);
  const out = counted[`flow ${protocol} ${CLIENT}:${port} > ${SERVER}:${PORT}`] ?? 0;
  const back = counted[`flow ${protocol} ${SERVER}:${PORT} > ${OUTSIDE}:${port}`] ?? 0;
  return out >= ENOUGH && back >= ENOUGH;
}

const isGone = (protocol: string) => async (): Promise<boolean> =>
  (await router.rows('flow', 'proto', protocol)).length === 0 &&
  Object.keys(await entries(protocol)).length === 0;

test(
  'a TCP connection is forwarded by hardware, masqueraded, and ends in the kernel',
  async () => {
    const socket = connect(PORT, SERVER);
    socket.setNoDelay(true);
    let received = '';
    socket.setEncoding('latin1').on('data', (data) => {
      received += data;
    });
    await once(socket, 'connect');
    const { localPort } = socket;
    let sent = '';
    await until('both directions in hardware', async () => {
      const chunk = `${sent.length} ${'x'.repeat(3000)}\n`;
      sent += chunk;
      socket.write(chunk);
      while (received.length < sent.length) await once(socket, 'data');
      return isForwarded('tcp', localPort!);
    });
    expect(received).toBe(sent);
    expect(traps()['keeps its flow alive']).toBeGreaterThan(0);
    await router.verified();
    socket.end();
    await once(socket, 'close');
    expect(traps()['flow begins or ends']).toBeGreaterThan(0);
    await until('the flow gone', isGone('tcp'));
  },
  LIMIT,
);

test(
  'datagrams both ways are a flow, which grows old when there are no more',
  async () => {
    const socket = createSocket('udp4');
    let received = 0;
    socket.on('message', () => received++);
    socket.bind(0, CLIENT);
    await once(socket, 'listening');
    const { port } = socket.address();
    await until('both directions in hardware', async () => {
      const before = received;
      for (let count = 0; count < 4; count++) socket.send('datagram', PORT, SERVER);
      await Promise.race([once(socket, 'message'), new Promise((resolve) => setTimeout(resolve, 1000))]);
      return received > before && (await isForwarded('udp', port));
    });
    socket.close();
    await until('the flow gone', isGone('udp'));
    await router.verified();
  },
  LIMIT,
);
