/** `ekho run`: the host and its API until a signal ends them, with a line for each step a person waits for. */
import type { Server as TlsServer } from 'node:tls';
import { Access } from '../api/access.ts';
import { Audit } from '../api/audit.ts';
import { listenTcp, listenUnix } from '../api/listen.ts';
import type { Server } from '../api/server.ts';
import { Identity } from '../api/tls.ts';
import { type Config, defaultConfig, readConfig } from '../config/config.ts';
import { checkListen, isLoopback, parseListen } from '../config/listen.ts';
import { type RemoteOptions, withRemote } from '../config/remote-options.ts';
import { readSocketPath, socketPath } from '../config/socket.ts';
import { EkhoError } from '../errors.ts';
import { Host } from '../host.ts';
import type { LogFormat, LogLevel } from '../log/levels.ts';
import { Logs } from '../log/log.ts';
import { inNetns } from '../netlink/syscall.ts';
import { giveBackSoon } from './give-back.ts';
import { reload } from './reload.ts';
import { ServiceManager } from './service.ts';

const STANDARD_OUTPUT = 1;
/** A signal this long after the first means: now, without order. */
const INSISTS_MS = 500;

export interface RunOptions extends RemoteOptions {
  readonly config?: string;
  readonly netns?: string;
  readonly socket?: string;
  readonly listen?: string;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
}

export async function run(options: RunOptions): Promise<void> {
  const file = options.config === undefined ? defaultConfig() : readConfig(options.config);
  const config = configOf(file, options);
  const logs = Logs.toFd(STANDARD_OUTPUT, config.log);
  const log = logs.of('host');
  const say = (message: string) => log.info(message);
  // Before anything is started or touched that a wrong name would leave behind.
  if (config.source === undefined && config.mirror.netns !== undefined)
    inNetns(config.mirror.netns, () => {});
  const servers: Server[] = [];
  const host = new Host(config, logs);
  const identity = config.api.tls && new Identity(config.api.tls);
  let network: Server | undefined;
  const shared = { access: new Access(config.api.tokens), audit: auditTo(logs) };

  const manager = new ServiceManager();
  const again = () => {
    manager.reloading();
    try {
      say(reload(file, { access: shared.access, identity, network, logs, logLevel: options.logLevel }));
    } catch (error) {
      if (!(error instanceof EkhoError)) throw error;
      log.error({ code: error.code }, `configuration not read again, all stays as it was: ${error.message}`);
      manager.ready('configuration not read again, it is wrong');
      return;
    }
    manager.ready('configuration read again');
  };
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= (async () => {
      await Promise.all(servers.map((server) => server.close()));
      await host.stop();
    })();
    return stopping;
  };

  try {
    // Loading the API takes about as long as reading a small kernel.
    void host.beginReading();
    const { createServer } = await import('../api/server.ts');
    // The socket before all that writes: it is also what keeps a second host from touching the same devices.
    const local = createServer(host, { transport: 'socket', ...shared });
    servers.push(local);
    const { socket, socketGroup, readGroup } = config.api;
    await listenUnix(local, socket, groupOf('socket-group', socketGroup));
    logs.always.info(`socket ${socket}`);
    if (readGroup !== undefined) {
      const reading = createServer(host, { transport: 'read-socket', ...shared });
      servers.push(reading);
      await listenUnix(reading, readSocketPath(socket), groupOf('read-group', readGroup));
      logs.always.info(`socket ${readSocketPath(socket)} for the group ${readGroup}, to look`);
    }
    if (config.api.listen) {
      const { address, port } = config.api.listen;
      const isOpen = !isLoopback(address);
      network = createServer(host, { transport: 'network', identity, isOpen, ...shared });
      servers.push(network);
      identity?.serve(network.server as unknown as TlsServer);
      const url = await listenTcp(network, address, port, identity?.name);
      host.url = url;
      logs.always.info(`dashboard ${url} (\`ekho dashboard\` prints an address that may operate, too)`);
    }
    const ended = new Promise<void>((resolve) => {
      let asked = 0;
      const end = () => {
        // `npm start` passes Ctrl-C on although the terminal has sent it already: that is one wish. A later one insists.
        if (asked !== 0 && performance.now() - asked > INSISTS_MS) process.exit(1);
        if (asked !== 0) return;
        asked = performance.now();
        const isKept = config.plugin.every(({ onStop }) => onStop === 'keep');
        say(isKept ? 'stopping; hardware keeps what it holds' : 'stopping');
        manager.stopping();
        resolve();
      };
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end);
      process.on('SIGHUP', () => {
        // Of a terminal that closes it means the end, as for every command.
        if (process.stdin.isTTY) end();
        else again();
      });
    });
    const started = host.start().then(() => {
      manager.ready('mirror in sync');
      giveBackSoon();
    });
    await Promise.race([started, ended]);
    await ended;
  } finally {
    await stop();
    logs.close();
  }
}

function groupOf(setting: string, name: string | undefined) {
  return name === undefined ? undefined : { name, setting };
}

function auditTo(logs: Logs): Audit {
  return new Audit(({ time: _time, ...line }) =>
    logs.audit.info(line, `${line.caller}: ${line.request}: ${line.status}`),
  );
}

function configOf(file: Config, options: RunOptions): Config {
  const config = withRemote(file, options);
  if (config.source !== undefined && options.netns !== undefined) {
    throw new EkhoError('E_USAGE', '--netns says nothing of a remote source', { remedy: 'Leave it out.' });
  }
  const listen = options.listen === undefined ? config.api.listen : parseListen(options.listen);
  checkListen(listen, config.api.tls);
  return {
    ...config,
    mirror: { ...config.mirror, ...(options.netns !== undefined && { netns: options.netns }) },
    log: {
      ...config.log,
      ...(options.logLevel !== undefined && { level: options.logLevel }),
      ...(options.logFormat !== undefined && { format: options.logFormat }),
    },
    api: { ...config.api, socket: socketPath(options.socket, config.api.socket), listen },
  };
}
