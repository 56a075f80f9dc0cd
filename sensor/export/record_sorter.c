#include "sensor/export/record_sorter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_ROOM 64 /* of the index, for each record */
#define RUNS_MAX    4096
#define MERGE_BYTES 65536 /* of each run: RUNS_MAX of them take 256 MiB */

/* Below, the index has no room; above, offsets do not fit their 32 bits. */
#define MEMORY_MIN 65536
#define MEMORY_MAX (UINT64_C(4) << 30)

struct item {
    uint64_t key;
    uint64_t order;
    uint32_t offset, length;
};

/* On disk: key, order, length, bytes. */
struct item_head {
    uint64_t key, order;
    uint32_t length, reserved;
};

struct run {
    uint64_t offset, end; /* in the temporary file */
    uint8_t *buffer;      /* while merging */
    size_t buffered, at;
    struct item_head head;
    bool has_item;
};

struct record_sorter {
    uint8_t *bytes;
    size_t bytes_capacity, bytes_used;
    struct item *items;
    size_t items_capacity, items_count;
    uint64_t order;
    char *directory;
    FILE *file;
    uint64_t file_end;
    struct run *runs;
    uint32_t runs_count;
};

struct record_sorter *record_sorter_new(uint64_t memory_bytes, const char *directory,
                                        struct error *err)
{
    AUTO(record_sorter) sorter = calloc(1, sizeof(*sorter));

    if (memory_bytes < MEMORY_MIN || memory_bytes > MEMORY_MAX) {
        memory_bytes = memory_bytes < MEMORY_MIN ? MEMORY_MIN : MEMORY_MAX;
    }
    if (sorter != NULL) {
        sorter->items_capacity = memory_bytes / 4 / RECORD_ROOM;
        sorter->bytes_capacity = memory_bytes - sorter->items_capacity * sizeof(struct item);
        sorter->items = malloc(sorter->items_capacity * sizeof(struct item));
        sorter->bytes = malloc(sorter->bytes_capacity);
        sorter->directory = strdup(directory);
    }
    if (sorter == NULL || sorter->items == NULL || sorter->bytes == NULL ||
        sorter->directory == NULL) {
        error_set(err, ENOMEM, "sorting flows: no memory");
        return NULL;
    }
    return TAKE(sorter);
}

void record_sorter_free(struct record_sorter *sorter)
{
    if (sorter == NULL) {
        return;
    }
    for (uint32_t i = 0; i < sorter->runs_count; i++) {
        free(sorter->runs[i].buffer);
    }
    if (sorter->file != NULL) {
        (void)fclose(sorter->file);
    }
    free(sorter->runs);
    free(sorter->items);
    free(sorter->bytes);
    free(sorter->directory);
    free(sorter);
}

static int item_order(const void *a, const void *b)
{
    const struct item *left = a;
    const struct item *right = b;

    if (left->key != right->key) {
        return left->key > right->key ? -1 : 1;
    }
    return left->order < right->order ? -1 : 1;
}

static int file_fault(const struct record_sorter *sorter, struct error *err)
{
    const int code = errno != 0 ? errno : EIO;

    return error_set(err, code, "temporary file in %s: %s", sorter->directory, strerror(code));
}

