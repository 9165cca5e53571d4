/**
 * The package for arm64 on a Debian of it that systemd has started: installed, used by two plugins, upgraded while routes change, and
 * removed. One boot and few commands, as all of it is emulated.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Guest } from '../guest.ts';
import { installMissing, whyNot } from '../machine.ts';
import { installEmulator } from '../system.ts';
import { dataPath, FILES, guestWithPackages, STEP_LIMIT, step } from './service-support.ts';

const ARCH = 'arm64';
/** Later than a step's own, which shows the guest's console. */
const LIMIT = STEP_LIMIT + 60_000;
const reason = whyNot() ?? installMissing(console.log, ARCH) ?? installEmulator(ARCH, console.log);

/** Beside the XDP data path, a simulated ASIC. */
const SOFTNIC = `
[plugin.softnic]
device = "asic0"
isolation = "worker"
ports = ["d*"]

[device.asic0]
kind = "asic"
state = "/var/lib/ekho/asic0"
`;

/** For the one plugin a route of its own to 192.0.2.1, for the other a bridge with a station. */
const USED = `
ip -n h1 addr add 192.0.2.1/32 dev lo
ip route add 192.0.2.0/24 via 10.0.1.2
ip link add br0 type bridge
ip link add d0 type dummy
ip link set d0 master br0 up
ip link set br0 up
bridge fdb add 02:00:00:00:00:99 dev d0 master static
`;

const METRICS = 'curl -s --unix-socket /run/ekho/ekho.sock http://host/metrics';

