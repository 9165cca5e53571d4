/** BIRD 2 that learns the kernel's routes, asked on its control socket as birdc does. */
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Child } from './child.ts';
import { type Peer, RECEIVE_BUFFER, type Running, type StartOptions, versionBy } from './peer.ts';
import { pause } from './until.ts';

const START_MS = 120_000;
const TABLES = { route4: 'master4', route6: 'master6' } as const;

export const BIRD: Peer = {
  name: 'BIRD',
  asked: 'routes of the table by `show route count`',
  kinds: ['route4', 'route6'],
  follows: true,
  packages: ['bird2'],
  prepare: async () => versionBy('bird', ['--version'], /version (\S+)/),
  start: startBird,
};

/** The manual has the buffer raised where notifications are dropped. */
function configuration(receiveBuffer: number): string {
  const buffer = `netlink rx buffer ${receiveBuffer}; `;
  return `protocol device {}
protocol kernel kernel4 { learn; ${buffer}ipv4 { import all; }; }
protocol kernel kernel6 { learn; ${buffer}ipv6 { import all; }; }
`;
}

async function startBird({
  netns,
  folder,
  kind,
  receiveBuffer = RECEIVE_BUFFER,
}: StartOptions): Promise<Running> {
  const config = join(folder, 'bird.conf');
  writeFileSync(config, configuration(receiveBuffer));
  const control = join(folder, 'bird.ctl');
  const child = new Child(netns, 'bird', ['-f', '-c', config, '-s', control, '-P', join(folder, 'bird.pid')]);
  const socket = await Control.open(control, child);
  const table = TABLES[kind as keyof typeof TABLES];
  const count = async (which: string) =>
    Number(/(\d+) of \d+ routes/.exec(await socket.ask(`show route table ${table}${which} count`))![1]);
  return {
    pid: child.pid,
    get end() {
      return child.end;
    },
    count: () => count(''),
    by: (gateway) => count(` where gw = ${gateway}`),
    stop: async () => {
      socket.close();
      await child.stop();
    },
  };
}

/** Lines with a number of four digits in front, the last of them followed by a blank instead of a dash (doc/reply_codes). */
class Control {
  readonly #socket: Socket;
  #answer = '';
  #asked: PromiseWithResolvers<string> | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (text: string) => {
      this.#answer += text;
      if (!/^\d{4} .*\n$/m.test(this.#answer)) return;
      this.#asked?.resolve(this.#answer);
      this.#answer = '';
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#asked?.reject(new Error('BIRD closed its control socket')));
  }

  static async open(path: string, child: Child): Promise<Control> {
    const until = performance.now() + START_MS;
    for (;;) {
      const socket = connect(path).setEncoding('latin1');
      const greeted = await new Promise<boolean>((resolve) => {
        socket.once('data', () => resolve(true));
        socket.once('error', () => resolve(false));
      });
      if (greeted) return new Control(socket);
      if (child.end !== undefined || performance.now() > until)
        throw new Error(`BIRD has no control socket (${child.end ?? 'it runs'}): ${child.output}`);
      await pause(5);
    }
  }

  ask(command: string): Promise<string> {
    if (this.#socket.destroyed) return Promise.reject(new Error('BIRD closed its control socket'));
    this.#asked = Promise.withResolvers();
    this.#socket.write(`${command}\n`);
    return this.#asked.promise;
  }

  close(): void {
    this.#asked = undefined;
    this.#socket.destroy();
  }
}
