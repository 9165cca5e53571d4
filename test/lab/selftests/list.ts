/** Which of the kernel's selftests `npm run lab:selftests` runs, and on what. */
import { type Outcome, outcomesOf, switchOutcomesOf, tapOutcomesOf } from './output.ts';

/**
 * What tests meet in a guest:
 * - `host`: three wires between ports of type ekho, h0–sw0, h1–sw1 and h2–sw2, and a host whose plugin `xdp` holds sw0 to sw2;
 * - `firmware`: the same wires, and firmware without a host that takes rules on Ethernet addresses;
 * - `switch`: netdevsim itself, and then instead of it a port of type ekho (netdevsim.bash), and firmware without a host that takes all routes
 *   and nexthops.
 */
export const STAGES = ['host', 'firmware', 'switch'] as const;
export type Stage = (typeof STAGES)[number];

export interface Selftest {
  /** As one asks for it, and as the page calls it. */
  readonly name: string;
  /** In the kernel's tools/testing/selftests. */
  readonly folder: string;
  /** For bash, in that folder. */
  readonly command: string;
  readonly stage: Stage;
  readonly outcomes: (said: string) => Outcome[];
  /** By test: what is to be known of its outcome in hardware, where what it says does not tell. */
  readonly notes?: Readonly<Record<string, string>>;
}

/** A script of net/forwarding: it runs its tests in software and then, if ports have `hw-tc-offload`, in hardware. */
function forwarding(name: string, notes?: Selftest['notes']): Selftest {
  const script = { name, folder: 'net/forwarding', command: `./${name}`, stage: 'host' } as const;
  return { ...script, outcomes: outcomesOf, ...(notes && { notes }) };
}

function netdevsim(name: string): Selftest {
  const script = { name, folder: 'drivers/net/netdevsim', command: `./${name}`, stage: 'switch' } as const;
  return { ...script, outcomes: switchOutcomesOf };
}

const CHAIN = 'Some of its rules are in another chain than 0';
const NO_FLAGS = 'No rule of it is for hardware alone: software does what firmware refuses';

/** Those of net/forwarding that call tc_offload_check, tc-testing's cases of flower, and netdevsim's of routes and nexthops. */
export const SELFTESTS: readonly Selftest[] = [
  forwarding('tc_flower.sh'),
  forwarding('tc_shblocks.sh'),
  forwarding('tc_actions.sh', {
    trap: 'The first of its filters is for software alone, and is obeyed: the packets of all that follow go to the kernel',
  }),
  forwarding('tc_chains.sh', { 'unreachable chain': CHAIN, 'gact goto chain': CHAIN }),
  forwarding('tc_flower_router.sh', { 'indev egress match': 'Its rules are on the egress side' }),
  forwarding('tc_mpls_l2vpn.sh', { ping: NO_FLAGS, ping6: NO_FLAGS }),
  forwarding('tc_tunnel_key.sh', {
    'tunnel_key nofrag': 'The kernel takes no rule with skip_sw on the link of a tunnel, whoever has it',
  }),
  {
    name: 'tc-testing-flower',
    folder: 'tc-testing',
    command: 'python3 -u tdc.py -f tc-tests/filters/flower.json -d sw0',
    stage: 'firmware',
    outcomes: tapOutcomesOf,
  },
  netdevsim('fib.sh'),
  netdevsim('fib_notifications.sh'),
  netdevsim('nexthop.sh'),
];
