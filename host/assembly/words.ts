/** Names that people give, and entries in their words. */
import { EkhoError } from '../errors.ts';
import { describe } from '../iproute2/describe.ts';
import { KINDS } from '../mirror/types.ts';
import type { DecodedObject } from '../netlink/decode.ts';
import type { Objects } from '../objects.ts';
import { kindOfHandle } from '../offload/entry-table.ts';
import type { Planner } from '../offload/planner.ts';
import { ENTRY_KIND_NAMES } from '../plugin/records.ts';
import { nearest } from '../suggest.ts';

/** Throws E_UNKNOWN_OBJECT. */
export function linkNamed(objects: Objects, name: string): DecodedObject {
  const link = objects.linkNamed(name);
  if (link !== undefined) return link;
  const near = nearest(name, objects.linkNames());
  throw new EkhoError(
    'E_UNKNOWN_OBJECT',
    `there is no link ${name}${near ? `; did you mean ${near}?` : ''}`,
    {
      remedy: '`ekho show link` lists them.',
    },
  );
}

/** The routing table of a VRF. Throws E_UNKNOWN_OBJECT. */
export function vrfTable(objects: Objects, name: string): number {
  const info = linkNamed(objects, name).linkinfo as { kind?: string; data?: { table?: number } } | undefined;
  if (info?.kind !== 'vrf' || info.data?.table === undefined) {
    throw new EkhoError('E_UNKNOWN_OBJECT', `${name} is not a VRF`, {
      remedy: '`ip link show type vrf` lists them.',
    });
  }
  return info.data.table;
}

/** An entry by the kernel object it stands for, and why it is not plainly offloaded; undefined if the host made it up. */
export function entryText(
  planner: Planner,
  objects: Objects,
  plugin: string,
  handle: number,
): string | undefined {
  const { kind, id, text } = planner.resolveHandle(plugin, handle);
  const object = kind === undefined || id === undefined ? undefined : objects.decode(kind, id);
  const name = ENTRY_KIND_NAMES[kindOfHandle(handle)] ?? 'entry';
  // The plan's own key of a route is its prefix; the keys of the others mean nothing to people.
  if (object === undefined) return name === 'route' ? `route ${text}` : undefined;
  const word = KINDS[kind!]!;
  const state = planner.offloadOf(kind!, id!).find((state) => state.plugin === plugin);
  const why = state?.reason === undefined ? '' : `: ${state.state} (${state.reason})`;
  // A connection is two entries: the object does not tell which.
  if (name === 'flow') return `flow ${text}${why}`;
  if (name === 'custom') return `${text}${why}`;
  const entry = name === word ? '' : name === 'route' ? `route ${text}: ` : `${name}: `;
  return `${entry}${word} ${describe(word, object, objects.context)}${why}`;
}

/** What an entry is, without anything that changes while it is that; undefined if the host made it up. */
export function entryName(
  planner: Planner,
  objects: Objects,
  plugin: string,
  handle: number,
): string | undefined {
  const { kind, id, text } = planner.resolveHandle(plugin, handle);
  const name = ENTRY_KIND_NAMES[kindOfHandle(handle)] ?? 'entry';
  if (name === 'route' || name === 'flow' || name === 'custom') return text;
  const object = kind === undefined || id === undefined ? undefined : objects.decode(kind, id);
  return object === undefined ? undefined : describe(KINDS[kind!]!, object, objects.context);
}

export function macText(mac: number): string {
  return mac
    .toString(16)
    .padStart(12, '0')
    .replace(/(?=(..)+$)(?!^)/g, ':');
}
