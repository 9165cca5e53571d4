/* Carrying out changes. Rows are gathered into bursts of one table and operation; when the ASIC stops at a row, that row
 * gets its outcome and the burst goes on behind it. */
#include "softnic.h"

/* Rows on their way to the ASIC, or keys with `remove`. */
static struct {
  ekho_asic_table table;
  ekho_kind kind;
  ekho_operation operation;
  uint32_t count;
  struct {
    ekho_handle handle;
    /* It got its slot for this put, and loses it when that fails. */
    bool fresh;
  } entries[BURST_ROWS];
  uint32_t words[BURST_ROWS * ROW_WORDS_MAX];
} burst;

static ekho_outcome_list *outcomes;

static void report(ekho_handle handle, ekho_status status, ekho_reason reason, uint32_t detail) {
  outcomes->items[outcomes->count++] = (ekho_outcome){handle, status, reason, detail};
}

static bool has_slots(ekho_kind kind) {
  return kind <= EKHO_KIND_GROUP || kind == EKHO_KIND_ACL_RULE;
}

/* What the ASIC's status means to the host. */
static void report_asic(ekho_handle handle, ekho_asic_status status) {
  switch (status) {
    case EKHO_ASIC_STATUS_TABLE_FULL: report(handle, EKHO_STATUS_REFUSED, EKHO_REASON_TABLE_FULL, status); break;
    case EKHO_ASIC_STATUS_INVALID: report(handle, EKHO_STATUS_REFUSED, EKHO_REASON_INVALID, status); break;
    case EKHO_ASIC_STATUS_REFUSED: report(handle, EKHO_STATUS_REFUSED, EKHO_REASON_DEVICE_ERROR, status); break;
    case EKHO_ASIC_STATUS_POWERED_OFF: report(handle, EKHO_STATUS_FAILED, EKHO_REASON_DEVICE_OFF, status); break;
    default: report(handle, EKHO_STATUS_FAILED, EKHO_REASON_DEVICE_ERROR, status); break;
  }
}

/* Row `i` of the burst is done, with this status. */
static void finish(uint32_t i, ekho_asic_status status) {
  ekho_handle handle = burst.entries[i].handle;
  bool removing = burst.operation == EKHO_OPERATION_REMOVE;
  /* Removing what is not there leaves nothing to do. */
  if (removing && status == EKHO_ASIC_STATUS_MISSING) status = EKHO_ASIC_STATUS_OK;
  if (status != EKHO_ASIC_STATUS_OK) report_asic(handle, status);
  if (!has_slots(burst.kind)) return;
  if (removing ? status == EKHO_ASIC_STATUS_OK : status != EKHO_ASIC_STATUS_OK && burst.entries[i].fresh)
    slots_give_back(burst.kind, handle);
}

static void flush(void) {
  const ekho_asic_table_info *info = &softnic.info[burst.table];
  bool removing = burst.operation == EKHO_OPERATION_REMOVE;
  uint32_t words = removing ? info->key_words : info->words;
  uint32_t from = 0;
  while (from < burst.count) {
    ekho_u32_list rest = {burst.words + from * words, (burst.count - from) * words};
    ekho_asic_completion completion =
        removing ? ekho_asic_remove(burst.table, rest) : ekho_asic_write(burst.table, rest);
    uint32_t stop = from + completion.done;
    if (stop > burst.count) stop = burst.count;
    while (from < stop) finish(from++, EKHO_ASIC_STATUS_OK);
    if (from == burst.count) break;
    /* Without power there is no use in asking again for each row. */
    uint32_t end = completion.status == EKHO_ASIC_STATUS_POWERED_OFF ? burst.count : from + 1;
    while (from < end) finish(from++, completion.status);
  }
  burst.count = 0;
}

/* A change that is being made into a row or key at the end of the burst. */
struct change {
  ekho_handle handle;
  uint32_t slot;
  bool fresh;
  /* Where the row goes; null when there is nothing left to do for this change. */
  uint32_t *row;
};

/* Begins a change of a kind that is found by content. */
static struct change begin(ekho_asic_table table, ekho_kind kind, ekho_operation operation, ekho_handle handle) {
  if (burst.count == softnic.burst || burst.table != table || burst.operation != operation) flush();
  burst.table = table;
  burst.kind = kind;
  burst.operation = operation;
  const ekho_asic_table_info *info = &softnic.info[table];
  uint32_t words = operation == EKHO_OPERATION_REMOVE ? info->key_words : info->words;
  return (struct change){.handle = handle, .slot = NO_SLOT, .row = burst.words + burst.count * words};
}

static void add(const struct change *change) {
  burst.entries[burst.count].handle = change->handle;
  burst.entries[burst.count].fresh = change->fresh;
  burst.count++;
}

/* Begins a change of a kind whose rows have slots. Removing takes no more than that. */
static struct change begin_slot(ekho_asic_table table, ekho_kind kind, ekho_operation operation, ekho_handle handle) {
  struct change change = begin(table, kind, operation, handle);
  change.slot = slots_find(kind, handle);
  if (operation == EKHO_OPERATION_REMOVE) {
    change.row[0] = change.slot;
    if (change.slot != NO_SLOT) add(&change);
    change.row = NULL;
    return change;
  }
  if (change.slot == NO_SLOT) {
    change.slot = slots_take(kind, handle);
    change.fresh = true;
  }
  if (change.slot == NO_SLOT) {
    report(handle, EKHO_STATUS_REFUSED, EKHO_REASON_TABLE_FULL, 0);
    change.row = NULL;
  }
  return change;
}

