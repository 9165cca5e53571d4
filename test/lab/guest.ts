/**
 * A guest: a virtual machine with a stock Debian kernel that runs commands on the checkout. Nothing it writes outside of
 * the exchange folder outlives it. It has no network but the wires it is joined by.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { firstReport } from './debug/reports.ts';
import { DEFAULT_FLAVOUR, FLAVOURS, type FlavourName, type Image, image } from './image.ts';
import { type Arch, CHECKOUT, LabError, OWN_ARCH, QEMU, virtiofsd } from './machine.ts';
import { buildModule, FAULTS, type Module } from './module.ts';
import { accelerator, qemuWords } from './qemu.ts';
import { checkoutShares, type Share, systemShares } from './shares.ts';
import { systemRoot } from './system.ts';
import { warm } from './warm.ts';
import type { WireEnd } from './wire.ts';

/** Longest from power-on until the guest takes commands, in milliseconds; a few seconds on an idle machine. */
const BOOT_LIMIT = 180_000;
/** With systemd, which starts some forty units first. */
const SYSTEM_BOOT_LIMIT = 600_000;
const RUN_LIMIT = 10 * 60_000;
/** The debug kernel boots several times as long, and its checkers need memory of their own. */
const DEBUG_BOOT_LIMIT = 600_000;
const MEMORY_MIB = 1024;
const DEBUG_MEMORY_MIB = 3072;
/** How often a debug kernel's console is looked at, in milliseconds. */
const WATCH_INTERVAL = 1000;
/** Longest that a report is waited for to be whole, in milliseconds. */
const REPORT_LIMIT = 20_000;
/** Lines of the console that a fault shows. */
const CONSOLE_LINES = 60;
/** Output of one command kept for `run`'s result, in bytes each of stdout and stderr; what is more is cut at the front. */
const OUTPUT_MAX = 16 << 20;

export interface GuestOptions {
  readonly flavour?: FlavourName;
  readonly arch?: Arch;
  /** Default: 1024, of the debug kernel 3072. */
  readonly memoryMiB?: number;
  /**
   * `systemd`: Debian as installed, started by systemd, without the checkout and what it needs; commands run in root's home.
   * Default: the checkout on few packages, with no services.
   */
  readonly init?: 'systemd';
  /** Ends of wires; each is a link eth0, eth1, … of the guest. */
  readonly wires?: readonly WireEnd[];
  /** Kernel modules that are built for it besides bpf/module. */
  readonly modules?: readonly Module[];
  /** More words of the kernel's command line; where one is there twice, these win. */
  readonly kernelWords?: readonly string[];
  /** Told of an image that is built and of a boot that is tried again. */
  readonly say?: (line: string) => void;
}

export interface RunOptions {
  /** Milliseconds after which the guest counts as hung, is ended and its console shown. */
  readonly limit?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Gets output as it comes, instead of the result. */
  readonly onOutput?: (stream: 'stdout' | 'stderr', data: Buffer) => void;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Folders of guests are named after the process they belong to. */
const FOLDER_PREFIX = 'ekho-guest-';

/** Removes what processes that were killed have left. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = name.startsWith(FOLDER_PREFIX) && name.slice(FOLDER_PREFIX.length).split('-')[0];
    if (owner && !existsSync(`/proc/${owner}`))
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

interface Waiting {
  readonly id: number;
  readonly mark: Buffer;
  readonly onOutput: RunOptions['onOutput'];
  readonly output: { stdout: Buffer; stderr: Buffer };
  readonly ended: Set<'stdout' | 'stderr'>;
  code: number | undefined;
  readonly resolve: (result: RunResult) => void;
}

export class Guest implements AsyncDisposable {
  /** Folder that is /run/lab in the guest. */
  readonly exchange: string;
  readonly release: string;
  readonly #folder: string;
  readonly #processes: ChildProcess[] = [];
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #control: Socket | undefined;
  /** The machine. */
  #hasEnded = false;
  #commands = 0;
  #waiting: Waiting | undefined;
  /** Whether the first report of the kernel ends it. */
  readonly #isDebug: boolean;
  #watch: NodeJS.Timeout | undefined;
  #fail: (error: Error) => void = () => {};
  /** Rejects when the guest ends by itself. */
  readonly #failed: Promise<never>;

