/* Rows to and from the device. */
#include "xdp.h"

struct table_info tables[TABLES];

ekho_tables_completion device_put(enum table table, uint32_t *rows, uint32_t count, bool added) {
  return ekho_tables_put(tables[table].number, (ekho_u32_list){rows, count * tables[table].words}, added);
}

ekho_tables_completion device_remove(enum table table, uint32_t *keys, uint32_t count) {
  return ekho_tables_remove(tables[table].number, (ekho_u32_list){keys, count * tables[table].key_words});
}

ekho_u32_list device_read(enum table table, uint32_t cursor, uint32_t limit) {
  return ekho_tables_read(tables[table].number, cursor, limit);
}
