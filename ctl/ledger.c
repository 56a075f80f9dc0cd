#include "ctl/ledger.h"

#include <ctype.h>

#include "ctl/report.h"

static void put_stage(struct show *show, const struct view *row)
{
    const struct record_text name = view_text(row, "name");

    for (const char *at = view_choice(row, "stage", "LEDGER_STAGE_"); *at != '\0'; at++) {
        show_text(show, "%c", tolower((unsigned char)*at));
    }
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
