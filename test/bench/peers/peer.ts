/** What a peer is to the bench: how it is started, asked how much it has, and stopped. */
import { execFileSync } from 'node:child_process';
import { DEFAULT_RECEIVE_BUFFER } from '../../../host/kernel/receive-buffer.ts';

export type Kind = 'route4' | 'route6' | 'neighbour' | 'fdb' | 'link';

/** In bytes, what the host gives its sockets, for each peer that can be told. */
export const RECEIVE_BUFFER = DEFAULT_RECEIVE_BUFFER;

export interface StartOptions {
  /** Name of the namespace that it follows. */
  readonly netns: string;
  /** An empty folder of its own. */
  readonly folder: string;
  readonly kind: Kind;
  /** Of its netlink sockets, in bytes; absent: RECEIVE_BUFFER, or what its package configures. */
  readonly receiveBuffer?: number;
}

export interface Running {
  readonly pid: number;
  /** How it ended by itself; undefined while it runs. */
  readonly end: string | undefined;
  /** Objects of the kind that it says it has, in its own way of counting. Rejects once it ended. */
  count(): Promise<number>;
  /** IPv4 routes of these that it has by the gateway; absent: it does not tell. */
  by?(gateway: string): Promise<number>;
  /** What it finds when it compares all that it has with the kernel; undefined: nothing differs. Absent: it cannot. */
  difference?(): Promise<string | undefined>;
  /** Seconds that it says reading the kernel took it, once it has; absent: it does not say. */
  readonly reading?: number;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** How it is asked, for people. */
  readonly asked: string;
  readonly kinds: readonly Kind[];
  /** It goes on with what happens later, and can be asked what it has then. */
  readonly follows: boolean;
  /** Another way to run one that there is: only its start is measured. */
  readonly isVariant?: boolean;
  /** It keeps nothing: what it counts is notifications, from its start on. */
  readonly countsEvents?: boolean;
  /** Debian packages that it needs. */
  readonly packages: readonly string[];
  /** Builds what it needs and tells its version. Throws with the reason why it cannot be measured here. */
  prepare(folder: string): Promise<string>;
  start(options: StartOptions): Promise<Running>;
}

export const ALL_KINDS: readonly Kind[] = ['route4', 'route6', 'neighbour', 'fdb', 'link'];

/** The first line that a command prints on either stream, up to where `pattern` ends. */
export function versionBy(command: string, words: readonly string[], pattern: RegExp): string {
  const text = execFileSync('sh', ['-c', '"$@" 2>&1', 'sh', command, ...words], { encoding: 'utf8' });
  const match = pattern.exec(text);
  if (match === null) throw new Error(`${command} ${words.join(' ')}: ${text.slice(0, 200)}`);
  return match[1]!;
}
