/** Builds the dashboard into build/web when its sources, or the packages it is made of, are newer. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OUTPUT = join(ROOT, 'build/web/index.html');

/** Returns whether it was built. */
export async function buildDashboard() {
  if (existsSync(OUTPUT) && statSync(OUTPUT).mtimeMs >= newest()) return false;
  const { build } = await import('vite');
  await build({ configFile: join(ROOT, 'web/vite.config.ts'), logLevel: 'warn' });
  return true;
}

function newest() {
  const files = readdirSync(join(ROOT, 'web'), { recursive: true }).map((name) => join(ROOT, 'web', name));
  return Math.max(...[...files, join(ROOT, 'package-lock.json')].map((file) => statSync(file).mtimeMs));
}
