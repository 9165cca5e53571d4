/* Which handle stands in which slot. A handle's index is dense, so an array finds its slot. What the ASIC holds says which
 * slots are taken: its cookies are the handles. */
#include "softnic.h"

/* Rows read at a time. */
#define PAGE_ROWS 256

struct slots {
  uint32_t capacity;
  /* Handles have an index below this. The host stays below the capacity; twice that costs little. */
  uint32_t indexes;
  /* By index of the handle: the slot. */
  uint32_t *slot;
  /* By slot: the handle, 0 for none. */
  ekho_handle *handle;
  /* The slots that are free, the next to be taken last. */
  uint32_t *free;
  uint32_t free_count;
};

/* Kinds with slots, by kind; the others have capacity 0. */
static struct slots all[KINDS];

static const ekho_asic_table table_of[KINDS] = {
    [EKHO_KIND_PORT] = EKHO_ASIC_TABLE_PORT,
    [EKHO_KIND_ROUTER_INTERFACE] = EKHO_ASIC_TABLE_ROUTER_INTERFACE,
    [EKHO_KIND_NEXTHOP] = EKHO_ASIC_TABLE_NEXTHOP,
    [EKHO_KIND_GROUP] = EKHO_ASIC_TABLE_GROUP,
    [EKHO_KIND_ACL_RULE] = EKHO_ASIC_TABLE_ACL,
};

static uint32_t index_of(ekho_handle handle) { return handle & 0x0fffffffu; }

static ekho_kind kind_of(ekho_handle handle) { return (ekho_kind)((handle >> 28) - 1); }

static void load(ekho_kind kind) {
  struct slots *slots = &all[kind];
  ekho_asic_table table = table_of[kind];
  if (slots->capacity == 0) {
    slots->capacity = softnic.info[table].capacity;
    slots->indexes = 2 * slots->capacity;
    slots->slot = ekho_keep(slots->indexes * sizeof *slots->slot);
    slots->handle = ekho_keep(slots->capacity * sizeof *slots->handle);
    slots->free = ekho_keep(slots->capacity * sizeof *slots->free);
  }
  memset(slots->slot, 0xff, slots->indexes * sizeof *slots->slot);
  memset(slots->handle, 0, slots->capacity * sizeof *slots->handle);

  uint32_t words = softnic.info[table].words;
  uint32_t cursor = 0;
  do {
    size_t mark = ekho_mark();
    ekho_u32_list page = ekho_asic_read(table, cursor, PAGE_ROWS);
    for (uint32_t at = 1; at + words <= page.count; at += words) {
      ekho_handle handle = page.items[at + ROW_COOKIE];
      uint32_t slot = page.items[at + ROW_SLOT];
      slots->handle[slot] = handle;
      if (kind_of(handle) == kind && index_of(handle) < slots->indexes) slots->slot[index_of(handle)] = slot;
    }
    cursor = page.items[0];
    ekho_release(mark);
  } while (cursor != 0);

  slots->free_count = 0;
  for (uint32_t slot = slots->capacity; slot-- > 0;)
    if (slots->handle[slot] == 0) slots->free[slots->free_count++] = slot;
}

void slots_load(void) {
  load(EKHO_KIND_PORT);
  load(EKHO_KIND_ROUTER_INTERFACE);
  load(EKHO_KIND_NEXTHOP);
  load(EKHO_KIND_GROUP);
  load(EKHO_KIND_ACL_RULE);
}

uint32_t slots_find(ekho_kind kind, ekho_handle handle) {
  const struct slots *slots = &all[kind];
  if (kind_of(handle) != kind || index_of(handle) >= slots->indexes) return NO_SLOT;
  return slots->slot[index_of(handle)];
}

ekho_handle slots_handle(ekho_kind kind, uint32_t slot) {
  return slot < all[kind].capacity ? all[kind].handle[slot] : 0;
}

uint32_t slots_take(ekho_kind kind, ekho_handle handle) {
  struct slots *slots = &all[kind];
  if (kind_of(handle) != kind || index_of(handle) >= slots->indexes || slots->free_count == 0) return NO_SLOT;
  uint32_t slot = slots->free[--slots->free_count];
  slots->slot[index_of(handle)] = slot;
  slots->handle[slot] = handle;
  return slot;
}

void slots_give_back(ekho_kind kind, ekho_handle handle) {
  struct slots *slots = &all[kind];
  uint32_t slot = slots_find(kind, handle);
  if (slot == NO_SLOT) return;
  slots->slot[index_of(handle)] = NO_SLOT;
  slots->handle[slot] = 0;
  slots->free[slots->free_count++] = slot;
}
