/* @NAME@, a plugin that routes: ports, router interfaces, nexthops, groups and routes, on the simulated switch ASIC (docs/asic.md).
 * To make it one for your hardware, replace the rows and the four device functions it calls: ekho_asic_….
 *
 * It remembers nothing. An entry's slot comes from its handle (the host counts indexes from 0 to below the capacity), and the
 * cookie of its row is the handle, so after a restart `readback` tells the host all that the hardware still holds. */
#define EKHO_IMPLEMENT
#include <ekho.h>

enum { NO_SLOT = 0xffffffff, MEMBERS_MAX = 64, TABLES = 6, ROW_MAX = 4 + 2 * 64 };

/* The tables it uses, in the order of their kinds: routes have two. */
static const ekho_asic_table table_of[TABLES] = {EKHO_ASIC_TABLE_PORT, EKHO_ASIC_TABLE_ROUTER_INTERFACE, EKHO_ASIC_TABLE_NEXTHOP,
                                                 EKHO_ASIC_TABLE_GROUP, EKHO_ASIC_TABLE_LPM4, EKHO_ASIC_TABLE_LPM6};
static const ekho_kind kind_of[TABLES] = {EKHO_KIND_PORT, EKHO_KIND_ROUTER_INTERFACE, EKHO_KIND_NEXTHOP,
                                          EKHO_KIND_GROUP, EKHO_KIND_ROUTE, EKHO_KIND_ROUTE};
static ekho_asic_table_info info[TABLES];
static uint32_t epoch;

static uint32_t slot_of(ekho_kind kind, ekho_handle handle) {
  return handle >> 28 == (uint32_t)kind + 1 ? handle & 0x0fffffff : NO_SLOT;
}
static ekho_handle handle_of(ekho_kind kind, uint32_t slot) {
  return slot == NO_SLOT ? 0 : ((uint32_t)kind + 1) << 28 | slot;
}

/* Who it is and what it can do: the host never asks for more. */
void ekho_plugin_describe(ekho_plugin_description *result) {
  static ekho_plugin_ability abilities[5];
  for (uint32_t i = 0; i < TABLES; i++) {
    info[i] = ekho_asic_info(table_of[i]);
    ekho_plugin_ability *ability = &abilities[kind_of[i]];
    uint32_t capacity = info[i].capacity + (i == 5 ? ability->capacity : 0);
    *ability = (ekho_plugin_ability){kind_of[i], capacity, .update_in_place = true, .counts = true, .reads_back = true};
  }
  *result = (ekho_plugin_description){
      .vendor = EKHO_STRING("@NAME@"),
      .name = EKHO_STRING("@NAME@"),
      .version = EKHO_STRING("0.1.0"),
      .abilities = {abilities, 5},
      .group_members = MEMBERS_MAX,
      .reverse_path = true, .vlan_interfaces = true,
      .poll_interval = 200,
  };
}

/* It has no settings of its own. */
void ekho_plugin_configure(const ekho_plugin_setting_list *settings, ekho_result_none_string *result) {
  if (settings->count != 0) *result = (ekho_result_none_string){.is_error = true, .error = settings->items[0].name};
}

void ekho_plugin_start(ekho_result_none_string *result) {
  (void)result;
  epoch = ekho_asic_epoch();
  ekho_log_write(EKHO_LOG_LEVEL_INFO, EKHO_STRING("started"));
}
void ekho_plugin_stop(void) {}

/* One change: `row` as the ASIC wants it, its key behind the cookie. Adds an outcome when it was not plainly carried out. */
static void carry_out(uint32_t table, ekho_operation operation, uint32_t *row, ekho_outcome_list *outcomes) {
  ekho_asic_completion done =
      operation == EKHO_OPERATION_PUT ? ekho_asic_write(table_of[table], (ekho_u32_list){row, info[table].words})
                                      : ekho_asic_remove(table_of[table], (ekho_u32_list){row + 1, info[table].key_words});
  /* Removing what is not there leaves nothing to do. */
  if (done.status == EKHO_ASIC_STATUS_OK || done.status == EKHO_ASIC_STATUS_MISSING) return;
  ekho_outcome *outcome = &outcomes->items[outcomes->count++];
  *outcome = (ekho_outcome){row[0], EKHO_STATUS_REFUSED, EKHO_REASON_INVALID, done.status};
  if (done.status == EKHO_ASIC_STATUS_TABLE_FULL || (table < 4 && row[1] >= info[table].capacity))
    outcome->reason = EKHO_REASON_TABLE_FULL;
  /* What may go well the next time has failed; the host asks again. */
  if (done.status == EKHO_ASIC_STATUS_IO_ERROR) outcome->status = EKHO_STATUS_FAILED, outcome->reason = EKHO_REASON_DEVICE_ERROR;
  if (done.status == EKHO_ASIC_STATUS_POWERED_OFF) outcome->status = EKHO_STATUS_FAILED, outcome->reason = EKHO_REASON_DEVICE_OFF;
}

