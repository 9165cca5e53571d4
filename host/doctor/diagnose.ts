/**
 * What this process, this machine and the mirrored namespace have of what EKHO can use. Everything is tried, nothing stays
 * loaded, and nothing is asked for that a host does not use.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Diagnosis, Finding, PluginStatus } from '../api/schemas.ts';
import type { Config } from '../config/config.ts';
import type { KernelEventsStatus } from '../kernel/kernel-events.ts';
import { bpfFindings } from './bpf.ts';
import { available, required, unsupported } from './findings.ts';
import { netlinkFindings } from './netlink.ts';
import { notifierFindings } from './notifiers.ts';
import { rightsFindings } from './rights.ts';
import { systemFindings } from './system.ts';

/** What a running host knows better than a fresh look. */
export interface Running {
  readonly plugins: readonly PluginStatus[];
  /** Undefined where the mirror does not come from the kernel. */
  readonly events: KernelEventsStatus | undefined;
}

/** Takes some tens of milliseconds. */
export async function diagnose(config: Config, running: Running | undefined): Promise<Diagnosis> {
  const { netns, receiveBuffer } = config.mirror;
  const findings = [
    ...systemFindings(config.firmware.enabled === 'on'),
    ...rightsFindings(netns !== undefined),
    ...(await netlinkFindings({ netns, receiveBuffer })),
    ...bpfFindings(),
    ...notifierFindings(config, running),
    ...pluginFindings(config, running),
  ];
  const content = findings.every(({ required, status }) => !required || status === 'available');
  return { pid: process.pid, content, findings };
}

function pluginFindings({ plugin, plugins }: Config, running: Running | undefined): Finding[] {
  return plugin.map(({ name }) => {
    const status = running?.plugins.find((status) => status.name === name);
    if (status !== undefined) return required(pluginFinding(status));
    const file = join(plugins.folder, `${name}.wasm`);
    return required(
      existsSync(file)
        ? available('plugin', name, file)
        : unsupported('plugin', name, `there is no ${file}`, 'Build it with `npm run build`.'),
    );
  });
}

function pluginFinding({ name, state, reason, remedy }: PluginStatus): Finding {
  if (state !== 'missing' && state !== 'refused') return available('plugin', name, state);
  return unsupported('plugin', name, `${state}: ${reason}`, remedy);
}
