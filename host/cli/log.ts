/** `ekho log`: which lines the host writes into its log, and `ekho log level`: others from now on. */
import type { LogLevels, PluginStatus } from '../api/schemas.ts';
import { LOG_COMPONENTS } from '../log/levels.ts';
import { nearest } from '../suggest.ts';
import { type JsonOption, printJson } from './ask.ts';
import type { Client } from './client.ts';
import { count, plain, print, table } from './output.ts';

export async function logShow(client: Client, { json }: JsonOption): Promise<void> {
  const answer = await client.get<LogLevels>('/api/v1/log');
  if (json) return printJson(answer);
  await print(levelTable(answer));
}

/** `name`: a component, or a plugin's name, which may not be there yet: that is told of. */
export async function logLevel(
  client: Client,
  level: string,
  name: string | undefined,
  { json }: JsonOption,
): Promise<void> {
  const isComponent = (LOG_COMPONENTS as readonly string[]).includes(name ?? '');
  const whose: { component?: string; plugin?: string } =
    name === undefined ? {} : isComponent ? { component: name } : { plugin: name };
  const answer = await client.put<LogLevels>('/api/v1/log', { level, ...whose });
  if (whose.plugin !== undefined) await tellIfUnknown(client, whose.plugin);
  if (json) return printJson(answer);
  await print(levelTable(answer));
}

async function tellIfUnknown(client: Client, plugin: string): Promise<void> {
  const plugins = (await client.get<PluginStatus[]>('/api/v1/plugins')).map(({ name }) => name);
  if (plugins.includes(plugin)) return;
  const near = nearest(plugin, [...LOG_COMPONENTS, ...plugins]);
  console.error(`no plugin ${plain(plugin)} yet${near ? `; did you mean ${plain(near)}?` : ''}`);
}

function levelTable({ components, plugins, lines, dropped }: LogLevels): string {
  const rows = [
    ...Object.entries(components),
    ...Object.entries(plugins).map(([name, level]) => [`plugin ${name}`, level]),
  ];
  const written = Object.entries(lines).map(([level, lines]) => `${count(lines)} ${level}`);
  return `${table(['OF', 'LEVEL'], rows)}\nlines: ${written.join(', ')}; ${count(dropped)} dropped\n`;
}
