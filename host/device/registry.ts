/** Which kinds of device there are, and how each is opened on the host's side; core-registry.ts has the side of plugins. */

import { EkhoError } from '../errors.ts';
import { AsicDevice } from './asic/device.ts';
import { RtnetlinkDevice } from './rtnetlink/device.ts';
import { TablesDevice } from './tables/device.ts';
import type { Device, DeviceConfig } from './types.ts';

const KINDS: ReadonlyMap<string, (config: DeviceConfig) => Device> = new Map([
  ['asic', (config: DeviceConfig): Device => new AsicDevice(config)],
  ['tables', (config: DeviceConfig): Device => new TablesDevice(config)],
  ['rtnetlink', (config: DeviceConfig): Device => new RtnetlinkDevice(config)],
]);

/** The kinds by name: each is also the name of the import it answers. */
export function deviceKinds(): string[] {
  return [...KINDS.keys()];
}

/** @throws EkhoError E_DEVICE when there is no such kind or it cannot be opened */
export function openDevice(config: DeviceConfig): Device {
  const open = KINDS.get(config.kind);
  if (open === undefined) {
    throw new EkhoError('E_DEVICE', `there is no kind of device ${config.kind}`, {
      remedy: `Kinds are ${deviceKinds().join(', ')}.`,
    });
  }
  return open(config);
}
