/** The limit: a C program that receives and does nothing (follow.c). */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Child } from './child.ts';
import { ALL_KINDS, type Kind, type Peer, RECEIVE_BUFFER, type StartOptions, versionBy } from './peer.ts';

/** Address family, RTM_GET… and RTNLGRP_… (include/uapi/linux/rtnetlink.h). */
const WORDS: Readonly<Record<Kind, readonly number[]>> = {
  route4: [2, 26, 7],
  route6: [10, 26, 11],
  neighbour: [2, 30, 3],
  fdb: [7, 30, 3],
  link: [0, 18, 1],
};

/** Bytes: room for all that a stall of the machine holds up. */
const STAMPING_BUFFER = 64 << 20;

let program = '';

function startLoop(
  { netns, kind, receiveBuffer = RECEIVE_BUFFER }: Omit<StartOptions, 'folder'>,
  stamps: readonly string[] = [],
): Child {
  return new Child(netns, program, [...WORDS[kind].map(String), String(receiveBuffer), ...stamps]);
}

/** Builds the program into a folder. */
export function prepareLoop(folder: string): void {
  program = join(folder, 'follow');
  execFileSync('cc', ['-O2', '-o', program, join(import.meta.dirname, 'follow.c')], { stdio: 'inherit' });
}

/** Notes when each notification of an IPv4 route arrived, in a file of nanoseconds (CLOCK_MONOTONIC, 8 bytes each). */
export async function startStamping(netns: string, stamps: string): Promise<Child> {
  const child = startLoop({ netns, kind: 'route4', receiveBuffer: STAMPING_BUFFER }, [stamps]);
  await child.line('listed');
  return child;
}

export const C_LOOP: Peer = {
  name: 'C loop',
  asked: 'the messages up to the end of the dump; it keeps nothing',
  kinds: ALL_KINDS,
  follows: false,
  packages: ['gcc', 'libc6-dev'],
  async prepare(folder) {
    prepareLoop(folder);
    return versionBy('cc', ['--version'], /^(.+)/);
  },
  async start(options) {
    const child = startLoop(options);
    const listed = Number((await child.line('listed')).split(' ')[1]);
    return {
      pid: child.pid,
      get end() {
        return child.end;
      },
      count: async () => listed,
      stop: () => child.stop(),
    };
  },
};

/** What it receives after the dump. */
export const C_FOLLOW: Peer = {
  ...C_LOOP,
  asked: 'the notifications; it keeps nothing',
  kinds: ['route4'],
  follows: true,
  countsEvents: true,
  async start(options) {
    const child = startLoop(options);
    await child.line('listed');
    return {
      pid: child.pid,
      get end() {
        return child.end;
      },
      count: () => child.ask('count', 'events'),
      stop: () => child.stop(),
    };
  },
};
