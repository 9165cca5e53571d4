/** Manual pages: ekho(1) from the command's own definitions, ekho.toml(5) from the schema of the configuration. */
import type { Command } from 'commander';
import { expected } from '../host/config/config.ts';
import { SECTIONS } from '../host/config/schema.ts';

export interface ManualOptions {
  readonly version: string;
  /** Seconds since 1970: the date in the footer. */
  readonly epoch: number;
}

/** ekho(1). */
export function commandManual(program: Command, options: ManualOptions): string {
  const lines = [
    head('EKHO', 1, 'User Commands', options),
    '.SH NAME',
    `ekho \\- ${text(sentence(program.description()))}`,
    '.SH SYNOPSIS',
    ...leaves(program).flatMap((command) => [
      '.br',
      `\\fB${text(nameOf(command))}\\fR ${text(command.usage())}`,
    ]),
    '.SH DESCRIPTION',
    text(program.description()),
    'All commands but \\fBrun\\fR, \\fBdoctor\\fR, \\fBconfig check\\fR, \\fBtoken\\fR and those that make plugins ask the running host over its socket.',
    '.SH COMMANDS',
  ];
  for (const command of leaves(program)) lines.push(...section(command));
  lines.push(
    '.SH EXIT STATUS',
    ...entry('0', 'done'),
    ...entry('1', 'something differs, is missing, does not exist, or went wrong'),
    ...entry('2', 'the command line, an address or the configuration is wrong'),
    ...entry('3', 'no host answers on the socket, or this user may not use it'),
    ...entry('4', 'the time limit passed'),
    '.SH ENVIRONMENT',
    ...entry('EKHO_SOCKET', 'path of the host’s socket'),
    ...entry('NO_COLOR', 'no colour on a terminal'),
    '.SH FILES',
    ...entry('/etc/ekho/ekho.toml', 'configuration of the service'),
    ...entry('/run/ekho/ekho.sock', 'socket of the service'),
    '.SH SEE ALSO',
    '\\fBekho.toml\\fR(5), \\fBip\\fR(8), \\fBbridge\\fR(8), \\fBtc\\fR(8), \\fBsystemctl\\fR(1)',
  );
  return `${lines.join('\n')}\n`;
}

/** ekho.toml(5). */
export function configManual(options: ManualOptions): string {
  const lines = [
    head('EKHO.TOML', 5, 'File Formats', options),
    '.SH NAME',
    'ekho.toml \\- configuration of the EKHO host',
    '.SH DESCRIPTION',
    'One TOML file, read by \\fBekho run \\-\\-config\\fR \\fIFILE\\fR. \\fBekho config check\\fR \\fIFILE\\fR says what is wrong with one. Unknown keys are errors.',
  ];
  for (const { header, schema } of SECTIONS) {
    lines.push(`.SH ${text(header)}`);
    const { properties } = schema as {
      properties: Record<string, { description?: string; default?: unknown }>;
    };
    for (const [key, property] of Object.entries(properties)) {
      const otherwise =
        property.default === undefined ? '' : ` Default: ${JSON.stringify(property.default)}.`;
      lines.push(
        '.TP',
        `\\fB${text(key)}\\fR (${text(expected(property))})`,
        text(`${withoutMarks(property.description ?? '')}${otherwise}`),
      );
    }
  }
  lines.push('.SH SEE ALSO', '\\fBekho\\fR(1)');
  return `${lines.join('\n')}\n`;
}

/** Commands that do something, in the order of the help, each below the words that lead to it. */
export function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

export function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}

function section(command: Command): string[] {
  const lines = [
    `.SS ${text(nameOf(command))} ${text(command.usage())}`,
    text(sentence(command.description())),
  ];
  for (const argument of command.registeredArguments) {
    if (argument.description !== '') lines.push(...entry(argument.name(), argument.description));
  }
  for (const option of command.options) {
    const choices = option.argChoices === undefined ? '' : ` (${option.argChoices.join(', ')})`;
    const otherwise = option.defaultValue === undefined ? '' : ` Default: ${option.defaultValue}.`;
    lines.push(...entry(option.flags, `${option.description}${choices}.${otherwise}`));
  }
  return lines;
}

function entry(term: string, what: string): string[] {
  return ['.TP', `\\fB${text(term)}\\fR`, text(what)];
}

function head(name: string, number: number, part: string, { version, epoch }: ManualOptions): string {
  const date = new Date(epoch * 1000).toISOString().slice(0, 10);
  return `.TH ${name} ${number} ${date} "EKHO ${version}" "${part}"`;
}

function sentence(words: string): string {
  return words.replace(/\.$/, '');
}

/** The marks of Markdown that the schema's descriptions have. */
function withoutMarks(words: string): string {
  return words.replace(/ ?\(\[[^\]]*\]\([^)]*\)\)/g, '').replaceAll('`', '');
}

/** For roff: backslashes, hyphens that are typed, and lines that begin as a request would. */
function text(words: string): string {
  return words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/, '\\&$1');
}
