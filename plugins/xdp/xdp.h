/* What the parts of xdp, the plugin for the XDP data path of this machine, know of each other. */
#ifndef XDP_H
#define XDP_H

#include "datapath.h"
#include "ekho.h"

#define KINDS 13

/* The device's tables, in the order of the names in plugin.c. */
enum table {
  TABLE_PORTS,
  TABLE_INTERFACES,
  TABLE_INTERFACES_AT,
  TABLE_NEXTHOPS,
  TABLE_GROUPS,
  TABLE_ROUTES4,
  TABLE_ROUTES6,
  TABLE_VLANS,
  TABLE_FDB,
  TABLE_FLOWS,
  TABLE_METERS,
  TABLE_SAMPLES,
  TABLE_TUNNELS,
  TABLE_REMOTES,
  TABLE_MULTICAST,
  TABLE_ACL_RULES,
  TABLE_ACL_MASKS,
  TABLE_ACL_KEYS,
  TABLE_ACL_EDITS,
  TABLE_ACL_BUCKETS,
  TABLE_ACL_STATE,
  TABLE_CUSTOM_STATE,
  TABLE_METER_STATES,
  TABLE_TUNNELS_AT,
  TABLE_PORT_COUNTS,
  TABLE_NEXTHOP_COUNTS,
  TABLE_ROUTE_COUNTS,
  TABLE_FDB_COUNTS,
  TABLE_ACL_COUNTS,
  TABLE_FLOW_COUNTS,
  TABLE_CUSTOM_COUNTS,
  TABLE_TUNNEL_COUNTS,
  TABLE_REMOTE_COUNTS,
  TABLE_MULTICAST_COUNTS,
  TABLE_ACL_DROPS,
  TABLES
};

struct table_info {
  uint32_t number;
  uint32_t capacity;
  uint32_t words;
  uint32_t key_words;
};

extern struct table_info tables[TABLES];

/* Rows in one call to the device, at most. */
#define BURST_ROWS 4096

static inline uint32_t index_of(ekho_handle handle) { return DP_INDEX(handle); }

static inline ekho_handle handle_of(ekho_kind kind, uint32_t index) {
  return ((uint32_t)kind + 1) << 28 | index;
}

/* held.c: which handles the device holds, and what is derived from several of them. */

void held_load(void);
/* Entries that can be held, and indexes their handles may have: below twice that. */
uint32_t held_capacity(ekho_kind kind);
uint32_t held_indexes(ekho_kind kind);
uint32_t held_count(ekho_kind kind);
/* Above all indexes that were ever held. */
uint32_t held_end(ekho_kind kind);
bool held_has(ekho_kind kind, ekho_handle handle);
/* False for a handle that has no place. */
bool held_fits(ekho_kind kind, ekho_handle handle);
void held_add(ekho_kind kind, ekho_handle handle);
void held_drop(ekho_kind kind, ekho_handle handle);

/* rows.c: the host's records as rows and back. Each `row_of_` fills the row and tells what is wrong, EKHO_REASON_NONE for
 * nothing; with `remove` only the key counts. */

ekho_reason row_of_port(const ekho_port *port, uint32_t *row);
ekho_reason row_of_interface(const ekho_router_interface *interface, uint32_t *row);
ekho_reason row_of_nexthop(const ekho_nexthop *nexthop, uint32_t *row);
ekho_reason row_of_group(const ekho_group *group, const ekho_member_list *members, uint32_t *row);
ekho_reason row_of_route(const ekho_route *route, uint32_t *row);
ekho_reason row_of_vlan_member(const ekho_vlan_member *member, uint32_t *row);
ekho_reason row_of_fdb_entry(const ekho_fdb_entry *entry, uint32_t *row);
ekho_reason row_of_flow(const ekho_flow *flow, uint32_t *row);
ekho_reason row_of_tunnel(const ekho_tunnel *tunnel, uint32_t *row);
ekho_reason row_of_remote(const ekho_remote *remote, uint32_t *row);
ekho_reason row_of_multicast_group(const ekho_multicast_group *group, uint32_t *row);

