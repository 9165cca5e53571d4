#!/usr/bin/env node
/** The `ekho` command on whatever Node is installed: goes on under the Node 26 of the npm package `node`. */
import { existsSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';

const MAIN = new URL('./main.ts', import.meta.url);
const bundled = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= 26) {
  // Most of a short command's time is loading it. Never in a folder others can write to: it is code.
  // The variable is for the threads, which look at nothing else.
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../../build/compile-cache', import.meta.url));
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
  const { main } = await import(MAIN.href);
  await main(process.argv.slice(2));
} else if (existsSync(bundled)) {
  const { become } = await import('../../scripts/setup.mjs');
  become(bundled, [fileURLToPath(import.meta.url), ...process.argv.slice(2)]);
} else {
  console.error('ekho: Node 26 is not installed: run `npm start` in the checkout, which installs it.');
  process.exitCode = 1;
}
