/**
 * Signatures of plugins, in the format of minisign(1): Ed25519 over the BLAKE2b-512 of the file, in a text file beside it. Keys
 * are public keys of minisign; what signs here is a PKCS #8 file.
 */

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { EkhoError } from '../errors.ts';

/** Two letters that name the algorithm: of a key, of a signature over the file's hash, and of one over the file itself. */
const ALGORITHM = { key: 'Ed', hashed: 'ED', whole: 'Ed' } as const;
const KEY_ID_SIZE = 8;
const KEY_SIZE = 32;
const SIGNATURE_SIZE = 64;
/** Characters of a signature file: four short lines. */
export const SIGNATURE_TEXT_MAX = 4096;
/** RFC 8410: SubjectPublicKeyInfo of an Ed25519 key, up to the key. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

const UNTRUSTED = 'untrusted comment: ';
const TRUSTED = 'trusted comment: ';

export interface PublicKey {
  /** As minisign prints it, sixteen hexadecimal digits. */
  readonly id: string;
  /** The base64 line of its file. */
  readonly text: string;
  readonly key: KeyObject;
}

/** What a signature says of a file. */
export type Trust =
  | { readonly trust: 'trusted'; readonly key: string; readonly comment: string }
  /** Signed, by a key that is not among those trusted. */
  | { readonly trust: 'unknown-key'; readonly key: string }
  | { readonly trust: 'unsigned' };

/** `require`: what no trusted key signed is refused. `prefer`: it runs isolated. `off`: signatures are not looked at. */
export type SignaturePolicy = 'require' | 'prefer' | 'off';

function invalid(what: string, remedy?: string): EkhoError {
  return new EkhoError('E_SIGNATURE', what, {
    operation: 'verify',
    ...(remedy !== undefined && { remedy }),
  });
}

function idText(id: Buffer): string {
  return Buffer.from(id).reverse().toString('hex').toUpperCase();
}

/** A `.pub` file of minisign, or its second line alone. @throws EkhoError E_SIGNATURE */
export function parsePublicKey(text: string): PublicKey {
  const line = text.trim().split('\n').at(-1)!.trim();
  const bytes = Buffer.from(line, 'base64');
  if (
    bytes.length !== 2 + KEY_ID_SIZE + KEY_SIZE ||
    bytes.toString('latin1', 0, 2) !== ALGORITHM.key ||
    bytes.toString('base64') !== line
  )
    throw invalid(
      `${JSON.stringify(line.slice(0, 60))} is not a public key`,
      'Use the second line of a .pub file, which begins with RW.',
    );
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, bytes.subarray(2 + KEY_ID_SIZE)]),
    format: 'der',
    type: 'spki',
  });
  return { id: idText(bytes.subarray(2, 2 + KEY_ID_SIZE)), text: line, key };
}

export interface KeyPair {
  readonly id: string;
  /** Text of the public key's file. */
  readonly publicText: string;
  /** PKCS #8 in PEM: keep it to yourself. */
  readonly secretText: string;
}

export function generateKeys(): KeyPair {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { line, id } = publicLine(privateKey);
  return {
    id,
    publicText: `${UNTRUSTED}public key ${id} of EKHO plugins\n${line}\n`,
    secretText: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
  };
}

function publicLine(secret: KeyObject): { line: string; id: string; keyId: Buffer } {
  const raw = createPublicKey(secret).export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length);
  // minisign's are random; made from the key, there is nothing to keep beside it.
  const keyId = createHash('blake2b512').update(raw).digest().subarray(0, KEY_ID_SIZE);
  const line = Buffer.concat([Buffer.from(ALGORITHM.key), keyId, raw]).toString('base64');
  return { line, id: idText(keyId), keyId };
}

/**
 * Text of a signature file. `comment` is signed, too, and must be one line.
 *
 * @throws EkhoError E_SIGNATURE when the secret key is none
 */
export function signFile(file: Uint8Array, secretText: string, comment: string): string {
  let secret: KeyObject;
  try {
    secret = createPrivateKey(secretText);
  } catch (cause) {
    throw new EkhoError('E_SIGNATURE', 'the secret key cannot be read', {
      remedy: 'Make one with `ekho plugin keygen`.',
      cause,
    });
  }
  if (secret.asymmetricKeyType !== 'ed25519') throw invalid('the secret key is not an Ed25519 key');
  if (/[\r\n]/.test(comment)) throw invalid('the comment is longer than one line');
  const { keyId, id } = publicLine(secret);
  const signature = signBytes(null, createHash('blake2b512').update(file).digest(), secret);
  const global = signBytes(null, Buffer.concat([signature, Buffer.from(comment)]), secret);
  const line = Buffer.concat([Buffer.from(ALGORITHM.hashed), keyId, signature]).toString('base64');
  return `${UNTRUSTED}signature by key ${id}\n${line}\n${TRUSTED}${comment}\n${global.toString('base64')}\n`;
}

/**
 * Holds a file to its signature.
 *
 * @param signature text of the file beside it, undefined when there is none
 * @throws EkhoError E_SIGNATURE when the signature is none, or is one of a trusted key and not of this file
 */
export function verifyFile(
  file: Uint8Array,
  signature: string | undefined,
  keys: readonly PublicKey[],
): Trust {
  if (signature === undefined) return { trust: 'unsigned' };
  const lines = signature.split(/\r?\n/);
  const bytes = Buffer.from(lines[1] ?? '', 'base64');
  const algorithm = bytes.toString('latin1', 0, 2);
  if (
    signature.length > SIGNATURE_TEXT_MAX ||
    bytes.length !== 2 + KEY_ID_SIZE + SIGNATURE_SIZE ||
    (algorithm !== ALGORITHM.hashed && algorithm !== ALGORITHM.whole) ||
    !lines[2]?.startsWith(TRUSTED)
  )
    throw invalid('its signature is not one of minisign’s format', 'Sign it again, or remove the signature.');
  const id = idText(bytes.subarray(2, 2 + KEY_ID_SIZE));
  const trusted = keys.filter((key) => key.id === id);
  if (trusted.length === 0) return { trust: 'unknown-key', key: id };
  const value = bytes.subarray(2 + KEY_ID_SIZE);
  const comment = lines[2].slice(TRUSTED.length);
  const message = algorithm === ALGORITHM.hashed ? createHash('blake2b512').update(file).digest() : file;
  const whole = Buffer.concat([value, Buffer.from(comment)]);
  const global = Buffer.from(lines[3] ?? '', 'base64');
  for (const { key } of trusted)
    if (verifyBytes(null, message, key, value) && verifyBytes(null, whole, key, global))
      return { trust: 'trusted', key: id, comment };
  throw invalid(
    `its signature by key ${id} is not of this file`,
    'Get file and signature again from the vendor; one of them was changed.',
  );
}

/** @throws EkhoError E_SIGNATURE when the policy does not let it run */
export function enforce(trust: Trust, policy: SignaturePolicy): void {
  if (policy !== 'require' || trust.trust === 'trusted') return;
  throw invalid(
    trust.trust === 'unsigned'
      ? 'it is not signed'
      : `it is signed by key ${trust.key}, which is not trusted`,
    'Add the vendor’s public key to trusted-keys under [plugins], or set signatures = "prefer" there.',
  );
}
