/** Another kernel for plugins of the device `rtnetlink`: a network namespace with a link for each one that cases name. */

import { execFileSync } from 'node:child_process';
import type { DeviceConfig } from '../../../host/device/types.ts';
import { EkhoError } from '../../../host/errors.ts';

/** Interface indexes that ports, router interfaces and bridges of the cases have. */
const LINKS = [101, 102, 103, 104, 105, 201, 202, 203, 204];
const BRIDGE = 50;
/** Links of routing domains of their own: table of the domain there, and here. */
const DOMAINS = [1, 2, 3, 4, 5];
const TABLE = 1000;
/** Those that are ports of the bridge. */
const BRIDGE_PORTS = [101, 102];

let made = 0;

export class OtherKernel {
  readonly name = `ekho-check-${process.pid}-${++made}`;

  /** @throws EkhoError E_DEVICE without the rights to make one */
  constructor() {
    try {
      run(['netns', 'add', this.name]);
    } catch (cause) {
      throw new EkhoError('E_DEVICE', 'a network namespace for the plugin to write into cannot be made', {
        remedy: 'Run as root.',
        cause,
      });
    }
    const lines = [
      // Without an address of its own, the kernel takes no gateway for one.
      'link set lo up',
      `link add c${BRIDGE} type bridge`,
      'link add via type veth peer name host',
      ...DOMAINS.map((domain) => `link add d${domain} type bridge`),
      ...LINKS.flatMap((index) => [
        `link add c${index} type veth peer name p${index}`,
        ...(BRIDGE_PORTS.includes(index) ? [`link set c${index} master c${BRIDGE}`] : []),
      ]),
      ...[`c${BRIDGE}`, 'via', 'host', ...LINKS.flatMap((index) => [`c${index}`, `p${index}`])].map(
        (link) => `link set ${link} up`,
      ),
    ];
    run(['-n', this.name, '-batch', '-'], lines.join('\n'));
  }

  get config(): DeviceConfig {
    const links = LINKS.map((index) => ({ name: `${index}`, link: `c${index}`, vrf: 0 }));
    const gateways = { via: 'via', gateway: '169.254.0.1', gateway6: 'fe80::1' };
    return {
      kind: 'rtnetlink',
      name: 'rtnetlink',
      target: this.name,
      routing: {
        protocol: 210,
        metric: 100,
        links: [
          { ...links[0]!, table: 254, ...gateways },
          ...links.slice(1),
          { name: `${BRIDGE}`, link: `c${BRIDGE}`, vrf: 0 },
          ...DOMAINS.map((vrf) => ({
            name: `${TABLE + vrf}`,
            link: `d${vrf}`,
            table: TABLE + vrf,
            vrf,
            ...gateways,
          })),
        ],
      },
    };
  }

  close(): void {
    run(['netns', 'del', this.name]);
  }
}

function run(words: readonly string[], input = ''): void {
  execFileSync('ip', words, { input, stdio: ['pipe', 'ignore', 'pipe'] });
}
