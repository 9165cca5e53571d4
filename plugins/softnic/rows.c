/* Between the host's records and the ASIC's rows. Rows refer to each other by slot, records by handle; everything a record
 * says stands in its row, so that reading back gives the record as it was put. The ASIC checks ranges; checked here is what
 * a row cannot even express. */
#include "softnic.h"

static void put_u64(uint32_t *words, uint64_t value) {
  words[0] = (uint32_t)(value >> 32);
  words[1] = (uint32_t)value;
}

static uint64_t get_u64(const uint32_t *words) { return (uint64_t)words[0] << 32 | words[1]; }

static void put_address(uint32_t *words, ekho_address address) {
  put_u64(words, address.high);
  put_u64(words + 2, address.low);
}

static ekho_address get_address(const uint32_t *words) {
  return (ekho_address){.high = get_u64(words), .low = get_u64(words + 2)};
}

/* Slot of a handle that may be 0: false only if it names something that is not there. */
static bool refer(ekho_kind kind, ekho_handle handle, uint32_t *slot) {
  *slot = handle == 0 ? NO_SLOT : slots_find(kind, handle);
  return handle == 0 || *slot != NO_SLOT;
}

ekho_reason row_of_port(const ekho_port *port, uint32_t slot, uint32_t *row) {
  row[ROW_COOKIE] = port->handle;
  row[ROW_SLOT] = slot;
  row[PORT_IFINDEX] = port->ifindex;
  row[PORT_MTU] = port->mtu;
  put_u64(&row[PORT_MAC], port->mac);
  row[PORT_BRIDGE] = port->bridge;
  row[PORT_FLAGS] = port->flags;
  return EKHO_REASON_NONE;
}

void port_of_row(const uint32_t *row, ekho_port *port) {
  *port = (ekho_port){
      .handle = row[ROW_COOKIE],
      .ifindex = row[PORT_IFINDEX],
      .mtu = row[PORT_MTU],
      .mac = get_u64(&row[PORT_MAC]),
      .bridge = row[PORT_BRIDGE],
      .flags = (ekho_port_flags)row[PORT_FLAGS],
  };
}

ekho_reason row_of_router_interface(const ekho_router_interface *interface, uint32_t slot, uint32_t *row) {
  row[ROW_COOKIE] = interface->handle;
  row[ROW_SLOT] = slot;
  if (interface->port == 0 || !refer(EKHO_KIND_PORT, interface->port, &row[RIF_PORT]))
    return EKHO_REASON_MISSING_REFERENCE;
  row[RIF_IFINDEX] = interface->ifindex;
  row[RIF_VRF] = interface->vrf;
  put_u64(&row[RIF_MAC], interface->mac);
  row[RIF_MTU] = interface->mtu;
  row[RIF_VLAN] = interface->vlan;
  row[RIF_FLAGS] = interface->flags;
  return EKHO_REASON_NONE;
}

void router_interface_of_row(const uint32_t *row, ekho_router_interface *interface) {
  *interface = (ekho_router_interface){
      .handle = row[ROW_COOKIE],
      .port = slots_handle(EKHO_KIND_PORT, row[RIF_PORT]),
      .ifindex = row[RIF_IFINDEX],
      .vrf = row[RIF_VRF],
      .mac = get_u64(&row[RIF_MAC]),
      .mtu = row[RIF_MTU],
      .vlan = (uint16_t)row[RIF_VLAN],
      .flags = (ekho_router_interface_flags)row[RIF_FLAGS],
  };
}

ekho_reason row_of_nexthop(const ekho_nexthop *nexthop, uint32_t slot, uint32_t *row) {
  row[ROW_COOKIE] = nexthop->handle;
  row[ROW_SLOT] = slot;
  row[NEXTHOP_ACTION] = nexthop->action;
  if (!refer(EKHO_KIND_ROUTER_INTERFACE, nexthop->router_interface, &row[NEXTHOP_RIF]))
    return EKHO_REASON_MISSING_REFERENCE;
  row[NEXTHOP_FAMILY] = nexthop->family;
  row[NEXTHOP_IFINDEX] = nexthop->ifindex;
  put_address(&row[NEXTHOP_GATEWAY], nexthop->gateway);
  put_u64(&row[NEXTHOP_MAC], nexthop->destination_mac);
  return EKHO_REASON_NONE;
}

