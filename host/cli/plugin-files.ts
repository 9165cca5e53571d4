/** The commands for a plugin's file, which need no host: inspect, sign, verify, keygen. */
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { EkhoError } from '../errors.ts';
import type { Inspection } from '../plugin/inspect.ts';
import type { PublicKey, Trust } from '../plugin/signature.ts';
import { bytes, count, plain, print, table } from './output.ts';

type AddCommand = (parent: Command, name: string, description: string) => Command;

/** Bytes of a key's file. */
const KEY_MAX = 4096;

interface KeyOptions {
  /** Files of public keys, or keys. */
  readonly key?: readonly string[];
  readonly config?: string;
}

/** Adds them to `ekho plugin`. */
export function addPluginFileCommands(plugin: Command, command: AddCommand): void {
  const withKeys = (target: Command) =>
    target
      .option('-k, --key <key...>', 'a trusted public key, or its file')
      .option('-c, --config <file>', 'trust the keys of this configuration');

  withKeys(command(plugin, 'inspect', 'what a plugin’s file is made of and would need'))
    .argument('<file>')
    .option('--json', 'print JSON')
    .action(async (file: string, options: KeyOptions & { json?: boolean }) => {
      const { inspectPlugin } = await import('../plugin/inspect.ts');
      const found = await inspectPlugin(file, await keysOf(options));
      if (found.refused) process.exitCode = 1;
      if (options.json) await print(`${JSON.stringify(found, null, 2)}\n`);
      else await print(inspectionText(found));
    });

  command(plugin, 'keygen', 'make a key to sign plugins with')
    .argument('<name>', 'NAME.key is the secret key, NAME.pub the public one')
    .action(async (name: string) => {
      const { generateKeys } = await import('../plugin/signature.ts');
      const { id, publicText, secretText } = generateKeys();
      write(`${name}.key`, secretText, 0o600);
      try {
        write(`${name}.pub`, publicText, 0o644);
      } catch (error) {
        // A secret key that nobody knows the other half of.
        rmSync(`${name}.key`);
        throw error;
      }
      await print(`key ${id}: ${name}.key (keep it to yourself), ${name}.pub\n`);
    });

  command(plugin, 'sign', 'sign a plugin’s file; the signature is put beside it')
    .argument('<file>')
    .requiredOption('-s, --secret <file>', 'the secret key')
    .option('-m, --comment <text>', 'a line that is signed, too', '')
    .action(async (file: string, { secret, comment }: { secret: string; comment: string }) => {
      const { signFile } = await import('../plugin/signature.ts');
      const { FILE_MAX_DEFAULT, signatureFileOf } = await import('../plugin/load.ts');
      const key = (await read(secret, KEY_MAX)).toString('utf8');
      const text = signFile(await read(file, FILE_MAX_DEFAULT), key, comment);
      replace(signatureFileOf(file), text);
      await print(`${plain(signatureFileOf(file))}\n`);
    });

  withKeys(command(plugin, 'verify', 'hold a plugin’s file to its signature'))
    .argument('<file>')
    .action(async (file: string, options: KeyOptions) => {
      const { verifyFile } = await import('../plugin/signature.ts');
      const { FILE_MAX_DEFAULT, readSignature, signatureFileOf } = await import('../plugin/load.ts');
      const keys = await keysOf(options);
      const trust = verifyFile(await read(file, FILE_MAX_DEFAULT), await readSignature(file), keys);
      if (trust.trust !== 'trusted') process.exitCode = 1;
      const hint =
        trust.trust === 'unsigned'
          ? `: there is no ${plain(signatureFileOf(file))}`
          : trust.trust === 'unknown-key' && keys.length === 0
            ? ': no key was given, use --key or --config'
            : '';
      await print(`${plain(file)}: ${trustText(trust)}${hint}\n`);
    });
}

async function keysOf({ key = [], config }: KeyOptions): Promise<PublicKey[]> {
  const { parsePublicKey } = await import('../plugin/signature.ts');
  const keys: PublicKey[] = [];
  for (const one of key)
    keys.push(parsePublicKey(existsSync(one) ? (await read(one, KEY_MAX)).toString('utf8') : one));
  if (config === undefined) return keys;
  const { readConfig } = await import('../config/config.ts');
  return [...keys, ...readConfig(config).plugins.trustedKeys];
}

function trustText(trust: Trust): string {
  if (trust.trust === 'unsigned') return 'not signed';
  if (trust.trust === 'unknown-key') return `signed by key ${trust.key}, which is not trusted`;
  return `signed by trusted key ${trust.key}${trust.comment === '' ? '' : `: ${plain(trust.comment)}`}`;
}

function inspectionText(found: Inspection): string {
  const { manifest, refused, counts, limits } = found;
  const rows = [
    ['file', `${plain(found.file)}, ${bytes(found.bytes)}`],
    ['sha256', found.sha256],
    ['signature', trustText(found.signature)],
    ...(manifest === undefined
      ? []
      : Object.entries(manifest).map(([name, value]) => [name, plain([value].flat().join(', '))])),
    ...found.imports.map((name) => ['imports', plain(name)]),
    ...found.exports.map((name) => ['exports', plain(name)]),
    ...Object.entries(counts).map(([name, value]) => [
      name,
      `${count(value)} of ${count(limits[name as keyof typeof limits])}`,
    ]),
    ['needs', found.needs.map((kind) => `a device of kind ${kind}`).join(', ') || 'no device'],
    ['loads', refused === undefined ? 'yes' : `no: ${plain(refused.message)}`],
  ];
  const remedy = refused?.remedy === undefined ? '' : `\n${plain(refused.remedy)}\n`;
  return table(['WHAT', 'IS'], rows as string[][]) + remedy;
}

async function read(file: string, max: number): Promise<Buffer> {
  const { readLimited } = await import('../plugin/load.ts');
  try {
    return Buffer.from(await readLimited(file, max));
  } catch (error) {
    if (!(error instanceof EkhoError)) throw error;
    throw new EkhoError('E_USAGE', plain(error.message), {
      remedy: 'Name a regular file that you may read.',
      cause: error,
    });
  }
}

/** Whoever reads it meanwhile, as a host does, sees what was there or all of what is new. */
function replace(file: string, text: string): void {
  const making = `${file}.${process.pid}`;
  try {
    writeFileSync(making, text, { flag: 'wx' });
    renameSync(making, file);
  } catch (error) {
    rmSync(making, { force: true });
    throw new EkhoError(
      'E_USAGE',
      `${plain(file)}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`,
      {
        remedy: 'Sign it in a folder that you may write to.',
        cause: error,
      },
    );
  }
}

/** Keys are not written over. */
function write(file: string, text: string, mode: number): void {
  try {
    writeFileSync(file, text, { mode, flag: 'wx' });
  } catch (error) {
    throw new EkhoError('E_USAGE', `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      remedy: 'Choose a name whose files are not there yet, in a folder you may write to.',
      cause: error,
    });
  }
}
