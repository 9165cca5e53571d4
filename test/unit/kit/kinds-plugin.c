/*
 * A plugin with two kinds of its own and nothing else, which keeps their objects in the nexthops of the simulated ASIC: it keeps what stands in most
 * words of a row without a look at it. Wrong in the way that `wrong` says, which the test sets in the file.
 */
#define EKHO_IMPLEMENT
#include <ekho.h>

/* FAULT_MARK of plugins.ts. */
static volatile const uint32_t wrong = 0x57a04e65;

enum {
  RIGHT,
  FORGETS_A_FIELD,
  DEFAULT_NOT_ALLOWED,
  KEEPS_WHAT_IS_REPLACED,
  LESS_ROOM,
  REFUSES_THE_LARGEST,
  DECLINES_ALL,
  TRAPS_ON_HOSTILE,
  LOSES_OTHERS_ON_HOSTILE,
  COUNTS_WHAT_IS_GONE,
  COUNTS_WHAT_DOES_NOT,
};

enum { ROOM = 100, WORDS = 12, MARK = 0, TAP = 1, LEFT_OUT = 0xffffffff };
/* Words of a row: the kind is its action. */
enum { HANDLE, SLOT, ACTION, INTERFACE, FAMILY, IFINDEX, GATEWAY, MAC_UPPER = 10, MAC_LOWER };
/* Bits of `present`. */
enum { MARK_ID = 1, MARK_COLOUR = 2, MARK_NOTE = 4, MARK_WEIGHT = 8, MARK_URGENT = 16, TAP_ALL = 7 };

static uint32_t epoch;

void ekho_plugin_describe(ekho_plugin_description *result) {
  static ekho_plugin_ability ability = {EKHO_KIND_CUSTOM, ROOM, .update_in_place = true, .counts = true, .reads_back = true};
  static ekho_plugin_offload_field mark[] = {
      {.name = EKHO_STRING("number"), .field_type = EKHO_PLUGIN_FIELD_TYPE_NUMBER32, .key = true, .required = true,
       .minimum = EKHO_STRING("1"), .maximum = EKHO_STRING("4000000000")},
      {.name = EKHO_STRING("colour"), .field_type = EKHO_PLUGIN_FIELD_TYPE_CHOICE, .key = true, .required = true,
       .fallback = EKHO_STRING("red"), .choices = EKHO_STRING("red green blue")},
      {.name = EKHO_STRING("note"), .field_type = EKHO_PLUGIN_FIELD_TYPE_TEXT, .length = 8},
      {.name = EKHO_STRING("weight"), .field_type = EKHO_PLUGIN_FIELD_TYPE_NUMBER32, .required = true,
       .maximum = EKHO_STRING("1000"), .fallback = EKHO_STRING("10")},
      {.name = EKHO_STRING("urgent"), .field_type = EKHO_PLUGIN_FIELD_TYPE_BOOLEAN},
  };
  static ekho_plugin_offload_field tap[] = {
      {.name = EKHO_STRING("port"), .field_type = EKHO_PLUGIN_FIELD_TYPE_LINK, .key = true, .required = true},
      {.name = EKHO_STRING("every"), .field_type = EKHO_PLUGIN_FIELD_TYPE_NUMBER32, .required = true},
      {.name = EKHO_STRING("to"), .field_type = EKHO_PLUGIN_FIELD_TYPE_ADDRESS, .required = true},
  };
  static ekho_plugin_offload_kind kinds[] = {
      {.name = EKHO_STRING("acme:mark"), .version = 1, .counts = EKHO_STRING("marked"), .capacity = ROOM, .fields = {mark, 5}},
      {.name = EKHO_STRING("acme:tap"), .version = 1, .capacity = ROOM, .fields = {tap, 3}},
  };
  if (wrong == DEFAULT_NOT_ALLOWED) mark[3].fallback = EKHO_STRING("1001");
  *result = (ekho_plugin_description){
      .vendor = EKHO_STRING("acme"), .name = EKHO_STRING("acme"), .version = EKHO_STRING("0.1.0"),
      .abilities = {&ability, 1}, .group_members = 1, .poll_interval = 200, .offload_kinds = {kinds, 2},
  };
}

