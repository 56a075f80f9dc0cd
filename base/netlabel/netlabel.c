#include "base/netlabel/netlabel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/netlabel/netlabel_private.h"

/* A line's prefix; its labels stand in a row. */
struct entry {
    struct ip_prefix prefix;
    uint32_t first, count; /* of labels->items */
    uint32_t order;        /* of the lines: of the same prefix the later one counts */
};

/* Prefixes of one length, sorted by address. */
struct span {
    uint32_t begin, end;
    uint8_t version, bits;
};

struct netlabels {
    struct entry *entries;
    uint32_t entries_count, entries_room;
    struct netlabel *items;
    uint32_t items_count, items_room;
    struct span *spans; /* of a version the short ones first */
    uint32_t spans_count;
    uint32_t prefixes_max;
    char **texts; /* what labels point into: each line that has any */
    uint32_t texts_count, texts_room;
    struct label_database *databases[NETLABEL_DATABASES];
    uint32_t databases_count;
};

struct netlabel *netlabel_set_find(struct netlabel_set *set, const char *key, size_t length)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct netlabel *item = &set->items[i];

        if (item->key_length == length && memcmp(item->key, key, length) == 0) {
            return item;
        }
    }
    return NULL;
}

void netlabel_set_put(struct netlabel_set *set, const struct netlabel *label)
{
    struct netlabel *known = netlabel_set_find(set, label->key, label->key_length);

    if (known != NULL) {
        *known = *label;
        return;
    }
    if (set->count == NETLABEL_MAX) {
        set->omitted++;
        return;
    }
    set->items[set->count++] = *label;
}

/* ---- making ---- */

/* Room for one more; false: no memory. */
static bool grow(void **array, uint32_t count, uint32_t *room, size_t bytes_each)
{
    if (count < *room) {
        return true;
    }
    const uint32_t wanted = *room == 0 ? 16 : *room * 2;
    void *larger = reallocarray(*array, wanted, bytes_each);

    if (larger == NULL) {
        return false;
    }
    *array = larger;
    *room = wanted;
    return true;
}

static int keep_line(struct netlabels *labels, netlabel_read *read, const char *text, size_t length,
                     struct error *err)
{
    struct netlabel_line line;

    if (read(text, length, &line, err) != 0) {
        return -EINVAL;
    }
    if (line.count == 0) {
        return 0;
    }
    if (labels->entries_count == labels->prefixes_max) {
        return error_set(err, E2BIG, "more than %u prefixes (networks.labels_max)",
                         labels->prefixes_max);
    }
    void *entries = labels->entries, *texts = labels->texts;
    const bool has_room =
        grow(&entries, labels->entries_count, &labels->entries_room, sizeof(struct entry)) &&
        grow(&texts, labels->texts_count, &labels->texts_room, sizeof(char *));

    labels->entries = entries;
    labels->texts = texts;
    char *copy = has_room ? strndup(text, length) : NULL;
    if (copy == NULL) {
        return error_set(err, ENOMEM, "no memory");
    }
    labels->texts[labels->texts_count++] = copy;
    labels->entries[labels->entries_count] = (struct entry){.prefix = line.prefix,
                                                            .first = labels->items_count,
                                                            .count = line.count,
                                                            .order = labels->entries_count};
    labels->entries_count++;
    for (uint32_t i = 0; i < line.count; i++) {
        void *items = labels->items;
        const bool is_there =
            grow(&items, labels->items_count, &labels->items_room, sizeof(struct netlabel));

        labels->items = items;
        if (!is_there) {
            return error_set(err, ENOMEM, "no memory");
        }
        struct netlabel *item = &labels->items[labels->items_count++];
        *item = line.items[i];
        item->key = copy + (item->key - text);
        item->value = copy + (item->value - text);
    }
    return 0;
}

static int keep_file(struct netlabels *labels, netlabel_read *read, const char *path,
                     struct error *err)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    int result = 0;

    if (file == NULL) {
        return error_set(err, errno, "%s: %s", path, strerror(errno));
    }
    for (unsigned number = 1; result == 0 && (length = getline(&line, &room, file)) >= 0;
         number++) {
        if (length > 0 && line[length - 1] == '\n') {
            length--;
        }
        result = keep_line(labels, read, line, (size_t)length, err);
        if (result != 0) {
            error_prefix(err, "%s, line %u", path, number);
        }
    }
    if (result == 0 && ferror(file)) {
        result = error_set(err, EIO, "%s: cannot be read", path);
    }
    free(line);
    (void)fclose(file);
    return result;
}

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->prefix.address.version != y->prefix.address.version) {
        return x->prefix.address.version < y->prefix.address.version ? -1 : 1;
    }
    if (x->prefix.prefix_bits != y->prefix.prefix_bits) {
        return x->prefix.prefix_bits < y->prefix.prefix_bits ? -1 : 1;
    }
    const int order = memcmp(x->prefix.address.bytes, y->prefix.address.bytes, 16);

    return order != 0 ? order : x->order < y->order ? -1 : 1;
}

