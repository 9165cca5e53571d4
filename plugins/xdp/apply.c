/* Carrying out changes. Rows are gathered into bursts of one table and operation; when the device stops at a row, that row
 * gets its outcome and the burst goes on behind it. */
#include "xdp.h"

/* Rows on their way to the device, or keys with `remove`. */
static struct {
  enum table table;
  ekho_kind kind;
  ekho_operation operation;
  /* None of the rows' handles is held yet. */
  bool added;
  uint32_t count;
  ekho_handle *handles;
  uint32_t *words;
} burst;

static ekho_outcome_list *outcomes;

static void report(ekho_handle handle, ekho_status status, ekho_reason reason, uint32_t detail) {
  outcomes->items[outcomes->count++] = (ekho_outcome){handle, status, reason, detail};
}

/* What the device's status means to the host. */
static void report_status(ekho_handle handle, ekho_tables_status status) {
  switch (status) {
    case EKHO_TABLES_STATUS_FULL: report(handle, EKHO_STATUS_REFUSED, EKHO_REASON_TABLE_FULL, status); break;
    case EKHO_TABLES_STATUS_INVALID: report(handle, EKHO_STATUS_REFUSED, EKHO_REASON_INVALID, status); break;
    case EKHO_TABLES_STATUS_REFUSED: report(handle, EKHO_STATUS_REFUSED, EKHO_REASON_DEVICE_ERROR, status); break;
    /* Somebody else's program has the port: until the plan knows of it, or it goes. */
    case EKHO_TABLES_STATUS_BUSY: report(handle, EKHO_STATUS_FAILED, EKHO_REASON_BUSY, status); break;
    default: report(handle, EKHO_STATUS_FAILED, EKHO_REASON_DEVICE_ERROR, status); break;
  }
}

/* Counters of a kind, or TABLES. */
static enum table counts_of(ekho_kind kind) {
  switch (kind) {
    case EKHO_KIND_PORT: return TABLE_PORT_COUNTS;
    case EKHO_KIND_NEXTHOP: return TABLE_NEXTHOP_COUNTS;
    case EKHO_KIND_ROUTE: return TABLE_ROUTE_COUNTS;
    case EKHO_KIND_FDB_ENTRY: return TABLE_FDB_COUNTS;
    case EKHO_KIND_ACL_RULE: return TABLE_ACL_COUNTS;
    case EKHO_KIND_FLOW: return TABLE_FLOW_COUNTS;
    case EKHO_KIND_CUSTOM: return TABLE_CUSTOM_COUNTS;
    case EKHO_KIND_TUNNEL: return TABLE_TUNNEL_COUNTS;
    case EKHO_KIND_REMOTE: return TABLE_REMOTE_COUNTS;
    case EKHO_KIND_MULTICAST_GROUP: return TABLE_MULTICAST_COUNTS;
    default: return TABLES;
  }
}

static void clear_rows(enum table table, const ekho_handle *handles, uint32_t count) {
  uint32_t words = tables[table].words;
  size_t mark = ekho_mark();
  uint32_t *rows = ekho_alloc(count * words * sizeof *rows);
  memset(rows, 0, count * words * sizeof *rows);
  for (uint32_t i = 0; i < count; i++) rows[i * words] = index_of(handles[i]);
  device_put(table, rows, count, false);
  ekho_release(mark);
}

/* What comes under these handles later counts from zero. */
static void clear_counts(ekho_kind kind, const ekho_handle *handles, uint32_t count) {
  enum table table = counts_of(kind);
  if (table == TABLES || count == 0) return;
  clear_rows(table, handles, count);
  if (table == TABLE_ACL_COUNTS) clear_rows(TABLE_ACL_DROPS, handles, count);
}

/* Row `i` of the burst is done, with this status. */
static void finish(uint32_t i, ekho_tables_status status) {
  ekho_handle handle = burst.handles[i];
  bool removing = burst.operation == EKHO_OPERATION_REMOVE;
  /* Removing what is not there leaves nothing to do. */
  if (removing && status == EKHO_TABLES_STATUS_MISSING) status = EKHO_TABLES_STATUS_OK;
  if (status != EKHO_TABLES_STATUS_OK) {
    report_status(handle, status);
    return;
  }
  if (removing)
    held_drop(burst.kind, handle);
  else
    held_add(burst.kind, handle);
}

