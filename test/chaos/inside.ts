/**
 * Loaded into a host's process ahead of the host's own code (`node --import`): spoils what the kernel sends, and the clock, as a
 * test asks for it on a socket. The host knows nothing of it. Dumps are received on a thread of the host's; it is loaded there, too.
 */
import { rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { createServer } from 'node:net';
import worker, { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { RawNetlinkSocket } from 'netlink';
import { interruptedDump, isDump, type Spoiled, spoil, withUnknown } from './spoil.ts';

/**
 * What is to be spoilt: how many datagrams more, but `unknown` (1: all of them) and `clock` (by how many seconds it is ahead). Those
 * after them count: datagrams that got something unknown, and threads (of dumps, and of a plugin) that were ended, which setting them does.
 */
export const SPOILS = [
  'notifications',
  'dumps',
  'interrupted',
  'unknown',
  'clock',
  'grown',
  'dumpThread',
  'pluginThread',
] as const;
export type Spoils = { readonly [name in (typeof SPOILS)[number]]: number };

/** Where the test's socket is to be: a path in the environment. */
const CONTROL = 'EKHO_CHAOS_CONTROL';
const SHARED = 'ekho chaos';
const NOTIFICATIONS = 0;
const DUMPS = 1;
const INTERRUPTED = 2;
const UNKNOWN = 3;
const CLOCK = 4;
const GROWN = 5;
const DUMP_THREAD = 6;
const PLUGIN_THREAD = 7;
/** Behind the others: the thread of dumps is to end. */
const IS_TO_END = SPOILS.length;

/** Threads of plugins that run. */
const pluginThreads = new Set<worker.Worker>();

const words = isMainThread
  ? new Int32Array(new SharedArrayBuffer((SPOILS.length + 1) * 4))
  : (getEnvironmentData(SHARED) as unknown as Int32Array);

/** Takes one of those that are left; undefined when none is. */
function take(word: number): number | undefined {
  for (;;) {
    const left = Atomics.load(words, word);
    if (left <= 0) return undefined;
    if (Atomics.compareExchange(words, word, left, left - 1) === left) return left;
  }
}

type From = { readonly port: number };
type Emit = (this: RawNetlinkSocket, event: string, ...rest: unknown[]) => boolean;

function spoilReceived(): void {
  const { prototype } = RawNetlinkSocket as unknown as { prototype: { emit: Emit } };
  const { emit } = prototype;
  prototype.emit = function (event, ...rest) {
    const [bytes, from] = rest as [Buffer, From];
    if (event !== 'message' || from.port !== 0) return emit.call(this, event, ...rest);
    for (const { data, isTruncated } of spoiled(bytes))
      emit.call(this, isTruncated ? 'truncatedMessage' : 'message', data, from);
    if (!isMainThread && Atomics.exchange(words, IS_TO_END, 0) === 1) setImmediate(endThisThread);
    return true;
  };
}

function spoiled(bytes: Buffer): Spoiled[] {
  const dump = isDump(bytes);
  if (dump === undefined) return [{ data: bytes, isTruncated: false }];
  const way = take(dump ? DUMPS : NOTIFICATIONS);
  if (way !== undefined) return [spoil(bytes, way)];
  const isToGrow = Atomics.load(words, UNKNOWN) === 1;
  const parts = isToGrow ? withUnknown(bytes) : [bytes];
  if (isToGrow) Atomics.add(words, GROWN, 1);
  const isInterrupted = dump && take(INTERRUPTED) !== undefined;
  return parts.map((part) => ({ data: isInterrupted ? interruptedDump(part) : part, isTruncated: false }));
}

/** As if somebody set the machine's clock: what runs by the monotonic clock does not notice. */
function moveClock(): void {
  const Real = Date;
  const now = Real.now;
  const moved = () => now() + Atomics.load(words, CLOCK) * 1000;
  Real.now = moved;
  globalThis.Date = new Proxy(Real, {
    construct: (target, given, called) =>
      Reflect.construct(target, given.length === 0 ? [moved()] : given, called),
  });
}

/** The host starts its thread for dumps without anything loaded ahead. */
function followIntoThread(): void {
  setEnvironmentData(SHARED, words as never);
  const { Worker } = worker;
  worker.Worker = class extends Worker {
    constructor(file: string | URL, options: worker.WorkerOptions = {}) {
      const isForDumps = String(file).endsWith('/bulk-worker.ts');
      super(file, isForDumps ? { ...options, execArgv: ['--import', import.meta.url] } : options);
      if (isForDumps) return;
      pluginThreads.add(this);
      this.on('exit', () => pluginThreads.delete(this));
    }
  };
  syncBuiltinESMExports();
}

/** As if the system had no memory for them: they end wherever they are. */
function endPluginThreads(): void {
  for (const thread of pluginThreads) {
    void thread.terminate();
    Atomics.add(words, PLUGIN_THREAD, 1);
  }
}

/** In the middle of a dump, but not of a call of the netlink package: its native code would end the process. */
function endThisThread(): void {
  Atomics.add(words, DUMP_THREAD, 1);
  process.exit(1);
}

/** Each line is a JSON object with the words to set; the answer is all of them. */
function serve(path: string): void {
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    socket.setEncoding('utf8').on('error', () => {});
    socket.on('data', (text: string) => {
      const wanted = JSON.parse(text) as Partial<Spoils>;
      for (const [word, name] of SPOILS.entries())
        if (wanted[name] === undefined) continue;
        else if (word === PLUGIN_THREAD) endPluginThreads();
        else if (word === DUMP_THREAD) Atomics.store(words, IS_TO_END, 1);
        else Atomics.store(words, word, wanted[name]);
      socket.end(JSON.stringify(Object.fromEntries(SPOILS.map((name, word) => [name, words[word]]))));
    });
  });
  server.listen(path).unref();
}

spoilReceived();
if (isMainThread) {
  moveClock();
  followIntoThread();
  serve(process.env[CONTROL]!);
}
