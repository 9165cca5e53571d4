/* l3-mirror: the plan's routes, groups, nexthops and neighbours into another kernel, by the device rtnetlink. Rows are the
 * plan's own records as words, and what the other kernel holds is read from it. Ports and router interfaces, which it has no
 * place for, are remembered; after a restart the host gives them anew. */
#define EKHO_IMPLEMENT
#include <ekho.h>

#define KINDS (EKHO_KIND_ROUTE + 1)
#define PORTS_MAX 64
#define INTERFACES_MAX 256
#define INDEX 0x0fffffffu
#define GROUP_MEMBERS 128
#define POLL_INTERVAL_MS 500
#define BURST_ROWS 64
#define ROW_WORDS_MAX 11
#define TABLE_SHIFT 28
/* asm-generic/errno.h: what a link that is down answers. */
#define ENETDOWN_ 100

static const uint32_t words_of[] = {
    [EKHO_RTNETLINK_TABLE_INTERFACE] = 4,
    [EKHO_RTNETLINK_TABLE_NEXTHOP] = 11,
    [EKHO_RTNETLINK_TABLE_GROUP] = 4,
    [EKHO_RTNETLINK_TABLE_ROUTE] = 10,
};

static const ekho_rtnetlink_table table_of[KINDS] = {
    [EKHO_KIND_ROUTER_INTERFACE] = EKHO_RTNETLINK_TABLE_INTERFACE,
    [EKHO_KIND_NEXTHOP] = EKHO_RTNETLINK_TABLE_NEXTHOP,
    [EKHO_KIND_GROUP] = EKHO_RTNETLINK_TABLE_GROUP,
    [EKHO_KIND_ROUTE] = EKHO_RTNETLINK_TABLE_ROUTE,
};

static uint32_t epoch;

/* By the index of their handle; a handle of 0 is none. */
static ekho_port ports[PORTS_MAX + 1];
static ekho_router_interface interfaces[INTERFACES_MAX + 1];

static uint32_t capacity(ekho_kind kind) {
  if (kind == EKHO_KIND_PORT) return PORTS_MAX;
  if (kind == EKHO_KIND_ROUTER_INTERFACE) return INTERFACES_MAX;
  return ekho_rtnetlink_capacity(table_of[kind]);
}

void ekho_plugin_describe(ekho_plugin_description *result) {
  static ekho_plugin_ability abilities[KINDS];
  for (ekho_kind kind = 0; kind < KINDS; kind++)
    abilities[kind] = (ekho_plugin_ability){
        .kind = kind,
        .capacity = capacity(kind),
        .update_in_place = true,
        .reads_back = true,
    };
  *result = (ekho_plugin_description){
      .vendor = EKHO_STRING("EKHO"),
      .name = EKHO_STRING("l3-mirror"),
      .version = EKHO_STRING("0.1.0"),
      .abilities = {abilities, KINDS},
      .group_members = GROUP_MEMBERS,
      .vlan_interfaces = true,
      .poll_interval = POLL_INTERVAL_MS,
  };
}

void ekho_plugin_configure(const ekho_plugin_setting_list *settings, ekho_result_none_string *result) {
  if (settings->count == 0) return;
  result->is_error = true;
  result->error = EKHO_STRING("it has no settings: the device's are in its own section");
}

void ekho_plugin_start(ekho_result_none_string *result) {
  (void)result;
  epoch = ekho_rtnetlink_epoch();
  ekho_log_write(EKHO_LOG_LEVEL_INFO, EKHO_STRING("started"));
}

void ekho_plugin_stop(void) {}

/* ---- changes ---- */

static ekho_outcome_list *outcomes;

