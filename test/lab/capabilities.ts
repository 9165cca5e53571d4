/** What a kernel has of what EKHO mirrors and uses, found out by trying it: the rows of docs/kernels.md. */
import { spawnSync } from 'node:child_process';
import { release } from 'node:os';
import type { Diagnosis } from '../../host/api/schemas.ts';
import { parseConfig } from '../../host/config/config.ts';
import { diagnose } from '../../host/doctor/diagnose.ts';
import { Host } from '../../host/host.ts';
import { PACE } from './pace.ts';
import { LabSpace } from './support.ts';

/** `yes` or what it is (a rung, say), else `no: ` and why. */
export type Answer = string;
export type Section = Readonly<Record<string, Answer>>;

export interface Capabilities {
  /** As uname says. */
  readonly release: string;
  /** Debian's name. */
  readonly arch: string;
  readonly libbpf: string;
  readonly sections: Readonly<Record<string, Section>>;
}

/** Titles of the doctor's areas; the others are about the machine and the configuration. */
const AREAS: Readonly<Record<string, string>> = {
  netlink: 'Netlink',
  bpf: 'BPF (libbpf-ts, with the libbpf of the same Debian release)',
  notifier: 'Notifiers: the rung each hook stands on',
};
/** Told in the head or row by row, or nothing of the kernel's. */
const NOT_ROWS = new Set(['namespace', 'receive buffer', 'libbpf', 'objects', 'events']);

/** Shell lines that only pass where the kernel has it; with d0, a dummy link that is up, and tc's hooks on it. */
const TRIALS: Readonly<Record<string, string>> = {
  'VLAN links, 802.1Q and 802.1ad': `
    ip link add link d0 name t1 type vlan id 10
    ip link add link d0 name t2 type vlan protocol 802.1ad id 20`,
  VRF: 'ip link add t1 type vrf table 100',
  'bonds, 802.3ad': 'ip link add t1 type bond mode 802.3ad',
  'VLAN-aware bridges with multicast snooping':
    'ip link add t1 type bridge vlan_filtering 1 mcast_snooping 1 mcast_vlan_snooping 0',
  VXLAN: 'ip link add t1 type vxlan id 42 dstport 4789 local 192.0.2.1 dev d0',
  'VXLAN, one link for many VNIs': `
    ip link add t1 type vxlan external vnifilter dstport 4790
    bridge vni add dev t1 vni 7`,
  Geneve: 'ip link add t1 type geneve external',
  'nexthop groups, resilient ones too': `
    ip nexthop add id 1 dev d0 via 192.0.2.2
    ip nexthop add id 2 dev d0 via 192.0.2.3
    ip nexthop add id 3 group 1/2
    ip nexthop add id 4 group 1/2 type resilient buckets 8`,
  'MPLS routes': 'modprobe mpls_router; ip -f mpls route show',
  'tc flower': 'tc filter add dev d0 ingress protocol ip flower ip_proto tcp dst_port 443 action drop',
  'tc matchall, police': 'tc filter add dev d0 ingress matchall action police rate 1mbit burst 10k',
  'tc connection tracking': 'tc filter add dev d0 ingress protocol ip flower action ct zone 1',
  'tc shared blocks': `
    tc qdisc add dev d1 ingress_block 22 clsact
    tc filter add block 22 protocol ip flower action drop`,
  'nft flowtable': `
    nft add table inet t
    nft 'add flowtable inet t f { hook ingress priority 0; devices = { d0, d1 }; }'`,
  'nft on egress': `
    nft add table netdev t
    nft 'add chain netdev t c { type filter hook egress device d0 priority 0; }'`,
};

/** Longest a mirror may take to be whole, in milliseconds. */
const MIRROR_LIMIT = 600_000 * PACE;

export async function findCapabilities(): Promise<Capabilities> {
  // First: some kinds and hooks are in modules that these make the kernel load.
  const tried = trials();
  const mirrored = await kinds();
  const { findings } = await diagnose(parseConfig('', '/etc/ekho.toml'), undefined);
  return {
    release: release(),
    arch: process.arch === 'arm64' ? 'arm64' : 'amd64',
    libbpf: findings.find(({ feature }) => feature === 'libbpf')?.detail ?? 'none',
    sections: {
      'Mirrored kinds': mirrored,
      'Links, tables and filters': tried,
      ...ofDoctor(findings),
    },
  };
}

/** What the mirror of a host on a fresh namespace says. */
async function kinds(): Promise<Section> {
  const space = new LabSpace();
  let host: Host | undefined;
  try {
    space.script(PREPARED);
    // The mirror alone: plugins and notifiers take long to start under emulation.
    const text = `mirror.netns = "${space.name}"\nnotifier.enabled = "off"\nplugin.softnic.enabled = false`;
    host = new Host(parseConfig(text, '/etc/ekho.toml'), () => {});
    await host.wait(AbortSignal.timeout(MIRROR_LIMIT));
    return Object.fromEntries(
      host
        .status()
        .kinds.map(({ kind, state, reason }) => [
          kind,
          state === 'synced' ? 'yes' : `no: ${reason ?? state}`,
        ]),
    );
  } finally {
    await host?.stop();
    await space.end();
  }
}

const PREPARED = `
  ip link add d0 type dummy
  ip link add d1 type dummy
  ip link set d0 up
  ip addr add 192.0.2.1/24 dev d0
  tc qdisc add dev d0 clsact
`;

function trials(): Section {
  const name = `ekho-${process.pid}-trial`;
  const rows: Record<string, Answer> = {};
  for (const [title, lines] of Object.entries(TRIALS)) {
    const script = `
      ip netns add ${name}
      trap 'ip netns del ${name}' EXIT
      ip netns exec ${name} bash -e <<'END'
        ${PREPARED}
        ${lines}
END`;
    const { status, stderr } = spawnSync('bash', ['-e'], { input: script, encoding: 'utf8' });
    rows[title] = status === 0 ? 'yes' : `no: ${firstFault(stderr)}`;
  }
  return rows;
}

/** iproute2 says the kernel's reason last, nft first. */
function firstFault(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const line = lines.find((line) => line.startsWith('Error:')) ?? lines[0] ?? 'it failed without a word';
  return line.replace(/^\S*: line \d+: /, '').trim();
}

function ofDoctor(findings: Diagnosis['findings']): Record<string, Section> {
  const sections: Record<string, Record<string, Answer>> = {};
  for (const { area, feature, status, detail } of findings) {
    const title = AREAS[area];
    if (title === undefined || NOT_ROWS.has(feature)) continue;
    sections[title] ??= {};
    sections[title][feature] = status === 'available' ? (detail ?? 'yes') : `no: ${detail}`;
  }
  return sections;
}