static void flush(void) {
  bool removing = burst.operation == EKHO_OPERATION_REMOVE;
  uint32_t words = removing ? tables[burst.table].key_words : tables[burst.table].words;
  uint32_t from = 0;
  while (from < burst.count) {
    uint32_t *rest = burst.words + from * words;
    ekho_tables_completion completion = removing ? device_remove(burst.table, rest, burst.count - from)
                                                 : device_put(burst.table, rest, burst.count - from, burst.added);
    uint32_t stop = from + completion.done;
    if (stop > burst.count) stop = burst.count;
    while (from < stop) finish(from++, EKHO_TABLES_STATUS_OK);
    if (from < burst.count) finish(from++, completion.status);
  }
  if (removing) clear_counts(burst.kind, burst.handles, burst.count);
  burst.count = 0;
}

/* Room for the rows of a list. */
static void open_list(ekho_kind kind, enum table table, uint32_t count) {
  burst.kind = kind;
  burst.table = table;
  burst.count = 0;
  burst.handles = ekho_alloc(count * sizeof *burst.handles);
  /* Rows of the two tables of routes share the room: those of IPv6 are larger. */
  uint32_t words = table == TABLE_ROUTES4 ? tables[TABLE_ROUTES6].words : tables[table].words;
  burst.words = ekho_alloc((count + 1) * words * sizeof *burst.words);
}

/* Where the row of a change goes; NULL when there is nothing left to do for it. */
static uint32_t *begin(enum table table, ekho_operation operation, ekho_handle handle) {
  bool removing = operation == EKHO_OPERATION_REMOVE;
  bool added = !removing && !held_has(burst.kind, handle);
  /* What waits in the burst may turn out to take the last places. */
  if (added && held_count(burst.kind) + burst.count >= held_capacity(burst.kind)) flush();
  if (!held_fits(burst.kind, handle) || (added && held_count(burst.kind) >= held_capacity(burst.kind))) {
    if (!removing) report(handle, EKHO_STATUS_REFUSED, EKHO_REASON_TABLE_FULL, 0);
    return NULL;
  }
  if (burst.table != table || burst.operation != operation || burst.added != added) flush();
  burst.table = table;
  burst.operation = operation;
  burst.added = added;
  return burst.words + burst.count * (removing ? tables[table].key_words : tables[table].words);
}

/* The row is filled in, or cannot be for this reason. With `remove` what follows the key is overwritten by the next. */
static void end(ekho_handle handle, ekho_reason reason) {
  if (reason == EKHO_REASON_NONE)
    burst.handles[burst.count++] = handle;
  else if (burst.operation == EKHO_OPERATION_PUT)
    /* What cannot be expressed is not there, so there is nothing to remove. */
    report(handle, EKHO_STATUS_REFUSED, reason, 0);
}

/* Ports whose VLANs changed get their rows again. */
static void refresh_ports(void) {
  for (uint32_t port; (port = vlans_next_changed()) != DP_NONE;) {
    if (!held_has(EKHO_KIND_PORT, handle_of(EKHO_KIND_PORT, port))) continue;
    uint32_t cursor = 0;
    do {
      size_t mark = ekho_mark();
      ekho_u32_list page = device_read(TABLE_PORTS, cursor, BURST_ROWS);
      for (uint32_t at = 1; at < page.count; at += tables[TABLE_PORTS].words) {
        struct dp_port *value = (void *)(page.items + at + 1);
        if (page.items[at] != port) continue;
        vlans_of_port(port, &value->flags, &value->pvid);
        device_put(TABLE_PORTS, page.items + at, 1, false);
      }
      cursor = page.items[0];
      ekho_release(mark);
    } while (cursor != 0);
  }
}

/* Rows that lead to the entry with this index: the last word of each is an index. */
static void remove_at(enum table table, uint32_t index) {
  uint32_t cursor = 0;
  do {
    size_t mark = ekho_mark();
    ekho_u32_list page = device_read(table, cursor, BURST_ROWS);
    for (uint32_t at = 1; at < page.count; at += tables[table].words)
      if (page.items[at + tables[table].words - 1] == index) device_remove(table, page.items + at, 1);
    cursor = page.items[0];
    ekho_release(mark);
  } while (cursor != 0);
}

/* The entry goes, and where it is found before it. */
static void remove_found(ekho_handle handle, enum table found, uint32_t *row) {
  remove_at(found, index_of(handle));
  row[0] = index_of(handle);
  end(handle, EKHO_REASON_NONE);
  flush();
}

