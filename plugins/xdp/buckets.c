/* What rules with a rate take from: token buckets, which are the data path's, and rows of which are given to rules that say the same of theirs. */
#include "xdp.h"

static struct bucket {
  uint64_t rate, burst;
  uint32_t number;
  bool packets;
  bool taken;
  /* Since buckets_begin(): taken, and used by a rule. */
  bool fresh, used;
} *buckets;

/* Above all rows that were ever taken. */
static uint32_t end;

static bool is_same(const struct bucket *one, const struct bucket *other) {
  return one->taken && one->number == other->number && one->rate == other->rate && one->burst == other->burst &&
         one->packets == other->packets;
}

void buckets_load(uint32_t first, uint32_t count) {
  uint32_t capacity = tables[TABLE_ACL_BUCKETS].capacity, words = tables[TABLE_ACL_EDITS].words;
  if (buckets == NULL) buckets = ekho_keep(capacity * sizeof *buckets);
  memset(buckets, 0, capacity * sizeof *buckets);
  end = 0;
  for (uint32_t cursor = first; cursor < first + count;) {
    size_t mark = ekho_mark();
    ekho_u32_list page = device_read(TABLE_ACL_EDITS, cursor, BURST_ROWS);
    for (uint32_t at = 1; at < page.count; at += words) {
      struct dp_edit edit;
      memcpy(&edit, page.items + at + 1, sizeof edit);
      if (page.items[at] >= first + count || !(edit.edits & DP_EDIT_POLICE) || edit.bucket >= capacity) continue;
      /* Rows of earlier rules stand behind those that count. */
      if (buckets[edit.bucket].taken) continue;
      buckets[edit.bucket] = (struct bucket){
          .rate = edit.police_rate,
          .burst = edit.police_burst,
          .number = edit.police,
          .packets = (edit.edits & DP_EDIT_POLICE_PACKETS) != 0,
          .taken = true,
      };
      if (edit.bucket >= end) end = edit.bucket + 1;
    }
    cursor = page.items[0] == 0 ? first + count : page.items[0];
    ekho_release(mark);
  }
}

void buckets_begin(void) {
  for (uint32_t i = 0; i < end; i++) buckets[i].fresh = buckets[i].used = false;
}

uint32_t bucket_of(const ekho_acl_rule *rule) {
  uint32_t capacity = tables[TABLE_ACL_BUCKETS].capacity, found = 0;
  struct bucket wanted = {
      .rate = rule->police_rate,
      .burst = rule->police_burst,
      .number = rule->police,
      .packets = (rule->edits & EKHO_ACL_EDITS_POLICE_PACKETS) != 0,
      .taken = true,
      .fresh = true,
      .used = true,
  };
  while (found < end && !is_same(&buckets[found], &wanted)) found++;
  if (found < end) {
    buckets[found].used = true;
    return found;
  }
  for (found = 0; found < capacity - 1 && buckets[found].taken;) found++;
  buckets[found] = wanted;
  if (found >= end) end = found + 1;
  return found;
}

ekho_tables_status buckets_fill(void) {
  uint32_t words = tables[TABLE_ACL_BUCKETS].words, count = 0;
  size_t mark = ekho_mark();
  uint32_t *rows = ekho_alloc((end + 1) * words * sizeof *rows);
  memset(rows, 0, (end + 1) * words * sizeof *rows);
  for (uint32_t i = 0; i < end; i++)
    if (buckets[i].fresh) rows[count++ * words] = i;
  ekho_tables_status status = EKHO_TABLES_STATUS_OK;
  for (uint32_t from = 0; from < count && status == EKHO_TABLES_STATUS_OK; from += BURST_ROWS) {
    uint32_t most = count - from < BURST_ROWS ? count - from : BURST_ROWS;
    status = device_put(TABLE_ACL_BUCKETS, rows + from * words, most, false).status;
  }
  ekho_release(mark);
  return status;
}

void buckets_end(bool done) {
  for (uint32_t i = 0; i < end; i++)
    if (done ? !buckets[i].used : buckets[i].fresh) buckets[i].taken = false;
}
