#include "proto/json/service_index.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "proto/json/transcoder.h"

#define METHODS_MAX     128
#define COMMENTS_MAX    8192
#define FULL_NAME_BYTES 256
#define PATH_MAX_STEPS  16
#define INDEX_BYTES     ((size_t)4 * 1024 * 1024)

/* Fields of descriptor.proto. */
enum { FILE_PACKAGE = 2, FILE_MESSAGE = 4, FILE_ENUM = 5, FILE_SERVICE = 6, FILE_SOURCE = 9 };
enum { NAME = 1 }; /* of everything that has one */
enum { SERVICE_METHOD = 2, METHOD_INPUT = 2, METHOD_OUTPUT = 3, METHOD_STREAMS = 6 };
enum { LOCATION = 1, LOCATION_PATH = 1, LOCATION_COMMENT = 3 };

struct comment {
    const char *full_name, *text;
};

static struct {
    struct arena *memory;
    struct json_method methods[METHODS_MAX];
    uint32_t methods_count;
    struct comment *comments; /* by name */
    uint32_t comments_count;
} set;

static struct wire_reader inside(const struct wire_field *field)
{
    return wire_reader_over(field->bytes, field->length);
}

/* Occurrence `index` of field `number`; its bytes are NULL when there is none. */
static struct wire_field nth(struct wire_reader r, uint32_t number, uint64_t index)
{
    struct wire_field field;

    while (wire_next(&r, &field)) {
        if (field.number == number && index-- == 0) {
            return field;
        }
    }
    return (struct wire_field){.number = 0};
}

static const char *copy(const char *text, size_t length)
{
    char *out = arena_take(set.memory, length + 1, 1);

    if (out == NULL) {
        abort(); /* the set is ours: too little room for it is a mistake of ours */
    }
    memcpy(out, text == NULL ? "" : text, text == NULL ? 0 : length);
    out[text == NULL ? 0 : length] = '\0';
    return out;
}

/* ".netscope.v1.GetFlowRequest" -> the message. */
static const struct json_message *message_of(const struct wire_field *type_name)
{
    char name[FULL_NAME_BYTES];

    (void)snprintf(name, sizeof(name), "%.*s", (int)type_name->length - 1,
                   (const char *)type_name->bytes + 1);
    const struct json_message *message = json_message_find(name);

    assert(message != NULL);
    return message;
}

static void add_methods(const char *package, const struct wire_field *service)
{
    const struct wire_field service_name = nth(inside(service), NAME, 0);
    struct wire_reader r = inside(service);
    struct wire_field field;

    while (wire_next(&r, &field)) {
        if (field.number != SERVICE_METHOD) {
            continue;
        }
        const struct wire_field name = nth(inside(&field), NAME, 0);
        const struct wire_field input = nth(inside(&field), METHOD_INPUT, 0);
        const struct wire_field output = nth(inside(&field), METHOD_OUTPUT, 0);
        char full_name[FULL_NAME_BYTES];

        assert(set.methods_count < METHODS_MAX);
        const int length = snprintf(full_name, sizeof(full_name), "%s.%.*s/%.*s", package,
                                    (int)service_name.length, (const char *)service_name.bytes,
                                    (int)name.length, (const char *)name.bytes);

        set.methods[set.methods_count++] = (struct json_method){
            .full_name = copy(full_name, (size_t)length),
            .service = copy((const char *)service_name.bytes, service_name.length),
            .name = copy((const char *)name.bytes, name.length),
            .input = message_of(&input),
            .output = message_of(&output),
            .is_stream = nth(inside(&field), METHOD_STREAMS, 0).value != 0};
    }
}

/* The name of what a location's path leads to: pairs of field number and index. False: nothing that
 * has a name, such as an option. */
