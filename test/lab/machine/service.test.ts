/** The packages on a Debian that systemd has started: installed, used, upgraded under load, and removed. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageModule } from '../../../packaging/packages.ts';
import type { Guest } from '../guest.ts';
import { DEFAULT_FLAVOUR, image } from '../image.ts';
import { installMissing, OWN_ARCH, whyNot } from '../machine.ts';
import { systemRoot } from '../system.ts';
import { dataPath, EPOCH, guestWithPackages, STEP_LIMIT, step } from './service-support.ts';

const reason = whyNot();
/** CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF, as /proc/PID/status has them. */
const CAPABILITIES = '000000c000001000';

/** Every file of the system, but for what logs, indexes and copies of them. */
const FILES = `find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev -o -path /var/log \\
  -o -path /var/cache/apt -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/cache/debconf -o -name '*-' \\) -prune -o -print | sort`;

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

describe.skipIf(reason !== undefined)(`packages under systemd${reason ? `: ${reason}` : ''}`, () => {
  let guest: Guest;

  beforeAll(async () => {
    expect(installMissing(console.log)).toBeUndefined();
    guest = await guestWithPackages(OWN_ARCH, ['0.1.0', '0.1.1']);
    await step(guest, `useradd inside; useradd outside; ${FILES} >/run/before`);
  });
  afterAll(() => guest?.end());

  test('the service is started by installing it, with a user of its own and few rights', async () => {
    const said = await step(
      guest,
      `apt-get install -qq -y /run/lab/ekho_0.1.0_${OWN_ARCH}.deb >&2
      systemctl show -p Type,ActiveState,UnitFileState,User,Group,StatusText ekho
      grep -E '^(Cap|NoNewPrivs)' /proc/$(pid)/status
      stat -c '%n %a %U %G' /run/ekho /run/ekho/ekho.sock /var/lib/ekho /sys/fs/bpf/ekho
      systemd-analyze security --no-pager --threshold=30 ekho.service | tail -n 1`,
    );
    for (const line of [
      'Type=notify',
      'ActiveState=active',
      'UnitFileState=enabled',
      'User=ekho',
      'Group=ekho',
    ])
      expect(said).toContain(`${line}\n`);
    for (const set of ['Prm', 'Eff', 'Bnd', 'Amb']) expect(said).toContain(`Cap${set}:\t${CAPABILITIES}\n`);
    expect(said).toContain('NoNewPrivs:\t1\n');
    expect(said).toContain('/run/ekho 751 ekho ekho\n/run/ekho/ekho.sock 660 ekho ekho\n');
    expect(said).toContain('/var/lib/ekho 700 ekho ekho\n/sys/fs/bpf/ekho 700 ekho ekho\n');
    expect(said).toMatch(/exposure level for ekho\.service: [0-2]\.\d/);
  });

  test('it forwards by the XDP data path; its group may use it, others may not', async () => {
    const said = await step(
      guest,
      `${dataPath()}
      usermod -a -G ekho inside
      systemctl restart ekho
      ip route add 192.0.2.0/24 via 10.0.1.2
      runuser -u inside -- ekho wait --timeout 900
      runuser -u inside -- ekho show route 192.0.2.0/24
      code=0; runuser -u outside -- ekho status || code=$?; echo "others: $code"
      before=$(forwarded)
      ping_through 10
      echo "by the kernel: $(($(forwarded) - before))"
      attached`,
    );
    expect(said).toMatch(/192\.0\.2\.0\/24 .*offloaded/);
    expect(said).toContain('others: 3\n');
    expect(said).toContain('10 packets transmitted, 10 received');
    expect(said).toContain('by the kernel: 0\n');
    expect(said.match(/^p[01]\(\d+\) /gm)).toHaveLength(2);
  });

  test('a reload takes what is right, and fails with what is wrong', async () => {
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
  });

  test('one that hangs is started again by the watchdog, and takes over what hardware holds', async () => {
    const said = await step(
      guest,
      `before=$(forwarded); held=$(attached); first=$(pid)
      kill -STOP $first
      until_ 'Watchdog timeout' journalctl -u ekho --no-pager
      until_ active sh -c '[ $(systemctl show -P MainPID ekho) != '$first' ] && systemctl is-active ekho'
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
  });

  test('an upgrade loses no packet, and none goes by the kernel', async () => {
    const said = await step(
      guest,
      `before=$(forwarded); held=$(attached); first=$(pid)
      (until [ -e /run/enough ]; do ping_through 10; done >/run/pings 2>&1) &
      flow=$!
      apt-get install -qq -y /run/lab/ekho_0.1.1_${OWN_ARCH}.deb >&2
      until_ '"state":"active"' curl -s --unix-socket /run/ekho/ekho.sock http://host/api/v1/plugins/xdp
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
  });

  test('a stop leaves hardware as it is, or empty, as configured', async () => {
    const said = await step(
      guest,
      `before=$(forwarded); held=$(attached)
      systemctl stop ekho
      ping_through 10
      [ "$held" = "$(attached)" ] && echo 'attached as before'
      echo "by the kernel: $(($(forwarded) - before))"
      ${dataPath('on-stop = "clear"')}
      systemctl start ekho
      systemctl stop ekho
      log | tail -n 5
      echo "attached: $(attached | wc -l)"
      ping_through 10`,
    );
    expect(said).toContain('attached as before\nby the kernel: 0\n');
    expect(said).toContain('plugin xdp: its device holds nothing');
    expect(said).toContain('attached: 0\n');
    expect(said.match(/10 packets transmitted, 10 received/g)).toHaveLength(2);
  });

  test('a purge leaves nothing', async () => {
    const said = await step(
      guest,
      `${dataPath()}
      systemctl start ekho
      until_ '"state":"active"' curl -s --unix-socket /run/ekho/ekho.sock http://host/api/v1/plugins/xdp
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
  });

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
