/* A filter over the rows of `flows`: as far as SQL can tell, and then on the records themselves. */
#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "collector-ui/history/query_private.h"

int query_condition_make(struct query_condition *condition, const struct filter *filter)
{
    enum { CONDITION_BYTES = 128 * 1024, VALUES_MAX = 1024 };

    *condition = (struct query_condition){.filter = filter, .sql = "1", .is_exact = true};
    if (filter == NULL) {
        return 0;
    }
    condition->own = malloc(CONDITION_BYTES);
    condition->values = calloc(VALUES_MAX, sizeof *condition->values);
    condition->record = calloc(1, sizeof *condition->record);
    if (condition->own == NULL || condition->values == NULL || condition->record == NULL) {
        return -ENOMEM;
    }
    condition->sql = condition->own;
    if (!filter_to_sql(filter, condition->own, CONDITION_BYTES, condition->values, VALUES_MAX,
                       &condition->values_count, &condition->is_exact)) {
        condition->sql = "1"; /* too long for SQL: each record is asked */
        condition->values_count = 0;
        condition->is_exact = false;
    }
    return 0;
}

void query_condition_fini(struct query_condition *condition)
{
    free(condition->own);
    free(condition->values);
    free(condition->record);
}

static void bind_value(sqlite3_stmt *rows, int at, const struct filter_value *value)
{
    switch (value->type) {
    case FILTER_VALUE_U64:
        sqlite3_bind_int64(rows, at, (int64_t)value->u64);
        break;
    case FILTER_VALUE_DOUBLE:
        sqlite3_bind_double(rows, at, value->number);
        break;
    case FILTER_VALUE_TEXT:
        sqlite3_bind_text(rows, at, value->bytes, (int)value->length, SQLITE_STATIC);
        break;
    case FILTER_VALUE_BYTES:
        sqlite3_bind_blob(rows, at, value->bytes, (int)value->length, SQLITE_STATIC);
        break;
    }
}

void query_condition_bind(const struct query_condition *condition, sqlite3_stmt *rows)
{
    for (int i = 0; i < (int)condition->values_count; i++) {
        bind_value(rows, i + 1, &condition->values[i]);
    }
}

const char *query_condition_columns(const struct query_condition *condition)
{
    return condition->is_exact ? "NULL, f.sensor_id, NULL, f.seq"
                               : "f.record, f.sensor_id, b.boot_id, f.seq";
}

const char *query_condition_tables(const struct query_condition *condition)
{
    return condition->is_exact ? "flows f" : "flows f LEFT JOIN boots b ON b.no = f.boot_no";
}

bool query_condition_holds(const struct query_condition *condition, sqlite3_stmt *rows,
                           int match_at, int record_at)
{
    struct history_bytes bytes;

    if (sqlite3_column_int(rows, match_at) == 0) {
        return false;
    }
    if (condition->is_exact) {
        return true;
    }
    if (!query_record(rows, record_at, &bytes)) {
        return false;
    }
    const bool is_match = codec_decode_flow(bytes.bytes, bytes.length, condition->record) &&
                          filter_matches_flow(condition->filter, condition->record);
    free(bytes.bytes);
    return is_match;
}

uint64_t query_text_hash(const char *text)
{
    uint64_t hash = 1;

    for (; *text != '\0'; text++) {
        hash = hash_mix(hash ^ (uint8_t)*text);
    }
    return hash;
}