  private constructor(image: Image, isDebug: boolean) {
    this.release = image.release;
    this.#isDebug = isDebug;
    sweep();
    this.#folder = mkdtempSync(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`));
    this.exchange = join(this.#folder, 'exchange');
    mkdirSync(this.exchange);
    this.#failed = new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
    this.#failed.catch(() => {});
  }

  /** Boots a guest and waits until it takes commands. One that panics or resets on the way is booted once more. */
  static async boot(options: GuestOptions = {}): Promise<Guest> {
    const { flavour = DEFAULT_FLAVOUR, arch = OWN_ARCH, modules = [], say = () => {} } = options;
    const files = image(flavour, arch, say);
    const isDebug = FLAVOURS[flavour].kernel === 'debug';
    const accel = await accelerator(arch, files);
    if (options.init === undefined) {
      await warm();
      buildModule(files, say);
      for (const module of isDebug ? [FAULTS, ...modules] : modules) buildModule(files, say, module);
    }
    for (let attempt = 1; ; attempt++) {
      const guest = new Guest(files, isDebug);
      try {
        await guest.#start(files, arch, accel, options);
        return guest;
      } catch (error) {
        const why = /Kernel panic.*/.exec(guest.console())?.[0] ?? 'it was reset without a word';
        const hasEnded = guest.#hasEnded;
        await guest.end();
        if (!hasEnded || attempt > 1 || isDebug) throw error;
        say(`The guest did not boot: ${why}; trying once more`);
      }
    }
  }

  async #start(files: Image, arch: Arch, accel: string, options: GuestOptions): Promise<void> {
    const { init, wires = [], kernelWords = [], say = () => {} } = options;
    const { memoryMiB = this.#isDebug ? DEBUG_MEMORY_MIB : MEMORY_MIB } = options;
    const shares =
      init === 'systemd'
        ? systemShares(systemRoot(arch, files, say), this.exchange)
        : checkoutShares(arch, files.root, this.exchange, this.#path('checkout'), say);
    for (const share of shares) this.#share(share);
    await this.#until(
      () => shares.every(({ tag }) => existsSync(this.#path(`${tag}.sock`))),
      10_000,
      'virtiofsd',
    );
    let ready = () => {};
    const isReady = new Promise<void>((resolve) => {
      ready = resolve;
    });
    this.#listen('stdout', (data) => this.#output('stdout', data));
    this.#listen('stderr', (data) => this.#output('stderr', data));
    let line = '';
    this.#listen('control', (data, socket) => {
      this.#control = socket;
      line += data.toString();
      for (let end = line.indexOf('\n'); end >= 0; end = line.indexOf('\n')) {
        const words = line.slice(0, end).split(' ');
        line = line.slice(end + 1);
        if (words[0] === 'ready') ready();
        if (words[0] === 'done' && this.#waiting?.id === Number(words[1])) {
          this.#waiting.code = Number(words[2]);
          this.#finish();
        }
      }
    });

    const words = qemuWords(arch, accel, memoryMiB);
    for (const { tag } of shares) {
      words.push('-chardev', `socket,id=${tag},path=${this.#path(`${tag}.sock`)}`);
      words.push('-device', `vhost-user-fs-pci,chardev=${tag},tag=${tag}`);
    }
    for (const name of ['stdout', 'stderr', 'control']) {
      words.push('-chardev', `socket,id=${name},path=${this.#path(`${name}.sock`)}`);
      words.push('-device', `virtserialport,chardev=${name},name=${name}`);
    }
    for (const [number, { local, remote, mac }] of wires.entries()) {
      const socket = `local.type=unix,local.path=${local},remote.type=unix,remote.path=${remote}`;
      words.push('-netdev', `dgram,id=wire${number},${socket}`);
      words.push('-device', `virtio-net-pci,netdev=wire${number},mac=${mac}`);
    }
    words.push('-serial', `file:${this.#path('console.log')}`, '-kernel', files.kernel);
    if (files.initramfs !== undefined) words.push('-initrd', files.initramfs);
    const console = arch === 'arm64' ? 'ttyAMA0' : 'ttyS0';
    // A fault of the kernel ends the guest, as what it says afterwards means nothing.
    const kernel = [
      `console=${console}`,
      // Lockdep and WARN() only warn.
      `loglevel=${this.#isDebug ? 5 : 4}`,
      'oops=panic',
      'panic=-1',
      'rootfstype=virtiofs',
      'root=root',
      'ro',
    ];
    const first =
      init === 'systemd'
        ? 'mount -t virtiofs exchange /mnt && exec /bin/sh /mnt/init-systemd.sh'
        : `mount -t virtiofs -o ro checkout /checkout && exec /bin/sh /checkout/test/lab/init.sh ${CHECKOUT}`;
    // Nobody logs in.
    if (init === 'systemd') kernel.push('systemd.getty_auto=no', 'systemd.mask=getty@tty1.service');
    words.push('-append', `${[...kernel, ...kernelWords].join(' ')} init=/bin/sh -- -c "${first}"`);
    const machine = this.#spawn(QEMU[arch].command, words);
    machine.on('exit', (code, signal) => {
      this.#hasEnded = true;
      this.#fail(this.#fault(`The guest ended (${signal ?? `exit code ${code}`})`));
    });
    if (this.#isDebug) this.#watchReports();
    const limit = init === 'systemd' ? SYSTEM_BOOT_LIMIT : this.#isDebug ? DEBUG_BOOT_LIMIT : BOOT_LIMIT;
    await this.#limited(isReady, limit, 'The guest did not boot');
    if (wires.length > 0) await this.run('modprobe virtio_net');
  }

  /**
   * Runs a shell command in the checkout. Throws LabError if the guest ends or hangs, or its debug kernel reports a fault; it is of no use
   * then.
   */
  async run(command: string, options: RunOptions = {}): Promise<RunResult> {
    if (this.#waiting) throw new LabError('a guest runs one command at a time');
    const id = ++this.#commands;
    const exports = Object.entries(options.env ?? {}).map(
      ([name, value]) => `export ${name}=${quote(value)}\n`,
    );
    writeFileSync(join(this.exchange, `${id}.sh`), `${exports.join('')}${command}\n`);
    const mark = `\x1e${id}-${Math.random().toString(36).slice(2)}\x1e`;
    const { promise, resolve } = Promise.withResolvers<RunResult>();
    this.#waiting = {
      id,
      mark: Buffer.from(mark),
      onOutput: options.onOutput,
      output: { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) },
      ended: new Set(),
      code: undefined,
      resolve,
    };
    this.#control!.write(`${id} ${mark}\n`);
    const result = await this.#limited(promise, options.limit ?? RUN_LIMIT, 'The command did not end');
    // One that came with the command's last breath is still being written.
    if (this.#isDebug && firstReport(this.console())) await this.#failed;
    return result;
  }

  /** Turns it off, as it stands. */
  async end(): Promise<void> {
    clearInterval(this.#watch);
    this.#fail(new LabError('the guest was turned off'));
    for (const child of this.#processes.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
      const ended = new Promise((resolve) => child.on('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }

  /** What the kernel and init wrote. */
  console(): string {
    try {
      return stripVTControlCharacters(readFileSync(this.#path('console.log'), 'latin1')).replaceAll('\r', '');
    } catch {
      return '';
    }
  }

  /** Ends the guest at the first report of its kernel, once that is whole. */
  #watchReports(): void {
    let since = 0;
    let length = 0;
    this.#watch = setInterval(() => {
      const console = this.console();
      const report = firstReport(console);
      if (report === undefined) return;
      since ||= Date.now();
      if (console.length !== length && Date.now() - since < REPORT_LIMIT) {
        length = console.length;
        return;
      }
      const lines = report.map((line) => `  | ${line}`.trimEnd());
      this.#fail(new LabError(`The kernel reported a fault:\n${lines.join('\n').trimEnd()}`));
      void this.end();
    }, WATCH_INTERVAL);
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  #share({ tag, folder, cache }: Share): void {
    this.#spawn(virtiofsd() ?? 'virtiofsd', [
      `--socket-path=${this.#path(`${tag}.sock`)}`,
      ...['-o', `source=${folder}`, '-o', `cache=${cache}`, '-o', 'sandbox=namespace'],
    ]);
  }

  #spawn(command: string, words: readonly string[]): ChildProcess {
    // Ends with this process, however that ends.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...words], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-2000);
    });
    child.on('error', (error) => this.#fail(new LabError(`${command}: ${error.message}`)));
    child.on('exit', (code) => {
      if (code) this.#fail(this.#fault(`${command} ended with exit code ${code}: ${said.trim()}`));
    });
    this.#processes.push(child);
    return child;
  }

  #listen(name: string, onData: (data: Buffer, socket: Socket) => void): void {
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('data', (data) => onData(data as Buffer, socket));
    });
    server.listen(this.#path(`${name}.sock`));
    this.#servers.push(server);
  }