void ekho_plugin_configure(const ekho_plugin_setting_list *settings, ekho_result_none_string *result) {
  if (settings->count != 0) *result = (ekho_result_none_string){.is_error = true, .error = settings->items[0].name};
}
void ekho_plugin_start(ekho_result_none_string *result) {
  (void)result;
  epoch = ekho_asic_epoch();
}
void ekho_plugin_stop(void) {}

static bool is_number32(uint64_t word) { return word >> 32 == 0; }

static ekho_reason row_of(const ekho_custom *custom, uint32_t *row) {
  uint32_t family = (uint32_t)(custom->data2 >> 32), needed = MARK_ID | MARK_COLOUR | MARK_WEIGHT;
  if (custom->offload_kind == MARK) {
    if (wrong == TRAPS_ON_HOSTILE && custom->data1 > 2) __builtin_trap();
    if ((custom->present & needed) != needed || custom->present > 31 || custom->data0 == 0 || custom->data0 > 4000000000 ||
        custom->data1 > 2 || custom->data3 > (wrong == REFUSES_THE_LARGEST ? 999 : 1000) || custom->data4 > 1)
      return EKHO_REASON_INVALID;
    row[FAMILY] = (uint32_t)custom->data4, row[IFINDEX] = (uint32_t)custom->data0;
    row[GATEWAY] = (uint32_t)custom->data2, row[GATEWAY + 1] = (uint32_t)(custom->data2 >> 32);
    row[GATEWAY + 2] = (uint32_t)custom->data3, row[GATEWAY + 3] = custom->present << 8 | (uint32_t)custom->data1;
    if (wrong == FORGETS_A_FIELD) row[GATEWAY] = row[GATEWAY + 1] = 0;
  } else {
    if (custom->offload_kind != TAP || custom->present != TAP_ALL || !is_number32(custom->data1) || family > 1 ||
        (uint32_t)custom->data0 == 0 || custom->data0 >> 32 != 0)
      return EKHO_REASON_INVALID;
    row[FAMILY] = family, row[IFINDEX] = (uint32_t)custom->data0, row[MAC_LOWER] = (uint32_t)custom->data1;
    row[GATEWAY] = (uint32_t)(custom->data3 >> 32), row[GATEWAY + 1] = (uint32_t)custom->data3;
    row[GATEWAY + 2] = (uint32_t)(custom->data4 >> 32), row[GATEWAY + 3] = (uint32_t)custom->data4;
  }
  return wrong == DECLINES_ALL ? EKHO_REASON_UNSUPPORTED_ACTION : EKHO_REASON_NONE;
}

void ekho_offload_apply(const ekho_batch *changes, ekho_outcome_list *result) {
  result->items = ekho_alloc(changes->customs.count * sizeof *result->items);
  for (uint32_t i = 0; i < changes->customs.count; i++) {
    const ekho_custom *custom = &changes->customs.items[i];
    uint32_t slot = custom->handle >> 28 == EKHO_KIND_CUSTOM + 1 ? custom->handle & 0x0fffffff : LEFT_OUT;
    uint32_t row[WORDS] = {custom->handle, slot, 1 + custom->offload_kind, LEFT_OUT};
    if (custom->operation == EKHO_OPERATION_REMOVE) {
      ekho_asic_remove(EKHO_ASIC_TABLE_NEXTHOP, (ekho_u32_list){row + 1, 1});
      continue;
    }
    ekho_reason reason = row_of(custom, row);
    if (reason == EKHO_REASON_NONE && slot >= (wrong == LESS_ROOM ? ROOM - 1 : ROOM)) reason = EKHO_REASON_TABLE_FULL;
    if (reason == EKHO_REASON_INVALID && wrong == LOSES_OTHERS_ON_HOSTILE) {
      uint32_t first = 0;
      ekho_asic_remove(EKHO_ASIC_TABLE_NEXTHOP, (ekho_u32_list){&first, 1});
    }
    if (reason != EKHO_REASON_NONE) {
      result->items[result->count++] = (ekho_outcome){custom->handle, EKHO_STATUS_REFUSED, reason, 0};
      continue;
    }
    if (wrong == KEEPS_WHAT_IS_REPLACED && ekho_asic_read(EKHO_ASIC_TABLE_NEXTHOP, slot, 1).count > 1 &&
        ekho_asic_read(EKHO_ASIC_TABLE_NEXTHOP, slot, 1).items[1 + SLOT] == slot)
      continue;
    ekho_asic_write(EKHO_ASIC_TABLE_NEXTHOP, (ekho_u32_list){row, WORDS});
  }
}

