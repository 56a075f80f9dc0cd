#include "proto/serve/grpc_mask.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"

#define NAME_BYTES 64
#define NODES_MAX  1024

/* A field that is sent: whole, or by its children. Siblings form a list. */
struct node {
    uint32_t number;
    bool is_whole;
    uint16_t child, next; /* index in nodes; 0 = none */
};

struct grpc_mask {
    uint16_t count;
    struct node nodes[NODES_MAX]; /* [0] is the message itself */
};

static uint16_t find_child(const struct grpc_mask *mask, uint16_t parent, uint32_t number)
{
    uint16_t at = mask->nodes[parent].child;

    while (at != 0 && mask->nodes[at].number != number) {
        at = mask->nodes[at].next;
    }
    return at;
}

/* 0: no room. */
static uint16_t get_child(struct grpc_mask *mask, uint16_t parent, uint32_t number)
{
    uint16_t at = find_child(mask, parent, number);

    if (at == 0 && mask->count < NODES_MAX) {
        at = mask->count++;
        mask->nodes[at] = (struct node){.number = number, .next = mask->nodes[parent].child};
        mask->nodes[parent].child = at;
    }
    return at;
}

static int add_path(struct grpc_mask *mask, const ProtobufCMessageDescriptor *message,
                    const char *path, size_t index, struct error *err)
{
    uint16_t node = 0;

    for (const char *at = path;;) {
        const size_t length = strcspn(at, ".");
        char name[NAME_BYTES];
        const ProtobufCFieldDescriptor *field = NULL;

        if (message == NULL) {
            return error_set(err, EINVAL,
                             "field_mask.paths[%zu]: '%.100s' goes into a field that "
                             "is no message",
                             index, path);
        }
        if (length < sizeof(name)) {
            memcpy(name, at, length);
            name[length] = '\0';
            field = protobuf_c_message_descriptor_get_field_by_name(message, name);
        }
        if (field == NULL) {
            return error_set(err, EINVAL, "field_mask.paths[%zu]: %s has no field '%.*s'", index,
                             message->name, length > 100 ? 100 : (int)length, at);
        }
        node = get_child(mask, node, field->id);
        if (node == 0) {
            return error_set(err, EINVAL, "field_mask: more than %d different fields", NODES_MAX);
        }
        if (at[length] == '\0') {
            mask->nodes[node].is_whole = true;
            return 0;
        }
        message = field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
        at += length + 1;
    }
}

struct grpc_mask *grpc_mask_new(const ProtobufCMessageDescriptor *message, const char *const *paths,
                                size_t paths_count, struct error *err)
{
    if (paths_count > GRPC_MASK_PATHS_MAX) {
        error_set(err, EINVAL, "field_mask: %zu paths, at most %d", paths_count,
                  GRPC_MASK_PATHS_MAX);
        return NULL;
    }
    AUTO(grpc_mask) mask = calloc(1, sizeof(*mask));

    if (mask == NULL) {
        error_set(err, ENOMEM, "field_mask: no memory");
        return NULL;
    }
    mask->count = 1;
    for (size_t i = 0; i < paths_count; i++) {
        if (add_path(mask, message, paths[i], i, err) != 0) {
            return NULL;
        }
    }
    return TAKE(mask);
}

void grpc_mask_free(struct grpc_mask *mask)
{
    free(mask);
}

/* The depth is that of the paths, which the descriptor bounds. */
static void apply(const struct grpc_mask *mask, uint16_t parent, // NOLINT(misc-no-recursion)
                  struct wire_reader in, struct wire_writer *out)
{
    struct wire_field field;
    const uint8_t *begin = in.at;

    while (wire_next(&in, &field)) {
        const uint16_t node = find_child(mask, parent, field.number);

        if (node != 0 && (mask->nodes[node].is_whole || field.type != WIRE_BYTES)) {
            assert(begin != NULL); /* what is empty has no fields */
            wire_write_raw(out, begin, (size_t)(in.at - begin));
        } else if (node != 0) {
            const struct wire_mark mark =
                wire_begin(out, field.number, wire_varint_bytes(field.length));

            apply(mask, node, wire_reader_over(field.bytes, field.length), out);
            wire_end(out, mark);
        }
        begin = in.at;
    }
}

size_t grpc_mask_apply(const struct grpc_mask *mask, const uint8_t *bytes, size_t length,
                       uint8_t *out)
{
    struct wire_writer writer = wire_writer_over(out, length);

    apply(mask, 0, wire_reader_over(bytes, length), &writer);
    return wire_written(&writer);
}
