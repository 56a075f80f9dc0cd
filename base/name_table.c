#include "base/name_table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"

struct name {
    uint32_t length;
    char text[NAME_TABLE_TEXT_BYTES];
};

struct name_table {
    uint32_t count, names_max, mask;
    uint32_t *slots; /* number + 1; 0: free; twice as many as there are names */
    struct name names[];
};

struct name_table *name_table_new(uint32_t names_max)
{
    assert(names_max >= 1 && names_max <= UINT16_MAX);
    uint32_t slots = 2;

    while (slots < 2 * names_max) {
        slots *= 2;
    }
    struct name_table *table = calloc(1, sizeof(*table) + names_max * sizeof(table->names[0]));

    if (table == NULL) {
        return NULL;
    }
    table->names_max = names_max;
    table->mask = slots - 1;
    table->slots = calloc(slots, sizeof(table->slots[0]));
    if (table->slots == NULL) {
        free(table);
        return NULL;
    }
    return table;
}

void name_table_free(struct name_table *table)
{
    if (table != NULL) {
        free(table->slots);
        free(table);
    }
}

/* Whole sequences only; what cannot be shown becomes '?'. */
static void clean(struct name *out, const char *text, size_t length)
{
    const uint8_t *bytes = (const uint8_t *)text;

    out->length = 0;
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        unsigned count = utf8_read(bytes + at, length - at, &code);
        const bool is_shown = count > 0 && !utf8_is_control(code);

        if (out->length + (is_shown ? count : 1) >= NAME_TABLE_TEXT_BYTES) {
            break;
        }
        if (is_shown) {
            memcpy(out->text + out->length, bytes + at, count);
            out->length += count;
        } else {
            out->text[out->length++] = '?';
            count = count > 0 ? count : 1;
        }
        at += count;
    }
    out->text[out->length] = '\0';
}

/* The table is small, and who fills it on purpose slows only himself. */
static uint32_t hash_of(const struct name *name)
{
    return (uint32_t)hash_fnv1a(HASH_FNV1A_START, name->text, name->length);
}

uint16_t name_table_add(struct name_table *table, const char *text, size_t length)
{
    struct name wanted;

    clean(&wanted, text, length);
    uint32_t slot = hash_of(&wanted) & table->mask;

    for (; table->slots[slot] != 0; slot = (slot + 1) & table->mask) {
        const struct name *name = &table->names[table->slots[slot] - 1];

        if (name->length == wanted.length && memcmp(name->text, wanted.text, name->length) == 0) {
            return (uint16_t)(table->slots[slot] - 1);
        }
    }
    if (table->count == table->names_max) {
        return 0;
    }
    table->names[table->count] = wanted;
    table->slots[slot] = ++table->count;
    return (uint16_t)(table->count - 1);
}

const char *name_table_text(const struct name_table *table, uint16_t number, uint32_t *length)
{
    /* A name that was never given is zeroes: an empty text. The count is the adder's alone. */
    if (number >= table->names_max) {
        *length = 0;
        return "";
    }
    *length = table->names[number].length;
    return table->names[number].text;
}
