/** A network namespace and a host that runs in it, for tests of the command from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../host/config/config.ts';
import { Netns } from '../support/netns.ts';

export interface Output {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a program to its end, or kills it after `limit` milliseconds. */
export function finish(child: ChildProcess, limit = 60_000): Promise<Output> {
  let [out, err] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), limit);
  return new Promise((resolve) => {
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, out, err });
    });
  });
}

export class Bench extends Netns {
  readonly folder = mkdtempSync(join(tmpdir(), 'ekho-netns-'));
  readonly socket = join(this.folder, 'ekho.sock');
  #host: ChildProcess | undefined;
  /** What the host printed. */
  output = '';

  /** Two routed ports with a neighbour each: p0 192.0.2.0/24 and p1 198.51.100.0/24. Their other ends are p0x and p1x. */
  router(): void {
    this.sysctl('net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0');
    for (const [port, network] of [
      ['p0', '192.0.2'],
      ['p1', '198.51.100'],
    ]) {
      this.ip(`link add ${port} type veth peer name ${port}x`);
      this.sysctl(`net.ipv4.conf.${port}.rp_filter=0`, `net.ipv6.conf.${port}.disable_ipv6=1`);
      this.ip(`link set ${port} up`);
      this.ip(`link set ${port}x up`);
      this.ip(`addr add ${network}.1/24 dev ${port}`);
      this.ip(`neigh add ${network}.2 lladdr 02:00:00:00:00:0${port!.at(-1)} dev ${port} nud permanent`);
    }
  }

  /** Starts a host on this namespace with p0 and p1 as ports and waits until everything is in hardware. */
  async start(...options: string[]): Promise<void> {
    const plain = options.includes('--no-config');
    if (plain) options = options.filter((option) => option !== '--no-config');
    else if (!options.includes('--config')) options = ['--config', this.config('ports = ["p?"]'), ...options];
    this.output = '';
    const host = spawn(
      process.execPath,
      [
        join(ROOT, 'host/cli/ekho.mjs'),
        'run',
        '--netns',
        this.name,
        '--socket',
        this.socket,
        '--log-format',
        'text',
        ...(options.includes('--listen') ? [] : ['--listen', 'off']),
        ...options,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#host = host;
    for (const stream of [host.stdout, host.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.output += text;
      });
    }
    const until = Date.now() + 90_000;
    while (!this.output.includes('socket ')) {
      if (host.exitCode !== null || Date.now() > until)
        throw new Error(`the host did not start:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const { code, err } = await this.ekho('wait', '--timeout', '60');
    if (code !== 0) throw new Error(`the host did not settle: ${err}\n${this.output}`);
  }

  /** A configuration of softnic with its section's lines, and of asic0 with those of its tables. */
  config(plugin: string, tables = ''): string {
    const file = join(this.folder, 'ekho.toml');
    writeFileSync(
      file,
      `[plugin.softnic]\ndevice = "asic0"\n${plugin}\n[device.asic0]\nkind = "asic"\n[device.asic0.tables]\n${tables}\n`,
    );
    return file;
  }

  get pid(): number {
    return this.#host!.pid!;
  }

  /** Runs the command against the host. */
  ekho(...words: string[]): Promise<Output> {
    return finish(this.spawn(...words));
  }

  spawn(...words: string[]): ChildProcess {
    return spawn(process.execPath, [join(ROOT, 'host/cli/ekho.mjs'), ...words], {
      env: { ...process.env, EKHO_SOCKET: this.socket },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** The command as a shell would run it, with what follows it in a pipe; `user`: as somebody else. */
  shell(words: string, user?: string): ChildProcess {
    const line = `${process.execPath} ${join(ROOT, 'host/cli/ekho.mjs')} ${words}`;
    const options = { env: { ...process.env, EKHO_SOCKET: this.socket } };
    if (user === undefined)
      return spawn('sh', ['-c', line], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    return spawn('setpriv', ['--reuid', user, '--clear-groups', 'sh', '-c', line], {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Sends the signal and gives the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    const host = this.#host;
    this.#host = undefined;
    if (!host || host.exitCode !== null) return host?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => host.on('exit', (code) => resolve(code)));
    host.kill(signal);
    const timer = setTimeout(() => host.kill('SIGKILL'), 15_000);
    const code = await ended;
    clearTimeout(timer);
    return code;
  }

  /** Stops the host and removes namespace and files. */
  async end(): Promise<void> {
    await this.stop();
    this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