static ekho_custom custom_of(const uint32_t *row) {
  ekho_custom custom = {.handle = row[HANDLE], .offload_kind = row[ACTION] - 1, .data0 = row[IFINDEX]};
  if (custom.offload_kind == MARK) {
    custom.present = row[GATEWAY + 3] >> 8, custom.data1 = row[GATEWAY + 3] & 0xff;
    custom.data2 = (uint64_t)row[GATEWAY + 1] << 32 | row[GATEWAY], custom.data3 = row[GATEWAY + 2], custom.data4 = row[FAMILY];
  } else {
    custom.present = TAP_ALL, custom.data1 = row[MAC_LOWER];
    custom.data2 = (uint64_t)row[FAMILY] << 32 | (row[FAMILY] ? 128 : 32);
    custom.data3 = (uint64_t)row[GATEWAY] << 32 | row[GATEWAY + 1], custom.data4 = (uint64_t)row[GATEWAY + 2] << 32 | row[GATEWAY + 3];
  }
  return custom;
}

void ekho_offload_readback(uint32_t cursor, uint32_t limit, ekho_offload_page *result) {
  ekho_u32_list rows = ekho_asic_read(EKHO_ASIC_TABLE_NEXTHOP, cursor, limit);
  ekho_custom_list *customs = &result->entries.customs;
  result->next = rows.items[0];
  customs->items = ekho_alloc(rows.count / WORDS * sizeof *customs->items);
  for (uint32_t at = 1; at < rows.count; at += WORDS) customs->items[customs->count++] = custom_of(rows.items + at);
}

/* The hardware counts nothing: objects that count stand at 0. */
void ekho_stats_collect(uint32_t cursor, uint32_t limit, ekho_stats_page *result) {
  ekho_u32_list rows = ekho_asic_read(EKHO_ASIC_TABLE_NEXTHOP, cursor, limit - 1);
  result->next = rows.items[0];
  result->counters.items = ekho_alloc((1 + rows.count / WORDS) * sizeof *result->counters.items);
  for (uint32_t at = 1; at < rows.count; at += WORDS)
    if (rows.items[at + ACTION] == 1 + MARK || wrong == COUNTS_WHAT_DOES_NOT)
      result->counters.items[result->counters.count++] = (ekho_counter){.handle = rows.items[at]};
  if (wrong == COUNTS_WHAT_IS_GONE && result->next == 0)
    result->counters.items[result->counters.count++] = (ekho_counter){.handle = (EKHO_KIND_CUSTOM + 1u) << 28 | 77};
}

void ekho_offload_poll(ekho_event_list *result) {
  static ekho_event reset = {.event_type = EKHO_EVENT_TYPE_DEVICE_RESET};
  if (ekho_asic_epoch() == epoch) return;
  epoch = ekho_asic_epoch();
  *result = (ekho_event_list){&reset, 1};
}

void ekho_offload_tables(ekho_table_usage_list *result) {
  static ekho_table_usage usage;
  usage = (ekho_table_usage){EKHO_KIND_CUSTOM, ROOM, ekho_asic_info(EKHO_ASIC_TABLE_NEXTHOP).used};
  *result = (ekho_table_usage_list){&usage, 1};
}

void ekho_notifier_notify(const ekho_notice_list *notices) { (void)notices; }