/* The row is filled in, or cannot be for this reason. */
static void end(struct change change, ekho_reason reason) {
  bool removing = burst.operation == EKHO_OPERATION_REMOVE;
  if (reason != EKHO_REASON_NONE) {
    if (change.fresh) slots_give_back(burst.kind, change.handle);
    /* The ASIC cannot hold what has no row, so there is nothing to remove. */
    if (!removing) report(change.handle, EKHO_STATUS_REFUSED, reason, 0);
    return;
  }
  /* A key is the row without cookie and what follows the key. */
  if (removing)
    memmove(change.row, change.row + 1, softnic.info[burst.table].key_words * sizeof *change.row);
  add(&change);
}

static uint32_t size_of(const ekho_batch *changes) {
  return changes->ports.count + changes->router_interfaces.count + changes->nexthops.count + changes->groups.count +
         changes->routes.count + changes->vlan_members.count + changes->fdb_entries.count + changes->acl_rules.count +
         changes->multicast_groups.count;
}

/* Each list is flushed before the next, whose rows refer to it. */
static void carry_out(const ekho_batch *changes) {
  for (uint32_t i = 0; i < changes->ports.count; i++) {
    const ekho_port *port = &changes->ports.items[i];
    struct change change = begin_slot(EKHO_ASIC_TABLE_PORT, EKHO_KIND_PORT, port->operation, port->handle);
    if (change.row != NULL) end(change, row_of_port(port, change.slot, change.row));
  }
  flush();
  for (uint32_t i = 0; i < changes->router_interfaces.count; i++) {
    const ekho_router_interface *interface = &changes->router_interfaces.items[i];
    struct change change = begin_slot(EKHO_ASIC_TABLE_ROUTER_INTERFACE, EKHO_KIND_ROUTER_INTERFACE,
                                      interface->operation, interface->handle);
    if (change.row != NULL) end(change, row_of_router_interface(interface, change.slot, change.row));
  }
  flush();
  for (uint32_t i = 0; i < changes->nexthops.count; i++) {
    const ekho_nexthop *nexthop = &changes->nexthops.items[i];
    struct change change =
        begin_slot(EKHO_ASIC_TABLE_NEXTHOP, EKHO_KIND_NEXTHOP, nexthop->operation, nexthop->handle);
    if (change.row != NULL) end(change, row_of_nexthop(nexthop, change.slot, change.row));
  }
  flush();
  for (uint32_t i = 0; i < changes->groups.count; i++) {
    const ekho_group *group = &changes->groups.items[i];
    struct change change = begin_slot(EKHO_ASIC_TABLE_GROUP, EKHO_KIND_GROUP, group->operation, group->handle);
    if (change.row != NULL) end(change, row_of_group(group, &changes->members, change.slot, change.row));
  }
  flush();
  for (uint32_t i = 0; i < changes->routes.count; i++) {
    const ekho_route *route = &changes->routes.items[i];
    ekho_asic_table table = route->family == EKHO_FAMILY_IPV4 ? EKHO_ASIC_TABLE_LPM4 : EKHO_ASIC_TABLE_LPM6;
    struct change change = begin(table, EKHO_KIND_ROUTE, route->operation, route->handle);
    end(change, row_of_route(route, change.row));
  }
  flush();
  for (uint32_t i = 0; i < changes->vlan_members.count; i++) {
    const ekho_vlan_member *member = &changes->vlan_members.items[i];
    struct change change = begin(EKHO_ASIC_TABLE_VLAN, EKHO_KIND_VLAN_MEMBER, member->operation, member->handle);
    end(change, row_of_vlan_member(member, change.row));
  }
  flush();
  for (uint32_t i = 0; i < changes->fdb_entries.count; i++) {
    const ekho_fdb_entry *entry = &changes->fdb_entries.items[i];
    struct change change = begin(EKHO_ASIC_TABLE_FDB, EKHO_KIND_FDB_ENTRY, entry->operation, entry->handle);
    end(change, row_of_fdb_entry(entry, change.row));
  }
  flush();
  for (uint32_t i = 0; i < changes->acl_rules.count; i++) {
    const ekho_acl_rule *rule = &changes->acl_rules.items[i];
    struct change change = begin_slot(EKHO_ASIC_TABLE_ACL, EKHO_KIND_ACL_RULE, rule->operation, rule->handle);
    if (change.row != NULL) end(change, row_of_acl_rule(rule, change.slot, change.row));
  }
  flush();
  for (uint32_t i = 0; i < changes->multicast_groups.count; i++) {
    const ekho_multicast_group *group = &changes->multicast_groups.items[i];
    struct change change = begin(EKHO_ASIC_TABLE_MDB, EKHO_KIND_MULTICAST_GROUP, group->operation, group->handle);
    end(change, row_of_multicast_group(group, change.row));
  }
  flush();
}

/* The tables are gone and the host does not know yet: nothing can be put on top of what is not there. */
static void fail_all(const ekho_batch *changes) {
#define FAIL(list)                                    \
  for (uint32_t i = 0; i < changes->list.count; i++) \
  report(changes->list.items[i].handle, EKHO_STATUS_FAILED, EKHO_REASON_DEVICE_OFF, 0)
  FAIL(ports);
  FAIL(router_interfaces);
  FAIL(nexthops);
  FAIL(groups);
  FAIL(routes);
  FAIL(vlan_members);
  FAIL(fdb_entries);
  FAIL(acl_rules);
  FAIL(multicast_groups);
#undef FAIL
}

void ekho_offload_apply(const ekho_batch *changes, ekho_outcome_list *result) {
  outcomes = result;
  outcomes->items = ekho_alloc(size_of(changes) * sizeof *outcomes->items);
  outcomes->count = 0;
  burst.count = 0;
  if (ekho_asic_epoch() == softnic.epoch)
    carry_out(changes);
  else
    fail_all(changes);
}