void nexthop_of_row(const uint32_t *row, ekho_nexthop *nexthop) {
  *nexthop = (ekho_nexthop){
      .action = (ekho_action)row[NEXTHOP_ACTION],
      .family = (ekho_family)row[NEXTHOP_FAMILY],
      .handle = row[ROW_COOKIE],
      .router_interface = slots_handle(EKHO_KIND_ROUTER_INTERFACE, row[NEXTHOP_RIF]),
      .ifindex = row[NEXTHOP_IFINDEX],
      .gateway = get_address(&row[NEXTHOP_GATEWAY]),
      .destination_mac = get_u64(&row[NEXTHOP_MAC]),
  };
}

ekho_reason row_of_group(const ekho_group *group, const ekho_member_list *members, uint32_t slot, uint32_t *row) {
  if (group->count > softnic.group_members) return EKHO_REASON_UNSUPPORTED_ACTION;
  if (group->first > members->count || group->count > members->count - group->first) return EKHO_REASON_INVALID;
  row[ROW_COOKIE] = group->handle;
  row[ROW_SLOT] = slot;
  row[GROUP_ID] = group->id;
  row[GROUP_COUNT] = group->count;
  uint32_t *word = &row[GROUP_MEMBERS];
  for (uint32_t i = 0; i < group->count; i++, word += 2) {
    const ekho_member *member = &members->items[group->first + i];
    if (member->group != group->handle) return EKHO_REASON_INVALID;
    word[0] = slots_find(EKHO_KIND_NEXTHOP, member->nexthop);
    if (word[0] == NO_SLOT) return EKHO_REASON_MISSING_REFERENCE;
    word[1] = member->weight;
  }
  memset(word, 0, (size_t)(row + softnic.info[EKHO_ASIC_TABLE_GROUP].words - word) * sizeof *word);
  return EKHO_REASON_NONE;
}

void group_of_row(const uint32_t *row, uint32_t first, ekho_group *group, ekho_member *members) {
  *group = (ekho_group){
      .handle = row[ROW_COOKIE],
      .id = row[GROUP_ID],
      .first = first,
      .count = row[GROUP_COUNT],
  };
  const uint32_t *word = &row[GROUP_MEMBERS];
  for (uint32_t i = 0; i < group->count; i++, word += 2)
    members[first + i] = (ekho_member){
        .group = group->handle,
        .nexthop = slots_handle(EKHO_KIND_NEXTHOP, word[0]),
        .weight = word[1],
    };
}

ekho_reason row_of_route(const ekho_route *route, uint32_t *row) {
  uint32_t group = NO_SLOT;
  /* With `remove` only the key counts: the group may already be another. */
  if (route->operation == EKHO_OPERATION_PUT && !refer(EKHO_KIND_GROUP, route->group, &group))
    return EKHO_REASON_MISSING_REFERENCE;
  row[ROW_COOKIE] = route->handle;
  if (route->family == EKHO_FAMILY_IPV4) {
    if (route->prefix.high != 0 || route->prefix.low >> 32 != 0) return EKHO_REASON_INVALID;
    row[LPM4_VRF] = route->vrf;
    row[LPM4_PREFIX] = (uint32_t)route->prefix.low;
    row[LPM4_LENGTH] = route->prefix_length;
    row[LPM4_ACTION] = route->action;
    row[LPM4_GROUP] = group;
  } else {
    row[LPM6_VRF] = route->vrf;
    put_address(&row[LPM6_PREFIX], route->prefix);
    row[LPM6_LENGTH] = route->prefix_length;
    row[LPM6_ACTION] = route->action;
    row[LPM6_GROUP] = group;
  }
  return EKHO_REASON_NONE;
}

void route_of_row4(const uint32_t *row, ekho_route *route) {
  *route = (ekho_route){
      .action = (ekho_action)row[LPM4_ACTION],
      .family = EKHO_FAMILY_IPV4,
      .prefix_length = (uint8_t)row[LPM4_LENGTH],
      .handle = row[ROW_COOKIE],
      .vrf = row[LPM4_VRF],
      .group = slots_handle(EKHO_KIND_GROUP, row[LPM4_GROUP]),
      .prefix = {.low = row[LPM4_PREFIX]},
  };
}

void route_of_row6(const uint32_t *row, ekho_route *route) {
  *route = (ekho_route){
      .action = (ekho_action)row[LPM6_ACTION],
      .family = EKHO_FAMILY_IPV6,
      .prefix_length = (uint8_t)row[LPM6_LENGTH],
      .handle = row[ROW_COOKIE],
      .vrf = row[LPM6_VRF],
      .group = slots_handle(EKHO_KIND_GROUP, row[LPM6_GROUP]),
      .prefix = get_address(&row[LPM6_PREFIX]),
  };
}

