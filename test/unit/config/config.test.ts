/** The configuration file: defaults, and errors that name file, line, key and remedy. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { parse, stringify } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { defaultConfig, parseConfig, ROOT } from '../../../host/config/config.ts';
import { document } from '../../../host/config/document.ts';
import { locateKeys } from '../../../host/config/locate.ts';
import { matchPorts } from '../../../host/config/ports.ts';
import { EkhoError } from '../../../host/errors.ts';
import { KERNEL_KINDS } from '../../../host/mirror/types.ts';

function problems(text: string): string[] {
  try {
    parseConfig(text, 'ekho.toml');
  } catch (error) {
    expect(error).toBeInstanceOf(EkhoError);
    expect((error as EkhoError).code).toBe('E_CONFIG');
    return (error as EkhoError).message.split('\n');
  }
  return [];
}

describe('a configuration file', () => {
  it('needs not exist: softnic holds asic0', () => {
    const config = defaultConfig();
    expect(config.plugin.map(({ name, device }) => [name, device])).toEqual([['softnic', 'asic0']]);
    expect(config.device.map(({ name, kind }) => [name, kind])).toEqual([['asic0', 'asic']]);
    expect(config.planner.netfilter).toBe('trap');
    expect(config.notifier).toEqual({ enabled: 'auto', ringSize: 4_194_304 });
    expect(config.api.listen).toEqual({ address: '127.0.0.1', port: 8642 });
  });

  it('fills in the rest and makes paths absolute', () => {
    const config = parseConfig(
      '[plugin.a]\ndevice="d"\ndevice-calls=5000\nports=["swp*"]\nsettings={ mode="fast", n=3, on=true }\n[plugin.b]\nenabled=false\n[device.d]\nkind="asic"\nstate="d.state"\ntables={ lpm4=1000 }\n[plugins]\nfolder="p"\nstate="s"\n[mirror]\nreceive-buffer=65536\n[api]\nlisten="off"',
      '/etc/ekho/ekho.toml',
    );
    expect(config.plugin).toEqual([
      {
        name: 'a',
        device: 'd',
        ports: ['swp*'],
        priority: 100,
        deviceCalls: 5000,
        onDisable: 'clear',
        onStop: 'keep',
        settings: [
          { name: 'mode', value: 'fast' },
          { name: 'n', value: '3' },
          { name: 'on', value: 'true' },
        ],
      },
    ]);
    expect(config.device).toEqual([
      { name: 'd', kind: 'asic', state: '/etc/ekho/d.state', tables: { lpm4: 1000 } },
    ]);
    expect(config.plugins).toMatchObject({ folder: '/etc/ekho/p', state: '/etc/ekho/s' });
    expect(config.mirror.receiveBuffer).toBe(65_536);
    expect(config.api.listen).toBeUndefined();
  });

  it.each([
    ['[mirror]\nnetnz = "x"', 'ekho.toml:2: mirror.netnz: unknown key; did you mean netns?'],
    [
      '[notifier]\nenabled = "auto"\nring-size = 5000',
      'ekho.toml:3: notifier.ring-size: 5000 is not a power of two',
    ],
    ['notifier.enabled = true', 'ekho.toml:1: notifier.enabled: expected auto, on or off, got true'],
    [
      '# sizes\n[device.asic0]\nkind = "asic"\n\n[device.asic0.tables]\nlpm4 = "x"',
      'ekho.toml:6: device.asic0.tables.lpm4: expected 1–2,097,152, got "x"',
    ],
    [
      'device.asic0.kind = "asic"\ndevice.asic0.tables = { lpm6 = 1,\n  lpm4 = 0 }',
      'ekho.toml:3: device.asic0.tables.lpm4: expected 1–2,097,152, got 0',
    ],
    [
      '[mirror]\nkinds = [\n  "link", # first\n  """route""",\n  "rout",\n]',
      'ekho.toml:5: mirror.kinds.2: expected link, netconf, address, neighbour, fdb, mdb, vlan, nexthop, rule, route, qdisc, class, chain, filter, action, xfrm-default, xfrm-policy, nft-table, nft-chain, nft-rule, nft-flowtable or flow, got "rout"; did you mean route?',
    ],
    ['[device.x]', 'ekho.toml:1: device.x.kind: is missing, expected asic, tables or rtnetlink'],
    [
      '[plugin.a]\ndevice = "asic1"\n[device.asic2]\nkind = "asic"',
      'ekho.toml:2: plugin.a.device: there is no [device.asic1]; did you mean asic2?',
    ],
    [
      '[plugin.a]\ndevice = "asic0"\nports = ["p0"]\n[plugin.b]\ndevice = "asic0"\nports = ["p1"]',
      'ekho.toml:5: plugin.b.device: "asic0" is granted to plugin a already; a device has one plugin',
    ],
    [
      '[plugin."A b"]',
      'ekho.toml:1: plugin."A b": is not a name: use 1-64 of a-z, 0-9, - and _, first a letter or digit',
    ],
    [
      '[api]\nlisten = "0.0.0.0:80"',
      'ekho.toml:2: api.listen: 0.0.0.0 can be reached from other machines and needs [api.tls]',
    ],
    [
      '[api]\nlisten = "localhost:80"',
      'ekho.toml:2: api.listen: expected ADDRESS:PORT, [ADDRESS]:PORT or off, got "localhost:80"',
    ],
    [
      '[api.tls]\ncert = "a"\nkey = "b"\noperators = ["x"]',
      'ekho.toml:4: api.tls.operators: are names in client certificates, and need client-ca',
    ],
    [
      '[api.token.a]\nrole = "read"\nsha256 = "secret"',
      'ekho.toml:3: api.token.a.sha256: expected 64 of 0-9 and a-f',
    ],
    [
      '[plugin.a]\n[plugin.a.settings]\nkey = ["secret"]',
      'ekho.toml:3: plugin.a.settings.key: expected text or a number or true or false',
    ],
    [
      '[tracing]\nendpoint = "http://127.0.0.1:4318/v1/traces?api-key=secret"',
      'ekho.toml:2: tracing.endpoint: expected http://HOST:PORT/PATH or https://HOST:PORT/PATH',
    ],
    [
      '[publish]\nservers = ["nats://me:secret@127.0.0.1"]',
      'ekho.toml:2: publish.servers.0: expected nats://HOST:PORT or tls://HOST:PORT, got one with a user in it',
    ],
    [
      '[[offload]]\nkind = "meter"\nfields = {}',
      'ekho.toml:2: offload.0.kind: expected VENDOR:KIND in small letters, got "meter"',
    ],
    [
      '[plugin.a]\ndevice = "a"\nports = ["p0"]\n[plugin.b]\ndevice = "b"\n[device.a]\nkind = "asic"\n[device.b]\nkind = "asic"',
      'ekho.toml:4: plugin.b: needs ports: there is more than one plugin with a device',
    ],
    [
      '[mirror]\nnetns = "edge"\nkinds = ["link", "address", "route", "neighbour", "nexthop", "rule", "netconf"]',
      'ekho.toml:3: mirror.kinds: leaves out qdisc, chain, filter, xfrm-default, xfrm-policy, nft-table, nft-chain, nft-rule, without which plugins would forward what the kernel does not; add them or, for a host that only mirrors, set [plugin.softnic] enabled = false',
    ],
    [
      '[plugin.a]\n[plugin.b]\nenabled = false\n[plugin.c]\n[mirror]\ntables = [254, 255]',
      'ekho.toml:6: mirror.tables: leaves out tables that the kernel may route by, and plugins would not; leave it out or, for a host that only mirrors, set [plugin.a] enabled = false and set [plugin.c] enabled = false',
    ],
    [
      '[source]\ntype = "remote"\nservers = ["nats://127.0.0.1:4222"]',
      'ekho.toml:1: source.bucket: is missing: a remote source needs it',
    ],
    [
      '[mirror]\nnetns = "edge"\n[source]\ntype = "remote"\nbucket = "edge"\nservers = ["nats://127.0.0.1:4222"]',
      'ekho.toml:2: mirror.netns: says nothing of a remote source; leave it out',
    ],
    [
      '[publish]\nservers = ["http://127.0.0.1"]',
      'ekho.toml:2: publish.servers.0: expected nats://HOST:PORT or tls://HOST:PORT, got "http://127.0.0.1"',
    ],
    [
      '[publish]\nservers = ["tls://nats.example"]\ncert = "host.pem"',
      'ekho.toml:3: publish.cert: cert and key belong together',
    ],
    [
      '[device.dpu]\nkind = "rtnetlink"\nnetns = "dpu"\n[device.dpu.links.eth0]\nlink = "r0"\ntable = 10',
      'ekho.toml:4: device.dpu.links.eth0: table needs via, and gateway or gateway6',
    ],
    [
      '[device.asic0]\nkind = "asic"\nmetric = 5',
      'ekho.toml:3: device.asic0.metric: is for `kind = "rtnetlink"` alone',
    ],
    ['[mirror]\nnetns = ', /^ekho\.toml:2:\d+: /],
  ])('%j is refused with file, line and key', (text, message) => {
    const [first] = problems(text);
    if (typeof message === 'string') expect(first).toBe(message);
    else expect(first).toMatch(message);
  });

  it('reports every problem, in the order of the file', () => {
    const text = Array.from({ length: 40 }, (_, n) => `[device.d${n}]\nkind = "asic"\nx = 1`).join('\n');
    expect(problems(text).map((line) => Number(line.split(':')[1]))).toEqual(
      Array.from({ length: 40 }, (_, n) => n * 3 + 3),
    );
  });

  it('is documented as it is checked', () => {
    expect(readFileSync(join(ROOT, 'docs/config.md'), 'utf8')).toBe(document());
  });
});

it('finds the line of every key of any file', () => {
  const key = fc.stringMatching(/^[a-z0-9_-]{1,6}$/);
  const text = fc.stringMatching(/^[a-z #="'\\[\]{},.\n]{0,12}$/);
  const leaf = fc.oneof(
    text,
    fc.integer({ min: -999, max: 999 }),
    fc.boolean(),
    fc.array(text, { maxLength: 3 }),
  );
  const inner = fc.dictionary(
    key,
    fc.oneof(leaf, fc.dictionary(key, leaf, { maxKeys: 3, noNullPrototype: true })),
    {
      maxKeys: 4,
      noNullPrototype: true,
    },
  );
  fc.assert(
    fc.property(fc.dictionary(key, inner, { maxKeys: 4, noNullPrototype: true }), (value) => {
      const toml = stringify(value);
      const lines = toml.split('\n');
      const found = locateKeys(toml);
      const check = (node: unknown, path: string[]): void => {
        if (path.length > 0) {
          const line = found.get(path.join('\0'));
          expect(line, path.join('.')).toBeDefined();
          expect(lines[line! - 1]).toContain(path.at(-1));
        }
        if (typeof node !== 'object' || node === null || Array.isArray(node)) return;
        for (const [name, item] of Object.entries(node)) check(item, [...path, name]);
      };
      check(parse(toml), []);
    }),
    { numRuns: 500, verbose: 1 },
  );
});

it('mirrors some kinds and tables where no plugin could go by them', () => {
  const some = '[mirror]\nkinds = ["link", "route"]\ntables = [254]\n[plugin.softnic]\nenabled = false';
  const { mirror, plugin } = parseConfig(some, 'ekho.toml');
  expect(plugin).toEqual([]);
  expect(mirror.kinds).toEqual(['link', 'route']);
  expect(mirror.tables).toEqual([254]);
  // Nothing that hardware would forward against the kernel for want of it.
  const optional = ['fdb', 'mdb', 'vlan', 'class', 'action', 'nft-flowtable', 'flow'];
  const kinds = KERNEL_KINDS.filter((kind) => !optional.includes(kind));
  expect(parseConfig(`mirror.kinds = ${JSON.stringify(kinds)}`, 'ekho.toml').plugin).toHaveLength(1);
});

describe('port patterns', () => {
  it.each([
    [
      ['eth*', '!eth0'],
      ['eth1', 'eth10'],
      ['eth0', 'lo'],
    ],
    [['!eth0'], ['eth1', 'lo'], ['eth0']],
    [['swp?'], ['swp1'], ['swp10', 'swp']],
    [['a.b+c'], ['a.b+c'], ['axb+c', 'a.bbc']],
  ])('%j', (patterns, meant, others) => {
    const match = matchPorts(patterns);
    expect(meant.filter(match)).toEqual(meant);
    expect(others.filter(match)).toEqual([]);
  });

  it('with many stars do not take long', () => {
    const match = matchPorts(['*a*a*a*a*b']);
    const started = performance.now();
    expect(match('a'.repeat(60))).toBe(false);
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});
