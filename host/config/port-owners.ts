/** Which plugin has a port that several could take. */

import type { PortChoice } from '../offload/ports.ts';
import type { PluginConfig } from './config.ts';
import { matchPorts } from './ports.ts';

/**
 * The links that are `plugin`'s ports. A port is one plugin's: of those that would take it, the one with the highest priority
 * has it; at a tie one with a device goes before one without, then the first by name. A plugin without `ports` would
 * take every link that is a port by default.
 */
export function portsOf(plugin: PluginConfig, all: readonly PluginConfig[]): PortChoice {
  const takes = choiceOf(plugin);
  const before = all.filter((other) => goesBefore(other, plugin)).map(choiceOf);
  return (name, isDefault) => takes(name, isDefault) && !before.some((other) => other(name, isDefault));
}

function choiceOf({ ports }: PluginConfig): PortChoice {
  return ports === undefined ? (_, isDefault) => isDefault : matchPorts(ports);
}

function goesBefore(a: PluginConfig, b: PluginConfig): boolean {
  if (a.name === b.name) return false;
  if (a.priority !== b.priority) return a.priority > b.priority;
  if ((a.device === undefined) !== (b.device === undefined)) return a.device !== undefined;
  return a.name < b.name;
}
