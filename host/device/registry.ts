/** Which kinds of device there are, and how each is opened on the host's side and in a plugin's worker. */

import { EkhoError } from '../errors.ts';
import { AsicDevice, openAsicCore } from './asic/device.ts';
import type { CoreDevice } from './core.ts';
import { RtnetlinkWriter } from './rtnetlink/core.ts';
import { RtnetlinkDevice } from './rtnetlink/device.ts';
import { openMapTables } from './tables/core.ts';
import { TablesDevice } from './tables/device.ts';
import type { Device, DeviceConfig, DeviceShare } from './types.ts';

interface DeviceKind {
  open(config: DeviceConfig): Device;
  openCore(share: DeviceShare): CoreDevice;
}

const KINDS: ReadonlyMap<string, DeviceKind> = new Map([
  ['asic', { open: (config: DeviceConfig) => new AsicDevice(config), openCore: openAsicCore }],
  ['tables', { open: (config: DeviceConfig) => new TablesDevice(config), openCore: openMapTables }],
  [
    'rtnetlink',
    {
      open: (config: DeviceConfig) => new RtnetlinkDevice(config),
      openCore: (share: DeviceShare) => new RtnetlinkWriter(share),
    },
  ],
]);

/** The kinds by name: each is also the name of the import it answers. */
export function deviceKinds(): string[] {
  return [...KINDS.keys()];
}

/** @throws EkhoError E_DEVICE when there is no such kind or it cannot be opened */
export function openDevice(config: DeviceConfig): Device {
  return kindOf(config.kind).open(config);
}

/** The worker's side of a device the host has open. @throws EkhoError E_DEVICE */
export function openCore(share: DeviceShare): CoreDevice {
  return kindOf(share.kind).openCore(share);
}

function kindOf(name: string): DeviceKind {
  const kind = KINDS.get(name);
  if (kind === undefined) {
    throw new EkhoError('E_DEVICE', `there is no kind of device ${name}`, {
      remedy: `Kinds are ${deviceKinds().join(', ')}.`,
    });
  }
  return kind;
}
