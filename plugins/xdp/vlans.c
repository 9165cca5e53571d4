/* Which VLANs each port is in: a frame without a tag needs the port's pvid, and whether its bridge filters at all, before any table
 * can be asked. */
#include "xdp.h"

struct member {
  bool held;
  uint8_t flags;
  uint16_t vlan;
  uint32_t port;
};

/* By index of the handle. */
static struct member *members;
/* A bit for each port. */
static uint32_t *changed;

void vlans_load(void) {
  uint32_t capacity = held_indexes(EKHO_KIND_VLAN_MEMBER), ports = held_indexes(EKHO_KIND_PORT);
  if (members == NULL) {
    members = ekho_keep(capacity * sizeof *members);
    changed = ekho_keep((ports + 31) / 32 * sizeof *changed);
  }
  memset(members, 0, capacity * sizeof *members);
  uint32_t cursor = 0;
  do {
    size_t mark = ekho_mark();
    ekho_u32_list page = device_read(TABLE_VLANS, cursor, BURST_ROWS);
    for (uint32_t at = 1; at < page.count; at += tables[TABLE_VLANS].words) {
      ekho_vlan_member member;
      vlan_member_of_row(page.items + at, &member);
      if (held_fits(EKHO_KIND_VLAN_MEMBER, member.handle)) vlans_put(&member);
    }
    cursor = page.items[0];
    ekho_release(mark);
  } while (cursor != 0);
  memset(changed, 0, (ports + 31) / 32 * sizeof *changed);
}

static void mark_changed(uint32_t port) { changed[port / 32] |= 1u << port % 32; }

void vlans_put(const ekho_vlan_member *member) {
  /* It is refused as a row, and what was held before stays. */
  if (!held_fits(EKHO_KIND_PORT, member->port)) return;
  struct member *held = &members[index_of(member->handle)];
  if (held->held) mark_changed(held->port);
  *held = (struct member){true, member->flags, member->vlan, index_of(member->port)};
  mark_changed(held->port);
}

void vlans_remove(ekho_handle handle) {
  struct member *held = &members[index_of(handle)];
  if (held->held) mark_changed(held->port);
  held->held = false;
}

void vlans_of_port(uint32_t port, uint32_t *flags, uint32_t *pvid) {
  uint32_t capacity = held_indexes(EKHO_KIND_VLAN_MEMBER), pvids = 0;
  *flags &= ~(uint32_t)DP_PORT_IN_VLAN;
  *pvid = 0;
  for (uint32_t i = 0; i < capacity; i++) {
    if (!members[i].held || members[i].port != port) continue;
    *flags |= DP_PORT_IN_VLAN;
    if ((members[i].flags & EKHO_VLAN_FLAGS_PVID) == 0) continue;
    *pvid = members[i].vlan;
    pvids++;
  }
  if (pvids != 1) *pvid = 0;
}

uint32_t vlans_next_changed(void) {
  uint32_t ports = held_indexes(EKHO_KIND_PORT);
  for (uint32_t port = 0; port < ports; port++)
    if ((changed[port / 32] >> port % 32 & 1) != 0) {
      changed[port / 32] &= ~(1u << port % 32);
      return port;
    }
  return DP_NONE;
}
