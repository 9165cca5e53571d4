/** `npm run lab -- [OPTIONS] COMMAND…`: runs a command in a guest; its output and exit code are the guest's. */
import { parseArgs } from 'node:util';
import { checkMemory } from './debug/check.ts';
import { Guest, quote } from './guest.ts';
import { asFlavour, DEFAULT_FLAVOUR, FLAVOUR_NAMES, FLAVOURS } from './image.ts';
import { ARCHES, asArch, installMissing, LabError, OWN_ARCH, whyNot } from './machine.ts';

const USAGE = `npm run lab -- [OPTIONS] COMMAND [WORD…]

Runs a shell command in a virtual machine with a stock Debian kernel, in this checkout.
  --kernel VERSION   ${FLAVOUR_NAMES.join(', ')} (${DEFAULT_FLAVOUR})
  --arch ARCH        ${ARCHES.join(', ')} (${OWN_ARCH})
  --memory MIB       of the guest (1024; debug: 3072)
  --timeout SECONDS  after which it is ended and its console shown (600)
Options come before the command. See docs/lab.md.`;

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof LabError ? `lab: ${error.message}` : error);
  return 125;
});

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  // Options end at the first word that is none, so that the command keeps its own.
  let end = 0;
  while (args[end]?.startsWith('--')) end += args[end]!.includes('=') || args[end] === '--help' ? 1 : 2;
  const values = parsed(args.slice(0, end));
  const command = args.slice(end);
  if (values.help || command.length === 0) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  const say = (line: string) => console.error(`lab: ${line}`);
  const arch = asArch(values.arch);
  const flavour = asFlavour(values.kernel);
  const { memory } = values;
  const memoryMiB = memory === undefined ? undefined : number('memory', memory, 256, 16_384);
  const limit = number('timeout', values.timeout, 1, 86_400) * 1000;
  const reason = whyNot() ?? installMissing(say, arch);
  if (reason !== undefined) throw new LabError(reason);
  await using guest = await Guest.boot({ flavour, arch, ...(memoryMiB !== undefined && { memoryMiB }), say });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => guest.end().finally(() => process.kill(process.pid, signal)));
  }
  // One word is a line for the shell, several are a command and its words.
  const line = command.length === 1 ? command[0]! : command.map(quote).join(' ');
  const { code } = await guest.run(line, {
    limit,
    onOutput: (stream, data) => process[stream].write(data),
  });
  if (FLAVOURS[flavour].kernel === 'debug') await checkMemory(guest);
  return code;
}

function parsed(args: string[]) {
  try {
    const options = {
      kernel: { type: 'string', default: DEFAULT_FLAVOUR },
      arch: { type: 'string', default: OWN_ARCH },
      memory: { type: 'string' },
      timeout: { type: 'string', default: '600' },
      help: { type: 'boolean' },
    } as const;
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new LabError(`${(error as Error).message.split('. ')[0]}; --help lists the options`);
  }
}

function number(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new LabError(`--${option} is a whole number from ${min} to ${max}, not ${text}`);
}
