/** `ekho token`: makes a token for TCP that outlives the host; the host is given its hash alone. */
import { createHash, randomBytes } from 'node:crypto';
import { EkhoError } from '../errors.ts';
import { print } from './output.ts';

export async function token(name: string, { role }: { role: 'read' | 'operate' }): Promise<void> {
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(name)) {
    throw new EkhoError('E_USAGE', `"${name}" is not a name for a token`, {
      remedy: 'Use 1-64 of a-z, 0-9, - and _, first a letter or digit.',
    });
  }
  const text = randomBytes(24).toString('base64url');
  const sha256 = createHash('sha256').update(text).digest('hex');
  const section = `[api.token.${name}]\nrole = "${role}"\nsha256 = "${sha256}"\n`;
  await print(
    `token, shown this once: ${text}\n\nFor the configuration file; a running host takes it on SIGHUP:\n\n${section}`,
  );
}
