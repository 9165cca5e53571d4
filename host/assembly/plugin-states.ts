/** What is said of a plugin: its state with reason and remedy, where it comes from, how far its device is, its log. */
import type { LogLine, PluginStatus } from '../api/schemas.ts';
import type { Config } from '../config/config.ts';
import { NAME_PATTERN } from '../config/schema.ts';
import type { EkhoError } from '../errors.ts';
import { KIND } from '../mirror/types.ts';
import type { Objects } from '../objects.ts';
import type { Planner } from '../offload/planner.ts';
import type { DisabledPlugins } from '../plugin/disabled-plugins.ts';
import { ENTRY_KIND_NAMES } from '../plugin/records.ts';
import type { Trust } from '../plugin/signature.ts';
import type { SupervisedPlugin } from '../plugin/supervised-plugin.ts';

export interface PluginStatesParts {
  readonly config: Config;
  readonly objects: Objects;
  readonly planner: Planner;
  /** Those of the folder, by name. */
  readonly supervised: ReadonlyMap<string, SupervisedPlugin>;
  readonly disabled: DisabledPlugins;
}

interface StateText {
  readonly state: string;
  readonly reason?: string;
  readonly remedy?: string;
}

export class PluginStates {
  readonly #parts: PluginStatesParts;
  /** Files were looked for, or are being. */
  isLooking = false;
  /** Why there are no plugins at all: their folder cannot be read. */
  noPlugins: EkhoError | undefined;

  constructor(parts: PluginStatesParts) {
    this.#parts = parts;
  }

  /** Those of the configuration, then files that have no place in it. */
  list(): PluginStatus[] {
    const { config, supervised } = this.#parts;
    const wanted = new Map(config.plugin.map(({ name, device }) => [name, device]));
    for (const name of supervised.keys()) if (!wanted.has(name)) wanted.set(name, undefined);
    return [...wanted].map(([name, device]) => {
      const plugin = supervised.get(name);
      const description = plugin?.description;
      return {
        name,
        ...this.#stateOf(plugin),
        ...(device !== undefined && { device }),
        ports: this.#portsOf(name),
        ...(description && { vendor: description.vendor, version: description.version }),
        ...(plugin && originOf(plugin)),
        abilities: (description?.abilities ?? []).map(({ kind, capacity }) => ({
          kind: ENTRY_KIND_NAMES[kind]!,
          capacity,
        })),
        restarts: plugin?.restarts ?? 0,
        batches: plugin?.counters?.batches ?? 0,
        entries: plugin?.counters?.entries ?? 0,
        apply_us: plugin?.counters?.applyMicroseconds ?? 0,
      };
    });
  }

  /** Vendor, name, version and device, in brackets; empty before it described itself. */
  whatItIs({ name, description }: SupervisedPlugin): string {
    if (description === undefined) return '';
    const device = this.#parts.config.plugin.find((plugin) => plugin.name === name)?.device;
    return ` (${description.vendor} ${description.name} ${description.version}${device ? ` on ${device}` : ''})`;
  }

  /** Links that the plugin's device owns. */
  #portsOf(plugin: string): string[] {
    const { objects, planner } = this.#parts;
    const names: string[] = [];
    for (const id of objects.ids(KIND.link)) {
      if (!planner.offloadOf(KIND.link, id).some((state) => state.plugin === plugin)) continue;
      names.push(String(objects.decode(KIND.link, id)?.ifname));
    }
    return names;
  }

  /** How far its device is. */
  #progressOf(name: string): string {
    const tables = this.#parts.planner.summary().find(({ plugin }) => plugin === name)?.tables ?? [];
    let planned = 0;
    let done = 0;
    for (const table of tables) {
      planned += table.planned;
      done += table.offloaded + table.trapped + table.refused + table.failed;
    }
    return `${Math.min(done, planned)} of ${planned} entries`;
  }

  #stateOf(plugin: SupervisedPlugin | undefined): StateText {
    if (plugin === undefined) return this.#stateWithoutFile();
    const { config, disabled } = this.#parts;
    const { state } = plugin;
    if (state.state === 'found' && !config.plugin.some(({ name }) => name === plugin.name))
      return { state: 'found', ...whyNotWanted(plugin.name) };
    if (state.state === 'syncing') return { state: state.state, reason: this.#progressOf(plugin.name) };
    if ((state.state === 'stopped' || state.state === 'found') && disabled.has(plugin.name)) {
      const reason = disabled.isKept ? 'disabled' : 'disabled until the host ends';
      return { state: 'stopped', reason, remedy: `\`ekho plugin enable ${plugin.name}\`.` };
    }
    if (!('error' in state)) return { state: state.state };
    const { remedy } = state.error;
    let { message } = state.error;
    if (state.state === 'restarting') {
      const seconds = Math.max(0, (state.at - performance.now()) / 1000).toFixed(1);
      message += ` (attempt ${state.attempt}, in ${seconds} s)`;
    }
    return { state: state.state, reason: message, ...(remedy !== undefined && { remedy }) };
  }

  #stateWithoutFile(): StateText {
    const { config, supervised } = this.#parts;
    if (supervised.size === 0 && !this.isLooking) return { state: 'found' };
    if (this.noPlugins !== undefined) {
      const { message, remedy } = this.noPlugins;
      return { state: 'missing', reason: message, ...(remedy !== undefined && { remedy }) };
    }
    return {
      state: 'missing',
      reason: `there is no such file in ${config.plugins.folder}`,
      remedy: 'Put it there; it is started then.',
    };
  }
}

/** Of a file that the configuration does not name. */
export function whyNotWanted(name: string): { readonly reason: string; readonly remedy?: string } {
  if (!new RegExp(NAME_PATTERN).test(name))
    return {
      reason: 'the name of its file is none that a plugin can have',
      remedy: 'Rename the file: small letters, digits, - and _, at most 64, the first a letter or digit.',
    };
  return { reason: `no [plugin.${name}] in the configuration, or not enabled there` };
}

/** Its last lines and faults, in the order of time. */
export function logOf({ log, errors }: SupervisedPlugin): LogLine[] {
  const faults = errors.map(({ time, code, message }) => ({
    time,
    level: 'error',
    message: `${code}: ${message}`,
  }));
  return [...log, ...faults].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
}

function originOf({ trust, file256, isolatedBy, licence }: SupervisedPlugin) {
  return {
    ...(file256 !== undefined && { sha256: file256 }),
    ...(trust && { signature: trust.trust === 'trusted' ? `trusted key ${trust.key}` : trustText(trust) }),
    ...(isolatedBy !== undefined && { isolation: isolatedBy }),
    ...(licence !== undefined && { licence }),
  };
}

function trustText(trust: Exclude<Trust, { trust: 'trusted' }>): string {
  return trust.trust === 'unsigned' ? 'none' : `key ${trust.key}, not trusted`;
}
