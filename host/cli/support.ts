/** `ekho support`: what somebody who helps from afar needs to know of a host, in one file, without secrets. */
import { writeFileSync } from 'node:fs';
import { arch, hostname, release } from 'node:os';
import { gzipSync } from 'node:zlib';
import type { ObjectsPage, PluginDetails, Status } from '../api/schemas.ts';
import { EkhoError } from '../errors.ts';
import { VERSION } from '../version.ts';
import type { Client } from './client.ts';
import { bytes, print } from './output.ts';

/** Objects of each kind, and of those again the ones that are not in hardware. */
const OBJECTS = 500;
/** States of what is not in hardware. */
const STATES = ['pending', 'trapped', 'refused', 'failed'] as const;
/** Answers that are taken as they are. */
const ANSWERS = ['stats', 'devices', 'doctor', 'series', 'audit', 'config'] as const;

export async function support(client: Client, file: string | undefined): Promise<void> {
  const made = new Date().toISOString();
  const get = <T>(path: string): Promise<T | { readonly error: string }> =>
    client.get<T>(`/api/v1/${path}`).catch((error: Error) => ({ error: error.message }));
  // Without a host there is nothing to tell: this one fails.
  const status = await client.get<Status>('/api/v1/status');
  const bundle: Record<string, unknown> = {
    made,
    machine: {
      host: hostname(),
      kernel: release(),
      architecture: arch(),
      command: VERSION,
      node: process.version,
    },
    status,
  };
  for (const name of ANSWERS) bundle[name] = await get(name);
  bundle.plugins = await pluginsOf(status, get);
  bundle.objects = await objectsOf(status, get);
  const packed = gzipSync(JSON.stringify(bundle, null, 1));
  const name = file ?? `ekho-support-${hostname()}-${made.replace(/[:.]/g, '-')}.json.gz`;
  try {
    // For its reader's eyes alone, and no other file is written over.
    writeFileSync(name, packed, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new EkhoError('E_USAGE', `${name}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      remedy: 'Name a file that is not there yet, in a folder you may write to.',
      cause: error,
    });
  }
  await print(`${name}, ${bytes(packed.length)}; \`zcat\` shows what is in it: look before you pass it on\n`);
}

type Get = <T>(path: string) => Promise<T | { readonly error: string }>;

async function pluginsOf({ plugins }: Status, get: Get): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const { name } of plugins) {
    const path = `plugins/${encodeURIComponent(name)}`;
    found[name] = { details: await get<PluginDetails>(path), logs: await get(`${path}/logs`) };
  }
  return found;
}

async function objectsOf({ kinds, plugins }: Status, get: Get): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const { kind, count } of kinds) {
    if (count === 0) continue;
    const page = (query: string) => get<ObjectsPage>(`objects/${kind}?limit=${OBJECTS}${query}`);
    const left: Record<string, unknown> = {};
    for (const state of plugins.length === 0 ? [] : STATES) {
      const answer = await page(`&state=${state}`);
      if ('error' in answer || answer.total > 0) left[state] = answer;
    }
    found[kind] = { first: await page(''), ...left };
  }
  return found;
}