/* Says once a batch what the other kernel answered. */
static void report(ekho_handle handle, ekho_rtnetlink_completion completion, bool *said) {
  ekho_outcome outcome = {handle, EKHO_STATUS_REFUSED, EKHO_REASON_DEVICE_ERROR, completion.errno};
  switch (completion.status) {
    /* A link may come, and a link that is down go up. */
    case EKHO_RTNETLINK_STATUS_MISSING_LINK:
      outcome.status = EKHO_STATUS_FAILED;
      outcome.reason = EKHO_REASON_MISSING_REFERENCE;
      break;
    case EKHO_RTNETLINK_STATUS_IO_ERROR: outcome.status = EKHO_STATUS_FAILED; break;
    case EKHO_RTNETLINK_STATUS_INVALID: outcome.reason = EKHO_REASON_INVALID; break;
    case EKHO_RTNETLINK_STATUS_REFUSED:
      if (completion.errno == ENETDOWN_) outcome.status = EKHO_STATUS_FAILED;
      break;
  }
  outcomes->items[outcomes->count++] = outcome;
  if (*said) return;
  *said = true;
  ekho_log_write(EKHO_LOG_LEVEL_WARN, ekho_rtnetlink_reason());
}

/* Rows on their way, or handles with `remove`; the rows of a group count as one. */
static struct {
  ekho_rtnetlink_table table;
  ekho_operation operation;
  uint32_t rows;
  uint32_t words[(BURST_ROWS + GROUP_MEMBERS) * ROW_WORDS_MAX];
} burst;

static bool said;

static void flush(void) {
  bool removing = burst.operation == EKHO_OPERATION_REMOVE;
  uint32_t width = removing ? 1 : words_of[burst.table];
  for (uint32_t from = 0; from < burst.rows;) {
    ekho_u32_list rest = {burst.words + from * width, (burst.rows - from) * width};
    ekho_rtnetlink_completion completion =
        removing ? ekho_rtnetlink_remove(burst.table, rest) : ekho_rtnetlink_write(burst.table, rest);
    from += completion.done;
    if (completion.status == EKHO_RTNETLINK_STATUS_OK || from >= burst.rows) break;
    ekho_handle handle = burst.words[from * width];
    report(handle, completion, &said);
    /* All rows of a group that failed. */
    while (from < burst.rows && burst.words[from * width] == handle) from++;
  }
  burst.rows = 0;
}

/* Where the next row goes; its first word is the handle already. */
static uint32_t *next_row(ekho_rtnetlink_table table, ekho_operation operation, ekho_handle handle) {
  uint32_t width = operation == EKHO_OPERATION_REMOVE ? 1 : words_of[table];
  uint32_t *row = burst.words + burst.rows++ * width;
  row[0] = handle;
  return row;
}

static void begin(ekho_rtnetlink_table table, ekho_operation operation) {
  if (burst.rows >= BURST_ROWS || burst.table != table || burst.operation != operation) flush();
  burst.table = table;
  burst.operation = operation;
}

static void put_address(uint32_t *to, ekho_address address) {
  to[0] = (uint32_t)(address.high >> 32);
  to[1] = (uint32_t)address.high;
  to[2] = (uint32_t)(address.low >> 32);
  to[3] = (uint32_t)address.low;
}

static ekho_address address_of(const uint32_t *words) {
  return (ekho_address){(uint64_t)words[0] << 32 | words[1], (uint64_t)words[2] << 32 | words[3]};
}

static void apply_group(const ekho_group *group, const ekho_member *members) {
  begin(EKHO_RTNETLINK_TABLE_GROUP, group->operation);
  if (group->operation == EKHO_OPERATION_REMOVE) {
    next_row(EKHO_RTNETLINK_TABLE_GROUP, group->operation, group->handle);
    return;
  }
  for (uint32_t i = 0; i < group->count; i++) {
    uint32_t *row = next_row(EKHO_RTNETLINK_TABLE_GROUP, group->operation, group->handle);
    row[1] = group->id;
    row[2] = members[group->first + i].nexthop;
    row[3] = members[group->first + i].weight;
  }
}

