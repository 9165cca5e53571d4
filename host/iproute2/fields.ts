/** The fields that objects of each kind may have in iproute2's JSON, for those who name them: any one object has few. */
import { EkhoError } from '../errors.ts';
import type { Kind } from '../mirror/types.ts';
import { nearest } from '../suggest.ts';

const LINK =
  'address allmulti altnames broadcast event flags gro_ipv4_max_size gro_max_size group gso_ipv4_max_size gso_max_segs gso_max_size ifalias ifindex ifname inet6_addr_gen_mode link link_index link_netnsid link_pointtopoint link_type linkinfo linkmode linkmode_index master max_mtu min_mtu mtu num_rx_queues num_tx_queues operstate operstate_index parentbus parentdev permaddr phys_port_id phys_port_name phys_switch_id promiscuity proto_down proto_down_reason qdisc tso_max_segs tso_max_size txqlen vfinfo_list xdp';
/** Of routes and nexthops, whatever the encapsulation. */
const ENCAPSULATIONS =
  'csum csum_mode encap endpoint erspan_opts flavors freqk freqn geneve_opts headroom hook_type hoplimit id ident_type if_id iif in key lblen link_dev locator mode nflen nh4 nh6 ns oif out prealloc segs seq size src srh tc tos trace ttl tundst tunsrc vrftable vxlan_opts xmit';
const NETFILTER = 'family handle pad table use userdata';

const FIELDS: Readonly<Record<Kind, string>> = {
  link: LINK,
  netconf:
    'bc_forwarding family force_forwarding forwarding ignore_routes_with_linkdown input interface mc_forwarding proxy_neigh rp_filter',
  address: `${LINK} addr_info`,
  neighbour: 'dev dst extern_learn lladdr managed offload protocol proxy router state',
  fdb: 'dst flags ifname linkNetNsId mac master nhid port src_vni state viaIf viaIfIndex vlan vni',
  mdb: 'mdb router',
  vlan: 'ifname vlans',
  nexthop: `${ENCAPSULATIONS} action blackhole dev dst encap_id fdb flags gateway group protocol resilient_args scope table type`,
  rule: 'action dport dport_end dport_start dscp dst dstlen flow_from flow_to fwmark fwmask goto iif iif_detached ipproto l3mdev nop not oif oif_detached priority protocol sport sport_end sport_start src srclen suppress_ifgroup suppress_prefixlen table tos tun_id uid_end uid_start unresolved',
  route: `${ENCAPSULATIONS} action dev dst encap_dst encap_table encap_tos encap_type error expires flags flow from gateway ipid mark metric metrics nexthops nhid pref prefsrc protocol scope table to ts tsage ttl-propogate type uid via`,
  qdisc: 'dev egress_block handle ingress_block kind offloaded options parent refcnt root',
  class:
    'burst cburst ceil class default dev direct_packets_stat direct_qlen handle leaf linklayer offload overhead parent r2q rate root',
  chain: 'block chain dev egress ingress kind parent root',
  filter: 'block chain dev egress ingress kind options parent pref protocol root',
  action: 'actions',
  'xfrm-default': 'fwd in out',
  'xfrm-policy':
    'action dev dir dport dst flags if_id index limits mark mask priority proto ptype sport src tmpl uid',
  'nft-table': `${NETFILTER} flags name owner`,
  'nft-chain': `${NETFILTER} counters flags hook id name policy type`,
  'nft-rule': `${NETFILTER} chain chain_id compat expressions id position position_id`,
  'nft-flowtable': `${NETFILTER} flags hook name`,
  flow: 'dport dst mark proto reply sport src state zone',
  offload: 'fields kind name problem source version',
};

const NAMES = new Map<Kind, ReadonlySet<string>>();

function namesOf(kind: Kind): ReadonlySet<string> {
  const names = NAMES.get(kind) ?? new Set(FIELDS[kind].split(' '));
  NAMES.set(kind, names);
  return names;
}

export function isField(kind: Kind, name: string): boolean {
  return namesOf(kind).has(name);
}

/** E_USAGE for a name that is none of them, and none of `more`. */
export function unknownField(kind: Kind, name: string, more: readonly string[]): EkhoError {
  const known = [...more, ...[...namesOf(kind)].sort()];
  const near = nearest(name, known);
  return new EkhoError(
    'E_USAGE',
    `objects of ${kind} have no field "${name}"${near ? `; did you mean ${near}?` : ''}`,
    {
      remedy: `There are: ${known.join(', ')}.`,
    },
  );
}
