/*
 * Rules as the data path searches them: masks, each with a hash table of what rules say under it. The plugin keeps the rules; every
 * change of them builds the generation that is not in use from scratch and switches to it, so no frame meets half of a change.
 */
#include "xdp.h"

_Static_assert(sizeof(ekho_acl_rule) == sizeof(uint32_t) * DP_RULE_WORDS, "rules are kept whole");
_Static_assert(DP_EDIT_POLICE_TRAPPED == EKHO_ACL_EDITS_POLICE_TRAPPED, "edits are the bits of the contract");

/* Pairs of prefixes that the port ranges of one rule may need. */
#define PAIRS_MAX 256

struct mask {
  ekho_acl_stage stage;
  struct dp_match bits;
  /* Rules under it. */
  uint32_t rules;
};

struct prefix {
  uint16_t value;
  uint16_t bits;
};

static struct {
  /* Indexes of handles. */
  uint32_t capacity;
  ekho_acl_rule *rules;
  bool *held;
  /* Keys that each rule takes. */
  uint32_t *keys;
  uint32_t total_keys;
  /* Rules that edit. */
  uint32_t editing;
  /* Some rule polices, or did. */
  bool polices;
  uint32_t generation;
} acl;

/* Splits a range of ports into prefixes: at most 30. */
static uint32_t split(uint32_t low, uint32_t high, struct prefix *prefixes) {
  uint32_t count = 0;
  while (low <= high) {
    uint32_t size = 1;
    while ((low & (2 * size - 1)) == 0 && low + 2 * size - 1 <= high && size < 0x8000) size *= 2;
    if (low == 0 && high == 0xffff) size = 0x10000;
    prefixes[count++] = (struct prefix){(uint16_t)low, (uint16_t)~(size - 1)};
    low += size;
  }
  return count;
}

static void put_mac(uint32_t *high, uint32_t *low, uint64_t mac) {
  *high = (uint32_t)(mac >> 32);
  *low = (uint32_t)mac;
}

static void put_address(uint32_t *words, ekho_address address) {
  words[0] = __builtin_bswap32((uint32_t)(address.high >> 32));
  words[1] = __builtin_bswap32((uint32_t)address.high);
  words[2] = __builtin_bswap32((uint32_t)(address.low >> 32));
  words[3] = __builtin_bswap32((uint32_t)address.low);
}

/* Everything but the ports of TCP and UDP. */
static void translate(const ekho_acl_rule *rule, struct dp_match *match, struct dp_match *bits) {
  ekho_acl_fields fields = rule->fields;
  *match = *bits = (struct dp_match){0};
#define HAS(field) ((fields & EKHO_ACL_FIELDS_##field) != 0)
  if (rule->port != 0) {
    match->port = rule->port;
    bits->port = ~0u;
  }
  if (HAS(SOURCE_MAC)) {
    put_mac(&match->source_mac_high, &match->source_mac_low, rule->source_mac);
    put_mac(&bits->source_mac_high, &bits->source_mac_low, rule->source_mac_mask);
  }
  if (HAS(DESTINATION_MAC)) {
    put_mac(&match->destination_mac_high, &match->destination_mac_low, rule->destination_mac);
    put_mac(&bits->destination_mac_high, &bits->destination_mac_low, rule->destination_mac_mask);
  }
  if (HAS(ETHERTYPE)) {
    /* Behind the tag where the rule looks at the tag. */
    uint32_t shift = HAS(VLAN) ? 0 : 16;
    match->ethertypes = (uint32_t)rule->ethertype << shift;
    bits->ethertypes = 0xffffu << shift;
  }
  if (HAS(VLAN)) {
    match->vlan = rule->vlan;
    bits->vlan = ~0u;
  }
  if (HAS(VLAN_PRIORITY)) {
    match->flags |= (uint32_t)(rule->vlan_priority & 7) << 16;
    bits->flags |= 7u << 16;
  }
  if (HAS(SOURCE_ADDRESS) || HAS(DESTINATION_ADDRESS)) {
    match->has |= rule->family == EKHO_FAMILY_IPV4 ? DP_HAS_IPV4 : DP_HAS_IPV6;
    bits->has |= DP_HAS_IPV4 | DP_HAS_IPV6;
  }
  if (HAS(SOURCE_ADDRESS)) {
    put_address(match->source, rule->source_address);
    put_address(bits->source, rule->source_mask);
  }
  if (HAS(DESTINATION_ADDRESS)) {
    put_address(match->destination, rule->destination_address);
    put_address(bits->destination, rule->destination_mask);
  }
  if (HAS(PROTOCOL)) {
    match->kinds |= (uint32_t)rule->protocol << 24;
    bits->kinds |= 0xff000000u;
  }
  if (HAS(DSCP)) {
    match->kinds |= (uint32_t)rule->dscp << 16;
    bits->kinds |= 0xff0000u;
  }
  if (HAS(ICMP_TYPE)) {
    match->kinds |= (uint32_t)rule->icmp_type << 8;
    bits->kinds |= 0xff00u;
  }
  if (HAS(ICMP_CODE)) {
    match->kinds |= rule->icmp_code;
    bits->kinds |= 0xffu;
  }
  if (HAS(ICMP_TYPE) || HAS(ICMP_CODE)) {
    match->has |= DP_HAS_ICMP;
    bits->has |= DP_HAS_ICMP;
  }
  if (HAS(FRAGMENT)) {
    match->has |= DP_HAS_FRAGMENT;
    bits->has |= DP_HAS_FRAGMENT;
  }
  if (HAS(UNFRAGMENTED)) bits->has |= DP_HAS_FRAGMENT;
  if (HAS(TCP_FLAGS)) {
    match->flags |= rule->tcp_flags;
    bits->flags |= rule->tcp_flags_mask;
    match->has |= DP_HAS_TCP;
    bits->has |= DP_HAS_TCP;
  }
  if (HAS(SOURCE_PORT) || HAS(DESTINATION_PORT)) {
    match->has |= DP_HAS_PORTS;
    bits->has |= DP_HAS_PORTS;
  }
  /* A value outside its mask would never match; the frame's bits are masked, so the rule's are too. */
  uint32_t *value = (uint32_t *)match;
  const uint32_t *mask = (const uint32_t *)bits;
  for (uint32_t word = 0; word < sizeof *match / 4; word++) value[word] &= mask[word];
#undef HAS
}

