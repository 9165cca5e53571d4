/** `ekho run --publish` and `--source`: what they make of a configuration, and what they refuse. */
import { expect, test } from 'vitest';
import { defaultConfig, parseConfig } from '../../../host/config/config.ts';
import { withRemote } from '../../../host/config/remote-options.ts';

const PUBLISHING = `[publish]
servers = ["tls://one:4222"]
bucket = "edge"
lease = 3
ca = "/etc/ca.pem"
[plugin.softnic]
device = "asic0"
`;

test('without a file, a host that publishes has no plugin, and one that reads has the usual', () => {
  const publishing = withRemote(defaultConfig(), { publish: 'nats://nats.example:4222/edge-1' });
  expect(publishing.publish).toMatchObject({
    servers: ['nats://nats.example:4222'],
    bucket: 'edge-1',
    lease: 10,
  });
  expect([publishing.plugin, publishing.device, publishing.source]).toEqual([[], [], undefined]);
  expect(withRemote(defaultConfig(), { publish: 'nats://nats.example' }).publish?.bucket).toMatch(/^ekho_/);

  const reading = withRemote(defaultConfig(), { source: 'nats://nats.example/edge-1' });
  expect(reading.source).toMatchObject({ servers: ['nats://nats.example'], bucket: 'edge-1' });
  expect(reading.plugin).toEqual(defaultConfig().plugin);
  expect(withRemote(defaultConfig(), {})).toEqual(defaultConfig());
});

test('with a file, server and bucket are the option’s, and all else the file’s', () => {
  const file = parseConfig(PUBLISHING, '/etc/ekho.toml');
  const both = withRemote(file, { publish: 'tls://two:4222/core' });
  expect(both.publish).toMatchObject({
    servers: ['tls://two:4222'],
    bucket: 'core',
    lease: 3,
    ca: '/etc/ca.pem',
  });
  expect(both.plugin).toEqual(file.plugin);
  expect(withRemote(file, { publish: 'tls://two:4222' }).publish?.bucket).toBe('edge');
});

test.each([
  [{ publish: 'http://nats.example' }, 'E_CONFIG', /--publish:2: publish\.servers/],
  [{ publish: 'nats://nats.example/a/b' }, 'E_CONFIG', /--publish:3: publish\.bucket/],
  [{ source: 'nats://nats.example' }, 'E_CONFIG', /source\.bucket: is missing/],
  [{ publish: 'nats://a/b', source: 'nats://a/c' }, 'E_USAGE', /published already/],
] as const)('%j is refused', (options, code, message) => {
  expect(() => withRemote(defaultConfig(), options)).toThrow(expect.objectContaining({ code }));
  expect(() => withRemote(defaultConfig(), options)).toThrow(message);
});

test('a source does not go with a file that publishes', () => {
  expect(() => withRemote(parseConfig(PUBLISHING, '/etc/ekho.toml'), { source: 'nats://a/b' })).toThrow(
    /published already/,
  );
});
