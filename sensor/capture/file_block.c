#include "sensor/capture/file_block.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int file_block_init(struct file_block *block, struct byte_source *source, size_t capacity,
                    struct error *err)
{
    *block = (struct file_block){.source = source, .bytes = malloc(capacity), .capacity = capacity};
    return block->bytes != NULL ? 0 : error_set(err, ENOMEM, "out of memory");
}

void file_block_fini(struct file_block *block)
{
    free(block->bytes);
    block->bytes = NULL;
}

/* Twice as large, but no more than `needed` asks for. Only called when it is full of real bytes. */
static int grow(struct file_block *block, size_t needed, struct error *err)
{
    const size_t capacity = 2 * block->capacity < needed ? 2 * block->capacity : needed;
    assert(capacity > 0);
    uint8_t *bytes = realloc(block->bytes, capacity);

    if (bytes == NULL) {
        return error_set(err, ENOMEM, "out of memory for a block of %zu bytes", needed);
    }
    block->bytes = bytes;
    block->capacity = capacity;
    return 0;
}

static int read_more(struct file_block *block, struct error *err)
{
    const ssize_t got =
        byte_source_read(block->source, block->bytes + block->end, block->capacity - block->end);

    if (got < 0) {
        return error_set(err, (int)-got, "%s", byte_source_fault(block->source, (int)got));
    }
    block->is_end = got == 0;
    block->end += (size_t)got;
    return 0;
}

int file_block_fill(struct file_block *block, size_t needed, struct error *err)
{
    assert(needed <= FILE_BLOCK_BYTES_MAX);
    const size_t left = file_block_left(block);
    int status = 0;

    memmove(block->bytes, block->bytes + block->at, left);
    block->begin_offset += block->at;
    block->at = 0;
    block->end = left;
    while (status == 0 && block->end < needed && !block->is_end) {
        if (block->end == block->capacity) {
            status = grow(block, needed, err);
        }
        if (status == 0) {
            status = read_more(block, err);
        }
    }
    return status;
}

int file_block_skip(struct file_block *block, uint64_t count, uint64_t *skipped, struct error *err)
{
    *skipped = 0;
    for (;;) {
        const size_t left = file_block_left(block);
        const uint64_t wanted = count - *skipped;
        const size_t taken = wanted < left ? (size_t)wanted : left;

        block->at += taken;
        *skipped += taken;
        if (*skipped == count || block->is_end) {
            return 0;
        }
        const int status = file_block_fill(block, 1, err);
        if (status != 0) {
            return status;
        }
    }
}