/* Whether a rule looks at what is only known when the whole header chain is understood. */
static bool looks_behind(const ekho_acl_rule *rule) {
  return (rule->fields & (EKHO_ACL_FIELDS_PROTOCOL | EKHO_ACL_FIELDS_SOURCE_PORT | EKHO_ACL_FIELDS_DESTINATION_PORT |
                          EKHO_ACL_FIELDS_TCP_FLAGS | EKHO_ACL_FIELDS_ICMP_TYPE | EKHO_ACL_FIELDS_ICMP_CODE |
                          EKHO_ACL_FIELDS_UNFRAGMENTED)) != 0;
}

/* The keys of a rule: the ports' prefixes in `values` and `bits`. 0 for more than PAIRS_MAX. */
static uint32_t port_pairs(const ekho_acl_rule *rule, uint32_t *values, uint32_t *bits) {
  struct prefix sources[32] = {{0, 0}}, destinations[32] = {{0, 0}};
  uint32_t source_count = 1, destination_count = 1, count = 0;
  if ((rule->fields & EKHO_ACL_FIELDS_SOURCE_PORT) != 0)
    source_count = split(rule->source_port_low, rule->source_port_high, sources);
  if ((rule->fields & EKHO_ACL_FIELDS_DESTINATION_PORT) != 0)
    destination_count = split(rule->destination_port_low, rule->destination_port_high, destinations);
  if (source_count * destination_count > PAIRS_MAX) return 0;
  for (uint32_t s = 0; s < source_count; s++)
    for (uint32_t d = 0; d < destination_count; d++, count++) {
      values[count] = (uint32_t)sources[s].value << 16 | destinations[d].value;
      bits[count] = (uint32_t)sources[s].bits << 16 | destinations[d].bits;
    }
  return count;
}

/* Masks as a set, for whether all fit and for building. */
static struct mask masks[DP_MASKS];
static uint32_t mask_count;

static bool same(const void *a, const void *b, size_t size) { return memcmp(a, b, size) == 0; }

/* Index of the mask, DP_MASKS when there is no room for it. */
static uint32_t find_mask(ekho_acl_stage stage, const struct dp_match *bits) {
  for (uint32_t i = 0; i < mask_count; i++)
    if (masks[i].stage == stage && same(&masks[i].bits, bits, sizeof *bits)) return i;
  if (mask_count == DP_MASKS) return DP_MASKS;
  masks[mask_count] = (struct mask){.stage = stage, .bits = *bits};
  return mask_count++;
}

