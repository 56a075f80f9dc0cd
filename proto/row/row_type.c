/* Types of columns, as DESCRIBE TABLE names them. */
#include <stdlib.h>
#include <string.h>

#include "proto/row/row_table_private.h"

/* Takes `name(` off the front of the text. */
static bool enter(const char **at, const char *name)
{
    const size_t length = strlen(name);

    if (strncmp(*at, name, length) != 0 || (*at)[length] != '(') {
        return false;
    }
    *at += length + 1;
    return true;
}

/* "UInt8" to "Int64": bytes of it; 0: none. */
static uint8_t bytes_of(const char *digits)
{
    char *end = NULL;
    const unsigned long bits = strtoul(digits, &end, 10);
    const bool is_one = bits == 8 || bits == 16 || bits == 32 || bits == 64;

    return is_one && (*end == '\0' || *end == ')') ? (uint8_t)(bits / 8) : 0;
}

static bool is_name(const char *at, const char *name)
{
    const size_t length = strlen(name);

    return strncmp(at, name, length) == 0 &&
           (at[length] == '\0' || at[length] == ')' || at[length] == '(');
}

struct row_type row_type_of(const char *text)
{
    struct row_type type = {0};
    const char *at = text;

    while (type.arrays < ROW_ARRAYS_MAX && enter(&at, "Array")) {
        type.arrays++;
    }
    (void)enter(&at, "LowCardinality");
    type.is_nullable = enter(&at, "Nullable");
    if (strncmp(at, "UInt", 4) == 0) {
        type.bytes = bytes_of(at + 4);
        type.most = type.bytes > 0 ? UINT64_MAX >> (64 - 8 * type.bytes) : 0;
        type.kind = type.bytes > 0 ? ROW_UNSIGNED : ROW_NONE;
    } else if (strncmp(at, "Int", 3) == 0) {
        type.bytes = bytes_of(at + 3);
        type.most = type.bytes > 0 ? UINT64_MAX >> (65 - 8 * type.bytes) : 0;
        type.kind = type.bytes > 0 ? ROW_SIGNED : ROW_NONE;
    } else if (is_name(at, "Float64") || is_name(at, "Float32")) {
        type.bytes = at[5] == '6' ? 8 : 4;
        type.kind = ROW_FLOAT;
    } else if (is_name(at, "Bool")) {
        type.kind = ROW_BOOL;
        type.bytes = 1;
    } else if (is_name(at, "String")) {
        type.kind = ROW_STRING;
    } else if (is_name(at, "IPv6")) {
        type.kind = ROW_IPV6;
    } else if (enter(&at, "DateTime64")) {
        type.kind = *at >= '0' && *at <= '9' ? ROW_TIME_64 : ROW_NONE;
        type.bytes = 8;
        type.tick_ns = 1;
        for (int digits = *at - '0'; digits < 9; digits++) {
            type.tick_ns *= 10;
        }
    } else if (is_name(at, "DateTime")) {
        type.kind = ROW_TIME;
        type.bytes = 4;
    }
    return type;
}

/* What all words of an enum begin with: "FLOW_EVENT_". */
uint8_t row_word_prefix(const struct json_enum *enumeration)
{
    const char *first = enumeration->values[0].name;
    size_t common = strlen(first);

    for (uint32_t i = 1; i < enumeration->values_count; i++) {
        size_t same = 0;

        while (same < common && enumeration->values[i].name[same] == first[same]) {
            same++;
        }
        common = same;
    }
    while (common > 0 && first[common - 1] != '_') {
        common--;
    }
    return (uint8_t)common;
}

char *row_column_type(char *line)
{
    char *type = strchr(line, '\t');
    char *kind = type != NULL ? strchr(type + 1, '\t') : NULL;

    if (type == NULL || type - line >= ROW_COLUMN_BYTES) {
        return NULL;
    }
    *type++ = '\0';
    if (kind != NULL) {
        *kind++ = '\0';
        kind[strcspn(kind, "\t")] = '\0';
    }
    return kind == NULL || kind[0] == '\0' || strcmp(kind, "DEFAULT") == 0 ? type : NULL;
}