static void put_u64(uint32_t *words, uint64_t value) { words[0] = (uint32_t)(value >> 32), words[1] = (uint32_t)value; }
static uint64_t get_u64(const uint32_t *words) { return (uint64_t)words[0] << 32 | words[1]; }
/* Counters have the lower word first. */
static uint64_t get_u64_low(const uint32_t *words) { return (uint64_t)words[1] << 32 | words[0]; }

#define EACH(type, list) for (const ekho_##type *it = changes->list.items; it < changes->list.items + changes->list.count; it++)

void ekho_offload_apply(const ekho_batch *changes, ekho_outcome_list *result) {
  static uint32_t row[ROW_MAX];
  uint32_t count = changes->ports.count + changes->router_interfaces.count + changes->nexthops.count + changes->groups.count +
                   changes->routes.count;
  result->items = ekho_alloc(count * sizeof *result->items);
  EACH(port, ports) {
    row[0] = it->handle, row[1] = slot_of(EKHO_KIND_PORT, it->handle), row[2] = it->ifindex, row[3] = it->mtu;
    put_u64(row + 4, it->mac), row[6] = it->bridge, row[7] = it->flags;
    carry_out(0, it->operation, row, result);
  }
  EACH(router_interface, router_interfaces) {
    row[0] = it->handle, row[1] = slot_of(EKHO_KIND_ROUTER_INTERFACE, it->handle);
    row[2] = slot_of(EKHO_KIND_PORT, it->port), row[3] = it->ifindex, row[4] = it->vrf;
    put_u64(row + 5, it->mac), row[7] = it->mtu, row[8] = it->vlan, row[9] = it->flags;
    carry_out(1, it->operation, row, result);
  }
  EACH(nexthop, nexthops) {
    row[0] = it->handle, row[1] = slot_of(EKHO_KIND_NEXTHOP, it->handle), row[2] = it->action;
    row[3] = slot_of(EKHO_KIND_ROUTER_INTERFACE, it->router_interface), row[4] = it->family, row[5] = it->ifindex;
    put_u64(row + 6, it->gateway.high), put_u64(row + 8, it->gateway.low), put_u64(row + 10, it->destination_mac);
    carry_out(2, it->operation, row, result);
  }
  EACH(group, groups) {
    memset(row, 0, sizeof row);
    row[0] = it->handle, row[1] = slot_of(EKHO_KIND_GROUP, it->handle), row[2] = it->id, row[3] = it->count;
    for (uint32_t i = 0; i < it->count && i < MEMBERS_MAX && it->first + i < changes->members.count; i++) {
      row[4 + 2 * i] = slot_of(EKHO_KIND_NEXTHOP, changes->members.items[it->first + i].nexthop);
      row[5 + 2 * i] = changes->members.items[it->first + i].weight;
    }
    carry_out(3, it->operation, row, result);
  }
  EACH(route, routes) {
    uint32_t v6 = it->family == EKHO_FAMILY_IPV6, at = 2;
    row[0] = it->handle, row[1] = it->vrf;
    if (v6) put_u64(row + 2, it->prefix.high), put_u64(row + 4, it->prefix.low), at = 6;
    else row[at++] = (uint32_t)it->prefix.low;
    row[at] = it->prefix_length, row[at + 1] = it->action, row[at + 2] = slot_of(EKHO_KIND_GROUP, it->group);
    carry_out(4 + v6, it->operation, row, result);
  }
}

/* A page is rows of one table; its cursor is the table in the upper 4 bits and the ASIC's own cursor below. Returns the rows from
 * the cursor on and sets where to go on; *table is TABLES when there are none any more. */
