/** What the demo needs of the machine, looked at before anything is made. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { OBJECT } from '../device/tables/device.ts';
import { EkhoError } from '../errors.ts';

/** Commands that it calls, and the Debian package of each. */
const COMMANDS = { ip: 'iproute2', tc: 'iproute2', ping: 'iputils-ping' } as const;

/** @throws EkhoError E_DEMO that names all that is missing, with the Debian packages */
export function checkNeeds(path = process.env.PATH ?? '', object = OBJECT): void {
  const folders = path.split(delimiter).filter(Boolean);
  const missing = Object.entries(COMMANDS).filter(
    ([command]) => !folders.some((folder) => existsSync(join(folder, command))),
  );
  const things = missing.map(([command]) => `the command ${command}`);
  const packages = new Set<string>(missing.map(([, name]) => name));
  if (!existsSync(object)) {
    things.push('the XDP data path, which is built where there are clang and libbpf’s headers');
    for (const name of ['clang', 'libbpf-dev']) packages.add(name);
  }
  if (things.length === 0) return;
  throw new EkhoError('E_DEMO', `the demo lacks ${things.join('; ')}`, {
    remedy: `On Debian: apt install ${[...packages].join(' ')}; then start it again.`,
  });
}
