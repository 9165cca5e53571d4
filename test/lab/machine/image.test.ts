/** The container image: as specified, the same bytes each time, and a host that runs from what is in it alone. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageImage } from '../../../packaging/image.ts';
import { readImage } from '../../support/oci.ts';
import { ARCHES, type Arch, installMissing, OWN_ARCH, whyNot } from '../machine.ts';

const reason = whyNot();
const EPOCH = 1_700_000_000;

/** Starts the image's entry point with its own arguments in a network namespace, as a container would be. */
const RUN = `
cd "$0"
mount --bind . .
cd "$0"
mount -t proc proc proc
mount -t sysfs sysfs sys
ip link set lo up
ip link add p0 type veth peer name p1
for port in p0 p1; do ip link set $port up; done
ip addr add 192.0.2.1/24 dev p0
ekho=(env -i PATH=/usr/sbin:/usr/bin:/bin EKHO_SOCKET=/run/ekho/ekho.sock XDG_CACHE_HOME=/var/cache/ekho chroot . /usr/bin/ekho)
"\${ekho[@]}" run --config /etc/ekho/ekho.toml &
for _ in $(seq 600); do [ -S run/ekho/ekho.sock ] && break; sleep 0.2; done
"\${ekho[@]}" wait --timeout 120
"\${ekho[@]}" verify
kill -TERM $!
wait $!
echo "ended $?"
`;

describe.skipIf(reason !== undefined)(`the container image${reason ? `: ${reason}` : ''}`, () => {
  let folder: string;
  const made = new Map<Arch, string>();

  beforeAll(async () => {
    expect(installMissing(console.log)).toBeUndefined();
    folder = mkdtempSync(join(tmpdir(), 'ekho-image-'));
    for (const arch of ARCHES)
      made.set(arch, await packageImage(arch, { version: '1.2.3', epoch: EPOCH, output: folder }));
  });
  afterAll(() => folder && rmSync(folder, { recursive: true, force: true }));

  test.each(ARCHES)('for %s is as specified, with Node and libraries of that architecture', (arch) => {
    const place = join(folder, arch);
    mkdirSync(place);
    const { tag, platform, config, layers } = readImage(made.get(arch)!, place);
    expect({ tag, platform }).toEqual({ tag: '1.2.3', platform: `linux/${arch}` });
    expect(config).toMatchObject({ Entrypoint: ['/usr/bin/ekho'], StopSignal: 'SIGTERM' });
    const root = join(folder, `root-${arch}`);
    mkdirSync(root);
    for (const layer of layers) execFileSync('tar', ['-x', '-C', root], { input: layer });
    // e_machine of the ELF header: EM_X86_64, EM_AARCH64.
    const machine = readFileSync(join(root, 'usr/lib/ekho/node_modules/node/bin/node')).readUInt16LE(18);
    expect(machine).toBe(arch === 'amd64' ? 62 : 183);
  });

  test('is the same bytes when it is made again', async () => {
    const again = join(folder, 'again');
    mkdirSync(again);
    const file = await packageImage(OWN_ARCH, { version: '1.2.3', epoch: EPOCH, output: again });
    expect(Buffer.compare(readFileSync(file), readFileSync(made.get(OWN_ARCH)!))).toBe(0);
  });

  test('has a host that runs in it', () => {
    const { stdout, stderr, status } = spawnSync(
      'unshare',
      [
        '--mount',
        '--net',
        '--pid',
        '--fork',
        '--kill-child',
        'bash',
        '-ec',
        RUN,
        join(folder, `root-${OWN_ARCH}`),
      ],
      { encoding: 'utf8', timeout: 300_000 },
    );
    expect(stdout, stderr).toMatch(/settled at revision \d+\n/);
    expect(stdout).toMatch(/equal: \d+ objects with the kernel/);
    expect(stdout).toContain('ended 0\n');
    expect(status, stderr).toBe(0);
  });
});
