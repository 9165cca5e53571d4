/** The conformance suite: loads a plugin as the host does and runs every case on it. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deviceKinds } from '../../../host/device/registry.ts';
import { EkhoError } from '../../../host/errors.ts';
import { type LoadedPlugin, loadPlugin } from '../../../host/plugin/load.ts';
import type { Description } from '../../../host/plugin/runner.ts';
import { CASES_FOLDER, type Case, readCases } from './case.ts';
import { DataPaths } from './data-paths.ts';
import { type CaseResult, runCase } from './run.ts';
import { Subject, type Way } from './subject.ts';

export interface CheckOptions {
  /** A folder with cases of the vendor’s own, run after the suite’s. */
  readonly cases?: string;
  /** Only cases with this in their name. */
  readonly only?: string;
  /** In a worker of this process, or in a process of its own, as the host runs plugins it does not trust. Default: `worker`. */
  readonly isolation?: 'worker' | 'process';
  /** Folder for transpiled plugins. Default: one that is removed afterwards. */
  readonly cache?: string;
  /** Called once it is up, before the first case. */
  readonly onDescription?: (description: Description) => void;
  /** Called as each case ends. */
  readonly onResult?: (result: CaseResult) => void;
}

export interface CheckReport {
  readonly file: string;
  readonly description: Description;
  readonly devices: readonly string[];
  readonly results: readonly CaseResult[];
  readonly milliseconds: number;
}

/**
 * @throws EkhoError E_PLUGIN_… when the file is not a plugin or does not even start, E_CASE
 */
export async function checkPlugin(file: string, options: CheckOptions = {}): Promise<CheckReport> {
  const begin = performance.now();
  const cases = casesOf(options);
  const cache = options.cache ?? mkdtempSync(join(tmpdir(), 'ekho-check-'));
  try {
    const plugin = await loadPlugin(file, { grants: deviceKinds(), cache });
    using paths = plugin.devices.includes('tables') ? dataPaths(cases) : undefined;
    const way: Way = { isolation: options.isolation ?? 'worker', ...(paths && { paths }) };
    const description = await describe(plugin, way);
    options.onDescription?.(description);
    const results: CaseResult[] = [];
    for (const one of cases) {
      const result = await runCase(plugin, way, description, one);
      results.push(result);
      options.onResult?.(result);
    }
    const milliseconds = performance.now() - begin;
    return { file, description, devices: plugin.devices, results, milliseconds };
  } finally {
    if (options.cache === undefined) rmSync(cache, { recursive: true, force: true });
  }
}

function casesOf({ cases, only }: CheckOptions): Case[] {
  const found = [...readCases(CASES_FOLDER), ...(cases === undefined ? [] : readCases(cases))].filter(
    ({ name }) => only === undefined || name.includes(only),
  );
  if (found.length > 0) return found;
  throw new EkhoError('E_CASE', `no case has ${only} in its name`, {
    remedy: 'Leave --only out to run all.',
  });
}

/** With a link for each port of the cases. */
function dataPaths(cases: readonly Case[]): DataPaths {
  return new DataPaths(new Set(cases.flatMap(({ ports }) => [...ports])));
}

async function describe(plugin: LoadedPlugin, way: Way): Promise<Description> {
  await using subject = await Subject.start(plugin, undefined, way);
  return subject.description;
}

export type { CaseResult };