static ekho_u32_list next_rows(ekho_u32_list (*read)(ekho_asic_table, uint32_t, uint32_t), uint32_t cursor, uint32_t limit,
                               uint32_t *table, uint32_t *next) {
  uint32_t position = cursor & 0x0fffffff;
  for (*table = cursor >> 28; *table < TABLES; (*table)++, position = 0) {
    /* Members of a group count as entries too. */
    uint32_t most = *table == 3 ? limit / (1 + MEMBERS_MAX) : limit;
    ekho_u32_list rows = read(table_of[*table], position, most == 0 ? 1 : most);
    *next = rows.items[0] != 0 ? *table << 28 | rows.items[0] : *table + 1 < TABLES ? (*table + 1) << 28 : 0;
    if (rows.count > 1) return (ekho_u32_list){rows.items + 1, rows.count - 1};
  }
  *next = 0;
  return (ekho_u32_list){0};
}

/* A new record at the end of a list of the page, with room for all rows of it. */
#define ADD(list) (list.items = list.count == 0 ? ekho_alloc(count * sizeof *list.items) : list.items, &list.items[list.count++])

void ekho_offload_readback(uint32_t cursor, uint32_t limit, ekho_offload_page *result) {
  ekho_batch *page = &result->entries;
  uint32_t table;
  ekho_u32_list rows = next_rows(ekho_asic_read, cursor, limit, &table, &result->next);
  uint32_t count = table < TABLES ? rows.count / info[table].words : 0;
  if (table == 3) page->members.items = ekho_alloc(count * info[3].words / 2 * sizeof *page->members.items);
  for (const uint32_t *row = rows.items; row < rows.items + rows.count; row += info[table].words) {
    uint8_t v6 = table == 5;
    switch (table) {
      case 0: *ADD(page->ports) = (ekho_port){0, row[0], row[2], row[3], get_u64(row + 4), row[6], (uint8_t)row[7]}; break;
      case 1:
        *ADD(page->router_interfaces) = (ekho_router_interface){0, row[0], handle_of(EKHO_KIND_PORT, row[2]), row[3], row[4],
                                                                get_u64(row + 5), row[7], (uint16_t)row[8], (uint8_t)row[9]};
        break;
      case 2:
        *ADD(page->nexthops) = (ekho_nexthop){0, (uint8_t)row[2], (uint8_t)row[4], row[0],
                                              handle_of(EKHO_KIND_ROUTER_INTERFACE, row[3]), row[5], {get_u64(row + 6), get_u64(row + 8)}, get_u64(row + 10)};
        break;
      case 3:
        *ADD(page->groups) = (ekho_group){0, row[0], row[2], page->members.count, row[3]};
        for (uint32_t i = 0; i < row[3]; i++)
          page->members.items[page->members.count++] =
              (ekho_member){row[0], handle_of(EKHO_KIND_NEXTHOP, row[4 + 2 * i]), row[5 + 2 * i]};
        break;
      default: {
        ekho_address prefix = v6 ? (ekho_address){get_u64(row + 2), get_u64(row + 4)} : (ekho_address){0, row[2]};
        const uint32_t *rest = row + (v6 ? 6 : 3);
        ekho_handle group = handle_of(EKHO_KIND_GROUP, rest[2]);
        *ADD(page->routes) = (ekho_route){0, (uint8_t)rest[1], v6, (uint8_t)rest[0], row[0], row[1], group, prefix};
      }
    }
  }
}

void ekho_stats_collect(uint32_t cursor, uint32_t limit, ekho_stats_page *result) {
  uint32_t table;
  ekho_u32_list rows = next_rows(ekho_asic_counters, cursor, limit, &table, &result->next);
  uint32_t count = rows.count / 7;
  for (const uint32_t *row = rows.items; row < rows.items + rows.count; row += 7)
    *ADD(result->counters) = (ekho_counter){row[0], get_u64_low(row + 1), get_u64_low(row + 3), get_u64_low(row + 5), 0};
}

/* The ASIC has one thing to say: that it lost its tables. The host then reads back and programs it again. */
void ekho_offload_poll(ekho_event_list *result) {
  static ekho_event reset = {.event_type = EKHO_EVENT_TYPE_DEVICE_RESET};
  if (ekho_asic_epoch() == epoch) return;
  epoch = ekho_asic_epoch();
  *result = (ekho_event_list){&reset, 1};
}

void ekho_offload_tables(ekho_table_usage_list *result) {
  static ekho_table_usage usage[TABLES];
  for (uint32_t i = 0; i < TABLES; i++)
    usage[i] = (ekho_table_usage){kind_of[i], info[i].capacity, ekho_asic_info(table_of[i]).used};
  *result = (ekho_table_usage_list){usage, TABLES};
}

/* What happens in the kernel reaches the hardware as changes. */
void ekho_notifier_notify(const ekho_notice_list *notices) { (void)notices; }
