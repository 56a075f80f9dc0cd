#include "ctl/ledger.h"

#include "ctl/report.h"

static void put_stage(struct show *show, const struct view *row)
{
    const struct record_text name = view_text(row, "name");

    show_lower(show, view_choice(row, "stage", "LEDGER_STAGE_"));
    if (name.length > 0) {
        show_text(show, " ");
        show_name(show, name);
    }
}

static uint64_t put_row_loss(struct output *out, const struct view *row)
{
    struct view_list list = view_list_of(row, "lost");
    struct view each;
    uint64_t lost = 0;

    while (view_list_next(&list, &each)) {
        const uint64_t count = view_number(&each, "count");
        struct line line;

        if (count == 0) {
            continue;
        }
        lost += count;
        line_named(&line, out, "lost");
        show_colour(&line.show, SHOW_BAD);
        show_text(&line.show, "%llu ", (unsigned long long)count);
        show_name(&line.show, view_text(row, "unit"));
        show_colour(&line.show, SHOW_PLAIN);
        show_text(&line.show, " at ");
        put_stage(&line.show, row);
        show_text(&line.show, ": ");
        show_name(&line.show, view_text(&each, "reason"));
        line_end(&line);
    }
    return lost;
}

uint64_t ledger_put_loss(struct output *out, const struct view *view, const char *field)
{
    struct view_list list = view_list_of(view, field);
    struct view row;
    uint64_t lost = 0;

    while (view_list_next(&list, &row)) {
        lost += put_row_loss(out, &row);
    }
    if (lost == 0) {
        struct line line;

        line_named(&line, out, "lost");
        show_text(&line.show, "nothing");
        line_end(&line);
    }
    return lost;
}

/* ---- the table ---- */

static const struct report_column columns[] = {{"STAGE", 26}, {"UNIT", 9},  {"IN", 12}, {"OUT", 12},
                                               {"HELD", 10},  {"LOST", 10}, {"WHY", 1}};

static void put_header(struct output *out, struct record_text sensor)
{
    struct line line;

    line_begin(&line, out);
    show_colour(&line.show, SHOW_NAME);
    show_name(&line.show, sensor);
    show_colour(&line.show, SHOW_PLAIN);
    line_end(&line);
    report_header(out, columns, ARRAY_COUNT(columns));
}

static void put_number(struct line *line, uint64_t number, unsigned width)
{
    show_text(&line->show, "%llu", (unsigned long long)number);
    line_cell(line, width);
}

static uint64_t put_row(struct output *out, const struct view *row)
{
    struct view_list list = view_list_of(row, "lost");
    struct view each;
    struct line line;
    uint64_t lost = 0;

    while (view_list_next(&list, &each)) {
        lost += view_number(&each, "count");
    }
    line_begin(&line, out);
    put_stage(&line.show, row);
    line_cell(&line, columns[0].width);
    show_name(&line.show, view_text(row, "unit"));
    line_cell(&line, columns[1].width);
    put_number(&line, view_number(row, "in"), columns[2].width);
    put_number(&line, view_number(row, "out"), columns[3].width);
    put_number(&line, view_number(row, "held"), columns[4].width);
    show_colour(&line.show, lost > 0 ? SHOW_BAD : SHOW_PLAIN);
    show_text(&line.show, "%llu", (unsigned long long)lost);
    show_colour(&line.show, SHOW_PLAIN);
    line_cell(&line, columns[5].width);
    list = view_list_of(row, "lost");
    for (bool is_first = true; view_list_next(&list, &each);) {
        if (view_number(&each, "count") > 0) {
            show_text(&line.show, "%s", is_first ? "" : ", ");
            show_name(&line.show, view_text(&each, "reason"));
            show_text(&line.show, " %llu", (unsigned long long)view_number(&each, "count"));
            is_first = false;
        }
    }
    line_end(&line);
    return lost;
}

uint64_t ledger_put_table(struct output *out, struct record_text sensor, const struct view *view,
                          const char *field)
{
    struct view_list list = view_list_of(view, field);
    struct view row;
    uint64_t lost = 0;

    put_header(out, sensor);
    while (view_list_next(&list, &row)) {
        lost += put_row(out, &row);
    }
    return lost;
}
