/* What the parts of softnic, the reference plugin for the simulated switch ASIC, know of each other. */
#ifndef SOFTNIC_H
#define SOFTNIC_H

#include "asic_rows.h"
#include "ekho.h"

#define TABLES 10
/* Of which it holds all but those between ACL rules and multicast groups. */
#define KINDS (EKHO_KIND_MULTICAST_GROUP + 1)

/* Rows in one call to the ASIC, at most; `burst` in the settings lowers it. */
#define BURST_ROWS 512

/* Largest row there is: a group with room for this many members. */
#define MEMBERS_MAX 64
/* Of a multicast group. */
#define PORTS_MAX 32
#define ROW_WORDS_MAX (GROUP_MEMBERS + 2 * MEMBERS_MAX)

struct softnic {
  ekho_asic_table_info info[TABLES];
  uint32_t group_members;
  uint32_t burst;
  /* The power losses the ASIC had when its rows were last looked at. */
  uint32_t epoch;
};

extern struct softnic softnic;

/* slots.c: which handle stands in which slot, for the tables that are arrays. */

/* Takes in what the ASIC holds. */
void slots_load(void);
/* Slot of a handle of this kind, NO_SLOT if it has none. */
uint32_t slots_find(ekho_kind kind, ekho_handle handle);
/* Handle in a slot, 0 for none. */
ekho_handle slots_handle(ekho_kind kind, uint32_t slot);
/* Gives a handle a free slot; NO_SLOT when all are taken. */
uint32_t slots_take(ekho_kind kind, ekho_handle handle);
void slots_give_back(ekho_kind kind, ekho_handle handle);

/* rows.c: between the host's records and the ASIC's rows. The first group of functions fills the row of a record and tells
 * what is wrong with it, EKHO_REASON_NONE for nothing; the second fills a record from a row. */

ekho_reason row_of_port(const ekho_port *port, uint32_t slot, uint32_t *row);
ekho_reason row_of_router_interface(const ekho_router_interface *interface, uint32_t slot, uint32_t *row);
ekho_reason row_of_nexthop(const ekho_nexthop *nexthop, uint32_t slot, uint32_t *row);
ekho_reason row_of_group(const ekho_group *group, const ekho_member_list *members, uint32_t slot, uint32_t *row);
ekho_reason row_of_route(const ekho_route *route, uint32_t *row);
ekho_reason row_of_vlan_member(const ekho_vlan_member *member, uint32_t *row);
ekho_reason row_of_fdb_entry(const ekho_fdb_entry *entry, uint32_t *row);
ekho_reason row_of_multicast_group(const ekho_multicast_group *group, uint32_t *row);
ekho_reason row_of_acl_rule(const ekho_acl_rule *rule, uint32_t slot, uint32_t *row);

void port_of_row(const uint32_t *row, ekho_port *port);
void router_interface_of_row(const uint32_t *row, ekho_router_interface *interface);
void nexthop_of_row(const uint32_t *row, ekho_nexthop *nexthop);
/* Writes GROUP_COUNT members from `first` on. */
void group_of_row(const uint32_t *row, uint32_t first, ekho_group *group, ekho_member *members);
void route_of_row4(const uint32_t *row, ekho_route *route);
void route_of_row6(const uint32_t *row, ekho_route *route);
void vlan_member_of_row(const uint32_t *row, ekho_vlan_member *member);
void fdb_entry_of_row(const uint32_t *row, ekho_fdb_entry *entry);
void multicast_group_of_row(const uint32_t *row, ekho_multicast_group *group);
void acl_rule_of_row(const uint32_t *row, ekho_acl_rule *rule);

#endif
