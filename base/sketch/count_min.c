#include "base/sketch/count_min.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/hash.h"

size_t count_min_bytes(uint32_t width, uint32_t depth)
{
    return (size_t)width * depth * sizeof(uint64_t);
}

void count_min_init(struct count_min *sketch, void *memory, uint32_t width, uint32_t depth)
{
    assert(width > 0 && (width & (width - 1)) == 0);
    assert(depth > 0 && depth <= COUNT_MIN_DEPTH_MAX);
    *sketch = (struct count_min){.cells = memory, .width = width, .depth = depth};
    count_min_reset(sketch);
}

void count_min_reset(struct count_min *sketch)
{
    sketch->total = 0;
    memset(sketch->cells, 0, count_min_bytes(sketch->width, sketch->depth));
}

/* The cell of a key in one row: rows are mixed anew, so that keys that meet in one do not meet in
 * all. */
static size_t cell_of(const struct count_min *sketch, uint64_t hash, uint32_t row)
{
    const uint64_t mixed = hash_mix(hash + row * UINT64_C(0x9e3779b97f4a7c15));
    return (size_t)row * sketch->width + (mixed & (sketch->width - 1));
}

uint64_t count_min_add(struct count_min *sketch, uint64_t hash, uint64_t by)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t row = 0; row < sketch->depth; row++) {
        uint64_t *cell = &sketch->cells[cell_of(sketch, hash, row)];
        *cell += by;
        least = *cell < least ? *cell : least;
    }
    sketch->total += by;
    return least;
}

uint64_t count_min_estimate(const struct count_min *sketch, uint64_t hash)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t row = 0; row < sketch->depth; row++) {
        const uint64_t cell = sketch->cells[cell_of(sketch, hash, row)];
        least = cell < least ? cell : least;
    }
    return least;
}

void count_min_merge(struct count_min *sketch, const struct count_min *other)
{
    assert(sketch->width == other->width && sketch->depth == other->depth);
    const size_t count = (size_t)sketch->width * sketch->depth;
    for (size_t i = 0; i < count; i++) {
        sketch->cells[i] += other->cells[i];
    }
    sketch->total += other->total;
}

double count_min_error(const struct count_min *sketch)
{
    return (double)sketch->total * M_E / sketch->width;
}