ekho_reason row_of_vlan_member(const ekho_vlan_member *member, uint32_t *row) {
  row[ROW_COOKIE] = member->handle;
  row[VLAN_BRIDGE] = member->bridge;
  row[VLAN_VLAN] = member->vlan;
  row[VLAN_PORT] = slots_find(EKHO_KIND_PORT, member->port);
  row[VLAN_FLAGS] = member->flags;
  return row[VLAN_PORT] == NO_SLOT ? EKHO_REASON_MISSING_REFERENCE : EKHO_REASON_NONE;
}

void vlan_member_of_row(const uint32_t *row, ekho_vlan_member *member) {
  *member = (ekho_vlan_member){
      .flags = (ekho_vlan_flags)row[VLAN_FLAGS],
      .vlan = (uint16_t)row[VLAN_VLAN],
      .handle = row[ROW_COOKIE],
      .port = slots_handle(EKHO_KIND_PORT, row[VLAN_PORT]),
      .bridge = row[VLAN_BRIDGE],
  };
}

ekho_reason row_of_fdb_entry(const ekho_fdb_entry *entry, uint32_t *row) {
  uint32_t port = NO_SLOT;
  if (entry->operation == EKHO_OPERATION_PUT && !refer(EKHO_KIND_PORT, entry->port, &port))
    return EKHO_REASON_MISSING_REFERENCE;
  row[ROW_COOKIE] = entry->handle;
  row[FDB_BRIDGE] = entry->bridge;
  row[FDB_VLAN] = entry->vlan;
  put_u64(&row[FDB_MAC], entry->mac);
  row[FDB_ACTION] = entry->action;
  row[FDB_PORT] = port;
  return EKHO_REASON_NONE;
}

void fdb_entry_of_row(const uint32_t *row, ekho_fdb_entry *entry) {
  *entry = (ekho_fdb_entry){
      .action = (ekho_action)row[FDB_ACTION],
      .vlan = (uint16_t)row[FDB_VLAN],
      .handle = row[ROW_COOKIE],
      .bridge = row[FDB_BRIDGE],
      .port = slots_handle(EKHO_KIND_PORT, row[FDB_PORT]),
      .mac = get_u64(&row[FDB_MAC]),
  };
}

/* The ports of a record stand one behind the other. */
_Static_assert(offsetof(ekho_multicast_group, port31) - offsetof(ekho_multicast_group, port0) ==
                   (PORTS_MAX - 1) * sizeof(ekho_handle),
               "ports of a multicast group");

ekho_reason row_of_multicast_group(const ekho_multicast_group *group, uint32_t *row) {
  const ekho_handle *ports = &group->port0;
  row[ROW_COOKIE] = group->handle;
  row[MDB_BRIDGE] = group->bridge;
  row[MDB_VLAN] = group->vlan;
  row[MDB_FAMILY] = group->family;
  put_address(&row[MDB_ADDRESS], group->address);
  if (group->operation == EKHO_OPERATION_REMOVE) return EKHO_REASON_NONE;
  if (group->count > PORTS_MAX) return EKHO_REASON_INVALID;
  row[MDB_COUNT] = group->count;
  for (uint32_t i = 0; i < PORTS_MAX; i++) {
    row[MDB_PORTS + i] = 0;
    if (i >= group->count) continue;
    row[MDB_PORTS + i] = slots_find(EKHO_KIND_PORT, ports[i]);
    if (row[MDB_PORTS + i] == NO_SLOT) return EKHO_REASON_MISSING_REFERENCE;
  }
  return EKHO_REASON_NONE;
}

void multicast_group_of_row(const uint32_t *row, ekho_multicast_group *group) {
  *group = (ekho_multicast_group){
      .family = (ekho_multicast_family)row[MDB_FAMILY],
      .vlan = (uint16_t)row[MDB_VLAN],
      .handle = row[ROW_COOKIE],
      .bridge = row[MDB_BRIDGE],
      .count = row[MDB_COUNT],
      .address = get_address(&row[MDB_ADDRESS]),
  };
  ekho_handle *ports = &group->port0;
  for (uint32_t i = 0; i < group->count && i < PORTS_MAX; i++)
    ports[i] = slots_handle(EKHO_KIND_PORT, row[MDB_PORTS + i]);
}

