/** `ekho log`: which lines the host writes into its log, and `ekho log level`: others from now on. */
import type { LogLevels } from '../api/schemas.ts';
import { LOG_COMPONENTS } from '../log/levels.ts';
import { type JsonOption, printJson } from './ask.ts';
import type { Client } from './client.ts';
import { count, print, table } from './output.ts';

export async function logShow(client: Client, { json }: JsonOption): Promise<void> {
  const answer = await client.get<LogLevels>('/api/v1/log');
  if (json) return printJson(answer);
  await print(levelTable(answer));
}

/** `name`: a component, or a plugin's name. */
export async function logLevel(
  client: Client,
  level: string,
  name: string | undefined,
  { json }: JsonOption,
): Promise<void> {
  const isComponent = (LOG_COMPONENTS as readonly string[]).includes(name ?? '');
  const whose = name === undefined ? {} : isComponent ? { component: name } : { plugin: name };
  const answer = await client.put<LogLevels>('/api/v1/log', { level, ...whose });
  if (json) return printJson(answer);
  await print(levelTable(answer));
}

function levelTable({ components, plugins, lines, dropped }: LogLevels): string {
  const rows = [
    ...Object.entries(components),
    ...Object.entries(plugins).map(([name, level]) => [`plugin ${name}`, level]),
  ];
  const written = Object.entries(lines).map(([level, lines]) => `${count(lines)} ${level}`);
  return `${table(['OF', 'LEVEL'], rows)}\nlines: ${written.join(', ')}; ${count(dropped)} dropped\n`;
}
