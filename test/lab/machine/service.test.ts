/** The packages on a Debian that systemd has started: installed, used, upgraded under load, and removed. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageModule } from '../../../packaging/packages.ts';
import type { Guest } from '../guest.ts';
import { DEFAULT_FLAVOUR, image } from '../image.ts';
import { installMissing, OWN_ARCH, whyNot } from '../machine.ts';
import { systemRoot } from '../system.ts';
import { dataPath, EPOCH, FILES, guestWithPackages, STEP_LIMIT, step } from './service-support.ts';

const reason = whyNot();
/** CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF, as /proc/PID/status has them. */
const CAPABILITIES = '000000c000001000';

/** Installs a package on a root that stays as it is, takes out the module that was built, and removes the package. */
const DKMS = `
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$0,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
mount -t proc proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev
cp "$1" /mnt/root/ekho-dkms.deb
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot /mnt/root apt-get install -qq -y --no-install-recommends /ekho-dkms.deb >&2
chroot /mnt/root dkms status
cp /mnt/root/lib/modules/*/updates/dkms/ekho.ko.xz "$2"
chroot /mnt/root apt-get purge -qq -y ekho-dkms >&2
cd /mnt/root
find lib/modules/ usr/src var/lib/dkms -name '*ekho*' | grep . || echo 'nothing of it'
`;

/** Waits until the plugin has brought its device in line. */
const ACTIVE = `until_ '"state":"active"' curl -s --unix-socket /run/ekho/ekho.sock http://host/api/v1/plugins/xdp`;

