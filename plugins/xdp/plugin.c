/* Who xdp is, and its life: describe, configure, start, stop, poll. */
#define EKHO_IMPLEMENT
#include "xdp.h"

#define POLL_INTERVAL_MS 1000

/* Of the device, when its tables were last read. */
static uint32_t epoch;
/* They were lost, and the host was not told yet. */
static bool lost;

static ekho_string name_of(enum table table) {
  switch (table) {
    case TABLE_PORTS: return EKHO_STRING("ports");
    case TABLE_INTERFACES: return EKHO_STRING("interfaces");
    case TABLE_INTERFACES_AT: return EKHO_STRING("interfaces_at");
    case TABLE_NEXTHOPS: return EKHO_STRING("nexthops");
    case TABLE_GROUPS: return EKHO_STRING("groups");
    case TABLE_ROUTES4: return EKHO_STRING("routes4");
    case TABLE_ROUTES6: return EKHO_STRING("routes6");
    case TABLE_VLANS: return EKHO_STRING("vlans");
    case TABLE_FDB: return EKHO_STRING("fdb_entries");
    case TABLE_FLOWS: return EKHO_STRING("flows");
    case TABLE_METERS: return EKHO_STRING("meters");
    case TABLE_SAMPLES: return EKHO_STRING("samples");
    case TABLE_TUNNELS: return EKHO_STRING("tunnels");
    case TABLE_REMOTES: return EKHO_STRING("remotes");
    case TABLE_MULTICAST: return EKHO_STRING("multicast_groups");
    case TABLE_ACL_RULES: return EKHO_STRING("acl_rules");
    case TABLE_ACL_MASKS: return EKHO_STRING("acl_masks");
    case TABLE_ACL_KEYS: return EKHO_STRING("acl_keys");
    case TABLE_ACL_EDITS: return EKHO_STRING("acl_edits");
    case TABLE_ACL_BUCKETS: return EKHO_STRING("acl_buckets");
    case TABLE_ACL_STATE: return EKHO_STRING("acl_state");
    case TABLE_CUSTOM_STATE: return EKHO_STRING("custom_state");
    case TABLE_METER_STATES: return EKHO_STRING("meter_states");
    case TABLE_TUNNELS_AT: return EKHO_STRING("tunnels_at");
    case TABLE_PORT_COUNTS: return EKHO_STRING("port_counts");
    case TABLE_NEXTHOP_COUNTS: return EKHO_STRING("nexthop_counts");
    case TABLE_ROUTE_COUNTS: return EKHO_STRING("route_counts");
    case TABLE_FDB_COUNTS: return EKHO_STRING("fdb_counts");
    case TABLE_ACL_COUNTS: return EKHO_STRING("acl_counts");
    case TABLE_FLOW_COUNTS: return EKHO_STRING("flow_counts");
    case TABLE_CUSTOM_COUNTS: return EKHO_STRING("custom_counts");
    case TABLE_TUNNEL_COUNTS: return EKHO_STRING("tunnel_counts");
    case TABLE_REMOTE_COUNTS: return EKHO_STRING("remote_counts");
    case TABLE_MULTICAST_COUNTS: return EKHO_STRING("multicast_counts");
    case TABLE_ACL_DROPS: return EKHO_STRING("acl_drops");
    default: return EKHO_STRING("");
  }
}

