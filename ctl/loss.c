#include "ctl/loss.h"

#include <string.h>

#include "ctl/output.h"
#include "ctl/show.h"

/* What to do about it. */
static const char *cure(struct record_text reason)
{
    static const struct {
        const char *reason, *words;
    } table[] = {
        {"slow_reader", "this reader was too slow: narrow it with --filter, or write to a file"},
        {"max_rate", "more came than was asked for a second"},
        {"sink_full", "the server had no room for them: see netscopectl ledger"},
        {"spool_full", "the sensor's spool was full: see netscopectl ledger"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strlen(table[i].reason) == reason.length &&
            memcmp(table[i].reason, reason.data, reason.length) == 0) {
            return table[i].words;
        }
    }
    return NULL;
}

uint64_t loss_tell(const struct view *loss, const char *what)
{
    const uint64_t count = view_number(loss, "count");
    const uint64_t from = view_number(loss, "from_seq"), to = view_number(loss, "to_seq");
    const struct record_text reason = view_text(loss, "reason");
    const char *words = cure(reason);
    char text[256];
    struct show show = SHOW_OVER(text);

    text[0] = '\0';
    if (from != 0) {
        show_text(&show, " (record_seq %llu to %llu)", (unsigned long long)from,
                  (unsigned long long)to);
    }
    show_text(&show, ": ");
    if (words == NULL) {
        show_name(&show, reason);
    }
    tell("%llu %s are missing here%s%s", (unsigned long long)count, what, text,
         words != NULL ? words : "");
    return count;
}

void loss_tell_node(const struct view *node)
{
    char text[512];
    struct show show = SHOW_OVER(text);

    text[0] = '\0';
    show_name(&show, view_text(node, "sensor_id"));
    show_text(&show, ": ");
    show_name(&show, view_text(node, "state"));
    if (view_text(node, "message").length > 0) {
        show_text(&show, ": ");
        show_name(&show, view_text(node, "message"));
    }
    tell("sensor %s", text);
}
