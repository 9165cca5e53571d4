/** A line of the log as people read it, and as journald takes it: with its priority in front (sd-daemon(3)). */
import { plain } from '../text.ts';
import type { LogLevel } from './levels.ts';

/** syslog(3)'s numbers. */
const PRIORITIES: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7, trace: 7 };

export type LineFields = Readonly<Record<string, unknown>>;

/** Fields that the words say already. */
const SAID = new Set(['component', 'plugin', 'caller', 'request', 'status', 'code']);

export function textLine(level: LogLevel, message: string, fields: LineFields): string {
  return `${level === 'info' ? '' : `${level}: `}${inWords(level, message, fields)}\n`;
}

export function journalLine(level: LogLevel, message: string, fields: LineFields): string {
  return `<${PRIORITIES[level]}>${inWords(level, message, fields)}\n`;
}

function inWords(level: LogLevel, message: string, fields: LineFields): string {
  const { component, plugin } = fields;
  let text = message;
  if (component === 'plugin' && plugin !== undefined) text = `plugin ${plugin}: ${text}`;
  else if (plugin !== undefined) text = `${plugin}: ${text}`;
  else if (component === 'audit') text = `audit: ${text}`;
  // Who says it is plain from what is said, but for what only those read who look for a fault.
  if ((level === 'debug' || level === 'trace') && component !== 'plugin') text = `${component}: ${text}`;
  for (const [name, value] of Object.entries(fields))
    if (!SAID.has(name)) text += ` ${name}=${String(value)}`;
  return plain(text);
}
