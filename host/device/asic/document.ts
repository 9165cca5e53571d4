/** docs/asic.md: its tables are made from layout.ts. Run this file to rewrite it; a test holds the two equal. */

import { writeFileSync } from 'node:fs';
import { TABLES } from './layout.ts';

const INTRODUCTION = `# The simulated switch ASIC

A device to develop and test plugins with: it has the tables of a small switch ASIC, of limited size, keeps them in memory
or in a file, and says for any packet what it would do with it. Plugins reach it through the interface \`asic\`
(wit/host.wit); \`plugins/softnic\` is the example. The host side is \`host/device/asic\`. This file is made by
\`node host/device/asic/document.ts\`.

## Rows

A row is a fixed number of 32-bit words. Word 0 is a cookie: kept and given back, never looked at. Slot tables are arrays:
word 1 is the slot, and the key. In the others, the words marked as key follow the cookie, and a row is found by them.

- \`write\` adds a row or replaces the one with its key. Replacing is in place: counters go on, and a packet meets the old
  row or the new one. Rows are carried out in order until one fails; that one leaves what was held.
- \`invalid\`: a field is out of range, a slot beyond the table, a row it refers to is not there, or what must be unique
  is not. With \`remove\`: other rows still refer to it. Counted per table as rejects.
- Where a word holds a slot, 0xffffffff is "none".
- \`read\` and \`counters\` answer with at most 4,096 rows. A row keeps its place while it is held, so paging shows every row
  that is held all the time exactly once.
- \`counters\` cover every table but \`vlan\`.
`;

const PIPELINE = `
## What happens to a packet

The steps in their order; each may decide, and its name is what \`by\` of the verdict says. Whatever is not clear is
trapped: the kernel then does what it would have done.

1. The ingress interface is a port, or a VLAN interface on one (the frame then has its tag); else \`unknown port\`. Not
   admin-up or without carrier: \`ingress port down\`. Flag trap-all: \`port traps all\`.
2. Rules of stage ingress: the first that matches drops (\`acl drop\`), traps (\`acl trap\`), sends out of another port
   unchanged (\`acl redirect\`), or accepts.
3. A tagged frame for which there is a router interface (port, vlan) goes to step 5, as in Linux, where the VLAN link is
   asked before the bridge. Another frame on a port in a bridge goes to step 4, any other to step 5.
4. Bridging. The port does not forward: \`bridge port not forwarding\`. No destination MAC is given: \`addressed to the
   bridge\`. On a port that is in any VLAN the frame's VLAN is its tag (\`port not in vlan\`) or the only pvid (\`no pvid\`);
   on one that is in none it is 0. A learning port and a source that the fdb does not have there: \`source mac not learned\`.
   A group address: an entry of the mdb has the packet leave by each of its ports (\`group\`) but the one it came in by, those that do not
   forward and those that are not in the VLAN; by none of them if one is in another bridge, down or too small; \`group without another
   port\` drops. IGMP, ICMPv6, broadcast and 01:80:c2:00:00:00 to 0f, a tag on a bridge that does not filter, and no entry:
   \`destination mac is a group\`. Any other address: the fdb decides: \`fdb miss\`, \`fdb drop\`, \`fdb trap\`, or the egress port:
   \`fdb same port\`, \`egress port in another bridge\`, \`egress bridge port not forwarding\`, \`egress port not in vlan\`, \`egress
   port down\`, \`egress mtu\`; else \`fdb\`, tagged unless the membership says untagged.
5. Routing. No router interface for port and vlan: \`no router interface\`. Destination MAC not its own: \`destination mac is
   not the router\`. \`family not routed\`. A lookup without ingress begins at the next step, in the domain it names.
6. Rules of stage routing: \`routing acl drop\`, \`routing acl trap\`, or accept.
7. \`ttl\` of 1 or less.
8. \`destination …\` or \`source …\` that is multicast, broadcast, loopback, unspecified (0.0.0.0/8), link-local or (IPv6)
   mapped IPv4. \`source of another family\`. \`source is an address of this machine\`: an IPv4 source that arrived by a
   router interface and has a route of length 32 with action trap.
9. Reverse path (IPv4, where the ingress interface asks for it): the source has no route (\`reverse path miss\`), or one
   that does not say by which links (\`reverse path unknown\`); strict: none of its group's nexthops has the ingress
   interface's ifindex (\`reverse path by another interface\`).
10. Longest prefix in the domain: \`lpm miss\`, \`route drop\`, \`route trap\`, or a group.
11. Every member of the group with a weight above 0: \`nexthop trap\`, \`nexthop drop\`, \`egress port down\`, \`egress is
    ingress\` (same router interface: the kernel would send a redirect), \`egress mtu\`; else a way out. No such member:
    \`group without members\`. The verdict is forward (\`route\`) only if all of them forward; else \`mayTrap\` and \`mayDrop\`
    tell, and the ways of the others are listed all the same.

What a query leaves out: numbers are 0 (TTL and length 64); without a source, checks of the source pass and rules that
look at it do not match; without a destination MAC it is addressed to the router.

A lookup that counts adds to the port, router interface, rules, fdb entry, route, group, and the one nexthop that the hash
of the flow chooses.

## Faults

\`failEvery\` n: every n-th row written or removed meets \`io-error\`. \`refuse\`: writes meet \`refused\`. \`delay\`: each burst
takes so many microseconds. \`poweredOff\`: all tables are lost, \`epoch\` goes up by one, writes and removes meet
\`powered-off\`; with power back the tables are empty. Faults end with the host.

## The state file

With \`state\` the tables stand in a file that is mapped, so that they survive the end of the host, however it ends: what was
written is the kernel's at once. It does not protect against the machine losing power. One host at a time has it open
(\`flock\`). When it is opened, its header must fit the configured capacities, and every row is checked as if it were
written; rows that do not pass are thrown away and counted (\`discarded\`). Everything derived from rows — hash indexes,
reference counts, prefix lengths, rule order, free lists — is made anew. A replacement that was cut short is carried out
from a one-row journal. Its format belongs to one version of the host, little-endian; do not truncate it while in use.

Tables matched by content have a hash index, at most half full, with linear probing. Removing shifts back what follows, so
there are no tombstones and lookups do not slow down with age. Longest-prefix match probes only the lengths in use, from
the longest.
`;

export function document(): string {
  const parts = [INTRODUCTION, '\n## Tables\n'];
  for (const table of TABLES) {
    const kind = table.slots ? 'slots' : `key of ${table.keyWords} words`;
    const rows = `${count(table.capacity)} rows unless configured, at most ${count(table.maxCapacity)}`;
    parts.push(
      `\n### \`${table.name}\` (${kind}; ${rows})\n\n${table.docs}\n\n| Word | Field | |\n|--:|---|---|\n`,
    );
    let word = 0;
    for (const field of table.fields) {
      const last = word + field.words - 1;
      parts.push(`| ${last === word ? word : `${word}–${last}`} | ${field.name} | ${field.docs} |\n`);
      word += field.words;
    }
  }
  parts.push(PIPELINE);
  return parts.join('');
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

if (import.meta.main) writeFileSync(new URL('../../../docs/asic.md', import.meta.url), document());
