/**
 * A server's kernel and its DPU, each a guest, joined by two wires.
 *
 *     guest `server`                     guest `dpu`
 *       nats-server, ekho run --publish    ekho run, source remote, plugin l3-mirror
 *       eth0 ───────────── NATS ────────── eth0
 *       eth1 ┬ e0 (VLAN 101) ─────── red0 ┬ [VRF red] ── f0 ── namespace a
 *            └ e1 (VLAN 102) ────── blue1 ┴ [VRF blue] ─ f1 ── namespace b
 *
 * A packet from a to b passes the DPU, the wire, the server's kernel, the wire and the DPU again; offloaded, the DPU alone. Then the wire
 * to NATS is cut: what was offloaded goes on, what changed meanwhile arrives when it is back.
 */
import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Status } from '../../../host/api/schemas.ts';
import { hopsOf } from '../../support/two-vrfs.ts';
import { Guest } from '../guest.ts';
import { installMissing, LabError, whyNot } from '../machine.ts';
import { Wire } from '../wire.ts';

const NATS_SERVER = '/usr/sbin/nats-server';
const BUCKET = 'server';
/** Longest that a change may take until it is in the DPU, in milliseconds. */
const SETTLE_LIMIT = 180_000;
/** Longest that all of it may take, in milliseconds: four minutes on an idle machine, without KVM. */
const LIMIT = 1_800_000;
const ROUTES = 200;
const SOCKET = '/run/ekho.sock';
const PORT = 8642;

const SERVER = `
set -e
ip addr add 192.0.2.1/24 dev eth0
ip link set eth0 up
ip link set eth1 up
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
sysctl -qw net.ipv4.icmp_ratelimit=0
vlan() {
  ip link add link eth1 name $1 type vlan id $2
  ip link set $1 up
  ip addr add 192.168.$2.2/24 dev $1
}
vlan e0 101
vlan e1 102
ip route add 192.168.11.0/24 via 192.168.101.1
ip route add 192.168.12.0/24 via 192.168.102.1
cp /run/lab/nats-server /run/nats-server
/run/nats-server --jetstream --store_dir /run/nats --addr 192.0.2.1 >/run/nats.log 2>&1 &
for _ in $(seq 300); do grep -q 'Server is ready' /run/nats.log && break; sleep 0.2; done
grep -q 'Server is ready' /run/nats.log
`;

const DPU = `
set -e
ip addr add 192.0.2.2/24 dev eth0
ip link set eth0 up
ip link set eth1 up
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.icmp_ratelimit=0
domain() {
  ip link add $1 type vrf table $2
  ip link set $1 up
  ip netns add $3
  ip link add f$4 type veth peer name $3\${4} netns $3
  ip link add link eth1 name $1\${4} type vlan id 10$((1 + $4))
  for link in f$4 $1\${4}; do
    ip link set $link master $1
    ip link set $link up
  done
  ip addr add 192.168.1$((1 + $4)).1/24 dev f$4
  ip addr add 192.168.10$((1 + $4)).1/24 dev $1\${4}
  ip route add default via 192.168.10$((1 + $4)).2 dev $1\${4} table $2 metric 1000
  ip -n $3 addr add 192.168.1$((1 + $4)).2/24 dev $3\${4}
  ip -n $3 link set $3\${4} up
  ip -n $3 route add default via 192.168.1$((1 + $4)).1
}
domain red 10 a 0
domain blue 20 b 1
`;

const SERVER_CONFIG = `
[publish]
servers = ["nats://192.0.2.1:4222"]
bucket = "${BUCKET}"
# The guest's disk is its memory.
bytes = 33554432
lease = 5
[plugin]
`;

const DPU_CONFIG = `
[source]
type = "remote"
servers = ["nats://192.0.2.1:4222"]
bucket = "${BUCKET}"
[plugin.l3-mirror]
device = "dpu"
ports = ["eth1"]
isolation = "worker"
[device.dpu]
kind = "rtnetlink"
netns = "/proc/self/ns/net"
[device.dpu.links.e0]
link = "red"
table = 10
via = "red0"
gateway = "192.168.101.2"
[device.dpu.links.e1]
link = "blue"
table = 20
via = "blue1"
gateway = "192.168.102.2"
`;

class Machine {
  readonly guest: Guest;
  readonly #name: string;

  constructor(name: string, guest: Guest) {
    this.#name = name;
    this.guest = guest;
  }

  /** @throws LabError when the command fails */
  async run(command: string): Promise<string> {
    const { code, stdout, stderr } = await this.guest.run(command);
    if (code !== 0) throw new LabError(`${this.#name}: ${command}\n${stdout}${stderr}`);
    return stdout;
  }

  /** Runs a command of `ekho`, which takes long under emulation. */
  ekho(words: string): Promise<string> {
    return this.run(`EKHO_SOCKET=${SOCKET} node host/cli/ekho.mjs ${words}`);
  }

  async start(config: string): Promise<void> {
    writeFileSync(join(this.guest.exchange, 'ekho.toml'), config);
    await this.run(`
      node host/cli/ekho.mjs run --config /run/lab/ekho.toml --socket ${SOCKET} --listen 127.0.0.1:${PORT} >/run/ekho.log 2>&1 &
      while kill -0 $! && ! grep -q '^dashboard ' /run/ekho.log; do sleep 1; done
      kill -0 $! || { cat /run/ekho.log >&2; exit 1; }`);
  }

  /** What the API answers on loopback. */
  async get<Answer>(path: string): Promise<Answer> {
    const answer = await this.run(`
      exec 3<>/dev/tcp/127.0.0.1/${PORT}
      printf 'GET /api/v1/${path} HTTP/1.0\\r\\nHost: 127.0.0.1:${PORT}\\r\\n\\r\\n' >&3
      cat <&3`);
    const body = answer.indexOf('\r\n\r\n');
    if (!/^HTTP\S+ 200 /.test(answer)) throw new LabError(`${this.#name}: ${path}: ${answer}`);
    return JSON.parse(answer.slice(body)) as Answer;
  }