/* Sorts the entries, and notes where those of a length begin. */
static int make_spans(struct netlabels *labels, struct error *err)
{
    uint32_t room = 0;

    if (labels->entries_count > 0) {
        qsort(labels->entries, labels->entries_count, sizeof(struct entry), compare);
    }
    for (uint32_t i = 0; i < labels->entries_count; i++) {
        const struct ip_prefix *prefix = &labels->entries[i].prefix;
        struct span *last =
            labels->spans_count == 0 ? NULL : &labels->spans[labels->spans_count - 1];

        if (last == NULL || last->version != prefix->address.version ||
            last->bits != prefix->prefix_bits) {
            void *spans = labels->spans;
            const bool is_there = grow(&spans, labels->spans_count, &room, sizeof(struct span));

            labels->spans = spans;
            if (!is_there) {
                return error_set(err, ENOMEM, "networks.labels: no memory");
            }
            last = &labels->spans[labels->spans_count++];
            *last = (struct span){
                .begin = i, .version = prefix->address.version, .bits = prefix->prefix_bits};
        }
        last->end = i + 1;
    }
    return 0;
}

/* The lines of a setting, and of its file, which come first: of equal prefixes the later counts. */
static int keep_setting(struct netlabels *labels, netlabel_read *read, const char *setting,
                        const char *file, const char *const *lines, uint32_t lines_count,
                        struct error *err)
{
    if (file != NULL && file[0] != '\0') {
        const int result = keep_file(labels, read, file, err);

        if (result != 0) {
            error_prefix(err, "%s_file", setting);
            return result;
        }
    }
    for (uint32_t i = 0; i < lines_count; i++) {
        const int result = keep_line(labels, read, lines[i], strlen(lines[i]), err);

        if (result != 0) {
            error_prefix(err, "%s[%u]", setting, i);
            return result;
        }
    }
    return 0;
}

struct netlabels *netlabels_new(const struct netlabel_settings *settings, struct error *err)
{
    AUTO(netlabels) labels = calloc(1, sizeof(*labels));

    if (labels == NULL) {
        error_set(err, ENOMEM, "networks.labels: no memory");
        return NULL;
    }
    labels->prefixes_max = settings->prefixes_max;
    if (keep_setting(labels, netlabel_line_read, "networks.labels", settings->file, settings->lines,
                     settings->lines_count, err) != 0 ||
        keep_setting(labels, netlabel_name_read, "networks.names", settings->names_file,
                     settings->names, settings->names_count, err) != 0 ||
        make_spans(labels, err) != 0) {
        return NULL;
    }
    if (settings->databases_count > NETLABEL_DATABASES) {
        error_set(err, E2BIG, "networks.databases: more than %d", NETLABEL_DATABASES);
        return NULL;
    }
    for (uint32_t i = 0; i < settings->databases_count; i++) {
        labels->databases[i] = label_database_open(settings->databases[i], err);
        if (labels->databases[i] == NULL) {
            error_prefix(err, "networks.databases");
            return NULL;
        }
        labels->databases_count++;
    }
    return TAKE(labels);
}

void netlabels_free(struct netlabels *labels)
{
    if (labels == NULL) {
        return;
    }
    for (uint32_t i = 0; i < labels->databases_count; i++) {
        label_database_close(labels->databases[i]);
    }
    for (uint32_t i = 0; i < labels->texts_count; i++) {
        free(labels->texts[i]);
    }
    free(labels->texts);
    free(labels->spans);
    free(labels->items);
    free(labels->entries);
    free(labels);
}

bool netlabels_has_any(const struct netlabels *labels)
{
    return labels->entries_count > 0 || labels->databases_count > 0;
}

uint32_t netlabels_prefixes(const struct netlabels *labels)
{
    return labels->entries_count;
}

/* ---- looking up ---- */

/* The address with all bits behind the first `bits` cleared. */
static void mask(const struct ip_address *address, unsigned bits, uint8_t out[16])
{
    memset(out, 0, 16);
    memcpy(out, address->bytes, bits / 8);
    if (bits % 8 != 0) {
        out[bits / 8] = (uint8_t)(address->bytes[bits / 8] & 0xff00U >> bits % 8);
    }
}

/* The first entry of the span that is not below `bytes`. */
static uint32_t lower_bound(const struct netlabels *labels, const struct span *span,
                            const uint8_t bytes[16])
{
    uint32_t low = span->begin, high = span->end;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (memcmp(labels->entries[middle].prefix.address.bytes, bytes, 16) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Spans come from the short prefixes to the long ones: the last name stays. */
static void take_item(const struct netlabel *item, const struct span *span,
                      struct netlabel_set *out)
{
    if (item->key_length > 0) {
        netlabel_set_put(out, item);
        return;
    }
    out->name = item->value;
    out->name_length = item->value_length;
    out->name_is_own = span->bits == (span->version == 4 ? 32 : 128);
}

static void find_in_span(const struct netlabels *labels, const struct span *span,
                         const struct ip_address *address, struct netlabel_set *out)
{
    uint8_t bytes[16];

    mask(address, span->bits, bytes);
    for (uint32_t i = lower_bound(labels, span, bytes);
         i < span->end && memcmp(labels->entries[i].prefix.address.bytes, bytes, 16) == 0; i++) {
        const struct entry *entry = &labels->entries[i];

        for (uint32_t j = 0; j < entry->count; j++) {
            take_item(&labels->items[entry->first + j], span, out);
        }
    }
}

void netlabels_find(const struct netlabels *labels, const struct ip_address *address,
                    struct netlabel_set *out)
{
    out->count = out->omitted = 0;
    out->name = NULL;
    out->name_length = 0;
    out->name_is_own = false;
    if (address->version == 0) {
        return;
    }
    for (uint32_t i = 0; i < labels->databases_count; i++) {
        label_database_find(labels->databases[i], address, out);
    }
    for (uint32_t i = 0; i < labels->spans_count; i++) {
        if (labels->spans[i].version == address->version) {
            find_in_span(labels, &labels->spans[i], address, out);
        }
    }
}
