/** What an administrator has: `ip … show`, once. */

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.ts';
import { type Kind, type Peer, RECEIVE_BUFFER, versionBy } from './peer.ts';

const WORDS: Readonly<Record<Kind, readonly string[]>> = {
  route4: ['ip', '-4', 'route', 'show'],
  route6: ['ip', '-6', 'route', 'show'],
  neighbour: ['ip', '-4', 'neigh', 'show'],
  fdb: ['bridge', 'fdb', 'show'],
  link: ['ip', '-o', 'link', 'show'],
};
const NEWLINE = 10;

export const IPROUTE2: Peer = {
  name: 'ip show',
  asked: 'lines that `ip … show` wrote to a file, once it ended; a list and no mirror',
  kinds: ['route4', 'route6', 'neighbour', 'fdb', 'link'],
  follows: false,
  packages: ['iproute2'],
  prepare: async () => versionBy('ip', ['-V'], /(iproute2-[\w.]+)/),
  async start({ netns, folder, kind }) {
    const file = join(folder, 'shown');
    const out = openSync(file, 'w');
    const child = spawn('ip', ['netns', 'exec', netns, ...WORDS[kind]], {
      stdio: ['ignore', out, 'inherit'],
    });
    closeSync(out);
    const ended = await new Promise<string>((resolve) =>
      child.on('close', (code, signal) => resolve(signal ?? `exit code ${code}`)),
    );
    if (ended !== 'exit code 0') throw new Error(`${WORDS[kind].join(' ')}: ${ended}`);
    return {
      pid: 0,
      end: undefined,
      count: async () =>
        readFileSync(file).reduce((lines, byte) => (byte === NEWLINE ? lines + 1 : lines), 0),
      stop: async () => {},
    };
  },
};

/** `ip monitor route`, which prints what is announced. */
export const IP_MONITOR: Peer = {
  ...IPROUTE2,
  name: 'ip monitor',
  asked: 'lines that it printed; it keeps nothing',
  kinds: ['route4'],
  follows: true,
  countsEvents: true,
  async start({ netns, receiveBuffer = RECEIVE_BUFFER }) {
    const child = new Child(netns, 'ip', ['-rcvbuf', String(receiveBuffer), '-4', 'monitor', 'route']);
    return {
      pid: child.pid,
      get end() {
        return child.end;
      },
      count: async () => child.lines,
      stop: () => child.stop(),
    };
  },
};
