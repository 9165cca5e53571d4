/* Which handles the device holds: a bit for each. A handle's index is the index of its row, where the table is an array, and of its
 * counter. */
#include "xdp.h"

struct held {
  /* Entries that are held at a time, and indexes their handles may have. */
  uint32_t capacity;
  uint32_t indexes;
  uint32_t count;
  uint32_t end;
  uint32_t *bits;
};

static struct held all[KINDS];

/* The table, or both, that hold a kind. */
static const struct {
  enum table first;
  enum table last;
} tables_of[KINDS] = {
    [EKHO_KIND_PORT] = {TABLE_PORTS, TABLE_PORTS},
    [EKHO_KIND_ROUTER_INTERFACE] = {TABLE_INTERFACES, TABLE_INTERFACES},
    [EKHO_KIND_NEXTHOP] = {TABLE_NEXTHOPS, TABLE_NEXTHOPS},
    [EKHO_KIND_GROUP] = {TABLE_GROUPS, TABLE_GROUPS},
    [EKHO_KIND_ROUTE] = {TABLE_ROUTES4, TABLE_ROUTES6},
    [EKHO_KIND_VLAN_MEMBER] = {TABLE_VLANS, TABLE_VLANS},
    [EKHO_KIND_FDB_ENTRY] = {TABLE_FDB, TABLE_FDB},
    [EKHO_KIND_FLOW] = {TABLE_FLOWS, TABLE_FLOWS},
    [EKHO_KIND_TUNNEL] = {TABLE_TUNNELS, TABLE_TUNNELS},
    [EKHO_KIND_REMOTE] = {TABLE_REMOTES, TABLE_REMOTES},
    [EKHO_KIND_MULTICAST_GROUP] = {TABLE_MULTICAST, TABLE_MULTICAST},
    [EKHO_KIND_ACL_RULE] = {TABLE_ACL_RULES, TABLE_ACL_RULES},
    [EKHO_KIND_CUSTOM] = {TABLE_METERS, TABLE_SAMPLES},
};

static void load_table(ekho_kind kind, enum table table) {
  uint32_t words = tables[table].words;
  uint32_t cursor = 0;
  do {
    size_t mark = ekho_mark();
    ekho_u32_list page = device_read(table, cursor, BURST_ROWS);
    /* The handle is the first word behind the key. */
    for (uint32_t at = 1 + tables[table].key_words; at < page.count; at += words) held_add(kind, page.items[at]);
    cursor = page.items[0];
    ekho_release(mark);
  } while (cursor != 0);
}

void held_load(void) {
  for (ekho_kind kind = 0; kind < KINDS; kind++) {
    struct held *held = &all[kind];
    uint32_t size = (held_indexes(kind) + 31) / 32 * sizeof *held->bits;
    if (held->bits == NULL) held->bits = ekho_keep(size);
    memset(held->bits, 0, size);
    held->count = held->end = 0;
    for (enum table table = tables_of[kind].first; table <= tables_of[kind].last; table++) load_table(kind, table);
  }
}

/* Arrays are twice as large as what they are to hold: a handle's index may be a little beyond. */
static bool is_array(ekho_kind kind) { 
  return kind <= EKHO_KIND_GROUP || kind == EKHO_KIND_ACL_RULE || kind == EKHO_KIND_TUNNEL;
}

uint32_t held_capacity(ekho_kind kind) {
  struct held *held = &all[kind];
  uint32_t rows = 0;
  for (enum table table = tables_of[kind].first; table <= tables_of[kind].last; table++) rows += tables[table].capacity;
  held->capacity = is_array(kind) ? rows / 2 : rows;
  held->indexes = 2 * held->capacity;
  return held->capacity;
}

uint32_t held_indexes(ekho_kind kind) { return 2 * held_capacity(kind); }

uint32_t held_end(ekho_kind kind) { return all[kind].end; }

uint32_t held_count(ekho_kind kind) { return all[kind].count; }

bool held_fits(ekho_kind kind, ekho_handle handle) {
  return handle >> 28 == (uint32_t)kind + 1 && index_of(handle) < all[kind].indexes;
}

bool held_has(ekho_kind kind, ekho_handle handle) {
  uint32_t index = index_of(handle);
  return held_fits(kind, handle) && (all[kind].bits[index / 32] >> index % 32 & 1) != 0;
}

void held_add(ekho_kind kind, ekho_handle handle) {
  uint32_t index = index_of(handle);
  if (!held_fits(kind, handle) || held_has(kind, handle)) return;
  all[kind].bits[index / 32] |= 1u << index % 32;
  all[kind].count++;
  if (index >= all[kind].end) all[kind].end = index + 1;
}

void held_drop(ekho_kind kind, ekho_handle handle) {
  uint32_t index = index_of(handle);
  if (!held_has(kind, handle)) return;
  all[kind].bits[index / 32] &= ~(1u << index % 32);
  all[kind].count--;
}