static bool name_of(struct wire_reader file, const char *package, const struct wire_field *path,
                    char out[FULL_NAME_BYTES])
{
    struct wire_reader steps = inside(path);
    uint64_t numbers[PATH_MAX_STEPS];
    unsigned count = 0;

    while (steps.at < steps.end && count < PATH_MAX_STEPS) {
        const uint8_t *at = steps.at;
        uint64_t value = 0;

        for (unsigned shift = 0; at < steps.end; shift += 7) {
            value |= (uint64_t)(*at & 0x7f) << shift;
            if ((*at++ & 0x80) == 0) {
                break;
            }
        }
        numbers[count++] = value;
        steps.at = at;
    }
    if (count == 0 || count % 2 != 0 || numbers[0] < FILE_MESSAGE || numbers[0] > FILE_SERVICE) {
        return false;
    }
    size_t length = (size_t)snprintf(out, FULL_NAME_BYTES, "%s", package);
    struct wire_reader at = file;

    for (unsigned i = 0; i < count; i += 2) {
        const struct wire_field child = nth(at, (uint32_t)numbers[i], numbers[i + 1]);
        const struct wire_field name = child.bytes == NULL ? child : nth(inside(&child), NAME, 0);

        if (name.bytes == NULL || length + name.length + 2 > FULL_NAME_BYTES) {
            return false;
        }
        length += (size_t)snprintf(out + length, FULL_NAME_BYTES - length, ".%.*s",
                                   (int)name.length, (const char *)name.bytes);
        at = inside(&child);
    }
    return true;
}

/* One line, blanks trimmed. */
static const char *one_line(const struct wire_field *comment)
{
    char *out = arena_take(set.memory, comment->length + 1, 1);
    size_t length = 0;

    if (out == NULL) {
        abort();
    }
    for (size_t i = 0; i < comment->length; i++) {
        const char c = (char)comment->bytes[i];
        const bool is_blank = c == ' ' || c == '\n' || c == '\t';

        if (!is_blank) {
            out[length++] = c;
        } else if (length > 0 && out[length - 1] != ' ') {
            out[length++] = ' ';
        }
    }
    while (length > 0 && out[length - 1] == ' ') {
        length--;
    }
    out[length] = '\0';
    return out;
}

static void add_comments(struct wire_reader file, const char *package)
{
    const struct wire_field source = nth(file, FILE_SOURCE, 0);
    struct wire_reader r = source.bytes == NULL ? wire_reader_over(NULL, 0) : inside(&source);
    struct wire_field location;

    while (wire_next(&r, &location)) {
        const struct wire_field path = nth(inside(&location), LOCATION_PATH, 0);
        const struct wire_field text = nth(inside(&location), LOCATION_COMMENT, 0);
        char name[FULL_NAME_BYTES];

        if (path.bytes == NULL || text.bytes == NULL || !name_of(file, package, &path, name)) {
            continue;
        }
        assert(set.comments_count < COMMENTS_MAX);
        set.comments[set.comments_count++] =
            (struct comment){copy(name, strlen(name)), one_line(&text)};
    }
}

static int compare_comments(const void *a, const void *b)
{
    return strcmp(((const struct comment *)a)->full_name, ((const struct comment *)b)->full_name);
}

static void build(void)
{
    size_t length;
    const uint8_t *bytes = json_descriptor_set(&length);
    struct wire_reader files = wire_reader_over(bytes, length);
    struct wire_field file;

    set.memory = arena_new(INDEX_BYTES);
    set.comments = calloc(COMMENTS_MAX, sizeof(*set.comments));
    if (set.memory == NULL || set.comments == NULL) {
        abort(); /* as the index of messages: nothing can be served */
    }
    while (wire_next(&files, &file)) {
        const struct wire_field name = nth(inside(&file), FILE_PACKAGE, 0);
        const char *package = copy((const char *)name.bytes, name.length);
        struct wire_reader r = inside(&file);
        struct wire_field field;

        while (wire_next(&r, &field)) {
            if (field.number == FILE_SERVICE) {
                add_methods(package, &field);
            }
        }
        add_comments(inside(&file), package);
    }
    qsort(set.comments, set.comments_count, sizeof(*set.comments), compare_comments);
}

static void build_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, build);
}

const struct json_method *json_method_find(const char *full_name)
{
    build_once();
    full_name += full_name[0] == '/';
    for (uint32_t i = 0; i < set.methods_count; i++) {
        if (strcmp(set.methods[i].full_name, full_name) == 0) {
            return &set.methods[i];
        }
    }
    return NULL;
}

const char *json_comment(const char *full_name)
{
    build_once();
    const struct comment *found =
        bsearch(&(struct comment){.full_name = full_name}, set.comments, set.comments_count,
                sizeof(*set.comments), compare_comments);

    return found == NULL ? "" : found->text;
}
