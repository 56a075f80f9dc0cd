/* What the two files of record_table share. */
#pragma once

#include "proto/row/record_table.h"
#include "proto/row/row_table_private.h"

#define RECORD_DEPTH_MAX   6
#define RECORD_COLUMNS_MAX 240

struct record_column {
    struct row_column leaf; /* field NULL: the column `record` */
    const struct json_field *way[RECORD_DEPTH_MAX];
    uint32_t depth;
};

struct record_table {
    const struct json_message *message;
    struct record_column columns[RECORD_COLUMNS_MAX];
    uint32_t columns_count, left_out;
    char left_out_name[128];
    bool keeps_records;
    char *names;
    size_t names_length, names_room;
};
