/* Tunnels and what is behind them as rows and back. */
#include "xdp.h"

static uint32_t swap(uint32_t word) { return __builtin_bswap32(word); }

/* The data path encapsulates in IPv4 alone. */
static bool is_ipv4(ekho_address address) { return address.high == 0 && address.low >> 32 == 0; }

ekho_reason row_of_tunnel(const ekho_tunnel *tunnel, uint32_t *row) {
  struct dp_tunnel value = {
      .handle = tunnel->handle,
      .ifindex = tunnel->ifindex,
      .bridge = tunnel->bridge,
      .vlan = tunnel->vlan,
      .vni = tunnel->vni,
      .flags = tunnel->flags,
      .mac = tunnel->mac,
      .local = swap((uint32_t)tunnel->local.low),
      .port = tunnel->port,
      .source_ports = (uint32_t)tunnel->source_port_low << 16 | tunnel->source_port_high,
      .hops = (uint32_t)tunnel->ttl << 16 | tunnel->tos,
      .mtu = tunnel->mtu,
      .link = tunnel->link,
  };
  if (!is_ipv4(tunnel->local)) return EKHO_REASON_UNSUPPORTED_ACTION;
  if (tunnel->vni >> 24 != 0 || tunnel->source_port_low > tunnel->source_port_high) return EKHO_REASON_INVALID;
  row[0] = index_of(tunnel->handle);
  memcpy(row + 1, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void tunnel_of_row(const uint32_t *row, ekho_tunnel *tunnel) {
  struct dp_tunnel value;
  memcpy(&value, row + 1, sizeof value);
  *tunnel = (ekho_tunnel){
      .handle = value.handle,
      .ifindex = value.ifindex,
      .bridge = value.bridge,
      .vlan = (uint16_t)value.vlan,
      .port = (uint16_t)value.port,
      .vni = value.vni,
      .mtu = value.mtu,
      .flags = (ekho_tunnel_flags)value.flags,
      .ttl = (uint8_t)(value.hops >> 16),
      .tos = (uint8_t)value.hops,
      .source_port_low = (uint16_t)(value.source_ports >> 16),
      .source_port_high = (uint16_t)value.source_ports,
      .link = value.link,
      .mac = value.mac,
      .local = {.low = swap(value.local)},
  };
}

ekho_reason row_of_remote(const ekho_remote *remote, uint32_t *row) {
  struct dp_fdb_key key = {
      .bridge = remote->bridge,
      .vlan = remote->vlan,
      .mac_high = (uint32_t)(remote->mac >> 32),
      .mac_low = (uint32_t)remote->mac,
  };
  struct dp_remote value = {
      .handle = remote->handle,
      .tunnel = index_of(remote->tunnel),
      .address = swap((uint32_t)remote->address.low),
  };
  if (remote->operation == EKHO_OPERATION_PUT) {
    if (!held_has(EKHO_KIND_TUNNEL, remote->tunnel)) return EKHO_REASON_MISSING_REFERENCE;
    if (!is_ipv4(remote->address)) return EKHO_REASON_UNSUPPORTED_ACTION;
  }
  memcpy(row, &key, sizeof key);
  memcpy(row + sizeof key / sizeof *row, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void remote_of_row(const uint32_t *row, ekho_remote *remote) {
  const struct dp_fdb_key *key = (const void *)row;
  const struct dp_remote *value = (const void *)(key + 1);
  *remote = (ekho_remote){
      .handle = value->handle,
      .tunnel = handle_of(EKHO_KIND_TUNNEL, value->tunnel),
      .bridge = key->bridge,
      .vlan = (uint16_t)key->vlan,
      .mac = (uint64_t)key->mac_high << 32 | key->mac_low,
      .address = {.low = swap(value->address)},
  };
}
