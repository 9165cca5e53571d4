/* What the ASIC holds: as the host's records, as counters, and how full. A page is rows of one table, and its cursor the
 * table with the ASIC's own cursor in it. */
#include "softnic.h"

#define TABLE_SHIFT 28
#define POSITION ((1u << TABLE_SHIFT) - 1)

/* Finds the next table from the cursor on that has rows, and reads at most `limit` of them by `read`. */
static ekho_u32_list read_page(ekho_u32_list (*read)(ekho_asic_table, uint32_t, uint32_t), uint32_t cursor,
                               uint32_t limit, ekho_asic_table *table, uint32_t *next) {
  ekho_u32_list rows = {NULL, 0};
  uint32_t position = cursor & POSITION;
  *next = 0;
  for (uint32_t number = cursor >> TABLE_SHIFT; number < TABLES; number++, position = 0) {
    *table = (ekho_asic_table)number;
    uint32_t most = limit;
    /* Members of groups count as entries of their own. */
    if (number == EKHO_ASIC_TABLE_GROUP) most = limit / (1 + softnic.group_members);
    if (most == 0) most = 1;
    rows = read(*table, position, most);
    if (rows.items[0] != 0)
      *next = number << TABLE_SHIFT | rows.items[0];
    else
      *next = number + 1 < TABLES ? (number + 1) << TABLE_SHIFT : 0;
    if (rows.count > 1) break;
  }
  return rows;
}

#define FILL(list, of_row)                                                                     \
  do {                                                                                         \
    entries->list.count = count;                                                               \
    entries->list.items = ekho_alloc(count * sizeof *entries->list.items);                     \
    for (uint32_t i = 0; i < count; i++) of_row(row + i * words, &entries->list.items[i]);     \
  } while (0)

static void fill_groups(const uint32_t *row, uint32_t words, uint32_t count, ekho_batch *entries) {
  uint32_t members = 0;
  for (uint32_t i = 0; i < count; i++) members += row[i * words + GROUP_COUNT];
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
  ekho_asic_table table;
  ekho_u32_list rows = read_page(ekho_asic_read, cursor, limit, &table, &result->next);
  if (rows.count <= 1) return;
  const uint32_t *row = rows.items + 1;
  uint32_t words = softnic.info[table].words;
  uint32_t count = (rows.count - 1) / words;
  switch (table) {
    case EKHO_ASIC_TABLE_PORT: FILL(ports, port_of_row); break;
    case EKHO_ASIC_TABLE_ROUTER_INTERFACE: FILL(router_interfaces, router_interface_of_row); break;
    case EKHO_ASIC_TABLE_NEXTHOP: FILL(nexthops, nexthop_of_row); break;
    case EKHO_ASIC_TABLE_GROUP: fill_groups(row, words, count, entries); break;
    case EKHO_ASIC_TABLE_LPM4: FILL(routes, route_of_row4); break;
    case EKHO_ASIC_TABLE_LPM6: FILL(routes, route_of_row6); break;
    case EKHO_ASIC_TABLE_VLAN: FILL(vlan_members, vlan_member_of_row); break;
    case EKHO_ASIC_TABLE_FDB: FILL(fdb_entries, fdb_entry_of_row); break;
    case EKHO_ASIC_TABLE_ACL: FILL(acl_rules, acl_rule_of_row); break;
    case EKHO_ASIC_TABLE_MDB: FILL(multicast_groups, multicast_group_of_row); break;
  }
}

static uint64_t joined(const uint32_t *low) { return (uint64_t)low[1] << 32 | low[0]; }

void ekho_stats_collect(uint32_t cursor, uint32_t limit, ekho_stats_page *result) {
  enum { WORDS = 7 };
  ekho_asic_table table;
  ekho_u32_list rows = read_page(ekho_asic_counters, cursor, limit, &table, &result->next);
  if (rows.count <= 1) return;
  result->counters.count = (rows.count - 1) / WORDS;
  result->counters.items = ekho_alloc(result->counters.count * sizeof *result->counters.items);
  const uint32_t *row = rows.items + 1;
  for (uint32_t i = 0; i < result->counters.count; i++, row += WORDS)
    result->counters.items[i] = (ekho_counter){
        .handle = row[0],
        .packets = joined(row + 1),
        .bytes = joined(row + 3),
        .last_used = joined(row + 5),
    };
}

void ekho_offload_tables(ekho_table_usage_list *result) {
  static const ekho_kind kind_of[TABLES] = {
      [EKHO_ASIC_TABLE_PORT] = EKHO_KIND_PORT,
      [EKHO_ASIC_TABLE_ROUTER_INTERFACE] = EKHO_KIND_ROUTER_INTERFACE,
      [EKHO_ASIC_TABLE_NEXTHOP] = EKHO_KIND_NEXTHOP,
      [EKHO_ASIC_TABLE_GROUP] = EKHO_KIND_GROUP,
      [EKHO_ASIC_TABLE_LPM4] = EKHO_KIND_ROUTE,
      [EKHO_ASIC_TABLE_LPM6] = EKHO_KIND_ROUTE,
      [EKHO_ASIC_TABLE_VLAN] = EKHO_KIND_VLAN_MEMBER,
      [EKHO_ASIC_TABLE_FDB] = EKHO_KIND_FDB_ENTRY,
      [EKHO_ASIC_TABLE_ACL] = EKHO_KIND_ACL_RULE,
      [EKHO_ASIC_TABLE_MDB] = EKHO_KIND_MULTICAST_GROUP,
  };
  static ekho_table_usage of_kind[KINDS], usage[KINDS];
  uint32_t count = 0;
  memset(of_kind, 0, sizeof of_kind);
  for (ekho_asic_table table = 0; table < TABLES; table++) {
    ekho_asic_table_info info = ekho_asic_info(table);
    ekho_table_usage *one = &of_kind[kind_of[table]];
    one->kind = kind_of[table];
    one->capacity += info.capacity;
    one->used += info.used;
  }
  for (ekho_kind kind = 0; kind < KINDS; kind++)
    if (of_kind[kind].capacity != 0) usage[count++] = of_kind[kind];
  *result = (ekho_table_usage_list){usage, count};
}
