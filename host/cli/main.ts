/** The `ekho` command: its words, options and exit codes. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { socketPath } from '../config/socket.ts';
import { EkhoError, type ErrorCode } from '../errors.ts';
import { LOG_COMPONENTS, LOG_FORMATS, LOG_LEVELS } from '../log/levels.ts';
import { VERSION } from '../version.ts';
import { configShow, dashboard, explain, lookup, stats, status, verify, wait } from './ask.ts';
import { Client } from './client.ts';
import { addKitCommands } from './kit.ts';
import { logLevel, logShow } from './log.ts';
import {
  deviceInject,
  deviceList,
  devicePowerCycle,
  pluginList,
  pluginLogs,
  pluginShow,
  pluginVerb,
} from './manage.ts';
import { offloadAdd, offloadDelete, offloadKinds, offloadShow } from './offload.ts';
import { paint, plain } from './output.ts';
import { addPluginFileCommands } from './plugin-files.ts';
import { monitor, show } from './show.ts';
import { support } from './support.ts';
import { token } from './token.ts';
import { top } from './top.ts';

/** Documented in docs/cli.md. */
export const EXIT = { ok: 0, fault: 1, usage: 2, noHost: 3, timeout: 4 } as const;

const EXIT_OF: Partial<Record<ErrorCode, number>> = {
  E_USAGE: EXIT.usage,
  E_UNKNOWN_KIND: EXIT.usage,
  E_BAD_ADDRESS: EXIT.usage,
  E_CONFIG: EXIT.usage,
  E_PROJECT: EXIT.usage,
  E_CASE: EXIT.usage,
  E_NO_HOST: EXIT.noHost,
  E_SOCKET_ACCESS: EXIT.noHost,
  E_TIMEOUT: EXIT.timeout,
};

/** IANA's numbers of the protocols one looks up by name. */
const IP_PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 };

/** Runs the command and sets the exit code; never throws. */
export async function main(words: readonly string[]): Promise<void> {
  const program = ekhoCommand();
  try {
    await program.parseAsync(words as string[], { from: 'user' });
  } catch (error) {
    process.exitCode = exitCodeOf(error);
    if (!(error instanceof CommanderError)) complain(error);
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof EkhoError) return EXIT_OF[error.code] ?? EXIT.fault;
  return EXIT.fault;
}

/** What went wrong and what can be done; a stack only for a fault in the program. */
export function complain(error: unknown): void {
  if (!(error instanceof EkhoError)) {
    console.error(error);
    return;
  }
  const kernel = error.kernel ? ` (the kernel says: ${error.kernel})` : '';
  // Several lines, where there are several faults; and names of links and files in them.
  const safe = (text: string) => text.split('\n').map(plain).join('\n');
  console.error(`${paint('red', 'ekho:', process.stderr)} ${safe(error.message + kernel)}`);
  if (error.remedy) console.error(safe(error.remedy));
}

