/** Links for plugins of the device `tables`, which attaches itself to them: a network namespace with those that a case names as ports. */

import { execFileSync } from 'node:child_process';
import { EkhoError } from '../../../host/errors.ts';

/** Above all that the kernel gives to links of a namespace by itself, which may take no number that a case names. */
const PEERS = 0x4000_0000;

let made = 0;

export class TestLinks {
  readonly name = `ekho-links-${process.pid}-${++made}`;

  /**
   * @param ifindexes interface indexes of the links
   * @throws EkhoError E_DEVICE without the rights to make one
   */
  constructor(ifindexes: Iterable<number>) {
    try {
      execFileSync('ip', ['netns', 'add', this.name], { stdio: ['ignore', 'ignore', 'pipe'] });
    } catch (cause) {
      throw new EkhoError('E_DEVICE', 'a network namespace for the ports of the plugin cannot be made', {
        remedy: 'Run as root.',
        cause,
      });
    }
    const lines = [...new Set(ifindexes)].map(
      (ifindex) =>
        `link add p${ifindex} index ${ifindex} type veth peer name c${ifindex} index ${PEERS + ifindex}`,
    );
    execFileSync('ip', ['-n', this.name, '-batch', '-'], {
      input: `${lines.join('\n')}\n`,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
  }

  close(): void {
    execFileSync('ip', ['netns', 'del', this.name], { stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
