/** Packets through the simulated ASIC or the XDP data path: what they meet must be what the plugin was given. */

import type { Device } from '../../../host/device/types.ts';
import { nameOf } from './entry.ts';
import type { CaseStep } from './schema.ts';
import { Wrong } from './subject.ts';

export function packets(path: Device, packets: NonNullable<CaseStep['packets']>): void {
  for (const packet of packets) {
    const query = {
      destination: packet.to,
      ...(packet.vrf !== undefined && { vrf: packet.vrf }),
      ...(packet.in !== undefined && { ingress: packet.in }),
      ...(packet.vlan !== undefined && { vlan: packet.vlan }),
      ...(packet['to-mac'] !== undefined && { destinationMac: macOf(packet['to-mac']) }),
    };
    let verdict = path.lookup(query, { count: true });
    for (let sent = 1; sent < (packet.count ?? 1); sent++) verdict = path.lookup(query, { count: true });
    if (packet.action !== undefined && verdict.action !== packet.action)
      throw new Wrong(
        `a packet to ${packet.to}: ${verdict.action} (${verdict.by}), expected ${packet.action}`,
      );
    const met = verdict.handles.map(nameOf);
    for (const name of packet.by ?? [])
      if (!met.includes(name))
        throw new Wrong(`a packet to ${packet.to} meets ${met.join(', ') || 'nothing'}, and not ${name}`);
  }
}

function macOf(text: string): number {
  return Number.parseInt(text.replaceAll(':', ''), 16);
}
