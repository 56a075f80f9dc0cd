#include "ctl/table.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define GAP          2 /* spaces between columns */
#define NARROWEST    8 /* no column is cut below that */
#define CUT_MARK     "~"
#define LINE_BYTES   32768
#define GROWTH_CELLS 256

struct cell {
    char *text;
    unsigned columns; /* of the terminal */
    enum show_colour colour;
};

struct table {
    const struct table_column *columns;
    unsigned columns_count;
    struct cell *cells; /* row by row */
    size_t cells_count, cells_room;
    bool is_short; /* no memory for a cell */
    unsigned width[TABLE_COLUMNS_MAX];
    struct show scratch;
    char text[TABLE_CELL_BYTES];
};

struct table *table_new(const struct table_column *columns, unsigned count, struct error *err)
{
    struct table *table = calloc(1, sizeof(*table));

    if (table == NULL) {
        (void)error_set(err, ENOMEM, "no memory for a table");
        return NULL;
    }
    table->columns = columns;
    table->columns_count = count;
    return table;
}

void table_free(struct table *table)
{
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i < table->cells_count; i++) {
        free(table->cells[i].text);
    }
    free(table->cells);
    free(table);
}

struct show *table_cell(struct table *table)
{
    table->text[0] = '\0';
    table->scratch = SHOW_OVER(table->text);
    return &table->scratch;
}

void table_keep(struct table *table, enum show_colour colour)
{
    if (table->cells_count == table->cells_room) {
        const size_t room = table->cells_room + GROWTH_CELLS + table->cells_room / 2;
        struct cell *cells = realloc(table->cells, room * sizeof(*cells));

        if (cells == NULL) {
            table->is_short = true;
            return;
        }
        table->cells = cells;
        table->cells_room = room;
    }
    char *text = strdup(table->text[0] == '\0' ? "-" : table->text);

    if (text == NULL) {
        table->is_short = true;
        return;
    }
    const struct show shown = {.out = text, .length = strlen(text)};

    table->cells[table->cells_count++] = (struct cell){text, show_columns(&shown, 0), colour};
}

void table_put(struct table *table, enum show_colour colour, const char *format, ...)
{
    va_list arguments;

    (void)table_cell(table);
    va_start(arguments, format);
    (void)vsnprintf(table->text, sizeof(table->text), format, arguments);
    va_end(arguments);
    table_keep(table, colour);
}

void table_put_name(struct table *table, enum show_colour colour, struct record_text name)
{
    show_name(table_cell(table), name);
    table_keep(table, colour);
}

void table_put_bytes(struct table *table, uint64_t bytes)
{
    show_bytes(table_cell(table), bytes);
    table_keep(table, SHOW_PLAIN);
}

void table_put_count(struct table *table, uint64_t count)
{
    show_count(table_cell(table), count);
    table_keep(table, SHOW_PLAIN);
}

void table_put_time(struct table *table, uint64_t wall_ns)
{
    char text[CLOCK_TEXT_BYTES];

    (void)clock_text(wall_ns, 0, text);
    table_put(table, SHOW_DIM, "%s", wall_ns == 0 ? "-" : text);
}

/* ---- how wide ---- */

static void measure(struct table *table)
{
    assert(table->columns_count > 0);
    for (unsigned c = 0; c < table->columns_count; c++) {
        table->width[c] = (unsigned)strlen(table->columns[c].name);
    }
    for (size_t i = 0; i < table->cells_count; i++) {
        const unsigned c = (unsigned)(i % table->columns_count);

        if (table->cells[i].columns > table->width[c]) {
            table->width[c] = table->cells[i].columns;
        }
    }
}

/* Columns are taken from the widest text. */
static void fit(struct table *table, unsigned room)
{
    unsigned total = GAP * (table->columns_count - 1);

    for (unsigned c = 0; c < table->columns_count; c++) {
        total += table->width[c];
    }
    while (total > room) {
        unsigned widest = table->columns_count;

        for (unsigned c = 0; c < table->columns_count; c++) {
            if (table->columns[c].kind == TABLE_TEXT && table->width[c] > NARROWEST &&
                (widest == table->columns_count || table->width[c] > table->width[widest])) {
                widest = c;
            }
        }
        if (widest == table->columns_count) {
            return; /* it is as narrow as it gets */
        }
        table->width[widest]--;
        total--;
    }
}

/* ---- written ---- */

/* As much of a text as `columns` hold. */
static size_t bytes_within(const char *text, unsigned columns)
{
    size_t i = 0;

    for (; text[i] != '\0'; i++) {
        if (((uint8_t)text[i] & 0xc0) != 0x80 && columns-- == 0) {
            break;
        }
    }
    return i;
}

static void put_cell(struct show *line, const struct cell *cell, unsigned width, bool is_figure,
                     bool is_last)
{
    const bool is_cut = cell->columns > width;
    const unsigned shown = is_cut ? width : cell->columns;

    if (is_figure) {
        show_text(line, "%*s", (int)(width - shown), "");
    }
    if (cell->colour != SHOW_PLAIN) {
        show_colour(line, cell->colour);
    }
    if (is_cut) {
        show_text(line, "%.*s" CUT_MARK, (int)bytes_within(cell->text, width - 1), cell->text);
    } else {
        show_text(line, "%s", cell->text);
    }
    if (cell->colour != SHOW_PLAIN) {
        show_colour(line, SHOW_PLAIN);
    }
    if (!is_last) {
        show_text(line, "%*s", (int)(GAP + (is_figure ? 0 : width - shown)), "");
    }
}

static void put_line(const struct table *table, const struct cell *cells, struct output *out,
                     char *room)
{
    struct show line = {.out = room, .capacity = LINE_BYTES, .has_colour = out->has_colour};

    for (unsigned c = 0; c < table->columns_count; c++) {
        put_cell(&line, &cells[c], table->width[c], table->columns[c].kind == TABLE_FIGURE,
                 c + 1 == table->columns_count);
    }
    output_write(out, room, line.length);
    output_write(out, "\n", 1);
}

bool table_write(struct table *table, struct output *out, struct error *err)
{
    struct cell header[TABLE_COLUMNS_MAX];
    const unsigned room = output_width(out);
    char *line = malloc(LINE_BYTES);

    if (line == NULL || table->is_short) {
        (void)error_set(err, ENOMEM, "no memory for the table");
        free(line);
        return false;
    }
    measure(table);
    if (room > 0) {
        fit(table, room);
    }
    for (unsigned c = 0; c < table->columns_count; c++) {
        header[c] = (struct cell){(char *)(uintptr_t)table->columns[c].name,
                                  (unsigned)strlen(table->columns[c].name), SHOW_PLAIN};
    }
    put_line(table, header, out, line);
    for (size_t i = 0; i + table->columns_count <= table->cells_count && output_is_open(out);
         i += table->columns_count) {
        put_line(table, table->cells + i, out, line);
    }
    free(line);
    return true;
}
