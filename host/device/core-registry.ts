/** How each kind of device is opened in a plugin's worker, which loads no other kind: it would take megabytes. */

import { EkhoError } from '../errors.ts';
import type { CoreDevice } from './core.ts';
import type { DeviceShare } from './types.ts';

/** The worker's side of a device the host has open. @throws EkhoError E_DEVICE */
export async function openCore(share: DeviceShare): Promise<CoreDevice> {
  switch (share.kind) {
    case 'asic':
      return (await import('./asic/device.ts')).openAsicCore(share);
    case 'tables':
      return (await import('./tables/core.ts')).openMapTables(share);
    case 'rtnetlink':
      return new (await import('./rtnetlink/core.ts')).RtnetlinkWriter(share);
    default:
      throw new EkhoError('E_DEVICE', `there is no kind of device ${share.kind}`);
  }
}