  #output(stream: 'stdout' | 'stderr', data: Buffer): void {
    const waiting = this.#waiting;
    if (waiting === undefined || waiting.ended.has(stream)) return;
    let kept = Buffer.concat([waiting.output[stream], data]);
    const end = kept.indexOf(waiting.mark);
    if (end >= 0) {
      waiting.ended.add(stream);
      kept = kept.subarray(0, end);
    }
    if (waiting.onOutput) {
      // The mark may come in pieces: as much as could be the beginning of it waits for more.
      const last = kept.lastIndexOf(0x1e);
      const sent = end >= 0 || last < 0 || kept.length - last >= waiting.mark.length ? kept.length : last;
      if (sent > 0) waiting.onOutput(stream, kept.subarray(0, sent));
      kept = kept.subarray(sent);
    } else if (kept.length > OUTPUT_MAX) {
      kept = kept.subarray(kept.length - OUTPUT_MAX);
    }
    waiting.output[stream] = kept;
    if (end >= 0) this.#finish();
  }

  #finish(): void {
    const waiting = this.#waiting;
    if (waiting?.code === undefined || waiting.ended.size < 2) return;
    this.#waiting = undefined;
    const { stdout, stderr } = waiting.output;
    waiting.resolve({ code: waiting.code, stdout: stdout.toString(), stderr: stderr.toString() });
  }

  async #until(isTrue: () => boolean, limit: number, what: string): Promise<void> {
    const until = Date.now() + limit;
    while (!isTrue()) {
      if (Date.now() > until) throw this.#fault(`${what} did not start`);
      await Promise.race([this.#failed, new Promise((resolve) => setTimeout(resolve, 20))]);
    }
  }

  async #limited<T>(promise: Promise<T>, limit: number, fault: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(this.#fault(`${fault} within ${limit / 1000} s`));
        void this.end();
      }, limit);
    });
    try {
      return await Promise.race([promise, this.#failed, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #fault(what: string): LabError {
    const lines = this.console().trimEnd().split('\n').slice(-CONSOLE_LINES);
    return new LabError(`${what}. Its console:\n${lines.map((line) => `  | ${line}`).join('\n')}`);
  }
}

/** A word for the shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
