/* Who softnic is, and its life: describe, configure, start, stop, poll. */
#define EKHO_IMPLEMENT
#include "softnic.h"

#define POLL_INTERVAL_MS 500

struct softnic softnic = {.burst = BURST_ROWS};

static void load_info(void) {
  for (ekho_asic_table table = 0; table < TABLES; table++) softnic.info[table] = ekho_asic_info(table);
  uint32_t room = (softnic.info[EKHO_ASIC_TABLE_GROUP].words - GROUP_MEMBERS) / 2;
  softnic.group_members = room < MEMBERS_MAX ? room : MEMBERS_MAX;
}

void ekho_plugin_describe(ekho_plugin_description *result) {
  static ekho_plugin_ability abilities[KINDS];
  load_info();
  const ekho_asic_table_info *info = softnic.info;
  const uint32_t capacities[KINDS] = {
      [EKHO_KIND_PORT] = info[EKHO_ASIC_TABLE_PORT].capacity,
      [EKHO_KIND_ROUTER_INTERFACE] = info[EKHO_ASIC_TABLE_ROUTER_INTERFACE].capacity,
      [EKHO_KIND_NEXTHOP] = info[EKHO_ASIC_TABLE_NEXTHOP].capacity,
      [EKHO_KIND_GROUP] = info[EKHO_ASIC_TABLE_GROUP].capacity,
      /* Whichever of its two tables a route meets may still be full. */
      [EKHO_KIND_ROUTE] = info[EKHO_ASIC_TABLE_LPM4].capacity + info[EKHO_ASIC_TABLE_LPM6].capacity,
      [EKHO_KIND_VLAN_MEMBER] = info[EKHO_ASIC_TABLE_VLAN].capacity,
      [EKHO_KIND_FDB_ENTRY] = info[EKHO_ASIC_TABLE_FDB].capacity,
      [EKHO_KIND_ACL_RULE] = info[EKHO_ASIC_TABLE_ACL].capacity,
      [EKHO_KIND_MULTICAST_GROUP] = info[EKHO_ASIC_TABLE_MDB].capacity,
  };
  uint32_t count = 0;
  for (ekho_kind kind = 0; kind < KINDS; kind++) {
    if (capacities[kind] == 0) continue;
    abilities[count++] = (ekho_plugin_ability){
        .kind = kind,
        .capacity = capacities[kind],
        .update_in_place = true,
        .counts = kind != EKHO_KIND_VLAN_MEMBER,
        .reads_back = true,
    };
  }
  *result = (ekho_plugin_description){
      .vendor = EKHO_STRING("EKHO"),
      .name = EKHO_STRING("softnic"),
      .version = EKHO_STRING("0.1.0"),
      .abilities = {abilities, count},
      .acl_fields = (EKHO_ACL_FIELDS_UNFRAGMENTED << 1) - 1,
      .group_members = softnic.group_members,
      .reverse_path = true,
      .vlan_interfaces = true,
      .poll_interval = POLL_INTERVAL_MS,
  };
}

static bool equal(ekho_string a, ekho_string b) {
  return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

/* A decimal number of 1 to `most`, 0 if it is none. */
static uint32_t number(ekho_string text, uint32_t most) {
  uint32_t value = 0;
  for (uint32_t i = 0; i < text.length; i++) {
    if (text.bytes[i] < '0' || text.bytes[i] > '9') return 0;
    value = 10 * value + (uint32_t)(text.bytes[i] - '0');
    if (value > most) return 0;
  }
  return value;
}

static ekho_string joined(ekho_string first, ekho_string second) {
  char *bytes = ekho_alloc(first.length + second.length);
  memcpy(bytes, first.bytes, first.length);
  memcpy(bytes + first.length, second.bytes, second.length);
  return (ekho_string){bytes, first.length + second.length};
}

void ekho_plugin_configure(const ekho_plugin_setting_list *settings, ekho_result_none_string *result) {
  for (uint32_t i = 0; i < settings->count; i++) {
    const ekho_plugin_setting *setting = &settings->items[i];
    if (!equal(setting->name, EKHO_STRING("burst"))) {
      result->is_error = true;
      result->error = joined(setting->name, EKHO_STRING(": no such setting; there is burst"));
      return;
    }
    softnic.burst = number(setting->value, BURST_ROWS);
    if (softnic.burst == 0) {
      softnic.burst = BURST_ROWS;
      result->is_error = true;
      result->error = EKHO_STRING("burst: rows in one call to the ASIC, 1-512");
      return;
    }
  }
}

void ekho_plugin_start(ekho_result_none_string *result) {
  (void)result;
  load_info();
  softnic.epoch = ekho_asic_epoch();
  slots_load();
  ekho_log_write(EKHO_LOG_LEVEL_INFO, EKHO_STRING("started"));
}

void ekho_plugin_stop(void) {}

void ekho_offload_poll(ekho_event_list *result) {
  static ekho_event reset = {.event_type = EKHO_EVENT_TYPE_DEVICE_RESET};
  uint32_t epoch = ekho_asic_epoch();
  if (epoch == softnic.epoch) return;
  softnic.epoch = epoch;
  slots_load();
  ekho_log_write(EKHO_LOG_LEVEL_WARN, EKHO_STRING("the ASIC lost power and with it all tables"));
  *result = (ekho_event_list){&reset, 1};
}

/* What happens in the kernel reaches the ASIC as changes of the plan. */
void ekho_notifier_notify(const ekho_notice_list *notices) { (void)notices; }
