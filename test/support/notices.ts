/** What the listener plugin of test/fixtures was told, read back from its log. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NOTICE_TYPE_NAMES } from '../../host/plugin/records.ts';
import { buildPlugin } from '../../plugins/toolchain/build-plugin.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Told {
  readonly sequence: number;
  readonly type: string;
  readonly prefixLength: number;
  readonly vlan: number;
  /** It has a port of the plugin. */
  readonly hasPort: boolean;
  readonly ifindex: number;
  readonly value: number;
  readonly mac: string;
  /** Upper and lower half in hexadecimal. */
  readonly address: string;
  /** Milliseconds of CLOCK_MONOTONIC. */
  readonly time: number;
}

/** Folder with `listener.wasm`. */
export async function buildListener(): Promise<string> {
  const folder = join(ROOT, 'build/fixtures/listener');
  await buildPlugin({
    folder: join(ROOT, 'test/fixtures/plugins/listener'),
    output: join(folder, 'listener.wasm'),
  });
  return folder;
}

/** A line of the listener's log; undefined for any other. */
export function toldBy(message: string): Told | undefined {
  if (!/^([0-9a-f]+ ){11}[0-9a-f]+$/.test(message)) return undefined;
  const words = message.split(' ');
  const number = (at: number) => Number.parseInt(words[at]!, 16);
  return {
    sequence: number(0),
    type: NOTICE_TYPE_NAMES[number(1)]!,
    prefixLength: number(3),
    vlan: number(4),
    hasPort: number(5) === 1,
    ifindex: number(6),
    value: number(7),
    mac: words[8]!,
    address: `${words[9]} ${words[10]}`,
    time: number(11),
  };
}
