/** A port belongs to one plugin, whichever way plugins say which they want. */

import { expect, test } from 'vitest';
import type { PluginConfig } from '../../../host/config/config.ts';
import { portsOf } from '../../../host/config/port-owners.ts';

function plugin(name: string, more: Partial<PluginConfig> = {}): PluginConfig {
  const plain = { device: 'asic0', ports: undefined, priority: 100, isolation: undefined, settings: [] };
  const limits = { deviceCalls: 1000, onDisable: 'clear' as const, onStop: 'keep' as const };
  return { name, ...plain, ...limits, ...more };
}

/** Names of the plugins that have the link. */
function owners(plugins: readonly PluginConfig[], name: string, isDefault = true): string[] {
  return plugins.filter((each) => portsOf(each, plugins)(name, isDefault)).map((each) => each.name);
}

test('a plugin by itself has the links it names, or those that are ports by default', () => {
  expect(owners([plugin('a')], 'p1')).toEqual(['a']);
  expect(owners([plugin('a')], 'bond0', false)).toEqual([]);
  expect(owners([plugin('a', { ports: ['p*'] })], 'p1', false)).toEqual(['a']);
  expect(owners([plugin('a', { ports: ['p*'] })], 'q1')).toEqual([]);
});

test('two that want all: the higher priority has it, then one with a device, then the first by name', () => {
  expect(owners([plugin('a'), plugin('b')], 'p1')).toEqual(['a']);
  expect(owners([plugin('a'), plugin('b', { priority: 101 })], 'p1')).toEqual(['b']);
  expect(owners([plugin('a', { device: undefined }), plugin('b')], 'p1')).toEqual(['b']);
});

test('one that names links and one that takes the rest', () => {
  const plugins = [plugin('a', { priority: 50 }), plugin('b', { ports: ['p1', 'bond0'] })];
  expect(owners(plugins, 'p1')).toEqual(['b']);
  expect(owners(plugins, 'p2')).toEqual(['a']);
  expect(owners(plugins, 'bond0', false)).toEqual(['b']);
  const greedy = [plugin('a', { priority: 200 }), plugin('b', { ports: ['p1', 'bond0'] })];
  expect(owners(greedy, 'p1')).toEqual(['a']);
  expect(owners(greedy, 'bond0', false)).toEqual(['b']);
});
