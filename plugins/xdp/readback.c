/* What the data path holds: as the host's records, as counters, and how full. A page is rows of one table, and its cursor the
 * table with the device's own cursor in it. */
#include "xdp.h"

#define TABLE_SHIFT 24
#define POSITION ((1u << TABLE_SHIFT) - 1)

/* Indexes of a table's rows, or counters, that need not be looked at: from here on. */
static uint32_t end_of(enum table table) {
  switch (table) {
    case TABLE_PORTS:
    case TABLE_PORT_COUNTS: return held_end(EKHO_KIND_PORT);
    case TABLE_INTERFACES: return held_end(EKHO_KIND_ROUTER_INTERFACE);
    case TABLE_NEXTHOPS:
    case TABLE_NEXTHOP_COUNTS: return held_end(EKHO_KIND_NEXTHOP);
    case TABLE_GROUPS: return held_end(EKHO_KIND_GROUP);
    case TABLE_ROUTE_COUNTS: return held_end(EKHO_KIND_ROUTE);
    case TABLE_FDB_COUNTS: return held_end(EKHO_KIND_FDB_ENTRY);
    case TABLE_ACL_RULES:
    case TABLE_ACL_COUNTS: return held_end(EKHO_KIND_ACL_RULE);
    case TABLE_TUNNELS:
    case TABLE_TUNNEL_COUNTS: return held_end(EKHO_KIND_TUNNEL);
    case TABLE_REMOTE_COUNTS: return held_end(EKHO_KIND_REMOTE);
    case TABLE_MULTICAST_COUNTS: return held_end(EKHO_KIND_MULTICAST_GROUP);
    case TABLE_FLOW_COUNTS: return held_end(EKHO_KIND_FLOW);
    case TABLE_CUSTOM_COUNTS: return held_end(EKHO_KIND_CUSTOM);
    default: return DP_NONE;
  }
}

/* Reads at most `limit` rows of the table that the cursor names, between `from` and `to`; `next` is the cursor that goes on. */
static ekho_u32_list read_page(enum table from, enum table to, uint32_t cursor, uint32_t limit, enum table *table,
                               uint32_t *next) {
  *table = from + (cursor >> TABLE_SHIFT);
  /* Members of groups count as entries of their own. */
  uint32_t most = *table == TABLE_GROUPS ? limit / (1 + DP_MEMBERS) : limit;
  ekho_u32_list rows = device_read(*table, cursor & POSITION, most == 0 ? 1 : most);
  if (rows.items[0] != 0 && rows.items[0] < end_of(*table)) {
    *next = (uint32_t)(*table - from) << TABLE_SHIFT | rows.items[0];
    return rows;
  }
  enum table after = *table + 1 == TABLE_INTERFACES_AT ? *table + 2 : *table + 1;
  *next = after <= to ? (uint32_t)(after - from) << TABLE_SHIFT : 0;
  return rows;
}

#define FILL(list, of_row)                                                                 \
  do {                                                                                     \
    entries->list.count = count;                                                           \
    entries->list.items = ekho_alloc(count * sizeof *entries->list.items);                 \
    for (uint32_t i = 0; i < count; i++) of_row(row + i * words, &entries->list.items[i]); \
  } while (0)

static void fill_groups(const uint32_t *row, uint32_t words, uint32_t count, ekho_batch *entries) {
  uint32_t members = 0;
  for (uint32_t i = 0; i < count; i++) members += ((const struct dp_group *)(row + i * words + 1))->count;
  entries->groups.count = count;
  entries->groups.items = ekho_alloc(count * sizeof *entries->groups.items);
  entries->members.items = ekho_alloc(members * sizeof *entries->members.items);
  for (uint32_t i = 0; i < count; i++) {
    group_of_row(row + i * words, entries->members.count, &entries->groups.items[i], entries->members.items);
    entries->members.count += entries->groups.items[i].count;
  }
}