  status(): Promise<Status> {
    return this.get<Status>('status');
  }

  /** How it stands with every kind, and the routes. */
  async held(): Promise<string> {
    const { kinds } = await this.status();
    const routes = await this.get<Record<string, unknown>[]>('objects/route');
    return [
      ...kinds.map(({ kind, count, state }) => `${count} ${kind} ${state}`),
      ...routes.map(({ offload, ...route }) => JSON.stringify(route)).sort(),
    ].join('\n');
  }

  async until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + SETTLE_LIMIT;
    while (!(await isTrue())) {
      if (Date.now() > end) {
        throw new LabError(`${this.#name}: ${what} is not so: ${JSON.stringify(await this.status())}`);
      }
    }
  }
}

const reason = whyNot() ?? (existsSync(NATS_SERVER) ? undefined : 'no nats-server');

test.skipIf(reason !== undefined)(
  `offloaded, packets pass the DPU alone${reason ? `: ${reason}` : ''}`,
  async () => {
    expect(installMissing(say)).toBeUndefined();
    using nats = new Wire();
    using data = new Wire();
    await using first = await Guest.boot({ wires: [nats.ends[0], data.ends[0]], say });
    await using second = await Guest.boot({ wires: [nats.ends[1], data.ends[1]], say });
    say('both are up');
    copyFileSync(NATS_SERVER, join(first.exchange, 'nats-server'));
    const server = new Machine('server', first);
    const dpu = new Machine('dpu', second);
    await server.run(SERVER);
    await dpu.run(DPU);
    const { before, after } = hopsOf(4);
    expect(await hops(dpu)).toEqual(before);
    say(`from a to b by ${before.join(', ')}`);

    await server.start(SERVER_CONFIG);
    await dpu.start(DPU_CONFIG);
    say('both hosts run');
    await same(server, dpu);
    expect(await hops(dpu)).toEqual(after);
    const passed = await forwarded(server);
    await dpu.run('ip netns exec a ping -q -n -c 50 -i 0.05 192.168.12.2');
    expect((await forwarded(server)) - passed).toBeLessThan(25);
    say(`offloaded, by ${after.join(', ')}; the server forwards none of them`);

    await server.run(batch('add'));
    await same(server, dpu);
    expect(await written(dpu)).toBe(ROUTES);
    say(`${ROUTES} more routes are in both VRFs`);

    await dpu.run('ip link set eth0 down');
    await server.run(`${batch('del')}\nip route add blackhole 192.168.12.2/32`);
    await dpu.until('the server is away', async () => (await dpu.status()).source?.state !== 'following');
    expect(await hops(dpu)).toEqual(after);
    expect(await written(dpu)).toBe(ROUTES);
    say('with the wire to NATS cut, everything goes on as it was');

    await dpu.run('ip link set eth0 up');
    await same(server, dpu);
    expect(await written(dpu)).toBe(0);
    expect(await dpu.run('ip netns exec a ping -n -c 1 -W 2 192.168.12.2 || true')).toContain(
      '100% packet loss',
    );
    await server.run('ip route del blackhole 192.168.12.2/32');
    await same(server, dpu);
    expect(await hops(dpu)).toEqual(after);
    say('it is back, and what changed meanwhile has arrived');
    await verified(server, dpu);
  },
  LIMIT,
);

/** Resolves once both hosts have the same, and all of it is in the DPU. */
async function same(server: Machine, dpu: Machine): Promise<void> {
  await server.until('all is published', async () => (await server.status()).publish?.state === 'published');
  await server.get('wait?timeout=170');
  await dpu.until('it follows', async () => {
    const { source } = await dpu.status();
    return source?.state === 'following' && source.reason === undefined;
  });
  await dpu.until('it has what the server has', async () => (await dpu.held()) === (await server.held()));
  await dpu.get('wait?timeout=170');
}

/** `ekho verify` on both, which fail where something differs. */
async function verified(server: Machine, dpu: Machine): Promise<void> {
  say(`server: ${(await server.ekho('verify')).trim()}`);
  say(`dpu: ${(await dpu.ekho('verify')).trim()}`);
}

async function hops(dpu: Machine): Promise<string[]> {
  const end = hopsOf(4).after.at(-1)!;
  const answers = await dpu.run(
    `for ttl in 1 2 3 4 5; do ip netns exec a ping -n -c 1 -W 5 -t $ttl ${end} | grep -i -m 1 '^from\\|bytes from' || echo nobody; done`,
  );
  const found = answers
    .trim()
    .split('\n')
    .map((line) => /from ([0-9.]+)/i.exec(line)?.[1] ?? 'nobody');
  const last = found.indexOf(end);
  return last < 0 ? found : found.slice(0, last + 1);
}

/** Packets that its kernel forwarded. */
async function forwarded(server: Machine): Promise<number> {
  return Number(await server.run("awk '/^Ip: [0-9]/ {print $7}' /proc/net/snmp"));
}

function batch(verb: 'add' | 'del'): string {
  return `for n in $(seq ${ROUTES}); do echo route ${verb} 20.0.$n.0/24 via 192.168.102.1; done | ip -batch -`;
}

/** Of the routes of `batch`, those in VRF red. */
async function written(dpu: Machine): Promise<number> {
  return Number(await dpu.run("ip route show table 10 proto 210 | grep -c '^20\\.' || true"));
}

function say(line: string): void {
  console.log(`two hosts: ${line}`);
}