void ekho_offload_apply(const ekho_batch *changes, ekho_outcome_list *result) {
  uint32_t most = changes->router_interfaces.count + changes->nexthops.count + changes->groups.count + changes->routes.count;
  outcomes = result;
  outcomes->items = ekho_alloc(most * sizeof *outcomes->items);
  said = false;
  for (uint32_t i = 0; i < changes->ports.count; i++) {
    const ekho_port *it = &changes->ports.items[i];
    uint32_t index = it->handle & INDEX;
    if (index > PORTS_MAX) continue;
    ports[index] = *it;
    if (it->operation == EKHO_OPERATION_REMOVE) ports[index].handle = 0;
  }
  for (uint32_t i = 0; i < changes->router_interfaces.count; i++) {
    const ekho_router_interface *it = &changes->router_interfaces.items[i];
    uint32_t index = it->handle & INDEX;
    if (index > INTERFACES_MAX) continue;
    interfaces[index] = *it;
    if (it->operation == EKHO_OPERATION_REMOVE) interfaces[index].handle = 0;
    begin(EKHO_RTNETLINK_TABLE_INTERFACE, it->operation);
    uint32_t *row = next_row(EKHO_RTNETLINK_TABLE_INTERFACE, it->operation, it->handle);
    if (it->operation == EKHO_OPERATION_REMOVE) continue;
    row[1] = it->ifindex;
    row[2] = it->vrf;
    row[3] = it->flags;
  }
  for (uint32_t i = 0; i < changes->nexthops.count; i++) {
    const ekho_nexthop *it = &changes->nexthops.items[i];
    begin(EKHO_RTNETLINK_TABLE_NEXTHOP, it->operation);
    uint32_t *row = next_row(EKHO_RTNETLINK_TABLE_NEXTHOP, it->operation, it->handle);
    if (it->operation == EKHO_OPERATION_REMOVE) continue;
    row[1] = it->action;
    row[2] = it->family;
    row[3] = it->router_interface;
    row[4] = it->ifindex;
    put_address(row + 5, it->gateway);
    row[9] = (uint32_t)(it->destination_mac >> 32);
    row[10] = (uint32_t)it->destination_mac;
  }
  for (uint32_t i = 0; i < changes->groups.count; i++) apply_group(&changes->groups.items[i], changes->members.items);
  for (uint32_t i = 0; i < changes->routes.count; i++) {
    const ekho_route *it = &changes->routes.items[i];
    begin(EKHO_RTNETLINK_TABLE_ROUTE, it->operation);
    uint32_t *row = next_row(EKHO_RTNETLINK_TABLE_ROUTE, it->operation, it->handle);
    if (it->operation == EKHO_OPERATION_REMOVE) continue;
    row[1] = it->vrf;
    row[2] = it->family;
    row[3] = it->prefix_length;
    row[4] = it->action;
    row[5] = it->group;
    put_address(row + 6, it->prefix);
  }
  flush();
}

/* ---- what there is ---- */

static void fill_nexthops(const uint32_t *row, uint32_t count, ekho_batch *entries) {
  entries->nexthops = (ekho_nexthop_list){ekho_alloc(count * sizeof(ekho_nexthop)), count};
  for (uint32_t i = 0; i < count; i++, row += words_of[EKHO_RTNETLINK_TABLE_NEXTHOP])
    entries->nexthops.items[i] = (ekho_nexthop){
        .handle = row[0],
        .action = (ekho_action)row[1],
        .family = (ekho_family)row[2],
        .router_interface = row[3],
        .ifindex = row[4],
        .gateway = address_of(row + 5),
        .destination_mac = (uint64_t)row[9] << 32 | row[10],
    };
}

static void fill_groups(const uint32_t *row, uint32_t count, ekho_batch *entries) {
  entries->groups.items = ekho_alloc(count * sizeof(ekho_group));
  entries->members = (ekho_member_list){ekho_alloc(count * sizeof(ekho_member)), count};
  for (uint32_t i = 0; i < count; i++, row += words_of[EKHO_RTNETLINK_TABLE_GROUP]) {
    if (i == 0 || entries->groups.items[entries->groups.count - 1].handle != row[0])
      entries->groups.items[entries->groups.count++] = (ekho_group){.handle = row[0], .id = row[1], .first = i};
    entries->groups.items[entries->groups.count - 1].count++;
    entries->members.items[i] = (ekho_member){row[0], row[2], row[3]};
  }
}

