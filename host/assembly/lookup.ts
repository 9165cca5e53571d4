/** What the hardware would do with a packet: each plugin's device is asked. */
import { isIP } from 'node:net';
import type { LookupAnswer, LookupQuery } from '../api/schemas.ts';
import type { Config } from '../config/config.ts';
import type { PacketQuery } from '../device/types.ts';
import { EkhoError } from '../errors.ts';
import type { Objects } from '../objects.ts';
import type { Planner } from '../offload/planner.ts';
import type { Devices } from './devices.ts';
import { entryText, linkNamed, macText, vrfTable } from './words.ts';

export interface LookupParts {
  readonly config: Config;
  readonly objects: Objects;
  readonly planner: Planner;
  readonly devices: Devices;
}

/** An answer for each plugin that has a device. Throws E_USAGE, E_UNKNOWN_OBJECT. */
export function lookup(
  { config, objects, planner, devices }: LookupParts,
  query: LookupQuery,
): LookupAnswer[] {
  const packet = packetOf(objects, query);
  return config.plugin.flatMap(({ name, device }) => {
    const granted = devices.find(device);
    if (granted === undefined) return [];
    const { action, by, ways, handles } = granted.lookup(packet);
    return {
      plugin: name,
      device: granted.name,
      action,
      by,
      ways: ways.map(({ ifindex, gateway, vlan, destinationMac }) => ({
        link: objects.linkName(ifindex) ?? `if${ifindex}`,
        ...(gateway !== undefined && { gateway }),
        mac: macText(destinationMac),
        ...(vlan !== 0 && { vlan }),
      })),
      entries: handles
        .map((handle) => entryText(planner, objects, name, handle))
        .filter((text) => text !== undefined),
    };
  });
}

function packetOf(
  objects: Objects,
  { destination, source, in: ingress, vrf, ipproto, sport, dport }: LookupQuery,
): PacketQuery {
  if (source !== undefined && isIP(source) + isIP(destination) === 10) {
    throw new EkhoError('E_USAGE', `${source} and ${destination} are not of one family`, {
      remedy: 'Give two IPv4 or two IPv6 addresses.',
    });
  }
  return {
    destination,
    ...(source !== undefined && { source }),
    ...(ingress !== undefined && { ingress: Number(linkNamed(objects, ingress).header.index) }),
    ...(vrf !== undefined && { vrf: vrfTable(objects, vrf) }),
    ...(ipproto !== undefined && { protocol: ipproto }),
    ...(sport !== undefined && { sourcePort: sport }),
    ...(dport !== undefined && { destinationPort: dport }),
  };
}