/* Adds the masks of a rule; false when they do not fit. */
static bool add_masks(const ekho_acl_rule *rule) {
  uint32_t values[PAIRS_MAX], port_bits[PAIRS_MAX];
  struct dp_match match, bits;
  uint32_t count = port_pairs(rule, values, port_bits);
  translate(rule, &match, &bits);
  for (uint32_t i = 0; i < count; i++) {
    bits.ports = port_bits[i];
    if (find_mask(rule->stage, &bits) == DP_MASKS) return false;
  }
  return true;
}

static void all_masks(void) {
  mask_count = 0;
  for (uint32_t i = 0; i < acl.capacity; i++)
    if (acl.held[i]) add_masks(&acl.rules[i]);
}

/* Whether it has a row of edits. That packets are counted stands in its keys. */
static bool edits(const ekho_acl_rule *rule) { return (rule->edits & ~EKHO_ACL_EDITS_COUNT_TRAPPED) != 0; }

/* What a rule may do besides its action. */
static uint32_t possible_edits(ekho_acl_action action) {
  switch (action) {
    case EKHO_ACL_ACTION_REDIRECT: return ACL_EDITS_ALL & ~EKHO_ACL_EDITS_COUNT_TRAPPED;
    case EKHO_ACL_ACTION_DROP: return DP_EDIT_BESIDES;
    case EKHO_ACL_ACTION_ACCEPT: return DP_EDIT_BESIDES | EKHO_ACL_EDITS_COUNT_TRAPPED;
    default: return EKHO_ACL_EDITS_COUNT_TRAPPED;
  }
}

static bool polices(const ekho_acl_rule *rule) { return (rule->edits & EKHO_ACL_EDITS_POLICE) != 0; }

bool acl_polices(void) { return acl.polices; }

static void hold(const ekho_acl_rule *rule, uint32_t keys) {
  uint32_t index = index_of(rule->handle);
  acl.total_keys += keys - acl.keys[index];
  acl.editing += edits(rule) - (acl.held[index] && edits(&acl.rules[index]));
  acl.polices |= polices(rule);
  acl.keys[index] = keys;
  acl.rules[index] = *rule;
  acl.held[index] = true;
}

void acl_load(void) {
  uint32_t values[PAIRS_MAX], bits[PAIRS_MAX];
  acl.capacity = held_indexes(EKHO_KIND_ACL_RULE);
  if (acl.rules == NULL) {
    acl.rules = ekho_keep(acl.capacity * sizeof *acl.rules);
    acl.held = ekho_keep(acl.capacity * sizeof *acl.held);
    acl.keys = ekho_keep(acl.capacity * sizeof *acl.keys);
  }
  memset(acl.held, 0, acl.capacity * sizeof *acl.held);
  memset(acl.keys, 0, acl.capacity * sizeof *acl.keys);
  acl.total_keys = 0;
  acl.editing = 0;
  uint32_t cursor = 0;
  do {
    size_t mark = ekho_mark();
    ekho_u32_list page = device_read(TABLE_ACL_RULES, cursor, BURST_ROWS);
    for (uint32_t at = 1; at < page.count; at += tables[TABLE_ACL_RULES].words) {
      ekho_acl_rule rule;
      acl_rule_of_row(page.items + at, &rule);
      if (held_fits(EKHO_KIND_ACL_RULE, rule.handle)) hold(&rule, port_pairs(&rule, values, bits));
    }
    cursor = page.items[0];
    ekho_release(mark);
  } while (cursor != 0);
  ekho_u32_list state = device_read(TABLE_ACL_STATE, 0, 1);
  acl.generation = state.count > 2 ? state.items[2] & 1 : 0;
  uint32_t edits_each = tables[TABLE_ACL_EDITS].capacity / 2;
  buckets_load(acl.generation * edits_each, edits_each);
  all_masks();
}