ekho_reason row_of_acl_rule(const ekho_acl_rule *rule, uint32_t slot, uint32_t *row) {
  row[ROW_COOKIE] = rule->handle;
  row[ROW_SLOT] = slot;
  if (rule->edits != 0) return EKHO_REASON_UNSUPPORTED_ACTION;
  if (!refer(EKHO_KIND_PORT, rule->port, &row[ACL_PORT])) return EKHO_REASON_MISSING_REFERENCE;
  if (!refer(EKHO_KIND_PORT, rule->redirect_port, &row[ACL_REDIRECT_PORT])) return EKHO_REASON_MISSING_REFERENCE;
  row[ACL_STAGE] = rule->stage;
  row[ACL_ACTION] = rule->action;
  row[ACL_PRIORITY] = rule->priority;
  row[ACL_FAMILY] = rule->family;
  row[ACL_FIELDS] = rule->fields;
  row[ACL_ETHERTYPE] = rule->ethertype;
  row[ACL_VLAN] = rule->vlan;
  row[ACL_PROTOCOL] = rule->protocol;
  row[ACL_DSCP] = rule->dscp;
  row[ACL_ICMP_TYPE] = rule->icmp_type;
  row[ACL_ICMP_CODE] = rule->icmp_code;
  row[ACL_SOURCE_PORT_LOW] = rule->source_port_low;
  row[ACL_SOURCE_PORT_HIGH] = rule->source_port_high;
  row[ACL_DESTINATION_PORT_LOW] = rule->destination_port_low;
  row[ACL_DESTINATION_PORT_HIGH] = rule->destination_port_high;
  row[ACL_TCP_FLAGS] = rule->tcp_flags;
  row[ACL_TCP_FLAGS_MASK] = rule->tcp_flags_mask;
  put_u64(&row[ACL_SOURCE_MAC], rule->source_mac);
  put_u64(&row[ACL_SOURCE_MAC_MASK], rule->source_mac_mask);
  put_u64(&row[ACL_DESTINATION_MAC], rule->destination_mac);
  put_u64(&row[ACL_DESTINATION_MAC_MASK], rule->destination_mac_mask);
  put_address(&row[ACL_SOURCE_ADDRESS], rule->source_address);
  put_address(&row[ACL_SOURCE_MASK], rule->source_mask);
  put_address(&row[ACL_DESTINATION_ADDRESS], rule->destination_address);
  put_address(&row[ACL_DESTINATION_MASK], rule->destination_mask);
  return EKHO_REASON_NONE;
}

void acl_rule_of_row(const uint32_t *row, ekho_acl_rule *rule) {
  *rule = (ekho_acl_rule){
      .stage = (ekho_acl_stage)row[ACL_STAGE],
      .action = (ekho_acl_action)row[ACL_ACTION],
      .family = (ekho_family)row[ACL_FAMILY],
      .handle = row[ROW_COOKIE],
      .port = slots_handle(EKHO_KIND_PORT, row[ACL_PORT]),
      .priority = row[ACL_PRIORITY],
      .redirect_port = slots_handle(EKHO_KIND_PORT, row[ACL_REDIRECT_PORT]),
      .fields = (ekho_acl_fields)row[ACL_FIELDS],
      .ethertype = (uint16_t)row[ACL_ETHERTYPE],
      .vlan = (uint16_t)row[ACL_VLAN],
      .protocol = (uint8_t)row[ACL_PROTOCOL],
      .dscp = (uint8_t)row[ACL_DSCP],
      .icmp_type = (uint8_t)row[ACL_ICMP_TYPE],
      .icmp_code = (uint8_t)row[ACL_ICMP_CODE],
      .source_port_low = (uint16_t)row[ACL_SOURCE_PORT_LOW],
      .source_port_high = (uint16_t)row[ACL_SOURCE_PORT_HIGH],
      .destination_port_low = (uint16_t)row[ACL_DESTINATION_PORT_LOW],
      .destination_port_high = (uint16_t)row[ACL_DESTINATION_PORT_HIGH],
      .tcp_flags = (uint16_t)row[ACL_TCP_FLAGS],
      .tcp_flags_mask = (uint16_t)row[ACL_TCP_FLAGS_MASK],
      .source_mac = get_u64(&row[ACL_SOURCE_MAC]),
      .source_mac_mask = get_u64(&row[ACL_SOURCE_MAC_MASK]),
      .destination_mac = get_u64(&row[ACL_DESTINATION_MAC]),
      .destination_mac_mask = get_u64(&row[ACL_DESTINATION_MAC_MASK]),
      .source_address = get_address(&row[ACL_SOURCE_ADDRESS]),
      .source_mask = get_address(&row[ACL_SOURCE_MASK]),
      .destination_address = get_address(&row[ACL_DESTINATION_ADDRESS]),
      .destination_mask = get_address(&row[ACL_DESTINATION_MASK]),
  };
}
