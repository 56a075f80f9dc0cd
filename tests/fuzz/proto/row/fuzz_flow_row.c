/* Any bytes as a flow record: the row fits its room or is refused, and is made the same in less
 * room. */
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"
#include "proto/row/flow_row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t row[1 << 20];
    const size_t length = flow_row_from_flow(data, size, row, sizeof row);
    struct wire_reader reader = wire_reader_over(row, length);
    struct wire_field field;

    while (wire_next(&reader, &field)) {
    }
    if (!reader.ok || length > sizeof row) {
        abort(); /* a row is protobuf */
    }
    /* A block of the least size: a byte too far is seen. Room for the widest tag is asked for. */
    uint8_t *exact = malloc(length + 16);

    if (exact == NULL) {
        return 0;
    }
    const size_t again = flow_row_from_flow(data, size, exact, length + 16);

    if (again != 0 && (again != length || memcmp(exact, row, length) != 0)) {
        abort();
    }
    free(exact);
    exact = malloc(length / 2 + 1);
    if (exact != NULL && flow_row_from_flow(data, size, exact, length / 2) > length / 2) {
        abort();
    }
    free(exact);
    return 0;
}
