#include "sensor/wire/tree_writer.h"

#include <stdarg.h>
#include <stdio.h>

/* Whether `at` stands in the frame or just behind it. */
static bool is_in_frame(const struct tree_writer *writer, const uint8_t *at)
{
    const uintptr_t start = (uintptr_t)writer->frame->bytes;

    return at != NULL && (uintptr_t)at >= start &&
           (uintptr_t)at - start <= writer->frame->captured_bytes;
}

static uint32_t offset_of(const struct tree_writer *writer, const uint8_t *at)
{
    return is_in_frame(writer, at) ? (uint32_t)(at - writer->frame->bytes) : 0;
}

void tree_layer(struct tree_writer *writer, const char *name, const uint8_t *at, size_t length)
{
    struct packet_tree *tree = writer->tree;

    if (tree->layer_count == PACKET_TREE_LAYERS_MAX) {
        tree->is_cut = true;
        return;
    }
    tree->layers[tree->layer_count++] = (struct packet_tree_layer){
        .name = name,
        .offset = offset_of(writer, at),
        .length = (uint32_t)length,
        .first_field = tree->field_count,
    };
}

/* A new field of the last layer, its value still to be written; NULL when the tree is full. */
static struct packet_tree_field *add_field(struct tree_writer *writer, const char *name,
                                           const uint8_t *at, size_t length)
{
    struct packet_tree *tree = writer->tree;

    if (tree->layer_count == 0 || tree->field_count == PACKET_TREE_FIELDS_MAX ||
        tree->text_bytes + 1 >= sizeof(tree->text)) {
        tree->is_cut = true;
        return NULL;
    }
    struct packet_tree_field *field = &tree->fields[tree->field_count++];
    tree->layers[tree->layer_count - 1].field_count++;
    *field = (struct packet_tree_field){.name = name,
                                        .value = tree->text + tree->text_bytes,
                                        .offset = offset_of(writer, at),
                                        .length = is_in_frame(writer, at) ? (uint32_t)length : 0};
    return field;
}

static struct text value_text(struct tree_writer *writer)
{
    struct packet_tree *tree = writer->tree;

    return text_over(tree->text + tree->text_bytes, sizeof(tree->text) - tree->text_bytes);
}

static void keep_text(struct tree_writer *writer, const struct text *text)
{
    writer->tree->text_bytes += text->length + 1;
    writer->tree->is_cut |= text->is_cut;
}

void tree_field(struct tree_writer *writer, const char *name, const uint8_t *at, size_t length,
                const char *format, ...)
{
    char value[256];
    va_list arguments;

    if (add_field(writer, name, at, length) == NULL) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(value, sizeof(value), format, arguments);
    va_end(arguments);
    struct text text = value_text(writer);
    text_add(&text, value);
    keep_text(writer, &text);
}

void tree_escaped(struct tree_writer *writer, const char *name, const struct wire_span *bytes)
{
    if (bytes->bytes == NULL || add_field(writer, name, bytes->bytes, bytes->length) == NULL) {
        return;
    }
    struct text text = value_text(writer);
    text_escaped(&text, bytes->bytes, bytes->length);
    keep_text(writer, &text);
}

void tree_hex(struct tree_writer *writer, const char *name, const uint8_t *at, size_t length)
{
    if (add_field(writer, name, at, length) == NULL) {
        return;
    }
    struct text text = value_text(writer);
    text_hex(&text, at, length);
    keep_text(writer, &text);
}

void tree_mac(struct tree_writer *writer, const char *name, const uint8_t *at)
{
    char text[MAC_TEXT_BYTES];

    (void)mac_text(at, text);
    tree_field(writer, name, at, 6, "%s", text);
}

void tree_ip(struct tree_writer *writer, const char *name, const uint8_t *at, uint8_t version)
{
    struct ip_address address = {.version = version};
    const size_t length = version == 6 ? 16 : 4;
    char text[ADDRESS_TEXT_BYTES];

    memcpy(address.bytes, at, length);
    (void)address_text(&address, text);
    tree_field(writer, name, at, length, "%s", text);
}
