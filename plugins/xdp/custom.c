/* Kinds of its own: meters, and ports whose frames are sampled. Fields stand in a record as custom_describe() lists them. */
#include "xdp.h"

enum { METER_PREFIX, METER_DIRECTION, METER_RATE, METER_BURST, METER_FIELDS };
enum { SAMPLE_PORT, SAMPLE_EVERY, SAMPLE_COLLECTOR, SAMPLE_UDP_PORT, SAMPLE_FIELDS };

#define ALL_FIELDS(count) ((1u << (count)) - 1)

/* What the data path was told that there is. */
static uint32_t known_flags;

void custom_describe(ekho_plugin_offload_kind_list *result) {
  static ekho_plugin_offload_field meter[METER_FIELDS] = {
      [METER_PREFIX] = {.name = EKHO_STRING("prefix"),
                        .field_type = EKHO_PLUGIN_FIELD_TYPE_PREFIX,
                        .key = true,
                        .required = true,
                        .documentation = EKHO_STRING("Addresses of the packets; the longest prefix of a packet counts")},
      [METER_DIRECTION] = {.name = EKHO_STRING("direction"),
                           .field_type = EKHO_PLUGIN_FIELD_TYPE_CHOICE,
                           .key = true,
                           .required = true,
                           .fallback = EKHO_STRING("destination"),
                           .choices = EKHO_STRING("destination source"),
                           .documentation = EKHO_STRING("Which of a packet's addresses")},
      [METER_RATE] = {.name = EKHO_STRING("rate"),
                      .field_type = EKHO_PLUGIN_FIELD_TYPE_NUMBER64,
                      .required = true,
                      .minimum = EKHO_STRING("8000"),
                      .maximum = EKHO_STRING("1000000000000"),
                      .unit = EKHO_STRING("bit/s"),
                      .documentation = EKHO_STRING("Whole frames that may arrive at all ports together")},
      [METER_BURST] = {.name = EKHO_STRING("burst"),
                       .field_type = EKHO_PLUGIN_FIELD_TYPE_NUMBER32,
                       .required = true,
                       .minimum = EKHO_STRING("1514"),
                       .maximum = EKHO_STRING("1073741824"),
                       .unit = EKHO_STRING("bytes"),
                       .fallback = EKHO_STRING("128k"),
                       .documentation = EKHO_STRING("What may come at once")},
  };
  static ekho_plugin_offload_field sample[SAMPLE_FIELDS] = {
      [SAMPLE_PORT] = {.name = EKHO_STRING("port"),
                       .field_type = EKHO_PLUGIN_FIELD_TYPE_LINK,
                       .key = true,
                       .required = true,
                       .documentation = EKHO_STRING("Port on which packets arrive")},
      [SAMPLE_EVERY] = {.name = EKHO_STRING("every"),
                        .field_type = EKHO_PLUGIN_FIELD_TYPE_NUMBER32,
                        .required = true,
                        .minimum = EKHO_STRING("1"),
                        .maximum = EKHO_STRING("1000000000"),
                        .unit = EKHO_STRING("packets"),
                        .fallback = EKHO_STRING("1000"),
                        .documentation = EKHO_STRING("Of so many packets one is taken, by chance")},
      [SAMPLE_COLLECTOR] = {.name = EKHO_STRING("collector"),
                            .field_type = EKHO_PLUGIN_FIELD_TYPE_ADDRESS,
                            .required = true,
                            .documentation = EKHO_STRING("Where IPFIX goes to")},
      [SAMPLE_UDP_PORT] = {.name = EKHO_STRING("udp-port"),
                           .field_type = EKHO_PLUGIN_FIELD_TYPE_NUMBER32,
                           .required = true,
                           .minimum = EKHO_STRING("1"),
                           .maximum = EKHO_STRING("65535"),
                           .fallback = EKHO_STRING("4739"),
                           .documentation = EKHO_STRING("The collector's UDP port")},
  };
  static ekho_plugin_offload_kind kinds[CUSTOM_KINDS];
  kinds[CUSTOM_METER] = (ekho_plugin_offload_kind){
      .name = EKHO_STRING("xdp:meter"),
      .version = 1,
      .documentation = EKHO_STRING("Drops packets to, or from, a prefix that come faster than a rate, whoever would forward them"),
      .counts = EKHO_STRING("dropped"),
      .capacity = tables[TABLE_METERS].capacity,
      .fields = {meter, METER_FIELDS},
  };
  kinds[CUSTOM_SAMPLE] = (ekho_plugin_offload_kind){
      .name = EKHO_STRING("xdp:sample"),
      .version = 1,
      .documentation = EKHO_STRING("Tells a collector of one in so many packets that arrive on a port, by IPFIX"),
      .counts = EKHO_STRING("sampled"),
      .capacity = tables[TABLE_SAMPLES].capacity / 2,
      .fields = {sample, SAMPLE_FIELDS},
  };
  *result = (ekho_plugin_offload_kind_list){kinds, CUSTOM_KINDS};
}

