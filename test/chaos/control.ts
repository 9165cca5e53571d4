/** What is loaded into a host for faults (inside.ts), and the test's end of its socket. */
import { connect } from 'node:net';
import { join } from 'node:path';
import type { HostOptions } from '../support/host.ts';
import type { Spoils } from './inside.ts';

const INSIDE = new URL('./inside.ts', import.meta.url).href;
/** Where inside.ts finds the path of its socket. */
const CONTROL = 'EKHO_CHAOS_CONTROL';

export class Control {
  readonly ahead: NonNullable<HostOptions['ahead']>;
  readonly #path: string;

  /** Its socket is in `folder`. */
  constructor(folder: string) {
    this.#path = join(folder, 'control');
    this.ahead = { module: INSIDE, env: { [CONTROL]: this.#path } };
  }

  /** Has what the host receives spoilt; resolves to what is left to be. */
  async spoil(what: Partial<Spoils>): Promise<Spoils> {
    const socket = connect(this.#path).setEncoding('utf8');
    socket.write(`${JSON.stringify(what)}\n`);
    let answer = '';
    for await (const text of socket) answer += text;
    return JSON.parse(answer);
  }
}
