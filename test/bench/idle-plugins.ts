/** The plugin `idle` in every language of the bench: looks at each change once, and succeeds in everything by doing nothing. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../host/config/config.ts';
import { buildProject } from '../../plugins/kit/build/index.ts';
import { newPlugin } from '../../plugins/kit/new.ts';
import { type Language, readProject } from '../../plugins/kit/project.ts';
import { buildPlugin } from '../../plugins/toolchain/build-plugin.mjs';

const ASSEMBLYSCRIPT = `
import { Batch, EventList, Kind, NoticeList, OffloadPage, OutcomeList, PluginDescription, PluginSettingList, StatsPage, TableUsageList } from "./ekho";

export function pluginDescribe(result: PluginDescription): void {
  result.vendor = "test"; result.name = "idle"; result.version = "1.0.0"; result.groupMembers = 1;
  const ability = result.abilities.add();
  ability.kind = Kind.route; ability.capacity = 1 << 24; ability.updateInPlace = true;
}
export function pluginConfigure(settings: PluginSettingList): string | null { return null; }
export function pluginStart(): string | null { return null; }
export function pluginStop(): void {}

let seen: u32 = 0;
export function offloadApply(changes: Batch, result: OutcomeList): void {
  const routes = changes.routes;
  let sum: u32 = 0;
  for (let i = 0; i < routes.length; i++) sum += routes[i].handle;
  seen = sum;
}
export function offloadReadback(cursor: u32, limit: u32, result: OffloadPage): void {}
export function offloadPoll(result: EventList): void {}
export function offloadTables(result: TableUsageList): void {}
export function notifierNotify(notices: NoticeList): void {}
export function statsCollect(cursor: u32, limit: u32, result: StatsPage): void {}
`;

const TYPESCRIPT = `
import type { Notifier, Offload, Plugin, Stats } from './ekho.ts';

export const plugin: Plugin = {
  describe: () => ({
    vendor: 'test', name: 'idle', version: '1.0.0',
    abilities: [{ kind: 'route', capacity: 1 << 24, updateInPlace: true, counts: false, readsBack: false }],
    aclFields: {}, aclEdits: {}, notices: {}, offloadKinds: [], groupMembers: 1, reversePath: false, vlanInterfaces: false, pollInterval: 0,
  }),
  configure() {}, start() {}, stop() {},
};

let seen = 0;
const nothing = {
  ports: [], routerInterfaces: [], nexthops: [], members: [], groups: [], routes: [], vlanMembers: [], fdbEntries: [], aclRules: [], flows: [], customs: [],
};
export const offload: Offload = {
  apply(changes) {
    let sum = 0;
    for (const route of changes.routes) sum += route.handle;
    seen = sum;
    return [];
  },
  readback: () => ({ next: 0, entries: nothing }),
  poll: () => [],
  tables: () => [],
};
export const notifier: Notifier = { notify() {} };
export const stats: Stats = { collect: () => ({ next: 0, counters: [] }) };
`;

/** Path of the component. */
export async function buildIdle(language: 'c' | 'assemblyscript' | 'typescript'): Promise<string> {
  const output = join(ROOT, `build/fixtures/idle${language === 'c' ? '' : `-${language}`}.wasm`);
  if (language === 'c') {
    await buildPlugin({ folder: join(ROOT, 'test/fixtures/plugins/idle'), output });
    return output;
  }
  const parent = mkdtempSync(join(tmpdir(), 'ekho-idle-'));
  try {
    const { folder } = newPlugin('idle', language satisfies Language, parent);
    writeFileSync(join(folder, 'plugin.ts'), language === 'typescript' ? TYPESCRIPT : ASSEMBLYSCRIPT);
    const project = readProject(folder);
    await buildProject(project);
    writeFileSync(output, readFileSync(project.output));
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
  return output;
}