enum table custom_table(const ekho_custom *custom) {
  switch (custom->offload_kind) {
    case CUSTOM_METER: return TABLE_METERS;
    case CUSTOM_SAMPLE: return TABLE_SAMPLES;
    default: return TABLES;
  }
}

static uint32_t swap(uint32_t word) { return __builtin_bswap32(word); }

static ekho_reason row_of_meter(const ekho_custom *custom, uint32_t *row) {
  uint32_t family = (uint32_t)(custom->data0 >> 32), length = (uint32_t)custom->data0;
  struct dp_meter_key key = {
      .bits = 32 + length,
      .scope = swap(DP_METER_SCOPE(family, (uint32_t)custom->data3)),
  };
  struct dp_meter value = {
      .handle = custom->handle,
      .burst = (uint32_t)custom->data5,
      .rate_low = (uint32_t)custom->data4,
      .rate_high = (uint32_t)(custom->data4 >> 32),
  };
  if (custom->present != ALL_FIELDS(METER_FIELDS) || family > EKHO_FAMILY_IPV6 || custom->data3 > DP_METER_SOURCE ||
      length > (family == EKHO_FAMILY_IPV4 ? 32 : 128) || custom->data4 == 0)
    return EKHO_REASON_INVALID;
  if (family == EKHO_FAMILY_IPV4) {
    key.address[0] = swap((uint32_t)custom->data2);
  } else {
    key.address[0] = swap((uint32_t)(custom->data1 >> 32));
    key.address[1] = swap((uint32_t)custom->data1);
    key.address[2] = swap((uint32_t)(custom->data2 >> 32));
    key.address[3] = swap((uint32_t)custom->data2);
  }
  memcpy(row, &key, sizeof key);
  memcpy(row + sizeof key / sizeof *row, &value, sizeof value);
  return EKHO_REASON_NONE;
}

void custom_of_meter(const uint32_t *row, ekho_custom *custom) {
  const struct dp_meter_key *key = (const void *)row;
  const struct dp_meter *value = (const void *)(key + 1);
  uint32_t scope = swap(key->scope), family = scope >> 8;
  *custom = (ekho_custom){
      .handle = value->handle,
      .offload_kind = CUSTOM_METER,
      .present = ALL_FIELDS(METER_FIELDS),
      .data0 = (uint64_t)family << 32 | (key->bits - 32),
      .data3 = scope & 0xff,
      .data4 = (uint64_t)value->rate_high << 32 | value->rate_low,
      .data5 = value->burst,
  };
  if (family == EKHO_FAMILY_IPV4) {
    custom->data2 = swap(key->address[0]);
  } else {
    custom->data1 = (uint64_t)swap(key->address[0]) << 32 | swap(key->address[1]);
    custom->data2 = (uint64_t)swap(key->address[2]) << 32 | swap(key->address[3]);
  }
}

static ekho_reason row_of_sample(const ekho_custom *custom, uint32_t *row) {
  ekho_handle port = (ekho_handle)(custom->data0 >> 32);
  struct dp_sample value = {
      .handle = custom->handle,
      .every = (uint32_t)custom->data1,
      .udp_port = (uint32_t)custom->data5,
      .family = (uint32_t)(custom->data2 >> 32),
      .collector = {swap((uint32_t)(custom->data3 >> 32)), swap((uint32_t)custom->data3),
                    swap((uint32_t)(custom->data4 >> 32)), swap((uint32_t)custom->data4)},
  };
  if (custom->present != ALL_FIELDS(SAMPLE_FIELDS) || value.every == 0 || value.family > EKHO_FAMILY_IPV6)
    return EKHO_REASON_INVALID;
  /* Of a link that is no port it sees no packet. */
  if (port == 0) return EKHO_REASON_UNSUPPORTED_MATCH;
  /* An index of something else would be that of another port. */
  if (port != handle_of(EKHO_KIND_PORT, index_of(port))) return EKHO_REASON_INVALID;
  row[0] = index_of(port);
  if (custom->operation == EKHO_OPERATION_REMOVE) return EKHO_REASON_NONE;
  if (!held_has(EKHO_KIND_PORT, port)) return EKHO_REASON_MISSING_REFERENCE;
  memcpy(row + 1, &value, sizeof value);
  return EKHO_REASON_NONE;
}

