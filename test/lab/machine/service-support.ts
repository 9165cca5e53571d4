/** What the tests of packages do in a guest with systemd: two hosts behind the machine, its packages, the service's configuration. */
import { expect } from 'vitest';
import { packageHost } from '../../../packaging/packages.ts';
import { Guest } from '../guest.ts';
import type { Arch } from '../machine.ts';

export const MEMORY_MIB = 2048;
/** Longest a step may take, in milliseconds: the other architecture is emulated, by a machine that may be busy. */
export const STEP_LIMIT = 25 * 60_000;
export const EPOCH = 1_700_000_000;

/** Every file of the system, but for what logs, indexes and copies of them. */
export const FILES = `find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /var/log \\
  -o -path /var/cache/apt -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/cache/debconf -o -name '*-' \\) -prune -o -print | sort`;

/** Two network namespaces that reach each other through the machine, by veth p0 and p1. */
export const WORLD = `
sysctl -qw net.ipv4.ip_forward=1
for n in 0 1; do
  ip netns add h$n
  ip link add p$n type veth peer name eth0 netns h$n
  ip link set p$n up
  ip addr add 10.0.$n.1/24 dev p$n
  ip -n h$n link set lo up
  ip -n h$n link set eth0 up
  ip -n h$n addr add 10.0.$n.2/24 dev eth0
  ip -n h$n route add default via 10.0.$n.1
  ip neigh replace 10.0.$n.2 lladdr $(ip -n h$n -br link show eth0 | awk '{print $3}') dev p$n nud permanent
done
# Emulation is slower than anything a unit reckons with.
mkdir -p /run/systemd/system/ekho.service.d
printf '[Service]\\nTimeoutStartSec=900\\nTimeoutStopSec=600\\n' >/run/systemd/system/ekho.service.d/slow.conf
systemctl daemon-reload
`;

/** For every step: what it calls. */
const FUNCTIONS = `
set -e
export DEBIAN_FRONTEND=noninteractive
pid() { systemctl show -P MainPID ekho; }
log() { journalctl -u ekho --no-pager -o cat; }
# What the kernel itself has forwarded.
forwarded() { nstat -az IpForwDatagrams | awk '/^IpForw/ { print $2 }'; }
attached() { bpftool net show | sed -n 's/ prog_id [0-9]*//; /^p[01]/p'; }
# ping_through COUNT [ADDRESS]
ping_through() { ip netns exec h0 ping -q -c "$1" -i 0.1 -W 60 "\${2:-10.0.1.2}"; }
# until_ LINE COMMAND…: waits, for two minutes of a quick machine, until a command says a line with it.
until_() {
  local text=$1; shift
  for _ in $(seq 1200); do "$@" 2>/dev/null | grep -q -e "$text" && return; sleep 1; done
  echo "never said: $text" >&2; journalctl -u ekho --no-pager -n 40 >&2; return 1
}
`;

/** The configuration of the XDP data path, \`more\` being lines of its plugin. */
export function dataPath(more = ''): string {
  return `cat >/etc/ekho/ekho.toml <<'FILE'
[api]
socket-group = "ekho"
read-group = "ekho-read"

[plugins]
state = "/var/lib/ekho/plugins"

[plugin.xdp]
device = "xdp0"
isolation = "worker"
ports = ["p0", "p1"]
${more}
[device.xdp0]
kind = "tables"
state = "/sys/fs/bpf/ekho"
# Counters per CPU are made one by one, which takes long under emulation.
tables = { lpm4 = 1000, lpm6 = 1000, nexthop = 500, fdb = 500, flow = 500, tunnel = 16, remote = 100 }
FILE
`;
}

/** A guest with packages of these versions in /run/lab. */
export async function guestWithPackages(arch: Arch, versions: readonly string[]): Promise<Guest> {
  const guest = await Guest.boot({ arch, init: 'systemd', memoryMiB: MEMORY_MIB, say: console.log });
  try {
    for (const version of versions)
      await packageHost(arch, { version, epoch: EPOCH, output: guest.exchange });
    await step(guest, WORLD);
  } catch (error) {
    await guest.end();
    throw error;
  }
  return guest;
}

/** Runs a script that ends with its first command that fails; gives what it said. */
export async function step(guest: Guest, script: string): Promise<string> {
  const { code, stdout, stderr } = await guest.run(`${FUNCTIONS}${script}`, { limit: STEP_LIMIT });
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  return stdout;
}
