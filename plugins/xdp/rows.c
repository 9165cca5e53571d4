/* Between the host's records and the data path's rows. Rows refer to each other by index, which is that of the handle. */
#include "xdp.h"

static uint32_t swap(uint32_t word) { return __builtin_bswap32(word); }

/* Index of a handle that may be 0: false only if it names something that is not there. */
static bool refer(ekho_kind kind, ekho_handle handle, uint32_t *index) {
  *index = handle == 0 ? DP_NONE : index_of(handle);
  return handle == 0 || held_has(kind, handle);
}

static ekho_handle referred(ekho_kind kind, uint32_t index) { return index == DP_NONE ? 0 : handle_of(kind, index); }

ekho_reason row_of_port(const ekho_port *port, uint32_t *row) {
  struct dp_port value = {
      .handle = port->handle,
      .ifindex = port->ifindex,
      .mtu = port->mtu,
      .bridge = port->bridge,
      .flags = port->flags,
      .mac = port->mac,
  };
  if (port->ifindex == 0) return EKHO_REASON_INVALID;
  vlans_of_port(index_of(port->handle), &value.flags, &value.pvid);
  row[0] = index_of(port->handle);
  memcpy(row + 1, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void port_of_row(const uint32_t *row, ekho_port *port) {
  struct dp_port value;
  memcpy(&value, row + 1, sizeof value);
  *port = (ekho_port){
      .handle = value.handle,
      .ifindex = value.ifindex,
      .mtu = value.mtu,
      .mac = value.mac,
      .bridge = value.bridge,
      .flags = (ekho_port_flags)(value.flags & ~DP_PORT_IN_VLAN),
  };
}

ekho_reason row_of_interface(const ekho_router_interface *interface, uint32_t *row) {
  struct dp_interface value = {
      .handle = interface->handle,
      .ifindex = interface->ifindex,
      .vrf = interface->vrf,
      .mtu = interface->mtu,
      .flags = interface->flags,
      .mac = interface->mac,
      .vlan = interface->vlan,
  };
  if (interface->port == 0 || !refer(EKHO_KIND_PORT, interface->port, &value.port)) return EKHO_REASON_MISSING_REFERENCE;
  row[0] = index_of(interface->handle);
  memcpy(row + 1, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void interface_of_row(const uint32_t *row, ekho_router_interface *interface) {
  struct dp_interface value;
  memcpy(&value, row + 1, sizeof value);
  *interface = (ekho_router_interface){
      .handle = value.handle,
      .port = referred(EKHO_KIND_PORT, value.port),
      .ifindex = value.ifindex,
      .vrf = value.vrf,
      .mac = value.mac,
      .mtu = value.mtu,
      .vlan = (uint16_t)value.vlan,
      .flags = (ekho_router_interface_flags)value.flags,
  };
}

ekho_reason row_of_nexthop(const ekho_nexthop *nexthop, uint32_t *row) {
  uint32_t interface;
  struct dp_nexthop value = {
      .handle = nexthop->handle,
      .ifindex = nexthop->ifindex,
      .family = nexthop->family,
      .gateway = {(uint32_t)(nexthop->gateway.high >> 32), (uint32_t)nexthop->gateway.high,
                  (uint32_t)(nexthop->gateway.low >> 32), (uint32_t)nexthop->gateway.low},
  };
  if (nexthop->destination_mac >> 48 != 0 || nexthop->action > DP_DROP) return EKHO_REASON_INVALID;
  if (!refer(EKHO_KIND_ROUTER_INTERFACE, nexthop->router_interface, &interface)) return EKHO_REASON_MISSING_REFERENCE;
  if (interface == DP_NONE) interface = DP_WAY_NONE;
  /* The device has fewer interfaces than that. */
  if (interface > DP_WAY_NONE) return EKHO_REASON_TABLE_FULL;
  value.way = DP_WAY(nexthop->destination_mac, nexthop->action, interface);
  row[0] = index_of(nexthop->handle);
  memcpy(row + 1, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void nexthop_of_row(const uint32_t *row, ekho_nexthop *nexthop) {
  struct dp_nexthop value;
  memcpy(&value, row + 1, sizeof value);
  uint32_t interface = DP_WAY_INTERFACE(value.way);
  *nexthop = (ekho_nexthop){
      .action = (ekho_action)DP_WAY_ACTION(value.way),
      .family = (ekho_family)value.family,
      .handle = value.handle,
      .router_interface = referred(EKHO_KIND_ROUTER_INTERFACE, interface == DP_WAY_NONE ? DP_NONE : interface),
      .ifindex = value.ifindex,
      .gateway = {.high = (uint64_t)value.gateway[0] << 32 | value.gateway[1],
                  .low = (uint64_t)value.gateway[2] << 32 | value.gateway[3]},
      .destination_mac = DP_WAY_MAC(value.way),
  };
}

ekho_reason row_of_group(const ekho_group *group, const ekho_member_list *members, uint32_t *row) {
  struct dp_group value = {.handle = group->handle, .id = group->id, .count = group->count};
  if (group->count > DP_MEMBERS) return EKHO_REASON_UNSUPPORTED_ACTION;
  if (group->first > members->count || group->count > members->count - group->first) return EKHO_REASON_INVALID;
  for (uint32_t i = 0; i < group->count; i++) {
    const ekho_member *member = &members->items[group->first + i];
    if (member->group != group->handle) return EKHO_REASON_INVALID;
    if (member->nexthop == 0 || !refer(EKHO_KIND_NEXTHOP, member->nexthop, &value.members[i].nexthop))
      return EKHO_REASON_MISSING_REFERENCE;
    value.total += member->weight;
    value.members[i].end = value.total;
  }
  row[0] = index_of(group->handle);
  memcpy(row + 1, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void group_of_row(const uint32_t *row, uint32_t first, ekho_group *group, ekho_member *members) {
  const struct dp_group *value = (const void *)(row + 1);
  uint32_t before = 0;
  *group = (ekho_group){.handle = value->handle, .id = value->id, .first = first, .count = value->count};
  for (uint32_t i = 0; i < value->count; i++) {
    members[first + i] = (ekho_member){
        .group = value->handle,
        .nexthop = handle_of(EKHO_KIND_NEXTHOP, value->members[i].nexthop),
        .weight = value->members[i].end - before,
    };
    before = value->members[i].end;
  }
}

ekho_reason row_of_route(const ekho_route *route, uint32_t *row) {
  struct dp_route value = {.handle = route->handle, .action = route->action, .length = route->prefix_length};
  if (!refer(EKHO_KIND_GROUP, route->group, &value.group) && route->operation == EKHO_OPERATION_PUT)
    return EKHO_REASON_MISSING_REFERENCE;
  if (route->family == EKHO_FAMILY_IPV4) {
    struct dp_route4_key key = {32u + route->prefix_length, swap(route->vrf), swap((uint32_t)route->prefix.low)};
    memcpy(row, &key, sizeof key);
    row += sizeof key / sizeof *row;
  } else {
    struct dp_route6_key key = {
        32u + route->prefix_length,
        swap(route->vrf),
        {swap((uint32_t)(route->prefix.high >> 32)), swap((uint32_t)route->prefix.high),
         swap((uint32_t)(route->prefix.low >> 32)), swap((uint32_t)route->prefix.low)},
    };
    memcpy(row, &key, sizeof key);
    row += sizeof key / sizeof *row;
  }
  memcpy(row, &value, sizeof value);
  return EKHO_REASON_NONE;
}

static void route_of_value(const struct dp_route *value, ekho_route *route) {
  route->action = (ekho_action)value->action;
  route->handle = value->handle;
  route->prefix_length = (uint8_t)value->length;
  route->group = referred(EKHO_KIND_GROUP, value->group);
}

void route_of_row4(const uint32_t *row, ekho_route *route) {
  const struct dp_route4_key *key = (const void *)row;
  *route = (ekho_route){.family = EKHO_FAMILY_IPV4, .vrf = swap(key->vrf), .prefix = {.low = swap(key->address)}};
  route_of_value((const void *)(key + 1), route);
}

void route_of_row6(const uint32_t *row, ekho_route *route) {
  const struct dp_route6_key *key = (const void *)row;
  *route = (ekho_route){
      .family = EKHO_FAMILY_IPV6,
      .vrf = swap(key->vrf),
      .prefix = {.high = (uint64_t)swap(key->address[0]) << 32 | swap(key->address[1]),
                 .low = (uint64_t)swap(key->address[2]) << 32 | swap(key->address[3])},
  };
  route_of_value((const void *)(key + 1), route);
}

ekho_reason row_of_vlan_member(const ekho_vlan_member *member, uint32_t *row) {
  struct dp_vlan_key key = {.bridge = member->bridge, .vlan = member->vlan};
  struct dp_vlan value = {.handle = member->handle, .flags = member->flags};
  if (member->port == 0 || !refer(EKHO_KIND_PORT, member->port, &key.port)) return EKHO_REASON_MISSING_REFERENCE;
  memcpy(row, &key, sizeof key);
  memcpy(row + sizeof key / sizeof *row, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void vlan_member_of_row(const uint32_t *row, ekho_vlan_member *member) {
  const struct dp_vlan_key *key = (const void *)row;
  const struct dp_vlan *value = (const void *)(key + 1);
  *member = (ekho_vlan_member){
      .flags = (ekho_vlan_flags)value->flags,
      .vlan = (uint16_t)key->vlan,
      .handle = value->handle,
      .port = handle_of(EKHO_KIND_PORT, key->port),
      .bridge = key->bridge,
  };
}

ekho_reason row_of_fdb_entry(const ekho_fdb_entry *entry, uint32_t *row) {
  struct dp_fdb_key key = {
      .bridge = entry->bridge,
      .vlan = entry->vlan,
      .mac_high = (uint32_t)(entry->mac >> 32),
      .mac_low = (uint32_t)entry->mac,
  };
  struct dp_fdb value = {.handle = entry->handle, .action = entry->action};
  if (!refer(EKHO_KIND_PORT, entry->port, &value.port) && entry->operation == EKHO_OPERATION_PUT)
    return EKHO_REASON_MISSING_REFERENCE;
  memcpy(row, &key, sizeof key);
  memcpy(row + sizeof key / sizeof *row, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void fdb_entry_of_row(const uint32_t *row, ekho_fdb_entry *entry) {
  const struct dp_fdb_key *key = (const void *)row;
  const struct dp_fdb *value = (const void *)(key + 1);
  *entry = (ekho_fdb_entry){
      .action = (ekho_action)value->action,
      .vlan = (uint16_t)key->vlan,
      .handle = value->handle,
      .bridge = key->bridge,
      .port = referred(EKHO_KIND_PORT, value->port),
      .mac = (uint64_t)key->mac_high << 32 | key->mac_low,
  };
}

/* Words of an address as they stand in packets; IPv4 in the last. */
static void put_address(const ekho_address *address, uint32_t *words) {
  words[0] = swap((uint32_t)(address->high >> 32));
  words[1] = swap((uint32_t)address->high);
  words[2] = swap((uint32_t)(address->low >> 32));
  words[3] = swap((uint32_t)address->low);
}

static ekho_address address_of(const uint32_t *words) {
  return (ekho_address){
      .high = (uint64_t)swap(words[0]) << 32 | swap(words[1]),
      .low = (uint64_t)swap(words[2]) << 32 | swap(words[3]),
  };
}

ekho_reason row_of_flow(const ekho_flow *flow, uint32_t *row) {
  struct dp_flow_key key = {
      .vrf = flow->vrf,
      .kind = DP_FLOW_KIND(flow->family, flow->protocol),
      .ports = (uint32_t)flow->source_port << 16 | flow->destination_port,
  };
  struct dp_flow value = {
      .handle = flow->handle,
      .new_ports = (uint32_t)flow->new_source_port << 16 | flow->new_destination_port,
      .nexthop = DP_NONE,
  };
  if (flow->protocol != 6 && flow->protocol != 17) return EKHO_REASON_UNSUPPORTED_MATCH;
  put_address(&flow->source, key.source);
  put_address(&flow->destination, key.destination);
  put_address(&flow->new_source, value.new_source);
  put_address(&flow->new_destination, value.new_destination);
  if (key.ports != value.new_ports || memcmp(key.source, value.new_source, sizeof key.source) != 0 ||
      memcmp(key.destination, value.new_destination, sizeof key.destination) != 0)
    value.flags |= DP_FLOW_TRANSLATES;
  if (flow->flags & EKHO_FLOW_FLAGS_POLLED) value.flags |= DP_FLOW_POLLED;
  memcpy(row, &key, sizeof key);
  memcpy(row + sizeof key / sizeof *row, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void flow_of_row(const uint32_t *row, ekho_flow *flow) {
  struct dp_flow_key key;
  struct dp_flow value;
  memcpy(&key, row, sizeof key);
  memcpy(&value, row + sizeof key / sizeof *row, sizeof value);
  *flow = (ekho_flow){
      .family = (ekho_family)(key.kind >> 8),
      .protocol = (uint8_t)key.kind,
      .flags = value.flags & DP_FLOW_POLLED ? EKHO_FLOW_FLAGS_POLLED : 0,
      .handle = value.handle,
      .vrf = key.vrf,
      .source_port = (uint16_t)(key.ports >> 16),
      .destination_port = (uint16_t)key.ports,
      .new_source_port = (uint16_t)(value.new_ports >> 16),
      .new_destination_port = (uint16_t)value.new_ports,
      .source = address_of(key.source),
      .destination = address_of(key.destination),
      .new_source = address_of(value.new_source),
      .new_destination = address_of(value.new_destination),
  };
}

void row_of_edit(const ekho_acl_rule *rule, uint32_t index, uint32_t bucket, uint32_t *row) {
  struct dp_edit edit = {
      .handle = rule->handle,
      .edits = rule->edits,
      .family = rule->family,
      .tag = (uint32_t)(rule->new_vlan_priority & 7) << 16 | (rule->new_vlan & 0xfff),
      .source_mac = rule->new_source_mac,
      .destination_mac = rule->new_destination_mac,
      .ttl = rule->new_ttl,
      .ports = (uint32_t)rule->new_source_port << 16 | rule->new_destination_port,
  };
  if (rule->edits & EKHO_ACL_EDITS_MIRROR) edit.mirror = index_of(rule->mirror_port);
  if (rule->edits & EKHO_ACL_EDITS_POLICE) {
    edit.police = rule->police;
    edit.police_rate = rule->police_rate;
    edit.police_burst = rule->police_burst;
    edit.police_mtu = rule->police_mtu;
    edit.police_minimum = rule->police_minimum;
    edit.bucket = bucket;
  }
  put_address(&rule->new_source_address, edit.source);
  put_address(&rule->new_destination_address, edit.destination);
  row[0] = index;
  memcpy(row + 1, &edit, sizeof edit);
}

void acl_rule_of_row(const uint32_t *row, ekho_acl_rule *rule) {
  const struct dp_acl_rule *value = (const void *)(row + 1);
  memcpy(rule, value->words, sizeof *rule);
  rule->operation = EKHO_OPERATION_PUT;
}