/* The interface index is that of the port's row. */
static uint32_t ifindex_of_port(uint32_t port) {
  uint32_t cursor = port, found = 0;
  size_t mark = ekho_mark();
  ekho_u32_list page = device_read(TABLE_PORTS, cursor, 1);
  if (page.count > 3 && page.items[1] == port) found = page.items[3];
  ekho_release(mark);
  return found;
}

void custom_of_sample(const uint32_t *row, ekho_custom *custom) {
  const struct dp_sample *value = (const void *)(row + 1);
  *custom = (ekho_custom){
      .handle = value->handle,
      .offload_kind = CUSTOM_SAMPLE,
      .present = ALL_FIELDS(SAMPLE_FIELDS),
      .data0 = (uint64_t)handle_of(EKHO_KIND_PORT, row[0]) << 32 | ifindex_of_port(row[0]),
      .data1 = value->every,
      .data2 = (uint64_t)value->family << 32 | (value->family == EKHO_FAMILY_IPV4 ? 32 : 128),
      .data3 = (uint64_t)swap(value->collector[0]) << 32 | swap(value->collector[1]),
      .data4 = (uint64_t)swap(value->collector[2]) << 32 | swap(value->collector[3]),
      .data5 = value->udp_port,
  };
}

ekho_reason row_of_custom(const ekho_custom *custom, uint32_t *row) {
  return custom->offload_kind == CUSTOM_METER ? row_of_meter(custom, row) : row_of_sample(custom, row);
}

void custom_moved(const ekho_custom *custom) {
  if (custom->offload_kind != CUSTOM_SAMPLE || !held_has(EKHO_KIND_CUSTOM, custom->handle)) return;
  uint32_t port = index_of((ekho_handle)(custom->data0 >> 32)), cursor = 0;
  do {
    size_t mark = ekho_mark();
    ekho_u32_list page = device_read(TABLE_SAMPLES, cursor, BURST_ROWS);
    for (uint32_t at = 1; at < page.count; at += tables[TABLE_SAMPLES].words) {
      const struct dp_sample *value = (const void *)(page.items + at + 1);
      if (value->handle == custom->handle && page.items[at] != port) device_remove(TABLE_SAMPLES, page.items + at, 1);
    }
    cursor = page.items[0];
    ekho_release(mark);
  } while (cursor != 0);
}

static bool has_rows(enum table table) {
  uint32_t cursor = 0;
  bool found = false;
  do {
    size_t mark = ekho_mark();
    ekho_u32_list page = device_read(table, cursor, BURST_ROWS);
    found = page.count > 1;
    cursor = page.items[0];
    ekho_release(mark);
  } while (cursor != 0 && !found);
  return found;
}

static ekho_tables_status tell(uint32_t flags) {
  uint32_t row[] = {0, flags};
  ekho_tables_status status =
      flags == 0 ? device_remove(TABLE_CUSTOM_STATE, row, 1).status : device_put(TABLE_CUSTOM_STATE, row, 1, false).status;
  if (status == EKHO_TABLES_STATUS_OK) known_flags = flags;
  return status;
}

void custom_load(void) {
  ekho_u32_list state = device_read(TABLE_CUSTOM_STATE, 0, 1);
  known_flags = state.count > 2 ? state.items[2] : 0;
}

/* A meter that was changed begins with its whole burst. */
static void begin_anew(ekho_handle handle) {
  uint32_t row[1 + sizeof(struct dp_meter_state) / 4] = {index_of(handle)};
  device_put(TABLE_METER_STATES, row, 1, false);
}

ekho_tables_status custom_commit(const ekho_custom_list *customs) {
  uint32_t flags = known_flags;
  bool removes = false;
  for (uint32_t i = 0; i < customs->count; i++) {
    const ekho_custom *custom = &customs->items[i];
    if (custom->operation == EKHO_OPERATION_REMOVE) {
      removes = true;
      continue;
    }
    flags |= custom->offload_kind == CUSTOM_METER ? DP_CUSTOM_METERS : DP_CUSTOM_SAMPLES;
    if (custom->offload_kind == CUSTOM_METER && held_has(EKHO_KIND_CUSTOM, custom->handle)) begin_anew(custom->handle);
  }
  if (removes && !has_rows(TABLE_METERS)) flags &= ~(uint32_t)DP_CUSTOM_METERS;
  if (removes && !has_rows(TABLE_SAMPLES)) flags &= ~(uint32_t)DP_CUSTOM_SAMPLES;
  return flags == known_flags ? EKHO_TABLES_STATUS_OK : tell(flags);
}