/* An unnamed file: nothing is left behind however the process ends. */
static int open_file(struct record_sorter *sorter, struct error *err)
{
    int descriptor = open(sorter->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (descriptor < 0) {
        sorter->file = tmpfile(); /* file systems without O_TMPFILE */
    } else {
        sorter->file = fdopen(descriptor, "w+b");
        if (sorter->file == NULL) {
            (void)close(descriptor);
        }
    }
    return sorter->file == NULL ? file_fault(sorter, err) : 0;
}

static int spill(struct record_sorter *sorter, struct error *err)
{
    if (sorter->file == NULL && open_file(sorter, err) != 0) {
        return -err->code;
    }
    struct run *runs = realloc(sorter->runs, (sorter->runs_count + 1) * sizeof(*runs));

    if (runs == NULL || sorter->runs_count == RUNS_MAX) {
        sorter->runs = runs != NULL ? runs : sorter->runs;
        return error_set(err, ENOMEM, "sorting flows: more than %u runs", RUNS_MAX);
    }
    sorter->runs = runs;
    qsort(sorter->items, sorter->items_count, sizeof(struct item), item_order);
    struct run *run = &sorter->runs[sorter->runs_count++];

    *run = (struct run){.offset = sorter->file_end, .end = sorter->file_end};
    for (size_t i = 0; i < sorter->items_count; i++) {
        const struct item *item = &sorter->items[i];
        const struct item_head head = {item->key, item->order, item->length, 0};

        errno = 0;
        if (fwrite(&head, sizeof(head), 1, sorter->file) != 1 ||
            fwrite(sorter->bytes + item->offset, 1, item->length, sorter->file) != item->length) {
            return file_fault(sorter, err);
        }
        run->end += sizeof(head) + item->length;
    }
    sorter->file_end = run->end;
    sorter->items_count = 0;
    sorter->bytes_used = 0;
    return 0;
}

int record_sorter_add(struct record_sorter *sorter, uint64_t key, const void *bytes,
                      uint32_t length, struct error *err)
{
    if (length > sorter->bytes_capacity || length > MERGE_BYTES - sizeof(struct item_head)) {
        return error_set(err, EFBIG, "sorting flows: a record of %u bytes is too large", length);
    }
    if (sorter->items_count == sorter->items_capacity ||
        sorter->bytes_capacity - sorter->bytes_used < length) {
        const int result = spill(sorter, err);

        if (result != 0) {
            return result;
        }
    }
    sorter->items[sorter->items_count++] =
        (struct item){key, sorter->order++, (uint32_t)sorter->bytes_used, length};
    memcpy(sorter->bytes + sorter->bytes_used, bytes, length);
    sorter->bytes_used += length;
    return 0;
}

/* Reads the next item of a run into its head; its bytes follow at buffer + at. */
static int run_next(struct record_sorter *sorter, struct run *run, struct error *err)
{
    const size_t left = run->buffered - run->at;
    const bool has_head = left >= sizeof(run->head);

    if (has_head) {
        memcpy(&run->head, run->buffer + run->at, sizeof(run->head));
    }
    if (!has_head || left < sizeof(run->head) + run->head.length) {
        const uint64_t rest = run->end - run->offset;
        const size_t wanted = rest < MERGE_BYTES - left ? (size_t)rest : MERGE_BYTES - left;

        memmove(run->buffer, run->buffer + run->at, left);
        errno = 0;
        if (wanted > 0 && pread(fileno(sorter->file), run->buffer + left, wanted,
                                (off_t)run->offset) != (ssize_t)wanted) {
            return file_fault(sorter, err);
        }
        run->offset += wanted;
        run->at = 0;
        run->buffered = left + wanted;
    }
    run->has_item = run->buffered - run->at >= sizeof(run->head);
    if (run->has_item) {
        memcpy(&run->head, run->buffer + run->at, sizeof(run->head));
        run->at += sizeof(run->head);
    }
    return 0;
}

static bool comes_before(const struct run *a, const struct run *b)
{
    return a->head.key != b->head.key ? a->head.key > b->head.key : a->head.order < b->head.order;
}

static int merge_runs(struct record_sorter *sorter,
                      void (*each)(void *context, const void *bytes, uint32_t length),
                      void *context, struct error *err)
{
    errno = 0;
    if (fflush(sorter->file) != 0) {
        return file_fault(sorter, err);
    }
    for (uint32_t i = 0; i < sorter->runs_count; i++) {
        sorter->runs[i].buffer = malloc(MERGE_BYTES);
        if (sorter->runs[i].buffer == NULL) {
            return error_set(err, ENOMEM, "sorting flows: no memory");
        }
        if (run_next(sorter, &sorter->runs[i], err) != 0) {
            return -err->code;
        }
    }
    for (;;) {
        struct run *best = NULL;

        for (uint32_t i = 0; i < sorter->runs_count; i++) {
            struct run *run = &sorter->runs[i];

            if (run->has_item && (best == NULL || comes_before(run, best))) {
                best = run;
            }
        }
        if (best == NULL) {
            return 0;
        }
        each(context, best->buffer + best->at, best->head.length);
        best->at += best->head.length;
        if (run_next(sorter, best, err) != 0) {
            return -err->code;
        }
    }
}

int record_sorter_each(struct record_sorter *sorter,
                       void (*each)(void *context, const void *bytes, uint32_t length),
                       void *context, struct error *err)
{
    if (sorter->runs_count > 0) {
        const int result = spill(sorter, err);

        return result == 0 ? merge_runs(sorter, each, context, err) : result;
    }
    if (sorter->items_count > 0) {
        qsort(sorter->items, sorter->items_count, sizeof(struct item), item_order);
    }
    for (size_t i = 0; i < sorter->items_count; i++) {
        each(context, sorter->bytes + sorter->items[i].offset, sorter->items[i].length);
    }
    return 0;
}