ekho_reason acl_put(const ekho_acl_rule *rule) {
  uint32_t values[PAIRS_MAX], bits[PAIRS_MAX];
  uint32_t index = index_of(rule->handle), before = mask_count;
  uint32_t keys = port_pairs(rule, values, bits);
  if (keys == 0) return EKHO_REASON_UNSUPPORTED_MATCH;
  if ((rule->edits & ~possible_edits(rule->action)) != 0) return EKHO_REASON_UNSUPPORTED_ACTION;
  if (polices(rule) && rule->police_rate == 0) return EKHO_REASON_INVALID;
  if (edits(rule)) {
    bool edited = acl.held[index] && edits(&acl.rules[index]);
    if (acl.editing + !edited > tables[TABLE_ACL_EDITS].capacity / 2) return EKHO_REASON_TABLE_FULL;
  }
  if (2 * (acl.total_keys - acl.keys[index] + keys) > tables[TABLE_ACL_KEYS].capacity) return EKHO_REASON_TABLE_FULL;
  if (!add_masks(rule)) {
    /* Perhaps only because masks stand here that nothing needs any more. */
    bool was_held = acl.held[index];
    acl.held[index] = false;
    all_masks();
    acl.held[index] = was_held;
    before = mask_count;
    if (!add_masks(rule)) {
      mask_count = before;
      return EKHO_REASON_TABLE_FULL;
    }
  }
  hold(rule, keys);
  return EKHO_REASON_NONE;
}

void acl_remove(ekho_handle handle) {
  uint32_t index = index_of(handle);
  acl.total_keys -= acl.keys[index];
  acl.editing -= acl.held[index] && edits(&acl.rules[index]);
  acl.keys[index] = 0;
  acl.held[index] = false;
}

/* Rules in the order they are tried: by priority, then index. */
static uint32_t sort_rules(uint32_t *order) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < acl.capacity; i++)
    if (acl.held[i]) order[count++] = i;
  /* Heap sort: there may be 16,384 of them. */
#define BEFORE(a, b)                                                 \
  (acl.rules[a].priority < acl.rules[b].priority ||                  \
   (acl.rules[a].priority == acl.rules[b].priority && (a) < (b)))
  for (uint32_t start = count / 2, end = count; end > 1;) {
    if (start > 0) {
      start--;
    } else {
      end--;
      uint32_t last = order[end];
      order[end] = order[0];
      order[0] = last;
    }
    uint32_t root = start, value = order[root];
    for (uint32_t child; (child = 2 * root + 1) < end; root = child) {
      if (child + 1 < end && BEFORE(order[child], order[child + 1])) child++;
      if (!BEFORE(value, order[child])) break;
      order[root] = order[child];
    }
    order[root] = value;
  }
#undef BEFORE
  return count;
}

/* Takes the keys of a generation out, whoever left them there. */
static ekho_tables_status clear_generation(uint32_t generation) {
  uint32_t words = tables[TABLE_ACL_KEYS].words, key_words = tables[TABLE_ACL_KEYS].key_words;
  size_t all = ekho_mark();
  uint32_t *keys = ekho_alloc(tables[TABLE_ACL_KEYS].capacity * key_words * sizeof *keys);
  uint32_t count = 0, cursor = 0;
  do {
    size_t mark = ekho_mark();
    ekho_u32_list page = device_read(TABLE_ACL_KEYS, cursor, BURST_ROWS);
    for (uint32_t at = 1; at < page.count; at += words)
      if (page.items[at] / DP_MASKS == generation && count < tables[TABLE_ACL_KEYS].capacity)
        memcpy(keys + count++ * key_words, page.items + at, key_words * sizeof *keys);
    cursor = page.items[0];
    ekho_release(mark);
  } while (cursor != 0);
  ekho_tables_status status = count == 0 ? EKHO_TABLES_STATUS_OK : device_remove(TABLE_ACL_KEYS, keys, count).status;
  ekho_release(all);
  return status;
}

/* Writes the keys of a rule at `rows`; how many. `edit` is the row of what it edits plus one, 0 for none. */
static uint32_t key_rows(const ekho_acl_rule *rule, uint32_t rank, uint32_t generation, uint32_t edit, uint32_t *rows,
                         uint32_t *first_rank) {
  uint32_t values[PAIRS_MAX], port_bits[PAIRS_MAX];
  struct dp_acl_key key;
  struct dp_match bits;
  struct dp_acl value = {
      .handle = rule->handle,
      .priority = rank,
      .action = DP_ACL_DOES(rule->action, edit) | (rule->edits & EKHO_ACL_EDITS_COUNT_TRAPPED ? DP_ACL_COUNTS : 0),
      .port = rule->redirect_port == 0 ? DP_NONE : index_of(rule->redirect_port),
  };
  uint32_t count = port_pairs(rule, values, port_bits);
  translate(rule, &key.match, &bits);
  for (uint32_t i = 0; i < count; i++) {
    bits.ports = port_bits[i];
    key.match.ports = values[i];
    uint32_t mask = find_mask(rule->stage, &bits);
    if (mask == DP_MASKS) return i;
    if (rank < first_rank[mask]) first_rank[mask] = rank;
    masks[mask].rules++;
    key.mask = generation * DP_MASKS + mask;
    memcpy(rows, &key, sizeof key);
    memcpy(rows + sizeof key / sizeof *rows, &value, sizeof value);
    rows += tables[TABLE_ACL_KEYS].words;
  }
  return count;
}