static void fill_routes(const uint32_t *row, uint32_t count, ekho_batch *entries) {
  entries->routes = (ekho_route_list){ekho_alloc(count * sizeof(ekho_route)), count};
  for (uint32_t i = 0; i < count; i++, row += words_of[EKHO_RTNETLINK_TABLE_ROUTE])
    entries->routes.items[i] = (ekho_route){
        .handle = row[0],
        .vrf = row[1],
        .family = (ekho_family)row[2],
        .prefix_length = (uint8_t)row[3],
        .action = (ekho_action)row[4],
        .group = row[5],
        .prefix = address_of(row + 6),
    };
}

/* Ports and router interfaces from the position on. */
static void fill_remembered(uint32_t *position, uint32_t limit, ekho_batch *entries) {
  entries->ports.items = ekho_alloc(sizeof ports);
  entries->router_interfaces.items = ekho_alloc(sizeof interfaces);
  for (uint32_t room = limit; room > 0 && *position <= PORTS_MAX + 1 + INTERFACES_MAX; (*position)++) {
    uint32_t index = *position;
    if (index <= PORTS_MAX) {
      if (ports[index].handle == 0) continue;
      entries->ports.items[entries->ports.count++] = ports[index];
    } else {
      if (interfaces[index - PORTS_MAX - 1].handle == 0) continue;
      entries->router_interfaces.items[entries->router_interfaces.count++] = interfaces[index - PORTS_MAX - 1];
    }
    room--;
  }
}

/* A cursor is the table with the position in it; table 0 is what is remembered. */
void ekho_offload_readback(uint32_t cursor, uint32_t limit, ekho_offload_page *result) {
  uint32_t position = cursor & ((1u << TABLE_SHIFT) - 1);
  uint32_t number = cursor >> TABLE_SHIFT;
  if (number < EKHO_RTNETLINK_TABLE_NEXTHOP) {
    fill_remembered(&position, limit, &result->entries);
    result->next = position <= PORTS_MAX + 1 + INTERFACES_MAX ? position : EKHO_RTNETLINK_TABLE_NEXTHOP << TABLE_SHIFT;
    return;
  }
  for (; number <= EKHO_RTNETLINK_TABLE_ROUTE; number++, position = 0) {
    /* A group is an entry beside its members, and is not split where a page ends. */
    uint32_t most = number != EKHO_RTNETLINK_TABLE_GROUP ? limit : limit > 4 * GROUP_MEMBERS ? limit / 4 : 1;
    ekho_u32_list rows = ekho_rtnetlink_read((ekho_rtnetlink_table)number, position, most);
    uint32_t count = (rows.count - 1) / words_of[number];
    if (rows.items[0] != 0)
      result->next = number << TABLE_SHIFT | rows.items[0];
    else
      result->next = number < EKHO_RTNETLINK_TABLE_ROUTE ? (number + 1) << TABLE_SHIFT : 0;
    if (count == 0) continue;
    if (number == EKHO_RTNETLINK_TABLE_NEXTHOP) fill_nexthops(rows.items + 1, count, &result->entries);
    if (number == EKHO_RTNETLINK_TABLE_GROUP) fill_groups(rows.items + 1, count, &result->entries);
    if (number == EKHO_RTNETLINK_TABLE_ROUTE) fill_routes(rows.items + 1, count, &result->entries);
    return;
  }
}

void ekho_offload_poll(ekho_event_list *result) {
  static ekho_event reset = {.event_type = EKHO_EVENT_TYPE_DEVICE_RESET};
  uint32_t now = ekho_rtnetlink_epoch();
  if (now == epoch) return;
  epoch = now;
  ekho_log_write(EKHO_LOG_LEVEL_WARN, EKHO_STRING("links or nexthops changed in the other kernel"));
  *result = (ekho_event_list){&reset, 1};
}

/* The kernel says itself how full it is. */
void ekho_offload_tables(ekho_table_usage_list *result) { (void)result; }

void ekho_notifier_notify(const ekho_notice_list *notices) { (void)notices; }

/* Nexthops have no counters everywhere. */
void ekho_stats_collect(uint32_t cursor, uint32_t limit, ekho_stats_page *result) {
  (void)cursor;
  (void)limit;
  (void)result;
}