/* The entry whose row is filled in, and where it is found: `at`. Frames that meet only one of the two go to the kernel. */
static void put_found(ekho_handle handle, ekho_reason reason, enum table found, uint32_t *at) {
  end(handle, reason);
  if (burst.count == 0) return;
  bool moved = held_has(burst.kind, handle);
  flush();
  if (!held_has(burst.kind, handle)) return;
  /* Where it stood before, if that is elsewhere. */
  if (moved) remove_at(found, index_of(handle));
  ekho_tables_status status = device_put(found, at, 1, !moved).status;
  if (status != EKHO_TABLES_STATUS_OK) report_status(handle, status);
}

static void change_interface(const ekho_router_interface *interface) {
  ekho_handle handle = interface->handle;
  uint32_t *row = begin(TABLE_INTERFACES, interface->operation, handle);
  uint32_t at[] = {index_of(interface->port), interface->vlan, index_of(handle)};
  if (row == NULL) return;
  if (interface->operation == EKHO_OPERATION_REMOVE)
    remove_found(handle, TABLE_INTERFACES_AT, row);
  else
    put_found(handle, row_of_interface(interface, row), TABLE_INTERFACES_AT, at);
}

static void change_tunnel(const ekho_tunnel *tunnel) {
  ekho_handle handle = tunnel->handle;
  uint32_t *row = begin(TABLE_TUNNELS, tunnel->operation, handle);
  uint32_t at[] = {__builtin_bswap32((uint32_t)tunnel->local.low), tunnel->vni, tunnel->port, index_of(handle)};
  if (row == NULL) return;
  if (tunnel->operation == EKHO_OPERATION_REMOVE)
    remove_found(handle, TABLE_TUNNELS_AT, row);
  else
    put_found(handle, row_of_tunnel(tunnel, row), TABLE_TUNNELS_AT, at);
}

static uint32_t size_of(const ekho_batch *changes) {
  return changes->ports.count + changes->router_interfaces.count + changes->nexthops.count + changes->groups.count +
         changes->routes.count + changes->vlan_members.count + changes->fdb_entries.count + changes->acl_rules.count +
         changes->flows.count + changes->customs.count + changes->tunnels.count + changes->remotes.count +
         changes->multicast_groups.count;
}

/* A list of rows found by index: removing takes no more than that. */
#define SLOT_LIST(list, kind, table, of_row)                                  \
  open_list(kind, table, changes->list.count);                                \
  for (uint32_t i = 0; i < changes->list.count; i++) {                        \
    const __typeof__(*changes->list.items) *one = &changes->list.items[i];    \
    uint32_t *row = begin(table, one->operation, one->handle);                \
    if (row == NULL) continue;                                                \
    if (one->operation == EKHO_OPERATION_REMOVE) {                            \
      row[0] = index_of(one->handle);                                         \
      end(one->handle, EKHO_REASON_NONE);                                     \
    } else {                                                                  \
      end(one->handle, of_row);                                               \
    }                                                                         \
  }                                                                           \
  flush()

/* A list of rows found by content. */
#define CONTENT_LIST(list, kind, first_table, table, of_row)                  \
  open_list(kind, first_table, changes->list.count);                          \
  for (uint32_t i = 0; i < changes->list.count; i++) {                        \
    const __typeof__(*changes->list.items) *one = &changes->list.items[i];    \
    uint32_t *row = begin(table, one->operation, one->handle);                \
    if (row != NULL) end(one->handle, of_row);                                \
  }                                                                           \
  flush()

static void change_rules(const ekho_acl_rule_list *rules) {
  if (rules->count == 0) return;
  open_list(EKHO_KIND_ACL_RULE, TABLE_ACL_RULES, rules->count);
  for (uint32_t i = 0; i < rules->count; i++) {
    const ekho_acl_rule *rule = &rules->items[i];
    uint32_t *row = begin(TABLE_ACL_RULES, rule->operation, rule->handle);
    if (row == NULL) continue;
    row[0] = index_of(rule->handle);
    if (rule->operation == EKHO_OPERATION_REMOVE) {
      acl_remove(rule->handle);
      end(rule->handle, EKHO_REASON_NONE);
      continue;
    }
    row[1] = rule->handle;
    memcpy(row + 2, rule, sizeof *rule);
    end(rule->handle, acl_put(rule));
  }
  flush();
  ekho_tables_status status = acl_commit();
  if (status == EKHO_TABLES_STATUS_OK) return;
  /* The old rules still count: none of the changes was carried out. */
  outcomes->count = 0;
  for (uint32_t i = 0; i < rules->count; i++)
    report(rules->items[i].handle, EKHO_STATUS_FAILED, EKHO_REASON_DEVICE_ERROR, status);
}

