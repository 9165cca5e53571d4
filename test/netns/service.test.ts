/** The host as a service: what it tells its manager, and the unit it is started by. */
import { spawnSync } from 'node:child_process';
import { chmodSync, closeSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { afterEach, describe, expect, it } from 'vitest';
import { ROOT } from '../../host/config/config.ts';
import { unixAddress } from '../../host/netlink/unix-datagram.ts';
import { Bench, finish } from './cli-support.ts';

const UNIT = join(ROOT, 'packaging/ekho.service');
const AF_UNIX = 1;
const DATAGRAM_SOCKET = 2;
const MSG_DONTWAIT = 0x40;
const WATCHDOG_MS = 1_000;

/** The manager's end of NOTIFY_SOCKET. */
class Manager {
  readonly #fd: number;
  readonly #receive: (fd: number, data: Buffer, length: number, flags: number) => number;
  readonly #messages: string[] = [];
  readonly #reading: NodeJS.Timeout;

  constructor(path: string) {
    const libc = koffi.load(null);
    this.#fd = libc.func('int socket(int, int, int)')(AF_UNIX, DATAGRAM_SOCKET, 0) as number;
    const address = unixAddress(path)!;
    const bind = libc.func('int bind(int, const void *, uint32_t)');
    if (bind(this.#fd, address, address.length) !== 0) throw new Error(`no socket at ${path}`);
    this.#receive = libc.func('long recv(int, _Out_ uint8_t *, size_t, int)') as never;
    // As a manager does: only ten wait (net.unix.max_dgram_qlen), and those beyond are lost.
    this.#reading = setInterval(() => this.messages(), 50);
  }

  /** All messages until now. */
  messages(): readonly string[] {
    const data = Buffer.alloc(4096);
    for (;;) {
      const length = Number(this.#receive(this.#fd, data, data.length, MSG_DONTWAIT));
      if (length < 0) return this.#messages;
      this.#messages.push(data.toString('utf8', 0, length));
    }
  }

  close(): void {
    clearInterval(this.#reading);
    closeSync(this.#fd);
  }
}

/** The machine may be busy. */
const LIMIT = { timeout: 60_000 };

let bench: Bench | undefined;
let manager: Manager | undefined;
afterEach(async () => {
  delete process.env.NOTIFY_SOCKET;
  delete process.env.WATCHDOG_USEC;
  await bench?.end();
  manager?.close();
  bench = manager = undefined;
});

describe('a service manager', () => {
  it.each(['path', 'abstract'])(
    'is told when the host is ready, reads again, lives and stops (%s)',
    async (kind) => {
      bench = new Bench();
      bench.router();
      const socket = kind === 'path' ? join(bench.folder, 'notify') : `@ekho-${process.pid}-${Date.now()}`;
      manager = new Manager(socket);
      process.env.NOTIFY_SOCKET = socket;
      process.env.WATCHDOG_USEC = `${WATCHDOG_MS * 1000}`;
      await bench.start();
      const told = (text: string) => manager!.messages().filter((message) => message.startsWith(text)).length;
      await expect.poll(() => told('READY=1\nSTATUS='), LIMIT).toBe(1);
      await expect.poll(() => told('WATCHDOG=1'), LIMIT).toBeGreaterThan(1);
      process.kill(bench.pid, 'SIGHUP');
      await expect.poll(() => told('READY=1'), LIMIT).toBe(2);
      const order = manager.messages().map((message) => message.split('=')[0]);
      expect(order.filter((name) => name !== 'WATCHDOG')).toEqual(['READY', 'RELOADING', 'READY']);
      expect(manager.messages().find((message) => message.startsWith('RELOADING'))).toMatch(
        /\nMONOTONIC_USEC=\d+$/,
      );
      expect(await bench.stop('SIGTERM')).toBe(0);
      await expect.poll(() => told('STOPPING=1'), LIMIT).toBe(1);
    },
  );

  it('that does not listen any more is no reason to end', async () => {
    bench = new Bench();
    bench.router();
    process.env.NOTIFY_SOCKET = join(bench.folder, 'nobody');
    process.env.WATCHDOG_USEC = `${WATCHDOG_MS * 1000}`;
    await bench.start();
    expect(await bench.stop('SIGTERM')).toBe(0);
  });
});

describe('a stop', () => {
  it.each([
    ['keep', /device holds [1-9]\d* entries/],
    ['clear', /device holds 0 entries/],
  ])('with on-stop = "%s" leaves hardware so', async (what, found) => {
    bench = new Bench();
    bench.router();
    bench.ip('route add 203.0.113.0/24 via 198.51.100.2');
    const file = join(bench.folder, 'ekho.toml');
    const device = `[device.asic0]\nkind = "asic"\nstate = "${join(bench.folder, 'asic0')}"\n`;
    const plugin = '[plugin.softnic]\ndevice = "asic0"\nisolation = "worker"\nports = ["p?"]\n';
    writeFileSync(file, `${plugin}on-stop = "${what}"\n${device}`);
    await bench.start('--config', file);
    expect((await bench.ekho('show', 'route', '203.0.113.0/24', '--json')).out).toContain('"offloaded"');
    expect(await bench.stop('SIGTERM')).toBe(0);
    if (what === 'clear') expect(bench.output).toContain('plugin softnic: its device holds nothing');
    else expect(bench.output).toContain('stopping; hardware keeps what it holds');
    await bench.start('--config', file);
    expect(bench.output).toMatch(found);
    expect((await bench.ekho('verify')).code).toBe(0);
  });
});

describe('the socket', () => {
  it('is also for members of the configured group, and for nobody else', async () => {
    bench = new Bench();
    bench.router();
    const file = join(bench.folder, 'ekho.toml');
    writeFileSync(file, '[api]\nsocket-group = "daemon"\n[plugin]\n');
    await bench.start('--config', file);
    chmodSync(bench.folder, 0o755);
    const [, group] = /^daemon:[^:]*:(\d+):/m.exec(readFileSync('/etc/group', 'utf8'))!;
    expect(statSync(bench.socket)).toMatchObject({ uid: 0, gid: Number(group) });
    expect(statSync(bench.socket).mode & 0o777).toBe(0o660);
    const asks = (groups: readonly string[]) => {
      const curl = [
        'curl',
        '-sS',
        '--max-time',
        '60',
        '--unix-socket',
        bench!.socket,
        'http://host/api/v1/status',
      ];
      return spawnSync('setpriv', ['--reuid', 'nobody', '--regid', 'nogroup', ...groups, ...curl], {
        encoding: 'utf8',
        cwd: '/',
      });
    };
    expect(JSON.parse(asks(['--groups', group!]).stdout)).toMatchObject({ netns: bench.name });
    const { status, stderr } = asks(['--clear-groups']);
    expect(stderr).toContain('Could');
    expect(status).toBe(7);
  });

  it('of the group that may look changes nothing', async () => {
    bench = new Bench();
    bench.router();
    const file = join(bench.folder, 'ekho.toml');
    writeFileSync(file, '[api]\nread-group = "daemon"\n[plugin]\n');
    await bench.start('--config', file);
    chmodSync(bench.folder, 0o755);
    const socket = bench.socket.replace('.sock', '-read.sock');
    const [, group] = /^daemon:[^:]*:(\d+):/m.exec(readFileSync('/etc/group', 'utf8'))!;
    expect(statSync(socket).gid).toBe(Number(group));
    expect(statSync(socket).mode & 0o777).toBe(0o660);
    expect(statSync(bench.socket).mode & 0o777).toBe(0o600);
    const asks = (socket: string, path: string, ...more: string[]) => {
      const curl = [
        'curl',
        '-sS',
        '--max-time',
        '60',
        ...more,
        '--unix-socket',
        socket,
        `http://host${path}`,
      ];
      const member = ['--reuid', 'nobody', '--regid', 'nogroup', '--groups', group!];
      return spawnSync('setpriv', [...member, ...curl], { encoding: 'utf8', cwd: '/' });
    };
    expect(JSON.parse(asks(socket, '/api/v1/status').stdout)).toMatchObject({ netns: bench.name });
    const json = ['-H', 'content-type: application/json', '-d'];
    for (const [path, body] of [
      ['/api/v1/tokens', '{"role":"operate"}'],
      ['/api/v1/offloads', '{"kind":"a:b","fields":{}}'],
    ] as const) {
      const { stdout } = asks(socket, path, ...json, body);
      expect(JSON.parse(stdout)).toMatchObject({ status: 403, code: 'E_DENIED' });
    }
    expect(asks(bench.socket, '/api/v1/status').status).toBe(7);
  });
});

describe('the unit', () => {
  it.each([
    ['has an unknown key', 'nonsense = 1\n', /ekho\.toml:1: nonsense: unknown key/],
    [
      'names a group that there is not',
      '[api]\nread-group = "nosuchgroup"\n[plugin]\n',
      /no group "nosuchgroup"/,
    ],
    [
      'names a certificate that there is not',
      '[api]\nlisten = "127.0.0.1:0"\n[api.tls]\ncert = "/nowhere/cert"\nkey = "/nowhere/key"\n[plugin]\n',
      /\/nowhere\/cert: ENOENT/,
    ],
  ])('does not start a host again whose configuration %s', async (_, text, said) => {
    const [, status] = /^RestartPreventExitStatus=(\d+)$/m.exec(readFileSync(UNIT, 'utf8'))!;
    bench = new Bench();
    const file = join(bench.folder, 'ekho.toml');
    writeFileSync(file, text);
    const words = ['run', '--config', file, '--socket', bench.socket, '--netns', bench.name];
    const { code, err } = await finish(bench.spawn(...words));
    expect(err).toMatch(said);
    expect(code).toBe(Number(status));
  });

  it('starts one again that found its socket taken', async () => {
    const [, status] = /^RestartPreventExitStatus=(\d+)$/m.exec(readFileSync(UNIT, 'utf8'))!;
    bench = new Bench();
    await bench.start('--no-config');
    const words = ['run', '--socket', bench.socket, '--netns', bench.name, '--listen', 'off'];
    const { code, err } = await finish(bench.spawn(...words));
    expect(err).toContain('answers on');
    expect([0, Number(status)]).not.toContain(code);
  });

  it('is understood, and exposes little', () => {
    const { stdout, status } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=yes', '--threshold=30', UNIT],
      { encoding: 'utf8' },
    );
    expect(stdout).toMatch(/Overall exposure level for ekho\.service: [0-2]\.\d/);
    expect(status).toBe(0);
    const text = readFileSync(UNIT, 'utf8');
    const [, script] = /^ExecStart=\S+ \/usr\/lib\/ekho\/(\S+)/m.exec(text)!;
    expect(existsSync(join(ROOT, script!))).toBe(true);
  });
});
