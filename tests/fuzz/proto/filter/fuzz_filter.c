/* A filter that compiles prints as one that compiles to the same; its SQL fits or says not. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/filter/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct flow_record record = {.event = FLOW_END, .has_tcp = true};
    static char first[1 << 17], second[1 << 17], sql[1 << 18];
    static struct filter_value values[1024];
    struct error err = {0};
    uint32_t position;
    uint32_t count;
    bool is_exact;
    AUTO(filter) filter = filter_compile((const char *)data, size, &err, &position);
    if (filter == NULL) {
        if (err.code == 0 || position > size) {
            abort();
        }
        return 0;
    }
    const bool is_match = filter_matches_flow(filter, &record);
    if (!filter_to_sql(filter, sql, sizeof sql, values, 1024, &count, &is_exact)) {
        abort();
    }
    const size_t length = filter_to_text(filter, first, sizeof first);
    AUTO(filter) again = filter_compile(first, length, &err, &position);
    if (again == NULL) {
        if (err.code != E2BIG && strstr(err.message, "deeper") == NULL) {
            abort(); /* the long names of the canonical form may pass a bound */
        }
        return 0;
    }
    if (filter_matches_flow(again, &record) != is_match ||
        filter_to_text(again, second, sizeof second) != length ||
        memcmp(first, second, length) != 0) {
        abort();
    }
    return 0;
}