static void change_customs(const ekho_custom_list *customs) {
  if (customs->count == 0) return;
  open_list(EKHO_KIND_CUSTOM, TABLE_METERS, customs->count);
  for (uint32_t i = 0; i < customs->count; i++) {
    const ekho_custom *custom = &customs->items[i];
    enum table table = custom_table(custom);
    if (table == TABLES) {
      report(custom->handle, EKHO_STATUS_REFUSED, EKHO_REASON_INVALID, custom->offload_kind);
      continue;
    }
    custom_moved(custom);
    uint32_t *row = begin(table, custom->operation, custom->handle);
    if (row != NULL) end(custom->handle, row_of_custom(custom, row));
  }
  flush();
  ekho_tables_status status = custom_commit(customs);
  if (status == EKHO_TABLES_STATUS_OK) return;
  for (uint32_t i = 0; i < customs->count; i++) {
    bool answered = false;
    for (uint32_t j = 0; j < outcomes->count; j++) answered |= outcomes->items[j].handle == customs->items[i].handle;
    if (!answered) report_status(customs->items[i].handle, status);
  }
}

void ekho_offload_apply(const ekho_batch *changes, ekho_outcome_list *result) {
  notice_loss();
  outcomes = result;
  outcomes->items = ekho_alloc(size_of(changes) * sizeof *outcomes->items);
  outcomes->count = 0;
  SLOT_LIST(ports, EKHO_KIND_PORT, TABLE_PORTS, row_of_port(one, row));
  open_list(EKHO_KIND_ROUTER_INTERFACE, TABLE_INTERFACES, changes->router_interfaces.count);
  for (uint32_t i = 0; i < changes->router_interfaces.count; i++) change_interface(&changes->router_interfaces.items[i]);
  SLOT_LIST(nexthops, EKHO_KIND_NEXTHOP, TABLE_NEXTHOPS, row_of_nexthop(one, row));
  SLOT_LIST(groups, EKHO_KIND_GROUP, TABLE_GROUPS, row_of_group(one, &changes->members, row));
  CONTENT_LIST(routes, EKHO_KIND_ROUTE, TABLE_ROUTES4,
               one->family == EKHO_FAMILY_IPV4 ? TABLE_ROUTES4 : TABLE_ROUTES6, row_of_route(one, row));
  for (uint32_t i = 0; i < changes->vlan_members.count; i++) {
    const ekho_vlan_member *member = &changes->vlan_members.items[i];
    if (!held_fits(EKHO_KIND_VLAN_MEMBER, member->handle)) continue;
    if (member->operation == EKHO_OPERATION_REMOVE)
      vlans_remove(member->handle);
    else
      vlans_put(member);
  }
  CONTENT_LIST(vlan_members, EKHO_KIND_VLAN_MEMBER, TABLE_VLANS, TABLE_VLANS, row_of_vlan_member(one, row));
  refresh_ports();
  CONTENT_LIST(fdb_entries, EKHO_KIND_FDB_ENTRY, TABLE_FDB, TABLE_FDB, row_of_fdb_entry(one, row));
  change_rules(&changes->acl_rules);
  CONTENT_LIST(flows, EKHO_KIND_FLOW, TABLE_FLOWS, TABLE_FLOWS, row_of_flow(one, row));
  change_customs(&changes->customs);
  open_list(EKHO_KIND_TUNNEL, TABLE_TUNNELS, changes->tunnels.count);
  for (uint32_t i = 0; i < changes->tunnels.count; i++) change_tunnel(&changes->tunnels.items[i]);
  CONTENT_LIST(remotes, EKHO_KIND_REMOTE, TABLE_REMOTES, TABLE_REMOTES, row_of_remote(one, row));
  CONTENT_LIST(multicast_groups, EKHO_KIND_MULTICAST_GROUP, TABLE_MULTICAST, TABLE_MULTICAST,
               row_of_multicast_group(one, row));
}
