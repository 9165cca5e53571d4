/** Guests of the lab from outside: commands, their limits, and wires between two of them. */
import { beforeAll, describe, expect, test } from 'vitest';
import { Guest } from '../guest.ts';
import { installMissing, LabError, whyNot } from '../machine.ts';
import { Wire } from '../wire.ts';

const reason = whyNot();

describe.skipIf(reason !== undefined)(`guests${reason ? `: ${reason}` : ''}`, () => {
  beforeAll(() => {
    expect(installMissing(console.log)).toBeUndefined();
  });

  test('output, exit code and environment of commands', async () => {
    await using guest = await Guest.boot();
    const first = await guest.run('echo out; echo "$GREETING" >&2; exit 3', {
      env: { GREETING: "it's you" },
    });
    expect(first).toEqual({ code: 3, stdout: 'out\n', stderr: "it's you\n" });

    const many = await guest.run('seq 200000');
    expect(many.stdout.length).toBe(1_288_895);
    expect(many.stdout.endsWith('\n199999\n200000\n')).toBe(true);

    let seen = '';
    const streamed = await guest.run('seq 20000; printf end', {
      onOutput: (_stream, data) => {
        seen += data.toString();
      },
    });
    expect(streamed).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(seen.length).toBe(108_897);
    expect(seen.endsWith('20000\nend')).toBe(true);

    expect((await guest.run('uname -r')).stdout.trim()).toBe(guest.release);
    expect((await guest.run('ls package.json && touch here')).code).toBe(0);

    const hung = guest.run('echo "<3>it hangs" > /dev/kmsg; sleep 1000', { limit: 4000 });
    await expect(hung).rejects.toThrow(LabError);
    await expect(hung).rejects.toThrow(/did not end within 4 s.*it hangs/s);
  });

  test('an older kernel, which needs an initramfs', async () => {
    await using guest = await Guest.boot({ flavour: '6.1' });
    const { stdout } = await guest.run(
      'uname -r; modprobe cls_flower && echo flower; node -p process.version',
    );
    expect(stdout).toMatch(/^6\.1\.[^\n]*\nflower\nv/);
  });

  test('a kernel that panics while it boots is booted once more', async () => {
    const said: string[] = [];
    const options = { kernelWords: ['root=none'], say: (line: string) => said.push(line) };
    await expect(Guest.boot(options)).rejects.toThrow(/The guest ended.*Unable to mount root fs/s);
    expect(said).toEqual([
      expect.stringMatching(/^The guest did not boot: Kernel panic.*; trying once more$/),
    ]);
  });

  test('a kernel that dies ends the command', async () => {
    await using guest = await Guest.boot();
    const fatal = guest.run('echo c > /proc/sysrq-trigger');
    await expect(fatal).rejects.toThrow(/The guest ended.*sysrq triggered crash/s);
  });

  test('a wire joins two', async () => {
    using wire = new Wire();
    await using left = await Guest.boot({ wires: [wire.ends[0]] });
    await using right = await Guest.boot({ wires: [wire.ends[1]] });
    for (const [guest, address] of [
      [left, '192.0.2.1/24'],
      [right, '192.0.2.2/24'],
    ] as const) {
      const { code, stderr } = await guest.run(`ip addr add ${address} dev eth0; ip link set eth0 up`);
      expect(stderr).toBe('');
      expect(code).toBe(0);
    }
    const { stdout } = await left.run('ping -c 3 -i 0.2 -W 5 192.0.2.2');
    expect(stdout).toContain('3 received');
    const { stdout: neighbours } = await right.run('ip neigh show dev eth0');
    expect(neighbours).toContain(wire.ends[0].mac);
  });
});