/** All commands with their options: manual pages and completions are made from it as well. */
export function ekhoCommand(): Command {
  const program = new Command('ekho')
    .description('Mirrors the kernel’s networking state into hardware, through vendor plugins.')
    .version(VERSION, '-V, --version')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText(
      'after',
      '\nAll but `run`, `doctor`, `config`, `token` and those that make plugins ask the running host.\nExit codes: 0 ok, 1 differs, not found or a fault, 2 wrong usage, 3 no host, 4 timeout.',
    );
  // Inherited by commands made from here on.
  const command = (parent: Command, name: string, description: string) =>
    parent.command(name).description(description).exitOverride().showSuggestionAfterError();
  /** A command that asks the host. */
  const asking = (parent: Command, name: string, description: string) =>
    command(parent, name, description).option('--socket <path>', 'the host’s socket (or EKHO_SOCKET)');
  const json = (target: Command) => target.option('--json', 'print JSON');
  const client = (options: { socket?: string }) => new Client(socketPath(options.socket));

  command(program, 'run', 'run the host until it is interrupted')
    .option('-c, --config <file>', 'configuration (default: none; docs/config.md)')
    .option('--netns <name>', 'network namespace to mirror')
    .option('--publish <server/bucket>', 'publish the mirror: nats://HOST:PORT/BUCKET (docs/remote.md)')
    .option('--source <server/bucket>', 'mirror what another host publishes there, in place of the kernel')
    .option('--socket <path>', 'unix socket to serve on (or EKHO_SOCKET)')
    .option(
      '--listen <address:port>',
      'address of dashboard and HTTP API, or off (beyond loopback: [api.tls])',
    )
    .addOption(new Option('--log-level <level>', 'what is written to standard output').choices(LOG_LEVELS))
    .addOption(new Option('--log-format <format>', 'how (docs/cli.md)').choices(LOG_FORMATS))
    .action(async (options) => {
      const { run } = await import('./run.ts');
      await run(options);
    });

  command(program, 'demo', 'show offload with real packets, in network namespaces of its own (needs root)')
    .addOption(new Option('--seconds <seconds>', 'for each act').default(5).argParser(positive))
    .option('--picture <file>', 'draw what happened, as SVG')
    .action(async (options) => {
      const { demo } = await import('../demo/demo.ts');
      await demo({ ...options, say: (line: string) => console.log(line) });
    });

  json(asking(program, 'status', 'what is mirrored, which plugins run, how much is in hardware')).action(
    (options) => status(client(options), options),
  );

  asking(program, 'top', 'the host live: sync, changes, states, tables, plugins, busiest entries')
    .option('--once', 'print one picture and end')
    .addOption(new Option('--interval <seconds>', 'between two pictures').default(1).argParser(positive))
    .action((options) => top(client(options), options));

  json(asking(program, 'show', 'objects of a kind, with their offload state'))
    .argument('<kind>', 'link, address, neighbour, route, …')
    .argument('[selector...]', 'as for iproute2: dev eth0, table 100, 10.0.0.0/8, …')
    .action((kind: string, selector: string[], options) => show(client(options), kind, selector, options));

  json(asking(program, 'monitor', 'changes as they happen, until interrupted'))
    .option('-k, --kind <kind...>', 'only these kinds')
    .addOption(
      new Option('--source <source>', 'changes of the mirror, events of the kernel’s notifiers, or both')
        .choices(['netlink', 'notifier', 'all'])
        .default('netlink'),
    )
    .action((options) => monitor(client(options), options));

  json(asking(program, 'explain', 'why an object is, or is not, in hardware'))
    .argument('<object...>', '10.0.0.0/8, route 10.0.0.0/8 table 100, link eth0, …')
    .action((words: string[], options) => explain(client(options), words, options));

  json(asking(program, 'lookup', 'what the hardware would do with a packet'))
    .argument('<address>', 'destination')
    .option('--from <address>', 'source address')
    .option('--in <link>', 'link it arrives on')
    .option('--vrf <vrf>', 'VRF link it is routed in, without --in')
    .addOption(new Option('--ipproto <protocol>', 'tcp, udp, … or a number').argParser(ipProtocol))
    .addOption(new Option('--sport <port>', 'source port').argParser(port))
    .addOption(new Option('--dport <port>', 'destination port').argParser(port))
    .action((address: string, options) => lookup(client(options), address, options));

  json(asking(program, 'stats', 'counters of the host, the plugins and the hardware')).action((options) =>
    stats(client(options), options),
  );

  json(asking(program, 'verify', 'compare mirror and kernel, plan and hardware')).action((options) =>
    verify(client(options), options),
  );

  json(asking(program, 'dashboard', 'print an address of the dashboard that may operate, not only look'))
    .option('--read', 'one that may only look')
    .action((options) => dashboard(client(options), options));

  asking(program, 'wait', 'return once all changes so far are in hardware')
    .addOption(new Option('--timeout <seconds>', 'give up after').default(30).argParser(positive))
    .action((options) => wait(client(options), options));

  json(asking(program, 'doctor', 'what this machine has of what the host can use, and why not more'))
    .option('-c, --config <file>', 'judge by this configuration, without asking a host')
    .action(async (options) => {
      const { doctor } = await import('./doctor.ts');
      await doctor(options);
    });

  const plugin = command(program, 'plugin', 'the plugins');
  json(asking(plugin, 'list', 'plugins and what they can hold')).action((options) =>
    pluginList(client(options), options),
  );
  json(asking(plugin, 'show', 'one plugin: where it is from, how it runs, what went wrong'))
    .argument('<name>')
    .action((name: string, options) => pluginShow(client(options), name, options));
  const verbs = {
    enable: 'start a plugin that was disabled',
    disable: 'clear its device (or keep it, as configured) and stop it, until it is enabled',
    reload: 'take over its file as it is now; what hardware holds stays',
    restart: 'end a plugin and start it afresh',
  };
  for (const [verb, description] of Object.entries(verbs)) {
    asking(plugin, verb, description)
      .argument('<name>')
      .action((name: string, options) => pluginVerb(client(options), name, verb));
  }
  asking(plugin, 'logs', 'the last lines a plugin wrote')
    .argument('<name>')
    .action((name: string, options) => pluginLogs(client(options), name));
  addPluginFileCommands(plugin, command);
  addKitCommands(plugin, command);

  const offload = command(
    program,
    'offload',
    'offloads that the kernel has no API for: kinds that plugins declare',
  );
  json(asking(offload, 'kinds', 'kinds that plugins declare, or the fields of one'))
    .argument('[kind]')
    .action((kind: string | undefined, options) => offloadKinds(client(options), kind, options));
  json(asking(offload, 'show', 'what was asked for, what became of it, and what it counted'))
    .argument('[kind]')
    .action((kind: string | undefined, options) => offloadShow(client(options), kind, options));
  json(asking(offload, 'add', 'ask a plugin for an object: xdp:meter 10.1.0.0/16 rate=100mbit'))
    .argument('<kind>')
    .argument('<field...>', 'FIELD=VALUE; of keys the value alone, in their order')
    .option('--replace', 'one that is there gets these fields')
    .action((kind: string, fields: string[], options) => offloadAdd(client(options), kind, fields, options));
  asking(offload, 'del', 'ask for it no more')
    .argument('<kind>')
    .argument('<key...>', 'values of its keys')
    .action((kind: string, keys: string[], options) => offloadDelete(client(options), kind, keys));

  const device = command(program, 'device', 'the devices');
  json(asking(device, 'list', 'devices, their tables and writes')).action((options) =>
    deviceList(client(options), options),
  );
  asking(device, 'inject', 'make a simulated device show faults')
    .argument('<name>')
    .addOption(new Option('--fail-every <n>', 'every n-th write fails; 0: none').argParser(natural))
    .addOption(new Option('--refuse <on|off>', 'refuse all writes').choices(['on', 'off']))
    .addOption(new Option('--delay <microseconds>', 'time each burst takes').argParser(natural))
    .addOption(new Option('--power <on|off>', 'without power it holds nothing').choices(['on', 'off']))
    .action((name: string, options) => deviceInject(client(options), name, options));
  asking(device, 'power-cycle', 'make a simulated device lose its tables')
    .argument('<name>')
    .action((name: string, options) => devicePowerCycle(client(options), name));

  asking(program, 'support', 'gather what somebody who helps needs to know, without secrets, into one file')
    .argument('[file]', 'a new file (default: ekho-support-HOST-TIME.json.gz here)')
    .action((file: string | undefined, options) => support(client(options), file));

  const log = json(asking(program, 'log', 'which lines the host writes into its log')).action((options) =>
    logShow(client(options), options),
  );
  json(asking(log, 'level', 'write others from now on, until the host ends'))
    .argument('<level>', LOG_LEVELS.join(', '))
    .argument('[name]', `${LOG_COMPONENTS.join(', ')}, or a plugin’s name (default: all)`)
    .action((level: string, name: string | undefined, options) =>
      logLevel(client(options), level, name, options),
    );

  command(program, 'token', 'make a token for the API over TCP, and its section of the configuration')
    .argument('<name>', 'what the audit log calls its holder')
    .addOption(new Option('--role <role>', 'what it allows').choices(['read', 'operate']).default('read'))
    .action((name: string, options) => token(name, options));

  const config = command(program, 'config', 'the configuration');
  asking(config, 'show', 'the configuration of the running host, as JSON, without secrets').action(
    (options) => configShow(client(options)),
  );
  command(config, 'check', 'check a configuration file')
    .argument('<file>')
    .action(async (file: string) => {
      const { readConfig } = await import('../config/config.ts');
      readConfig(file);
      console.log(`${file}: ok`);
    });
  return program;
}

function natural(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Use a number from 0.');
  return Number(text);
}

function ipProtocol(text: string): number {
  const number = IP_PROTOCOLS[text] ?? (/^\d{1,3}$/.test(text) ? Number(text) : 256);
  if (number > 255)
    throw new InvalidArgumentError(`Use ${Object.keys(IP_PROTOCOLS).join(', ')} or a number to 255.`);
  return number;
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
    throw new InvalidArgumentError('Use a number to 65535.');
  return Number(text);
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 86_400)) throw new InvalidArgumentError('Use seconds from above 0 to 86400.');
  return value;
}
