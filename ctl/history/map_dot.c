#include <math.h>
#include <string.h>

#include "ctl/history/map.h"
#include "ctl/report.h"

#define LINE_THINNEST 1.0
#define LINE_THICKEST 6.0
#define FAILS_MANY    0.1 /* of the flows that ended */

/* A text in quotes: what no terminal should get is escaped, and so are quotes (DOT). */
static void put_quoted(struct show *show, struct record_text text)
{
    char safe[1200];
    struct show escaped = SHOW_OVER(safe);

    safe[0] = '\0';
    show_name(&escaped, text);
    for (const char *at = safe; *at != '\0'; at++) {
        show_text(show, "%s%c", *at == '"' || *at == '\\' ? "\\" : "", *at);
    }
}

static void put_node(struct output *out, const struct view *node)
{
    const struct record_text name = view_text(node, "name");
    const struct record_text kind = view_text(node, "kind");
    struct line line;

    line_begin(&line, out);
    line.show.has_colour = false;
    show_text(&line.show, "  \"");
    put_quoted(&line.show, view_text(node, "id"));
    show_text(&line.show, "\" [label=\"");
    if (view_bool(node, "other")) {
        show_text(&line.show, "%llu others", (unsigned long long)view_number(node, "members"));
    } else if (name.length > 0) {
        put_quoted(&line.show, name);
    } else {
        show_text(&line.show, "(none)");
    }
    show_text(&line.show, "\\n");
    show_bytes(&line.show, view_number(node, "bytes_sent") + view_number(node, "bytes_received"));
    show_text(&line.show, "\"%s%s]",
              kind.length == 4 && memcmp(kind.data, "host", 4) == 0 ? "" : ", shape=ellipse",
              view_bool(node, "other") ? ", style=dashed" : "");
    line_end(&line);
}

static uint64_t bytes_of(const struct view *edge)
{
    return view_number(edge, "bytes_forward") + view_number(edge, "bytes_reverse");
}

static void put_edge(struct output *out, const struct view *edge, uint64_t largest)
{
    const double share = largest == 0 ? 0 : log1p((double)bytes_of(edge)) / log1p((double)largest);
    struct line line;

    line_begin(&line, out);
    line.show.has_colour = false;
    show_text(&line.show, "  \"");
    put_quoted(&line.show, view_text(edge, "client"));
    show_text(&line.show, "\" -> \"");
    put_quoted(&line.show, view_text(edge, "server"));
    show_text(&line.show, "\" [label=\"");
    show_bytes(&line.show, bytes_of(edge));
    if (view_has(edge, "rtt")) {
        show_text(&line.show, "\\nrtt ");
        show_duration(&line.show, view_ns(edge, "rtt"));
    }
    if (view_number(edge, "failed_flows") > 0) {
        show_text(&line.show, "\\n%.1f%% fail", 100 * view_double(edge, "error_rate"));
    }
    show_text(&line.show, "\", penwidth=%.1f%s]",
              LINE_THINNEST + (LINE_THICKEST - LINE_THINNEST) * share * share,
              view_double(edge, "error_rate") > FAILS_MANY ? ", color=red" : "");
    line_end(&line);
}

void map_put_dot(struct output *out, const struct view *answer)
{
    static const char begin[] = "digraph netscope {\n  rankdir=LR;\n  node [shape=box];\n";
    struct view_list list = view_list_of(answer, "edges");
    struct view each;
    uint64_t largest = 0;

    output_write(out, begin, strlen(begin));
    while (view_list_next(&list, &each)) {
        largest = bytes_of(&each) > largest ? bytes_of(&each) : largest;
    }
    list = view_list_of(answer, "nodes");
    while (view_list_next(&list, &each)) {
        put_node(out, &each);
    }
    list = view_list_of(answer, "edges");
    while (view_list_next(&list, &each)) {
        put_edge(out, &each, largest);
    }
    output_write(out, "}\n", 2);
}