/* Words of a row, as datapath.h has them. */
static const uint32_t words_of[TABLES] = {
    [TABLE_PORTS] = (4 + sizeof(struct dp_port)) / 4,
    [TABLE_INTERFACES] = (4 + sizeof(struct dp_interface)) / 4,
    [TABLE_INTERFACES_AT] = (sizeof(struct dp_interface_key) + sizeof(struct dp_interface_at)) / 4,
    [TABLE_NEXTHOPS] = (4 + sizeof(struct dp_nexthop)) / 4,
    [TABLE_GROUPS] = (4 + sizeof(struct dp_group)) / 4,
    [TABLE_ROUTES4] = (sizeof(struct dp_route4_key) + sizeof(struct dp_route)) / 4,
    [TABLE_ROUTES6] = (sizeof(struct dp_route6_key) + sizeof(struct dp_route)) / 4,
    [TABLE_VLANS] = (sizeof(struct dp_vlan_key) + sizeof(struct dp_vlan)) / 4,
    [TABLE_FDB] = (sizeof(struct dp_fdb_key) + sizeof(struct dp_fdb)) / 4,
    [TABLE_FLOWS] = (sizeof(struct dp_flow_key) + sizeof(struct dp_flow)) / 4,
    [TABLE_METERS] = (sizeof(struct dp_meter_key) + sizeof(struct dp_meter)) / 4,
    [TABLE_SAMPLES] = (4 + sizeof(struct dp_sample)) / 4,
    [TABLE_TUNNELS] = (4 + sizeof(struct dp_tunnel)) / 4,
    [TABLE_REMOTES] = (sizeof(struct dp_fdb_key) + sizeof(struct dp_remote)) / 4,
    [TABLE_MULTICAST] = (sizeof(struct dp_multicast_key) + sizeof(struct dp_multicast)) / 4,
    [TABLE_ACL_RULES] = (4 + sizeof(struct dp_acl_rule)) / 4,
    [TABLE_ACL_MASKS] = (4 + sizeof(struct dp_acl_mask)) / 4,
    [TABLE_ACL_KEYS] = (sizeof(struct dp_acl_key) + sizeof(struct dp_acl)) / 4,
    [TABLE_ACL_EDITS] = (4 + sizeof(struct dp_edit)) / 4,
    [TABLE_ACL_BUCKETS] = (4 + sizeof(struct dp_bucket)) / 4,
    [TABLE_ACL_STATE] = (4 + sizeof(struct dp_acl_state)) / 4,
    [TABLE_CUSTOM_STATE] = (4 + sizeof(struct dp_custom_state)) / 4,
    [TABLE_METER_STATES] = (4 + sizeof(struct dp_meter_state)) / 4,
    [TABLE_TUNNELS_AT] = (sizeof(struct dp_tunnel_key) + sizeof(struct dp_tunnel_at)) / 4,
    [TABLE_PORT_COUNTS] = (4 + sizeof(struct dp_count)) / 4,
    [TABLE_NEXTHOP_COUNTS] = (4 + sizeof(struct dp_count)) / 4,
    [TABLE_ROUTE_COUNTS] = (4 + sizeof(struct dp_count)) / 4,
    [TABLE_FDB_COUNTS] = (4 + sizeof(struct dp_count)) / 4,
    [TABLE_ACL_COUNTS] = (4 + sizeof(struct dp_count)) / 4,
    [TABLE_FLOW_COUNTS] = (4 + sizeof(struct dp_count)) / 4,
    [TABLE_CUSTOM_COUNTS] = (4 + sizeof(struct dp_count)) / 4,
    [TABLE_TUNNEL_COUNTS] = (4 + sizeof(struct dp_count)) / 4,
    [TABLE_REMOTE_COUNTS] = (4 + sizeof(struct dp_count)) / 4,
    [TABLE_MULTICAST_COUNTS] = (4 + sizeof(struct dp_count)) / 4,
    [TABLE_ACL_DROPS] = (4 + sizeof(struct dp_count)) / 4,
};

/* False when the device is not this data path. */
static bool load_info(void) {
  for (enum table table = 0; table < TABLES; table++) {
    uint32_t number = ekho_tables_find(name_of(table));
    if (number == DP_NONE) return false;
    ekho_tables_table_info info = ekho_tables_info(number);
    tables[table] = (struct table_info){number, info.capacity, info.words, info.key_words};
    if (info.words != words_of[table]) return false;
  }
  return true;
}

void ekho_plugin_describe(ekho_plugin_description *result) {
  static ekho_plugin_ability abilities[KINDS];
  load_info();
  for (ekho_kind kind = 0; kind < KINDS; kind++)
    abilities[kind] = (ekho_plugin_ability){
        .kind = kind,
        .capacity = held_capacity(kind),
        .update_in_place = true,
        .counts = kind != EKHO_KIND_VLAN_MEMBER && kind != EKHO_KIND_ROUTER_INTERFACE && kind != EKHO_KIND_GROUP,
        .reads_back = true,
    };
  *result = (ekho_plugin_description){
      .vendor = EKHO_STRING("EKHO"),
      .name = EKHO_STRING("xdp"),
      .version = EKHO_STRING("0.1.0"),
      .abilities = {abilities, KINDS},
      .acl_fields = (EKHO_ACL_FIELDS_VLAN_PRIORITY << 1) - 1,
      .acl_edits = ACL_EDITS_ALL,
      .group_members = DP_MEMBERS,
      .reverse_path = true,
      .vlan_interfaces = true,
      .poll_interval = POLL_INTERVAL_MS,
  };
  custom_describe(&result->offload_kinds);
}

void ekho_plugin_configure(const ekho_plugin_setting_list *settings, ekho_result_none_string *result) {
  if (settings->count == 0) return;
  result->is_error = true;
  result->error = EKHO_STRING("xdp has no settings");
}

/* What the plugin keeps of the device. */
static void load_held(void) {
  held_load();
  vlans_load();
  acl_load();
  custom_load();
}

void ekho_plugin_start(ekho_result_none_string *result) {
  if (!load_info()) {
    result->is_error = true;
    result->error = EKHO_STRING("the device has not the tables of the XDP data path");
    return;
  }
  epoch = ekho_tables_epoch();
  load_held();
  ekho_log_write(EKHO_LOG_LEVEL_INFO, EKHO_STRING("started"));
}

void ekho_plugin_stop(void) {}

/* Gives the device the time to look after its ports, too. */
void notice_loss(void) {
  uint32_t now = ekho_tables_epoch();
  if (now == epoch) return;
  epoch = now;
  lost = true;
  load_held();
  ekho_log_write(EKHO_LOG_LEVEL_WARN, EKHO_STRING("the device lost rows: a program was taken off its port, or tables were emptied"));
}

void ekho_offload_poll(ekho_event_list *result) {
  static ekho_event reset = {.event_type = EKHO_EVENT_TYPE_DEVICE_RESET};
  notice_loss();
  if (!lost) return;
  lost = false;
  *result = (ekho_event_list){&reset, 1};
}

void ekho_notifier_notify(const ekho_notice_list *notices) { (void)notices; }