ekho_tables_status acl_commit(void) {
  uint32_t next = 1 - acl.generation, words = tables[TABLE_ACL_KEYS].words, used = 0, flags = 0;
  uint32_t first_rank[DP_MASKS], mask_rows[DP_MASKS * (1 + sizeof(struct dp_acl_mask) / 4)];
  ekho_tables_status status = clear_generation(next);
  if (status != EKHO_TABLES_STATUS_OK) return status;
  uint32_t *order = ekho_alloc(acl.capacity * sizeof *order);
  uint32_t count = sort_rules(order);
  uint32_t *rows = ekho_alloc((acl.total_keys + 1) * words * sizeof *rows);
  uint32_t first_edit = next * (tables[TABLE_ACL_EDITS].capacity / 2), edited = 0;
  uint32_t edit_words = tables[TABLE_ACL_EDITS].words;
  uint32_t *edit_rows = ekho_alloc((acl.editing + 1) * edit_words * sizeof *edit_rows);
  mask_count = 0;
  buckets_begin();
  for (uint32_t i = 0; i < DP_MASKS; i++) first_rank[i] = DP_NONE;
  /* The last first: of two rules with one key, the one to be tried first replaces the other. */
  for (uint32_t rank = count; rank-- > 0;) {
    const ekho_acl_rule *rule = &acl.rules[order[rank]];
    uint32_t edit = 0;
    if (edits(rule)) {
      uint32_t bucket = polices(rule) ? bucket_of(rule) : 0;
      row_of_edit(rule, first_edit + edited, bucket, edit_rows + edited * edit_words);
      edit = first_edit + ++edited;
    }
    used += key_rows(rule, rank, next, edit, rows + used * words, first_rank);
    flags |= rule->stage == EKHO_ACL_STAGE_INGRESS ? DP_ACL_INGRESS : DP_ACL_ROUTING;
    if (looks_behind(rule)) flags |= DP_ACL_PORTS;
  }
  /* Masks in the order of their first rule: where each one goes. */
  uint32_t place[DP_MASKS];
  for (uint32_t i = 0; i < mask_count; i++) {
    place[i] = 0;
    for (uint32_t j = 0; j < mask_count; j++)
      if (first_rank[j] < first_rank[i] || (first_rank[j] == first_rank[i] && j < i)) place[i]++;
  }
  for (uint32_t i = 0; i < used; i++) {
    uint32_t *mask = &rows[i * words];
    *mask = next * DP_MASKS + place[*mask - next * DP_MASKS];
  }
  for (uint32_t i = 0; i < mask_count; i++) {
    uint32_t *row = mask_rows + i * tables[TABLE_ACL_MASKS].words;
    struct dp_acl_mask mask = {first_rank[i], masks[i].stage, masks[i].bits};
    row[0] = next * DP_MASKS + place[i];
    memcpy(row + 1, &mask, sizeof mask);
  }
  status = buckets_fill();
  if (edited > 0 && status == EKHO_TABLES_STATUS_OK)
    status = device_put(TABLE_ACL_EDITS, edit_rows, edited, false).status;
  for (uint32_t from = 0; from < used && status == EKHO_TABLES_STATUS_OK; from += BURST_ROWS) {
    uint32_t most = used - from < BURST_ROWS ? used - from : BURST_ROWS;
    status = device_put(TABLE_ACL_KEYS, rows + from * words, most, true).status;
  }
  if (status == EKHO_TABLES_STATUS_OK) status = device_put(TABLE_ACL_MASKS, mask_rows, mask_count, false).status;
  uint32_t state[] = {0, DP_ACL_STATE(next, mask_count, flags)};
  if (status == EKHO_TABLES_STATUS_OK) status = device_put(TABLE_ACL_STATE, state, 1, false).status;
  buckets_end(status == EKHO_TABLES_STATUS_OK);
  if (status == EKHO_TABLES_STATUS_OK) acl.generation = next;
  return status;
}
