#include "ctl/filter_text.h"

#include <errno.h>
#include <string.h>

#include "ctl/output.h"

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
