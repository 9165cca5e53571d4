/** Namespaces, real iproute2 commands and raw kernel dumps for the tests of JSON output. */

import { execFileSync } from 'node:child_process';
import type { FormatContext } from '../../host/iproute2/context.ts';
import type { Kind } from '../../host/mirror/types.ts';
import { type DecodedObject, decodeObject } from '../../host/netlink/decode.ts';
import { NETLINK_ROUTE } from '../../host/netlink/message.ts';
import { NetlinkClient } from '../../host/netlink/request.ts';

let count = 0;

/** A network namespace of the test's own; `close` removes it. */
export class TestNamespace {
  readonly name = `ekho-${process.pid}-json-${count++}`;
  readonly client: NetlinkClient;

  constructor() {
    execFileSync('ip', ['netns', 'add', this.name]);
    try {
      this.client = new NetlinkClient({ protocol: NETLINK_ROUTE, netns: this.name });
    } catch (error) {
      execFileSync('ip', ['netns', 'delete', this.name]);
      throw error;
    }
  }

  close(): void {
    this.client.close();
    execFileSync('ip', ['netns', 'delete', this.name]);
  }

  /** Runs `ip`, `bridge` or `tc`; throws with what it printed. */
  run(command: string): string {
    const [program, ...words] = command.split(' ');
    const inside = ['netns', 'exec', this.name, program!, ...words];
    return execFileSync('ip', inside, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 1 << 28,
    });
  }

  /** As `run`; false if the command failed. */
  try(command: string): boolean {
    try {
      this.run(command);
      return true;
    } catch {
      return false;
    }
  }

  /** Many commands of one program; what the kernel refuses is left out. Returns how many it accepted. */
  batch(program: 'ip' | 'ip -6' | 'bridge' | 'tc', lines: readonly string[]): number {
    const script = lines
      .map((line) => `${program} ${line} 2>/dev/null && echo x`)
      .join('\n')
      .concat('\ntrue');
    const output = execFileSync('ip', ['netns', 'exec', this.name, 'sh'], {
      input: script,
      encoding: 'utf8',
    });
    return output.split('x').length - 1;
  }

  /** What `ip -j …` and the others print. */
  json(command: string): Record<string, unknown>[] {
    const text = this.run(command);
    return text.trim() === '' ? [] : parseJson(text);
  }

  /** All objects a dump gives, as bytes. `payload` is the family's header and any attributes. */
  async raw(
    kind: Kind,
    type: number,
    payload: readonly number[],
    client = this.client,
  ): Promise<Uint8Array[]> {
    const objects: Uint8Array[] = [];
    await client.dump(
      { type, payload: Uint8Array.from(payload), operation: `dump ${kind}` },
      (_type, _flags, _sequence, data, start, end) => {
        objects.push(data.bytes.slice(start, end));
      },
    );
    return objects;
  }

  /** As `raw`, decoded. */
  async dump(kind: Kind, type: number, payload: readonly number[]): Promise<DecodedObject[]> {
    const objects = await this.raw(kind, type, payload);
    return objects.map((bytes) => decodeObject(kind, bytes, 0, bytes.length));
  }
}

/** JSON as iproute2 prints it. Names that stand twice in an object: the first is kept, the later ones get a `#`. */
export function parseJson(text: string): Record<string, unknown>[] {
  // JSON.parse keeps the last of equal names, so each key is numbered by its place and folded back.
  let number = 0;
  const marked = text.replace(/"((?:[^"\\]|\\.)*)"(\s*:)/g, (_all, key: string, colon: string) => {
    return `"${key}\\u0000${number++}"${colon}`;
  });
  const fold = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(fold);
    if (typeof value !== 'object' || value === null) return value;
    const result: Record<string, unknown> = {};
    for (const [key, inner] of Object.entries(value)) {
      let name = key.slice(0, key.indexOf('\0'));
      while (name in result) name += '#';
      result[name] = fold(inner);
    }
    return result;
  };
  return fold(JSON.parse(marked)) as Record<string, unknown>[];
}

/** A context over the links and nexthops of a dump. */
export function contextOf(
  links: readonly DecodedObject[],
  nexthops: readonly DecodedObject[] = [],
): FormatContext {
  const byIndex = new Map(links.map((link) => [Number(link.header.index), link]));
  const byId = new Map(nexthops.map((nexthop) => [Number(nexthop.id), nexthop]));
  return {
    linkName: (ifindex) => byIndex.get(ifindex)?.ifname as string | undefined,
    link: (ifindex) => byIndex.get(ifindex),
    links: () => links,
    nexthop: (id) => byId.get(id),
  };
}

/** xorshift32: the same topology for the same seed. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

/**
 * Differences between what iproute2 printed and ours, for every field that iproute2 has: `path: theirs, ours`. Fields
 * only ours are allowed. `ignore` names fields whose value moves with time. Orders of keys are compared, too.
 */
export function differences(
  theirs: unknown,
  ours: unknown,
  ignore: ReadonlySet<string>,
  path = '',
  found: string[] = [],
): string[] {
  if (Array.isArray(theirs)) {
    const mine = Array.isArray(ours) ? ours : [];
    if (!Array.isArray(ours) || theirs.length !== mine.length) {
      found.push(`${path}: ${JSON.stringify(theirs)}, ours ${JSON.stringify(ours)}`);
    } else {
      for (const [index, value] of theirs.entries()) {
        differences(value, mine[index], ignore, `${path}[${index}]`, found);
      }
    }
  } else if (typeof theirs === 'object' && theirs !== null) {
    if (typeof ours !== 'object' || ours === null || Array.isArray(ours)) {
      found.push(`${path}: ${JSON.stringify(theirs)}, ours ${JSON.stringify(ours)}`);
      return found;
    }
    const mine = ours as Record<string, unknown>;
    for (const [key, value] of Object.entries(theirs)) {
      if (ignore.has(key)) continue;
      if (!(key in mine)) found.push(`${path}.${key}: ${JSON.stringify(value)}, ours has none`);
      else differences(value, mine[key], ignore, `${path}.${key}`, found);
    }
    const common = Object.keys(theirs).filter((key) => key in mine);
    const order = Object.keys(mine).filter((key) => key in theirs);
    if (common.join() !== order.join()) found.push(`${path}: order ${common.join()}, ours ${order.join()}`);
  } else if (theirs !== ours) {
    found.push(`${path}: ${JSON.stringify(theirs)}, ours ${JSON.stringify(ours)}`);
  }
  return found;
}