describe.skipIf(reason !== undefined)(`packages under systemd, arm64${reason ? `: ${reason}` : ''}`, () => {
  let guest: Guest;

  beforeAll(async () => {
    guest = await guestWithPackages(ARCH, ['0.1.0', '0.1.1']);
    await step(guest, `${FILES} >/run/before`);
  }, 2 * LIMIT);
  afterAll(() => guest?.end());

  test(
    'the service is started by installing it, and two plugins are in line',
    async () => {
      const said = await step(
        guest,
        `mkdir -p /etc/ekho
        ${dataPath(SOFTNIC)}
        apt-get install -qq -y -o Dpkg::Options::=--force-confold /run/lab/ekho_0.1.0_${ARCH}.deb >&2
        uname -m
        systemctl show -p Type,ActiveState,UnitFileState,User ekho
        ${USED}
        ekho wait --timeout 900
        ekho status
        zcat /usr/share/man/man1/ekho.1.gz | grep -m 1 '^.TH'
        bash -c 'source /usr/share/bash-completion/completions/ekho; COMP_WORDS=(ekho sta); COMP_CWORD=1; _ekho; echo "sta: \${COMPREPLY[*]}"'`,
      );
      expect(said).toMatch(/^aarch64\n/);
      for (const line of ['Type=notify', 'ActiveState=active', 'UnitFileState=enabled', 'User=ekho'])
        expect(said).toContain(`${line}\n`);
      expect(said).toMatch(/^ekho 0\.1\.0, process \d+, /m);
      expect(said).toMatch(/, in sync$/m);
      for (const plugin of ['xdp', 'softnic']) expect(said).toMatch(new RegExp(`^${plugin} +active`, 'm'));
      expect(said).toMatch(/^\.TH .*ekho/im);
      expect(said).toContain('sta: status stats\n');
    },
    LIMIT,
  );

  test(
    'routes and bridge entries are in hardware, which forwards and counts',
    async () => {
      const said = await step(
        guest,
        `before=$(forwarded)
        ping_through 20 192.0.2.1
        echo "by the kernel: $(($(forwarded) - before))"
        echo "attached: $(attached | wc -l)"
        ekho show route 192.0.2.0/24
        ekho show fdb | grep 02:00:00:00:00:99
        ${METRICS} | grep -E '^ekho_plugin_active'
        until_ '^ekho_entry_packets_total{plugin="xdp".*"192.0.2.0/24"} 20$' ${METRICS}?entries=route`,
      );
      expect(said).toContain('20 packets transmitted, 20 received');
      expect(said).toContain('by the kernel: 0\nattached: 2\n');
      expect(said).toMatch(/192\.0\.2\.0\/24 .*xdp offloaded/);
      expect(said).toMatch(/02:00:00:00:00:99 .*softnic offloaded/);
      for (const plugin of ['xdp', 'softnic'])
        expect(said).toMatch(new RegExp(`^ekho_plugin_active\\{plugin="${plugin}"\\} 1$`, 'm'));
    },
    LIMIT,
  );

  test(
    'an upgrade while routes change loses no packet, and none goes by the kernel',
    async () => {
      const said = await step(
        guest,
        `before=$(forwarded); held=$(attached); first=$(pid)
        (until [ -e /run/enough ]; do ping_through 10 192.0.2.1; done >/run/pings 2>&1) &
        flow=$!
        (n=0; until [ -e /run/enough ]; do
          n=$((n + 1))
          ip route replace 198.51.100.$((n % 200))/32 via 10.0.1.2
          ip route del 198.51.100.$(((n + 100) % 200))/32 2>/dev/null || true
          sleep 1
        done; echo $n >/run/changes) &
        churn=$!
        apt-get install -qq -y /run/lab/ekho_0.1.1_${ARCH}.deb >&2
        ekho wait --timeout 900
        touch /run/enough; wait $flow $churn
        ekho wait --timeout 900
        [ "$held" = "$(attached)" ] && echo 'attached as before'
        echo "by the kernel: $(($(forwarded) - before))"
        [ $(pid) != $first ] && echo "now $(ekho --version)"
        log | grep -E ': started: the device holds' | tail -n 2
        ekho verify
        echo "in the kernel: $(ip route show | grep -c ^198.51.100)"
        echo "in hardware: $(ekho show route | grep 198.51.100 | grep -c 'xdp offloaded')"
        echo "changes: $(cat /run/changes)"
        awk '/transmitted/ { sent += $1; received += $4 } END { print sent, "sent", received, "received" }' /run/pings`,
      );
      console.log(said);
      expect(said).toContain('attached as before\nby the kernel: 0\nnow 0.1.1\n');
      for (const plugin of ['xdp', 'softnic'])
        expect(said).toMatch(new RegExp(`${plugin}: started: the device holds [1-9]\\d* entries`));
      expect(said).toMatch(/^equal: /m);
      const number = (pattern: RegExp) => Number(pattern.exec(said)![1]);
      expect(number(/in the kernel: (\d+)/)).toBeGreaterThan(0);
      expect(number(/in hardware: (\d+)/)).toBe(number(/in the kernel: (\d+)/));
      expect(number(/changes: (\d+)/)).toBeGreaterThan(20);
      expect(number(/(\d+) sent/)).toBeGreaterThan(50);
      expect(number(/(\d+) received/)).toBe(number(/(\d+) sent/));
    },
    LIMIT,
  );

  test(
    'a purge leaves nothing',
    async () => {
      const said = await step(
        guest,
        `echo "attached: $(attached | wc -l)"
        apt-get purge -qq -y ekho >&2
        echo "attached: $(attached | wc -l)"
        getent passwd ekho || getent group ekho ekho-read || echo 'no user'
        stat -c '%a' /sys/fs/bpf
        ls /sys/fs/bpf | grep -v '\\.debug$' || echo 'no pins'
        systemctl list-units --all --no-legend 'ekho*'; systemctl list-unit-files --no-legend 'ekho*' || true
        ls -d /run/ekho 2>/dev/null || echo 'nothing runs'
        ${FILES} | diff /run/before - && echo 'all files as before'
        ping_through 5 192.0.2.1`,
      );
      expect(said).toContain(
        'attached: 2\nattached: 0\nno user\n1700\nno pins\nnothing runs\nall files as before\n',
      );
      expect(said).toContain('5 packets transmitted, 5 received');
    },
    LIMIT,
  );
});