describe.skipIf(reason !== undefined)(`packages under systemd${reason ? `: ${reason}` : ''}`, () => {
  let guest: Guest;

  beforeAll(async () => {
    expect(installMissing(console.log)).toBeUndefined();
    guest = await guestWithPackages(OWN_ARCH, ['0.1.0', '0.1.1']);
    await step(guest, `for user in inside reader outside; do useradd $user; done; ${FILES} >/run/before`);
  });
  afterAll(() => guest?.end());

  test(
    'the service is started by installing it, with a user of its own and few rights',
    async () => {
      const said = await step(
        guest,
        `mkdir /etc/ekho
        ${dataPath()}
        apt-get install -qq -y -o Dpkg::Options::=--force-confold /run/lab/ekho_0.1.0_${OWN_ARCH}.deb >&2
        systemctl show -p Type,ActiveState,UnitFileState,User,Group,SupplementaryGroups,StatusText ekho
        grep -E '^(Cap|NoNewPrivs)' /proc/$(pid)/status
        echo "groups: $(id -gn ekho) $(getent group ekho-read | cut -d: -f1,4)"
        stat -c '%n %a %U %G' /run/ekho /run/ekho/ekho.sock /run/ekho/ekho-read.sock /var/lib/ekho /sys/fs/bpf/ekho
        systemd-analyze security --no-pager --threshold=30 ekho.service | tail -n 1
        journalctl -b --no-pager -o cat | grep -E 'ekho.service:[0-9]+:' || echo 'no word of the unit is unknown'`,
      );
      for (const line of [
        'Type=notify',
        'ActiveState=active',
        'UnitFileState=enabled',
        'User=ekho',
        'Group=ekho',
        'SupplementaryGroups=ekho-read',
        'groups: ekho ekho-read:',
        '/run/ekho 751 ekho ekho',
        '/run/ekho/ekho.sock 660 ekho ekho',
        '/run/ekho/ekho-read.sock 660 ekho ekho-read',
        '/var/lib/ekho 700 ekho ekho',
        '/sys/fs/bpf/ekho 700 ekho ekho',
        'no word of the unit is unknown',
      ])
        expect(said).toContain(`${line}\n`);
      for (const set of ['Prm', 'Eff', 'Bnd', 'Amb']) expect(said).toContain(`Cap${set}:\t${CAPABILITIES}\n`);
      expect(said).toContain('NoNewPrivs:\t1\n');
      expect(said).toMatch(/exposure level for ekho\.service: [0-2]\.\d/);
    },
    STEP_LIMIT,
  );

  test(
    'it forwards by the XDP data path; its group may use it, that of readers may look, others may not',
    async () => {
      const said = await step(
        guest,
        `usermod -a -G ekho inside
        usermod -a -G ekho-read reader
        ip route add 192.0.2.0/24 via 10.0.1.2
        runuser -u inside -- ekho wait --timeout 900
        runuser -u reader -- ekho show route 192.0.2.0/24
        code=0; runuser -u outside -- ekho status || code=$?; echo "others: $code"
        # Looks, and would have a token made, at both sockets: HTTP's answer, or 000 where there was none to ask.
        asks() { runuser -u $1 -- curl -s -o /run/lab/answer -w '%{http_code}' "\${@:2}" || true; }
        for user in inside reader outside; do
          for name in ekho ekho-read; do
            socket="--unix-socket /run/ekho/$name.sock"
            look=$(asks $user $socket http://host/api/v1/status)
            change=$(asks $user $socket --json '{"role":"read"}' http://host/api/v1/tokens)
            echo "$user at $name: $look $change"
          done
        done
        before=$(forwarded)
        ping_through 10
        echo "by the kernel: $(($(forwarded) - before))"
        attached`,
      );
      expect(said).toMatch(/192\.0\.2\.0\/24 .*offloaded/);
      expect(said).toContain('others: 3\n');
      expect(said).toContain(
        'inside at ekho: 200 200\ninside at ekho-read: 000 000\nreader at ekho: 000 000\nreader at ekho-read: 200 403\n' +
          'outside at ekho: 000 000\noutside at ekho-read: 000 000\n',
      );
      expect(said).toContain('10 packets transmitted, 10 received');
      expect(said).toContain('by the kernel: 0\n');
      expect(said.match(/^p[01]\(\d+\) /gm)).toHaveLength(2);
    },
    STEP_LIMIT,
  );

  test(
    'a reload takes what is right, and fails with what is wrong',
    async () => {
      const said = await step(
        guest,
        `first=$(pid)
        printf '[log]\\nlevel = "warn"\\n' >>/etc/ekho/ekho.toml
        systemctl reload ekho
        until_ 'configuration read again' systemctl show -P StatusText ekho
        echo 'nonsense = 1' >>/etc/ekho/ekho.toml
        code=0; systemctl reload ekho 2>&1 || code=$?; echo "wrong: $code"
        systemctl is-active ekho
        log | grep nonsense
        [ $(pid) = $first ] && echo 'the same process'
        ${dataPath()}systemctl reload ekho`,
      );
      expect(said).toContain('wrong: 1\nactive\n');
      expect(said).toMatch(/ekho\.toml:\d+: log\.nonsense: unknown key/);
      expect(said).toContain('the same process');
    },
    STEP_LIMIT,
  );

  test(
    'one that hangs is started again by the watchdog, and takes over what hardware holds',
    async () => {
      const said = await step(
        guest,
        `before=$(forwarded); held=$(attached); first=$(pid)
        kill -STOP $first
        until_ 'Watchdog timeout' journalctl -u ekho --no-pager
        until_ active sh -c '[ $(systemctl show -P MainPID ekho) != '$first' ] && systemctl is-active ekho'
        ${ACTIVE}
        systemctl show -p Result,NRestarts ekho
        log | grep 'xdp: started: the device holds' | tail -n 1
        ping_through 10
        [ "$held" = "$(attached)" ] && echo 'attached as before'
        echo "by the kernel: $(($(forwarded) - before))"`,
      );
      expect(said).toContain('NRestarts=1\n');
      expect(said).toMatch(/the device holds [1-9]\d* entries\n/);
      expect(said).toContain('10 packets transmitted, 10 received');
      expect(said).toContain('attached as before\nby the kernel: 0\n');
    },
    STEP_LIMIT,
  );

  test(
    'an upgrade loses no packet, and none goes by the kernel',
    async () => {
      const said = await step(
        guest,
        `before=$(forwarded); held=$(attached); first=$(pid)
        (until [ -e /run/enough ]; do ping_through 10; done >/run/pings 2>&1) &
        flow=$!
        apt-get install -qq -y /run/lab/ekho_0.1.1_${OWN_ARCH}.deb >&2
        ${ACTIVE}
        touch /run/enough; wait $flow
        [ "$held" = "$(attached)" ] && echo 'attached as before'
        echo "by the kernel: $(($(forwarded) - before))"
        [ $(pid) != $first ] && echo "now $(ekho --version)"
        log | grep 'xdp: started: the device holds' | tail -n 1
        awk '/transmitted/ { sent += $1; received += $4 } END { print sent, "sent", received, "received" }' /run/pings`,
      );
      expect(said).toContain('attached as before\nby the kernel: 0\nnow 0.1.1\n');
      expect(said).toMatch(/the device holds [1-9]\d* entries\n/);
      const [, sent, received] = /(\d+) sent (\d+) received/.exec(said)!;
      console.log(`upgrade: ${sent} packets sent, ${received} received`);
      expect(Number(sent)).toBeGreaterThan(50);
      expect(received).toBe(sent);
    },
    STEP_LIMIT,
  );

  test(
    'a stop leaves hardware as it is; with a wrong configuration the service is not tried again, with another fault it is',
    async () => {
      const said = await step(
        guest,
        `before=$(forwarded); held=$(attached)
        systemctl stop ekho
        ping_through 10
        [ "$held" = "$(attached)" ] && echo 'attached as before'
        echo "by the kernel: $(($(forwarded) - before))"
        echo 'nonsense = 1' >>/etc/ekho/ekho.toml
        code=0; systemctl start ekho || code=$?; echo "wrong: $code"
        systemctl show -p ActiveState,ExecMainStatus,NRestarts,RestartSteps,RestartMaxDelayUSec,StartLimitIntervalUSec ekho
        ${dataPath()}
        printf '[mirror]\\nnetns = "nowhere"\\n' >>/etc/ekho/ekho.toml
        systemctl start --no-block ekho
        until_ '^[1-9]' systemctl show -P NRestarts ekho
        journalctl -u ekho --no-pager -o cat -n 20 | grep -o 'status=.*'
        systemctl stop ekho`,
      );
      expect(said).toContain('10 packets transmitted, 10 received');
      expect(said).toContain('attached as before\nby the kernel: 0\n');
      expect(said).toContain('wrong: 1\n');
      for (const line of [
        'ActiveState=failed',
        'ExecMainStatus=2',
        'NRestarts=0',
        'RestartSteps=8',
        'RestartMaxDelayUSec=15s',
        'StartLimitIntervalUSec=0',
        'status=1/FAILURE',
      ])
        expect(said).toContain(`${line}\n`);
    },
    STEP_LIMIT,
  );

  test(
    'a stop empties hardware, if so configured',
    async () => {
      const said = await step(
        guest,
        `${dataPath('on-stop = "clear"')}
        systemctl start ekho
        ${ACTIVE}
        echo "attached: $(attached | wc -l)"
        systemctl stop ekho
        log | tail -n 5
        echo "attached: $(attached | wc -l)"
        ping_through 10`,
      );
      expect(said).toMatch(/attached: 2\n[\s\S]*plugin xdp: its device holds nothing[\s\S]*attached: 0\n/);
      expect(said).toContain('10 packets transmitted, 10 received');
    },
    STEP_LIMIT,
  );

  test(
    'a purge leaves nothing',
    async () => {
      const said = await step(
        guest,
        `${dataPath()}
        systemctl start ekho
        ${ACTIVE}
        echo "attached: $(attached | wc -l)"
        apt-get purge -qq -y ekho >&2
        echo "attached: $(attached | wc -l)"
        getent passwd ekho || getent group ekho ekho-read || echo 'no user'
        stat -c '%a' /sys/fs/bpf
        ls /sys/fs/bpf | grep -v '\\.debug$' || echo 'no pins'
        systemctl list-units --all --no-legend 'ekho*'; systemctl list-unit-files --no-legend 'ekho*' || true
        ls -d /run/ekho 2>/dev/null || echo 'nothing runs'
        ${FILES} | diff /run/before - && echo 'all files as before'
        ping_through 5`,
      );
      expect(said).toContain(
        'attached: 2\nattached: 0\nno user\n1700\nno pins\nnothing runs\nall files as before\n',
      );
      expect(said).toContain('5 packets transmitted, 5 received');
    },
    STEP_LIMIT,
  );

  test('DKMS builds the kernel module for the kernel of the guest, which takes it', async () => {
    const file = await packageModule({ version: '0.1.0', epoch: EPOCH, output: guest.exchange });
    const root = systemRoot(OWN_ARCH, image(DEFAULT_FLAVOUR, OWN_ARCH, console.log), console.log);
    // On this machine: the compiler takes too long under emulation.
    const built = spawnSync('unshare', ['--mount', 'bash', '-ec', DKMS, root, file, guest.exchange], {
      encoding: 'utf8',
      timeout: STEP_LIMIT,
    });
    expect(built.status, `${built.stdout}\n${built.stderr}`).toBe(0);
    expect(built.stdout).toMatch(/^ekho\/0\.1\.0, 6\.12\..*: installed$/m);
    expect(built.stdout).toContain('nothing of it');
    const said = await step(
      guest,
      `mkdir /lib/modules/$(uname -r)/updates
      cp /run/lab/ekho.ko.xz /lib/modules/$(uname -r)/updates
      depmod
      modprobe ekho
      lsmod | grep -o '^ekho '
      rmmod ekho`,
    );
    expect(said).toBe('ekho \n');
  });
});
