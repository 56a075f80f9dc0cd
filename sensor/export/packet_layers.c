#include "sensor/export/packet_layers.h"

#include <string.h>

#include "base/wire_format.h"
#include "proto/codec.h"
#include "sensor/wire/packet_tree.h"

enum { SAMPLE_LAYERS = 20 };
enum { LAYER_NAME = 1, LAYER_OFFSET = 2, LAYER_LENGTH = 3, LAYER_FIELDS = 4 };
enum { FIELD_NAME = 1, FIELD_VALUE = 2, FIELD_OFFSET = 3, FIELD_LENGTH = 4 };

static void write_number(struct wire_writer *w, uint32_t field, uint32_t value)
{
    if (value != 0) {
        wire_write_varint(w, field, value);
    }
}

static void write_layer(struct wire_writer *w, const struct packet_tree *tree,
                        const struct packet_tree_layer *layer)
{
    const struct wire_mark mark = wire_begin(w, SAMPLE_LAYERS, 2);

    wire_write_text(w, LAYER_NAME, layer->name);
    write_number(w, LAYER_OFFSET, layer->offset);
    write_number(w, LAYER_LENGTH, layer->length);
    for (uint32_t i = 0; i < layer->field_count; i++) {
        const struct packet_tree_field *field = &tree->fields[layer->first_field + i];
        const struct wire_mark inner = wire_begin(w, LAYER_FIELDS, 1);

        wire_write_text(w, FIELD_NAME, field->name);
        wire_write_text(w, FIELD_VALUE, field->value);
        write_number(w, FIELD_OFFSET, field->offset);
        write_number(w, FIELD_LENGTH, field->length);
        wire_end(w, inner);
    }
    wire_end(w, mark);
}

size_t packet_layers_append(const uint8_t *sample, size_t length, uint8_t *out, size_t capacity)
{
    struct packet_sample decoded;
    struct packet_tree tree;

    if (length > capacity || length == 0 || !codec_decode_packet(sample, length, &decoded)) {
        return 0;
    }
    const struct frame frame = {.bytes = decoded.data,
                                .captured_bytes = decoded.data_length,
                                .wire_bytes = decoded.wire_length,
                                .time_ns = decoded.time_ns,
                                .link_type = (uint16_t)decoded.linktype};
    struct wire_writer w = wire_writer_over(out, capacity);
    size_t written = length;

    wire_write_raw(&w, sample, length);
    if (decoded.data_length == 0 || decoded.linktype > UINT16_MAX) {
        return length;
    }
    packet_tree(&frame, &tree);
    for (uint32_t i = 0; i < tree.layer_count; i++) {
        write_layer(&w, &tree, &tree.layers[i]);
        if (!w.ok) {
            break;
        }
        written = wire_written(&w);
    }
    return written;
}
