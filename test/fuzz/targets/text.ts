/** What people write: the configuration, selectors, addresses, WIT, keys and signatures. */
import { readFileSync } from 'node:fs';
import { parseConfig } from '../../../host/config/config.ts';
import { parseListen } from '../../../host/config/listen.ts';
import { parseSelector } from '../../../host/iproute2/selector.ts';
import { KINDS } from '../../../host/mirror/types.ts';
import { witSource } from '../../../host/plugin/package.ts';
import { generateKeys, parsePublicKey, signFile, verifyFile } from '../../../host/plugin/signature.ts';
import { parseWit } from '../../../host/plugin/wit.ts';
import { parseRecord } from '../../../host/remote/record.ts';
import type { Target } from '../engine.ts';
import { allow } from '../promise.ts';

const text = (input: Uint8Array) => Buffer.from(input).toString('utf8');
const bytes = (words: string) => new Uint8Array(Buffer.from(words));
const CONTEXT = { linkName: () => undefined, link: () => undefined, nexthop: () => undefined };

const page = (name: string) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

export const CONFIG: Target = {
  name: 'config',
  what: 'a configuration file is taken, or refused with E_CONFIG',
  seeds: () => [
    ...[...page('config.md').matchAll(/```toml\n(.*?)```/gs)].map(([, block]) => bytes(block!)),
    bytes(
      '[mirror]\nnetns = "x"\ntables = [254, 255]\n[plugin.a]\ndevice = "d"\nports = ["p*"]\n[device.d]\nkind = "asic"\n',
    ),
    bytes(
      '[api]\nlisten = "[::1]:8642"\n[api.tokens.x]\nhash = "y"\n[log]\nlevel = "warn"\n[source]\nkind = "remote"\n',
    ),
  ],
  words: [
    '[',
    ']',
    '"',
    "'''",
    '"""',
    '=',
    '{',
    '}',
    '__proto__',
    'constructor',
    '[[',
    '\\u0000',
    '.',
    '1e400',
    'nan',
    'inf',
    '0x',
    '1979-05-27',
    '\n',
    'plugin',
    'device',
    'mirror',
  ],
  try: (input) => allow('E_CONFIG', () => parseConfig(text(input), '/etc/ekho/ekho.toml')),
};

export const SELECTOR: Target = {
  name: 'selector',
  what: 'the words of `ekho show` select, or are refused with E_USAGE or E_BAD_ADDRESS',
  seeds: () =>
    [
      'table main via 10.0.0.1 dev eth0',
      '10.0.0.0/8',
      'fe80::1%eth0',
      'vlan 5 mac 02:00:00:00:00:01',
      'id 7',
      'pref 100 from 10.0.0.0/8',
      'master br0 up',
      'inet t chain c',
    ].flatMap((words) =>
      KINDS.map((_, kind) => new Uint8Array(Buffer.concat([Buffer.of(kind), bytes(words)]))),
    ),
  words: [
    'root',
    'via',
    'dev',
    'table',
    'all',
    '::',
    '/',
    '%',
    '0.0.0.0/0',
    'default',
    'proto',
    'metric',
    'exact',
    '-1',
    '4294967296',
    'vrf',
    'match',
  ],
  try([kind = 0, ...rest]) {
    const words = text(Uint8Array.from(rest)).split(/\s+/);
    allow('E_USAGE', () =>
      allow('E_BAD_ADDRESS', () => {
        parseSelector(KINDS[kind % KINDS.length]!, words, CONTEXT)({ header: {} });
      }),
    );
  },
};

export const WIT: Target = {
  name: 'wit',
  what: 'a package of WIT is read, or refused with a SyntaxError',
  seeds: () => [
    bytes(witSource()),
    bytes(
      'package a:b@1.0.0;\ninterface x { record r { a: u8 } f: func(a: list<r>) -> option<string>; }\nworld w { import x; }\n',
    ),
  ],
  words: [
    'package',
    'interface',
    'world',
    'record',
    'enum',
    'flags',
    'variant',
    'list<',
    'option<',
    '>',
    '{',
    '}',
    ';',
    '/*',
    '//',
    '@',
    '->',
    'use',
  ],
  try: (input) => allow('SyntaxError', () => parseWit(new Map([['fuzz.wit', text(input)]]))),
};

const KEYS = generateKeys();
const SIGNED = bytes('what is signed');

export const SIGNATURE: Target = {
  name: 'signature',
  what: 'a key or signature is taken, or refused with E_SIGNATURE; no other signature is the file’s',
  seeds: () => [bytes(signFile(SIGNED, KEYS.secretText, 'comment')), bytes(KEYS.publicText)],
  words: ['untrusted comment: ', 'trusted comment: ', '\n', '=', 'RW', 'RU'],
  try(input) {
    allow('E_SIGNATURE', () => parsePublicKey(text(input)));
    allow('E_SIGNATURE', () => verifyFile(SIGNED, text(input), [parsePublicKey(KEYS.publicText)]));
    // Its base64 may be written in more than one way, but whatever is taken covers this file alone.
    allow('E_SIGNATURE', () => {
      const trust = verifyFile(bytes('another file'), text(input), [parsePublicKey(KEYS.publicText)]);
      if (JSON.stringify(trust).includes('"trusted"')) throw new Error('a signature fits another file');
    });
  },
};

export const LISTEN: Target = {
  name: 'listen',
  what: 'an address to listen on, or what another host says of itself, is read, or not',
  seeds: () => ['127.0.0.1:8642', '[::1]:1', 'off', ':80', '{"format":1,"kinds":{}}'].map(bytes),
  words: ['[', ']', ':', '65536', '::ffff:', '{', '}', '"', '__proto__'],
  try(input) {
    allow('E_CONFIG', () => allow('E_USAGE', () => parseListen(text(input))));
    parseRecord(input);
  },
};
