/** The commands for plugins and devices. */
import type { DeviceStatus, Faults, LogLine, PluginDetails, PluginStatus } from '../api/schemas.ts';
import { EkhoError } from '../errors.ts';
import { deviceTable, type JsonOption, pluginTable, portTable } from './ask.ts';
import type { Client } from './client.ts';
import { count, paintState, plain, print, table } from './output.ts';

export async function pluginList(client: Client, { json }: JsonOption): Promise<void> {
  const plugins = await client.get<PluginStatus[]>('/api/v1/plugins');
  if (json) {
    await print(`${JSON.stringify(plugins, null, 2)}\n`);
    return;
  }
  if (plugins.length === 0) {
    await print('no plugins\n');
    return;
  }
  await print(pluginTable(plugins));
  const abilities = plugins.flatMap(({ name, abilities }) =>
    abilities.map(({ kind, capacity }) => [plain(name), kind, count(capacity)]),
  );
  if (abilities.length > 0) await print(`\n${table(['PLUGIN', 'HOLDS', 'CAPACITY'], abilities)}`);
  for (const { name, remedy } of plugins) if (remedy) await print(`\n${plain(name)}: ${plain(remedy)}\n`);
}

export async function pluginShow(client: Client, name: string, { json }: JsonOption): Promise<void> {
  const plugin = await client.get<PluginDetails>(`/api/v1/plugins/${encodeURIComponent(name)}`);
  if (json) {
    await print(`${JSON.stringify(plugin, null, 2)}\n`);
    return;
  }
  const { state, reason, remedy, device, vendor, version, ports, abilities, counters, errors } = plugin;
  const rows = [
    ['state', paintState(state) + (reason ? `: ${plain(reason)}` : '')],
    ...(remedy ? [['remedy', plain(remedy)]] : []),
    ['device', device ?? '-'],
    ['ports', plain(ports.join(' ')) || '-'],
    ...(version === undefined ? [] : [['version', plain(`${vendor} ${version}`)]]),
    ...(plugin.licence === undefined ? [] : [['licence', plain(plugin.licence)]]),
    ['signature', plugin.signature ?? '-'],
    ['isolation', plugin.isolation ?? '-'],
    ['sha256', plugin.sha256 ?? '-'],
    ['restarts', count(plugin.restarts)],
    ...abilities.map(({ kind, capacity }) => ['holds', `${kind}, ${count(capacity)}`]),
    ...Object.entries(counters).map(([counter, value]) => [counter, count(value)]),
  ];
  await print(table(['WHAT', 'IS'], rows));
  if (errors.length === 0) return;
  const lines = errors.map(({ time, code, message }) => [time, code, plain(message)]);
  await print(`\n${table(['TIME', 'ERROR', 'WHAT'], lines)}`);
}

/** `enable`, `disable`, `reload` or `restart`. */
export async function pluginVerb(client: Client, name: string, verb: string): Promise<void> {
  await client.post(`/api/v1/plugins/${encodeURIComponent(name)}/${verb}`);
}

export async function pluginLogs(client: Client, name: string): Promise<void> {
  const lines = await client.get<LogLine[]>(`/api/v1/plugins/${encodeURIComponent(name)}/logs`);
  for (const { time, level, message } of lines) await print(`${time} ${level.padEnd(5)} ${plain(message)}\n`);
}

export async function deviceList(client: Client, { json }: JsonOption): Promise<void> {
  const devices = await client.get<DeviceStatus[]>('/api/v1/devices');
  if (json) {
    await print(`${JSON.stringify(devices, null, 2)}\n`);
    return;
  }
  if (devices.length === 0) {
    await print('no devices\n');
    return;
  }
  await print(
    table(
      ['DEVICE', 'KIND', 'PLUGIN', 'WRITES', 'REMOVES', 'EPOCH', 'FAULTS'],
      devices.map(({ name, kind, plugin, writes, removes, epoch, faults }) => [
        name,
        kind,
        plugin ?? '-',
        count(writes),
        count(removes),
        count(epoch),
        faultsText(faults),
      ]),
    ),
  );
  await print(`\n${deviceTable(devices)}`);
  if (devices.some(({ ports = [] }) => ports.length > 0)) await print(`\n${portTable(devices)}`);
}

function faultsText(faults: DeviceStatus['faults']): string {
  if (faults === undefined) return '-';
  const { failEvery, refuse, delay, poweredOff } = faults;
  const texts = [
    failEvery > 0 && `fails every ${count(failEvery)}`,
    refuse && 'refuses',
    delay > 0 && `delays ${count(delay)} µs`,
    poweredOff && 'powered off',
  ];
  return texts.filter((text) => text !== false).join(', ') || '-';
}

interface InjectOptions {
  readonly failEvery?: number;
  readonly refuse?: 'on' | 'off';
  readonly delay?: number;
  readonly power?: 'on' | 'off';
}

export async function deviceInject(client: Client, name: string, options: InjectOptions): Promise<void> {
  const faults: Faults = {
    ...(options.failEvery !== undefined && { failEvery: options.failEvery }),
    ...(options.refuse !== undefined && { refuse: options.refuse === 'on' }),
    ...(options.delay !== undefined && { delay: options.delay }),
    ...(options.power !== undefined && { poweredOff: options.power === 'off' }),
  };
  if (Object.keys(faults).length === 0) {
    throw new EkhoError('E_USAGE', 'no fault is named', {
      remedy: 'Use --fail-every, --refuse, --delay or --power.',
    });
  }
  await client.post(`/api/v1/devices/${encodeURIComponent(name)}/inject`, faults);
}

export async function devicePowerCycle(client: Client, name: string): Promise<void> {
  await client.post(`/api/v1/devices/${encodeURIComponent(name)}/power-cycle`);
}
