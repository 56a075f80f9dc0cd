/* What rows of `flows` are grouped by, as text.
 *
 * Depends on: query_private.h. One thread. */
#pragma once

#include "collector-ui/history/query_private.h"

/* An expression over `flows f`. */
const char *group_key_column(enum history_dimension dimension);
/* Whether group_key_text wants the record itself. */
bool group_key_wants_record(enum history_dimension dimension);
/* Whether it wants the key of a label. */
bool group_key_wants_label(enum history_dimension dimension);
/* The text of column `at` of the row, "" where the record has none; returns its length. `record`:
 * decoded from the row; NULL unless it is wanted. */
size_t group_key_text(sqlite3_stmt *rows, int at, enum history_dimension dimension,
                      const char *label, const struct flow_record *record,
                      char out[HISTORY_VALUE_BYTES]);