void port_of_row(const uint32_t *row, ekho_port *port);
void interface_of_row(const uint32_t *row, ekho_router_interface *interface);
void nexthop_of_row(const uint32_t *row, ekho_nexthop *nexthop);
/* Writes the members from `first` on. */
void group_of_row(const uint32_t *row, uint32_t first, ekho_group *group, ekho_member *members);
void route_of_row4(const uint32_t *row, ekho_route *route);
void route_of_row6(const uint32_t *row, ekho_route *route);
void vlan_member_of_row(const uint32_t *row, ekho_vlan_member *member);
void fdb_entry_of_row(const uint32_t *row, ekho_fdb_entry *entry);
void flow_of_row(const uint32_t *row, ekho_flow *flow);
void tunnel_of_row(const uint32_t *row, ekho_tunnel *tunnel);
void remote_of_row(const uint32_t *row, ekho_remote *remote);
void multicast_group_of_row(const uint32_t *row, ekho_multicast_group *group);
void acl_rule_of_row(const uint32_t *row, ekho_acl_rule *rule);
/* What a rule edits, as the row `index` of its table; `bucket`: of its rate, if it has one. */
void row_of_edit(const ekho_acl_rule *rule, uint32_t index, uint32_t bucket, uint32_t *row);

/* vlans.c: which VLANs a port is in, as its own row needs it. */

void vlans_load(void);
void vlans_put(const ekho_vlan_member *member);
void vlans_remove(ekho_handle handle);
/* Flag and pvid of the port's row. */
void vlans_of_port(uint32_t port, uint32_t *flags, uint32_t *pvid);
/* Ports whose VLANs changed: the next one, DP_NONE when there is none. */
uint32_t vlans_next_changed(void);

/* acl.c: rules as masks and keys. */

#define ACL_EDITS_ALL ((EKHO_ACL_EDITS_POLICE_TRAPPED << 1) - 1)

void acl_load(void);
/* Whether the rule can be held; if so it is, in the plugin's memory. */
ekho_reason acl_put(const ekho_acl_rule *rule);
void acl_remove(ekho_handle handle);
/* Whether some rule polices, or did: there may be counts of what it dropped. */
bool acl_polices(void);
/* Has the data path go by the rules as they are now. EKHO_TABLES_STATUS_OK, or what the device says. */
ekho_tables_status acl_commit(void);

/* buckets.c: what rules with a rate take from. Rules that say the same of it share one, which is there as long as one of them is. */

/* Those that the rows of `acl_edits` from `first` on lead to. */
void buckets_load(uint32_t first, uint32_t count);
/* Rules are told anew: each by bucket_of(), then new buckets are filled. */
void buckets_begin(void);
/* Row of the rule's bucket. */
uint32_t bucket_of(const ekho_acl_rule *rule);
ekho_tables_status buckets_fill(void);
/* Whether the data path goes by what was told, or by what was told before. */
void buckets_end(bool done);

/* custom.c: kinds of its own, meters and samples. */

enum { CUSTOM_METER, CUSTOM_SAMPLE, CUSTOM_KINDS };

void custom_describe(ekho_plugin_offload_kind_list *result);
void custom_load(void);
/* The table of a kind; TABLES for a kind that there is not. */
enum table custom_table(const ekho_custom *custom);
ekho_reason row_of_custom(const ekho_custom *custom, uint32_t *row);
void custom_of_meter(const uint32_t *row, ekho_custom *custom);
void custom_of_sample(const uint32_t *row, ekho_custom *custom);
/* Where the sampling of this handle was, if that is another port than now. */
void custom_moved(const ekho_custom *custom);
/* Tells the data path which of them there are. EKHO_TABLES_STATUS_OK, or what the device says. */
ekho_tables_status custom_commit(const ekho_custom_list *customs);

/* plugin.c: what is held is read again where the device lost rows; the next poll tells. */

void notice_loss(void);

/* device.c: rows to the device. */

ekho_tables_completion device_put(enum table table, uint32_t *rows, uint32_t count, bool added);
ekho_tables_completion device_remove(enum table table, uint32_t *keys, uint32_t count);
/* Pages through a table: rows behind the first word. */
ekho_u32_list device_read(enum table table, uint32_t cursor, uint32_t limit);

#endif
