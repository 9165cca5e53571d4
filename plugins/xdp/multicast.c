/* Multicast groups of bridges as rows and back. */
#include "xdp.h"

static uint32_t swap(uint32_t word) { return __builtin_bswap32(word); }

/* The ports of a record stand one behind the other. */
_Static_assert(offsetof(ekho_multicast_group, port31) - offsetof(ekho_multicast_group, port0) ==
                   (DP_GROUP_PORTS - 1) * sizeof(ekho_handle),
               "ports of a multicast group");

static const ekho_handle *ports_of(const ekho_multicast_group *group) { return &group->port0; }

ekho_reason row_of_multicast_group(const ekho_multicast_group *group, uint32_t *row) {
  bool is_mac = group->family == EKHO_MULTICAST_FAMILY_MAC;
  struct dp_multicast_key key = {
      .bridge = group->bridge,
      .vlan = DP_GROUP_VLAN(group->family, group->vlan),
      .address =
          {
              swap((uint32_t)(group->address.high >> 32)),
              swap((uint32_t)group->address.high),
              is_mac ? (uint32_t)(group->address.low >> 32) : swap((uint32_t)(group->address.low >> 32)),
              is_mac ? (uint32_t)group->address.low : swap((uint32_t)group->address.low),
          },
  };
  struct dp_multicast value = {.handle = group->handle, .count = group->count};
  if (group->family > EKHO_MULTICAST_FAMILY_IPV6) return EKHO_REASON_INVALID;
  if (group->family != EKHO_MULTICAST_FAMILY_IPV6 &&
      (group->address.high != 0 || group->address.low >> (is_mac ? 48 : 32) != 0))
    return EKHO_REASON_INVALID;
  if (group->operation == EKHO_OPERATION_PUT) {
    if (group->count == 0 || group->count > DP_GROUP_PORTS || group->vlan > 4094) return EKHO_REASON_INVALID;
    for (uint32_t i = 0; i < group->count; i++) {
      ekho_handle port = ports_of(group)[i];
      if (!held_has(EKHO_KIND_PORT, port)) return EKHO_REASON_MISSING_REFERENCE;
      value.ports[i] = index_of(port);
      for (uint32_t j = 0; j < i; j++)
        if (value.ports[j] == value.ports[i]) return EKHO_REASON_INVALID;
    }
  }
  memcpy(row, &key, sizeof key);
  memcpy(row + sizeof key / sizeof *row, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void multicast_group_of_row(const uint32_t *row, ekho_multicast_group *group) {
  const struct dp_multicast_key *key = (const void *)row;
  const struct dp_multicast *value = (const void *)(key + 1);
  const uint32_t *words = key->address;
  ekho_multicast_family family = (ekho_multicast_family)(key->vlan >> 16);
  bool is_mac = family == EKHO_MULTICAST_FAMILY_MAC;
  *group = (ekho_multicast_group){
      .family = family,
      .vlan = (uint16_t)key->vlan,
      .handle = value->handle,
      .bridge = key->bridge,
      .count = value->count,
      .address =
          {
              .high = (uint64_t)swap(words[0]) << 32 | swap(words[1]),
              .low = is_mac ? (uint64_t)words[2] << 32 | words[3] : (uint64_t)swap(words[2]) << 32 | swap(words[3]),
          },
  };
  ekho_handle *ports = &group->port0;
  for (uint32_t i = 0; i < value->count && i < DP_GROUP_PORTS; i++)
    ports[i] = handle_of(EKHO_KIND_PORT, value->ports[i]);
}
