/** Ports and router interfaces, for which the other kernel has no place. After a restart the host gives them anew. */
import { Batch, Operation, Port, RouterInterface } from './ekho';

export const PORTS_MAX: u32 = 64;
export const INTERFACES_MAX: u32 = 256;

/** The lower 28 bits of a handle: the host counts them from 0, and keeps them below the capacity. */
const INDEX: u32 = 0x0fffffff;

/** By the index of their handle; a handle of 0 is none. */
const ports = new StaticArray<Port | null>(PORTS_MAX);
const interfaces = new StaticArray<RouterInterface | null>(INTERFACES_MAX);

/** False where there is no place for it. */
export function keepPort(it: Port): bool {
  const index = it.handle & INDEX;
  if (index >= PORTS_MAX) return false;
  const kept = ports[index] || Port.lasting();
  ports[index] = kept;
  kept.copy(it);
  if (it.operation === Operation.remove) kept.handle = 0;
  return true;
}

/** False where there is no place for it. */
export function keepInterface(it: RouterInterface): bool {
  const index = it.handle & INDEX;
  if (index >= INTERFACES_MAX) return false;
  const kept = interfaces[index] || RouterInterface.lasting();
  interfaces[index] = kept;
  kept.copy(it);
  if (it.operation === Operation.remove) kept.handle = 0;
  return true;
}

export function portsHeld(): u32 {
  let count: u32 = 0;
  for (let i = 0; i < ports.length; i++) {
    const port = ports[i];
    if (port !== null && port.handle !== 0) count++;
  }
  return count;
}

export function interfacesHeld(): u32 {
  let count: u32 = 0;
  for (let i = 0; i < interfaces.length; i++) {
    const it = interfaces[i];
    if (it !== null && it.handle !== 0) count++;
  }
  return count;
}

/** The mirrored kernel's interface index of a port, 0 for none. */
export function ifindexOf(port: u32): u32 {
  const index = port & INDEX;
  const kept = index < PORTS_MAX ? ports[index] : null;
  return kept !== null && kept.handle === port ? kept.ifindex : 0;
}

/** Adds at most `limit` of them to a page, from `position` on; where to go on, 0 at the end. */
export function readRemembered(position: u32, limit: u32, page: Batch): u32 {
  for (let room = limit; position < PORTS_MAX + INTERFACES_MAX; position++) {
    if (room === 0) return position;
    if (position < PORTS_MAX) {
      const port = ports[position];
      if (port === null || port.handle === 0) continue;
      page.ports.add().copy(port);
    } else {
      const kept = interfaces[position - PORTS_MAX];
      if (kept === null || kept.handle === 0) continue;
      page.routerInterfaces.add().copy(kept);
    }
    room--;
  }
  return 0;
}
