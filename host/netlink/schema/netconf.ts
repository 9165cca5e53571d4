/** Per-interface IP configuration (sysctl conf/): struct netconfmsg and NETCONFA_*. */

import { attributes, type Family, struct } from '../schema.ts';

/** linux/netconf.h struct netconfmsg */
export const netconfHeader = struct('netconfmsg', { family: 'u8' });

export const netconfAttributes = attributes('netconf', 'enum NETCONFA_* in linux/netconf.h', {
  ifindex: [1, 's32', 'Interface index, -1 for all, -2 for default'],
  forwarding: [2, 's32', 'IP forwarding'],
  rp_filter: [3, 's32', 'Reverse path filter: 0 off, 1 strict, 2 loose'],
  mc_forwarding: [4, 's32', 'Multicast forwarding'],
  proxy_neigh: [5, 's32', 'Proxy ARP or NDP'],
  ignore_routes_with_linkdown: [6, 's32', 'Routes without carrier are not used'],
  input: [7, 's32', 'MPLS input'],
  bc_forwarding: [8, 's32', 'Forwarding of directed broadcasts'],
  force_forwarding: [9, 's32', 'IPv6 forwarding whatever the global setting is'],
});

export const netconfFamily: Family = {
  name: 'netconf',
  header: netconfHeader,
  attributes: netconfAttributes,
};
