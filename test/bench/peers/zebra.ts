/** FRR's zebra, with the options of Debian's /etc/frr/daemons, asked on its own socket as vtysh does. */

import { execFileSync } from 'node:child_process';
import { chownSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Child } from './child.ts';
import { type Peer, type Running, type StartOptions, versionBy } from './peer.ts';
import { pause } from './until.ts';

const ZEBRA = '/usr/lib/frr/zebra';
/** Debian's zebra_options. */
const RECEIVE_BUFFER = 90_000_000;
const START_MS = 120_000;
const ASKED = { route4: 'show ip route summary', route6: 'show ipv6 route summary' } as const;

export const ZEBRA_PEER: Peer = {
  name: 'FRR zebra',
  asked: 'the kernel’s routes in the FIB by `show ip route summary`',
  kinds: ['route4', 'route6'],
  follows: true,
  packages: ['frr'],
  prepare: async () => versionBy(ZEBRA, ['--version'], /version (\S+)/),
  start: startZebra,
};

async function startZebra({ netns, folder, kind, receiveBuffer }: StartOptions): Promise<Running> {
  const [user, group] = ['-u', '-g'].map((option) => Number(execFileSync('id', [option, 'frr'])));
  chownSync(folder, user!, group!);
  const config = join(folder, 'zebra.conf');
  writeFileSync(config, 'frr defaults traditional\n');
  const size = String(receiveBuffer ?? RECEIVE_BUFFER);
  const files = ['-f', config, '-i', join(folder, 'zebra.pid'), '-z', join(folder, 'zserv.api')];
  const child = new Child(netns, ZEBRA, ['-A', '127.0.0.1', '-s', size, ...files, '--vty_socket', folder]);
  const terminal = await Terminal.open(join(folder, 'zebra.vty'), child);
  const question = ASKED[kind as keyof typeof ASKED];
  await terminal.ask('enable');
  return {
    pid: child.pid,
    get end() {
      return child.end;
    },
    count: async () => {
      const match = /^kernel\s+\d+\s+(\d+)/m.exec(await terminal.ask(question));
      return Number(match?.[1] ?? 0);
    },
    by: async (gateway) => {
      const shown = await terminal.ask('show ip route kernel');
      return shown.split('\n').filter((line) => line.includes(` via ${gateway},`)).length;
    },
    stop: async () => {
      terminal.close();
      await child.stop();
    },
  };
}

/** The socket that vtysh speaks to: a command and a zero byte; the answer, three zero bytes and a status (lib/vty.c vtysh_write). */
class Terminal {
  readonly #socket: Socket;
  #answer = Buffer.alloc(0);
  #asked: PromiseWithResolvers<string> | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#answer = Buffer.concat([this.#answer, data]);
      const end = this.#answer.length - 4;
      if (end < 0 || this.#answer.readUIntBE(end, 3) !== 0) return;
      const text = this.#answer.toString('latin1', 0, end);
      this.#answer = Buffer.alloc(0);
      this.#asked?.resolve(text);
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#asked?.reject(new Error('zebra closed its terminal')));
  }

  static async open(path: string, child: Child): Promise<Terminal> {
    const until = performance.now() + START_MS;
    for (;;) {
      const socket = connect(path);
      const isOpen = await new Promise<boolean>((resolve) => {
        socket.once('connect', () => resolve(true));
        socket.once('error', () => resolve(false));
      });
      if (isOpen) return new Terminal(socket);
      if (child.end !== undefined || performance.now() > until)
        throw new Error(`zebra has no terminal (${child.end ?? 'it runs'}): ${child.output}`);
      await pause(5);
    }
  }

  ask(command: string): Promise<string> {
    if (this.#socket.destroyed) return Promise.reject(new Error('zebra closed its terminal'));
    this.#asked = Promise.withResolvers();
    this.#socket.write(`${command}\0`);
    return this.#asked.promise;
  }

  close(): void {
    this.#asked = undefined;
    this.#socket.destroy();
  }
}
