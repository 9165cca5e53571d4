/** The host, its command and the reference plugin on the other architecture, with a stock kernel of it. */
import { beforeAll, describe, expect, test } from 'vitest';
import { Guest } from '../guest.ts';
import { installMissing, whyNot } from '../machine.ts';

const reason = whyNot();

const SCRIPT = `
set -e
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
for n in 0 1; do
  ip link add p$n type dummy
  ip link set p$n up
  ip addr add 10.0.$n.1/24 dev p$n
  ip neigh add 10.0.$n.2 lladdr 02:00:00:00:0$n:02 dev p$n nud permanent
done
ip route add 192.0.2.0/24 via 10.0.1.2
tc qdisc add dev p0 clsact
tc filter add dev p0 ingress pref 10 protocol ip flower ip_proto tcp dst_port 443 action drop
export EKHO_SOCKET=/run/ekho.sock
ekho() { node host/cli/ekho.mjs "$@"; }
node host/cli/ekho.mjs run --listen off >/run/host.log 2>&1 &
trap 'cat /run/host.log >&2' EXIT
for _ in $(seq 600); do grep -q '^socket ' /run/host.log && break; kill -0 $! 2>/dev/null || break; sleep 0.2; done
ekho wait --timeout 300
ekho verify
ekho lookup 192.0.2.9 --in p0 --from 10.0.0.2
ekho lookup 192.0.2.9 --in p0 --from 10.0.0.2 --ipproto tcp --dport 443
kill $!
wait $!
`;

describe.skipIf(reason !== undefined)(`arm64${reason ? `: ${reason}` : ''}`, () => {
  beforeAll(() => {
    expect(installMissing(console.log, 'arm64')).toBeUndefined();
  });

  test('a host offloads, and mirror and hardware are right', async () => {
    await using guest = await Guest.boot({ arch: 'arm64' });
    const { code, stdout, stderr } = await guest.run(SCRIPT);
    expect(stdout, stderr).toMatch(/^settled at revision \d+\nequal: .*\nforward dev p1 via 10\.0\.1\.2 /);
    expect(stdout).toMatch(/\ndrop\n/);
    expect(stderr).toContain('plugin softnic: active');
    expect(code, stderr).toBe(0);
    expect((await guest.run('uname -m; node -p process.arch')).stdout).toBe('aarch64\narm64\n');
  });
});
