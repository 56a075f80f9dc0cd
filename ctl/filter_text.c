#include "ctl/filter_text.h"

#include <errno.h>
#include <string.h>

#define SHOWN_MAX 200 /* a longer text is not shown: the mark would be lines below */

struct filter *filter_read(const char *text, struct error *err)
{
    const char *given = text != NULL ? text : "";
    const size_t length = strlen(given);
    uint32_t position = 0;
    struct filter *filter = filter_compile(given, length, err, &position);

    if (filter == NULL) {
        struct error cause = *err;

        if (position <= length && length < SHOWN_MAX) {
            tell("%s", given);
            (void)fprintf(stderr, "%*s^\n", (int)(position + strlen("netscopectl: ")), "");
        }
        (void)error_set(err, EINVAL, "--filter: %s", cause.message);
    }
    return filter;
}

void filter_print(const struct filter *filter, struct output *out)
{
    char understood[8192];
    const size_t length = filter_to_text(filter, understood, sizeof(understood));

    output_write(out, understood, length);
    output_write(out, "\n", 1);
}
