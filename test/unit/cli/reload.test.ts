/** A configuration file that is read again: what takes effect does, and what does not is told by name, whatever it is. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Access } from '../../../host/api/access.ts';
import { reload } from '../../../host/cli/reload.ts';
import { type Config, readConfig } from '../../../host/config/config.ts';
import type { LogLevel } from '../../../host/log/levels.ts';
import { Logs } from '../../../host/log/log.ts';

const folder = mkdtempSync(join(tmpdir(), 'ekho-reload-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'ekho.toml');
const token = (name: string) => `[api.token.${name}]\nrole = "read"\nsha256 = "${'a'.repeat(64)}"\n`;

function started(
  text: string,
  logLevel?: LogLevel,
): { config: Config; reread: (text: string) => string; logs: Logs } {
  writeFileSync(file, text);
  const config = readConfig(file);
  const logs = Logs.toLines(() => {}, { ...config.log, ...(logLevel && { level: logLevel }) });
  const access = new Access(config.api.tokens);
  const shared = { access, identity: undefined, network: undefined, logs, logLevel };
  const reread = (again: string) => {
    writeFileSync(file, again);
    return reload(config, shared);
  };
  return { config, reread, logs };
}

/** By what is told of it: a file that has it otherwise than the defaults. */
const LATER: readonly (readonly [name: string, text: string])[] = [
  ['mirror', '[mirror]\nreceive-buffer = 65536\n'],
  ['plugins', '[plugins]\nsignatures = "off"\n'],
  ['plugin', '[plugin.softnic]\ndevice = "asic0"\npriority = 7\n[device.asic0]\nkind = "asic"\n'],
  [
    'device',
    '[plugin.softnic]\ndevice = "asic0"\n[device.asic0]\nkind = "asic"\n[device.asic0.tables]\nlpm4 = 64\n',
  ],
  ['planner', '[planner]\nxfrm = "ignore"\n'],
  ['notifier', '[notifier]\nenabled = "off"\n'],
  ['firmware', '[firmware]\nenabled = "auto"\n'],
  ['source', '[source]\ntype = "remote"\nservers = ["nats://127.0.0.1"]\nbucket = "b"\n'],
  ['publish', '[publish]\nservers = ["nats://127.0.0.1"]\n'],
  ['statistics', '[statistics]\ninterval = 3\n'],
  ['tracing', '[tracing]\nendpoint = "http://127.0.0.1:4318/v1/traces"\n'],
  ['offload', '[[offload]]\nkind = "xdp:meter"\nfields = { name = "x" }\n'],
  ['offloads', '[offloads]\nstate = "offloads.json"\n'],
  ['log.format', '[log]\nformat = "json"\n'],
  ['api.tls', '[api.tls]\ncert = "a.pem"\nkey = "a.key"\n'],
  ['api.listen', '[api]\nlisten = "127.0.0.1:9"\n'],
  ['api.socket', '[api]\nsocket = "other.sock"\n'],
  ['api.socket-group', '[api]\nsocket-group = "0"\n'],
  ['api.read-group', '[api]\nread-group = "0"\n'],
];

describe('what takes effect with the next start', () => {
  it.each(LATER)('is %s, when it comes and when it goes', (name, text) => {
    const told = `configuration read again: 0 tokens; for what changed in ${name} start the host again`;
    expect(started('').reread(text)).toBe(told);
    expect(started(text).reread('')).toBe(told);
    expect(started(text).reread(`# other words\n${text}`)).toBe('configuration read again: 0 tokens');
  });

  it('is told together', () => {
    // Of a mirror that another host publishes, the rest has no say.
    const text = LATER.filter(([name]) => !/^(api|source|plugin$)/.test(name))
      .map(([, text]) => text)
      .join('');
    expect(started('').reread(text)).toMatch(
      /in mirror, plugins, device, planner, notifier, .*offloads, log\.format start/,
    );
  });

  it('is every section but those of the API and the log, which have parts of both kinds', () => {
    const { api: _api, log: _log, file: _file, ...sections } = started('').config;
    const named = new Set(LATER.flatMap(([name]) => name.split(', ')));
    expect(Object.keys(sections).filter((name) => !named.has(name))).toEqual([]);
  });
});

it('tokens and levels of the log take effect at once, and again when they go', () => {
  const { reread, logs } = started('');
  expect(reread(`${token('a')}${token('b')}[log]\nlevel = "debug"\n`)).toBe(
    'configuration read again: 2 tokens',
  );
  expect(logs.levels.level).toBe('debug');
  expect(reread(token('a'))).toBe('configuration read again: 1 tokens');
});

it('a level of the log that was read again is taken back by reading again', () => {
  const { reread, logs } = started('[log]\nlevel = "info"\n');
  const levels = () => [logs.levels.level, logs.levels.components.api];
  reread('[log]\nlevel = "debug"\nlevels.api = "trace"\n');
  expect(levels()).toEqual(['debug', 'trace']);
  reread('[log]\nlevel = "info"\n');
  expect(levels()).toEqual(['info', 'info']);
  // What was set by hand stays while the file says what it said.
  logs.setLevel('warn');
  reread('[log]\nlevel = "info"\n# other words\n');
  expect(levels()).toEqual(['warn', 'warn']);
});

it('a level that the command was given is not overridden', () => {
  const { reread, logs } = started('', 'warn');
  reread('[log]\nlevel = "debug"\nlevels.api = "trace"\n');
  expect([logs.levels.level, logs.levels.components.api]).toEqual(['warn', 'trace']);
});

it('a file that is wrong changes nothing', () => {
  const { reread, logs } = started('[log]\nlevel = "warn"\n');
  expect(() => reread('[log]\nlevel = "debug"\nlevle = 1\n')).toThrow(/levle/);
  expect(logs.levels.level).toBe('warn');
});
