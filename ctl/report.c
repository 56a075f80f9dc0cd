#include "ctl/report.h"

#define NAMES_WIDTH 12

void line_begin(struct line *line, struct output *out)
{
    line->out = out;
    line->show = SHOW_OVER(line->text);
    line->show.has_colour = out->has_colour;
    line->text[0] = '\0';
    line->cell = 0;
}

void line_named(struct line *line, struct output *out, const char *name)
{
    line_begin(line, out);
    show_text(&line->show, "%s", name);
    line_cell(line, NAMES_WIDTH);
}

void line_cell(struct line *line, unsigned width)
{
    show_pad(&line->show, line->cell, width);
    line->cell = line->show.length;
}

void line_end(struct line *line)
{
    struct show *show = &line->show;

    while (show->length > 0 && show->out[show->length - 1] == ' ') {
        show->length--;
    }
    output_write(line->out, line->text, show->length);
    output_write(line->out, "\n", 1);
}

void report_header(struct output *out, const struct report_column *columns, size_t count)
{
    struct line line;

    line_begin(&line, out);
    for (size_t i = 0; i < count; i++) {
        show_text(&line.show, "%s", columns[i].name);
        line_cell(&line, columns[i].width);
    }
    line_end(&line);
}