void ekho_offload_readback(uint32_t cursor, uint32_t limit, ekho_offload_page *result) {
  ekho_batch *entries = &result->entries;
  enum table table;
  ekho_u32_list rows = read_page(TABLE_PORTS, TABLE_ACL_RULES, cursor, limit, &table, &result->next);
  if (rows.count <= 1) return;
  const uint32_t *row = rows.items + 1;
  uint32_t words = tables[table].words;
  uint32_t count = (rows.count - 1) / words;
  switch (table) {
    case TABLE_PORTS: FILL(ports, port_of_row); break;
    case TABLE_INTERFACES: FILL(router_interfaces, interface_of_row); break;
    case TABLE_NEXTHOPS: FILL(nexthops, nexthop_of_row); break;
    case TABLE_GROUPS: fill_groups(row, words, count, entries); break;
    case TABLE_ROUTES4: FILL(routes, route_of_row4); break;
    case TABLE_ROUTES6: FILL(routes, route_of_row6); break;
    case TABLE_VLANS: FILL(vlan_members, vlan_member_of_row); break;
    case TABLE_FDB: FILL(fdb_entries, fdb_entry_of_row); break;
    case TABLE_FLOWS: FILL(flows, flow_of_row); break;
    case TABLE_METERS: FILL(customs, custom_of_meter); break;
    case TABLE_SAMPLES: FILL(customs, custom_of_sample); break;
    case TABLE_TUNNELS: FILL(tunnels, tunnel_of_row); break;
    case TABLE_REMOTES: FILL(remotes, remote_of_row); break;
    case TABLE_MULTICAST: FILL(multicast_groups, multicast_group_of_row); break;
    case TABLE_ACL_RULES: FILL(acl_rules, acl_rule_of_row); break;
    default: break;
  }
}

static uint64_t joined(const uint32_t *low) { return (uint64_t)low[1] << 32 | low[0]; }

/* Rows of what rules dropped, in the order of their indexes as those of what they counted. */
struct drops {
  const uint32_t *at;
  uint32_t left;
};

static struct drops read_drops(uint32_t cursor, uint32_t limit) {
  if (!acl_polices()) return (struct drops){0};
  ekho_u32_list rows = device_read(TABLE_ACL_DROPS, cursor, limit);
  return (struct drops){rows.items + 1, rows.count <= 1 ? 0 : (rows.count - 1) / tables[TABLE_ACL_DROPS].words};
}

static uint64_t drops_of(struct drops *drops, uint32_t index) {
  for (; drops->left > 0 && drops->at[0] < index; drops->left--) drops->at += tables[TABLE_ACL_DROPS].words;
  return drops->left > 0 && drops->at[0] == index ? joined(drops->at + 1) : 0;
}

void ekho_stats_collect(uint32_t cursor, uint32_t limit, ekho_stats_page *result) {
  static const ekho_kind kind_of[TABLES] = {
      [TABLE_PORT_COUNTS] = EKHO_KIND_PORT,     [TABLE_NEXTHOP_COUNTS] = EKHO_KIND_NEXTHOP,
      [TABLE_ROUTE_COUNTS] = EKHO_KIND_ROUTE,   [TABLE_FDB_COUNTS] = EKHO_KIND_FDB_ENTRY,
      [TABLE_ACL_COUNTS] = EKHO_KIND_ACL_RULE,   [TABLE_FLOW_COUNTS] = EKHO_KIND_FLOW,
      [TABLE_CUSTOM_COUNTS] = EKHO_KIND_CUSTOM,
      [TABLE_TUNNEL_COUNTS] = EKHO_KIND_TUNNEL, [TABLE_REMOTE_COUNTS] = EKHO_KIND_REMOTE,
      [TABLE_MULTICAST_COUNTS] = EKHO_KIND_MULTICAST_GROUP,
  };
  enum table table = TABLE_PORT_COUNTS + (cursor >> TABLE_SHIFT);
  /* Read first: what is dropped is also counted with all others, and must not seem more. */
  struct drops drops = table == TABLE_ACL_COUNTS ? read_drops(cursor & POSITION, limit) : (struct drops){0};
  ekho_u32_list rows = read_page(TABLE_PORT_COUNTS, TABLE_MULTICAST_COUNTS, cursor, limit, &table, &result->next);
  if (rows.count <= 1) return;
  uint32_t words = tables[table].words;
  uint32_t count = (rows.count - 1) / words;
  result->counters.items = ekho_alloc(count * sizeof *result->counters.items);
  const uint32_t *row = rows.items + 1;
  for (uint32_t i = 0; i < count; i++, row += words) {
    ekho_handle handle = handle_of(kind_of[table], row[0]);
    if (!held_has(kind_of[table], handle)) continue;
    result->counters.items[result->counters.count++] = (ekho_counter){
        .handle = handle,
        .packets = joined(row + 1),
        .bytes = joined(row + 3),
        .last_used = joined(row + 5),
        .drops = drops_of(&drops, row[0]),
    };
  }
}

void ekho_offload_tables(ekho_table_usage_list *result) {
  notice_loss();
  static ekho_table_usage usage[KINDS];
  for (ekho_kind kind = 0; kind < KINDS; kind++)
    usage[kind] = (ekho_table_usage){kind, held_capacity(kind), held_count(kind)};
  *result = (ekho_table_usage_list){usage, KINDS};
}
